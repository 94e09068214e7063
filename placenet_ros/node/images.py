"""Image and CameraInfo messages to arrays and cameras, and back. Knows nothing of topics, queues or time.

`image_layout` checks a message first: cv_bridge ignores `step`, so that an image with padded rows would come out
slanted without any error. What passes is repacked without the padding and converted by cv_bridge. Compressed images are
decoded by `compressed_images`.
"""

from __future__ import annotations

from typing import Collection

import cv_bridge
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from placenet_ros.node.compressed_images import (
    decoded_colours,
    decoded_depth,
    decoded_labels,
    is_compressed,
)
from placenet_ros.node.image_layout import (
    BYTES_PER_PIXEL,
    COLOUR_ENCODINGS,
    DEPTH_ENCODINGS,
    LABEL_ENCODINGS,
    MAX_DEPTH,
    MAX_LABEL,
    METRES_PER_UNIT,
    ImageError,
    check_layout,
)
from placenet_ros.scene.camera import PinholeCamera

_bridge = cv_bridge.CvBridge()


def colours(message: Image | CompressedImage) -> np.ndarray:
    """The image as rgb uint8 (height, width, 3). Raises ImageError."""
    if is_compressed(message):
        return decoded_colours(message)
    return _converted(message, COLOUR_ENCODINGS, "rgb8")


def depth(message: Image | CompressedImage) -> np.ndarray:
    """A depth image as float32 (height, width), metres; 0 where nothing was measured, or more than MAX_DEPTH.

    Raises ImageError.
    """
    values = decoded_depth(message) if is_compressed(message) else _converted(message, DEPTH_ENCODINGS, "passthrough")
    metres = values.astype(np.float32)
    if values.dtype == np.uint16:
        metres *= METRES_PER_UNIT
    # NaN, infinity and negative numbers stand for "none" (REP 118).
    metres[~(np.isfinite(metres) & (metres > 0) & (metres <= MAX_DEPTH))] = 0
    return metres


def labels(message: Image | CompressedImage) -> np.ndarray:
    """An image of class ids as uint8 (height, width); 0: unknown. Raises ImageError for an id above 255."""
    values = decoded_labels(message) if is_compressed(message) else _converted(message, LABEL_ENCODINGS, "passthrough")
    if values.max() > MAX_LABEL:
        raise ImageError("bad label", f"a class id is above {MAX_LABEL}, the largest that the model knows")
    return values.astype(np.uint8)


def _converted(message: Image, encodings: Collection[str], encoding: str) -> np.ndarray:
    check_layout(message, encodings)
    rows = np.frombuffer(message.data, np.uint8, message.step * message.height).reshape(message.height, message.step)
    packed = Image(
        height=message.height,
        width=message.width,
        encoding=message.encoding,
        is_bigendian=message.is_bigendian,
        step=message.width * BYTES_PER_PIXEL[message.encoding],
        data=rows[:, : message.width * BYTES_PER_PIXEL[message.encoding]].tobytes(),
    )
    return _bridge.imgmsg_to_cv2(packed, encoding)


def image_message(header: Header, image: np.ndarray, encoding: str) -> Image:
    """A fresh message of an array, with a header of its own."""
    return _bridge.cv2_to_imgmsg(np.ascontiguousarray(image), encoding, fresh_header(header))


def fresh_header(header: Header) -> Header:
    """A header of the same stamp and frame: publishing a message writes into the one it has."""
    return Header(stamp=header.stamp, frame_id=header.frame_id)


def camera_info_message(header: Header, camera: PinholeCamera) -> CameraInfo:
    """A fresh CameraInfo of an undistorted camera."""
    return CameraInfo(
        header=fresh_header(header),
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob",
        D=[0.0] * 5,
        K=[camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1],
        R=[1, 0, 0, 0, 1, 0, 0, 0, 1],
        P=[camera.fx, 0, camera.cx, 0, 0, camera.fy, camera.cy, 0, 0, 0, 1, 0],
    )
