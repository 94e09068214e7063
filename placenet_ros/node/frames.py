"""Where the camera is: odometry, TF and the fixed place of the camera on the robot, put together."""

from __future__ import annotations

import threading
from typing import Any, Callable, Sequence

import rospy
import tf2_ros

from placenet_ros.node.episodes import MIN_JUMP_SECONDS
from placenet_ros.node.odometry import OdometrySample
from placenet_ros.node.rigid_pose import PoseError, RigidPose, camera_pose
from placenet_ros.node.stamps import LATEST_STAMP
from placenet_ros.scene.viewpoints import CameraPose

# TF is not asked for a frame without a name: it would print a warning of its own each time.
CAMERA_UNKNOWN = "where the camera is on the robot cannot be looked up; let its driver set it, or set ~base_to_camera"
MOST_FRAMES = 1000  # whose newest stamps are remembered


class FrameError(ValueError):
    """A transform that is not known; one line."""


class Frames:
    """Poses of cameras in the odometry's frame.

    base_to_camera: x y z qx qy qz qw, the camera's frame in the robot's; empty: TF is asked, once for each pair.
    """

    def __init__(self, base_to_camera: Sequence[float]):
        self._given: RigidPose | None = None
        if base_to_camera:
            self._given = RigidPose.checked(base_to_camera[:3], base_to_camera[3:])
        self._fixed: dict[tuple[str, str], RigidPose] = {}
        self._buffer = tf2_ros.Buffer(debug=False)
        self._listener = _Listener(self._buffer)

    def follow(self, parent: str, child: str, on_pose: Callable[[int, RigidPose], None]) -> None:
        """From now on, call on_pose with each newer stamp (nanoseconds) of which TF knows child's pose in parent.

        That is the newest that all transforms between them reach, so that nothing is extrapolated.
        """
        self._listener.follow(_plain(parent), _plain(child), on_pose)

    def camera_frame(self, odometry: OdometrySample, camera_frame_id: str) -> RigidPose:
        """Pose of the camera's frame in the odometry's frame. Raises FrameError."""
        return odometry.pose @ self._camera_on_robot(odometry.child_frame_id, camera_frame_id)

    def query(self, pose: RigidPose, frame_id: str, stamp: rospy.Time, odometry: OdometrySample) -> CameraPose:
        """A camera pose given in any frame that TF knows, in the odometry's. Raises FrameError.

        stamp: at which frame_id is looked up, 0 for the newest. The pose's axes are those that frame_id stands for.
        """
        if not _plain(frame_id):
            raise FrameError("the query's frame_id is empty: say in which frame the pose is")
        in_odometry = pose
        if _plain(frame_id) != _plain(odometry.frame_id):
            in_odometry = self._lookup(odometry.frame_id, frame_id, stamp) @ pose
        return camera_pose(in_odometry, frame_id)

    def _camera_on_robot(self, robot_frame_id: str, camera_frame_id: str) -> RigidPose:
        if self._given is not None:
            return self._given
        if not _plain(camera_frame_id):
            raise FrameError(f"the image's frame_id is empty: {CAMERA_UNKNOWN}")
        if not _plain(robot_frame_id):
            raise FrameError(f"the odometry's child_frame_id is empty: {CAMERA_UNKNOWN}")
        frames = (robot_frame_id, camera_frame_id)
        if frames not in self._fixed:
            self._fixed = {frames: self._lookup(*frames, rospy.Time(0))}
        return self._fixed[frames]

    def _lookup(self, parent: str, child: str, stamp: rospy.Time) -> RigidPose:
        if stamp.to_nsec() > LATEST_STAMP:
            raise FrameError("the stamp asked for is no time: it is beyond those of ROS (2106); ask with stamp 0")
        try:
            found = self._buffer.lookup_transform(_plain(parent), _plain(child), stamp)
            return RigidPose.from_transform(found.transform)
        except tf2_ros.ExtrapolationException as error:
            raise FrameError(
                f"TF does not know {child} in {parent} at the stamp asked for; ask with stamp 0 for the newest"
            ) from error
        except (tf2_ros.TransformException, PoseError) as error:
            raise FrameError(
                f"no transform from '{child}' to '{parent}': publish it on TF (for a fixed one with rosrun tf2_ros "
                "static_transform_publisher), or for the camera set ~base_to_camera"
            ) from error


class _Listener(tf2_ros.TransformListener):
    """Fills a buffer, forgets what it knows where stamps jump back, and tells of a transform that it follows."""

    def __init__(self, buffer: tf2_ros.Buffer):
        self._lock = threading.Lock()  # each publisher of TF has a thread here
        self._newest: dict[str, rospy.Time] = {}  # stamps, by child frame
        self._followed: tuple[str, str, Callable[[int, RigidPose], None]] | None = None
        self._told = rospy.Time(0)
        super().__init__(buffer)

    def follow(self, parent: str, child: str, on_pose: Callable[[int, RigidPose], None]) -> None:
        with self._lock:
            self._followed = parent, child, on_pose

    def callback(self, data: Any) -> None:
        _leave_out_no_times(data)
        with self._lock:
            if self._jumps_back(data.transforms):
                self.buffer.clear()  # fixed transforms stay; the others would hide all that is older for 10 s
                self._newest.clear()
            super().callback(data)
            for transform in data.transforms[:MOST_FRAMES]:
                self._newest[transform.child_frame_id] = transform.header.stamp
            if len(self._newest) > MOST_FRAMES:
                self._newest.clear()
            if self._followed is not None:
                self._tell(*self._followed)

    def static_callback(self, data: Any) -> None:
        _leave_out_no_times(data)
        super().static_callback(data)

    def _jumps_back(self, transforms: Sequence[Any]) -> bool:
        return any(
            (self._newest[transform.child_frame_id] - transform.header.stamp).to_sec() > MIN_JUMP_SECONDS
            for transform in transforms
            if transform.child_frame_id in self._newest and transform.header.stamp.to_nsec()  # 0: without a stamp
        )

    def _tell(self, parent: str, child: str, on_pose: Callable[[int, RigidPose], None]) -> None:
        try:
            found = self.buffer.lookup_transform(parent, child, rospy.Time(0))
            pose = RigidPose.from_transform(found.transform)
        except (tf2_ros.TransformException, PoseError):
            return  # not known yet: silence is told of
        stamp = found.header.stamp
        if stamp not in (self._told, rospy.Time(0)):  # 0: of fixed transforms alone
            self._told = stamp
            on_pose(stamp.to_nsec(), pose)


def _leave_out_no_times(message: Any) -> None:
    """Take the transforms out of a TFMessage whose stamps are no times: TF would end the process over one."""
    times = [transform for transform in message.transforms if transform.header.stamp.to_nsec() <= LATEST_STAMP]
    if len(times) < len(message.transforms):
        rospy.logwarn_once("TF: a transform's stamp is no time: it is beyond those of ROS (2106); such are left out")
    message.transforms = times


def _plain(frame_id: str) -> str:
    return frame_id.lstrip("/")  # tf2 refuses the leading slash that some ROS 1 drivers still write
