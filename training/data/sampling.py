"""Which frames make a scene: some observations and some query views out of a window of consecutive frames.

Everything drawn is a pure function of (seed, step): nothing needs to be saved to resume, and a batch is the same
whatever machine or number of processes works on it (each takes its rows of it).

Shapes: b scenes, m observations, q queries of each, s image size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from placenet_ros.model import Observations
from placenet_ros.model.viewpoints import relative_viewpoints
from training.configuration import setting
from training.data.trajectories import TrajectorySet, moved

HEIGHT_JITTER_SHARE = 0.2  # of anchor_jitter: robots differ in height far less than in where they start


@dataclass(frozen=True)
class SamplingConfig:
    """How scenes are drawn from trajectories."""

    window: int = setting(20, "Consecutive frames of a trajectory that a scene is drawn from.")
    fewest_observations: int = setting(3, "Fewest observations of a scene; all scenes of a batch have equally many.")
    most_observations: int = setting(17, "Most observations of a scene.")
    queries: int = setting(3, "Query views of each scene and step, other frames of the window: the encoder runs once.")
    anchor_jitter: float = setting(0.5, "Greatest distance, metres, of a scene's anchor from its observations' mean.")
    drop_depth: float = setting(0.0, "Probability that a batch comes without depth images.")
    drop_objects: float = setting(0.0, "Probability that a batch comes without object images.")

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


class Draw(NamedTuple):
    """The choices behind one batch; numpy."""

    trajectories: np.ndarray  # b, int64
    queries: np.ndarray  # b q, int64: frames of the trajectory
    observations: np.ndarray  # b m, int64: other frames of the same window
    anchor_offsets: np.ndarray  # b 3, float32, metres, from the mean of the observations' positions
    anchor_yaws: np.ndarray  # b, float32, radians
    depth: bool  # the batch has depth images
    objects: bool  # the batch has object images


class Batch(NamedTuple):
    """What a training step or an evaluation gets."""

    observations: Observations
    query_viewpoints: Tensor  # b q 7
    query_images: Tensor  # b q 3 s s, [0, 1]


def draw_scenes(
    config: SamplingConfig,
    data: TrajectorySet,
    scenes: int,
    seed: int,
    step: int,
    observations: int | None = None,
) -> Draw:
    """Choose the scenes of a step.

    observations: their number in each scene; drawn from the configured range where it is None. Draws that differ only
    in it have the same queries, and the fewer observations are among the more.
    """
    random = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, step]))
    m = int(random.integers(config.fewest_observations, config.most_observations + 1))
    m = m if observations is None else observations
    depth, objects = random.random(2) >= (config.drop_depth, config.drop_objects)
    trajectories = random.integers(0, len(data), scenes)
    starts = random.integers(0, data.frames - config.window + 1, scenes)
    shuffled = random.random((scenes, config.window)).argsort(axis=1) + starts[:, None]
    jitter = config.anchor_jitter * np.array([1.0, 1.0, HEIGHT_JITTER_SHARE])
    return Draw(
        trajectories,
        shuffled[:, : config.queries],
        shuffled[:, config.queries : config.queries + m],
        (random.uniform(-1.0, 1.0, (scenes, 3)) * jitter).astype(np.float32),
        random.uniform(-np.pi, np.pi, scenes).astype(np.float32),
        bool(depth),
        bool(objects),
    )


def assemble(draw: Draw, data: TrajectorySet, position_scale: float, device: torch.device) -> Batch:
    """The batch of a draw on `device`, its poses relative to each scene's anchor."""
    q = draw.queries.shape[1]
    frames = np.concatenate([draw.queries, draw.observations], axis=1)
    taken = data.take(torch.from_numpy(draw.trajectories), torch.from_numpy(frames), device)
    chosen = torch.from_numpy(np.concatenate([draw.anchor_offsets, draw.anchor_yaws[:, None]], axis=1))
    anchors_b4 = moved(chosen, device)
    anchors_b4[:, :3] += taken.poses[:, q:, :3].mean(dim=1)
    viewpoints = relative_viewpoints(taken.poses, anchors_b4[:, None], position_scale)
    observations = Observations(
        rgb=taken.rgb[:, q:],
        viewpoints=viewpoints[:, q:],
        depth=taken.depth[:, q:] if draw.depth else None,
        objects=taken.objects[:, q:] if draw.objects else None,
    )
    return Batch(observations, viewpoints[:, :q], taken.rgb[:, :q])
