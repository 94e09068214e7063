"""One shard: a file of trajectories, each frame encoded by itself, so that a frame costs what that frame costs.

    shard-00000.arrow    an Arrow IPC file
        schema metadata  `placenet`: JSON with the format's version and what holds for all trajectories (`Description`)
        record batch i   trajectory i, a row for each frame:
            rgb          JPEG, 4:4:4, quality 92
            depth        PNG, 16 bit, millimetres along the optical axis, 0 = none; null where the source has none
            objects      PNG, 8 bit, class ids, 0 = unknown; null where the source has none
            pose         5 x float32: x, y, z (metres, z up), yaw (counter-clockwise from x), pitch (up), radians
            its metadata `name`: where the trajectory came from
        last batch       no rows; its metadata `end`: JSON with what could not be used

A file without that last batch was not finished. A file is not trusted: offsets, and the size of each picture, are
checked before they are believed, and what is damaged is named with its file and row. Many shards together are
`dataset`'s business.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pyarrow as pa
import simplejpeg

from placenet_ros.model.modalities import class_colours
from training.configuration import UserError
from training.trajectory import Skipped, Trajectory

FORMAT_VERSION = 1
JPEG_QUALITY = 92
PNG_SETTINGS = {  # of OpenCV: what is quick to decode, and small, for each kind of picture
    "depth": [cv2.IMWRITE_PNG_COMPRESSION, 5, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_FIXED],
    "objects": [cv2.IMWRITE_PNG_COMPRESSION, 6, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_FIXED],
}
PNG_TYPES = {"depth": np.dtype(np.uint16), "objects": np.dtype(np.uint8)}
PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"  # of every PNG file; then its width and height
LARGEST_IMAGE = 1024  # pixels along a side
FARTHEST_DEPTH = 65.535  # metres that 16-bit millimetres hold
LARGEST_METADATA = 1 << 24  # bytes
MODALITIES = ("rgb", "depth", "objects")
SCHEMA = pa.schema(
    [
        pa.field("rgb", pa.binary(), nullable=False),
        pa.field("depth", pa.binary()),
        pa.field("objects", pa.binary()),
        pa.field("pose", pa.list_(pa.float32(), 5), nullable=False),
    ]
)


class DamagedError(UserError):
    """A file, or a trajectory in it, that cannot be read; the message names both."""


class NotFiniteError(DamagedError):
    """A trajectory that can be read and holds numbers that are none."""


class StoredFrames(NamedTuple):
    """Frames as they are stored: k of one trajectory, or b x k of several; numpy arrays or tensors alike."""

    rgb: Any  # ... k s s 3 uint8
    depth: Any | None  # ... k s s uint16, millimetres (tensors: int16 with the same bits)
    objects: Any | None  # ... k s s uint8
    poses: Any  # ... k 5 float32


@dataclass(frozen=True)
class Description:
    """What holds for all trajectories of a data set.

    field_of_view_degrees is across the whole picture both ways, None where nobody knows. The index of a class name is
    its id. source is plain JSON: what the data was made from and how. Raises ValueError for what cannot be.
    """

    image_size: int
    field_of_view_degrees: float | None
    modalities: tuple[str, ...] = MODALITIES
    class_names: tuple[str, ...] = ()
    source: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.image_size, int) or not 1 <= self.image_size <= LARGEST_IMAGE:
            raise ValueError(f"image_size must be 1 to {LARGEST_IMAGE} pixels, not {self.image_size!r}")
        angle = self.field_of_view_degrees
        if angle is not None and not (isinstance(angle, (int, float)) and 0 < angle < 180):
            raise ValueError(f"field_of_view_degrees must be over 0 and under 180, or null, not {angle!r}")
        if "rgb" not in self.modalities or not set(self.modalities) <= set(MODALITIES):
            raise ValueError(f"modalities must be rgb and any of depth and objects, not {self.modalities!r}")
        if len(self.class_names) > 256 or not all(isinstance(name, str) for name in self.class_names):
            raise ValueError(f"class_names must be at most 256 names, not {len(self.class_names)}")

    def as_json(self) -> dict:
        """The description as plain values."""
        plain = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}

    @classmethod
    def of_json(cls, values: Any) -> Description:
        """The description of `as_json`'s values. Raises ValueError."""
        names = set(cls.__dataclass_fields__)
        if not isinstance(values, dict) or not names <= set(values):
            raise ValueError(f"expected {', '.join(sorted(names))}")
        chosen = {name: values[name] for name in names}
        for name in ("modalities", "class_names"):
            if not isinstance(chosen[name], list):
                raise ValueError(f"{name} must be a list")
            chosen[name] = tuple(chosen[name])
        return cls(**chosen)

    @property
    def schema(self) -> pa.Schema:
        """The schema of a shard, with all that a reader needs to know in its metadata."""
        colours = (255 * class_colours()).round().int().tolist()[: len(self.class_names)]
        about = {
            "format_version": FORMAT_VERSION,
            "codecs": {
                "rgb": f"JPEG 4:4:4 quality {JPEG_QUALITY}, or as the source had it",
                "depth": "PNG 16 bit, millimetres along the optical axis, 0 = none",
                "objects": "PNG 8 bit, class ids, 0 = unknown",
            },
            "pose": "x, y, z (metres, z up), yaw (radians, counter-clockwise from x), pitch (radians, up)",
            "depth_scale_metres": 0.001,
            "class_colours": colours,
            **self.as_json(),
        }
        return SCHEMA.with_metadata({b"placenet": json.dumps(about, sort_keys=True).encode()})


# ---- Encoding --------------------------------------------------------------------------------------------------------


def encode(trajectory: Trajectory, description: Description) -> pa.RecordBatch:
    """A trajectory as a record batch. Raises ValueError where its arrays do not fit together or the description."""
    _check(trajectory, description)
    rgb = [_jpeg(picture, description.image_size) for picture in trajectory.rgb]
    pngs = {name: _pngs(name, getattr(trajectory, name), len(rgb)) for name in PNG_SETTINGS}
    poses = pa.FixedSizeListArray.from_arrays(pa.array(trajectory.poses.reshape(-1)), 5)
    columns = [pa.array(rgb, pa.binary()), *(pa.array(pngs[name], pa.binary()) for name in ("depth", "objects")), poses]
    return pa.record_batch(columns, schema=description.schema)


def _jpeg(picture: np.ndarray | bytes, size: int) -> bytes:
    if isinstance(picture, bytes):
        decode_jpeg(picture, size)
        return picture
    return simplejpeg.encode_jpeg(np.ascontiguousarray(picture), JPEG_QUALITY, "RGB", "444", False)


def _pngs(name: str, pictures: np.ndarray | None, frames: int) -> list[bytes | None]:
    if pictures is None:
        return [None] * frames
    return [cv2.imencode(".png", picture, PNG_SETTINGS[name])[1].tobytes() for picture in pictures]


def _check(trajectory: Trajectory, description: Description) -> None:
    frames, size = len(trajectory.rgb), description.image_size
    if frames < 1:
        raise ValueError(f"{trajectory.name}: expected at least one frame, found none")
    expected = {"poses": ((frames, 5), np.float32), "rgb": ((frames, size, size, 3), np.uint8)}
    expected |= {name: ((frames, size, size), kind) for name, kind in PNG_TYPES.items()}
    for name, (shape, kind) in expected.items():
        value = getattr(trajectory, name)
        if isinstance(value, np.ndarray) and (value.shape != shape or value.dtype != kind):
            raise ValueError(
                f"{trajectory.name}: expected {name} of {shape} {np.dtype(kind)}, found {value.shape} {value.dtype}"
            )
        if value is None and name in description.modalities:
            raise ValueError(f"{trajectory.name}: the data set has {name}, the trajectory has none")
        if value is not None and name in PNG_TYPES and name not in description.modalities:
            raise ValueError(f"{trajectory.name}: the trajectory has {name}, the data set has none")
    if not np.isfinite(trajectory.poses).all():
        raise ValueError(f"{trajectory.name}: expected finite poses")


class WrittenShard(NamedTuple):
    """What a shard holds."""

    lengths: list[int]  # frames of each trajectory
    skipped: list[Skipped]


def write_shard(path: Path, description: Description, items: Iterable[Trajectory | Skipped]) -> WrittenShard:
    """Write a shard whole, or not at all: under a temporary name, then renamed.

    Holds one trajectory in memory at a time. Raises OSError, such as of a full disk, and what `items` raises; the
    unfinished file is then gone.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    lengths, skipped = [], []
    try:
        with open(partial, "wb") as file:
            with pa.ipc.new_file(file, description.schema) as writer:
                for item in items:
                    if isinstance(item, Skipped):
                        skipped.append(item)
                        continue
                    batch = encode(item, description)
                    writer.write_batch(batch, {"name": item.name})
                    lengths.append(batch.num_rows)
                empty = description.schema.empty_table().to_batches() or [
                    pa.RecordBatch.from_pylist([], schema=description.schema)
                ]
                writer.write_batch(empty[0], {"end": json.dumps({"skipped": [list(entry) for entry in skipped]})})
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)  # gives a full disk back what it took
        raise
    return WrittenShard(lengths, skipped)


# ---- Reading ---------------------------------------------------------------------------------------------------------


class Shard:
    """A shard opened for reading: its index is read, nothing else. Close it, or use it as a context.

    trajectories: how many it holds. Raises DamagedError where the file is no shard, or not a whole one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = pa.memory_map(str(path))
        except OSError as error:
            raise DamagedError(f"{path}: cannot be read: {error.strerror or error}") from error
        try:
            self._reader = pa.ipc.open_file(self._file)
            self.description = _described(self._reader.schema)
            self.trajectories = self._reader.num_record_batches - 1
            if self.trajectories < 0:
                raise ValueError("it has no end: it was not finished")
            self._end = self._ending()
        except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            self._file.close()
            raise DamagedError(f"{path}: no whole shard: {_line(error)}") from error

    def __enter__(self) -> Shard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    @property
    def skipped(self) -> list[Skipped]:
        """What of the source could not be used."""
        return self._end

    def name(self, row: int) -> str:
        """Where a trajectory came from."""
        metadata = self._batch(row)[1]
        return (metadata or {}).get(b"name", b"").decode("utf-8", "replace")

    def length(self, row: int) -> int:
        """Frames of a trajectory."""
        return self._batch(row)[0].num_rows

    def encoded(self, row: int) -> pa.RecordBatch:
        """A trajectory as it is stored. Raises DamagedError."""
        return self._batch(row)[0]

    def read(self, row: int, frames: Sequence[int] | np.ndarray | None = None) -> StoredFrames:
        """Frames (k,) of a trajectory, all by default; only these are decoded. Raises DamagedError."""
        frames = np.arange(self.length(row)) if frames is None else np.asarray(frames)
        read = empty_frames(self.description, (len(frames),))
        self.read_into(read, row, frames)
        return read

    def read_into(self, read: StoredFrames, row: int, frames: np.ndarray) -> None:
        """Decode frames (k,) of a trajectory into the arrays k ... of `read`; modalities that it lacks are left out.

        Raises DamagedError, naming file, trajectory and frame.
        """
        batch = self._batch(row)[0]
        if len(frames) and not 0 <= frames.min() <= frames.max() < batch.num_rows:
            raise DamagedError(
                f"{self.path}: trajectory {row}: has {batch.num_rows} frames; there is no frame {frames.max()}"
            )
        for name in MODALITIES:
            pictures = getattr(read, name)
            if pictures is not None:
                self._decode(pictures, batch.column(name), name, row, frames.tolist())
        read.poses[:] = batch.column("pose").flatten().to_numpy().reshape(-1, 5)[frames]
        finite = np.isfinite(read.poses).all(axis=1)
        if not finite.all():
            frame = frames[finite.argmin()]
            raise NotFiniteError(f"{self.path}: trajectory {row}, frame {frame}: a pose that is not finite")

    def _decode(self, pictures: np.ndarray, column: pa.BinaryArray, name: str, row: int, frames: list[int]) -> None:
        size = self.description.image_size
        _, offsets, content = column.buffers()  # one slice for each frame costs less than Arrow's objects
        offsets = np.frombuffer(offsets, np.int32)[column.offset :].tolist()
        content = np.frombuffer(content or b"", np.uint8)
        for picture, frame in zip(pictures, frames, strict=True):
            try:
                if column.null_count and not column[frame].is_valid:
                    raise ValueError("there is none")
                encoded = content[offsets[frame] : offsets[frame + 1]]
                if name == "rgb":
                    decode_jpeg(encoded, size, picture)
                else:
                    picture[:] = decode_png(encoded, size, PNG_TYPES[name])
            except (ValueError, pa.ArrowException, cv2.error) as error:
                raise DamagedError(f"{self.path}: trajectory {row}, frame {frame}, {name}: {_line(error)}") from error

    def _batch(self, row: int) -> tuple[pa.RecordBatch, Any]:
        if not 0 <= row < self.trajectories:
            raise DamagedError(f"{self.path}: has {self.trajectories} trajectories, no number {row}")
        try:
            batch, metadata = self._reader.get_batch_with_custom_metadata(row)
            batch.validate(full=True)  # offsets of a damaged file may lead anywhere
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DamagedError(f"{self.path}: trajectory {row}: {_line(error)}") from error
        return batch, metadata

    def _ending(self) -> list[Skipped]:
        batch, metadata = self._reader.get_batch_with_custom_metadata(self.trajectories)
        if batch.num_rows or not metadata or b"end" not in metadata:
            raise ValueError("it has no end: it was not finished")
        skipped = json.loads(metadata[b"end"])["skipped"]
        return [Skipped(str(name), str(reason)) for name, reason in skipped]


def empty_frames(description: Description, shape: tuple[int, ...]) -> StoredFrames:
    """Arrays, not filled, for frames of such a data set: shape + the shape of each, None for what it does not have."""
    size = description.image_size
    kinds = {"rgb": (size, size, 3), "depth": (size, size), "objects": (size, size)}
    pictures = {
        name: np.empty(shape + kind, PNG_TYPES.get(name, np.uint8))
        for name, kind in kinds.items()
        if name in description.modalities
    }
    return StoredFrames(*(pictures.get(name) for name in MODALITIES), np.empty((*shape, 5), np.float32))


def _described(schema: pa.Schema) -> Description:
    """The description in a shard's schema. Raises ValueError."""
    if not schema.equals(SCHEMA):
        raise ValueError(f"expected the columns {', '.join(SCHEMA.names)}, found {', '.join(schema.names)}")
    text = (schema.metadata or {}).get(b"placenet", b"")
    if not 0 < len(text) <= LARGEST_METADATA:
        raise ValueError("its schema does not say that it is a shard")
    about = json.loads(text)
    version = about.get("format_version") if isinstance(about, dict) else None
    if version != FORMAT_VERSION:
        raise ValueError(f"format version {version!r}, this program reads {FORMAT_VERSION}")
    return Description.of_json(about)


def decode_jpeg(buffer: Any, size: int, into: np.ndarray | None = None) -> np.ndarray:
    """Colours (size, size, 3) uint8 of a JPEG file, in a new array or `into` one of that shape.

    Raises ValueError where it is no JPEG, or one of another size.
    """
    encoded = np.frombuffer(buffer, np.uint8)
    height, width, *_ = simplejpeg.decode_jpeg_header(encoded)
    if (height, width) != (size, size):
        raise ValueError(f"rgb of {width} x {height} pixels, expected {size} x {size}")
    return simplejpeg.decode_jpeg(encoded, "RGB", buffer=into)


def decode_png(buffer: Any, size: int, kind: np.dtype) -> np.ndarray:
    """Values (size, size) of a PNG file. Raises ValueError where it is none, or of another size or depth."""
    encoded = np.frombuffer(buffer, np.uint8)
    if encoded[: len(PNG_START) + 8].tobytes() != PNG_START + 2 * size.to_bytes(4, "big"):  # width and height
        raise ValueError(f"no PNG of {size} x {size} pixels")
    picture = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    if picture is None or picture.shape != (size, size) or picture.dtype != kind:
        raise ValueError(f"a PNG that cannot be decoded to {size} x {size} {kind}")
    return picture


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
