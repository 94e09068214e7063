"""Scenes drawn from trajectories: which frames, relative to what, and the same again for the same step."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from placenet_ros.model.modalities import class_colours
from training.configuration import UserError
from training.data.sampling import BOX_SCALE, SamplingConfig, assemble, check_poses, draw_scenes
from training.data.trajectories import TrajectorySet, device_for
from training.trajectory import Trajectory

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
    return Trajectory(poses, rgb, (40_000 + ids).astype(np.uint16), ids.astype(np.uint8), f"number {number}")


@pytest.fixture(scope="module")
def data():
    return TrajectorySet.of([numbered_trajectory(number) for number in range(5)])


def draws(data, steps, config=CONFIG, seed=7, scenes=8):
    return [draw_scenes(config, data.lengths, scenes, seed, step) for step in range(steps)]


def batch_of(draw, data):
    return assemble(draw, data.fetch(draw), SCALE, CPU)


def test_no_frame_is_drawn_twice_and_all_come_from_one_window(data):
    for draw in draws(data, 50):
        frames = np.concatenate([draw.queries, draw.observations], axis=1)
        assert all(len(set(row)) == len(row) for row in frames)
        assert (frames.max(axis=1) - frames.min(axis=1) < CONFIG.window).all()
        assert frames.min() >= 0 and frames.max() < 30


def test_every_window_trajectory_and_number_of_observations_comes_up(data):
    many = draws(data, 400)
    assert {draw.observations.shape[1] for draw in many} == {2, 3, 4, 5, 6}
    assert set(np.concatenate([draw.trajectories for draw in many])) == set(range(5))
    assert set(np.concatenate([draw.queries.ravel() for draw in many])) == set(range(30))


def test_an_epoch_shows_each_trajectory_once_in_an_order_of_its_own(data):
    trajectories = np.concatenate([draw.trajectories for draw in draws(data, 50, scenes=3)]).reshape(-1, 5)
    assert (np.sort(trajectories, axis=1) == np.arange(5)).all()
    assert len({tuple(epoch) for epoch in trajectories}) > 15


def test_scenes_do_not_depend_on_how_many_a_step_takes(data):
    """Their number of observations does: it belongs to the step."""
    few, many = draws(data, 12, scenes=2), draws(data, 3, scenes=8)
    for field in ("trajectories", "queries", "anchor_offsets", "anchor_yaws"):
        one, other = (np.concatenate([getattr(draw, field) for draw in some]) for some in (few, many))
        assert np.array_equal(one, other), field


def test_a_process_that_takes_some_rows_of_a_step_gets_those_of_the_whole(data):
    draw = draws(data, 1)[0]
    whole, part = data.fetch(draw), data.fetch(draw.rows(slice(3, 5)))
    assert all(torch.equal(a[3:5], b) for a, b in zip(whole, part, strict=True))


def test_trajectories_of_different_lengths_stay_within_their_own():
    lengths = np.array([9, 10, 30])
    drawn = [draw_scenes(CONFIG, lengths, 6, 7, step) for step in range(200)]
    for number, length in enumerate(lengths):
        frames = np.concatenate([draw.frames[draw.trajectories == number].ravel() for draw in drawn])
        assert frames.min() == 0 and frames.max() == length - 1
        spans = [np.ptp(draw.frames[draw.trajectories == number], axis=1) for draw in drawn]
        assert np.concatenate(spans).max() == min(CONFIG.window, length) - 1


def test_a_draw_is_a_function_of_seed_and_step_alone(data):
    first, again = draws(data, 3), draws(data, 3)[2]
    assert all(np.array_equal(a, b) for a, b in zip(first[2], again, strict=True))
    for other in (first[1], draws(data, 3, seed=8)[2]):
        assert not np.array_equal(other.trajectories, again.trajectories)


def test_fewer_observations_of_the_same_queries_are_among_the_more(data):
    three, five = (draw_scenes(CONFIG, data.lengths, 8, 7, 4, observations=count) for count in (3, 5))
    assert np.array_equal(three.queries, five.queries)
    assert np.array_equal(three.observations, five.observations[:, :3])


def test_a_batch_holds_the_frames_that_were_drawn(data):
    draw = draws(data, 1)[0]
    batch = batch_of(draw, data)
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
    batch = batch_of(draw, data)
    positions = SCALE * batch.observations.viewpoints[..., :3]
    assert (positions.mean(dim=1)[:, :2].norm(dim=-1) <= 0.5 * 2**0.5 + 1e-5).all()
    assert (positions.mean(dim=1)[:, 2].abs() <= 0.1 + 1e-5).all()
    # Distances between frames survive: frame f stands at x = f metres.
    apart = SCALE * (batch.query_viewpoints[:, 0, :3] - batch.observations.viewpoints[:, 0, :3]).norm(dim=-1)
    frames_apart = np.abs(draw.queries[:, 0] - draw.observations[:, 0])
    assert torch.allclose(apart, torch.from_numpy(frames_apart).float(), atol=1e-4)
    yaws = torch.atan2(batch.query_viewpoints[:, 0, 4], batch.query_viewpoints[:, 0, 3])
    assert yaws.std() > 1.0  # anchors look anywhere


def test_poses_in_the_published_box_are_absolute_and_of_the_same_frames(data):
    draw = draws(data, 1, replace(CONFIG, poses="box"))[0]
    assert np.array_equal(draw.frames, draws(data, 1)[0].frames)
    batch = assemble(draw, data.fetch(draw), BOX_SCALE, CPU)
    published_x = 2 * torch.from_numpy(draw.frames).float() / 100 - 1  # frame f stands at x = f metres, y = z = 0
    x, y, z, cos_yaw, sin_yaw, cos_pitch, sin_pitch = torch.cat(
        [batch.query_viewpoints, batch.observations.viewpoints], dim=1
    ).unbind(-1)
    assert torch.allclose(x, published_x, atol=1e-6)
    assert (y == -1).all() and (z == -1).all()
    assert (cos_yaw == 1).all() and (sin_yaw == 0).all() and (cos_pitch == 1).all() and (sin_pitch == 0).all()


def test_the_published_box_needs_its_own_unit_of_positions():
    with pytest.raises(ValueError, match=r"poses=box needs model.position_scale=50, not 3"):
        check_poses(SamplingConfig(poses="box"), 3.0)
    check_poses(SamplingConfig(poses="box"), BOX_SCALE)
    check_poses(SamplingConfig(), 3.0)


def test_modalities_are_dropped_from_whole_batches_as_often_as_asked(data):
    config = replace(CONFIG, drop_depth=0.25)
    drawn = draws(data, 400, config)
    assert 60 < sum(not draw.depth for draw in drawn) < 140
    assert all(draw.objects for draw in drawn)
    without = next(draw for draw in drawn if not draw.depth)
    observations = batch_of(without, data).observations
    assert observations.depth is None and observations.objects is not None


def test_what_observations_are_left_without_is_still_there_to_learn_from(data):
    draw = draws(data, 1, replace(CONFIG, drop_depth=1.0, drop_objects=1.0))[0]
    batch = batch_of(draw, data)
    assert batch.observations.depth is None and batch.observations.objects is None
    observed, asked = torch.from_numpy(draw.observations), torch.from_numpy(draw.queries)
    assert batch.query_depth.shape == (8, 3, 1, 16, 16) and batch.observation_depth.shape[2:] == (1, 16, 16)
    assert torch.allclose(batch.query_depth[:, :, 0, 3, 5], 40.0 + asked / 1000)
    assert torch.allclose(batch.observation_depth[:, :, 0, 3, 5], 40.0 + observed / 1000)
    assert batch.query_objects.dtype == torch.uint8 and torch.equal(batch.query_objects[:, :, 3, 5].long(), asked)


def test_colour_alone_has_no_depth_or_objects_to_learn_from(data):
    draw = draws(data, 1)[0]
    batch = assemble(draw, data.fetch(draw)._replace(depth=None, objects=None), SCALE, CPU)
    assert batch.observations.depth is batch.observations.objects is None
    assert batch.query_depth is batch.query_objects is batch.observation_depth is None


def test_a_window_too_small_for_its_scenes_is_refused_with_the_numbers():
    with pytest.raises(ValueError, match=r"most_observations \(17\) and queries \(4\).*window of 20"):
        SamplingConfig(queries=4)


def test_trajectories_that_fit_into_no_memory_are_refused_before_any_is_made():
    with pytest.raises(UserError, match="100000000 trajectories of 300 frames take .* GB"):
        device_for(100_000_000, 300, 64, "auto", CPU)
