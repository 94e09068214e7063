"""Keyframes, places and episodes of the scene."""

import dataclasses

import numpy as np
import pytest
import torch

from placenet_ros.model import PlaceNet, PlaceNetConfig
from placenet_ros.model.place_embedding import EMBEDDED_OBSERVATIONS
from placenet_ros.node.keyframes import KeyframeGate
from placenet_ros.node.live_scene import ELSEWHERE, LiveScene, Observation
from placenet_ros.scene.memory import SceneMemory
from placenet_ros.scene.viewpoints import CameraPose

SECOND = 1_000_000_000
SIZE = 16


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    tiny = {"representation_channels": 8, "hidden_channels": 4, "canvas_channels": 4}
    return PlaceNet(PlaceNetConfig(image_size=SIZE, layers=1, shared_core=True, **tiny)).eval()


@pytest.fixture
def scene(model):
    return new_scene(model)


def new_scene(model, max_observations=3, archive_megabytes=1.0, odometry_trust=0.0):
    memory, gate = SceneMemory(model, max_observations), KeyframeGate(0.2, 0.3, 0.0)
    return LiveScene(memory, gate, max_observations, 1.0, archive_megabytes, odometry_trust, 60.0)


def rest(scene):
    """Let the scene do all that can wait; returns in how many steps."""
    steps = 0
    while scene.work():
        steps += 1
        assert steps < 1000
    return steps


WHOLE = np.full((SIZE, SIZE), True)


def observation(stamp, x, yaw=0.0, covered=WHOLE):
    rgb, depth = np.full((SIZE, SIZE, 3), 100, np.uint8), np.ones((SIZE, SIZE), np.float32)
    return Observation(stamp, CameraPose((x, 0.0, 0.0), yaw, 0.0), rgb, depth, None, covered)


@pytest.mark.parametrize(
    "pose, seconds, opens",
    [
        (CameraPose((0.19, 0.0, 0.0), 0.29, 0.0), 1.0, False),
        (CameraPose((0.0, 0.15, 0.15), 0.0, 0.0), 1.0, True),
        (CameraPose((0.0, 0.0, 0.0), -0.31, 0.0), 1.0, True),
        (CameraPose((0.0, 0.0, 0.0), 0.0, 0.31), 1.0, True),
        (CameraPose((0.0, 0.0, 0.0), 6.2, 0.0), 1.0, False),
        (CameraPose((0.0, 0.0, 0.0), 0.0, 0.0), 5.1, True),
    ],
)
def test_keyframe_is_where_the_camera_moved_turned_or_waited_enough(pose, seconds, opens):
    gate = KeyframeGate(0.2, 0.3, 5.0)
    start = CameraPose((0.0, 0.0, 0.0), 0.0, 0.0)
    assert gate.opens(start, 0)
    gate.passed(start, 0)
    assert gate.opens(pose, int(seconds * SECOND)) == opens


def test_robot_that_stands_makes_no_keyframes_without_a_period():
    gate = KeyframeGate(0.2, 0.3, 0.0)
    pose = CameraPose((0.0, 0.0, 0.0), 0.0, 0.0)
    gate.passed(pose, 0)
    assert not gate.opens(pose, 10**6 * SECOND)


def xs(scene):
    """Where the observations that the scene holds were taken, by their stamps."""
    return [kept.pose.position[0] for kept in scene.observations]


def test_an_observation_that_shows_nothing_new_takes_the_place_of_the_least_useful(scene):
    for number in range(5):
        scene.add(observation(number, number / 10))
        rest(scene)
        assert len(scene) == min(number + 1, 3)
    assert xs(scene)[-2:] == [0.3, 0.4], "the newest always stay"
    assert scene.observations[-1].stamp == 4


def test_memory_and_observations_go_together_whatever_leaves(model):
    scene = new_scene(model, max_observations=6)
    for number in range(60):
        scene.add(observation(number, 2 * np.sin(number / 5), yaw=number))
        rest(scene)
        assert sorted(kept.pose.position for kept in scene.observations) == sorted(
            pose.position for pose in scene.memory.poses
        )
    assert len(scene) == 6 and scene.travelled > 5


def test_returning_to_a_room_recalls_what_was_seen_there(model):
    scene = new_scene(model, max_observations=6)
    drive_through_rooms_and_back(scene)
    recalled = [kept for kept in scene.observations if kept.stamp < 12]
    assert len(recalled) >= 2 and all(kept.pose.position[0] < 1.0 for kept in recalled)
    assert len({kept.pose.yaw for kept in recalled}) >= 2, "all around, as the room was seen"


def drive_through_rooms_and_back(scene, covered_at_first=WHOLE):
    """Look all around at 0 m, then in a room 40 m away, then come back and look one way."""
    for number in range(12):
        scene.add(observation(number, 0.0, yaw=number * np.pi / 6, covered=covered_at_first))
        rest(scene)
    for number in range(12, 24):
        scene.add(observation(number, 40.0, yaw=number * np.pi / 6))
        rest(scene)
    assert all(kept.stamp >= 12 for kept in scene.observations), "what is far away gives way"
    scene.add(observation(24, 0.0))
    rest(scene)


FIRST_ROOM = CameraPose((0.0, 0.0, 0.0), 0.5, 0.0)


def look_around(scene, first, x, covered=WHOLE):
    """Look all around at x."""
    for number in range(first, first + 12):
        scene.add(observation(number, x, yaw=number * np.pi / 6, covered=covered))
        rest(scene)


def asked(scene, pose, between=lambda: None, remark=pytest.fail):
    return scene.predict(pose, 0, between, remark).image


def test_a_view_of_a_room_that_the_robot_left_is_predicted_from_what_was_seen_there(model):
    scene, half = new_scene(model, max_observations=6), np.repeat((np.arange(SIZE) < SIZE // 2)[:, None], SIZE, axis=1)
    look_around(scene, 0, 0.0, covered=half)
    look_around(scene, 12, 40.0)
    chosen = scene.memory_for(FIRST_ROOM, lambda: None, pytest.fail)
    assert 1 < len(chosen) <= 6 and all(pose.position[0] == 0.0 for pose in chosen.poses)
    assert all(np.cos(pose.yaw - FIRST_ROOM.yaw) > 0 for pose in chosen.poses), "what is behind is not in view"
    afresh = SceneMemory(model, 6)
    afresh.reanchor(FIRST_ROOM)
    for pose in chosen.poses:
        seen = observation(0, 0.0)
        afresh.add(seen.rgb, pose, seen.depth, covered=half)
    np.testing.assert_array_equal(asked(scene, FIRST_ROOM), afresh.predict(FIRST_ROOM).image)
    depths = chosen._representation().cloud.depth[0, :, 0].numpy()
    assert all(((depth > 0) == half).all() for depth in depths), "with what the camera saw of them"


def test_a_view_of_elsewhere_leaves_the_scene_as_it_is(model):
    scene = new_scene(model, max_observations=6)
    look_around(scene, 0, 0.0)
    look_around(scene, 12, 40.0)
    before = scene.memory.poses, scene.memory.anchor, scene.embedded_stamps, scene.place_id, scene.memory.embedding()
    asked(scene, FIRST_ROOM)
    after = scene.memory.poses, scene.memory.anchor, scene.embedded_stamps, scene.place_id, scene.memory.embedding()
    assert before[:-1] == after[:-1] and not scene.work()
    np.testing.assert_array_equal(before[-1], after[-1])


def test_a_view_from_near_the_robot_costs_no_encoding(model, monkeypatch):
    scene = new_scene(model, max_observations=6)
    look_around(scene, 0, 0.0)
    look_around(scene, 12, 40.0)
    monkeypatch.setattr(model, "appearance", None)
    for x in (40.0 - ELSEWHERE, 40.0 + ELSEWHERE):
        pose = CameraPose((x, 0.0, 0.0), 0.5, 0.0)
        np.testing.assert_array_equal(asked(scene, pose), scene.memory.predict(pose).image)


@pytest.mark.parametrize(
    "x, options, is_seen",
    [(400.0, {}, False), (0.0, {"odometry_trust": 30.0}, False), (0.0, {"odometry_trust": 41.0}, False),
     (0.0, {"archive_megabytes": 0.0}, False), (37.0, {"archive_megabytes": 0.0}, True)]
)  # fmt: skip
def test_a_view_of_elsewhere_is_predicted_from_the_memory_where_nothing_else_is_known_of_it(
    model, x, options, is_seen
):
    scene = new_scene(model, max_observations=6, **options)
    look_around(scene, 0, 0.0)
    look_around(scene, 12, 40.0)
    pose, said = CameraPose((x, 0.0, 0.0), 0.5, 0.0), []
    assert scene.is_elsewhere(pose) and scene.memory_for(pose, None, said.append) is scene.memory
    np.testing.assert_array_equal(asked(scene, pose, remark=said.append), scene.memory.predict(pose).image)
    away = f"{abs(40 - x):.1f} m away"
    line = f"nothing seen within view of that pose: predicted from what surrounds the robot, {away}"
    assert said == ([] if is_seen else [line, line])


def test_images_that_come_while_a_view_of_elsewhere_is_made_ready_wait_for_one_encoding(model):
    scene = new_scene(model, max_observations=6)
    look_around(scene, 0, 0.0)
    look_around(scene, 12, 40.0)
    expected, came = asked(scene, FIRST_ROOM), iter(range(24, 1000))
    encoded = len(scene.memory_for(FIRST_ROOM, lambda: None, pytest.fail))

    def between():
        stamp = next(came)
        scene.add(observation(stamp, 40.0 + stamp / 10))

    np.testing.assert_array_equal(asked(scene, FIRST_ROOM, between), expected)
    assert next(came) >= 24 + encoded and scene.observations[-1].stamp >= 23 + encoded


@pytest.mark.parametrize("options", [{"archive_megabytes": 0.0}, {"odometry_trust": 30.0}])
def test_nothing_is_recalled_without_an_archive_or_where_odometry_has_drifted(model, options):
    scene = new_scene(model, max_observations=6, **options)
    drive_through_rooms_and_back(scene)
    assert all(kept.stamp >= 12 for kept in scene.observations)


def test_recalled_observations_are_encoded_as_they_were(model):
    scene, fresh = new_scene(model, max_observations=6), SceneMemory(model, 6)
    drive_through_rooms_and_back(scene)
    fresh.reanchor(scene.memory.anchor)
    for pose in scene.memory.poses:
        kept = next(kept for kept in scene.observations if kept.pose == pose)
        seen = observation(kept.stamp, pose.position[0], pose.yaw)
        fresh.add(seen.rgb, seen.pose, seen.depth, seen.objects)
    np.testing.assert_allclose(scene.memory.embedding(), fresh.embedding(), atol=1e-5)
    places = [memory._representation().cloud.positions for memory in (scene.memory, fresh)]
    torch.testing.assert_close(*places, rtol=0, atol=2e-3)  # metres: depth is kept to the millimetre


def test_an_observation_is_recalled_with_what_its_own_camera_saw(model):
    scene, half = new_scene(model, max_observations=6), np.repeat((np.arange(SIZE) < SIZE // 2)[:, None], SIZE, axis=1)
    drive_through_rooms_and_back(scene, covered_at_first=half)  # the camera of the other room sees all
    recalled = [kept for kept in scene.observations if kept.stamp < 12]
    assert recalled and all(kept.covered is half for kept in recalled), "one array for all of a camera"
    held = {kept.pose: kept for kept in scene.observations}
    depths = scene.memory._representation().cloud.depth[0, :, 0].numpy()
    for pose, depth in zip(scene.memory.poses, depths):
        np.testing.assert_array_equal(depth > 0, held[pose].covered)


def test_one_step_of_work_encodes_one_observation_at_most_and_none_is_left_to_do_in_the_end(model, monkeypatch):
    scene = new_scene(model, max_observations=6)
    encoded, add = [], scene.memory.add
    monkeypatch.setattr(scene.memory, "add", lambda *given: encoded.append(given) or add(*given))
    drive_through_rooms_and_back(scene)
    scene.add(observation(25, 40.0))
    while True:
        before = len(encoded)
        if not scene.work():
            break
        assert len(encoded) <= before + 1
    assert len(encoded) == before and not scene.work()


def test_new_place_begins_out_of_range_of_the_old_one_once_there_is_time_and_keeps_the_observations(scene):
    for number, x in enumerate((0.0, 0.3, 0.9)):
        scene.add(observation(number, x))
        rest(scene)
    scene.add(observation(3, 1.1))
    assert (scene.place_id, scene.memory.anchor.position[0]) == (1, 0.0), "adding does not wait for a new anchor"
    assert scene.work() and scene.place_id == 1, "one observation placed"
    rest(scene)
    assert (scene.place_id, scene.memory.anchor.position[0], len(scene)) == (2, 1.1, 3)


def test_new_place_begins_at_once_far_out_of_range(scene):
    for number, x in enumerate((0.0, 0.9, 1.4)):
        scene.add(observation(number, x))
    assert scene.place_id == 1
    scene.add(observation(3, 1.6))
    assert (scene.place_id, scene.memory.anchor.position[0], len(scene)) == (2, 1.6, 3)


def test_anchor_that_is_almost_ready_is_used_where_there_is_no_more_time(scene):
    for number, x in enumerate((0.0, 0.3, 1.1)):
        scene.add(observation(number, x))
    scene.work()
    scene.add(observation(3, 1.6))
    assert (scene.place_id, scene.memory.anchor.position[0]) == (2, 1.1)
    assert scene.memory.next_anchor is None


def test_new_episode_forgets_everything_and_counts_places_anew(scene):
    for number, x in enumerate((0.0, 2.0)):
        scene.add(observation(number, x))
    scene.begin_episode(7)
    assert (len(scene), len(scene.archive), scene.observations, scene.travelled) == (0, 0, [], 0.0)
    assert (scene.episode_id, scene.place_id, scene.work()) == (7, 1, False)
    assert scene.wants(CameraPose((2.0, 0.0, 0.0), 0.0, 0.0), 3)


def test_prediction_error_counts_only_what_the_camera_saw(scene):
    scene.add(observation(0, 0.0))
    seen = observation(1, 0.1)
    half = np.arange(SIZE) < SIZE // 2
    garbled = seen.rgb.copy()
    garbled[~half] = 255
    masked = Observation(1, seen.pose, garbled, seen.depth, None, np.repeat(half[:, None], SIZE, axis=1))
    predicted = scene.memory.predict(seen.pose).image.astype(float)
    expected = np.sqrt(np.mean((predicted[half] - 100) ** 2))
    assert scene.prediction_error(masked) == pytest.approx(expected)


def test_prediction_error_of_what_the_camera_did_not_see_is_not_a_number(scene):
    scene.add(observation(0, 0.0))
    seen = observation(1, 0.1)
    unseen = Observation(1, seen.pose, seen.rgb, seen.depth, None, np.full((SIZE, SIZE), False))
    assert np.isnan(scene.prediction_error(unseen))


def test_what_the_embedding_is_made_of_is_told_by_stamps(model):
    torch.manual_seed(0)
    with_head = PlaceNet(dataclasses.replace(model.config, embedding_channels=8)).eval()
    plain, headed = new_scene(model, max_observations=6), new_scene(with_head, max_observations=6)
    for scene in (plain, headed):
        drive_through_rooms_and_back(scene)
    assert plain.embedded_stamps == [kept.stamp for kept in plain.observations]
    newest = max(kept.stamp for kept in headed.archive.near(headed.observations[-1].pose, 100.0, most=1000))
    assert headed.embedded_stamps == list(range(newest - EMBEDDED_OBSERVATIONS + 1, newest + 1))
    headed.begin_episode(2)
    headed.add(observation(5, 0.0))
    assert headed.embedded_stamps == [5]
