"""Replays a bag once the node is ready, after a look at whether the bag has what the node needs.

replay_bag check BAG [--rate R] [--image-transport T] [--pose-source S] image=TOPIC camera_info=TOPIC odom=TOPIC
    prints the bag's length in seconds; replay.launch calls it before anything starts
replay_bag play BAG [--rate R] [--loop true] [--after TOPIC ...]
    waits until the topics are published, then becomes `rosbag play`
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from typing import Sequence

import rosbag
import rosgraph
import rospy

from placenet_ros.node.compressed_images import COMPRESSED_SUFFIXES

IMAGE, COMPRESSED_IMAGE = "sensor_msgs/Image", "sensor_msgs/CompressedImage"
MESSAGE_TYPES = {"image": IMAGE, "camera_info": "sensor_msgs/CameraInfo", "odom": "nav_msgs/Odometry"}
TRANSFORM_TYPE = "tf2_msgs/TFMessage"
CLOCK_HZ = 200
CONNECT_SECONDS = 1.0  # from advertising a bag's topics to its first message, so that nobody misses that
READY_SECONDS = 120.0  # longest wait for the node: PyTorch's first import on a small computer takes a while
POLL_SECONDS = 0.2
STOPPED = 130  # exit status after Ctrl-C, as shells have it


class BagError(ValueError):
    """A bag that is missing, damaged or lacks a topic; one line."""


def opened_bag(path: str) -> rosbag.Bag:
    """Raises BagError."""
    if not os.path.isfile(path):
        raise BagError(f"{path}: no such bag; give the path of a .bag file")
    try:
        return rosbag.Bag(path)
    except rosbag.ROSBagUnindexedException as error:
        raise BagError(f"{path}: no index, as if its recording was cut off; run: rosbag reindex {path}") from error
    except (rosbag.ROSBagException, OSError) as error:
        raise BagError(f"{path}: not a bag that can be read: {error}") from error


def check_bag(path: str, topics: dict[str, str], image_transport: str = "raw", pose_source: str = "odom") -> float:
    """Length of the bag in seconds.

    topics: by input (image, camera_info, odom) the topic that it should be on.
    image_transport, pose_source: the node's: compressed images are below the image's topic, and TF replaces odom.

    Raises BagError for a bag that lacks one of them, naming it and those that the bag has, and for a relative path.
    """
    if not os.path.isabs(path):
        raise BagError(
            f"{path}: roslaunch starts nodes in another folder; give the whole path, {os.path.abspath(path)}"
        )
    with opened_bag(path) as bag:
        found = {name: topic.msg_type for name, topic in bag.get_type_and_topic_info().topics.items()}
        seconds = bag.get_end_time() - bag.get_start_time() if found else 0.0
    needed = {name: (topic, MESSAGE_TYPES[name]) for name, topic in topics.items()}
    if image_transport == "compressed" and "image" in needed:
        needed["image"] = topics["image"] + COMPRESSED_SUFFIXES["image"], COMPRESSED_IMAGE
    if pose_source == "tf" and needed.pop("odom", None):
        needed["TF"] = "/tf", TRANSFORM_TYPE
    missing = {name: (topic, kind) for name, (topic, kind) in needed.items() if found.get(topic) != kind}
    if missing:
        lacks = ", ".join(f"{topic} ({kind}) for {name}" for name, (topic, kind) in missing.items())
        has = ", ".join(f"{topic} ({kind})" for topic, kind in sorted(found.items())) or "no messages at all"
        raise BagError(f"{path}: the bag lacks {lacks}; it has {has}; {_what_to_type(missing, topics, found)}")
    return seconds


def _what_to_type(missing: dict[str, tuple[str, str]], topics: dict[str, str], found: dict[str, str]) -> str:
    """Settings that go with what the bag has, else an example of how to name a topic."""
    hints = []
    if "image" in missing and found.get(topics["image"] + COMPRESSED_SUFFIXES["image"]) == COMPRESSED_IMAGE:
        hints.append("image_transport:=compressed")
    if "image" in missing and found.get(topics["image"]) == IMAGE:
        hints.append("image_transport:=raw")
    if "odom" in missing and found.get("/tf") == TRANSFORM_TYPE:
        hints.append("pose_source:=tf")
    if hints:
        return f"try {' '.join(hints)}"
    name = next(iter(missing))
    return f"name its topics, for instance {name}:=/TOPIC" if name in topics else "play one that was recorded with it"


def checked_rate(rate: str) -> float:
    """How many times faster than recorded. Raises BagError for what is no number above 0."""
    try:
        number = float(rate)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise BagError(f"rate must be a number above 0, times the speed of the recording, found '{rate}'")
    return number


def wait_until_published(topics: Sequence[str]) -> None:
    """Raises BagError where that takes too long."""
    master, deadline = rosgraph.Master("/replay_bag"), time.monotonic() + READY_SECONDS
    waiting = {rospy.names.resolve_name(topic) for topic in topics}
    while waiting:
        try:
            waiting -= {topic for topic, _ in master.getPublishedTopics("")}
        except (OSError, rosgraph.MasterException) as error:
            raise BagError(f"not played: the ROS master does not answer any more: {error}") from error
        if time.monotonic() > deadline:
            raise BagError(f"not played: nobody published {', '.join(sorted(waiting))} within {READY_SECONDS:g} s")
        time.sleep(POLL_SECONDS)


def play(bag: str, rate: float, loop: bool, after: Sequence[str]) -> None:
    """Become `rosbag play`. Raises BagError."""
    wait_until_published(after)
    command = ["rosbag", "play", "--quiet", "--clock", f"--hz={CLOCK_HZ}", f"--delay={CONNECT_SECONDS}"]
    command += [f"--rate={rate}", *(["--loop"] if loop else []), bag]
    os.execvp(command[0], command)


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description="Replay a bag once the node is ready.")
    commands = parser.add_subparsers(dest="command", required=True)
    check_parser = commands.add_parser("check", help="print the bag's length, or what it lacks")
    check_parser.add_argument("bag")
    check_parser.add_argument("topics", nargs="+", metavar="INPUT=TOPIC")
    check_parser.add_argument("--image-transport", default="raw", help="raw or compressed, as the node has it")
    check_parser.add_argument("--pose-source", default="odom", help="odom or tf, as the node has it")
    play_parser = commands.add_parser("play", help="play the bag once others are ready")
    play_parser.add_argument("bag")
    play_parser.add_argument("--loop", choices=("true", "false"), default="false", help="start again at the end")
    play_parser.add_argument("--after", nargs="*", default=[], metavar="TOPIC", help="topics that must be published")
    for command in (check_parser, play_parser):
        command.add_argument("--rate", default="1", help="times real time")
    arguments = parser.parse_args(rospy.myargv()[1:])
    try:
        rate = checked_rate(arguments.rate)
        if arguments.command == "check":
            topics = dict(topic.split("=", 1) for topic in arguments.topics)
            print(check_bag(arguments.bag, topics, arguments.image_transport, arguments.pose_source))
        else:
            play(arguments.bag, rate, arguments.loop == "true", arguments.after)
    except BagError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return STOPPED
    return 0
