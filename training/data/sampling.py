"""Which frames make a scene: some observations and some query views out of a window of consecutive frames.

Scenes are numbered through: a step takes the next ones, an epoch is a pass over all trajectories, one scene of each in
an order of its own. Everything drawn is a pure function of (seed, epoch, index) for a scene and of (seed, step) for
what all scenes of a step share. So nothing needs to be saved to resume, and a batch is the same whatever machine or
number of processes works on it (each takes its rows of it).

Shapes: n trajectories, b scenes, m observations, q queries of each, s image size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from placenet_ros.model import Observations
from placenet_ros.model.modalities import class_colours, objects_picture
from placenet_ros.model.viewpoints import relative_viewpoints
from training.configuration import setting
from training.data.shards import StoredFrames

STEP_STREAM, ORDER_STREAM, SCENE_STREAM = 0, 1, 2  # of random numbers, for what they decide
HEIGHT_JITTER_SHARE = 0.2  # of anchor_jitter: robots differ in height far less than in where they start
BOX_SCALE = 50.0  # metres for one unit of a viewpoint's position: a box of 100 m, from -1 to 1
BOX_ANCHOR = (50.0, 50.0, 50.0, 0.0)  # its middle, x, y, z (metres), yaw: p -> (p - 50) / 50 = 2 p / 100 - 1


@dataclass(frozen=True)
class SamplingConfig:
    """How scenes are drawn from trajectories."""

    window: int = setting(20, "Consecutive frames of a trajectory that a scene is drawn from.")
    fewest_observations: int = setting(3, "Fewest observations of a scene; all scenes of a batch have equally many.")
    most_observations: int = setting(17, "Most observations of a scene.")
    queries: int = setting(3, "Query views of each scene and step, other frames of the window: the encoder runs once.")
    poses: Literal["scene", "box"] = setting(
        "scene",
        "Poses relative to an anchor near the observations, or as published: absolute in a box of 100 m, for which "
        "model.position_scale must be 50.",
    )
    anchor_jitter: float = setting(0.5, "Greatest distance, metres, of a scene's anchor from its observations' mean.")
    drop_depth: float = setting(0.0, "Probability that a batch's observations come without depth images.")
    drop_objects: float = setting(0.0, "Probability that a batch's observations come without object images.")

    def __post_init__(self) -> None:
        if not 1 <= self.fewest_observations <= self.most_observations:
            raise ValueError(
                f"fewest_observations must be 1 to most_observations ({self.most_observations}), "
                f"not {self.fewest_observations}"
            )
        if self.queries < 1:
            raise ValueError(f"queries must be at least 1, not {self.queries}")
        if self.most_observations + self.queries > self.window:
            raise ValueError(
                f"most_observations ({self.most_observations}) and queries ({self.queries}) must fit into the "
                f"window of {self.window} frames"
            )
        for name in ("drop_depth", "drop_objects"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must lie in 0 to 1, not {getattr(self, name)}")
        if self.anchor_jitter < 0.0:
            raise ValueError(f"anchor_jitter must not be negative, not {self.anchor_jitter}")

    @property
    def fewest_frames(self) -> int:
        """Frames that a trajectory needs for a scene."""
        return self.most_observations + self.queries


class Draw(NamedTuple):
    """The choices behind one batch; numpy."""

    trajectories: np.ndarray  # b, int64
    queries: np.ndarray  # b q, int64: frames of the trajectory
    observations: np.ndarray  # b m, int64: other frames of the same window
    anchor_offsets: np.ndarray  # b 3, float32, metres, from the mean of the observations' positions
    anchor_yaws: np.ndarray  # b, float32, radians
    box: bool  # poses are absolute in the published box, whatever the anchors
    depth: bool  # the observations have depth images, if the data has
    objects: bool  # the observations have object images, if the data has

    @property
    def frames(self) -> np.ndarray:
        """Frames of each trajectory, (b, q + m): the queries, then the observations."""
        return np.concatenate([self.queries, self.observations], axis=1)

    def rows(self, chosen: slice) -> Draw:
        """The same for some of the scenes."""
        return Draw(*(field[chosen] if isinstance(field, np.ndarray) else field for field in self))


class Batch(NamedTuple):
    """What a training step or an evaluation gets."""

    observations: Observations
    query_viewpoints: Tensor  # b q 7
    query_images: Tensor  # b q 3 s s, [0, 1]
    # What else the data has, to learn from and to judge by, whatever the observations were left without:
    query_depth: Tensor | None = None  # b q 1 s s, metres, 0 = none
    query_objects: Tensor | None = None  # b q s s, uint8 class ids, 0 = unknown
    observation_depth: Tensor | None = None  # b m 1 s s, metres, 0 = none


def draw_scenes(
    config: SamplingConfig,
    lengths: np.ndarray,
    scenes: int,
    seed: int,
    step: int,
    observations: int | None = None,
) -> Draw:
    """Choose the scenes of a step out of trajectories of `lengths` (n,) frames.

    observations: their number in each scene; drawn from the configured range where it is None. Draws that differ only
    in it have the same queries, and the fewer observations are among the more.
    """
    random = _stream(seed, STEP_STREAM, 0, step)
    m = int(random.integers(config.fewest_observations, config.most_observations + 1))
    m = m if observations is None else observations
    depth, objects = random.random(2) >= (config.drop_depth, config.drop_objects)
    jitter = config.anchor_jitter * np.array([1.0, 1.0, HEIGHT_JITTER_SHARE])
    trajectories = np.empty(scenes, np.int64)
    frames = np.empty((scenes, config.queries + m), np.int64)
    offsets, yaws = np.empty((scenes, 3), np.float32), np.empty(scenes, np.float32)
    for row in range(scenes):
        epoch, index = divmod(step * scenes + row, len(lengths))
        trajectories[row] = _order(seed, epoch, len(lengths))[index]
        random = _stream(seed, SCENE_STREAM, epoch, index)
        window = min(config.window, int(lengths[trajectories[row]]))
        start = random.integers(0, lengths[trajectories[row]] - window + 1)
        offsets[row], yaws[row] = random.uniform(-1.0, 1.0, 3) * jitter, random.uniform(-np.pi, np.pi)
        frames[row] = start + random.random(window).argsort()[: config.queries + m]
    q = config.queries
    box = config.poses == "box"
    return Draw(trajectories, frames[:, :q], frames[:, q:], offsets, yaws, box, bool(depth), bool(objects))


def _stream(seed: int, purpose: int, epoch: int, index: int) -> np.random.Generator:
    """Random numbers that depend on these alone."""
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, purpose, epoch, index]))


@lru_cache(maxsize=4)  # training and evaluation, each with the epoch before at its border
def _order(seed: int, epoch: int, trajectories: int) -> np.ndarray:
    """The order of an epoch: a permutation of the trajectories."""
    return _stream(seed, ORDER_STREAM, epoch, 0).permutation(trajectories)


def assemble(draw: Draw, stored: StoredFrames, position_scale: float, device: torch.device) -> Batch:
    """The batch of a draw on `device`, of the frames that were fetched for it, poses relative to each scene's anchor.

    stored: tensors b (q + m) ..., in the order of `draw.frames`.
    """
    q = draw.queries.shape[1]
    stored = StoredFrames(*(None if tensor is None else moved(tensor, device) for tensor in stored))
    anchors_b4 = _anchors(draw, stored.poses[:, q:], device)
    viewpoints = relative_viewpoints(stored.poses, anchors_b4[:, None], position_scale)
    rgb = stored.rgb.movedim(-1, -3) / 255
    query_depth = observation_depth = query_objects = objects = None
    if stored.depth is not None:
        depth = (stored.depth[:, :, None].to(torch.int32) & 0xFFFF) / 1000  # metres
        query_depth, observation_depth = depth[:, :q], depth[:, q:]
    if stored.objects is not None:
        query_objects = stored.objects[:, :q]
        objects = objects_picture(stored.objects[:, q:], _palette(device)) if draw.objects else None
    observations = Observations(rgb[:, q:], viewpoints[:, q:], observation_depth if draw.depth else None, objects)
    return Batch(observations, viewpoints[:, :q], rgb[:, :q], query_depth, query_objects, observation_depth)


def _anchors(draw: Draw, poses_bm5: Tensor, device: torch.device) -> Tensor:
    """What the poses of each scene are relative to, (b, 4), given its observations' poses."""
    if draw.box:
        return _box_anchor(device).expand(len(poses_bm5), -1)
    anchors_b4 = moved(torch.from_numpy(np.concatenate([draw.anchor_offsets, draw.anchor_yaws[:, None]], 1)), device)
    anchors_b4[:, :3] += poses_bm5[..., :3].mean(dim=1)
    return anchors_b4


def check_poses(config: SamplingConfig, position_scale: float) -> None:
    """Raises ValueError where a network's unit of positions is not that of the published box."""
    if config.poses == "box" and position_scale != BOX_SCALE:
        raise ValueError(f"sampling.poses=box needs model.position_scale={BOX_SCALE:g}, not {position_scale:g}")


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`, without waiting for the GPU."""
    if tensor.device == device:
        return tensor
    if device.type == "cuda" and tensor.device.type == "cpu" and not tensor.is_pinned():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


@lru_cache(maxsize=4)
def _palette(device: torch.device) -> Tensor:
    return class_colours().to(device)


@lru_cache(maxsize=4)
def _box_anchor(device: torch.device) -> Tensor:
    return torch.tensor(BOX_ANCHOR, device=device)
