"""Camera poses: conventions and bad input."""
import math

import numpy as np
import pytest

from placenet_ros.scene.viewpoints import CameraPose


def test_a_pose_survives_its_matrix():
    random = np.random.default_rng(0)
    for _ in range(50):
        x, y, z, yaw = random.uniform(-3, 3, 4)
        pose = CameraPose((x, y, z), yaw, random.uniform(-1.5, 1.5))
        assert CameraPose.from_matrix(pose.to_matrix()).to_array() == pytest.approx(pose.to_array())


def test_the_optical_frame_looks_along_z_with_x_right_and_y_down():
    matrix = CameraPose((0, 0, 0), 0.0, 0.0).to_matrix()
    assert matrix[:3, 2].tolist() == [1, 0, 0]  # forward: world x
    assert matrix[:3, 0].tolist() == [0, -1, 0]  # right: minus world y
    assert matrix[:3, 1].tolist() == [0, 0, -1]  # down: minus world z


def test_roll_is_dropped():
    level = CameraPose((1, 2, 3), 0.5, 0.2).to_matrix()
    roll = np.eye(4)
    roll[:2, :2] = [[math.cos(0.3), -math.sin(0.3)], [math.sin(0.3), math.cos(0.3)]]
    assert CameraPose.from_matrix(level @ roll).to_array() == pytest.approx([1, 2, 3, 0.5, 0.2])


@pytest.mark.parametrize("pitch", [math.pi / 2, -math.pi / 2])
def test_looking_straight_up_or_down_keeps_its_yaw(pitch):
    assert CameraPose.from_matrix(CameraPose((0, 0, 0), 0.7, pitch).to_matrix()).yaw == pytest.approx(0.7, abs=1e-6)


def test_what_is_not_finite_or_no_rotation_is_refused():
    with pytest.raises(ValueError, match="finite"):
        CameraPose((0, math.nan, 0), 0, 0)
    broken = np.eye(4)
    broken[0, 3] = math.inf
    for matrix in (broken, np.diag([2.0, 1, 1, 1]), np.zeros((4, 4))):
        with pytest.raises(ValueError, match="rigid"):
            CameraPose.from_matrix(matrix)
