"""The node house_robot_node: a live stand-in for a robot with a colour and depth camera, in a made house.

    cmd_vel ----> robot: a step every 20 ms ----(odometry, TF)----> outputs
                    |                                                  ^
                    +----(where the camera is)----> camera thread -----+

Time is ROS's: the wall clock's, or /clock where time is simulated. Each part has its file in this folder.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Callable

import rospy
from geometry_msgs.msg import Twist

from placenet_ros.node.house_robot import (
    CommandedDrive,
    HouseRobot,
    Limits,
    PathDrive,
    Ticks,
    WheelOdometry,
    camera_in_house,
)
from placenet_ros.node.house_robot_camera import HouseCamera, Shot
from placenet_ros.node.house_robot_outputs import RobotOutputs, pinhole
from placenet_ros.node.house_robot_parameters import RobotParameters
from placenet_ros.node.house_robot_place import PlaceError, RobotPlace, open_place
from placenet_ros.node.parameters import ParameterError
from placenet_ros.node.running import run_node

STEP = 20_000_000  # nanoseconds: odometry at 50 Hz
PATIENCE = 500_000_000  # nanoseconds that are made up for where this process was not run; what is more is skipped
POLL_SECONDS = 0.005  # between two looks at the clock
REMARKS_SHOWN = 5  # of those about a file
STOP_SECONDS = 0.5  # for the picture that is being drawn


class HouseRobotNode:
    """All parts of the node, started. failed: called with what ended a thread, if anything does.

    Raises PlaceError for a house that cannot be had.
    """

    def __init__(self, parameters: RobotParameters, failed: Callable[[Exception], None]):
        self._parameters = parameters
        place = open_place(parameters)
        for remark in place.remarks[:REMARKS_SHOWN]:
            rospy.logwarn(f"{place.name}: {remark}")
        if len(place.remarks) > REMARKS_SHOWN:
            rospy.logwarn(f"{place.name}: and {len(place.remarks) - REMARKS_SHOWN} more like these")
        self._place = place
        self._robot = make_robot(parameters, place)
        camera = pinhole(parameters.image_width, parameters.image_height, parameters.field_of_view)
        self._outputs = RobotOutputs(camera, parameters.camera_height, parameters.camera_pitch)
        self._camera = HouseCamera(self._open_pictures, self._on_ready, self._outputs.publish_pictures, failed)
        self._clock = StepClock(self._step, failed)
        self._pictures = Ticks(round(1e9 / parameters.image_rate), PATIENCE)
        rospy.on_shutdown(lambda: self._camera.stop(STOP_SECONDS))
        self._camera.start()

    def _open_pictures(self):
        return self._place.pictures(
            self._parameters.image_width, self._parameters.image_height, self._parameters.field_of_view
        )

    def _on_ready(self, renderer: str) -> None:
        self._outputs.publish_mount()
        self._subscriber = rospy.Subscriber("cmd_vel", Twist, self._on_command, queue_size=1)
        self._clock.start()
        size = f"{self._parameters.image_width} x {self._parameters.image_height}"
        rospy.loginfo(
            f"ready: in {self._place.name}, {size} pixels drawn by {renderer}, drive {self._parameters.drive}"
        )

    def _on_command(self, command: Twist) -> None:
        speed, turn_rate = command.linear.x, command.angular.z
        if not (math.isfinite(speed) and math.isfinite(turn_rate)):
            rospy.logwarn_once(f"{rospy.resolve_name('cmd_vel')}: not finite, ignored")
            return
        self._robot.command(speed, turn_rate)

    def _step(self, stamp: int) -> None:
        """Move on to this moment, nanoseconds, and publish."""
        before = self._robot.motion
        self._outputs.publish_motion(stamp, self._robot.advance(STEP * 1e-9))
        if self._pictures.due(stamp) and self._outputs.has_viewer():
            # Between two messages of odometry, as on a robot, and once both are out.
            middle = before.halfway(self._robot.motion)
            pose = camera_in_house(
                middle, self._place.floor + self._parameters.camera_height, self._parameters.camera_pitch
            )
            if not self._camera.take(Shot(stamp - STEP // 2, pose)):
                rospy.logwarn_once(
                    f"drawing takes longer than ~image_rate, {self._parameters.image_rate:g} pictures per second, "
                    "leaves: some are skipped"
                )


class StepClock(threading.Thread):
    """The thread that moves the robot on as ROS's time goes on.

    step: called in this thread for each moment of ROS's time, STEP apart, with its nanoseconds.
    failed: called in this thread with the exception that ended it.
    """

    def __init__(self, step: Callable[[int], None], failed: Callable[[Exception], None]):
        super().__init__(name="house robot", daemon=True)
        self._step, self._failed = step, failed
        self._ticks = Ticks(STEP, PATIENCE)

    def run(self) -> None:
        try:
            while not rospy.is_shutdown():
                now = rospy.get_rostime().to_nsec()
                for moment in self._ticks.due(now) if now else []:  # 0: there is no /clock yet
                    self._step(moment)
                time.sleep(POLL_SECONDS)
        except Exception as error:  # whatever it is, the main thread has to learn of it and end the process
            self._failed(error)


def make_robot(parameters: RobotParameters, place: RobotPlace) -> HouseRobot:
    """The robot where its path begins."""
    limits = Limits(
        parameters.max_speed, parameters.max_turn_rate, parameters.acceleration, parameters.turn_acceleration
    )
    path = PathDrive(place.paths, parameters.path_speed, parameters.path_turn_rate)
    commanded = CommandedDrive(path.motion, limits, place.clearance, parameters.command_timeout)
    odometry = WheelOdometry(path.motion, parameters.odometry_noise, parameters.seed)
    return HouseRobot(parameters.drive, path, commanded, odometry)


def main() -> None:
    """Start the node, stay until it is told to end, and end the process: does not return."""
    run_node(
        "house_robot",
        lambda failed: HouseRobotNode(RobotParameters.from_dictionary(rospy.get_param("~", {})), failed),
        told_in_one_line=(ParameterError, PlaceError),
    )
