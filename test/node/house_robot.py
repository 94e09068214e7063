#!/usr/bin/env python3
"""The robot in a made house, as others see it: its topics, frames and motion, and placenet_node on it."""

import contextlib
import itertools
import math
import os
import signal
import subprocess
import sys
import unittest
from pathlib import Path

import numpy as np
import rospy
import rostest
import tf2_ros
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from placenet_ros.msg import PlaceEmbedding
from robot import PATIENCE, REPOSITORY, Collected, end, save_tiny_weights, temporary_folder, wait_until
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image

from placenet_ros.node import images
from placenet_ros.node.house_robot import ROBOT_RADIUS
from placenet_ros.node.house_robot_node import make_robot
from placenet_ros.node.house_robot_parameters import RobotParameters
from placenet_ros.node.house_robot_place import open_place
from placenet_ros.node.rigid_pose import RigidPose
from training.houses.classes import CLASS_NAMES
from training.houses.free_space import distance
from training.houses.plan import make_house

NUMBERS = itertools.count()
CAMERA = "camera_color_optical_frame"
PICTURES = {
    "camera/color/image_raw": "rgb8",
    "camera/aligned_depth_to_color/image_raw": "16UC1",
    "camera/objects/image_raw": "mono8",
}
STEP = 0.02  # seconds, between two messages of odometry
ROOM_AHEAD = 1.2  # metres that are free before the robot where it is to drive
DOOR_TOP = 2.0  # metres: above it, walls go on over doors
SHUTDOWN_SECONDS = 2.0


class HouseRobotTest(unittest.TestCase):
    def test_every_topic_has_the_types_frames_and_stamps_of_a_robot(self):
        with running_robot(image_width=200, image_height=100) as robot:
            odometry = Collected(f"{robot}/odom", Odometry)
            info = Collected(f"{robot}/camera/color/camera_info", CameraInfo)
            pictures = {topic: Collected(f"{robot}/{topic}", Image) for topic in PICTURES}
            last = pictures["camera/color/image_raw"].wait_for(after=10)
            odometry.wait_for(lambda message: message.header.stamp > last.header.stamp)
            for topic, encoding in PICTURES.items():
                found = pictures[topic].wait_for(lambda message: message.header.stamp == last.header.stamp)
                self.assertEqual((found.encoding, found.width, found.height), (encoding, 200, 100))
                self.assertEqual(found.header.frame_id, CAMERA)
            calibration = info.wait_for(lambda message: message.header.stamp == last.header.stamp)
            self.assertEqual((calibration.width, calibration.height), (200, 100))
            self.assertAlmostEqual(2 * math.atan(100 / calibration.K[0]), 1.35)
        self.assertEqual({(m.header.frame_id, m.child_frame_id) for m in odometry.messages}, {("odom", "base_link")})
        stamps = np.array([message.header.stamp.to_nsec() for message in odometry.messages])
        self.assertTrue((np.diff(stamps) % 20_000_000 == 0).all())
        self.assertEqual(np.median(np.diff(stamps)), 20_000_000)
        image_stamps = [message.header.stamp.to_nsec() for message in pictures["camera/color/image_raw"].messages]
        self.assertEqual(np.median(np.diff(image_stamps)), 100_000_000)

    def test_depth_put_through_odometry_and_tf_lies_on_the_walls_and_the_floor_of_the_house(self):
        fast = {"path_speed": 2.0, "path_turn_rate": 4.0}  # a pose of 10 ms earlier or later is off by centimetres
        with running_robot(drive="path", camera_pitch=-0.3, **fast) as robot:
            transforms = tf2_ros.Buffer()
            listener = tf2_ros.TransformListener(transforms)
            depth = Collected(f"{robot}/camera/aligned_depth_to_color/image_raw", Image)
            objects = Collected(f"{robot}/camera/objects/image_raw", Image)
            info = Collected(f"{robot}/camera/color/camera_info", CameraInfo).wait_for()
            objects.wait_for(after=20)
            points, classes = [], []
            for labels in objects.messages[5:20]:
                stamp = labels.header.stamp
                metres = images.depth(depth.wait_for(lambda message, stamp=stamp: message.header.stamp == stamp))
                pose = transforms.lookup_transform("odom", CAMERA, stamp, rospy.Duration(PATIENCE)).transform
                points.append(in_house(start_of(), positions(pose, metres, info)))
                classes.append(images.labels(labels))
            listener.unregister()
        points, classes = np.array(points), np.array(classes)
        floor = points[classes == CLASS_NAMES.index("floor")]
        self.assertGreater(len(floor), 10_000)
        self.assertGreater((np.abs(floor[:, 2]) < 0.02).mean(), 0.95)
        wall = points[(classes == CLASS_NAMES.index("wall")) & (points[..., 2] < DOOR_TOP)]
        self.assertGreater(len(wall), 10_000)
        rectangles = np.array([(r.x0, r.y0, r.x1, r.y1) for r in make_house(RobotParameters().seed).walls])
        self.assertGreater((distance(wall[:, :2], rectangles) < 0.02).mean(), 0.98)

    def test_cmd_vel_moves_the_robot_as_commanded_and_without_it_the_robot_stops(self):
        with running_robot(drive="cmd_vel", seed=seed_with_room_ahead()) as robot:
            odometry = Collected(f"{robot}/odom", Odometry)
            with commanded(robot, 0.3, 0.0):
                begin = odometry.wait_for(lambda message: message.twist.twist.linear.x > 0.2999)
                odometry.wait_for(lambda m: (m.header.stamp - begin.header.stamp).to_sec() > 0.5)
                driven = odometry.messages[-1]
            seconds = (driven.header.stamp - begin.header.stamp).to_sec()
            way = driven.pose.pose.position.x - begin.pose.pose.position.x
            self.assertAlmostEqual(way, 0.3 * seconds, delta=0.002)
            self.assertAlmostEqual(driven.pose.pose.position.y, 0.0, delta=1e-6)
            self.assert_stops(odometry)
            with commanded(robot, 0.0, -0.5):
                odometry.wait_for(lambda message: message.twist.twist.angular.z < -0.4999)
                turned = len(odometry.messages)
                odometry.wait_for(after=turned + 20)
            headings = [2 * math.atan2(m.pose.pose.orientation.z, m.pose.pose.orientation.w) for m in odometry.messages]
            np.testing.assert_allclose(np.diff(headings)[turned : turned + 20], -0.5 * STEP, atol=1e-6)
            self.assert_stops(odometry)

    def assert_stops(self, odometry):
        arrived = len(odometry.messages)
        stands = odometry.wait_for(lambda m: not (m.twist.twist.linear.x or m.twist.twist.angular.z), after=arrived)
        arrived = len(odometry.messages)
        self.assertEqual(odometry.wait_for(after=arrived + 5).pose.pose, stands.pose.pose)

    def test_robot_that_is_driven_at_a_wall_stays_outside_of_it(self):
        with running_robot(drive="cmd_vel") as robot:
            odometry = Collected(f"{robot}/odom", Odometry).wait_until_connected()
            with commanded(robot, 0.7, 0.0):
                begin = odometry.wait_for(lambda message: message.twist.twist.linear.x > 0)
                odometry.wait_for(lambda m: (m.header.stamp - begin.header.stamp).to_sec() > 5.0)
            stands = odometry.messages[-1]
        self.assertEqual(stands.twist.twist.linear.x, 0.0)
        place, start = open_place(RobotParameters()), start_of()
        clearances = []
        for message in odometry.messages:
            at = message.pose.pose.position
            x, y, _ = in_house(start, np.array([at.x, at.y, 0.0]))
            clearances.append(place.clearance(x, y))
        self.assertGreater(min(clearances), ROBOT_RADIUS - 1e-6)
        self.assertLess(clearances[-1], ROBOT_RADIUS + 0.02)

    def test_placenet_node_builds_its_scene_from_what_the_robot_publishes(self):
        with temporary_folder() as folder:  # by house_robot.launch, as a user starts both
            weights = save_tiny_weights(Path(folder) / "tiny")
            settings = ["node:=true", "drive:=path", f"weights:={weights}"]
            launched = subprocess.Popen(
                ["roslaunch", "placenet_ros", "house_robot.launch", *settings],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=dict(os.environ, ROS_NAMESPACE="/launched"),
            )
            self.addCleanup(end, launched)
            embedding = Collected("/launched/placenet_node/place_embedding", PlaceEmbedding).wait_for(
                lambda message: message.num_observations >= 3
            )
            end(launched)
        self.assertEqual((embedding.header.frame_id, embedding.child_frame_id), ("odom", CAMERA))
        self.assertAlmostEqual(embedding.pose.pose.position.z, RobotParameters().camera_height, places=6)

    def test_robot_moves_in_the_time_of_the_clock_also_where_it_jumps_back(self):
        rospy.set_param("/use_sim_time", True)
        self.addCleanup(rospy.delete_param, "/use_sim_time")
        clock = rospy.Publisher("/clock", Clock, queue_size=10)
        with running_robot(drive="path") as robot:
            odometry = Collected(f"{robot}/odom", Odometry).wait_until_connected()
            wait_until(clock.get_num_connections, "nobody listens to /clock")
            for begin in (100.0, 50.0):
                for tenth in range(1, 11):
                    now = begin + 0.1 * tenth
                    clock.publish(rospy.Time.from_sec(now))
                    odometry.wait_for(lambda message, now=now: abs(message.header.stamp.to_sec() - now) < 1.5 * STEP)
        stamps = np.array([message.header.stamp.to_sec() for message in odometry.messages])
        self.assertLess(stamps.max(), 101.001)
        steps = np.diff(stamps)
        self.assertEqual((steps < 0).sum(), 1)
        np.testing.assert_allclose(steps[steps > 0], STEP, atol=1e-6)

    def test_robot_ends_at_once_and_cleanly_when_told_to(self):
        for told in (signal.SIGINT, signal.SIGTERM):
            with running_robot() as robot:
                Collected(f"{robot}/camera/color/image_raw", Image).wait_for()
                robot.process.send_signal(told)
                output, _ = robot.process.communicate(timeout=SHUTDOWN_SECONDS)
                self.assertEqual(robot.process.returncode, 0, output)
                self.assertNotIn("Traceback", output)

    def test_what_keeps_the_robot_from_starting_is_told_in_one_line(self):
        no_egl = {"__EGL_VENDOR_LIBRARY_FILENAMES": "/nowhere.json"}
        refused = {
            "~seed must be at least 0, found -1": self.started(seed=-1),
            "/nowhere.json": self.started(plan="/nowhere.json"),
            "give its whole path": self.started(scene="flat.glb"),
            "install libegl1": self.started(no_egl),
        }
        for line, process in refused.items():
            output, _ = process.communicate(timeout=PATIENCE)
            self.assertEqual(process.returncode, 1, output)
            fatal = [text for text in output.splitlines() if "FATAL" in text]
            self.assertEqual(len(fatal), 1, output)
            self.assertIn(line, fatal[0])
            self.assertNotIn("Traceback", output)

    def started(self, environment=(), **parameters):
        process = start_robot(f"/refused_{next(NUMBERS)}", environment, **parameters)
        self.addCleanup(end, process)
        return process


class RunningRobot(str):
    """The namespace of a robot; `process` is it."""


@contextlib.contextmanager
def running_robot(**parameters):
    """A house_robot_node in a process and a namespace of its own; what it printed is shown where a test fails."""
    robot = RunningRobot(f"/live_{next(NUMBERS)}")
    robot.process = start_robot(robot, **parameters)
    try:
        yield robot
    except BaseException:
        print(end(robot.process))
        raise
    end(robot.process)


def start_robot(namespace, environment=(), **parameters):
    """Start it, and return at once."""
    settings = [f"_{key}:={value}" for key, value in parameters.items()]
    command = [sys.executable, str(REPOSITORY / "nodes" / "house_robot_node"), f"__ns:={namespace}", *settings]
    environment = dict(os.environ, **dict(environment))
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


@contextlib.contextmanager
def commanded(robot, speed, turn_rate):
    """While the robot is told to move like this, ten times a second."""
    command = Twist()
    command.linear.x, command.angular.z = speed, turn_rate
    publisher = rospy.Publisher(f"{robot}/cmd_vel", Twist, queue_size=1)
    wait_until(publisher.get_num_connections, "nobody listens to cmd_vel")
    timer = rospy.Timer(rospy.Duration(0.1), lambda event: publisher.publish(command))
    try:
        yield
    finally:
        timer.shutdown()
        timer.join()
        publisher.unregister()


def start_of(**parameters):
    """Where the robot of these parameters begins in its house."""
    parameters = RobotParameters(**parameters)
    return make_robot(parameters, open_place(parameters)).motion


def seed_with_room_ahead():
    """A seed whose robot can drive ROOM_AHEAD from where it begins."""
    for seed in itertools.count(RobotParameters().seed):
        place, start = open_place(RobotParameters(seed=seed)), start_of(seed=seed)
        ways = np.arange(0.0, ROOM_AHEAD, 0.05)
        ahead = in_house(start, np.stack([ways, 0 * ways, 0 * ways], axis=1))
        if all(place.clearance(x, y) > ROBOT_RADIUS + 0.05 for x, y, _ in ahead):
            return seed


def in_house(start, points):
    """Points (..., 3) of the odom frame in the house."""
    cos, sin = math.cos(start.heading), math.sin(start.heading)
    return points @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]) + (start.x, start.y, 0.0)


def positions(to_odom, depth, info):
    """Where in the odom frame each pixel's depth lies, (height, width, 3)."""
    rows, columns = np.indices(depth.shape)
    rays = np.stack([(columns - info.K[2]) / info.K[0], (rows - info.K[5]) / info.K[4], np.ones_like(depth)], axis=-1)
    camera = RigidPose.from_transform(to_odom)
    return (rays * depth[..., None]) @ camera.rotation().T + camera.position


if __name__ == "__main__":
    rospy.init_node("house_robot_test")
    rostest.rosrun("placenet_ros", "house_robot", HouseRobotTest)
