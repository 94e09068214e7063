"""Poses, and odometry at an image's stamp."""

import math

import numpy as np
import pytest

from placenet_ros.node.odometry import OdometryBuffer, OdometrySample
from placenet_ros.node.rigid_pose import OPTICAL_IN_BODY, PoseError, RigidPose, optical_pose
from placenet_ros.scene.viewpoints import CameraPose

SECOND = 1_000_000_000


def turned(yaw, position=(0.0, 0.0, 0.0)):
    return RigidPose.checked(position, (0, 0, math.sin(yaw / 2), math.cos(yaw / 2)))


def buffer_of(*samples, seconds=2.0):
    """Samples given as (seconds, x, yaw)."""
    buffer = OdometryBuffer(seconds)
    for at, x, yaw in samples:
        buffer.add(OdometrySample(int(at * SECOND), turned(yaw, (x, 0.0, 0.0)), "odom", "base", (at,) * 36))
    return buffer


def yaw_of(pose):
    return math.atan2(pose.rotation()[1, 0], pose.rotation()[0, 0])


def test_pose_at_a_stamp_lies_between_its_neighbours():
    found = buffer_of((10.0, 1.0, 0.0), (10.1, 2.0, 0.4), (10.2, 9.0, 0.4)).at(int(10.025 * SECOND))
    assert found.pose.position[0] == pytest.approx(1.25)
    assert yaw_of(found.pose) == pytest.approx(0.1)
    assert (found.stamp, found.frame_id, found.child_frame_id) == (int(10.025 * SECOND), "odom", "base")
    assert found.covariance == (10.0,) * 36


def test_turns_are_interpolated_at_constant_speed_and_the_short_way():
    for start, end, quarter in [(3.0, -3.0, 3.0708), (0.0, 3.0, 0.75)]:
        found = turned(start).interpolated(turned(end), 0.25)
        assert yaw_of(found) == pytest.approx(quarter, abs=1e-4)
    negated = RigidPose(np.zeros(3), -turned(0.4).quaternion)
    assert yaw_of(turned(0.0).interpolated(negated, 0.5)) == pytest.approx(0.2)


def test_nothing_is_extrapolated():
    buffer = buffer_of((10.0, 1.0, 0.0), (10.1, 2.0, 0.0))
    assert buffer.at(10 * SECOND - 1) is None
    assert buffer.at(int(10.1 * SECOND) + 1) is None
    assert buffer.at(10 * SECOND).pose.position[0] == 1.0
    assert OdometryBuffer(2.0).at(0) is None


def test_ahead_goes_on_with_the_last_motion_in_arcs():
    """1 m/s and 1 rad/s: a circle of 1 m radius."""
    buffer = OdometryBuffer(2.0)
    for step in range(51):
        at = step / 50
        pose = turned(at, (math.sin(at), 1 - math.cos(at), 0.0))
        buffer.add(OdometrySample(int(at * SECOND), pose, "odom", "base", ()))
    for seconds in (0.0, 0.1, 0.2, 0.5, 2.0):
        found = buffer.ahead(seconds)
        then = 1.0 + seconds
        np.testing.assert_allclose(found.pose.position, (math.sin(then), 1 - math.cos(then), 0.0), atol=0.005)
        assert yaw_of(found.pose) == pytest.approx(then)
        assert found.stamp == pytest.approx(then * SECOND, abs=1)


def test_ahead_of_a_single_pose_is_that_pose():
    assert OdometryBuffer(2.0).ahead(1.0) is None
    found = buffer_of((10.0, 3.0, 0.4)).ahead(1.0)
    assert (found.pose.position[0], found.stamp) == (3.0, 11 * SECOND)


def test_ahead_of_poses_that_came_almost_at_once_is_the_newest_of_them():
    found = buffer_of((10.0, 3.0, 0.4), (10.000001, 3.1, 0.4)).ahead(10.0)  # 10 million times that motion
    assert found.pose.position[0] == 3.1


def test_inverse_undoes_a_pose():
    pose = RigidPose.checked((1, 2, 3), (0.1, -0.2, 0.3, 0.9))
    np.testing.assert_allclose((pose.inverse() @ pose).matrix(), np.eye(4), atol=1e-12)


def test_old_odometry_is_forgotten_and_images_older_than_it_are_past():
    buffer = buffer_of((10.0, 1.0, 0.0), (11.0, 2.0, 0.0), (12.5, 3.0, 0.0))
    assert buffer.at(int(10.5 * SECOND)) is None
    assert buffer.is_past(int(10.5 * SECOND))
    assert not buffer.is_past(int(11.5 * SECOND))


def test_poses_compose_as_their_matrices_do():
    a = RigidPose.checked((1, 2, 3), (0.1, -0.2, 0.3, 0.9))
    b = RigidPose.checked((-4, 0.5, 6), (-0.5, 0.1, 0.2, 0.7))
    np.testing.assert_allclose((a @ b).matrix(), a.matrix() @ b.matrix(), atol=1e-12)


def test_optical_frames_look_along_z_and_others_along_x():
    ahead = turned(0.7, (1.0, 2.0, 3.0))
    assert CameraPose.from_matrix(optical_pose(ahead, "base_link").matrix()).yaw == pytest.approx(0.7)
    optical = ahead @ OPTICAL_IN_BODY
    found = CameraPose.from_matrix(optical_pose(optical, "camera_color_optical_frame").matrix())
    assert (found.yaw, found.pitch) == (pytest.approx(0.7), pytest.approx(0.0))
    np.testing.assert_allclose(OPTICAL_IN_BODY.rotation()[:, 2], [1, 0, 0], atol=1e-12)  # z is forward
    np.testing.assert_allclose(OPTICAL_IN_BODY.rotation()[:, 0], [0, -1, 0], atol=1e-12)  # x is right


@pytest.mark.parametrize(
    "position, quaternion, complaint",
    [
        ((float("nan"), 0, 0), (0, 0, 0, 1), "not finite"),
        ((0, 0, 0), (0, 0, float("inf"), 1), "not finite"),
        ((0, 0, 0), (0, 0, 0, 0), "norm 0"),
        ((1e200, 0, 0), (0, 0, 0, 1), "1e\\+08 m"),
    ],
)
def test_poses_that_cannot_be_are_refused(position, quaternion, complaint):
    with pytest.raises(PoseError, match=complaint):
        RigidPose.checked(position, quaternion)
