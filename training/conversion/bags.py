"""A robot's bag to trajectories, `python -m training.convert bag BAG OUT`: a robot's own logs train its own model.

The bag is read once, in the order in which it was recorded, with about a second of it in memory. An image becomes a
frame (a keyframe) where the camera has moved or turned enough since the last one: its pose is the odometry's,
interpolated at its stamp, with the camera's mounting; depth and objects are those of its stamp; all are rectified and
resampled to the data set's camera. Where time, the pose or the pictures jump, a new trajectory begins. What is dropped
is counted by its reason. Poses are in the odometry's frame, whose z is up (REP 105).

Files, topics, poses and pixels are left to `bag_file`, `bag_topics`, `bag_poses` and `bag_images`. Needs no ROS.
"""

from __future__ import annotations

import math
import sys
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np

from placenet_ros.counted import counted
from placenet_ros.node.image_layout import MAX_LABEL, ImageError, pinhole_camera
from placenet_ros.node.keyframes import KeyframeGate
from placenet_ros.node.rigid_pose import PoseError, RigidPose, camera_pose, roll_degrees
from placenet_ros.scene.camera import PinholeCamera
from training.configuration import UserError, argument, as_dict, setting
from training.conversion import bag_images
from training.conversion.bag_file import (
    CAMERA_INFO,
    Bag,
    DamagedMessageError,
    Recorded,
    opened_bag,
    parse,
    stamp_and_frame,
)
from training.conversion.bag_poses import (
    Limits,
    NoPoseError,
    OdometryPoses,
    PieceId,
    TransformPoses,
    TransformTree,
    transforms,
)
from training.conversion.bag_topics import Topics, find_topics, transform_topics
from training.data.manifest import MANIFEST
from training.data.path_picture import draw_paths
from training.data.shards import LARGEST_IMAGE, Description
from training.data.writing import Summary, write_dataset
from training.houses.classes import CLASS_NAMES
from training.trajectory import Skipped, Trajectory
from training.workers import worker_count

# An image is used this long after it was recorded, seconds: by then its odometry, depth and objects have been.
WAIT = 1.0
WAITING_IMAGES, WAITING_BYTES = 256, 1 << 28  # of a topic in memory at most; then the oldest goes earlier
KEPT_POSES = 5.0  # seconds of odometry and TF in memory, and longest_gap
WIDEST_VIEW = 170.0  # degrees: a pinhole camera's pictures are mostly rim beyond
PATIENCE = 30.0  # seconds of a bag in which nothing connects the camera to the robot: then none will


@dataclass(frozen=True)
class BagImport:
    """Make a data set from a robot's ROS 1 bags: images, poses, and depth and class ids where they have them.

    Topics that are not named are those of the demonstration's bag, else the only ones of their kind.
    """

    bag: str = argument("Bag to read, or a folder of bags (*.bag).")
    out: str = argument("Folder to write the data set into.")
    image: str | None = setting(None, "Topic of sensor_msgs/Image or CompressedImage.")
    camera_info: str | None = setting(None, "Topic of sensor_msgs/CameraInfo; null: beside the image.")
    depth: str | None = setting(None, "Topic of depth aligned to the image (16UC1 mm, 32FC1 m); none: leave it out.")
    objects: str | None = setting(None, "Topic of images of class ids (mono8); none: leave them out.")
    class_names: tuple[str, ...] = setting((), "Names of the class ids from 0; empty: those of made houses.")
    pose_source: Literal["odom", "tf"] = setting("odom", "Where poses come from.")
    odom: str | None = setting(None, "Topic of nav_msgs/Odometry.")
    world_frame: str = setting("odom", "With pose_source=tf: the frame that poses are in; z is up.")
    base_frame: str = setting("base_link", "The robot's frame, where odometry does not name it, or none is read.")
    base_to_camera: tuple[float, ...] = setting(
        (), "Pose of the camera's frame in the robot's: x, y, z (metres), qx, qy, qz, qw; empty: TF knows."
    )
    input_is_rectified: bool | None = setting(None, "Whether images are; null: if the topic's name says rect.")
    field_of_view: float | None = setting(
        None, "Degrees across the width of an undistorted camera, instead of camera_info."
    )
    view: float = setting(60.0, "Field of view of the data set's pictures, degrees, both ways: that of the weights.")
    image_size: int = setting(64, "Pixels along each side of the data set's pictures.")
    keyframe_distance: float = setting(0.2, "Metres moved since the last frame that make a frame.")
    keyframe_angle: float = setting(15.0, "Degrees turned since the last frame that make a frame.")
    join_tolerance: float = setting(0.02, "How far stamps of depth and objects may be from the image's, seconds.")
    longest_gap: float = setting(0.5, "Silence of poses or images that ends a trajectory, seconds.")
    fastest: float = setting(3.0, "Metres per second; a pose that moves faster has jumped: a new trajectory.")
    largest_roll: float = setting(5.0, "Degrees; images of a camera that is rolled further are dropped.")
    shortest: int = setting(20, "Frames; trajectories with fewer are dropped.")
    longest: int = setting(300, "Frames; a longer drive becomes several trajectories.")
    split: Literal["train", "unseen"] = setting("train", "unseen: never to be trained on, for evaluation.")
    processes: int | None = setting(None, "Processes that convert, each a bag; null: one for each core.")
    skip_damaged: bool = setting(False, "Count and name bags that are damaged or give no trajectory, and go on.")

    def __post_init__(self):
        if len(self.base_to_camera) not in (0, 7):
            raise ValueError(
                f"base_to_camera must be x,y,z,qx,qy,qz,qw or [], found {len(self.base_to_camera)} numbers"
            )
        if self.base_to_camera:
            _given_mount(self.base_to_camera)
        for name in ("keyframe_distance", "keyframe_angle", "join_tolerance", "longest_gap", "fastest", "largest_roll"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, found {getattr(self, name):g}")
        if not 1 <= self.shortest <= self.longest <= 100_000:
            raise ValueError(
                f"expected 1 <= shortest <= longest <= 100000, found shortest={self.shortest}, longest={self.longest}"
            )
        for name in ("field_of_view", "view"):
            angle = getattr(self, name)
            if angle is not None and not 1 <= angle <= WIDEST_VIEW:
                raise ValueError(f"{name} must be 1 to {WIDEST_VIEW:g} degrees, found {angle:g}")
        if not 1 <= self.image_size <= LARGEST_IMAGE:
            raise ValueError(f"image_size must be 1 to {LARGEST_IMAGE} pixels, found {self.image_size}")
        if len(self.class_names) > MAX_LABEL + 1:
            raise ValueError(f"class_names must be at most {MAX_LABEL + 1}, found {len(self.class_names)}")


def import_bag(config: BagImport) -> Summary:
    """Write the data set, and a picture of some paths. Raises UserError, OSError."""
    out, bags = Path(config.out), _bags(Path(config.bag))
    topics = _first_topics(bags, config)
    settings = as_dict(config)
    for name in ("bag", "out", "split", "processes", "skip_damaged"):
        del settings[name]
    description = Description(
        config.image_size,
        config.view,
        topics.modalities,
        (config.class_names or CLASS_NAMES) if topics.objects else (),
        {"command": "convert bag", **settings},
    )
    summary = _write(
        out,
        description,
        [str(path) for path in bags],
        partial(convert_bag, config=config, modalities=topics.modalities),
        1,
        worker_count(config.processes),
        split=config.split,
        skip_damaged=config.skip_damaged,
    )
    print(f"{draw_paths(out)}: some paths from above", file=sys.stderr)
    return summary


def _bags(path: Path) -> list[Path]:
    """The bags to read: one, or those of a folder in the order of their names. Raises UserError for an empty folder."""
    if not path.is_dir() or (path / "metadata.yaml").exists():  # of a ROS 2 bag
        return [path]
    bags = sorted(path.glob("*.bag"))
    if not bags:
        raise UserError(f"{path}: expected a ROS 1 bag or a folder of bags, found a folder without any *.bag")
    return bags


def _first_topics(bags: list[Path], config: BagImport) -> Topics:
    """The topics of the first bag that can be used: they say which modalities the data set has. Raises UserError."""
    for path in bags:
        try:
            with opened_bag(path) as bag:
                return find_topics(bag, config)
        except UserError:
            if not config.skip_damaged or path == bags[-1]:
                raise
    raise AssertionError("a folder without bags is refused before")


def _write(out: Path, *arguments: Any, **settings: Any) -> Summary:
    """`write_dataset`; where not one bag could be used, `out` is left as it was, to be tried with other settings."""
    was_there = (out / MANIFEST).exists()
    try:
        return write_dataset(out, *arguments, **settings)
    except UserError:
        if not was_there and not any(out.glob("shard-*.arrow")):
            (out / MANIFEST).unlink(missing_ok=True)
        raise


def convert_bag(path: str, config: BagImport, modalities: tuple[str, ...]) -> Iterator[Trajectory | Skipped]:
    """The trajectories of a bag in their order, then what was dropped. Prints a line that sums it up.

    Raises UserError where the bag is damaged or has not these modalities, and where not one trajectory comes of it.
    """
    with opened_bag(Path(path)) as bag:
        topics = find_topics(bag, config)
        if topics.modalities != modalities:
            raise UserError(
                f"{path}: has {', '.join(topics.modalities)}, the first bag {', '.join(modalities)}: set depth=none or "
                "objects=none, or name the topics"
            )
        reading = _Reading(bag, config, topics)
        for recorded in bag.messages(reading.topics):
            yield from reading.take(recorded)
        yield from reading.end()
    if not reading.trajectories:
        raise UserError(
            f"{path}: no trajectory of {config.shortest} frames (shortest=) in {reading.images} images; dropped: "
            + ("; ".join(reading.dropped.reasons()) or "nothing")
        )
    print(f"{path}: {reading.summary()}", file=sys.stderr)
    yield from (Skipped(Path(path).name, reason) for reason in reading.dropped.reasons())


class _Dropped:
    """Counts what is dropped, by a few words; keeps the first line that explains it."""

    def __init__(self) -> None:
        self.counts: Counter = Counter()
        self._lines: dict[str, str] = {}

    def count(self, kind: str, line: str, number: int = 1) -> None:
        self.counts[kind] += number
        self._lines.setdefault(kind, line)

    def reasons(self) -> list[str]:
        """A line for each reason."""
        return [f"{number} x {self._lines[kind]}" for kind, number in self.counts.most_common()]


class _Waiting(NamedTuple):
    """A message that has not been read but for its header."""

    stamp: int
    frame: str
    recorded: Recorded


class _Companions:
    """The last messages of depth or objects, found by stamp."""

    def __init__(self, tolerance: float) -> None:
        self._tolerance, self._messages, self._bytes = int(tolerance * 1e9), deque(), 0

    def add(self, waiting: _Waiting) -> None:
        self._messages.append(waiting)
        self._bytes += len(waiting.recorded.data)
        oldest = waiting.recorded.time - int(2 * WAIT * 1e9)
        while self._messages and (self._messages[0].recorded.time < oldest or self._has_too_many()):
            self._bytes -= len(self._messages.popleft().recorded.data)

    def _has_too_many(self) -> bool:
        return len(self._messages) > WAITING_IMAGES or self._bytes > WAITING_BYTES

    def near(self, stamp: int) -> Recorded | None:
        """The message nearest to a stamp; None where all are further than the tolerance."""
        nearest = min(self._messages, key=lambda waiting: abs(waiting.stamp - stamp), default=None)
        return nearest.recorded if nearest and abs(nearest.stamp - stamp) <= self._tolerance else None


class _Reading:
    """One pass over a bag: takes its messages one by one and gives the trajectories as they end."""

    def __init__(self, bag: Bag, config: BagImport, topics: Topics) -> None:
        self._bag, self._config, self._names = bag, config, topics
        self._target = PinholeCamera.square(config.image_size, config.view)
        self._view = bag_images.ModelView(self._target, str(bag.path))
        self._gate = KeyframeGate(config.keyframe_distance, math.radians(config.keyframe_angle), 0.0)
        self._camera_info = bag.first(topics.camera_info) if topics.camera_info else None
        self._mount = _given_mount(config.base_to_camera) if config.base_to_camera else None
        self._run, self._first_image = 0, None
        self.dropped = _Dropped()
        self.images = self.keyframes = self.trajectories = 0
        self.splits: Counter = Counter()
        self._begin_run()
        self.topics = self._needed_topics()

    # What is needed

    def _begin_run(self) -> None:
        """Forget all of what came before; after a jump of the recorder's clock."""
        limits = Limits(self._config.longest_gap, self._config.fastest, KEPT_POSES + self._config.longest_gap)
        self._tree = TransformTree(limits)
        self._read_fixed_transforms()
        if self._config.pose_source == "tf":
            self._poses = TransformPoses(self._tree, self._config.world_frame, self._mount, self._config.base_frame)
        else:
            self._poses = OdometryPoses(limits, self._tree, self._mount, self._config.base_frame)
        self._companions = {
            getattr(self._names, name): _Companions(self._config.join_tolerance)
            for name in ("depth", "objects")
            if getattr(self._names, name)
        }
        self._images: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._pieces, self._newest_stamp = None, None
        self._frames: list[tuple] = []
        self._gate.clear()

    def _read_fixed_transforms(self) -> None:
        """They may have been recorded after the first images, and hold for all of the bag."""
        for recorded in self._bag.messages(transform_topics(self._bag)[0]):
            try:
                for parent, child, _, pose in transforms(parse(recorded.kind, recorded.data)):
                    self._tree.add_fixed(parent, child, pose)
            except (DamagedMessageError, PoseError) as error:
                self._count_bad_message(recorded, error)

    def _needed_topics(self) -> list[str]:
        """The topics to read: of TF only what can say something new about the camera."""
        topics = [topic for topic in self._names if topic]
        needs_transforms = self._config.pose_source == "tf"
        if not needs_transforms and self._mount is None:
            base = self._bag.first(self._names.odom).child_frame_id.lstrip("/") or self._config.base_frame
            camera = self._bag.first(self._names.image).header.frame_id.lstrip("/")
            needs_transforms = not self._tree.is_fixed(base, camera)
        return topics + transform_topics(self._bag)[1] * needs_transforms

    # Messages

    def take(self, recorded: Recorded) -> Iterator[Trajectory]:
        """Take the next message; gives the trajectories that have ended."""
        if recorded.run != self._run:
            yield from self.end()
            self._run = recorded.run
            self.splits["the recorder's clock jumped back"] += 1
            self._begin_run()
        try:
            self._store(recorded)
        except (DamagedMessageError, PoseError) as error:
            self._count_bad_message(recorded, error)
        ready = recorded.time - int(WAIT * 1e9)
        while self._images and (self._images[0].recorded.time <= ready or self._has_too_many_waiting()):
            yield from self._use_oldest()

    def end(self) -> Iterator[Trajectory]:
        """Use the images that still wait, and end the trajectory."""
        while self._images:
            yield from self._use_oldest()
        yield from self._end_trajectory()

    def _store(self, recorded: Recorded) -> None:
        if recorded.topic == self._names.image:
            self.images += 1
            self._first_image = self._first_image or recorded.time
            self._images.append(_Waiting(*stamp_and_frame(recorded.data), recorded))
            self._waiting_bytes += len(recorded.data)
        elif recorded.topic in self._companions:
            waiting = _Waiting(*stamp_and_frame(recorded.data), recorded)
            self._companions[recorded.topic].add(waiting)
        elif recorded.topic == self._names.odom:
            stamp, _ = stamp_and_frame(recorded.data)
            self._poses.add(parse(recorded.kind, recorded.data), stamp, recorded.time)
        elif recorded.kind == CAMERA_INFO:
            self._camera_info = parse(recorded.kind, recorded.data)
        else:
            for parent, child, stamp, pose in transforms(parse(recorded.kind, recorded.data)):
                self._tree.add(parent, child, stamp, recorded.time, pose)

    def _count_bad_message(self, recorded: Recorded, error: ValueError) -> None:
        self.dropped.count(f"bad message on {recorded.topic}", f"a message on {recorded.topic}: {error}")

    def _has_too_many_waiting(self) -> bool:
        return len(self._images) > WAITING_IMAGES or self._waiting_bytes > WAITING_BYTES

    # Images

    def _use_oldest(self) -> Iterator[Trajectory]:
        """Make the image that has waited longest a frame, if it is a keyframe and all is there."""
        image = self._images.popleft()
        self._waiting_bytes -= len(image.recorded.data)
        try:
            placed = self._poses.at(image.frame, image.stamp, image.recorded.time)
        except NoPoseError as error:
            self.dropped.count(error.kind, f"image: {error}")
            self._give_up_on(error, image)
            return
        if self._newest_stamp is not None and placed.pieces == self._pieces and image.stamp <= self._newest_stamp:
            self.dropped.count("out of order", "image: its stamp is not after that of the image before")
            return
        reason = self._break(placed.pieces, image.stamp)
        if reason:
            self.splits[reason] += 1
            yield from self._end_trajectory()
        self._pieces = placed.pieces
        try:
            self._add_frame(image, placed.pose)
            self._newest_stamp = image.stamp
        except (ImageError, DamagedMessageError) as error:
            self.dropped.count(getattr(error, "kind", "damaged"), f"image: {error}")
        except (cv2.error, MemoryError) as error:  # no single image may end the import
            self.dropped.count("not converted", f"image: cannot be converted: {' '.join(str(error).split())}")
        if len(self._frames) == self._config.longest:
            yield from self._end_trajectory()

    def _give_up_on(self, error: NoPoseError, image: _Waiting) -> None:
        """Raise UserError where the camera has not been connected to the robot for long, and never was."""
        patience = self._first_image + int(PATIENCE * 1e9)
        if error.kind == "no chain" and self._pieces is None and image.recorded.time > patience:
            raise UserError(f"{self._bag.path}: {error}")

    def _break(self, pieces: tuple[PieceId, ...], stamp: int) -> str | None:
        """Why a new trajectory begins with this image; None: it goes on."""
        if not self._frames:
            return None
        began = [piece.reason for piece in pieces if piece not in self._pieces]
        if began:
            return began[0]
        is_gap = stamp - self._newest_stamp > self._config.longest_gap * 1e9
        return "no usable image for longer than longest_gap" if is_gap else None

    def _add_frame(self, image: _Waiting, camera: RigidPose) -> None:
        """Add a frame if the image is a keyframe. Raises ImageError, DamagedMessageError."""
        pose = camera_pose(camera, image.frame)
        if not self._gate.opens(pose, image.stamp):
            return
        roll = abs(roll_degrees(camera, image.frame))
        if roll > self._config.largest_roll:
            line = f"the camera is rolled by more than largest_roll={self._config.largest_roll:g} degrees ({roll:.0f})"
            raise ImageError("rolled", f"{line}: turn the pictures upright, or see whether its mounting is right")
        rgb = bag_images.colours(parse(image.recorded.kind, image.recorded.data))
        resampler = self._view.of(self._camera_of(rgb))
        bag_images.check_size("image", rgb, resampler.source)
        depth = self._companion("depth", image.stamp, bag_images.depth, resampler)
        objects = self._companion("objects", image.stamp, bag_images.labels, resampler)
        self._check_classes(objects)
        depth = None if depth is None else bag_images.millimetres(depth)
        self._gate.passed(pose, image.stamp)
        if not self._frames:
            self._trajectory_start = image.recorded.time
        self._frames.append((pose.to_array(), resampler.colours(rgb), depth, objects))
        self.keyframes += 1

    def _camera_of(self, rgb: np.ndarray) -> PinholeCamera:
        """The camera that took an image. Raises ImageError."""
        angle = self._config.field_of_view
        if angle is not None:
            height, width = rgb.shape[:2]
            focal = width / 2 / math.tan(math.radians(angle) / 2)
            try:
                return PinholeCamera(width, height, focal, focal, width / 2 - 0.5, height / 2 - 0.5)
            except ValueError as error:
                raise ImageError("bad size", str(error)) from error
        is_rectified = self._config.input_is_rectified
        if is_rectified is None:
            is_rectified = self._names.has_rectified_image
        return pinhole_camera(self._camera_info, is_rectified)

    def _companion(self, name: str, stamp: int, convert: Any, resampler: Any) -> np.ndarray | None:
        """Depth or objects at a stamp, as the model's camera sees them. Raises ImageError, DamagedMessageError."""
        topic = getattr(self._names, name)
        if not topic:
            return None
        recorded = self._companions[topic].near(stamp)
        if recorded is None:
            line = f"no {name} on {topic} within join_tolerance={self._config.join_tolerance:g} s of its stamp"
            raise ImageError(f"no {name}", f"{line}; {name}=none leaves it out")
        values = convert(parse(recorded.kind, recorded.data))
        bag_images.check_size(name, values, resampler.source)
        return resampler.values(values)

    def _check_classes(self, objects: np.ndarray | None) -> None:
        names = self._config.class_names or CLASS_NAMES
        if objects is not None and objects.max() >= len(names):
            raise UserError(
                f"{self._bag.path}: {self._names.objects} holds class id {objects.max()}, but there are {len(names)} "
                "class names: set class_names= to the names from id 0 on, or objects=none"
            )

    # Trajectories

    def _end_trajectory(self) -> Iterator[Trajectory]:
        """Give the trajectory that has gone on until now, if it is long enough."""
        frames, self._frames = self._frames, []
        self._gate.clear()
        if 0 < len(frames) < self._config.shortest:
            line = f"keyframe of a trajectory with fewer than shortest={self._config.shortest} frames"
            self.dropped.count("short", line, len(frames))
        elif frames:
            self.trajectories += 1
            poses, rgb, depth, objects = zip(*frames, strict=True)
            yield Trajectory(
                np.array(poses, np.float32),
                np.stack(rgb),
                np.stack(depth) if self._names.depth else None,
                np.stack(objects) if self._names.objects else None,
                f"{self._bag.path.name} at {(self._trajectory_start - self._bag.start) * 1e-9:.1f} s",
            )

    def summary(self) -> str:
        """What came of the bag, in a line."""
        parts = [
            f"{counted(self.images, 'image')}, {counted(self.keyframes, 'keyframe')}, "
            f"{counted(self.trajectories, 'trajectory', 'trajectories')}"
        ]
        for name, counts in (("split by", self.splits), ("dropped", self.dropped.counts)):
            listed = ", ".join(f"{reason} ({number})" for reason, number in counts.most_common() if number)
            parts += [f"{name}: {listed}"] if listed else []
        return "; ".join(parts)


def _given_mount(numbers: tuple[float, ...]) -> RigidPose:
    """The pose of x, y, z, qx, qy, qz, qw. Raises PoseError."""
    return RigidPose.checked(numbers[:3], numbers[3:])
