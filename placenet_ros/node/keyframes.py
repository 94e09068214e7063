"""Which images are worth an encoding: those taken far enough from the newest keyframe. Knows nothing of ROS."""

from __future__ import annotations

import math

from placenet_ros.scene.viewpoints import CameraPose


class KeyframeGate:
    """Opens for the first image, and then where the camera has moved, turned or waited enough since the last keyframe.

    distance: metres. angle: radians between the directions looked in. period: seconds between stamps; 0: time alone
    never makes a keyframe, so that a robot that stands keeps what it has seen from elsewhere.
    """

    def __init__(self, distance: float, angle: float, period: float):
        self._distance, self._angle, self._period = distance, angle, period
        self._newest: CameraPose | None = None
        self._newest_stamp = 0

    def opens(self, pose: CameraPose, stamp: int) -> bool:
        """Whether an image of that pose and stamp (nanoseconds) should become a keyframe."""
        if self._newest is None:
            return True
        waited = self._period > 0 and (stamp - self._newest_stamp) * 1e-9 >= self._period
        moved = math.dist(pose.position, self._newest.position) >= self._distance
        return waited or moved or _angle_between(pose, self._newest) >= self._angle

    def missed(self, pose: CameraPose, stamp: int, most: int) -> int:
        """How many keyframes should have come between the last one and that pose and stamp, at least; up to `most`."""
        if self._newest is None:
            return 0
        waited = (stamp - self._newest_stamp) * 1e-9 / self._period if self._period else 0.0
        moved = _times(math.dist(pose.position, self._newest.position), self._distance)
        turned = _times(_angle_between(pose, self._newest), self._angle)
        return max(int(min(max(waited, moved, turned) - 1, most)), 0)

    def passed(self, pose: CameraPose, stamp: int) -> None:
        """Note that an image became a keyframe."""
        self._newest, self._newest_stamp = pose, stamp

    def clear(self) -> None:
        self._newest = None


def _times(amount: float, limit: float) -> float:
    return amount / limit if limit else math.inf


def _angle_between(a: CameraPose, b: CameraPose) -> float:
    """Angle between the two cameras' optical axes, radians."""
    cosine = math.sin(a.pitch) * math.sin(b.pitch) + math.cos(a.pitch) * math.cos(b.pitch) * math.cos(a.yaw - b.yaw)
    return math.acos(max(-1.0, min(1.0, cosine)))
