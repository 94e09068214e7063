"""Rates are over a window that makes sense, and keyframes that were due but missed are known."""

import pytest

from placenet_ros.node.activity import Activity
from placenet_ros.node.keyframes import KeyframeGate
from placenet_ros.scene.viewpoints import CameraPose

SECOND = 1_000_000_000


def test_rate_is_over_the_last_ten_seconds_whoever_asks_and_however_often(clock):
    events = Activity()
    assert events.rate("keyframes") == 0.0
    for _ in range(12):  # one in two seconds: in most seconds none
        events.happened("keyframes")
        clock[0] += 2.0
        assert events.rate("keyframes") == events.rate("keyframes")
    assert events.rate("keyframes") == pytest.approx(0.5)
    clock[0] += 5.0
    assert events.rate("keyframes") == pytest.approx(0.2, abs=0.1)
    clock[0] += 10.0
    assert events.rate("keyframes") == 0.0
    assert events.counts() == {"keyframes": 12}


def test_rate_of_what_has_just_begun_is_of_the_time_since_then(clock):
    events = Activity()
    clock[0] += 60.0  # in which the model was loaded
    for _ in range(4):
        events.happened("views")
        clock[0] += 0.5
    assert events.rate("views") == pytest.approx(2.0)


def test_what_happened_several_times_counts_as_often(clock):
    events = Activity()
    events.happened("keyframes missed", 3)
    clock[0] += 1.0
    events.happened("keyframes missed")
    assert (events.lately("keyframes missed"), events.counts()) == (4, {"keyframes missed": 4})
    clock[0] += 10.1
    assert events.lately("keyframes missed") == 0


def at(x, yaw=0.0):
    return CameraPose((x, 0.0, 0.5), yaw, 0.0)


@pytest.mark.parametrize(
    "pose, seconds, missed",
    [
        (at(0.2), 0.1, 0),  # just due
        (at(0.39), 0.1, 0),
        (at(0.41), 0.1, 1),  # another would have been due half-way
        (at(0.95), 0.1, 3),
        (at(0.0, yaw=0.95), 0.1, 2),
        (at(0.0), 21.0, 3),
        (at(9.0), 0.1, 7),  # no more than the images that were replaced
    ],
)
def test_keyframes_that_should_have_come_in_between_are_missed(pose, seconds, missed):
    gate = KeyframeGate(0.2, 0.3, 5.0)
    assert gate.missed(pose, 0, most=7) == 0  # the first one
    gate.passed(at(0.0), 0)
    assert gate.missed(pose, int(seconds * SECOND), most=7) == missed


def test_where_every_image_is_a_keyframe_every_one_replaced_is_missed():
    gate = KeyframeGate(0.0, 0.3, 0.0)
    gate.passed(at(0.0), 0)
    assert gate.missed(at(0.0), SECOND, most=4) == 4
