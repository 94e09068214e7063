"""The stream of scenes that training takes: for each step its draw and the frames that it names.

Frames in memory are fetched where they lie; those on a disk by worker processes, some steps ahead. Each step is made
whole by one worker and depends on nothing but its number, so the stream can begin at any step.
"""

from __future__ import annotations

import atexit
import itertools
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch.utils.data import DataLoader, Dataset

from training.data.dataset import ShardSet
from training.data.sampling import Draw, SamplingConfig, draw_scenes
from training.data.shards import StoredFrames
from training.workers import deaf_to

SECONDS_AFTER_SIGTERM = 5  # for training to end its step, for which it may need what a worker reads
STEPS_AHEAD = 4  # that each worker prepares: bounds memory, and covers a step that takes longer


class TrajectorySource(Protocol):
    """Trajectories, in memory or on a disk."""

    lengths: np.ndarray  # n: frames of each
    modalities: tuple[str, ...]  # what its frames have: rgb, depth, objects

    def fetch(self, draw: Draw) -> StoredFrames:
        """The frames of a draw, tensors b (q + m) ..., in the order of `draw.frames`."""
        ...


@dataclass(frozen=True)
class StepScenes(Dataset):
    """The scenes of a step, or one process's rows of them, by its number."""

    source: TrajectorySource
    config: SamplingConfig
    scenes: int  # of a step
    seed: int
    rows: slice | None = None  # of a step's scenes; None: all

    def __getitem__(self, step: int) -> tuple[Draw, StoredFrames]:
        draw = draw_scenes(self.config, self.source.lengths, self.scenes, self.seed, step)
        draw = draw if self.rows is None else draw.rows(self.rows)
        return draw, self.source.fetch(draw)


def scene_stream(scenes: StepScenes, first_step: int, workers: int) -> Iterator[tuple[Draw, StoredFrames]]:
    """Draw and frames of each step from `first_step` on, without end.

    workers: processes that read shards; 0: this one. Trajectories in memory need none.
    """
    if workers == 0 or not isinstance(scenes.source, ShardSet):
        return (scenes[step] for step in itertools.count(first_step))
    loader = DataLoader(
        scenes,
        batch_size=None,  # a step is a batch already
        sampler=itertools.count(first_step),
        num_workers=workers,
        prefetch_factor=STEPS_AHEAD,
        multiprocessing_context="spawn",  # neither CUDA nor a graphics context survives a fork
        worker_init_fn=_begin_worker,
    )
    with deaf_to(signal.SIGINT, signal.SIGTERM):
        return iter(loader)


def lost_worker(error: Exception) -> str | None:
    """What became of a worker process, as "pid 12 is killed by signal: Killed", where an exception is about that."""
    found = re.search(r"DataLoader worker \((pid.*(?:is killed by signal: [\w ]*\w|exited unexpectedly))", str(error))
    return found and found[1].replace("pid(s)", "pid").replace(")", "", 1)


def _begin_worker(_: int) -> None:
    """What each worker does first: a SIGTERM that goes to all of a group is the training process's.

    It is also how that process, when it ends, ends workers that are at work: it ends them a little later.
    """
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(SECONDS_AFTER_SIGTERM))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # blocked until here: starting takes seconds
    atexit.register(os._exit, 0)  # Arrow's threads abort a process that ends while they work
