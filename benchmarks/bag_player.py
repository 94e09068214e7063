"""Plays a bag in the present, each message with the wall clock's stamp and at that moment, and again at its end.

    python -m benchmarks.bag_player BAG SECONDS TOPIC...

What a robot's drivers would do, at the least cost: messages go out as they lie in the bag, with another stamp. The bag
is one of `python -m training.make_bag OUT.bag there_and_back=true`, which ends as it begins: the robot drives on and
on. Waits until each topic has a subscriber (but those of TF), plays for so many seconds, and prints a line of JSON:
`start`, nanoseconds; `images`, how many of each camera topic were sent; `late_ms`, how long after their stamps.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import rosbag
import roslib.message
import rospy

from training.configuration import run_command

START_SECONDS = 1.0  # from the last connection to the first message
CONNECT_SECONDS = 60.0  # longest wait for subscribers
POLL_SECONDS = 0.05
QUEUE = 5  # messages kept where a subscriber is slow
TF, STATIC_TF, ODOMETRY = "/tf", "/tf_static", "/odom"
# Where the stamp lies in a message: behind the header's sequence number; in TF also behind the number of transforms.
STAMP_AT, STAMP_OF_TF_AT = 4, 8
STAMP_BYTES = 8


class Restamped(rospy.AnyMsg):
    """A message as it lies in a bag, published with another stamp (nanoseconds)."""

    def __init__(self, data: bytes, stamp: int, stamp_at: int):
        super().__init__()
        self._data, self._stamp, self._stamp_at = memoryview(data), stamp, stamp_at

    def serialize(self, buffer) -> None:
        buffer.write(self._data[: self._stamp_at])
        buffer.write(struct.pack("<II", *divmod(self._stamp, 1_000_000_000)))
        buffer.write(self._data[self._stamp_at + STAMP_BYTES :])


class Moment(NamedTuple):
    """A message of the bag, and when it is due: nanoseconds after the start."""

    offset: int
    topic: str
    data: bytes


def bag_times(bag: rosbag.Bag) -> tuple[int, int]:
    """When the bag begins, and how long it lasts until odometry is again where it began: nanoseconds."""
    times = [time.to_nsec() for _, _, time in bag.read_messages(ODOMETRY, raw=True)]
    return times[0], times[-1] - times[0]


def played(bag: rosbag.Bag, topics: list[str]) -> Iterator[Moment]:
    """The messages of these topics, in the order of their times, again and again; what never changes only once."""
    (begin, period), round_begins = bag_times(bag), 0
    while True:
        for topic, message, time_in_bag in bag.read_messages(topics, raw=True):
            offset = time_in_bag.to_nsec() - begin
            if offset < period:  # what comes then is the first of the next round
                yield Moment(round_begins + offset, topic, message[1])
        round_begins += period
        topics = [topic for topic in topics if topic != STATIC_TF]


def advertised(bag: rosbag.Bag, topics: list[str]) -> dict[str, rospy.Publisher]:
    """A publisher for each of the topics."""
    kinds = bag.get_type_and_topic_info().topics
    return {
        topic: rospy.Publisher(
            topic,
            roslib.message.get_message_class(kinds[topic].msg_type),
            queue_size=QUEUE,
            latch=topic == STATIC_TF,
            tcp_nodelay=True,
        )
        for topic in topics
    }


def wait_for_subscribers(publishers: dict[str, rospy.Publisher]) -> None:
    """RuntimeError where a topic finds none."""
    deadline = time.monotonic() + CONNECT_SECONDS
    for topic, publisher in publishers.items():
        while topic not in (TF, STATIC_TF) and not publisher.get_num_connections():
            if time.monotonic() > deadline:
                raise RuntimeError(f"nobody subscribed to {topic} within {CONNECT_SECONDS:g} s")
            time.sleep(POLL_SECONDS)


def play(path: str, seconds: float, topics: list[str]) -> dict:
    """Play; returns what the line of JSON says."""
    with rosbag.Bag(path) as bag:
        publishers = advertised(bag, topics)
        wait_for_subscribers(publishers)
        start, late = time.time_ns() + int(START_SECONDS * 1e9), []
        cameras = {topic for topic in topics if topic not in (TF, STATIC_TF, ODOMETRY)}
        sent = dict.fromkeys(cameras, 0)
        for moment in played(bag, topics):
            if moment.offset >= seconds * 1e9 or rospy.is_shutdown():
                break
            stamp = start + moment.offset
            time.sleep(max(stamp - time.time_ns(), 0) * 1e-9)
            stamp_at = STAMP_OF_TF_AT if moment.topic in (TF, STATIC_TF) else STAMP_AT
            publishers[moment.topic].publish(Restamped(moment.data, stamp, stamp_at))
            if moment.topic in cameras:
                sent[moment.topic] += 1
                late.append((time.time_ns() - stamp) * 1e-6)
        time.sleep(START_SECONDS)  # for what waits in the queues
    return {"start": start, "images": sent, "late_ms": percentiles(late)}


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Median and others; empty where there are no values."""
    if not len(values):
        return {}
    found = np.percentile(values, [50, 90, 99, 100])
    return dict(zip(("median", "90", "99", "longest"), found.tolist()))


def main(arguments: list[str]) -> None:
    """The command."""
    path, seconds, *topics = arguments
    rospy.init_node("bag_player", disable_signals=True)
    print(json.dumps(play(path, float(seconds), topics)))


if __name__ == "__main__":
    run_command(main)
