"""What a data set holds, and whether it is whole: `python -m training.data check DATA`.

Verifies every file's SHA-256, decodes every frame, names what is damaged with file and row, prints statistics and
draws a contact sheet: frames of some trajectories in all modalities, and their paths from above.

Shapes: f frames, s image size.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from placenet_ros.counted import counted
from placenet_ros.model.modalities import DEPTH_RANGE_M, class_colours
from training.configuration import UserError, argument, setting
from training.data.dataset import ShardSet
from training.data.manifest import MANIFEST, ShardEntry, read_manifest, sha256_of
from training.data.path_picture import path_from_above
from training.data.shards import DamagedError, Description, Shard, StoredFrames
from training.workers import Workers, worker_count

DEPTH_BIN = 10  # millimetres
NAMED_AT_MOST = 20  # damaged files and trajectories
SHEET_TRAJECTORIES, SHEET_FRAMES = 8, 6
SHEET_SCALE = 1.5  # pixels of the sheet for one of a picture
CLASSES_SHOWN = 8


@dataclass(frozen=True)
class CheckConfig:
    """Verify a data set, print what it holds, and draw a contact sheet."""

    data: str = argument("Folder of the data set.")
    sheet: str = setting("out/contact-sheet.png", "File for the contact sheet.")
    decode: bool = setting(True, "Decode every frame; false: compare SHA-256 alone.")
    processes: int | None = setting(None, "Processes that decode; null: one for each core.")


@dataclass
class Statistics:
    """Sums over frames; those of several shards add up."""

    frames: int = 0
    colour_sum: np.ndarray = field(default_factory=lambda: np.zeros(3))  # of all pixels' r, g, b in 0..255
    colour_squares: np.ndarray = field(default_factory=lambda: np.zeros(3))
    pixels: int = 0
    depth_bins: np.ndarray = field(default_factory=lambda: np.zeros(65536 // DEPTH_BIN + 1, np.int64))
    depth_none: int = 0
    classes: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    steps: list[float] = field(default_factory=list)  # metres from frame to frame, of the frames that move
    heights: list[float] = field(default_factory=list)  # metres, of each trajectory's first camera
    tilts: list[float] = field(default_factory=list)  # degrees
    low: np.ndarray = field(default_factory=lambda: np.full(3, np.inf))  # metres
    high: np.ndarray = field(default_factory=lambda: np.full(3, -np.inf))

    def take(self, frames: StoredFrames) -> None:
        """Add a trajectory."""
        self.frames += len(frames.poses)
        colours = frames.rgb.reshape(-1, 3).astype(np.float64)
        self.colour_sum += colours.sum(axis=0)
        self.colour_squares += np.square(colours).sum(axis=0)
        self.pixels += len(colours)
        if frames.depth is not None:
            bins = np.bincount(frames.depth.reshape(-1) // DEPTH_BIN, minlength=len(self.depth_bins))
            self.depth_none += int((frames.depth == 0).sum())
            self.depth_bins += bins
        if frames.objects is not None:
            self.classes += np.bincount(frames.objects.reshape(-1), minlength=256)
        steps = np.linalg.norm(np.diff(frames.poses[:, :3], axis=0), axis=1)
        self.steps += steps[steps > 0.01].tolist()
        self.heights.append(float(frames.poses[0, 2]))
        self.tilts.append(float(np.degrees(frames.poses[0, 4])))
        self.low = np.minimum(self.low, frames.poses[:, :3].min(axis=0))
        self.high = np.maximum(self.high, frames.poses[:, :3].max(axis=0))

    def add(self, other: Statistics) -> None:
        """Add another's sums."""
        for name in ("frames", "colour_sum", "colour_squares", "pixels", "depth_bins", "depth_none", "classes",
                     "steps", "heights", "tilts"):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.low, self.high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)

    def lines(self, description: Description) -> Iterator[str]:
        """What to print of them."""
        mean = self.colour_sum / self.pixels
        spread = np.sqrt(np.maximum(self.colour_squares / self.pixels - mean**2, 0.0))
        yield f"colour      mean {_numbers(mean)}, standard deviation {_numbers(spread)} (0..255: r, g, b)"
        if "depth" in description.modalities:
            none = self.depth_none / self.pixels
            bins = self.depth_bins.copy()
            bins[0] -= self.depth_none
            below = np.cumsum(bins) / max(1, bins.sum())
            parts = [np.searchsorted(below, share) * DEPTH_BIN / 1000 for share in (0.05, 0.5, 0.95)]
            yield f"depth       5 %, 50 %, 95 % below {_numbers(parts, 2)} m; none in {none:.2%} of the pixels"
        if "objects" in description.modalities:
            seen = np.argsort(-self.classes, kind="stable")[: np.count_nonzero(self.classes)]
            names = dict(enumerate(description.class_names))
            shares = [f"{names.get(i, f'id {i}')} {self.classes[i] / self.pixels:.1%}" for i in seen[:CLASSES_SHOWN]]
            rest = f" and {len(seen) - CLASSES_SHOWN} more" if len(seen) > CLASSES_SHOWN else ""
            yield f"classes     {', '.join(shares)}{rest}"
        if self.steps:
            parts = np.percentile(self.steps, [5, 50, 95])
            yield f"steps       5 %, 50 %, 95 % below {_numbers(parts, 2)} m, where the camera moves at all"
        yield f"camera      heights {_span(self.heights)} m, tilts {_span(self.tilts)} degrees"
        yield (
            "positions   "
            + ", ".join(
                f"{axis} {low:.1f}..{high:.1f}" for axis, low, high in zip("xyz", self.low, self.high, strict=True)
            )
            + " m"
        )


def _numbers(values: np.ndarray | list[float], digits: int = 0) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)


def _span(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


def checked_shard(folder: Path, decode: bool, entry: ShardEntry) -> tuple[Statistics, list[str]]:
    """Statistics of a shard's trajectories, and a line for each damage."""
    path, statistics, damage = folder / entry.file, Statistics(), []
    try:
        if sha256_of(path) != entry.sha256:
            damage.append(f"{path}: its SHA-256 is not the one in {MANIFEST}")
    except OSError as error:
        return statistics, [f"{path}: cannot be read: {error.strerror}"]
    if not decode:
        return statistics, damage
    try:
        shard = Shard(path)
    except DamagedError as error:
        return statistics, [*damage, str(error)]
    with shard:
        if shard.trajectories != len(entry.lengths):
            found = counted(shard.trajectories, "trajectory", "trajectories")
            damage.append(f"{path}: has {found}, {MANIFEST} says {len(entry.lengths)}")
        for row in range(shard.trajectories):
            try:
                statistics.take(shard.read(row))
            except DamagedError as error:
                damage.append(str(error))
    return statistics, damage


def check(config: CheckConfig) -> None:
    """The command. Raises UserError where something is damaged, after all has been looked at."""
    folder = Path(config.data)
    manifest = read_manifest(folder)
    if not manifest.complete:
        raise UserError(f"{folder}: the data set is not complete: run the command that makes it again")
    shards, description = manifest.shards, manifest.description
    trajectories, frames = sum(len(s.lengths) for s in shards), sum(sum(s.lengths) for s in shards)
    size = sum(shard.bytes for shard in shards)
    fov = description.field_of_view_degrees
    held = f"{counted(trajectories, 'trajectory', 'trajectories')}, {counted(frames, 'frame')}"
    print(f"{folder}: {held}, split '{manifest.split}'")
    print(f"stored      {counted(len(shards), 'shard')}, {size / 1e6:,.1f} MB, {size / frames / 1000:.2f} kB a frame")
    print(
        f"pictures    {description.image_size} pixels, field of view "
        f"{'unknown' if fov is None else f'{fov:g} degrees'}, {', '.join(description.modalities)}"
    )
    if manifest.skipped:
        print(f"skipped     {counted(len(manifest.skipped), 'part')} of the source, named in {MANIFEST}")
    statistics, damage = Statistics(), []
    processes = min(worker_count(config.processes), len(shards))
    with Workers(processes) as pool:
        for some, found in pool.map(partial(checked_shard, folder, config.decode), shards):
            statistics.add(some)
            damage += found
    if statistics.frames:
        print("\n".join(statistics.lines(description)))
    if not damage:
        draw_sheet(ShardSet(folder), Path(config.sheet))
        print(f"whole: every SHA-256 agrees{', every frame decodes' if config.decode else ''}")
        print(f"contact sheet in {config.sheet}")
        return
    for line in damage[:NAMED_AT_MOST]:
        print(f"damaged: {line}", file=sys.stderr)
    raise UserError(
        f"{folder}: files or trajectories that are damaged: {len(damage)}; make the files named again (delete them and "
        "run the command that made them), or train with data.skip_damaged=true"
    )


# ---- Contact sheet ---------------------------------------------------------------------------------------------------


def draw_sheet(shards: ShardSet, path: Path) -> None:
    """Write a contact sheet: a block for each of some trajectories, evenly chosen; a PNG file."""
    count = min(SHEET_TRAJECTORIES, len(shards))
    chosen = np.linspace(0, len(shards) - 1, count).round().astype(int)
    blocks = [block_of(shards, int(index)) for index in chosen]
    width = max(block.shape[1] for block in blocks)
    padded = [np.pad(block, ((0, 6), (0, width - block.shape[1]), (0, 0)), constant_values=255) for block in blocks]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(padded)).save(path, format="PNG")


def block_of(shards: ShardSet, index: int) -> np.ndarray:
    """Frames of a trajectory in all modalities, one below the other, and its path from above: uint8 (h, w, 3)."""
    length = int(shards.lengths[index])
    frames = np.linspace(0, length - 1, min(SHEET_FRAMES, length)).round().astype(int)
    seen, poses = shards.read(index, frames), shards.read(index).poses
    rows = [seen.rgb]
    if seen.depth is not None:
        grey = np.clip(seen.depth / (1000 * DEPTH_RANGE_M), 0, 1)
        rows.append((255 * grey[..., None].repeat(3, axis=3)).astype(np.uint8))
    if seen.objects is not None:
        rows.append((255 * class_colours().numpy()).astype(np.uint8)[seen.objects])
    pictures = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    size = [round(SHEET_SCALE * side) for side in (pictures.shape[1], pictures.shape[0])]
    enlarged = np.asarray(Image.fromarray(pictures).resize(size, Image.Resampling.NEAREST))
    return np.concatenate([enlarged, path_from_above(poses, frames, enlarged.shape[0])], axis=1)
