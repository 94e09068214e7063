"""Time that jumps back."""

import pytest

from placenet_ros.node.episodes import CATCH_UP_SECONDS, EpisodeWatch

SECOND = 1_000_000_000
SOURCES = ("clock", "odometry", "image")


def see(watch, source, seconds, now=0.0):
    return watch.jumped_back(source, int(seconds * SECOND), now)


@pytest.fixture
def watch():
    watch = EpisodeWatch(reset_on_time_jump=True)
    for source in SOURCES:
        see(watch, source, 30.0)
    return watch


@pytest.mark.parametrize("order", [SOURCES, SOURCES[::-1], ("odometry", "clock", "image")])
def test_bag_that_loops_begins_one_episode_whichever_source_jumps_first(watch, order):
    for count in (2, 3):
        for source in order:
            for late in SOURCES[SOURCES.index(source) :]:
                if order.index(late) > order.index(source):
                    assert not see(watch, late, 30.1)  # still from before the jump
            assert see(watch, source, 1.0)
            assert watch.episode == count
        for source in SOURCES:
            see(watch, source, 30.0)


def test_source_that_did_not_follow_a_jump_begins_an_episode_with_its_own_next_one(watch):
    see(watch, "image", 1.0, now=100.0)
    see(watch, "odometry", 2.0, now=101.0 + CATCH_UP_SECONDS)
    assert watch.episode == 3


def test_stamps_a_little_out_of_order_are_no_jump(watch):
    assert not see(watch, "image", 29.8)
    assert watch.episode == 1


def test_many_small_steps_back_are_a_jump(watch):
    jumps = [see(watch, "image", 30.0 - 0.2 * step) for step in range(1, 6)]
    assert any(jumps)


def test_source_that_is_new_after_a_jump_took_no_part_in_it(watch):
    see(watch, "image", 1.0)
    assert not see(watch, "depth", 9.0)
    assert watch.episode == 2
    assert see(watch, "depth", 1.0)
    assert watch.episode == 3


def test_jumps_begin_no_episode_where_that_is_not_wanted():
    watch = EpisodeWatch(reset_on_time_jump=False)
    see(watch, "image", 30.0)
    assert see(watch, "image", 1.0)
    assert watch.episode == 1


def test_episodes_are_begun_by_hand_too(watch):
    assert watch.begin() == 2
    assert watch.episode == 2


def test_numbers_kept_for_a_map_are_given_to_no_episode():
    episodes = EpisodeWatch(reset_on_time_jump=True)
    assert episodes.begin() == 2
    assert episodes.reserve(3) == 3
    assert episodes.episode == 2
    assert episodes.begin() == episodes.episode == 6
    episodes.jumped_back("clock", 10_000_000_000, 0.0)
    episodes.jumped_back("clock", 0, 1.0)
    assert episodes.episode == 7
