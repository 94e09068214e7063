"""Coverage: which observations show the most of a robot's surroundings."""

import numpy as np
import pytest

from placenet_ros.scene.archive import KeptObservation
from placenet_ros.scene.coverage import DIRECTIONS, PATCH, Surroundings, patches_seen
from placenet_ros.scene.viewpoints import CameraPose

SIZE = 16


def kept(yaw=0.0, x=0.0, y=0.0, metres=2.0, travelled=0.0, z=0.5):
    depth = None if metres is None else np.full((SIZE, SIZE), int(1000 * metres), np.uint16)
    rgb = np.zeros((SIZE, SIZE, 3), np.uint8)
    return KeptObservation.seeing(0, CameraPose((x, y, z), yaw, 0.0), travelled, rgb, depth, None, None, 60.0)


def around(x=0.0, travelled=0.0, trust=0.0):
    return Surroundings.around(CameraPose((x, 0.0, 0.5), 0.0, 0.0), travelled, trust)


@pytest.mark.parametrize("yaw, axis, sign", [(0.0, 0, 1), (np.pi / 2, 1, 1), (np.pi, 0, -1), (-np.pi / 2, 1, -1)])
def test_patches_are_where_the_depth_says_and_of_the_direction_they_were_seen_in(yaw, axis, sign):
    pose = CameraPose((10.2, -7.3, 0.5), yaw, 0.0)
    patches = patches_seen(pose, np.full((SIZE, SIZE), 2000, np.uint16), 60.0)
    middles = (patches.places[:, :2] + 0.5) * PATCH - pose.position[:2]
    assert np.abs(sign * middles[:, axis] - 2.0).max() <= PATCH
    assert np.abs(middles[:, 1 - axis]).max() <= 2.0 * np.tan(np.radians(30)) + PATCH
    sector = yaw / (2 * np.pi) * DIRECTIONS
    apart = np.abs((patches.places[:, 2] - sector + DIRECTIONS / 2) % DIRECTIONS - DIRECTIONS / 2)
    assert apart.max() <= 1.0
    assert len(np.unique(patches.places, axis=0)) == len(patches.places)


def test_pixels_without_depth_show_nothing():
    depth = np.zeros((SIZE, SIZE), np.uint16)
    assert len(patches_seen(CameraPose((0.0, 0.0, 0.5), 0.0, 0.0), depth, 60.0).places) == 0
    depth[:, : SIZE // 2] = 2000
    left = patches_seen(CameraPose((0.0, 0.0, 0.5), 0.0, 0.0), depth, 60.0)
    assert (left.places[:, 1] >= 0).all(), "y is left"


def test_without_depth_a_view_is_guessed_and_worth_less():
    guessed = kept(metres=None)
    assert len(guessed.patches.places) and guessed.patches.worth < kept().patches.worth
    assert around().most_useful([guessed, kept(yaw=np.pi)], [kept(yaw=0.1, metres=None)], [], False) == 1


def test_what_shows_something_new_is_more_useful_than_the_same_again():
    held = [kept(yaw=0.0), kept(yaw=np.pi / 2)]
    candidates = [kept(yaw=0.0), kept(yaw=np.pi), kept(yaw=np.pi / 2)]
    assert around().most_useful(candidates, held, [], False) == 1
    assert around().most_useful(candidates[:1], held, [], False) is None


def test_the_same_again_is_the_least_useful_wherever_it_stands():
    for twins in ((0, 1), (2, 0), (1, 3)):
        held = [kept(yaw=index * np.pi / 2) for index in range(4)]
        held[twins[0]] = kept(yaw=twins[1] * np.pi / 2)
        assert around().least_useful(held, []) in twins
        assert around().least_useful(held, [twins[0]]) == twins[1]


def test_what_is_nearer_to_the_robot_is_more_useful():
    near, far = kept(x=8.0), kept(x=3.0)
    assert around(x=8.0).most_useful([far, near], [kept(x=8.0, yaw=np.pi)], [], False) == 1
    assert around(x=8.0).least_useful([near, far], []) == 1
    assert around(x=50.0).most_useful([far, near], [kept(x=50.0)], [], False) is None


def test_an_exchange_must_be_worth_it():
    held = [kept(yaw=index * np.pi / 2) for index in range(4)]
    assert around().most_useful([kept(yaw=0.0)], held, [], True) is None
    doubled = [*held, kept(yaw=0.0)]
    assert around().most_useful([kept(yaw=np.pi / 4)], doubled, [], True) == 0
    assert around().most_useful([kept(yaw=np.pi / 4)], held[:1], [0], True) is None, "none may leave"
    assert around().most_useful([], held, [], True) is None


def test_what_is_chosen_together_is_the_most_useful_first_and_nothing_twice():
    sides = [kept(yaw=index * np.pi / 2) for index in range(4)]
    candidates = [*sides, *sides, kept(x=3.0), kept(metres=0.5)]
    for most in (1, 3, 4):
        chosen = around().most_useful_together(candidates, most)
        assert len(chosen) == most and len({index % 4 for index in chosen}) == most
        assert chosen == around().most_useful_together(candidates, 100)[:most]
    assert not {index - 4 for index in around().most_useful_together(candidates, 100)} & {0, 1, 2, 3}


def test_of_a_view_counts_what_is_in_it_and_the_most_what_was_seen_from_its_side():
    view = Surroundings.in_view(CameraPose((0.0, 0.0, 0.5), np.pi / 2, 0.0), 0.0, 0.0, 60.0)
    behind, beside, across = kept(yaw=-np.pi / 2), kept(yaw=np.pi), kept(x=2.0, y=2.0, yaw=np.pi)
    alike, opposite = kept(y=0.3, yaw=np.pi / 2), kept(y=4.0, yaw=-np.pi / 2)
    assert view.most_useful_together([behind, beside], 4) == []
    assert view.most_useful_together([behind, across, alike, opposite], 1) == [2]
    assert set(view.most_useful_together([behind, across, beside, opposite], 4)) == {1, 3}
    assert view.most_useful_together([kept(yaw=np.pi, metres=0.4)], 4) == [0], "what is at the camera is in view"
    lower = Surroundings.in_view(CameraPose((0.0, 0.0, 0.5), np.pi / 2 - 2 * np.pi, 0.0), 0.0, 0.0, 60.0)
    assert lower.most_useful_together([behind, beside, alike], 4) == [2], "whatever turns its yaw has"


def test_nothing_is_chosen_of_what_shows_nothing_of_the_surroundings():
    assert around().most_useful_together([], 4) == []
    assert around(x=50.0).most_useful_together([kept(), kept(yaw=1.0)], 4) == []
    assert around(travelled=100.0, trust=50.0).most_useful_together([kept()], 4) == []


def test_from_upstairs_nothing_of_downstairs_is_chosen():
    upstairs = Surroundings.in_view(CameraPose((0.0, 0.0, 3.2), 0.0, 0.0), 0.0, 0.0, 60.0)
    downstairs, same, stairs = kept(z=0.5), kept(z=3.2, yaw=0.5), kept(z=1.9, yaw=-0.5)
    assert upstairs.most_useful_together([downstairs], 4) == []
    assert set(upstairs.most_useful_together([downstairs, same, stairs], 4)) == {1, 2}
    above = Surroundings.around(CameraPose((0.0, 0.0, 3.2), 0.0, 0.0), 0.0, 0.0)
    assert above.most_useful([downstairs], [kept(z=3.2, yaw=np.pi)], [], False) is None
    assert above.least_useful([same, downstairs, stairs], []) == 1


def test_nothing_is_chosen_where_the_best_shows_hardly_anything():
    def chosen(candidates, travelled):
        view = Surroundings.in_view(CameraPose((0.0, 0.0, 0.5), np.pi / 2, 0.0), travelled, 100.0, 60.0)
        return view.most_useful_together(candidates, 4)

    alike, behind = kept(yaw=np.pi / 2), kept(y=4.0, yaw=-np.pi / 2)
    assert chosen([alike], 80.0) == [0] and chosen([behind], 10.0) == [0]
    assert chosen([alike, behind], 99.0) == [] == chosen([behind], 80.0)
    assert chosen([alike, kept(yaw=np.pi / 2 + 0.5, travelled=99.0)], 99.0)[0] == 1, "beside what is surer"
    weak = [kept(yaw=np.pi / 2 + turn) for turn in (-0.4, 0.0, 0.4)]
    assert len(chosen(weak, 97.0)) > 1 and not any(chosen([one], 97.0) for one in weak), "together they do"


def test_older_observations_count_less_with_the_metres_travelled_since():
    old, new = kept(travelled=10.0), kept(travelled=90.0)
    held = [kept(yaw=np.pi, travelled=100.0)]
    assert around(travelled=100.0, trust=100.0).most_useful([old, new], held, [], False) == 1
    assert around(travelled=100.0, trust=95.0).most_useful([old], held, [], False) == 0
    assert around(travelled=100.0, trust=90.0).most_useful([old], held, [], False) is None
    assert around(travelled=1e6, trust=0.0).most_useful([old], held, [], False) == 0


def test_exchanges_come_to_an_end_in_a_set_that_covers_all_sides():
    random = np.random.default_rng(0)
    candidates = [kept(yaw=random.uniform(-3, 3), x=random.uniform(-2, 2), y=random.uniform(-2, 2),
                       metres=random.uniform(0.5, 4)) for _ in range(300)]
    held, surroundings, exchanges = candidates[:8], around(), 0
    while exchanges < 100:
        others = [one for one in candidates if one not in held]
        chosen = surroundings.most_useful(others, held, [], True)
        if chosen is None:
            break
        held.append(others[chosen])
        del held[surroundings.least_useful(held, [8])]
        exchanges += 1
    assert 0 < exchanges < 100
    quarters = {round(one.pose.yaw / (np.pi / 2)) % 4 for one in held}
    assert quarters == {0, 1, 2, 3}
