"""What was dropped is counted, and told without flooding the log; silence is told once."""

import math

import pytest

from placenet_ros.node import drops
from placenet_ros.node.drops import DropCounter
from placenet_ros.node.silence import SilenceWatch


@pytest.fixture
def clock(monkeypatch):
    time = [1000.0]
    monkeypatch.setattr(drops.time, "monotonic", lambda: time[0])
    return time


def test_drops_at_the_rate_of_a_camera_are_all_counted_and_told_once_a_minute(clock):
    told = []
    counter = DropCounter(told.append)
    for _ in range(30 * 90):  # 90 seconds at 30 Hz
        counter.count("bad encoding", "image: encoding 'bayer' is not supported")
        clock[0] += 1 / 30
    assert counter.counts() == {"bad encoding": 2700}
    assert len(told) == 2


def test_another_line_is_told_at_once(clock):
    told = []
    counter = DropCounter(told.append)
    counter.count("bad encoding", "first")
    counter.count("bad encoding", "second")
    assert told == ["first", "second"]


def test_lines_remembered_are_bounded(clock):
    counter = DropCounter(lambda line: None)
    for number in range(10 * drops.MAX_LINES):
        counter.count("bad size", f"line {number}")
    assert len(counter._told_at) == drops.MAX_LINES


def test_each_silence_is_told_once():
    watch = SilenceWatch(["image", "odom"], 5.0)
    assert watch.newly_silent(1000.0) == []
    watch.begin(0.0)
    watch.heard("odom", 3.0)
    assert watch.newly_silent(4.9) == []
    assert watch.newly_silent(5.1) == ["image"]
    assert watch.newly_silent(6.0) == []
    watch.heard("image", 7.0)
    assert watch.newly_silent(8.1) == ["odom"]
    assert watch.newly_silent(12.1) == ["image"]
    assert watch.silent() == ["image", "odom"]


def test_topic_that_needs_no_further_message_is_never_silent():
    watch = SilenceWatch(["camera_info"], 5.0)
    watch.heard("camera_info", math.inf)
    watch.begin(0.0)
    assert watch.newly_silent(1000.0) == []
