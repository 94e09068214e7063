"""Import of one's own pictures: a folder of images and a CSV of their poses.
`python -m training.convert images FOLDER OUT field_of_view=69.4`

The CSV (FOLDER/poses.csv, or poses=FILE) has a header and a row for each picture, in the order of the walk:

    file,x,y,z,yaw,pitch                    required
    depth,objects,trajectory                optional, in any order

file, depth and objects are files below FOLDER: JPEG or PNG in colour; PNG of 16 bits with the depth along the optical
axis, 0 = none; PNG of 8 bits with a class id for each pixel, 0 = unknown. x, y, z: the camera's position, z up.
yaw: counter-clockwise about z, 0 looking along x. pitch: positive looking up. The camera must not roll.
trajectory: a name; rows of one name are one trajectory. Without it, all rows are.

All pictures are resampled to one square pinhole camera, so that one field of view holds for the data set whatever
camera took them; averaging over each pixel's area, so that nothing aliases.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import numpy as np

from placenet_ros.counted import counted
from placenet_ros.scene.camera import PinholeCamera, ViewResampler
from placenet_ros.scene.depth import millimetres
from training.configuration import UserError, argument, setting
from training.conversion.encoded_images import DamagedImage, colours, values
from training.data.manifest import sha256_of
from training.data.path_picture import draw_paths
from training.data.shards import Description
from training.data.writing import Summary, write_dataset
from training.trajectory import Skipped, Trajectory
from training.workers import worker_count

REQUIRED = ("file", "x", "y", "z", "yaw", "pitch")
OPTIONAL = ("depth", "objects", "trajectory")
LARGEST_CSV = 2**30  # bytes: ten million rows
LARGEST_FILE = 256 * 2**20  # bytes of a picture
FARTHEST = 1e6  # metres
MOST_DEGREES = 36_000.0  # of yaw: a hundred turns
LONGEST_TRAJECTORY = 1000  # frames held in memory; longer ones are cut into such pieces
TRAJECTORIES_PER_SHARD = 20
NAMED_AT_MOST = 10  # bad rows


@dataclass(frozen=True)
class ImagesImport:
    """Convert a folder of images and a CSV of their poses to shards (columns: see training/conversion/images.py)."""

    source: str = argument("Folder of the images.")
    out: str = argument("Folder to write the shards into.")
    poses: str | None = setting(None, "CSV file; null: poses.csv in the folder.")
    field_of_view: float | None = setting(None, "Of the images' whole width, degrees; must be given.")
    view: float = setting(60.0, "Field of view of the shards' pictures, degrees, both ways: that of the weights.")
    angles: Literal["radians", "degrees"] = setting("radians", "Unit of yaw and pitch.")
    metres_per_unit: float = setting(1.0, "Of x, y and z.")
    depth_metres_per_level: float = setting(0.001, "Of depth pictures; 0.001: millimetres.")
    class_names: tuple[str, ...] = setting((), "Names of the class ids from 0 on, comma-separated.")
    image_size: int = setting(64, "Pixels along each side of the shards' pictures.")
    split: Literal["train", "unseen"] = setting("train", "unseen: never to be trained on, for evaluation.")
    processes: int | None = setting(None, "Processes that convert; null: one for each core.")
    skip_damaged: bool = setting(False, "Count and name bad rows and damaged pictures and go on.")

    def __post_init__(self) -> None:
        if self.field_of_view is None:
            raise ValueError("field_of_view= must be given: the degrees that the images' whole width covers")
        Description(self.image_size, self.view, class_names=self.class_names)  # raises ValueError for what cannot be
        for name in ("field_of_view", "view"):
            if not 1.0 <= getattr(self, name) <= 170.0:
                raise ValueError(f"{name} must be 1 to 170 degrees, not {getattr(self, name):g}")
        for name in ("metres_per_unit", "depth_metres_per_level"):
            if getattr(self, name) <= 0.0:
                raise ValueError(f"{name} must be over 0, not {getattr(self, name):g}")


class Row(NamedTuple):
    """A picture and its pose."""

    line: int  # of the CSV
    file: str
    depth: str | None
    objects: str | None
    pose: tuple[float, ...]  # x, y, z (metres), yaw, pitch (radians)


@dataclass(frozen=True)
class Walk:
    """Some rows that make one trajectory."""

    name: str
    rows: tuple[Row, ...]

    def __str__(self) -> str:
        return self.name


# ---- The CSV ---------------------------------------------------------------------------------------------------------


def read_walks(config: ImagesImport, path: Path) -> tuple[list[Walk], list[str]]:
    """The trajectories of a CSV, and the columns it has. Raises UserError, naming file and line."""
    try:
        if path.stat().st_size > LARGEST_CSV:
            raise UserError(f"{path}: over {LARGEST_CSV >> 20} MiB: split it into several data sets")
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = _columns(path, reader.fieldnames)
            groups, bad = _grouped(config, path, reader, columns)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file: write one with the columns {','.join(REQUIRED)}, or poses=") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: no CSV in UTF-8: {error}") from error
    for line in bad[:NAMED_AT_MOST]:
        print(f"skipped: {line}", file=sys.stderr)
    if len(bad) > NAMED_AT_MOST:
        print(f"skipped: {counted(len(bad) - NAMED_AT_MOST, 'more row')}", file=sys.stderr)
    if not groups:
        raise UserError(f"{path}: no row that can be used, of {len(bad)}" + (f"; {bad[0]}" if bad else ""))
    walks = []
    for name, rows in groups.items():
        for start in range(0, len(rows), LONGEST_TRAJECTORY):
            piece = f" from row {start}" if len(rows) > LONGEST_TRAJECTORY else ""
            walks.append(Walk(name + piece, tuple(rows[start : start + LONGEST_TRAJECTORY])))
    return walks, columns


def _columns(path: Path, names: list[str] | None) -> list[str]:
    columns = [name.strip() for name in names or []]
    missing = [name for name in REQUIRED if name not in columns]
    unknown = [name for name in columns if name not in REQUIRED + OPTIONAL]
    if missing or unknown or len(set(columns)) < len(columns):
        raise UserError(
            f"{path}:1: expected a header of {','.join(REQUIRED)} and any of {','.join(OPTIONAL)}, "
            f"found {','.join(columns)[:200] or 'nothing'}"
        )
    return columns


def _grouped(
    config: ImagesImport, path: Path, reader: csv.DictReader, columns: list[str]
) -> tuple[dict[str, list[Row]], list[str]]:
    """Rows by trajectory; and, with skip_damaged, what is wrong with the others."""
    reader.fieldnames = columns
    folder, groups, bad = Path(config.source), {}, []
    for cells in reader:
        try:
            row = _row(config, folder, reader.line_num, cells)
        except ValueError as error:
            line = f"{path}:{reader.line_num}: {error}"
            if not config.skip_damaged:
                raise UserError(line) from error
            bad.append(line)
            continue
        groups.setdefault((cells.get("trajectory") or folder.resolve().name).strip(), []).append(row)
    return groups, bad


def _row(config: ImagesImport, folder: Path, line: int, cells: dict) -> Row:
    """A row of the CSV. Raises ValueError."""
    if None in cells or None in cells.values():
        raise ValueError("expected as many cells as the header has")
    numbers = [_number(name, cells[name]) for name in REQUIRED[1:]]
    position = [config.metres_per_unit * number for number in numbers[:3]]
    turn = math.radians(1.0) if config.angles == "degrees" else 1.0
    yaw, pitch = (turn * number for number in numbers[3:])
    if max(map(abs, position)) > FARTHEST:
        raise ValueError(f"a position of {max(map(abs, position)):g} m")
    if abs(pitch) > math.pi / 2 + 1e-3 or abs(yaw) > math.radians(MOST_DEGREES):
        raise ValueError(
            f"yaw {cells['yaw']} and pitch {cells['pitch']} in {config.angles}, expected pitch within a quarter turn: "
            "set angles=degrees or angles=radians"
        )
    files = {name: _file(name, cells[name], folder) for name in ("file", "depth", "objects") if name in cells}
    pose = (*position, math.atan2(math.sin(yaw), math.cos(yaw)), pitch)
    return Row(line, files["file"], files.get("depth"), files.get("objects"), pose)


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name}: expected a number, found '{text[:40]}'")
    return number


def _file(name: str, text: str, folder: Path) -> str:
    file = text.strip()
    if not file:
        raise ValueError(f"{name}: empty; a column that is there has a file in every row: fill it or leave it out")
    if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
        raise ValueError(f"{name}: expected a file below the folder, found '{file[:80]}'")
    if not (folder / file).is_file():
        raise ValueError(f"{name}: no file '{file[:80]}' in {folder}")
    return file


# ---- Pictures --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)  # of pictures of different sizes
def resampler(width: int, height: int, field_of_view: float, view: float, image_size: int) -> ViewResampler:
    """From pictures of width x height pixels, field_of_view degrees wide, to square ones of `view` degrees.

    Raises ValueError for a camera that cannot be.
    """
    focal = width / 2 / math.tan(math.radians(field_of_view) / 2)
    source = PinholeCamera(width, height, focal, focal, width / 2 - 0.5, height / 2 - 0.5)
    return ViewResampler(source, PinholeCamera.square(image_size, view))


@dataclass(frozen=True)
class WalkPictures:
    """Makes trajectories of rows."""

    config: ImagesImport
    csv: Path

    def __call__(self, walk: Walk) -> Iterator[Trajectory | Skipped]:
        """The trajectory of a walk. Raises UserError for a damaged picture, or gives it as skipped and goes on."""
        frames = []
        for row in walk.rows:
            try:
                frames.append((row.pose, *self._pictures(row)))
            except (ValueError, OSError) as error:
                line = f"{self.csv}:{row.line}: {error}"
                if not self.config.skip_damaged:
                    raise UserError(line) from error
                yield Skipped(f"{self.csv.name}:{row.line}", str(error))
        if frames:
            poses, rgb, depth, objects = zip(*frames, strict=True)
            yield Trajectory(
                np.array(poses, np.float32),
                np.stack(rgb),
                None if depth[0] is None else np.stack(depth),
                None if objects[0] is None else np.stack(objects),
                walk.name,
            )

    def _pictures(self, row: Row) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        picture = self._decoded(row.file, colours)
        resample = self.resampler_of(picture)
        depth = objects = None
        if row.depth is not None:
            levels = self._decoded(row.depth, values, np.uint16)
            depth = millimetres(self._resampled(row.depth, resample, levels) * self.config.depth_metres_per_level)
        if row.objects is not None:
            objects = self._resampled(row.objects, resample, self._decoded(row.objects, values, np.uint8))
        return resample.colours(picture), depth, objects

    def resampler_of(self, picture: np.ndarray) -> ViewResampler:
        """What resamples this picture and all of its size."""
        height, width = picture.shape[:2]
        return resampler(width, height, self.config.field_of_view, self.config.view, self.config.image_size)

    def _decoded(self, name: str, decode, *arguments) -> np.ndarray:
        with open(Path(self.config.source) / name, "rb") as file:
            encoded = file.read(LARGEST_FILE + 1)
        if len(encoded) > LARGEST_FILE:
            raise DamagedImage(f"{name}: over {LARGEST_FILE >> 20} MiB")
        try:
            return decode(encoded, *arguments)
        except DamagedImage as error:
            raise DamagedImage(f"{name}: {error}") from error

    @staticmethod
    def _resampled(name: str, resample: ViewResampler, picture: np.ndarray) -> np.ndarray:
        try:
            return resample.values(picture)
        except ValueError as error:
            raise DamagedImage(f"{name}: not of the colour picture's size: {error}") from error

    def warn_of_uncovered(self, walk: Walk) -> None:
        """A line on stderr where the pictures do not cover the view, by the first that can be read."""
        for row in walk.rows:
            try:
                resample = self.resampler_of(self._decoded(row.file, colours))
            except (ValueError, OSError):
                continue  # named when it is converted
            share, angles = resample.covered.mean(), resample.source.field_of_view_degrees
            if share < 1.0:
                print(
                    f"warning: pictures of {angles[0]:.1f} x {angles[1]:.1f} degrees cover {share:.0%} of the view of "
                    f"{self.config.view:g}: beyond, edges repeat; view={math.floor(min(angles))} shows only what "
                    "they have",
                    file=sys.stderr,
                )
            return


def import_images(config: ImagesImport) -> Summary:
    """Convert the pictures of `config.source`. Raises UserError, OSError."""
    folder, out = Path(config.source), Path(config.out)
    path = Path(config.poses) if config.poses else folder / "poses.csv"
    walks, columns = read_walks(config, path)
    convert = WalkPictures(config, path)
    convert.warn_of_uncovered(walks[0])
    description = Description(
        config.image_size,
        config.view,
        ("rgb", *(name for name in ("depth", "objects") if name in columns)),
        _class_names(config) if "objects" in columns else (),
        {
            "command": "convert images",
            "poses_sha256": sha256_of(path),
            "field_of_view": config.field_of_view,
            "angles": config.angles,
            "metres_per_unit": config.metres_per_unit,
            "depth_metres_per_level": config.depth_metres_per_level,
        },
    )
    summary = write_dataset(
        out,
        description,
        walks,
        convert,
        TRAJECTORIES_PER_SHARD,
        worker_count(config.processes),
        split=config.split,
        skip_damaged=config.skip_damaged,
    )
    print(f"{draw_paths(out)}: some paths from above", file=sys.stderr)
    return summary


def _class_names(config: ImagesImport) -> tuple[str, ...]:
    return config.class_names or ("nothing", *(f"class {number}" for number in range(1, 256)))
