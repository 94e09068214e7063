"""What needs no learning, and the measures that networks are compared by, on cases whose answer is known."""

import math

import numpy as np
import pytest
import torch
from round_room import round_room

from placenet_ros.model import Observations, PlaceNetConfig
from placenet_ros.model.modalities import class_colours, objects_picture
from placenet_ros.model.viewpoints import relative_viewpoints
from training.baselines import (
    Prediction,
    class_ids_of,
    commonest_class,
    mean_depth,
    mean_image,
    nearest_image,
    reprojected_classes,
    reprojected_depth,
    reprojected_image,
)
from training.confidence import confidence
from training.data.sampling import SamplingConfig, assemble, draw_scenes
from training.data.trajectories import TrajectorySet
from training.evaluate import EvaluationConfig, evaluate
from training.image_quality import image_quality

CPU = torch.device("cpu")
CONFIG = PlaceNetConfig(image_size=16)


def grey_observations(poses):
    """Observations at these poses (m, 5), the k-th of uniform grey k / 10."""
    rgb = (torch.arange(len(poses)) / 10)[None, :, None, None, None].expand(1, -1, 3, 16, 16)
    return Observations(rgb, viewpoints(poses))


def viewpoints(poses):
    return relative_viewpoints(torch.tensor(poses)[None], torch.tensor([1.0, 2.0, 0.5, 0.7]), CONFIG.position_scale)


def test_the_mean_image_is_the_mean_of_the_observations():
    observations = grey_observations([[0.0, 0, 0, 0, 0], [1.0, 0, 0, 0, 0], [2.0, 0, 0, 0, 0]])
    image = mean_image(observations, viewpoints([[0.0, 0, 0, 0, 0]] * 2), CONFIG)
    assert image.shape == (1, 2, 3, 16, 16) and torch.allclose(image, torch.tensor(0.1))


@pytest.mark.parametrize(
    "query, nearest",
    [
        ([0.4, 0.0, 0.0, 0.0, 0.0], 0),  # closest by position
        ([1.9, 0.0, 0.0, 0.1, 0.0], 1),
        ([1.9, 0.0, 0.0, 3.0, 0.0], 2),  # 0.1 m from the second, which looks the other way
        ([2.0, 0.0, 0.0, -3.1, 0.0], 2),  # across the turn of pi to -pi
        ([0.0, 0.0, 0.0, 0.0, 1.5], 3),  # closest by pitch
    ],
)
def test_the_nearest_image_is_near_in_position_and_heading(query, nearest):
    poses = [[0.0, 0, 0, 0, 0], [2.0, 0, 0, 0, 0], [3.0, 0, 0, math.pi, 0], [0.5, 0, 0, 0, 1.4]]
    image = nearest_image(grey_observations(poses), viewpoints([query]), CONFIG)
    assert torch.allclose(image, torch.tensor(nearest / 10))


def test_reprojection_predicts_a_room_whose_geometry_is_exact():
    data = TrajectorySet.of([round_room(seed, frames=120, image_size=32, stripes=24) for seed in range(3)])
    draw = draw_scenes(SamplingConfig(window=40, queries=2), data.lengths, 16, 0, 0, observations=8)
    config = PlaceNetConfig(image_size=32)
    batch = assemble(draw, data.fetch(draw), config.position_scale, CPU)
    error = {  # of half of the pixels: some of the others are holes
        predict: 255 * (predict(batch.observations, batch.query_viewpoints, config) - batch.query_images).abs().median()
        for predict in (mean_image, nearest_image, reprojected_image)
    }
    assert error[reprojected_image] < 0.3 * error[nearest_image] < 0.3 * error[mean_image]


def test_holes_of_the_reprojection_have_the_observations_mean_colour():
    observations = grey_observations([[0.0, 0, 0, 0, 0], [1.0, 0, 0, 0, 0]])
    unmeasured = Observations(observations.rgb, observations.viewpoints, depth=torch.zeros(1, 2, 1, 16, 16))
    image = reprojected_image(unmeasured, viewpoints([[0.0, 0, 0, 0, 0]]), CONFIG)
    assert torch.allclose(image, torch.tensor(0.05))


def test_reprojected_depth_and_classes_are_those_of_a_room_whose_geometry_is_exact():
    data = TrajectorySet.of([round_room(seed, frames=120, image_size=32) for seed in range(3)])
    draw = draw_scenes(SamplingConfig(window=40, queries=2), data.lengths, 16, 0, 0, observations=8)
    config = PlaceNetConfig(image_size=32)
    batch = assemble(draw, data.fetch(draw), config.position_scale, CPU)
    asked = (batch.observations, batch.query_viewpoints, config)
    off, off_by_mean = ((predict(*asked) - batch.query_depth).abs() for predict in (reprojected_depth, mean_depth))
    assert off.median() < 0.01 < 0.05 < off_by_mean.median()
    right, right_by_commonest = ((p(*asked) == batch.query_objects) for p in (reprojected_classes, commonest_class))
    assert right.float().mean() > 0.9 > 0.8 > right_by_commonest.float().mean()


def test_what_has_no_depth_has_no_share_in_the_mean_depth_and_no_class_is_never_the_commonest():
    depth, ids = torch.zeros(1, 1, 1, 16, 16), torch.zeros(1, 1, 16, 16, dtype=torch.uint8)
    depth[..., :2], ids[..., :2] = 3.0, 7
    views = viewpoints([[0.0, 0, 0, 0, 0]] * 2)
    observations = Observations(
        torch.zeros(1, 1, 3, 16, 16), views[:, :1], depth, objects_picture(ids, class_colours())
    )
    assert mean_depth(observations, views, CONFIG).unique().tolist() == [3.0]
    assert commonest_class(observations, views, CONFIG).unique().tolist() == [7]


def test_class_ids_come_back_from_their_colours():
    ids = torch.arange(256).view(1, 16, 16)
    assert torch.equal(class_ids_of(objects_picture(ids.byte(), class_colours())), ids)
    assert class_ids_of(torch.full((1, 3, 16, 16), 0.123)).unique().tolist() == [0]


def test_image_errors_are_those_of_a_known_offset():
    truth = torch.rand(2, 3, 16, 16) * 0.8
    quality = image_quality(truth + torch.tensor([0.1, 0.2]).view(2, 1, 1, 1), truth)
    assert torch.allclose(quality["rmse"], torch.tensor([25.5, 51.0]))
    assert torch.allclose(quality["mae"], torch.tensor([25.5, 51.0]))
    assert torch.allclose(quality["psnr"], torch.tensor([20.0, 20 - 20 * math.log10(2)]))


def test_structural_similarity_equals_its_definition():
    images, truth = torch.rand(2, 3, 11, 11, dtype=torch.float64), torch.rand(2, 3, 11, 11, dtype=torch.float64)
    ours = image_quality(images.float(), truth.float())["ssim"]
    # One window covers 11 x 11: the definition (Wang et al. 2004, equation 13) with numpy's weighted moments.
    distance = np.square(np.arange(11) - 5)
    weights = np.exp(-(distance[:, None] + distance[None]) / (2 * 1.5**2)).ravel()
    for n in range(2):
        values = []
        for x, y in zip(images[n].flatten(1).numpy(), truth[n].flatten(1).numpy(), strict=True):
            (vx, cxy), (_, vy) = np.cov(x, y, aweights=weights / weights.sum(), ddof=0)
            mx, my = np.average(x, weights=weights), np.average(y, weights=weights)
            values.append((2 * mx * my + 1e-4) * (2 * cxy + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4)))
        assert ours[n] == pytest.approx(np.mean(values), abs=1e-5)
    assert torch.allclose(image_quality(truth.float(), truth.float())["ssim"], torch.ones(2))


def test_confidence_is_by_trajectory():
    random = np.random.default_rng(0)
    house = np.repeat(np.arange(20), 50)
    values = random.normal(0, 1, 20)[house]  # alike within a house: 20 independent values, not 1000
    interval = confidence(values, house)
    assert interval["mean"] == pytest.approx(values.mean())
    assert interval["low"] < interval["mean"] < interval["high"]
    assert 0.4 < interval["high"] - interval["low"] < 1.6  # 2 * 1.96 / sqrt(20) = 0.88; by query it would be 0.12


def test_an_evaluation_asks_all_predictors_the_same_queries():
    data = TrajectorySet.of([round_room(seed) for seed in range(3)])
    asked = {"one": [], "two": []}

    def recording(name):
        def predict(observations, query_viewpoints):
            asked[name].append(query_viewpoints)
            return Prediction(mean_image(observations, query_viewpoints, CONFIG))

        return predict

    config = EvaluationConfig(queries=20, observations=(3, 5), scenes=8)
    predictors = {name: recording(name) for name in asked}
    figures = evaluate(predictors, data, SamplingConfig(), config, CONFIG, CPU)
    assert [len(views) for views in asked["one"]] == 2 * [8, 8, 4]
    assert all(torch.equal(a, b) for a, b in zip(*asked.values(), strict=True))
    assert figures["3"]["one"] == figures["3"]["two"] != figures["5"]["one"]
