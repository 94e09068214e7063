"""Trajectories of made houses held in memory as whole tensors, on the GPU where they fit.

Frames stay as they were made (8-bit colour and classes, 16-bit depth) until a batch is drawn, so that drawing one is
plain indexing: no decoding and no copy of what is not used. Making trajectories is `training.houses`; choosing frames
of them is `training.data.sampling`; trajectories on a disk are `training.data.dataset`.

Shapes: n trajectories, f frames of each, s image size, b scenes, k frames drawn of each.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from training.configuration import UserError, section, setting
from training.data.sampling import Draw, moved
from training.data.shards import MODALITIES, StoredFrames
from training.houses import UNSEEN_SEEDS_FROM, TrajectoryMaker, WalkConfig, make_trajectories
from training.trajectory import Trajectory

BYTES_PER_PIXEL = 3 + 2 + 1  # rgb, depth, objects
SHARE_OF_MEMORY = 0.6  # of the free GPU or the machine's memory that trajectories may take; training needs the rest


@dataclass(frozen=True)
class HousesConfig:
    """How many generated houses to learn from, and to keep apart for evaluation."""

    train: int = setting(2000, "Houses to train on, by seed from 0 on; one trajectory through each.")
    unseen: int = setting(64, "Houses never trained on, for evaluation, by seed from 10,000,000 on.")
    walk: WalkConfig = section(WalkConfig)
    on_device: Literal["auto", "yes", "no"] = setting(
        "auto", "Hold the trajectories on the training device; auto: where they fit.", may_change=True
    )

    def __post_init__(self) -> None:
        if not 1 <= self.train <= UNSEEN_SEEDS_FROM:
            raise ValueError(f"train must be 1 to {UNSEEN_SEEDS_FROM} houses, not {self.train}")
        if self.unseen < 1:
            raise ValueError(f"unseen must be at least 1 house, not {self.unseen}")


class TrajectorySet:
    """Equally long trajectories, all on one device."""

    def __init__(self, trajectories: int, frames: int, image_size: int, device: torch.device) -> None:
        shape = (trajectories, frames, image_size, image_size)
        self.rgb = torch.empty(*shape, 3, dtype=torch.uint8, device=device)
        self.depth = torch.empty(
            shape, dtype=torch.int16, device=device
        )  # the bits of uint16: torch indexes only int16
        self.objects = torch.empty(shape, dtype=torch.uint8, device=device)
        self.poses = torch.empty(trajectories, frames, 5, device=device)
        self.lengths = np.full(trajectories, frames)  # n: frames of each

    modalities = MODALITIES  # made houses have all

    def __len__(self) -> int:
        return self.rgb.shape[0]

    @classmethod
    def of(cls, trajectories: list[Trajectory], device: torch.device | str = "cpu") -> TrajectorySet:
        """The set of these trajectories."""
        frames, image_size = trajectories[0].rgb.shape[:2]
        held = cls(len(trajectories), frames, image_size, torch.device(device))
        for index, trajectory in enumerate(trajectories):
            held.put(index, trajectory)
        return held

    def put(self, index: int, trajectory: Trajectory) -> None:
        """Store a trajectory at `index`."""
        self.rgb[index] = torch.from_numpy(trajectory.rgb)
        self.depth[index] = torch.from_numpy(trajectory.depth.view(np.int16))
        self.objects[index] = torch.from_numpy(trajectory.objects)
        self.poses[index] = torch.from_numpy(trajectory.poses)

    def tensors(self) -> tuple[torch.Tensor, ...]:
        """All that it holds, each n ...."""
        return self.rgb, self.depth, self.objects, self.poses

    def copy_from(self, other: TrajectorySet, index: int) -> None:
        """Store another set's trajectories from `index` on."""
        for held, given in zip(self.tensors(), other.tensors(), strict=True):
            held[index : index + len(other)] = given

    def fetch(self, draw: Draw) -> StoredFrames:
        """The frames of a draw as they are held: tensors b k ..., on the device of this set."""
        rows = torch.from_numpy(draw.trajectories[:, None] * self.rgb.shape[1] + draw.frames)
        rows = moved(rows, self.rgb.device)
        return StoredFrames(*(tensor.flatten(0, 1)[rows] for tensor in self.tensors()))


HouseMaker = Callable[[int, int, TrajectoryMaker, torch.device], TrajectorySet]  # as `render_houses`


def _show_progress(name: str, done: int, count: int, seconds: float) -> None:
    """Rewrite the line on a terminal; in a log file, write some ten lines in all."""
    terminal = sys.stderr.isatty()
    if terminal or done == count or done % max(1, count // 10) == 0:
        end = "\r" if terminal and done < count else "\n"
        sys.stderr.write(f"{name}: {done} of {count}, {seconds:.0f} s{end}")  # in one piece: ^C does not come between
        sys.stderr.flush()


def device_for(
    trajectories: int, frames: int, image_size: int, wish: str, device: torch.device, processes: int = 1
) -> torch.device:
    """Where so many trajectories, all that a command holds at once, are to lie: `device` or the CPU.

    wish: "auto", "yes" or "no", as HousesConfig.on_device. processes: on this machine, each with a device and
    trajectories of its own. Raises UserError where they fit nowhere.
    """
    needed = trajectories * frames * image_size**2 * BYTES_PER_PIXEL
    if device.type == "cuda" and wish != "no":
        free = torch.cuda.mem_get_info(device)[0]
        if wish == "yes" or needed < SHARE_OF_MEMORY * free:
            return device
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if processes * needed > SHARE_OF_MEMORY * memory:
        each = f" in each of {processes} processes" if processes > 1 else ""
        raise UserError(
            f"{trajectories} trajectories of {frames} frames take {needed / 1e9:.1f} GB{each}, over "
            f"{SHARE_OF_MEMORY:.0%} of this machine's {memory / 1e9:.1f} GB: lower the numbers of houses or frames"
        )
    return torch.device("cpu")


def render_houses(
    first_seed: int, houses: int, maker: TrajectoryMaker, place: torch.device, cores: int | None = None
) -> TrajectorySet:
    """One trajectory through each of the generated houses from `first_seed` on, held on `place`, see `device_for`.

    cores: of the processor, to render on; None: all.
    Raises UserError where nothing can be rendered.
    """
    held = TrajectorySet(houses, maker.walk.frames, maker.image_size, place)
    seeds = range(first_seed, first_seed + houses)
    processes = min(houses, cores or len(os.sched_getaffinity(0)))
    start = time.monotonic()
    for index, trajectory in enumerate(make_trajectories(seeds, processes, maker)):
        held.put(index, trajectory)
        _show_progress(f"houses from seed {first_seed:,}", index + 1, houses, time.monotonic() - start)
    return held
