"""How a camera is turned."""

import math

import numpy as np
import pytest

from placenet_ros.node.rigid_pose import OPTICAL_IN_BODY, RigidPose, roll_degrees


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
