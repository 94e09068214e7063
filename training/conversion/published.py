"""Import of the authors' House files, a folder of `0.pt` to `N-1.pt`: `python -m training.convert published SRC OUT`.

Each file is one trajectory. JPEG colour pictures of the right size go into the shards byte for byte; depth becomes
millimetres, object colours become class ids, poses become ours. What the files do not tell (the palette, how yaw is
counted) is found from some of them first and reported. A frame with a damaged picture is left out and counted: the
others keep their poses. Reading the files safely is `training.conversion.scene_pickle`'s business.

Shapes: f frames of a trajectory, k frames drawn, s image size.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from placenet_ros.model.modalities import DEPTH_RANGE_M
from training.configuration import UserError, argument, section, setting
from training.conversion.encoded_images import DamagedImage, colours, is_jpeg, keeps_as_it_is, resized
from training.conversion.house_poses import PoseConvention, YawConfig, YawFit, check_poses, fit_yaw, is_normalised
from training.conversion.numbered_files import check_complete, numbered_files
from training.conversion.object_palette import ColourCount, ObjectPalette
from training.conversion.scene_pickle import RefusedFile, Scene, read_scene
from training.data.path_picture import draw_paths
from training.data.shards import FARTHEST_DEPTH, Description, StoredFrames
from training.data.writing import Summary, write_dataset
from training.trajectory import Skipped, Trajectory
from training.workers import worker_count

FILES = r"(0|[1-9]\d*)[.]pt"
IMAGES = {"rgb": "image_r", "depth": "image_d", "objects": "image_o"}
SURVEYED_FILES = 100  # from which palette, scale and yaw are found
SURVEYED_FRAMES = 30  # of each, for the palette
FILES_PER_SHARD = 200
FEWEST_FRAMES = 20  # that a trajectory must have left: the window that scenes are drawn from


@dataclass(frozen=True)
class PublishedImport:
    """Convert the authors' House files (0.pt, 1.pt, ...) to shards."""

    source: str = argument("Folder of the .pt files, such as train or test_seen.")
    out: str = argument("Folder to write the shards into.")
    positions: Literal["auto", "metres", "normalised"] = setting(
        "auto", "Positions are metres in 0 to 100, or these normalised to -1 to 1; auto: metres, if they exceed 1."
    )
    up: Literal["x", "y", "z"] = setting("y", "Axis of the files that points up.")
    yaw: YawConfig = section(YawConfig)
    pitch_sign: Literal[1, -1] = setting(1, "1 where positive pitch looks up in the files, -1 where it looks down.")
    depth_range: float = setting(DEPTH_RANGE_M, "Metres that white stands for in depth pictures; black is none.")
    field_of_view: float | None = setting(None, "Of the pictures, degrees, both ways; null: unknown.")
    image_size: int = setting(64, "Pixels along each side of the shards' pictures.")
    split: Literal["train", "unseen"] = setting("train", "unseen: never to be trained on, for evaluation.")
    processes: int | None = setting(None, "Processes that convert; null: one for each core.")
    skip_damaged: bool = setting(False, "Count and name damaged or missing files and go on.")

    def __post_init__(self) -> None:
        Description(self.image_size, self.field_of_view)  # raises ValueError for what no data set can have
        if not 0.0 < self.depth_range <= FARTHEST_DEPTH:
            raise ValueError(f"depth_range must be over 0 and at most {FARTHEST_DEPTH} m, not {self.depth_range:g}")


@dataclass(frozen=True)
class HouseFiles:
    """How the files of a folder are to be read; found once, used in every process."""

    folder: Path
    image_size: int
    modalities: tuple[str, ...]
    convention: PoseConvention
    palette: ObjectPalette | None  # None without objects
    depth_range: float

    def __call__(self, name: str) -> Iterator[Trajectory | Skipped]:
        """The trajectory of a file, and what of it could not be used. Raises UserError for the whole file."""
        scene = self.scene(name)
        whole, reasons = [], {}
        for frame in range(len(scene.poses)):
            try:
                whole.append((frame, *self._pictures(scene, frame)))
            except (DamagedImage, RefusedFile) as error:
                reasons[frame] = str(error)
        if reasons:
            first = min(reasons)
            yield Skipped(
                name, f"{len(reasons)} of {len(scene.poses)} frames are damaged, first {first}: {reasons[first]}"
            )
        if len(whole) < min(FEWEST_FRAMES, len(scene.poses)):
            yield Skipped(name, f"only {len(whole)} frames left, fewer than {FEWEST_FRAMES}")
            return
        frames, rgb, depth, objects = zip(*whole, strict=True)
        poses = self.convention.to_world(scene.poses[list(frames)])
        yield Trajectory(poses, list(rgb), _stacked(depth), _stacked(objects), name)

    def scene(self, name: str) -> Scene:
        """What a file holds, with as many images as poses. Raises UserError, naming the file."""
        return whole_scene(self.folder / name, self.modalities)

    def _pictures(self, scene: Scene, frame: int) -> tuple[bytes | np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Colour (as it is where shards can hold it), depth and ids of a frame. Raises DamagedImage, RefusedFile."""
        encoded = scene.image_r[frame]
        rgb = resized(_square(colours(encoded)), self.image_size)
        depth, objects = self._depth(scene, frame), self._objects(scene, frame)
        return encoded if keeps_as_it_is(encoded, self.image_size) else rgb, depth, objects

    def _depth(self, scene: Scene, frame: int) -> np.ndarray | None:
        if "depth" not in self.modalities:
            return None
        grey = _square(colours(scene.image_d[frame]))[..., 1]
        return self._nearest((grey * (1000 * self.depth_range / 255)).round().astype(np.uint16))

    def _objects(self, scene: Scene, frame: int) -> np.ndarray | None:
        if "objects" not in self.modalities:
            return None
        return self._nearest(self.palette.class_ids(_square(colours(scene.image_o[frame]))))

    def _nearest(self, values: np.ndarray) -> np.ndarray:
        """(s, s) values, resized without mixing them."""
        if values.shape == (self.image_size, self.image_size):
            return values
        return cv2.resize(values, (self.image_size, self.image_size), interpolation=cv2.INTER_NEAREST)

    def read(self, name: str, frames: Sequence[int]) -> StoredFrames:
        """Frames (k,) of a file, without decoding any other. Raises UserError, DamagedImage, RefusedFile."""
        scene = self.scene(name)
        size = self.image_size
        rgb = np.stack([resized(_square(colours(scene.image_r[frame])), size) for frame in frames])
        depth, objects = (_stacked([take(scene, frame) for frame in frames]) for take in (self._depth, self._objects))
        return StoredFrames(rgb, depth, objects, self.convention.to_world(scene.poses[list(frames)]))


def whole_scene(path: Path, modalities: Sequence[str]) -> Scene:
    """What a file holds, with as many images of these modalities as poses. Raises UserError, naming the file."""
    try:
        scene = read_scene(path)
        check_poses(scene.poses)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    counts = {modality: len(getattr(scene, IMAGES[modality])) for modality in modalities}
    if not len(scene.poses) or set(counts.values()) != {len(scene.poses)}:
        found = ", ".join(f"{count} {modality} images" for modality, count in counts.items())
        raise UserError(f"{path}: expected as many images as poses, found {found} and {len(scene.poses)} poses")
    return scene


def _square(picture: np.ndarray) -> np.ndarray:
    if picture.shape[0] != picture.shape[1]:
        raise DamagedImage(f"a picture of {picture.shape[1]} x {picture.shape[0]} pixels, expected a square")
    return picture


def _stacked(pictures: Sequence[np.ndarray | None]) -> np.ndarray | None:
    return None if pictures[0] is None else np.stack(pictures)


# ---- What the files do not tell --------------------------------------------------------------------------------------


def survey(config: PublishedImport, names: Sequence[str]) -> tuple[HouseFiles, YawFit]:
    """How to read the files of a folder, found from some of them. Raises UserError."""
    folder = Path(config.source)
    scenes = []
    for name in _some(names, SURVEYED_FILES):
        try:
            scenes.append(whole_scene(folder / name, ("rgb",)))
        except UserError:
            if not config.skip_damaged:
                raise
    if not scenes:
        raise UserError(f"{folder}: none of the {min(len(names), SURVEYED_FILES)} files looked at can be used")
    poses = [scene.poses for scene in scenes]
    modalities = tuple(name for name, field in IMAGES.items() if len(getattr(scenes[0], field)))
    try:
        normalised = is_normalised(config.positions, poses)
        fit = fit_yaw(poses, config.up, config.yaw)
    except UserError as error:
        raise UserError(f"{folder}: {error}") from error
    convention = PoseConvention(normalised, config.up, fit.sign, fit.offset_degrees, config.pitch_sign)
    palette = _palette(scenes) if "objects" in modalities else None
    return HouseFiles(folder, config.image_size, modalities, convention, palette, config.depth_range), fit


def _some(names: Sequence[str], most: int) -> list[str]:
    """At most so many, evenly spread."""
    places = np.unique(np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int))
    return [names[place] for place in places]


def _palette(scenes: Sequence[Scene]) -> ObjectPalette:
    count = ColourCount()
    for scene in scenes:
        for frame in range(0, len(scene.image_o), max(1, len(scene.image_o) // SURVEYED_FRAMES)):
            try:
                encoded = scene.image_o[frame]
                count.add(colours(encoded), lossy=is_jpeg(encoded))
            except (DamagedImage, RefusedFile):
                continue  # named and counted when the file is converted
    return count.palette()


# ---- The command -----------------------------------------------------------------------------------------------------


def import_published(config: PublishedImport) -> Summary:
    """Convert the files of `config.source`. Raises UserError, OSError."""
    folder, out = Path(config.source), Path(config.out)
    names = numbered_files(folder, FILES, "0.pt")
    check_complete(folder, names, 0, max(names), config.skip_damaged)
    files, fit = survey(config, list(names.values()))
    _report(files, fit)
    description = Description(
        config.image_size,
        config.field_of_view,
        files.modalities,
        files.palette.class_names if files.palette else (),
        {
            "command": "convert published",
            "poses": files.convention.as_json(),
            "depth_range_metres": config.depth_range,
            "object_colours": [list(colour) for colour in files.palette.colours] if files.palette else [],
        },
    )
    summary = write_dataset(
        out,
        description,
        list(names.values()),
        files,
        FILES_PER_SHARD,
        worker_count(config.processes),
        split=config.split,
        skip_damaged=config.skip_damaged,
    )
    print(f"{draw_paths(out)}: some paths from above", file=sys.stderr)
    return summary


def _report(files: HouseFiles, fit: YawFit) -> None:
    unit = "normalised to -1 to 1" if files.convention.normalised else "metres"
    print(
        f"positions: {unit}, {files.convention.up} up; yaw: sign {fit.sign:+d}, offset {fit.offset_degrees:g} degrees "
        f"(mean cosine to the motion {fit.agreement:.3f} over {fit.moves} moves)",
        file=sys.stderr,
    )
    if files.palette:
        kind = "exact colours" if files.palette.lossless else "nearest colours"
        print(f"objects: {len(files.palette.class_names)} classes by {kind}", file=sys.stderr)
