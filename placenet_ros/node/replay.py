"""Replays a bag once the node is ready, after a look at whether the bag has what the node needs.

replay_bag check BAG [--rate R] image=TOPIC camera_info=TOPIC odom=TOPIC
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

MESSAGE_TYPES = {
    "image": "sensor_msgs/Image",
    "camera_info": "sensor_msgs/CameraInfo",
    "odom": "nav_msgs/Odometry",
}
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


def check_bag(path: str, topics: dict[str, str]) -> float:
    """Length of the bag in seconds. topics: by input (image, camera_info, odom) the topic that it should be on.

    Raises BagError for a bag that lacks one of them, naming it and those that the bag has, and for a relative path.
    """
    if not os.path.isabs(path):
        raise BagError(
            f"{path}: roslaunch starts nodes in another folder; give the whole path, {os.path.abspath(path)}"
        )
    with opened_bag(path) as bag:
        found = {name: topic.msg_type for name, topic in bag.get_type_and_topic_info().topics.items()}
        seconds = bag.get_end_time() - bag.get_start_time() if found else 0.0
    missing = [
        f"{topic} ({MESSAGE_TYPES[name]}) for {name}"
        for name, topic in topics.items()
        if found.get(topic) != MESSAGE_TYPES[name]
    ]
    if missing:
        has = ", ".join(f"{topic} ({kind})" for topic, kind in sorted(found.items())) or "no messages at all"
        name = next(name for name, topic in topics.items() if found.get(topic) != MESSAGE_TYPES[name])
        raise BagError(
            f"{path}: the bag lacks {', '.join(missing)}; it has {has}; name its topics, for instance {name}:=/TOPIC"
        )
    return seconds


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
            print(check_bag(arguments.bag, dict(topic.split("=", 1) for topic in arguments.topics)))
        else:
            play(arguments.bag, rate, arguments.loop == "true", arguments.after)
    except BagError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return STOPPED
    return 0
