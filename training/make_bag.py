"""Write a ROS 1 bag of a robot driving through a made house: `python -m training.make_bag OUT.bag seed=3 seconds=30`.

    /camera/color/image_raw                   sensor_msgs/Image, rgb8; 320 x 240, 10 Hz unless told otherwise
    /camera/color/camera_info                 sensor_msgs/CameraInfo, no distortion
    /camera/aligned_depth_to_color/image_raw  sensor_msgs/Image, 16UC1, millimetres, 0 = none
    /camera/objects/image_raw                 sensor_msgs/Image, mono8, indices into training.houses.CLASS_NAMES
    /odom                                     nav_msgs/Odometry, 50 Hz, base_link in odom, without noise
    /tf, /tf_static                           odom -> base_link; base_link -> camera_color_optical_frame (latched)

The odom frame is where the robot starts, on the floor. With `there_and_back` the robot drives back at half time and
ends as it began: such a bag can be played again and again, and the robot never jumps. Needs no ROS. The same arguments
give the same messages.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import numpy as np
from rosbags.rosbag1 import Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from placenet_ros.scene.depth import millimetres
from training.configuration import UserError, argument, parse, run_command, section, setting
from training.houses.draws import Draws
from training.houses.house import House
from training.houses.pictures import HousePictures
from training.houses.plan import make_house
from training.houses.waypoints import Path as DrivenPath
from training.houses.waypoints import plan_walk
from training.progress_line import ProgressLine

FOCAL_LENGTH = 0.625  # of the width: a wider view, 77 degrees, than the model's
LARGEST_SIDE = 4096  # pixels
ODOMETRY_PERIOD = 20_000_000  # nanoseconds
IMAGE_OFFSET = 10_000_000  # nanoseconds: pictures are taken between two odometry messages, as on a robot
START = 1_700_000_000_000_000_000  # nanoseconds since 1970, of the first message
SPEED, TURN_RATE = 0.5, 0.8  # metres and radians per second
HALF_TURN_SECONDS = np.pi / TURN_RATE
SHORTEST_RETURN = 10.0  # seconds of a drive there and back: two half turns take 8
CAMERA_HEIGHTS, CAMERA_TILTS = (0.5, 1.0), (-8.0, 0.0)  # metres, degrees
CAMERA_AHEAD = 0.1  # metres from the base's centre
FRAMES_AT_ONCE = 20  # pictures in memory
BAG_DRAWS = 4
BYTES_PER_PIXEL = 3 + 2 + 1  # colour, depth and class; all else is a hundredth of the bag

ODOM, BASE, CAMERA = "odom", "base_link", "camera_color_optical_frame"
TYPES = get_typestore(Stores.ROS1_NOETIC)
TYPES.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms", "tf2_msgs/msg/TFMessage"))
TOPICS = {
    "/tf_static": "tf2_msgs/msg/TFMessage",
    "/tf": "tf2_msgs/msg/TFMessage",
    "/odom": "nav_msgs/msg/Odometry",
    "/camera/color/camera_info": "sensor_msgs/msg/CameraInfo",
    "/camera/color/image_raw": "sensor_msgs/msg/Image",
    "/camera/aligned_depth_to_color/image_raw": "sensor_msgs/msg/Image",
    "/camera/objects/image_raw": "sensor_msgs/msg/Image",
}


@dataclass(frozen=True)
class CameraConfig:
    """The robot's camera."""

    width: int = setting(320, "Width of its pictures, pixels; at most 4096.")
    height: int = setting(240, "Their height, pixels; at most 4096.")
    rate: float = setting(10.0, "Pictures each second; at most 50, as often as odometry comes.")

    def __post_init__(self):
        if not (16 <= self.width <= LARGEST_SIDE and 16 <= self.height <= LARGEST_SIDE):
            raise ValueError(
                f"width and height must be within 16 and {LARGEST_SIDE}, found {self.width} x {self.height}"
            )
        if not 0.1 <= self.rate <= 1e9 / ODOMETRY_PERIOD:
            raise ValueError(f"rate must be within 0.1 and {1e9 / ODOMETRY_PERIOD:g}, found {self.rate:g}")

    @property
    def period(self) -> int:
        """Nanoseconds from picture to picture."""
        return round(1e9 / self.rate)

    @property
    def focal_length(self) -> float:
        """Pixels, both ways."""
        return FOCAL_LENGTH * self.width


@dataclass(frozen=True)
class BagConfig:
    """Write a bag of a robot with a colour and depth camera that drives through a made house."""

    bag: str = argument("File to write; replaced if it exists.")
    seed: int = setting(10_000_000, "Seed of house and path; training uses those below 10,000,000.")
    seconds: float = setting(30.0, "Length of the drive, seconds; at most 3600.")
    there_and_back: bool = setting(False, "Drive back at half time, and end as the drive began; at least 10 seconds.")
    camera: CameraConfig = section(CameraConfig)

    def __post_init__(self):
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, found {self.seed}")
        if not 0.1 <= self.seconds <= 3600:
            raise ValueError(f"seconds must be within 0.1 and 3600, found {self.seconds:g}")
        if self.there_and_back and self.seconds < SHORTEST_RETURN:
            raise ValueError(
                f"seconds must be at least {SHORTEST_RETURN:g} for a drive there and back, found {self.seconds:g}"
            )


class WrittenBag(NamedTuple):
    """What was written."""

    messages: int
    bytes: int
    seconds: float  # that it took


@dataclass(frozen=True)
class Drive:
    """A drive through a house: the base's path in it, and how the camera is mounted (metres, radians)."""

    house: House
    path: DrivenPath
    camera_height: float
    camera_pitch: float

    def base_poses(self, nanoseconds):
        """x, y and heading (n, 3) in the house, nanoseconds after the start."""
        return self.path.at(np.asarray(nanoseconds) * 1e-9, SPEED, TURN_RATE)

    def camera_poses(self, nanoseconds):
        """x, y, z, yaw and pitch (n, 5) in the house, nanoseconds after the start."""
        base = self.base_poses(nanoseconds)
        poses = np.empty((len(base), 5))
        poses[:, 0] = base[:, 0] + CAMERA_AHEAD * np.cos(base[:, 2])
        poses[:, 1] = base[:, 1] + CAMERA_AHEAD * np.sin(base[:, 2])
        poses[:, 2], poses[:, 3], poses[:, 4] = self.camera_height, base[:, 2], self.camera_pitch
        return poses


def plan_drive(seed: int, seconds: float, returns: bool = False) -> Drive:
    """The drive of a seed; where it `returns`, there and back."""
    draws, house = Draws(BAG_DRAWS, seed), make_house(seed)
    height, pitch = draws.between(*CAMERA_HEIGHTS), np.radians(draws.between(*CAMERA_TILTS))
    path = plan_walk(house, draws, seconds, SPEED, TURN_RATE, height)
    return Drive(house, there_and_back(path, seconds) if returns else path, height, pitch)


def there_and_back(path: DrivenPath, seconds: float) -> DrivenPath:
    """As far along a path as leaves time to turn round, drive back and turn round again within these seconds."""
    times, until = path.times(SPEED, TURN_RATE), seconds / 2 - HALF_TURN_SECONDS
    there = np.concatenate([path.knots[times < until], path.at([until], SPEED, TURN_RATE)])
    back = there[::-1] + (0.0, 0.0, np.pi)
    return DrivenPath(np.concatenate([there, back, there[:1] + (0.0, 0.0, 2 * np.pi)]))


def make_bag(
    bag: Path, seed: int, seconds: float, camera: CameraConfig | None = None, returns: bool = False
) -> WrittenBag:
    """Write the bag under a temporary name, then rename it. Raises UserError if that cannot be done."""
    partial, begun = bag.with_name(bag.name + ".partial"), monotonic()
    try:
        if bag.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        partial.unlink(missing_ok=True)
        with Writer(partial) as writer:
            drive = plan_drive(seed, seconds, returns)
            messages = write_messages(writer, drive, camera or CameraConfig(), int(seconds * 1e9))
        os.replace(partial, bag)
        return WrittenBag(messages, bag.stat().st_size, monotonic() - begun)
    except OSError as error:
        raise UserError(
            f"{bag} cannot be written: {error.strerror}; name a file in an existing, writable folder"
        ) from error
    finally:
        if partial.is_file():
            partial.unlink()


def write_messages(writer: Writer, drive: Drive, camera: CameraConfig, duration: int) -> int:
    """All messages of a drive of this many nanoseconds, in the order of their stamps; returns how many."""
    connections = {
        topic: writer.add_connection(
            topic, kind, typestore=TYPES, callerid="/make_bag", latching=int(topic == "/tf_static")
        )
        for topic, kind in TOPICS.items()
    }
    progress, written = ProgressLine(), 0

    def write(topic, time, message):
        nonlocal written
        written += 1
        writer.write(connections[topic], START + time, TYPES.serialize_ros1(message, TOPICS[topic]))

    write("/tf_static", 0, camera_mount(drive))
    moves = motion_messages(drive, duration)
    time, topic, message = next(moves)
    pictures = 0
    for pictures, (picture_time, messages) in enumerate(picture_messages(drive, camera, duration), start=1):
        while time <= picture_time:
            write(topic, time, message)
            time, topic, message = next(moves)
        for picture_topic, picture in messages.items():
            write(picture_topic, picture_time, picture)
        progress.show(how_far(pictures, camera, duration))
    write(topic, time, message)
    for time, topic, message in moves:
        write(topic, time, message)
    progress.show(how_far(pictures, camera, duration), last=True)
    return written


def how_far(pictures: int, camera: CameraConfig, duration: int) -> str:
    """The line of progress after so many pictures of a drive."""
    of, each = len(picture_times(camera, duration)), camera.width * camera.height * BYTES_PER_PIXEL / 1e6
    return f"{pictures} of {of} pictures, {pictures * each:,.0f} of some {of * each:,.0f} MB"


# Motion


def motion_messages(drive: Drive, duration: int) -> Iterator[tuple[int, str, object]]:
    """(nanoseconds after the start, topic, message) of odometry and its transform, up to and with the end."""
    times = np.arange(0, duration + ODOMETRY_PERIOD, ODOMETRY_PERIOD)
    poses = from_start(drive.base_poses(times), drive.base_poses([0])[0])
    headings = np.unwrap(poses[:, 2])
    seconds = ODOMETRY_PERIOD * 1e-9
    speeds = np.hypot(np.gradient(poses[:, 0], seconds), np.gradient(poses[:, 1], seconds))
    turn_rates = np.gradient(headings, seconds)
    for sequence, (time, pose, speed, turn_rate) in enumerate(
        zip(times.tolist(), poses, speeds, turn_rates, strict=True)
    ):
        header = stamped(sequence, time, ODOM)
        rotation = quaternion(0.0, 0.0, np.sin(pose[2] / 2), np.cos(pose[2] / 2))
        yield time, "/odom", odometry(header, pose, rotation, speed, turn_rate)
        yield time, "/tf", transform(header, BASE, (pose[0], pose[1], 0.0), rotation)


def from_start(poses: np.ndarray, start: np.ndarray) -> np.ndarray:
    """x, y, heading (n, 3) as seen from the pose `start`."""
    x, y = poses[:, 0] - start[0], poses[:, 1] - start[1]
    cos, sin = np.cos(start[2]), np.sin(start[2])
    return np.stack([cos * x + sin * y, cos * y - sin * x, poses[:, 2] - start[2]], axis=1)


def odometry(header, pose, rotation, speed, turn_rate):
    """A nav_msgs/Odometry without noise."""
    covariance = np.zeros(36)
    position = message("geometry_msgs/msg/Point", x=float(pose[0]), y=float(pose[1]), z=0.0)
    pose_message = message("geometry_msgs/msg/Pose", position=position, orientation=rotation)
    twist = message("geometry_msgs/msg/Twist", linear=vector(float(speed)), angular=vector(z=float(turn_rate)))
    return message(
        "nav_msgs/msg/Odometry",
        header=header,
        child_frame_id=BASE,
        pose=message("geometry_msgs/msg/PoseWithCovariance", pose=pose_message, covariance=covariance),
        twist=message("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=covariance),
    )


def camera_mount(drive: Drive):
    """The static transform to the camera's optical frame (REP 103: x right, y down, z forward)."""
    half = drive.camera_pitch / 2
    cos, sin = np.cos(half) / 2, np.sin(half) / 2
    # the turn by -pitch about the base's y, times the quaternion (-1, 1, -1, 1) / 2 of a level optical frame
    rotation = quaternion(sin - cos, cos - sin, -cos - sin, cos + sin)
    return transform(stamped(0, 0, BASE), CAMERA, (CAMERA_AHEAD, 0.0, drive.camera_height), rotation)


def transform(header, child, translation, rotation):
    """A tf2_msgs/TFMessage of one transform."""
    motion = message("geometry_msgs/msg/Transform", translation=vector(*translation), rotation=rotation)
    stamped_motion = message(
        "geometry_msgs/msg/TransformStamped", header=header, child_frame_id=child, transform=motion
    )
    return message("tf2_msgs/msg/TFMessage", transforms=[stamped_motion])


# Pictures


def picture_times(camera: CameraConfig, duration: int) -> np.ndarray:
    """When pictures are taken, nanoseconds after the start."""
    return np.arange(IMAGE_OFFSET, duration, camera.period)


def picture_messages(drive: Drive, camera: CameraConfig, duration: int) -> Iterator[tuple[int, dict]]:
    """(nanoseconds after the start, {topic: message}) of each picture, with its depth, classes and calibration."""
    times = picture_times(camera, duration)
    field_of_view = 2 * np.degrees(np.arctan(camera.width / 2 / camera.focal_length))
    with HousePictures(camera.width, camera.height, field_of_view) as house:
        house.load(drive.house)
        for first in range(0, len(times), FRAMES_AT_ONCE):
            some = times[first : first + FRAMES_AT_ONCE]
            pictures = house.take(drive.camera_poses(some))
            depth = millimetres(pictures.depth)
            for number, time in enumerate(some.tolist()):
                header = stamped(first + number, time, CAMERA)
                yield (
                    time,
                    {
                        "/camera/color/camera_info": calibration(header, camera),
                        "/camera/color/image_raw": image(header, "rgb8", pictures.rgb[number]),
                        "/camera/aligned_depth_to_color/image_raw": image(header, "16UC1", depth[number]),
                        "/camera/objects/image_raw": image(header, "mono8", pictures.objects[number]),
                    },
                )


def image(header, encoding, pixels):
    """A sensor_msgs/Image of an array (height, width) or (height, width, channels), little-endian."""
    height, width = pixels.shape[:2]
    little_endian = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    data = little_endian.view(np.uint8).reshape(-1)
    return message(
        "sensor_msgs/msg/Image",
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=data.size // height,
        data=data,
    )


def calibration(header, camera):
    """The sensor_msgs/CameraInfo of an ideal pinhole camera."""
    focal = camera.focal_length
    centre_x, centre_y = camera.width / 2 - 0.5, camera.height / 2 - 0.5  # pixel centres are at whole numbers here
    intrinsics = np.array([[focal, 0.0, centre_x], [0.0, focal, centre_y], [0.0, 0.0, 1.0]])
    return message(
        "sensor_msgs/msg/CameraInfo",
        header=header,
        height=camera.height,
        width=camera.width,
        distortion_model="plumb_bob",
        D=np.zeros(5),
        K=intrinsics.reshape(-1),
        R=np.eye(3).reshape(-1),
        P=np.column_stack([intrinsics, np.zeros(3)]).reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=message("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
    )


# Messages


def message(kind, **fields):
    """A message of this type."""
    return TYPES.types[kind](**fields)


def stamped(sequence, time, frame):
    """A header for so many nanoseconds after the start."""
    seconds, nanoseconds = divmod(START + time, 1_000_000_000)
    stamp = message("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
    return message("std_msgs/msg/Header", seq=sequence, stamp=stamp, frame_id=frame)


def vector(x=0.0, y=0.0, z=0.0):
    """A geometry_msgs/Vector3."""
    return message("geometry_msgs/msg/Vector3", x=float(x), y=float(y), z=float(z))


def quaternion(x, y, z, w):
    """A geometry_msgs/Quaternion."""
    return message("geometry_msgs/msg/Quaternion", x=float(x), y=float(y), z=float(z), w=float(w))


def main(argv: list[str]) -> None:
    """The command."""
    config = parse(BagConfig, argv, program="training.make_bag")
    written = make_bag(Path(config.bag), config.seed, config.seconds, config.camera, config.there_and_back)
    print(
        f"{config.bag}: {config.seconds:g} s through house {config.seed}, {written.messages:,} messages, "
        f"{written.bytes / 1e6:,.1f} MB, {written.seconds:.0f} s"
    )


if __name__ == "__main__":
    run_command(main)
