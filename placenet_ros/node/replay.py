"""Replays a bag once the node is ready, after a look at whether the bag has what the node needs.

replay_bag check BAG [--rate R] [--image-transport T] [--pose-source S] image=TOPIC camera_info=TOPIC odom=TOPIC
    prints the bag's length in seconds; replay.launch calls it before anything starts
replay_bag play BAG [--rate R] [--loop true] [--ends true] [--after TOPIC ...] [--image-transport T]
                [--depth-transport T] [--images image=TOPIC depth=TOPIC objects=TOPIC]
    names the images that the bag lacks, waits until the topics of --after are published, then becomes `rosbag play`
"""

from __future__ import annotations

import argparse
import difflib
import math
import os
import struct
import sys
import time
from typing import Iterable, Sequence

import genpy
import rosbag
import rosgraph
import rospy

from placenet_ros.node.compressed_images import COMPRESSED_SUFFIXES, encoding_of
from placenet_ros.node.image_layout import COLOUR_ENCODINGS, DEPTH_ENCODINGS

IMAGE, COMPRESSED_IMAGE = "sensor_msgs/Image", "sensor_msgs/CompressedImage"
MESSAGE_TYPES = {"image": IMAGE, "camera_info": "sensor_msgs/CameraInfo", "odom": "nav_msgs/Odometry"}
IMAGES = {IMAGE, COMPRESSED_IMAGE}
TRANSFORM_TYPE = "tf2_msgs/TFMessage"
CLOCK_HZ = 200
CONNECT_SECONDS = 1.0  # from advertising a bag's topics to its first message, so that nobody misses that
READY_SECONDS = 120.0  # longest wait for the node: PyTorch's first import on a small computer takes a while
POLL_SECONDS = 0.2
END_LINE = "when the bag is over, roslaunch ends, and says in red that a REQUIRED process has died: that is its way"
DAMAGED = (rosbag.ROSBagException, genpy.DeserializationError, struct.error, OSError)  # by a bag's messages
STOPPED = 130  # exit status after Ctrl-C, as shells have it


class BagError(ValueError):
    """A bag that is missing, damaged or lacks a topic; one line."""


def whole_path(path: str) -> str:
    """The path of a bag with `~` expanded. Raises BagError for a relative one: roslaunch starts nodes elsewhere."""
    expanded = os.path.expanduser(path)
    if not os.path.isabs(expanded):
        whole = os.path.abspath(expanded)
        is_there = "" if os.path.isfile(whole) else " (no such bag, either)"
        raise BagError(f"{path}: roslaunch starts nodes in another folder; give the whole path, {whole}{is_there}")
    return expanded


def opened_bag(path: str) -> rosbag.Bag:
    """`~` in the path is expanded. Raises BagError."""
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise BagError(f"{path}: no such bag; give the path of a .bag file")
    try:
        return rosbag.Bag(path)
    except rosbag.ROSBagUnindexedException as error:
        raise BagError(
            f"{path}: no index, as if its recording was cut off; run: rosbag reindex {path} (where that does not help, "
            "it is a part of a bag: copy it again)"
        ) from error
    except (rosbag.ROSBagException, OSError) as error:
        raise BagError(f"{path}: not a bag that can be read: {error}") from error


def check_bag(path: str, topics: dict[str, str], image_transport: str = "raw", pose_source: str = "odom") -> float:
    """Length of the bag in seconds.

    topics: by input (image, camera_info, odom) the topic that it should be on.
    image_transport, pose_source: the node's: compressed images are below the image's topic, and TF replaces odom.

    Raises BagError for a bag that lacks one of them, naming it and those of its type that the bag has, for one that is
    damaged, and for a relative path.
    """
    path = whole_path(path)
    with opened_bag(path) as bag:
        found = _types(bag)
        seconds = bag.get_end_time() - bag.get_start_time() if found else 0.0
        missing = _missing(topics, image_transport, pose_source, found)
        if missing:
            lacks = ", ".join(f"{topic} ({kind}) for {name}" for name, (topic, kind) in missing.items())
            has = _listed(_alike(missing, found) or found) or "no messages at all"
            advice = _what_to_type(missing, topics, _without_depth(bag, found))
            raise BagError(f"{path}: the bag lacks {lacks}; it has {has}; {advice}")
    return seconds


def damage(path: str, error: Exception) -> BagError:
    """What there is to say of a bag whose messages cannot be read, by one of DAMAGED."""
    return BagError(f"{path}: damaged: {error}; record it again, or cut it with rosbag filter")


def _missing(
    topics: dict[str, str], image_transport: str, pose_source: str, found: dict[str, str]
) -> dict[str, tuple[str, str]]:
    """Topic and type of each input that a bag with these types of messages, by topic, lacks; see `check_bag`."""
    needed = {name: (topic, MESSAGE_TYPES[name]) for name, topic in topics.items()}
    if image_transport == "compressed" and "image" in needed:
        needed["image"] = topics["image"] + COMPRESSED_SUFFIXES["image"], COMPRESSED_IMAGE
    if pose_source == "tf" and needed.pop("odom", None):
        needed["TF"] = "/tf", TRANSFORM_TYPE
    return {name: (topic, kind) for name, (topic, kind) in needed.items() if found.get(topic) != kind}


def _types(bag: rosbag.Bag) -> dict[str, str]:
    """Types of the bag's messages, by topic."""
    return {name: topic.msg_type for name, topic in bag.get_type_and_topic_info().topics.items()}


def _without_depth(bag: rosbag.Bag, found: dict[str, str]) -> dict[str, str]:
    """Of what the bag has, all but images of depth, by the first message of each topic. Raises BagError."""

    def is_depth(topic: str) -> bool:
        encoding = next((encoding_of(message) for _, message, _ in bag.read_messages(topic)), "")
        return encoding in DEPTH_ENCODINGS and encoding not in COLOUR_ENCODINGS

    try:
        return {topic: kind for topic, kind in found.items() if kind not in IMAGES or not is_depth(topic)}
    except DAMAGED as error:
        raise damage(bag.filename, error) from error


def _listed(types: dict[str, str]) -> str:
    return ", ".join(f"{topic} ({kind})" for topic, kind in sorted(types.items()))


def _alike(missing: dict[str, tuple[str, str]], found: dict[str, str]) -> dict[str, str]:
    """Of what the bag has, that which has a topic or a type that is missed; images compressed or not."""
    topics, kinds = {topic for topic, _ in missing.values()}, {kind for _, kind in missing.values()}
    if kinds & IMAGES:
        kinds |= IMAGES
    return {topic: kind for topic, kind in found.items() if topic in topics or kind in kinds}


def _what_to_type(missing: dict[str, tuple[str, str]], topics: dict[str, str], found: dict[str, str]) -> str:
    """Settings that go with what the bag has, and for what no setting helps."""
    settings = {name: _setting(name, *form, topics, found) for name, form in missing.items()}
    hints = [hint for hint in settings.values() if hint]
    told = [f"try {' '.join(hints)}"] if hints else []
    lacking = [name for name, hint in settings.items() if not hint]
    if lacking:
        told.append(f"nothing in it serves as {', '.join(lacking)}: record that as well")
    return "; ".join(told)


def _setting(name: str, topic: str, kind: str, topics: dict[str, str], found: dict[str, str]) -> str | None:
    """What to add for one input, so that it takes what the bag has; None: nothing like it."""
    if name == "image":
        return _image_setting(topics["image"], kind, found)
    of_kind = [each for each, its_kind in found.items() if its_kind == kind]
    if name in topics and of_kind:
        return f"{name}:={_nearest(topic, of_kind)}"
    return "pose_source:=tf" if name == "odom" and found.get("/tf") == TRANSFORM_TYPE else None


def _image_setting(topic: str, kind: str, found: dict[str, str]) -> str | None:
    """The same of images, of which those of this kind are wanted: by the other transport, or on another topic."""
    suffix = COMPRESSED_SUFFIXES["image"]
    raw = {each for each, its_kind in found.items() if its_kind == IMAGE}
    compressed = {each for each, its_kind in found.items() if its_kind == COMPRESSED_IMAGE and each.endswith(suffix)}
    compressed = {each[: -len(suffix)] for each in compressed}
    if not raw | compressed:
        return None
    best = topic if topic in raw | compressed else _nearest(topic, raw | compressed)
    settings = [] if best == topic else [f"image:={best}"]
    if best not in (raw if kind == IMAGE else compressed):
        settings.append(f"image_transport:={'compressed' if kind == IMAGE else 'raw'}")
    return " ".join(settings)


def _nearest(topic: str, others: Iterable[str]) -> str:
    """Of some topics, the one whose name is the most alike."""
    return difflib.get_close_matches(topic, sorted(others), n=1, cutoff=0.0)[0]


def missing_companions(path: str, topics: dict[str, str], image_transport: str, depth_transport: str) -> list[str]:
    """A line for each of depth and objects that the bag lacks: the node goes without, and nobody else would notice.

    topics: by input (image, depth, objects) the topic that it should be on. image_transport: the node's.
    depth_transport: the node's; "configured": not known here, images may come either way.

    Raises BagError.
    """
    if depth_transport == "as_image":
        depth_transport = image_transport
    transports = {"image": image_transport, "depth": depth_transport, "objects": depth_transport}
    with opened_bag(path) as bag:
        found = set(_types(bag).items())
    forms = {name: _forms(name, topic, transports[name]) for name, topic in topics.items()}
    others = found - set().union(*forms.values())
    missing = [name for name in forms if name != "image" and not forms[name] & found]
    lines = []
    for name in missing:
        candidates = _candidates(name, transports[name], others)
        line = f"{path}: no images on {topics[name]}: played without {name}"
        if candidates:
            meant = _nearest(topics[name], candidates)
            line += f"; other images in it: {', '.join(candidates)}; perhaps {name}:={meant}"
            others -= _forms(name, meant, transports[name])  # depth is not objects, too
        lines.append(line)
    return lines


def _forms(name: str, topic: str, transport: str) -> set[tuple[str, str]]:
    """Topic and type of an input of images; of both transports where neither is given."""
    forms = {"raw": (topic, IMAGE), "compressed": (topic + COMPRESSED_SUFFIXES[name], COMPRESSED_IMAGE)}
    return {forms[transport]} if transport in forms else set(forms.values())


def _candidates(name: str, transport: str, others: set[tuple[str, str]]) -> list[str]:
    """Which other topics of a bag (with their types) could be meant."""
    suffix = COMPRESSED_SUFFIXES[name]
    bases = {other[: -len(suffix)] if kind == COMPRESSED_IMAGE else other for other, kind in others}
    return sorted(base for base in bases if _forms(name, base, transport) & others)


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


def _by_input(words: Sequence[str]) -> dict[str, str]:
    """Topics as they are in a bag, by input. words: INPUT=TOPIC."""
    inputs = dict(word.split("=", 1) for word in words)
    return {name: rospy.names.resolve_name(topic) for name, topic in inputs.items()}


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description="Replay a bag once the node is ready.")
    commands = parser.add_subparsers(dest="command", required=True)
    check_parser = commands.add_parser("check", help="print the bag's length, or what it lacks")
    check_parser.add_argument("bag")
    check_parser.add_argument("topics", nargs="+", metavar="INPUT=TOPIC")
    check_parser.add_argument("--pose-source", default="odom", help="odom or tf, as the node has it")
    play_parser = commands.add_parser("play", help="play the bag once others are ready")
    play_parser.add_argument("bag")
    play_parser.add_argument("--loop", choices=("true", "false"), default="false", help="start again at the end")
    play_parser.add_argument("--ends", choices=("true", "false"), default="false", help="roslaunch ends with the bag")
    play_parser.add_argument("--images", nargs="*", default=[], metavar="INPUT=TOPIC", help="told of if not in the bag")
    play_parser.add_argument("--depth-transport", default="as_image", help="raw, compressed, as_image, or configured")
    play_parser.add_argument("--after", nargs="*", default=[], metavar="TOPIC", help="topics that must be published")
    for command in (check_parser, play_parser):
        command.add_argument("--rate", default="1", help="times real time")
        command.add_argument("--image-transport", default="raw", help="raw or compressed, as the node has it")
    arguments = parser.parse_args(rospy.myargv()[1:])
    try:
        rate = checked_rate(arguments.rate)
        if arguments.command == "check":
            topics = _by_input(arguments.topics)
            print(check_bag(arguments.bag, topics, arguments.image_transport, arguments.pose_source))
        else:
            bag, images = whole_path(arguments.bag), _by_input(arguments.images)
            for line in missing_companions(bag, images, arguments.image_transport, arguments.depth_transport):
                print(f"note: {line}", flush=True)
            if arguments.ends == "true" and arguments.loop == "false":
                print(f"note: {END_LINE}", flush=True)
            play(bag, rate, arguments.loop == "true", arguments.after)
    except BagError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return STOPPED
    return 0
