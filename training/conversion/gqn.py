"""Import of DeepMind's GQN data sets, TFRecord files: `python -m training.convert gqn SRC OUT set=NAME`.

Each record is a scene: `frames`, a JPEG file for each view, and `cameras`, 5 numbers for each (x, y, z, yaw, pitch;
z up, radians), which are kept as they are; viewpoints with cosines before sines are made of them where all are made,
in `placenet_ros.model.viewpoints`. A scene becomes a trajectory with colour alone. Pictures of other sizes are resized,
each pixel the mean of its area. The field of view is not published.

The `tfrecord` package has the message that a record is. Its reader is not used: it takes the length of a record from
the file unseen and believes no checksum.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from tfrecord.example_pb2 import Example
from tfrecord.writer import TFRecordWriter

from training.configuration import UserError, argument, setting
from training.conversion.encoded_images import DamagedImage, colours, keeps_as_it_is, resized
from training.conversion.numbered_files import check_complete, numbered_files
from training.data.shards import Description
from training.data.writing import Summary, write_dataset
from training.trajectory import Skipped, Trajectory
from training.workers import worker_count

LARGEST_RECORD = 64 * 2**20  # bytes; 300 views of 84 x 84 pixels take 1 MB
FARTHEST = 1e6  # units of length; the sets' rooms are a few wide
MOST_RADIANS = 1000.0
FILES = r"(\d{1,7})-of-(\d{1,7})[.]tfrecord"
CAMERA_SIZE = 5


class GqnSet(NamedTuple):
    """What the scenes of a set have."""

    views: int
    pixels: int  # along each side


SETS = {
    "jaco": GqnSet(11, 64),
    "mazes": GqnSet(300, 84),
    "rooms_free_camera_no_object_rotations": GqnSet(10, 64),
    "rooms_free_camera_with_object_rotations": GqnSet(10, 128),
    "rooms_ring_camera": GqnSet(10, 64),
    "shepard_metzler_5_parts": GqnSet(15, 64),
    "shepard_metzler_7_parts": GqnSet(15, 64),
}


@dataclass(frozen=True)
class GqnImport:
    """Convert a GQN data set's TFRecord files (1-of-100.tfrecord, ...) to shards, one for each file."""

    source: str = argument("Folder of the .tfrecord files, such as jaco/train.")
    out: str = argument("Folder to write the shards into.")
    set: (
        Literal[
            "jaco",
            "mazes",
            "rooms_free_camera_no_object_rotations",
            "rooms_free_camera_with_object_rotations",
            "rooms_ring_camera",
            "shepard_metzler_5_parts",
            "shepard_metzler_7_parts",
        ]
        | None
    ) = setting(None, "Which of the seven sets it is; must be given.")
    field_of_view: float | None = setting(None, "Of the pictures, degrees, both ways; null: unknown.")
    image_size: int = setting(64, "Pixels along each side of the shards' pictures.")
    split: Literal["train", "unseen"] = setting("train", "unseen: never to be trained on, for evaluation.")
    processes: int | None = setting(None, "Processes that convert; null: one for each core.")
    skip_damaged: bool = setting(False, "Count and name damaged scenes or missing files and go on.")

    def __post_init__(self) -> None:
        if self.set is None:
            raise ValueError(f"set= must say which data set it is: one of {', '.join(SETS)}")
        Description(self.image_size, self.field_of_view)  # raises ValueError for what no data set can have


class DamagedRecord(ValueError):
    """A record that cannot be read; goes_on tells whether the next one can be found."""

    def __init__(self, reason: str, goes_on: bool) -> None:
        super().__init__(reason)
        self.goes_on = goes_on


@dataclass(frozen=True)
class GqnFiles:
    """How the files of a set are to be read."""

    folder: Path
    set: str
    image_size: int
    skip_damaged: bool

    def __call__(self, name: str) -> Iterator[Trajectory | Skipped]:
        """The scenes of a file. Raises UserError for a damaged one, or gives it as skipped and goes on."""
        path = self.folder / name
        with open(path, "rb") as file:
            remaining = path.stat().st_size
            number = 0
            while remaining > 0:
                start = file.tell()
                try:
                    yield self._scene(read_record(file, remaining), f"{name} scene {number}")
                except (DamagedRecord, DamagedImage) as error:
                    if not self.skip_damaged:
                        raise UserError(f"{path}: scene {number}: {error}") from error
                    yield Skipped(f"{name} scene {number}", str(error))
                    if isinstance(error, DamagedRecord) and not error.goes_on:
                        return
                remaining -= file.tell() - start
                number += 1

    def _scene(self, record: bytes, name: str) -> Trajectory:
        expected = SETS[self.set]
        frames, cameras = _features(record)
        if (len(frames), len(cameras)) != (expected.views, expected.views * CAMERA_SIZE):
            raise DamagedRecord(
                f"expected {expected.views} frames and {expected.views * CAMERA_SIZE} camera numbers, as {self.set} "
                f"has, found {len(frames)} and {len(cameras)}: is set= right?",
                True,
            )
        poses = cameras.reshape(-1, CAMERA_SIZE)
        bounds = (FARTHEST,) * 3 + (MOST_RADIANS, np.pi / 2 + 1e-3)
        if not (np.abs(poses) <= bounds).all():  # also where one is not a number
            raise DamagedRecord("a camera that is not finite, or with pitch beyond pi/2", True)
        return Trajectory(poses, [self._picture(frame) for frame in frames], None, None, name)

    def _picture(self, frame: bytes) -> bytes | np.ndarray:
        picture, pixels = colours(frame), SETS[self.set].pixels
        if picture.shape[:2] != (pixels, pixels):
            raise DamagedImage(
                f"a frame of {picture.shape[1]} x {picture.shape[0]} pixels, expected {pixels} x {pixels}, as "
                f"{self.set} has: is set= right?"
            )
        return frame if keeps_as_it_is(frame, self.image_size) else resized(picture, self.image_size)


def read_record(file: BinaryIO, remaining: int) -> bytes:
    """The next record of a TFRecord file that has so many bytes left. Raises DamagedRecord.

    A record: its length (8 bytes), the length's checksum (4), the data, the data's checksum (4).
    """
    head = file.read(12)
    if len(head) < 12 or TFRecordWriter.masked_crc(head[:8]) != head[8:]:
        raise DamagedRecord("the length of the record is damaged; the rest of the file cannot be found", False)
    length = struct.unpack("<Q", head[:8])[0]
    if length > LARGEST_RECORD or 12 + length + 4 > remaining:
        raise DamagedRecord(f"a record of {length} bytes, with {remaining - 12} left in the file", False)
    data, checksum = file.read(length), file.read(4)
    if TFRecordWriter.masked_crc(data) != checksum:
        raise DamagedRecord("the checksum of the record does not fit", True)
    return data


def _features(record: bytes) -> tuple[list[bytes], np.ndarray]:
    """Encoded frames and camera numbers (float32) of a record. Raises DamagedRecord."""
    example = Example()
    try:
        example.ParseFromString(record)
    except DecodeError as error:
        raise DamagedRecord("no tf.train.Example", True) from error
    feature = example.features.feature
    if "frames" not in feature or "cameras" not in feature:
        raise DamagedRecord(f"expected frames and cameras, found {', '.join(sorted(feature)) or 'nothing'}", True)
    return list(feature["frames"].bytes_list.value), np.array(feature["cameras"].float_list.value, np.float32)


def import_gqn(config: GqnImport) -> Summary:
    """Convert the files of `config.source`. Raises UserError, OSError."""
    folder = Path(config.source)
    names = numbered_files(folder, FILES, "1-of-100.tfrecord")
    counts = {int(name.removesuffix(".tfrecord").rpartition("-")[2]) for name in names.values()}
    if len(counts) > 1:
        raise UserError(
            f"{folder}: files of sets of {' and of '.join(map(str, sorted(counts)))} files: keep them apart"
        )
    check_complete(folder, names, 1, counts.pop(), config.skip_damaged)
    description = Description(
        config.image_size, config.field_of_view, ("rgb",), (), {"command": "convert gqn", "set": config.set}
    )
    return write_dataset(
        Path(config.out),
        description,
        list(names.values()),
        GqnFiles(folder, config.set, config.image_size, config.skip_damaged),
        units_per_shard=1,
        processes=worker_count(config.processes),
        split=config.split,
        skip_damaged=config.skip_damaged,
    )
