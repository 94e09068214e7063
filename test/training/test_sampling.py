"""Scenes drawn from trajectories: which frames, relative to what, and the same again for the same step."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from placenet_ros.model.modalities import class_colours
from training.configuration import UserError
from training.data.sampling import SamplingConfig, assemble, draw_scenes
from training.data.trajectories import TrajectorySet, device_for

CPU = torch.device("cpu")
CONFIG = SamplingConfig(window=10, fewest_observations=2, most_observations=6, queries=3, anchor_jitter=0.5)
SCALE = 3.0


def numbered_trajectory(number, frames=30, size=16):
    """Frame f of trajectory n is red n, green f; its depth is 40,000 + f mm; its class f; it stands at x = f metres."""
    shape = (frames, size, size)
    index = np.arange(frames)
    rgb = np.zeros((*shape, 3), np.uint8)
    rgb[..., 0], rgb[..., 1] = number, index[:, None, None]
    ids = np.broadcast_to(index[:, None, None], shape)
    poses = np.zeros((frames, 5), np.float32)
    poses[:, 0] = index
    return SimpleNamespace(rgb=rgb, depth=(40_000 + ids).astype(np.uint16), objects=ids.astype(np.uint8), poses=poses)


@pytest.fixture(scope="module")
def data():
    return TrajectorySet.of([numbered_trajectory(number) for number in range(5)])


def draws(data, steps, config=CONFIG, seed=7, scenes=8):
    return [draw_scenes(config, data, scenes, seed, step) for step in range(steps)]


def test_no_frame_is_drawn_twice_and_all_come_from_one_window(data):
    for draw in draws(data, 50):
        frames = np.concatenate([draw.queries, draw.observations], axis=1)
        assert all(len(set(row)) == len(row) for row in frames)
        assert (frames.max(axis=1) - frames.min(axis=1) < CONFIG.window).all()
        assert frames.min() >= 0 and frames.max() < data.frames


def test_every_window_trajectory_and_number_of_observations_comes_up(data):
    many = draws(data, 400)
    assert {draw.observations.shape[1] for draw in many} == {2, 3, 4, 5, 6}
    assert set(np.concatenate([draw.trajectories for draw in many])) == set(range(5))
    assert set(np.concatenate([draw.queries.ravel() for draw in many])) == set(range(30))


def test_a_draw_is_a_function_of_seed_and_step_alone(data):
    first, again = draws(data, 3), draws(data, 3)[2]
    assert all(np.array_equal(a, b) for a, b in zip(first[2], again, strict=True))
    for other in (first[1], draws(data, 3, seed=8)[2]):
        assert not np.array_equal(other.trajectories, again.trajectories)


def test_fewer_observations_of_the_same_queries_are_among_the_more(data):
    three, five = (draw_scenes(CONFIG, data, 8, 7, 4, observations=count) for count in (3, 5))
    assert np.array_equal(three.queries, five.queries)
    assert np.array_equal(three.observations, five.observations[:, :3])


def test_a_batch_holds_the_frames_that_were_drawn(data):
    draw = draws(data, 1)[0]
    batch = assemble(draw, data, SCALE, CPU)
    seen = batch.observations
    observed, asked = torch.from_numpy(draw.observations), torch.from_numpy(draw.queries)
    walked = torch.from_numpy(draw.trajectories)[:, None].expand_as(observed)
    assert torch.equal((255 * seen.rgb[..., 0, 0, 0]).round().long(), walked)
    assert torch.equal((255 * seen.rgb[:, :, 1, 3, 5]).round().long(), observed)
    assert torch.equal((255 * batch.query_images[:, :, 1, 3, 5]).round().long(), asked)
    assert torch.allclose(seen.depth[:, :, 0, 0, 0], 40.0 + observed / 1000)  # over 32.767 m: all 16 bits count
    assert torch.equal(seen.objects[:, :, :, 0, 0], class_colours()[observed])
    assert seen.rgb.shape[2:] == (3, 16, 16) and seen.depth.shape[2:] == (1, 16, 16)


def test_poses_are_relative_to_an_anchor_near_the_observations(data):
    draw = draws(data, 1)[0]
    batch = assemble(draw, data, SCALE, CPU)
    positions = SCALE * batch.observations.viewpoints[..., :3]
    assert (positions.mean(dim=1)[:, :2].norm(dim=-1) <= 0.5 * 2**0.5 + 1e-5).all()
    assert (positions.mean(dim=1)[:, 2].abs() <= 0.1 + 1e-5).all()
    # Distances between frames survive: frame f stands at x = f metres.
    apart = SCALE * (batch.query_viewpoints[:, 0, :3] - batch.observations.viewpoints[:, 0, :3]).norm(dim=-1)
    frames_apart = np.abs(draw.queries[:, 0] - draw.observations[:, 0])
    assert torch.allclose(apart, torch.from_numpy(frames_apart).float(), atol=1e-4)
    yaws = torch.atan2(batch.query_viewpoints[:, 0, 4], batch.query_viewpoints[:, 0, 3])
    assert yaws.std() > 1.0  # anchors look anywhere


def test_modalities_are_dropped_from_whole_batches_as_often_as_asked(data):
    config = replace(CONFIG, drop_depth=0.25)
    drawn = draws(data, 400, config)
    assert 60 < sum(not draw.depth for draw in drawn) < 140
    assert all(draw.objects for draw in drawn)
    without = next(draw for draw in drawn if not draw.depth)
    observations = assemble(without, data, SCALE, CPU).observations
    assert observations.depth is None and observations.objects is not None


def test_a_window_too_small_for_its_scenes_is_refused_with_the_numbers():
    with pytest.raises(ValueError, match=r"most_observations \(17\) and queries \(4\).*window of 20"):
        SamplingConfig(queries=4)


def test_trajectories_that_fit_into_no_memory_are_refused_before_any_is_made():
    with pytest.raises(UserError, match="100000000 trajectories of 300 frames take .* GB"):
        device_for(100_000_000, 300, 64, "auto", CPU)
