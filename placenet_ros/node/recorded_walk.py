"""A bag of a robot's walk, read in advance: where it went, and what the model's camera would have seen there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from nav_msgs.msg import Odometry

from placenet_ros.node import images
from placenet_ros.node.image_layout import pinhole_camera
from placenet_ros.node.odometry import OdometryBuffer, OdometrySample
from placenet_ros.node.replay import DAMAGED, damage, opened_bag
from placenet_ros.node.rigid_pose import RigidPose
from placenet_ros.scene.camera import PinholeCamera, ViewResampler


@dataclass(frozen=True)
class RecordedWalk:
    """Stamps are nanoseconds; pictures have the model's size, s x s."""

    odometry: OdometryBuffer
    rgb: dict[int, np.ndarray]  # by stamp: (s, s, 3) uint8
    depth: dict[int, np.ndarray]  # by stamp: (s, s) float32, metres, 0: none
    camera_frame_id: str
    start: float  # of the bag, seconds
    end: float

    def nearest_stamp(self, stamp: int) -> int:
        """The image's stamp that is nearest."""
        return min(self.rgb, key=lambda known: abs(known - stamp))


def read_walk(path: str, topics: dict[str, str], model_camera: PinholeCamera) -> RecordedWalk:
    """Read a bag. topics: those of image, camera_info, odom, and of depth, which the bag need not have.

    Raises BagError for a bag that cannot be read, ImageError and PoseError for messages that cannot be used.
    """
    try:
        return _read_walk(path, topics, model_camera)
    except DAMAGED as error:
        raise damage(path, error) from error


def _read_walk(path: str, topics: dict[str, str], model_camera: PinholeCamera) -> RecordedWalk:
    with opened_bag(path) as bag:
        info = next(message for _, message, _ in bag.read_messages(topics["camera_info"]))
        resampler = ViewResampler(pinhole_camera(info, is_rectified=True), model_camera)
        samples = [_sample(message) for _, message, _ in bag.read_messages(topics["odom"])]
        rgb = {_stamp(m): resampler.colours(images.colours(m)) for _, m, _ in bag.read_messages(topics["image"])}
        depth = {_stamp(m): resampler.values(images.depth(m)) for _, m, _ in bag.read_messages(topics["depth"])}
        start, end = bag.get_start_time(), bag.get_end_time()
    odometry = OdometryBuffer(end - start + 1.0, max_samples=len(samples))
    for sample in samples:
        odometry.add(sample)
    return RecordedWalk(odometry, rgb, depth, info.header.frame_id, start, end)


def _sample(message: Odometry) -> OdometrySample:
    pose = RigidPose.from_message(message.pose.pose)
    return OdometrySample(_stamp(message), pose, message.header.frame_id, message.child_frame_id, ())


def _stamp(message) -> int:
    return message.header.stamp.to_nsec()
