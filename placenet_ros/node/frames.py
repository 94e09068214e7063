"""Where the camera is: odometry, TF and the fixed place of the camera on the robot, put together."""

from __future__ import annotations

from typing import Sequence

import rospy
import tf2_ros

from placenet_ros.node.odometry import OdometrySample
from placenet_ros.node.rigid_pose import PoseError, RigidPose, camera_pose
from placenet_ros.scene.viewpoints import CameraPose

# TF is not asked for a frame without a name: it would print a warning of its own each time.
CAMERA_UNKNOWN = "where the camera is on the robot cannot be looked up; let its driver set it, or set ~base_to_camera"


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
        self._listener = tf2_ros.TransformListener(self._buffer)

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


def _plain(frame_id: str) -> str:
    return frame_id.lstrip("/")  # tf2 refuses the leading slash that some ROS 1 drivers still write
