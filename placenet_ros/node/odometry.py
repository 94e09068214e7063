"""The last seconds of odometry, and the pose at an image's stamp: interpolated, never extrapolated.

Knows nothing of ROS. Stamps are whole nanoseconds. The caller holds a lock if several threads use a buffer.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from placenet_ros.node.rigid_pose import RigidPose

TOP_SPEED = 3.0  # m/s: faster than indoor robots drive; what odometry moves beyond it between two poses is a jump
AHEAD_SECONDS = 0.2  # of the motion that `ahead` goes on with: short enough for turns, long enough for noise
LEAST_AHEAD_SECONDS = 0.02  # less of it says nothing of the speed, and would have to be repeated for ever
MAX_SAMPLES = 4096  # a bound for odometry that comes faster than the 1 kHz of an IMU


@dataclass(frozen=True)
class OdometrySample:
    """One pose of the robot: of child_frame_id in frame_id, at a stamp (nanoseconds)."""

    stamp: int
    pose: RigidPose
    frame_id: str
    child_frame_id: str
    covariance: tuple[float, ...]  # 36, row-major, as the odometry gave it; any numbers are accepted


class OdometryBuffer:
    """Samples of about the last `seconds`, in the order of their stamps, and of them the last `max_samples`."""

    def __init__(self, seconds: float, max_samples: int = MAX_SAMPLES):
        self._span = int(seconds * 1e9)
        self._samples: deque[OdometrySample] = deque(maxlen=max_samples)

    def add(self, sample: OdometrySample) -> None:
        """Append a sample; one that is not newer than the newest is ignored."""
        if self._samples and sample.stamp <= self._samples[-1].stamp:
            return
        self._samples.append(sample)
        while self._samples[0].stamp < sample.stamp - self._span:
            self._samples.popleft()

    def clear(self) -> None:
        self._samples.clear()

    @property
    def newest(self) -> OdometrySample | None:
        return self._samples[-1] if self._samples else None

    def ahead(self, seconds: float) -> OdometrySample | None:
        """Where the robot will be so long after the newest sample, if it goes on moving as in its last AHEAD_SECONDS.

        None where there is no sample; one that has no other at least LEAST_AHEAD_SECONDS before it stays where it is.
        """
        if not self._samples:
            return None
        newest = self._samples[-1]
        since = newest.stamp - int(AHEAD_SECONDS * 1e9)
        before = next((sample for sample in reversed(self._samples) if sample.stamp <= since), self._samples[0])
        pose = newest.pose
        gap = (newest.stamp - before.stamp) * 1e-9
        if gap >= LEAST_AHEAD_SECONDS:
            motion = before.pose.inverse() @ newest.pose
            whole, part = divmod(seconds / gap, 1.0)
            for _ in range(int(whole)):
                pose = pose @ motion
            pose = pose @ RigidPose.identity().interpolated(motion, part)
        stamp = newest.stamp + round(seconds * 1e9)
        return OdometrySample(stamp, pose, newest.frame_id, newest.child_frame_id, newest.covariance)

    def is_past(self, stamp: int) -> bool:
        """Whether the stamp is older than all samples: waiting for it is in vain."""
        return bool(self._samples) and stamp < self._samples[0].stamp

    def at(self, stamp: int) -> OdometrySample | None:
        """The sample at that stamp, interpolated between its neighbours; None where there is none on either side."""
        if not self._samples or not self._samples[0].stamp <= stamp <= self._samples[-1].stamp:
            return None
        after = next(sample for sample in self._samples if sample.stamp >= stamp)
        if after.stamp == stamp:
            return after
        before = next(sample for sample in reversed(self._samples) if sample.stamp < stamp)
        fraction = (stamp - before.stamp) / (after.stamp - before.stamp)
        pose = before.pose.interpolated(after.pose, fraction)
        nearer = before if fraction < 0.5 else after
        return OdometrySample(stamp, pose, after.frame_id, after.child_frame_id, nearer.covariance)
