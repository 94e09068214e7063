"""Archive: it grows with what was seen, not with time, and never beyond its bound."""

import numpy as np
import pytest

from placenet_ros.scene.archive import CELL, OBJECT_BYTES, TILE, Archive, KeptObservation
from placenet_ros.scene.depth import metres, millimetres
from placenet_ros.scene.viewpoints import CameraPose

SIZE = 16


def kept(stamp, x=0.0, y=0.0, z=0.5, yaw=0.0, pitch=0.0):
    rgb, depth, objects = (np.zeros((SIZE, SIZE, *last), kind) for last, kind in
                           (((3,), np.uint8), ((), np.uint16), ((), np.uint8)))
    return KeptObservation.seeing(stamp, CameraPose((x, y, z), yaw, pitch), 0.0, rgb, depth, objects, None, 60.0)


def stamps(archive):
    return [observation.stamp for observation in archive]


def test_the_newest_observation_of_a_cell_replaces_the_one_before():
    archive = Archive(10.0)
    for stamp in range(100):
        archive.add(kept(stamp, x=0.01 + 0.001 * stamp, yaw=0.1))
    assert stamps(archive) == [99]
    assert archive.nbytes == kept(0).nbytes


@pytest.mark.parametrize("other", [{"x": CELL}, {"y": -0.01}, {"z": 0.5 + CELL}, {"yaw": 0.6}, {"pitch": -0.1}])
def test_observations_from_elsewhere_or_of_elsewhere_are_kept_beside_each_other(other):
    archive = Archive(10.0)
    archive.add(kept(0))
    archive.add(kept(1, **other))
    assert stamps(archive) == [0, 1]


def test_a_heading_is_the_same_however_often_the_robot_has_turned_round():
    archive = Archive(10.0)
    archive.add(kept(0, yaw=0.1))
    archive.add(kept(1, yaw=0.1 + 6 * np.pi))
    assert stamps(archive) == [1]


def test_beyond_its_bound_those_that_were_there_the_longest_leave():
    one = kept(0).nbytes
    archive = Archive(3.5 * one / 1e6)
    for stamp in range(5):
        archive.add(kept(stamp, x=stamp))
        assert archive.nbytes == len(archive) * one <= 3.5 * one
    assert stamps(archive) == [2, 3, 4]
    archive.add(kept(5, x=2.0))  # seen again
    archive.add(kept(6, x=9.0))
    assert stamps(archive) == [4, 5, 6]


def test_an_archive_of_nothing_keeps_nothing():
    archive = Archive(0.0)
    archive.add(kept(0))
    assert (len(archive), archive.nbytes, archive.near(kept(0).pose, 1.0, 10)) == (0, 0, [])


def test_bytes_count_all_pictures():
    assert kept(0).nbytes >= OBJECT_BYTES + SIZE * SIZE * (3 + 2 + 1)


def test_near_finds_what_was_taken_within_a_distance_and_nothing_else():
    random, archive = np.random.default_rng(0), Archive(10.0)
    for stamp in range(300):
        archive.add(kept(stamp, *random.uniform(-8, 8, 2), yaw=random.uniform(-3, 3)))
    for distance in (0.5, TILE, 5.0):
        at = CameraPose((*random.uniform(-5, 5, 2), 0.5), 0.0, 0.0)
        away = sorted((one.pose.distance_to(at), one.stamp) for one in archive)
        expected = [stamp for metres, stamp in away if metres <= distance]
        assert [one.stamp for one in archive.near(at, distance, most=300)] == expected
        assert [one.stamp for one in archive.near(at, distance, most=3)] == expected[:3]


def test_cleared_it_is_as_new():
    archive = Archive(10.0)
    archive.add(kept(0))
    archive.clear()
    assert (len(archive), archive.nbytes, list(archive), archive.near(kept(0).pose, 9.0, 10)) == (0, 0, [], [])
    archive.add(kept(1))
    assert stamps(archive) == [1]


def test_depth_is_kept_to_the_millimetre_and_what_is_no_depth_is_none():
    depth = np.array([0.0, 1.2344, 64.0, 70.0, -1.0, np.nan, np.inf], np.float32)
    np.testing.assert_array_equal(millimetres(depth), np.array([0, 1234, 64000, 0, 0, 0, 0], np.uint16))
    restored = metres(millimetres(depth))
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored[:3], depth[:3], atol=0.0006)
