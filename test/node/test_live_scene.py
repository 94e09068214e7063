"""Keyframes, places and episodes of the scene."""

import numpy as np
import pytest
import torch

from placenet_ros.model import PlaceNet, PlaceNetConfig
from placenet_ros.node.keyframes import KeyframeGate
from placenet_ros.node.live_scene import LiveScene, Observation
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
    return LiveScene(SceneMemory(model, 3), KeyframeGate(0.2, 0.3, 0.0), max_observations=3, anchor_range=1.0)


def observation(stamp, x):
    rgb, depth = np.full((SIZE, SIZE, 3), 100, np.uint8), np.ones((SIZE, SIZE), np.float32)
    return Observation(stamp, CameraPose((x, 0.0, 0.0), 0.0, 0.0), rgb, depth, None, np.full((SIZE, SIZE), True))


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


def test_scene_holds_the_newest_observations_with_their_stamps(scene):
    for number in range(5):
        scene.add(observation(number, number / 10))
    assert list(scene.stamps) == [2, 3, 4]
    assert [pose.position[0] for pose in scene.memory.poses] == [0.2, 0.3, 0.4]
    assert len(scene) == 3


def test_new_place_begins_out_of_range_of_the_old_one_and_keeps_the_observations(scene):
    for number, x in enumerate((0.0, 0.9, 1.1, 2.0, 2.2)):
        scene.add(observation(number, x))
        assert scene.place_id == (1, 1, 2, 2, 3)[number]
        assert len(scene) == min(number + 1, 3)
    assert scene.memory.anchor.position[0] == 2.2


def test_new_episode_forgets_everything_and_counts_places_anew(scene):
    for number, x in enumerate((0.0, 2.0)):
        scene.add(observation(number, x))
    scene.begin_episode(7)
    assert (len(scene), len(scene.stamps), scene.episode_id, scene.place_id) == (0, 0, 7, 1)
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
