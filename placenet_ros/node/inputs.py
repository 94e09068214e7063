"""Subscribers: their callbacks check a message's layout, store it and return."""

from __future__ import annotations

import math
import time
from typing import Any, Callable, Collection

import rosgraph
import rospy
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from placenet_ros.counted import counted
from placenet_ros.node.activity import ARRIVAL, Activity
from placenet_ros.node.compressed_images import COMPRESSED_SUFFIXES, check_compressed, is_compressed
from placenet_ros.node.drops import DropCounter
from placenet_ros.node.frames import Frames
from placenet_ros.node.image_layout import (
    COLOUR_ENCODINGS,
    DEPTH_ENCODINGS,
    LABEL_ENCODINGS,
    ImageError,
    check_layout,
)
from placenet_ros.node.inbox import Inbox
from placenet_ros.node.odometry import OdometrySample
from placenet_ros.node.rigid_pose import PoseError, RigidPose
from placenet_ros.node.silence import CLOCK, SilenceWatch
from placenet_ros.node.tf_odometry import TransformOdometry
from placenet_ros.node.topic_types import published_types, unfit_topic_line, wrong_type_line

# Bytes a subscriber reads at once. With rospy's 64 KiB a camera's images queue up in the socket: 640 x 480 at
# 30 Hz came a second late.
BUFFER_BYTES = 2**24
ODOMETRY_QUEUE = 400  # messages: two seconds at 200 Hz
QUERY_QUEUE = 10
ENCODINGS = {"image": COLOUR_ENCODINGS, "depth": DEPTH_ENCODINGS, "objects": LABEL_ENCODINGS}
TRANSFORM = "TF"  # the input that takes the place of odom with ~pose_source tf
WITHOUT = {"depth": ", and views are predicted without depth", "objects": ", and views are predicted without objects"}
COMPANIONS = tuple(WITHOUT)  # of an image: they need not come
NO_CLOCK_LINE = (
    "clock: nothing comes on /clock though /use_sim_time is set, so that this node has no time; play the bag with "
    "`rosbag play --clock`, or, where no bag is, start again after `rosparam set /use_sim_time false`"
)


def named_companions() -> list[str]:
    """Those of COMPANIONS for which a topic was named (`depth:=/THE/TOPIC`)."""
    return [name for name in COMPANIONS if rospy.resolve_name(name) != rospy.get_namespace() + name]


class Inputs:
    """All subscribers. on_query: called with each query.

    compressed: which of image, depth and objects come by image_transport's compressed topics.
    transform: the frames (odometry's, the robot's) between which TF is to tell the robot's pose; None: odom does.
    """

    def __init__(
        self,
        inbox: Inbox,
        drops: DropCounter,
        silence: SilenceWatch,
        activity: Activity,
        frames: Frames,
        compressed: Collection[str],
        transform: tuple[str, str] | None,
        on_query: Callable[[PoseStamped], None],
    ):
        self._inbox, self._drops, self._silence, self._activity = inbox, drops, silence, activity
        self._compressed, self._transform = compressed, transform
        self._subscribers: dict[str, rospy.Subscriber] = {}
        self._kinds: dict[str, str] = {}  # types of their messages
        self._subscribe("camera_info", CameraInfo, self._on_camera_info, queue_size=1)
        self._subscribe("query_pose", PoseStamped, on_query, queue_size=QUERY_QUEUE)
        if transform is None:
            self._subscribe("odom", Odometry, self._on_odometry, queue_size=ODOMETRY_QUEUE)
        else:
            self._transform_odometry = TransformOdometry(*transform, inbox.put_odometry)
            frames.follow(*transform, self._on_transform)
        for name in COMPANIONS:
            self._subscribe_images(name, lambda message, of=name: self._on_companion(of, message))
            inbox.expect_companion(name, lambda of=name: self.has_publisher(of))
        self._subscribe_images("image", self._on_image)

    def _subscribe_images(self, name: str, callback: Callable[[Any], None]) -> None:
        """On the input's topic or, by image_transport's convention, below it: remapping the input moves both."""
        suffix, kind = (COMPRESSED_SUFFIXES[name], CompressedImage) if name in self._compressed else ("", Image)
        self._subscribe(name, kind, callback, suffix, queue_size=1, buff_size=BUFFER_BYTES)

    def _subscribe(
        self, name: str, kind: type, callback: Callable[[Any], None], suffix: str = "", **settings: int
    ) -> None:
        """callback: called with messages of this kind. suffix: of the topic, behind the input's name as it is remapped.

        A topic that the process reads with another type already comes with that one: such messages are dropped.
        """
        topic = rospy.resolve_name(name) + suffix
        self._kinds[name] = kind._type

        def on_message(message: Any) -> None:
            if isinstance(message, kind):
                callback(message)
            else:
                self._drops.count(f"{name}: wrong type", wrong_type_line(name, topic, message._type, kind._type))

        self._subscribers[name] = rospy.Subscriber(topic, kind, on_message, **settings)

    def topic(self, name: str) -> str:
        """The topic of an input, as it is on the master."""
        return self._subscribers[name].resolved_name

    def has_publisher(self, name: str) -> bool:
        """Whether anybody publishes an input."""
        return self._subscribers[name].get_num_connections() > 0

    def silence_line(self, name: str) -> str:
        """What to tell of an input from which nothing comes, and what to type."""
        count, seconds = self._silence.counts()[name], self._silence.seconds
        if name == CLOCK:
            return self._standstill_line() if count else NO_CLOCK_LINE
        if name == TRANSFORM:
            parent, child = self._transform
            return (
                f"TF: no transform from {child} to {parent}, or no newer one; try: rosrun tf2_tools echo.py {parent} "
                f"{child}, and start again with odom_frame:=FRAME base_frame:=FRAME"
            )
        topic = self.topic(name)
        unfit_line = None if count else self._unfit_line(name)
        if unfit_line is not None:
            return unfit_line
        if self.has_publisher(name):
            return (
                f"{name}: nothing arrives on {topic} for {seconds:g} s though it has a publisher, and "
                f"{counted(count, 'message')} before; try: rostopic hz {topic}"
            )
        if count:
            return (
                f"{name}: nothing on {topic} for {seconds:g} s: {counted(count, 'message')} came, then its publisher "
                "went; is its driver still running, or a bag over?"
            )
        base = topic[: -len(COMPRESSED_SUFFIXES[name])] if name in self._compressed else topic
        hint = f" (without {topic[len(base) :]})" if base != topic else ""
        return (
            f"{name}: nobody publishes {topic}{WITHOUT.get(name, '')}; see `rostopic list` for what there is, and "
            f"start again with {name}:=/THE/TOPIC{hint}"
        )

    def _unfit_line(self, name: str) -> str | None:
        """What to tell where the topic is not what the input needs; None: nothing is known against it."""
        types = published_types(rosgraph.get_master_uri(), rospy.get_name())
        subscriber = self._subscribers[name]
        if self.has_publisher(name) and types.get(subscriber.resolved_name) == self._kinds[name]:
            return None
        return unfit_topic_line(name, subscriber.resolved_name, self._kinds[name], types)

    def _standstill_line(self) -> str:
        counts = self._silence.counts()
        del counts[CLOCK]
        came = ", ".join(f"{self._source(name)} {count}" for name, count in counts.items())
        return f"time stands still: the bag is over, or paused, or the simulation is; messages so far: {came}"

    def _source(self, name: str) -> str:
        return name if name == TRANSFORM else self.topic(name)

    def _on_image(self, message: Image | CompressedImage) -> None:
        self._silence.heard("image", time.monotonic())
        if self._is_well_formed("image", message):
            now, stamp = rospy.get_rostime(), message.header.stamp
            if not (now.is_zero() or stamp.is_zero()):
                self._activity.took(ARRIVAL, (now - stamp).to_sec())
            self._inbox.put_image(message)

    def _on_companion(self, name: str, message: Image | CompressedImage) -> None:
        self._silence.heard(name, time.monotonic())
        if self._is_well_formed(name, message):
            self._inbox.put_companion(name, message)

    def _is_well_formed(self, name: str, message: Image | CompressedImage) -> bool:
        """By what a few bytes of it say: the worker decodes what it needs."""
        try:
            if is_compressed(message):
                check_compressed(name, message)
            else:
                check_layout(message, ENCODINGS[name])
        except ImageError as error:
            self._drops.count(f"{name}: {error.kind}", f"{self.topic(name)}: {error}")
            return False
        return True

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._silence.heard("camera_info", math.inf)  # one is enough: some cameras send it once, latched
        self._inbox.put_camera_info(message)

    def _on_transform(self, stamp: int, pose: RigidPose) -> None:
        self._silence.heard(TRANSFORM, time.monotonic())
        self._transform_odometry.add(stamp, pose)

    def _on_odometry(self, message: Odometry) -> None:
        self._silence.heard("odom", time.monotonic())
        try:
            pose = RigidPose.from_message(message.pose.pose)
        except PoseError as error:
            self._drops.count("odom: bad pose", f"{rospy.resolve_name('odom')}: {error}")
            return
        stamp, covariance = message.header.stamp.to_nsec(), message.pose.covariance
        self._inbox.put_odometry(
            OdometrySample(stamp, pose, message.header.frame_id, message.child_frame_id, covariance)
        )
