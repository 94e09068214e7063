"""Subscribers: their callbacks check a message's layout, store it and return."""

from __future__ import annotations

import math
import time
from typing import Any, Callable, Collection

import rospy
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, Image

from placenet_ros.node.drops import DropCounter
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
from placenet_ros.node.silence import SilenceWatch

# Bytes a subscriber reads at once. With rospy's 64 KiB a camera's images queue up in the socket: 640 x 480 at
# 30 Hz came a second late.
BUFFER_BYTES = 2**24
ODOMETRY_QUEUE = 400  # messages: two seconds at 200 Hz
QUERY_QUEUE = 10
COMPANION_ENCODINGS = {"depth": DEPTH_ENCODINGS, "objects": LABEL_ENCODINGS}


class Inputs:
    """All subscribers. on_query is called with each geometry_msgs/PoseStamped."""

    def __init__(self, inbox: Inbox, drops: DropCounter, silence: SilenceWatch, on_query: Callable[[Any], None]):
        self._inbox, self._drops, self._silence = inbox, drops, silence
        self._subscribers: dict[str, rospy.Subscriber] = {
            "camera_info": rospy.Subscriber("camera_info", CameraInfo, self._on_camera_info, queue_size=1),
            "odom": rospy.Subscriber("odom", Odometry, self._on_odometry, queue_size=ODOMETRY_QUEUE),
            "query_pose": rospy.Subscriber("query_pose", PoseStamped, on_query, queue_size=QUERY_QUEUE),
        }
        for name in COMPANION_ENCODINGS:
            self._subscribers[name] = _image_subscriber(name, lambda message, of=name: self._on_companion(of, message))
            inbox.expect_companion(name, lambda of=name: self.has_publisher(of))
        self._subscribers["image"] = _image_subscriber("image", self._on_image)

    def has_publisher(self, name: str) -> bool:
        """Whether anybody publishes an input."""
        return self._subscribers[name].get_num_connections() > 0

    def _on_image(self, message: Image) -> None:
        self._silence.heard("image", time.monotonic())
        if self._has_good_layout("image", message, COLOUR_ENCODINGS):
            self._inbox.put_image(message)

    def _on_companion(self, name: str, message: Image) -> None:
        if self._has_good_layout(name, message, COMPANION_ENCODINGS[name]):
            self._inbox.put_companion(name, message)

    def _has_good_layout(self, name: str, message: Image, encodings: Collection[str]) -> bool:
        try:
            check_layout(message, encodings)
        except ImageError as error:
            self._drops.count(f"{name}: {error.kind}", f"{rospy.resolve_name(name)}: {error}")
            return False
        return True

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._silence.heard("camera_info", math.inf)  # one is enough: some cameras send it once, latched
        self._inbox.put_camera_info(message)

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


def _image_subscriber(name: str, callback: Callable[[Image], None]) -> rospy.Subscriber:
    return rospy.Subscriber(name, Image, callback, queue_size=1, buff_size=BUFFER_BYTES)
