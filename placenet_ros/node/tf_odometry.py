"""The robot's pose from TF, as samples like those that odometry gives. Knows nothing of ROS."""

from __future__ import annotations

from typing import Callable

import numpy as np

from placenet_ros.node.odometry import TOP_SPEED, OdometrySample
from placenet_ros.node.rigid_pose import RigidPose

NO_COVARIANCE = (0.0,) * 36  # TF has none
NOISE = 0.05  # metres between two poses that no speed need explain
LONGEST_JUMP = 300_000_000  # nanoseconds: localisation corrects map -> odom at least so often


class TransformOdometry:
    """Turns poses of base_frame in odom_frame, at the stamps of TF, into OdometrySamples for `put`.

    Where localisation corrects itself, TF interpolates between its transforms from before and after, so that the robot
    seems to dash from the one place to the other. What moves faster than robots do is held back until it stands
    still again: the jump is then one step, as with odometry.
    """

    def __init__(self, odom_frame: str, base_frame: str, put: Callable[[OdometrySample], None]):
        self._odom_frame, self._base_frame, self._put = odom_frame, base_frame, put
        self._last: tuple[int, RigidPose] | None = None  # of those that came
        self._last_put = 0  # stamp of the last one that was not held back

    def add(self, stamp: int, pose: RigidPose) -> None:
        """Take the newest pose that TF knows; stamp: nanoseconds."""
        dashes = self._last is not None and _is_dash(*self._last, stamp, pose)
        self._last = stamp, pose
        if dashes and stamp - self._last_put <= LONGEST_JUMP:
            return
        self._last_put = stamp
        self._put(OdometrySample(stamp, pose, self._odom_frame, self._base_frame, NO_COVARIANCE))


def _is_dash(before: int, start: RigidPose, after: int, end: RigidPose) -> bool:
    distance = np.linalg.norm(end.position - start.position)
    return after > before and distance > NOISE + TOP_SPEED * (after - before) * 1e-9
