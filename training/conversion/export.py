"""Export of shards as the authors' House files, so that their code trains on any data: `python -m training.convert
export SRC OUT`.

Trajectory i becomes `OUT/i.pt`, which their loader (`data_loader.py`) reads: `torch.save` of its `Scene`, with

    image_r  the shards' JPEG files, byte for byte
    image_d  PNG, 3 equal channels of 8 bits: white is `depth_range` and beyond, black is none
    image_o  PNG, 3 channels: each class in its colour (placenet_ros.model.modalities.class_colours)
    poses    1 x frames x 5 float32: x, y, z, yaw, pitch; metres with y up, radians

Their positions lie within 0 and 100 m on each axis, where ours begin anywhere and y becomes -z; so each file has
(x + 50, z, 50 - y) of our (x, y, z). Yaw stays: counter-clockwise seen from above, 0 looking along x.
Their loader counts the files of the folder, so nothing else is written into it.
"""

from __future__ import annotations

import collections
import io
import os
import re
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from placenet_ros.model.modalities import DEPTH_RANGE_M, class_colours
from training.configuration import UserError, argument, setting
from training.conversion.house_poses import HOUSE_SIZE, TO_Z_UP
from training.conversion.scene_pickle import Scene
from training.data.dataset import ShardSet
from training.data.shards import FARTHEST_DEPTH

AUTHORS_MODULE = "data_loader"  # where their loader looks for its class
AUTHORS_FRAMES = 300
OFFSET = np.array([HOUSE_SIZE / 2, 0.0, HOUSE_SIZE / 2])  # metres, added to positions with y up


@dataclass(frozen=True)
class HouseExport:
    """Write a data set's trajectories as House files of the authors' code (0.pt, 1.pt, ...)."""

    source: str = argument("Folder of the shards.")
    out: str = argument("Folder to write the .pt files into; nothing else may be in it.")
    depth_range: float = setting(DEPTH_RANGE_M, "Metres that white is to stand for in depth pictures.")
    skip_damaged: bool = setting(False, "Leave out trajectories that cannot be read, and count them.")

    def __post_init__(self) -> None:
        if not 0.0 < self.depth_range <= FARTHEST_DEPTH:
            raise ValueError(f"depth_range must be over 0 and at most {FARTHEST_DEPTH} m, not {self.depth_range:g}")


def export_houses(config: HouseExport) -> int:
    """Write the files; returns how many. Raises UserError, OSError."""
    data, out = ShardSet(Path(config.source)), Path(config.out)
    _check_folder(out, len(data))
    lengths = np.unique(data.lengths)
    if list(lengths) != [AUTHORS_FRAMES]:
        found = f"{lengths[0]} to {lengths[-1]}" if len(lengths) > 1 else f"{lengths[0]}"
        print(
            f"warning: trajectories of {found} frames; the authors' have {AUTHORS_FRAMES}, equal in a batch",
            file=sys.stderr,
        )
    written = 0
    for index in range(len(data)):
        try:
            scene = house_scene(data, index, config.depth_range)
        except UserError as error:
            if not config.skip_damaged:
                raise
            print(f"skipped: {error}", file=sys.stderr)
            continue
        _write(out / f"{written}.pt", scene)
        written += 1
    data.close()
    return written


def house_scene(data: ShardSet, index: int, depth_range: float) -> Scene:
    """What a trajectory becomes in a file. Raises UserError where it cannot be read or lies too far out."""
    shard, row = data.shard(index)
    stored = shard.read(row)  # all of it, so that nothing damaged is passed on
    rgb = shard.encoded(row).column("rgb").to_pylist()
    positions = stored.poses[:, :3].astype(np.float64) @ TO_Z_UP["y"] + OFFSET
    if positions.min() < 0.0 or positions.max() > HOUSE_SIZE:
        raise UserError(
            f"{shard.path}: trajectory {row} ({shard.name(row)}): expected x and y within -50 and 50 m and z within "
            f"0 and 100 m, found {stored.poses[:, :3].min(axis=0)} to {stored.poses[:, :3].max(axis=0)}"
        )
    poses = np.concatenate([positions, stored.poses[:, 3:]], axis=1).astype(np.float32)
    depth = [] if stored.depth is None else [_png(grey) for grey in _grey(stored.depth, depth_range)]
    palette = (255 * class_colours()).round().byte().numpy()
    objects = [] if stored.objects is None else [_png(palette[ids]) for ids in stored.objects]
    return Scene(rgb, depth, objects, poses[None])


def _grey(millimetres: np.ndarray, depth_range: float) -> np.ndarray:
    """Depth (f, s, s) as (f, s, s, 3) uint8. What was measured is never black, which means none."""
    levels = np.clip(np.round(millimetres * (255 / (1000 * depth_range))), 1, 255) * (millimetres > 0)
    return np.repeat(levels.astype(np.uint8)[..., None], 3, axis=-1)


def _png(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def _check_folder(out: Path, files: int) -> None:
    """Make the folder, or see that it holds only what this command wrote. Raises UserError."""
    out.mkdir(parents=True, exist_ok=True)
    for path in out.iterdir():
        number = re.fullmatch(r"(\d+)[.]pt", path.name)
        if re.fullmatch(r"[.]\d+[.]pt[.]part", path.name):
            path.unlink()
        elif number is None or int(number[1]) >= files:
            raise UserError(
                f"{out}: holds {path.name}, which the authors' loader would count among the {files} trajectories: "
                "choose another folder"
            )


def _write(path: Path, scene: Scene) -> None:
    """Write a file whole, or not at all, in the legacy form, which all versions of torch read. Raises OSError."""
    content = io.BytesIO()
    with _authors_class() as authors_scene:
        torch.save(authors_scene(*scene), content, _use_new_zipfile_serialization=False)
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_bytes(content.getbuffer())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def _authors_class() -> Iterator[type]:
    """A `Scene` that is pickled as the authors' own; pickling looks it up in its module."""
    before = sys.modules.get(AUTHORS_MODULE)
    module = types.ModuleType(AUTHORS_MODULE)
    module.Scene = collections.namedtuple("Scene", Scene._fields, module=AUTHORS_MODULE)
    sys.modules[AUTHORS_MODULE] = module
    try:
        yield module.Scene
    finally:
        if before is None:
            del sys.modules[AUTHORS_MODULE]
        else:
            sys.modules[AUTHORS_MODULE] = before
