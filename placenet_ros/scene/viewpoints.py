"""Camera poses as a robot knows them. What the networks read of them is in `placenet_ros.model.viewpoints`."""
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

ROTATION_TOLERANCE = 1e-3  # largest deviation of R R^T from the identity that rounding explains


@dataclass(frozen=True)
class CameraPose:
    """Where a camera is and looks, in a world frame by REP 103 (metres, x forward, y left, z up); it does not roll.

    Raises:
        ValueError: a value that is not finite.
    """

    position: tuple[float, float, float]  # x, y, z, metres
    yaw: float  # radians, counter-clockwise about z, 0 looks along +x
    pitch: float  # radians, positive looks up

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in (*self.position, self.yaw, self.pitch)):
            raise ValueError(f"a camera pose must be finite, not position {self.position}, yaw {self.yaw}, "
                             f"pitch {self.pitch}")

    @classmethod
    def from_matrix(cls, world_from_camera: np.ndarray) -> CameraPose:
        """The pose of a camera's optical frame (REP 103: x right, y down, z forward), without its roll.

        Args:
            world_from_camera: 4 x 4 rigid transformation from the optical frame to the world frame.

        Raises:
            ValueError: not finite, or its upper left 3 x 3 is no rotation.
        """
        matrix = np.asarray(world_from_camera, dtype=np.float64)
        rotation = matrix[:3, :3]
        if not np.isfinite(matrix).all() or np.abs(rotation @ rotation.T - np.eye(3)).max() > ROTATION_TOLERANCE:
            raise ValueError(f"a camera pose must be a finite rigid transformation, not {matrix.tolist()}")
        forward = rotation[:, 2]
        level = math.hypot(forward[0], forward[1])
        if level > ROTATION_TOLERANCE:
            yaw = math.atan2(forward[1], forward[0])
        else:  # straight up or down: the top of the picture says where the camera is turned
            up = -rotation[:, 1] * -math.copysign(1.0, forward[2])
            yaw = math.atan2(up[1], up[0])
        x, y, z = (float(value) for value in matrix[:3, 3])
        return cls((x, y, z), yaw, math.atan2(forward[2], level))

    def to_matrix(self) -> np.ndarray:
        """4 x 4 transformation from the camera's optical frame to the world frame."""
        cos_yaw, sin_yaw = math.cos(self.yaw), math.sin(self.yaw)
        cos_pitch, sin_pitch = math.cos(self.pitch), math.sin(self.pitch)
        matrix = np.eye(4)
        matrix[:3, 0] = sin_yaw, -cos_yaw, 0.0  # right
        matrix[:3, 1] = sin_pitch * cos_yaw, sin_pitch * sin_yaw, -cos_pitch  # down
        matrix[:3, 2] = cos_pitch * cos_yaw, cos_pitch * sin_yaw, sin_pitch  # forward
        matrix[:3, 3] = self.position
        return matrix

    def to_array(self) -> np.ndarray:
        """(5,) float64: x, y, z, yaw, pitch."""
        return np.array([*self.position, self.yaw, self.pitch])

    def distance_to(self, other: CameraPose) -> float:
        """Metres between the two cameras."""
        return math.dist(self.position, other.position)
