"""Poses of TF become odometry; where localisation corrects itself, they do not seem to dash."""

import numpy as np
import pytest

from placenet_ros.node.rigid_pose import RigidPose
from placenet_ros.node.tf_odometry import TransformOdometry

MILLISECOND = 1_000_000


def at(x):
    return RigidPose.checked((x, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))


@pytest.fixture
def samples():
    return []


@pytest.fixture
def odometry(samples):
    return TransformOdometry("map", "base_link", samples.append)


def test_poses_are_samples_of_the_frames(odometry, samples):
    odometry.add(10 * MILLISECOND, at(1.0))
    (found,) = samples
    assert (found.stamp, found.frame_id, found.child_frame_id) == (10 * MILLISECOND, "map", "base_link")
    assert (found.pose.position[0], set(found.covariance), len(found.covariance)) == (1.0, {0.0}, 36)


@pytest.mark.parametrize("correction", [0.6, 5.0, 40.0])
def test_what_tf_interpolates_across_a_correction_is_held_back(odometry, samples, correction):
    for step in range(60):  # 50 Hz at 0.5 m/s; the correction between two transforms of 10 Hz
        dash = float(np.clip((step - 30) / 5, 0, 1)) * correction
        odometry.add(step * 20 * MILLISECOND, at(0.01 * step + dash))
    steps = np.diff([sample.pose.position[0] for sample in samples])
    assert (steps > 0.05).sum() == 1
    assert steps.max() == pytest.approx(correction, abs=0.1)
    assert len(samples) == 60 - 5


def test_robot_that_really_is_that_fast_is_not_held_back_for_ever(odometry, samples):
    for step in range(100):
        odometry.add(step * 20 * MILLISECOND, at(0.4 * step))  # 20 m/s
    stamps = np.array([sample.stamp for sample in samples])
    assert np.diff(stamps).max() <= 320 * MILLISECOND
    assert stamps[-1] >= 1600 * MILLISECOND


def test_time_that_jumps_back_is_passed_on(odometry, samples):
    for stamp in (9000, 9020, 10, 30):
        odometry.add(stamp * MILLISECOND, at(0.0))
    assert [sample.stamp // MILLISECOND for sample in samples] == [9000, 9020, 10, 30]
