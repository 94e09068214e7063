"""PlaceIndex: what is known again, what is not, and what leaves."""

import math
import tracemalloc

import numpy as np
import pytest

from placenet_ros.scene.place_index import CELL_SIZES, DESCRIPTORS_PER_PLACE, PlaceIndex
from placenet_ros.scene.viewpoints import CameraPose

LENGTH = 8
STEP = 1.0  # metres between the places of a walk; each has a cell of its own


def direction(*values):
    """An embedding that points there."""
    vector = np.zeros(LENGTH, np.float32)
    vector[: len(values)] = values
    return vector / np.linalg.norm(vector)


def axis(number):
    return np.eye(LENGTH, dtype=np.float32)[number]


def at(x, yaw=0.0):
    return CameraPose((x, 0.0, 0.8), yaw, 0.0)


def index(similarity=0.9, match_after=5.0, max_matches=5, max_places=100):
    return PlaceIndex(LENGTH, similarity, match_after, max_matches, max_places)


def names(matches):
    return [(match.place.episode_id, match.place.place_id) for match in matches]


def walk(places, count=7, first=1, episode=1):
    """One keyframe in each of so many places along x, which look all different; the matches at the last."""
    for step in range(count):
        place = first + step
        matches = places.visit(axis(place % LENGTH), at(place * STEP), 100 + place, episode, place, "odom")
    return matches


def test_revisit_is_matched_with_the_pose_and_stamp_of_what_was_seen():
    places = index()
    walk(places)
    [match] = places.visit(direction(0.0, 1.0, 0.1), at(0.8), 300, 1, 8, "odom")
    assert (match.place.episode_id, match.place.place_id) == (1, 1)
    assert match.similarity == pytest.approx(1 / math.sqrt(1.01), abs=1e-5)
    assert (match.pose, match.stamp) == (at(STEP), 101)


def test_what_is_less_alike_than_the_threshold_is_no_match():
    places = index(similarity=0.999)
    walk(places)
    assert places.visit(direction(0.0, 1.0, 0.1), at(0.8), 300, 1, 8, "odom") == []


def test_without_a_threshold_nothing_matches_and_places_are_still_remembered():
    places = index(similarity=None)
    walk(places)
    assert places.visit(axis(1), at(1.0), 300, 1, 8, "odom") == []
    assert len(places) == 8


@pytest.mark.parametrize("metres, matched", [(4.9, []), (5.0, [(1, 1)])])
def test_what_was_seen_within_the_last_metres_travelled_is_no_match(metres, matched):
    places = index(match_after=5.0)
    places.visit(axis(0), at(0.0), 1, 1, 1, "odom")
    places.visit(axis(1), at(metres / 2), 2, 1, 2, "odom")
    assert names(places.visit(axis(0), at(0.0), 3, 1, 3, "odom")) == matched  # there and back


def test_metres_travelled_count_along_the_way_and_not_from_where_a_place_is():
    places = index(match_after=5.0)
    places.visit(axis(0), at(0.0), 1, 1, 1, "odom")
    for count in range(30):
        places.visit(axis(1), at(0.1 * (count % 2)), 2, 1, 2, "odom")
    assert places.visit(axis(0), at(0.0), 3, 1, 3, "odom") == []  # 3 m so far
    for count in range(30):
        places.visit(axis(1), at(0.1 * (count % 2)), 2, 1, 2, "odom")
    assert names(places.visit(axis(0), at(0.0), 3, 1, 3, "odom")) == [(1, 1)]


def test_the_place_that_the_robot_never_left_matches_once_it_has_travelled():
    places = index(match_after=5.0)
    places.visit(axis(0), at(0.0), 1, 1, 1, "odom")
    places.visit(axis(1), at(3.0), 2, 1, 1, "odom")
    assert names(places.visit(axis(0), at(0.0), 3, 1, 1, "odom")) == [(1, 1)]


def test_places_of_an_earlier_episode_match_at_once_and_the_jump_between_is_not_travelled():
    places = index(match_after=5.0)
    places.visit(axis(0), at(0.0), 1, 1, 1, "odom")
    assert names(places.visit(axis(0), at(50.0), 2, 2, 1, "odom")) == [(1, 1)]
    assert names(places.visit(axis(0), at(52.0), 3, 2, 2, "odom")) == [(1, 1)]  # not (2, 1), which is 2 m ago


def test_each_place_matches_once_by_its_best_descriptor_best_place_first():
    places = index(similarity=0.5, match_after=0.5, max_matches=2)
    places.visit(direction(1.0, 0.5), at(0.0), 1, 1, 1, "odom")
    places.visit(direction(1.0, 0.3), at(1.0), 2, 1, 1, "odom")
    places.visit(direction(1.0, 0.1), at(4.0), 3, 1, 2, "odom")
    places.visit(direction(1.0, 0.6), at(8.0), 4, 1, 3, "odom")
    matches = places.visit(direction(1.0), at(12.0), 5, 1, 4, "odom")
    assert names(matches) == [(1, 2), (1, 1)]
    assert [match.stamp for match in matches] == [3, 2]


def test_a_place_keeps_the_newest_descriptor_of_each_cell():
    places = index(match_after=1.0)
    places.visit(axis(0), at(0.1), 1, 1, 1, "odom")
    places.visit(axis(1), at(0.2), 2, 1, 1, "odom")  # the same cell
    places.visit(axis(2), at(0.1, yaw=math.pi / 2), 3, 1, 1, "odom")  # looks elsewhere
    assert places.num_descriptors == 2
    places.visit(axis(3), at(3.0), 4, 1, 2, "odom")
    assert places.visit(axis(0), at(0.1), 5, 1, 3, "odom") == []
    assert names(places.visit(axis(1), at(0.1), 6, 1, 3, "odom")) == [(1, 1)]
    assert names(places.visit(axis(2), at(0.1), 7, 1, 3, "odom")) == [(1, 1)]


def test_the_oldest_descriptor_of_a_place_leaves_when_it_has_many():
    places = index(match_after=1.0)
    places.visit(axis(0), at(0.0), 1, 1, 1, "odom")
    for count in range(1, DESCRIPTORS_PER_PLACE + 1):
        places.visit(axis(1), at(CELL_SIZES[0] * count), 1 + count, 1, 1, "odom")
    assert places.num_descriptors == DESCRIPTORS_PER_PLACE
    assert places.visit(axis(0), at(0.0), 99, 1, 2, "odom") == []


def test_the_place_visited_least_recently_leaves():
    places = index(match_after=0.5, max_places=3)
    for place in (1, 2, 3, 1, 4):
        places.visit(axis(place), at(place * 3.0), place, 1, place, "odom")
    assert [place.place_id for place in places] == [3, 1, 4]
    assert places.visit(axis(2), at(30.0), 9, 1, 4, "odom") == []
    assert names(places.visit(axis(1), at(30.6), 9, 1, 4, "odom")) == [(1, 1)]


def test_extent_is_the_box_around_the_keyframes():
    places = index()
    for x, y, z in ((1.0, 5.0, 0.8), (-2.0, 6.0, 0.8), (0.0, 4.0, 0.9)):
        places.visit(axis(0), CameraPose((x, y, z), 0.0, 0.0), 1, 1, 1, "odom")
    [place] = places
    np.testing.assert_array_equal(place.lowest, (-2.0, 4.0, 0.8))
    np.testing.assert_array_equal(place.highest, (1.0, 6.0, 0.9))


def test_added_contents_match_as_the_original_under_new_episodes():
    original = index()
    walk(original, 3)
    walk(original, 3, episode=4)
    places = index()
    walk(places, 1)
    places.add(original.contents(), first_episode=7)
    assert (7, 3) in places and (8, 3) in places and len(places) == 7
    found = places.visit(axis(3), at(50.0), 9, 1, 2, "odom")
    assert names(found) == [(7, 3), (8, 3)]
    assert (found[0].pose, found[0].stamp, found[0].place.frame_id) == (at(3 * STEP), 103, "odom")
    again = places.contents()
    kept = again.ids[:, 0] != 1
    np.testing.assert_array_equal(again.extents[kept], original.contents().extents)


def test_contents_do_not_change_with_the_index():
    places = index()
    walk(places, 2)
    before = places.contents()
    embeddings, extents = before.embeddings.copy(), before.extents.copy()
    places.visit(axis(5), at(9.0), 5, 1, 1, "odom")
    np.testing.assert_array_equal(before.embeddings, embeddings)
    np.testing.assert_array_equal(before.extents, extents)


@pytest.mark.parametrize("max_places, stay", [(8, [1, 2, 3, 4, 5]), (4, [4, 5]), (2, [])])
def test_of_added_places_those_visited_last_stay_as_far_as_there_is_room(max_places, stay):
    original = index()
    walk(original, 5)
    places = index(max_places=max_places)
    walk(places, 2)
    assert places.add(original.contents(), first_episode=2) == len(stay)
    expected = [*((2, place) for place in stay), (1, 1), (1, 2)]
    assert [(place.episode_id, place.place_id) for place in places] == expected
    assert places.num_descriptors == len(expected)
    contents = places.contents()
    assert contents.stamps.tolist() == [100 + place for _, place in expected]
    assert contents.embeddings.argmax(axis=1).tolist() == [place % LENGTH for _, place in expected]


def test_contents_that_are_held_are_not_unknown_whatever_their_episodes():
    original, places = index(), index()
    walk(original, 3)
    places.add(original.contents(), first_episode=7)
    for held in (original.contents(), places.contents()):
        found = places.unknown(held)
        assert (len(found.ids), len(found.stamps), found.frame_ids) == (0, 0, [])
        assert places.add(found, first_episode=8) == 0 and len(places) == 3


def test_what_was_seen_after_a_map_was_loaded_is_all_that_is_unknown_of_the_next():
    drive, places = index(), index()
    walk(drive, 3)
    places.add(drive.contents(), first_episode=2)
    drive.visit(axis(6), at(3 * STEP + 0.6), 200, 1, 3, "odom")  # another cell of the third place
    drive.visit(axis(5), at(20.0), 201, 1, 4, "map")
    found = places.unknown(drive.contents())
    assert found.ids.tolist() == [[1, 3], [1, 4]] and found.frame_ids == ["odom", "map"]
    assert found.stamps.tolist() == [200, 201] and found.owners.tolist() == [0, 1]
    np.testing.assert_array_equal(found.extents[1], [at(20.0).position] * 2)
    assert places.add(found, first_episode=3) == 2
    assert names(places.visit(axis(5), at(50.0), 300, 9, 1, "odom")) == [(3, 4)]


@pytest.mark.parametrize("embedding, x, stamp", [(axis(2), 1.0, 101), (axis(1), 1.1, 101), (axis(1), 1.0, 102)])
def test_a_descriptor_of_another_embedding_pose_or_stamp_is_unknown(embedding, x, stamp):
    places, other = index(), index()
    places.visit(axis(1), at(1.0), 101, 1, 1, "odom")
    other.visit(embedding, at(x), stamp, 1, 1, "odom")
    assert len(places.unknown(other.contents()).ids) == 1


def test_a_map_that_has_its_places_twice_gives_them_once():
    original, twice = index(), index()
    walk(original, 3)
    for first_episode in (2, 3):
        twice.add(original.contents(), first_episode)
    assert len(twice) == 6
    found = index().unknown(twice.contents())
    assert sorted(found.stamps.tolist()) == [101, 102, 103] and len(found.ids) == 3


def test_empty_contents_can_be_added():
    places = index()
    places.add(index().contents(), first_episode=2)
    assert len(places) == 0 and walk(places) == []


def test_memory_is_bounded_over_a_long_drive():
    places = index(max_places=40)

    def drive(first, count):
        for number in range(first, first + count):
            for step in range(40):
                places.visit(axis(number % LENGTH), at(0.5 * step), step, 1, number, "odom")

    drive(1, 60)
    assert (len(places), places.num_descriptors) == (40, 40 * DESCRIPTORS_PER_PLACE)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    drive(61, 60)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert places.num_descriptors == 40 * DESCRIPTORS_PER_PLACE
    assert grown < 1_500_000  # what is held in Python objects was made anew, and traced now; arrays did not grow
