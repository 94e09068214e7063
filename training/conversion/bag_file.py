"""A ROS 1 bag as a file: opened, its topics, and its messages in the order in which they were recorded. Needs no ROS.

What the messages mean is left to `bag_poses`, `bag_images` and `bags`.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.interfaces import Connection
from rosbags.rosbag1 import Reader, ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from placenet_ros.node.episodes import MIN_JUMP_SECONDS
from training.configuration import UserError

IMAGE, COMPRESSED_IMAGE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
CAMERA_INFO, ODOMETRY = "sensor_msgs/msg/CameraInfo", "nav_msgs/msg/Odometry"
TRANSFORMS = ("tf2_msgs/msg/TFMessage", "tf/msg/tfMessage")  # the second is the same under its name of 2010
TYPES = get_typestore(Stores.ROS1_NOETIC)
for _kind in TRANSFORMS:
    TYPES.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms", _kind))

# What the reader raises where a file is damaged; it asserts, too.
DAMAGE = (ReaderError, AssertionError, struct.error, RuntimeError, EOFError, ValueError, LookupError, OSError)
TOPICS_SHOWN = 12  # in an error
ROS2_MAGICS = (b"SQLite format 3", b"\x89MCAP")


class Recorded(NamedTuple):
    """A message as it lies in the bag. Times are nanoseconds."""

    run: int  # counts how often the recorder's clock has jumped back
    time: int  # when it was recorded
    topic: str
    kind: str
    data: bytes


class DamagedMessageError(ValueError):
    """A message that its type does not describe."""


def parse(kind: str, data: bytes) -> Any:
    """The message of these bytes. Raises DamagedMessageError."""
    try:
        return TYPES.deserialize_ros1(data, kind)
    except (SerdeError, AssertionError, LookupError) as error:
        raise DamagedMessageError(f"no {_plain(kind)}: {error}") from error


def stamp_and_frame(data: bytes) -> tuple[int, str]:
    """Stamp (nanoseconds) and frame_id of a message that begins with a header, without reading the rest of it.

    Raises DamagedMessageError.
    """
    try:
        _, seconds, nanoseconds, length = struct.unpack_from("<IIII", data)
        return seconds * 1_000_000_000 + nanoseconds, data[16 : 16 + length].decode().lstrip("/")
    except (struct.error, UnicodeDecodeError) as error:
        raise DamagedMessageError(f"no header: {error}") from error


def nanoseconds(stamp: Any) -> int:
    """A stamp as one number."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


class Bag:
    """An opened bag. Made by `opened_bag`."""

    def __init__(self, path: Path, reader: Reader) -> None:
        self.path, self._reader = path, reader
        self.kinds = {connection.topic: connection.msgtype for connection in reader.connections}  # by topic
        self.start = reader.start_time  # nanoseconds

    def topics_of(self, *kinds: str) -> list[str]:
        """The topics that have messages of these types, in alphabetical order."""
        return sorted(
            {
                connection.topic
                for connection in self._reader.connections
                if connection.msgtype in kinds and connection.msgcount
            }
        )

    def listed(self) -> str:
        """The bag's topics and their types, for an error."""
        listed = [f"{topic} ({_plain(kind)})" for topic, kind in sorted(self.kinds.items())]
        more = f" and {len(listed) - TOPICS_SHOWN} more" if len(listed) > TOPICS_SHOWN else ""
        return ", ".join(listed[:TOPICS_SHOWN]) + more if listed else "no topic"

    def first(self, topic: str) -> Any:
        """The first message of a topic. Raises UserError where it is damaged."""
        message = next(self.messages([topic]))
        try:
            return parse(message.kind, message.data)
        except DamagedMessageError as error:
            raise UserError(f"{self.path}: the first message of {topic}: {error}") from error

    def messages(self, topics: Collection[str]) -> Iterator[Recorded]:
        """The messages of some topics in the order of the times at which they were recorded; one chunk in memory.

        Where the recorder's clock jumped back (simulated time that began again), what came after the jump comes after
        what came before it, as another `run`. Raises UserError where the file is damaged.
        """
        connections = [connection for connection in self._reader.connections if connection.topic in topics]
        runs = {connection.id: self._runs(connection) for connection in connections}
        read = 0
        try:
            for run in range(max(map(len, runs.values()), default=0)):
                for connection in connections:
                    mine = runs[connection.id]
                    self._reader.indexes[connection.id] = mine[run] if run < len(mine) else []
                for connection, time, data in self._reader.messages(connections):
                    yield Recorded(run, time, connection.topic, connection.msgtype, data)
                    read += 1
        except DAMAGE as error:
            raise UserError(
                f"{self.path}: damaged after {read} messages ({_one_line(error)}): repair it with rosbag fix or rosbag "
                "reindex, or record it again"
            ) from error
        finally:
            for connection in connections:
                self._reader.indexes[connection.id] = [entry for run in runs[connection.id] for entry in run]

    def _runs(self, connection: Connection) -> list[list]:
        """The index of a connection, cut where the times at which its messages were recorded jump back."""
        runs, newest = [], None
        for entry in sorted(self._reader.indexes[connection.id], key=lambda entry: (entry.chunk_pos, entry.offset)):
            if newest is None or entry.time < newest - MIN_JUMP_SECONDS * 1e9:
                runs.append([])
                newest = entry.time
            newest = max(newest, entry.time)
            runs[-1].append(entry)
        return [sorted(run) for run in runs]


@contextmanager
def opened_bag(path: Path) -> Iterator[Bag]:
    """Open a bag. Raises UserError for what is no ROS 1 bag, or not a whole one."""
    _refuse_others(path)
    reader = Reader(path)
    try:
        reader.open()
    except DAMAGE as error:
        reason = _one_line(error)
        if "magic" in reason or "Bag version" in reason:
            raise UserError(f"{path}: expected a ROS 1 bag (#ROSBAG V2.0), found another file: {reason}") from error
        raise UserError(
            f"{path}: the bag has no index or is cut off ({reason}): repair it with rosbag reindex {path.name}"
        ) from error
    try:
        for connection in reader.connections:
            _check_definition(path, connection)
        yield Bag(path, reader)
    finally:
        reader.close()


def _refuse_others(path: Path) -> None:
    if not path.exists():
        raise UserError(f"{path}: no such bag: name a file that rosbag record wrote")
    if path.is_dir():
        found = "a ROS 2 bag" if (path / "metadata.yaml").exists() else "a folder"
        raise UserError(f"{path}: expected the file of a ROS 1 bag, found {found}{_conversion(found)}")
    with open(path, "rb") as file:
        magic = file.read(16)
    if not magic:
        raise UserError(f"{path}: the file is empty: record the bag again")
    if magic.startswith(ROS2_MAGICS):
        raise UserError(f"{path}: expected a ROS 1 bag, found a ROS 2 bag{_conversion('a ROS 2 bag')}")


def _conversion(found: str) -> str:
    return ": convert it with rosbags-convert --src IN --dst OUT.bag" if found == "a ROS 2 bag" else ""


def _check_definition(path: Path, connection: Connection) -> None:
    """Whether a message type that is read here is the one that this program knows. Raises UserError."""
    if connection.msgtype not in (IMAGE, COMPRESSED_IMAGE, CAMERA_INFO, ODOMETRY, *TRANSFORMS):
        return
    known = TYPES.generate_msgdef(connection.msgtype, ros_version=1)[1]
    if connection.digest not in (known, "*"):
        raise UserError(
            f"{path}: {connection.topic} has another definition of {_plain(connection.msgtype)} than ROS Noetic "
            f"({connection.digest}, not {known}): migrate the bag with rosbag fix"
        )


def _plain(kind: str) -> str:
    """The name of a type as ROS 1 writes it."""
    return kind.replace("/msg/", "/")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
