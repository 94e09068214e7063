"""Poses as messages carry them: a position and a quaternion, checked, composed and interpolated. Knows nothing of ROS.

Quaternions are x, y, z, w, as in geometry_msgs. The scene's own idea of a camera pose (yaw and pitch) is in
`placenet_ros.scene.viewpoints`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Sequence

import numpy as np

from placenet_ros.scene.viewpoints import CameraPose

SMALLEST_QUATERNION_NORM = 1e-6
LARGEST_COORDINATE = 1e8  # metres: beyond the coordinates of any map, and still exact to a micrometre in float64
STRAIGHT_DOWN = 0.1  # cosine of the pitch, 84 degrees: beyond, roll and yaw are not told apart
OPTICAL_FRAME_SUFFIX = "_optical_frame"  # REP 103: z forward, x right, y down


class PoseError(ValueError):
    """A pose that is none; one line that holds no measured value, so that it reads the same each time."""


@dataclass(frozen=True, eq=False)
class RigidPose:
    """Pose of one frame in another: maps coordinates of the first to those of the second.

    position: float64 (3,), metres. quaternion: float64 (4,), x y z w, of norm 1.
    """

    position: np.ndarray
    quaternion: np.ndarray

    @classmethod
    def checked(cls, position: Sequence[float], quaternion: Sequence[float]) -> RigidPose:
        """The pose of these numbers, the quaternion normalised.

        Raises PoseError for a number that is not finite, a position beyond any map and a quaternion of norm 0.
        """
        position = np.array(position, dtype=np.float64)
        quaternion = np.array(quaternion, dtype=np.float64)
        if not (np.isfinite(position).all() and np.isfinite(quaternion).all()):
            raise PoseError("the pose is not finite: it holds NaN or infinity")
        if np.abs(position).max() > LARGEST_COORDINATE:
            raise PoseError(f"the pose is more than {LARGEST_COORDINATE:g} m from the origin of its frame")
        norm = math.sqrt(quaternion @ quaternion)
        if norm < SMALLEST_QUATERNION_NORM:
            raise PoseError("the orientation is a quaternion of norm 0; no rotation is (0, 0, 0, 1)")
        return cls(position, quaternion / norm)

    @classmethod
    def from_message(cls, pose: Any) -> RigidPose:
        """Of a geometry_msgs/Pose. Raises PoseError."""
        at, turn = pose.position, pose.orientation
        return cls.checked((at.x, at.y, at.z), (turn.x, turn.y, turn.z, turn.w))

    @classmethod
    def from_transform(cls, transform: Any) -> RigidPose:
        """Of a geometry_msgs/Transform. Raises PoseError."""
        at, turn = transform.translation, transform.rotation
        return cls.checked((at.x, at.y, at.z), (turn.x, turn.y, turn.z, turn.w))

    def __matmul__(self, inner: RigidPose) -> RigidPose:
        """`outer @ inner`: the pose in outer's parent of what `inner` places in outer's frame."""
        rotated = self.rotation() @ inner.position
        return RigidPose(self.position + rotated, _product(self.quaternion, inner.quaternion))

    @classmethod
    def identity(cls) -> RigidPose:
        """Of a frame in itself."""
        return cls(np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]))

    def inverse(self) -> RigidPose:
        """The pose of the parent's frame in this one."""
        return RigidPose(-self.rotation().T @ self.position, self.quaternion * (-1.0, -1.0, -1.0, 1.0))

    def interpolated(self, other: RigidPose, fraction: float) -> RigidPose:
        """The pose a fraction (0..1) of the way to `other`: straight in position, slerp in orientation."""
        position = (1 - fraction) * self.position + fraction * other.position
        return RigidPose(position, _slerp(self.quaternion, other.quaternion, fraction))

    def rotation(self) -> np.ndarray:
        """The orientation as a matrix (3, 3)."""
        x, y, z, w = self.quaternion
        return np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )

    def matrix(self) -> np.ndarray:
        """The pose as a homogeneous matrix (4, 4)."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.rotation()
        matrix[:3, 3] = self.position
        return matrix


# Axes of an optical frame (z forward, x right, y down) seen from a body frame (x forward, y left, z up).
OPTICAL_IN_BODY = RigidPose(np.zeros(3), np.array([-0.5, 0.5, -0.5, 0.5]))


def looks_along_z(frame_id: str) -> bool:
    """Whether the frame's name says that it is an optical frame; all others are body frames and look along x."""
    return frame_id.endswith(OPTICAL_FRAME_SUFFIX)


def optical_pose(pose: RigidPose, frame_id: str) -> RigidPose:
    """The pose of a camera's optical axes, from a pose whose axes are those that `frame_id` stands for."""
    return pose if looks_along_z(frame_id) else pose @ OPTICAL_IN_BODY


def camera_pose(pose: RigidPose, frame_id: str) -> CameraPose:
    """What the scene knows of a pose whose axes are those that frame_id stands for."""
    return CameraPose.from_matrix(optical_pose(pose, frame_id).matrix())


def roll_degrees(pose: RigidPose, frame_id: str) -> float:
    """How far the camera is turned about its line of sight: 0 where its picture is upright, 180 upside down.

    0, too, where it looks straight up or down, and has no roll.
    """
    rotation = optical_pose(pose, frame_id).rotation()
    right, up = rotation[2, 0], -rotation[2, 1]  # heights of the picture's axes
    return math.degrees(math.atan2(right, up)) if math.hypot(right, up) > STRAIGHT_DOWN else 0.0


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    vector = a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])
    product = np.append(vector, a[3] * b[3] - a[:3] @ b[:3])
    return product / math.sqrt(product @ product)


def _slerp(start: np.ndarray, end: np.ndarray, fraction: float) -> np.ndarray:
    cosine = float(start @ end)
    if cosine < 0:  # a quaternion and its negative are the same rotation: take the shorter way
        end, cosine = -end, -cosine
    angle = math.acos(min(cosine, 1.0))
    if angle < 1e-6:  # sin(angle) vanishes; the straight line is the same
        mixed = (1 - fraction) * start + fraction * end
    else:
        mixed = (math.sin((1 - fraction) * angle) * start + math.sin(fraction * angle) * end) / math.sin(angle)
    return mixed / math.sqrt(mixed @ mixed)
