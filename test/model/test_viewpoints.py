"""Viewpoints: what the model reads of a pose."""
import math

import pytest
import torch

from placenet_ros.model.viewpoints import camera_axes, relative_viewpoints


def test_cosines_come_before_sines():
    pose = torch.tensor([0.0, 0.0, 0.0, 0.3, 0.1])
    viewpoint = relative_viewpoints(pose, torch.zeros(4), position_scale=1.0)
    assert viewpoint[3:].tolist() == pytest.approx([math.cos(0.3), math.sin(0.3), math.cos(0.1), math.sin(0.1)])


def test_one_metre_ahead_of_the_anchor_is_one_unit_forward():
    anchor = torch.tensor([5.0, -2.0, 1.0, math.pi / 2])  # looks along +y
    pose = torch.tensor([5.0, 1.0, 1.5, math.pi / 2, 0.0])  # 3 m further along +y, 0.5 m higher
    viewpoint = relative_viewpoints(pose, anchor, position_scale=3.0)
    assert viewpoint.tolist() == pytest.approx([1.0, 0.0, 0.5 / 3.0, 1.0, 0.0, 1.0, 0.0], abs=1e-6)


def test_viewpoints_do_not_depend_on_where_the_house_stands():
    poses = torch.rand(6, 5, dtype=torch.float64)
    anchor = torch.rand(4, dtype=torch.float64)
    turn, shift = 1.1, torch.tensor([40.0, -7.0], dtype=torch.float64)
    rotation = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]], dtype=torch.float64)

    def moved(pose):
        return torch.cat([pose[..., :2] @ rotation.T + shift, pose[..., 2:3], pose[..., 3:4] + turn, pose[..., 4:]], -1)

    here = relative_viewpoints(poses, anchor, 2.0)
    there = relative_viewpoints(moved(poses), moved(anchor), 2.0)
    torch.testing.assert_close(here, there)


def test_camera_axes_are_right_handed_and_a_positive_pitch_looks_up():
    viewpoint = relative_viewpoints(torch.tensor([0.0, 0.0, 0.0, 0.4, 0.3]), torch.zeros(4), 1.0)
    right, down, forward = camera_axes(viewpoint)
    torch.testing.assert_close(torch.linalg.cross(right, down), forward)
    assert forward[2].item() == pytest.approx(math.sin(0.3))
    assert down[2] < 0 and right[2] == 0
