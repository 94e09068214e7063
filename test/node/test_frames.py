"""Where a camera is, and how it is turned."""

import math

import genpy
import numpy as np
import pytest

from placenet_ros.node import frames
from placenet_ros.node.frames import FrameError, Frames
from placenet_ros.node.odometry import OdometrySample
from placenet_ros.node.rigid_pose import OPTICAL_IN_BODY, RigidPose, roll_degrees
from placenet_ros.node.stamps import LATEST_STAMP


def turned(axis, degrees):
    half = math.radians(degrees) / 2
    return RigidPose.checked((0, 0, 0), (*(np.eye(3)[axis] * math.sin(half)), math.cos(half)))


@pytest.mark.parametrize("roll", [-90, -7, 0, 30, 170])
@pytest.mark.parametrize("yaw, pitch", [(0, 0), (130, 25), (-60, -40)])
def test_roll_is_told_whatever_yaw_and_pitch(yaw, pitch, roll):
    body = turned(2, yaw) @ turned(1, pitch) @ turned(0, roll)
    assert abs(roll_degrees(body, "camera_link")) == pytest.approx(abs(roll), abs=1e-6)
    assert abs(roll_degrees(body @ OPTICAL_IN_BODY, "camera_optical_frame")) == pytest.approx(abs(roll), abs=1e-6)


def test_camera_that_looks_straight_down_has_no_roll():
    assert roll_degrees(turned(1, 90) @ turned(0, 40), "camera_link") == 0


BEYOND = divmod(LATEST_STAMP + 1, 1_000_000_000)


@pytest.mark.parametrize("secs, nsecs", [(2**32 - 1, 999_999_999), (2**32 - 1, 2**32 - 1), BEYOND])
def test_query_of_a_stamp_beyond_all_times_is_refused_before_tf_ends_the_process(secs, nsecs, monkeypatch):
    monkeypatch.setattr(frames, "_Listener", lambda buffer: None)  # needs a node
    stamp = genpy.Time()
    stamp.secs, stamp.nsecs = secs, nsecs  # as they come in a message
    odometry = OdometrySample(1, RigidPose.identity(), "odom", "base_link", ())
    with pytest.raises(FrameError, match="no time"):
        Frames(()).query(RigidPose.identity(), "map", stamp, odometry)
