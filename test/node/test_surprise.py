"""What is surprising is told by what is usual."""

import math
import statistics
from pathlib import Path

import numpy as np
import pytest

from placenet_ros.model import PlaceNet
from placenet_ros.node.keyframes import KeyframeGate
from placenet_ros.node.live_scene import LiveScene, Observation
from placenet_ros.node.loading import Evaluation
from placenet_ros.node.parameters import NodeParameters
from placenet_ros.node.surprise import FEWEST, KEPT, UsualError
from placenet_ros.scene.memory import SceneMemory
from placenet_ros.scene.viewpoints import CameraPose

WEIGHTS = Path(__file__).resolve().parents[2] / "weights" / "placenet-small"


def test_first_errors_are_told_by_the_evaluation_and_later_ones_by_those_before():
    usual = UsualError(20.0)
    assert [usual.surprise(10.0) for _ in range(FEWEST)] == [0.5] * FEWEST
    usual.surprise(10.0)
    assert usual.surprise(10.0) == 1.0
    assert usual.surprise(30.0) == 3.0
    assert usual.surprise(10.0) == 1.0  # one surprise changes nothing


def test_weights_without_an_evaluation_begin_once_there_are_enough_errors():
    usual = UsualError(math.nan)
    assert all(math.isnan(usual.surprise(12.0)) for _ in range(FEWEST))
    assert usual.surprise(24.0) == 2.0


def test_what_is_usual_follows_the_robot_to_other_rooms():
    usual = UsualError(20.0)
    found = [usual.surprise(error) for error in [10.0] * KEPT + [40.0] * KEPT]
    assert found[KEPT] == 4.0
    assert found[-1] == 1.0


def test_perfect_predictions_are_no_division_by_zero():
    usual = UsualError(0.0)
    assert np.isfinite([usual.surprise(0.0) for _ in range(10)]).all()


def test_shipped_weights_are_as_surprised_as_usual_in_a_house_that_they_do_not_know():
    """The drive that training.make_bag records, each keyframe of it."""
    make_bag, pictures = pytest.importorskip("training.make_bag"), pytest.importorskip("training.houses.pictures")
    model = PlaceNet.from_pretrained(WEIGHTS)
    settings, size = NodeParameters(), model.config.image_size
    field_of_view = model.config.field_of_view_degrees
    gate = KeyframeGate(settings.keyframe_distance, settings.keyframe_angle, settings.keyframe_period)
    scene = LiveScene(SceneMemory(model, 20), gate, 20, settings.anchor_range, 0.0, 0.0, field_of_view)
    usual, found = UsualError(Evaluation.of(model.about).rmse), []
    drive = make_bag.plan_drive(10_000_003, 20.0)
    stamps = np.arange(0, 20_000_000_000, 100_000_000)  # 10 Hz
    seen = np.full((size, size), True)
    with pictures.HousePictures(size, size, field_of_view) as camera:
        camera.load(drive.house)
        for stamp, at in zip(stamps.tolist(), drive.camera_poses(stamps)):
            pose = CameraPose(tuple(at[:3]), at[3], at[4])
            if not scene.wants(pose, stamp):
                continue
            taken = camera.take(at[None])
            observation = Observation(stamp, pose, taken.rgb[0], taken.depth[0], taken.objects[0], seen)
            if len(scene):
                found.append(usual.surprise(scene.prediction_error(observation)))
            scene.add(observation)
    assert len(found) > 30
    assert 0.7 <= statistics.median(found) <= 1.4
