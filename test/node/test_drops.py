"""What was dropped is counted, and told without flooding the log; silence is told once."""

import math

from placenet_ros.node.drops import DropCounter
from placenet_ros.node.silence import CLOCK, SilenceWatch


def test_drops_at_the_rate_of_a_camera_are_all_counted_and_told_once_a_minute(clock):
    told = []
    counter = DropCounter(told.append, told.append)
    for _ in range(30 * 90):  # 90 seconds at 30 Hz
        counter.count("bad encoding", "image: encoding 'bayer' is not supported")
        clock[0] += 1 / 30
    assert counter.counts() == {"bad encoding": 2700}
    assert len(told) == 2


def test_another_line_is_told_at_once(clock):
    told = []
    counter = DropCounter(told.append, told.append)
    counter.count("bad encoding", "first")
    counter.count("bad encoding", "second")
    assert told == ["first", "second"]


def test_lines_that_differ_each_time_are_told_a_few_times_a_minute(clock):
    told = []
    counter = DropCounter(told.append, told.append)
    for number in range(30 * 90):
        counter.count("bad size", f"step is {number} bytes")
        clock[0] += 1 / 30
    assert counter.counts() == {"bad size": 2700}
    assert len(told) == 6
    counter.count("bad encoding", "another reason is told at once")
    assert len(told) == 7


def test_what_was_asked_for_is_told_each_time_but_not_without_end(clock):
    warned, informed = [], []
    counter = DropCounter(warned.append, informed.append)
    for _ in range(30):
        counter.inform("reset", "~reset: episode 2 begins")
    assert (warned, informed) == ([], 3 * ["~reset: episode 2 begins"])
    clock[0] += 61.0
    counter.inform("reset", "~reset: episode 3 begins")
    assert informed[3:] == ["~reset: episode 3 begins"]


def test_telling_counts_nothing(clock):
    told = []
    counter = DropCounter(told.append, told.append)
    for _ in range(2):
        counter.tell("time jump", "time jumped back")
    assert (counter.counts(), told) == ({}, ["time jumped back"])


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


def test_optional_input_is_told_where_it_was_named_and_is_silent_where_it_came():
    watch = SilenceWatch(["image", "depth"], 5.0, optional=["depth", "objects"])
    watch.begin(0.0)
    watch.heard("image", math.inf)
    assert (watch.newly_silent(6.0), watch.silent()) == (["depth"], [])
    for name in ("depth", "objects"):  # the second was not named
        watch.heard(name, 7.0)
    assert watch.newly_silent(11.0) == []
    assert (watch.newly_silent(13.0), watch.silent()) == (["depth", "objects"], ["depth", "objects"])


def played(watch, start, seconds):
    """Images and odometry ten times a second, with the clock."""
    for step in range(int(10 * seconds)):
        now = start + step / 10
        watch.heard_clock(int(1e9 * now), now)
        watch.heard("image", now)
        watch.heard("odom", now)
    return start + seconds


def test_where_time_stands_still_the_clock_alone_is_silent():
    watch = SilenceWatch(["image", "odom"], 5.0, is_simulated=True)
    watch.begin(0.0)
    end = played(watch, 0.0, 3.0)
    assert [watch.newly_silent(end + second) for second in range(8)] == 5 * [[]] + [[CLOCK], [], []]
    assert watch.counts() == {CLOCK: 29, "image": 30, "odom": 30}
    watch.heard_clock(int(1e9 * end), end + 60.0)  # it was a pause
    assert (watch.newly_silent(end + 61.0), watch.silent()) == ([], [])
    assert watch.newly_silent(played(watch, end + 61.0, 3.0)) == []


def test_input_that_is_silent_while_time_goes_on_is_told():
    watch = SilenceWatch(["image", "odom"], 5.0, is_simulated=True)
    watch.begin(0.0)
    told = []
    for step in range(1, 100):
        watch.heard_clock(step, step / 10)
        watch.heard("odom", step / 10)
        told += watch.newly_silent(step / 10)
    assert told == ["image"]


def test_inputs_are_expected_from_when_time_begins():
    watch = SilenceWatch(["image", "odom"], 5.0, is_simulated=True)
    watch.begin(0.0)
    watch.heard_clock(1, 4.0)
    watch.heard_clock(2, 8.0)
    assert watch.newly_silent(8.0) == []
    watch.heard_clock(3, 9.0)
    assert watch.newly_silent(9.0) == ["image", "odom"]


def test_without_any_time_the_clock_alone_is_missed_until_messages_come():
    watch = SilenceWatch(["image", "odom"], 5.0, is_simulated=True)
    watch.begin(0.0)
    assert watch.newly_silent(60.0) == [CLOCK]
    watch.heard("odom", 61.0)  # of a bag that is played without its time
    assert watch.newly_silent(62.0) == ["image"]
