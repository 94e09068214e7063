"""Image and CameraInfo messages to arrays and cameras, and back. Knows nothing of topics, queues or time.

`check_layout` looks at a message's size, encoding, step and data before anything reads it: cv_bridge ignores `step`, so
that an image with padded rows would come out slanted without any error. What passes is repacked without the padding
and converted by cv_bridge.
"""

from __future__ import annotations

from typing import Any, Collection

import cv_bridge
import numpy as np
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from placenet_ros.scene.camera import PinholeCamera

BYTES_PER_PIXEL = {
    "rgb8": 3,
    "bgr8": 3,
    "rgba8": 4,
    "bgra8": 4,
    "mono8": 1,
    "8UC1": 1,
    "mono16": 2,
    "16UC1": 2,
    "32FC1": 4,
}
COLOUR_ENCODINGS = ("rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16")
DEPTH_ENCODINGS = ("16UC1", "mono16", "32FC1")
LABEL_ENCODINGS = ("mono8", "8UC1", "mono16", "16UC1")

METRES_PER_UNIT = 0.001  # of 16-bit depth images (REP 118)
MAX_LABEL = 255
MAX_DEPTH = 100.0  # metres: beyond any room and any robot's depth camera; simulators mean "nothing there" by more

DISTORTION_MODELS = ("plumb_bob", "rational_polynomial")

_bridge = cv_bridge.CvBridge()


class ImageError(ValueError):
    """An image or camera_info that cannot be used. One line; `kind` names the reason in a few words, for counting."""

    def __init__(self, kind: str, line: str):
        super().__init__(line)
        self.kind = kind


def check_layout(message: Image, encodings: Collection[str]) -> None:
    """Whether the message holds an image in one of these encodings: cheap, without touching the pixels.

    Raises ImageError.
    """
    if message.encoding not in encodings:
        raise ImageError(
            "bad encoding",
            f"encoding '{message.encoding}' is not supported, expected one of {', '.join(encodings)}: convert it first,"
            " for instance with image_proc",
        )
    if message.width == 0 or message.height == 0:
        raise ImageError("bad size", f"the image is empty: {message.width} x {message.height} pixels")
    row = message.width * BYTES_PER_PIXEL[message.encoding]
    if message.step < row:
        raise ImageError(
            "bad size",
            f"step is {message.step} bytes, but a row of {message.width} {message.encoding} pixels has {row}",
        )
    if len(message.data) < message.step * message.height:
        raise ImageError(
            "bad size",
            f"{len(message.data)} bytes of data are fewer than the {message.height} rows of {message.step} bytes that "
            "height and step promise",
        )


def colours(message: Image) -> np.ndarray:
    """The image as rgb uint8 (height, width, 3). Raises ImageError."""
    return _converted(message, COLOUR_ENCODINGS, "rgb8")


def depth(message: Image) -> np.ndarray:
    """A depth image as float32 (height, width), metres; 0 where nothing was measured, or more than MAX_DEPTH.

    Raises ImageError.
    """
    values = _converted(message, DEPTH_ENCODINGS, "passthrough")
    metres = values.astype(np.float32)
    if message.encoding != "32FC1":
        metres *= METRES_PER_UNIT
    # NaN, infinity and negative numbers stand for "none" (REP 118).
    metres[~(np.isfinite(metres) & (metres > 0) & (metres <= MAX_DEPTH))] = 0
    return metres


def labels(message: Image) -> np.ndarray:
    """An image of class ids as uint8 (height, width); 0: unknown. Raises ImageError for an id above 255."""
    values = _converted(message, LABEL_ENCODINGS, "passthrough")
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


def pinhole_camera(info: CameraInfo, is_rectified: bool) -> PinholeCamera:
    """The camera of a CameraInfo: P where the image is rectified, else K and D.

    Raises ImageError for an uncalibrated camera, an unknown distortion model and a binned or cropped image.
    """
    roi = info.roi
    is_cropped = roi.x_offset or roi.y_offset or roi.width not in (0, info.width) or roi.height not in (0, info.height)
    if max(info.binning_x, info.binning_y) > 1 or is_cropped:
        raise ImageError("bad camera_info", "camera_info says that the image is binned or cropped; publish it whole")
    rectified = (info.P[0], info.P[5], info.P[2], info.P[6])
    raw = (info.K[0], info.K[4], info.K[2], info.K[5])
    try:
        if is_rectified:
            return PinholeCamera(info.width, info.height, *(rectified if rectified[0] else raw))
        return PinholeCamera(info.width, info.height, *raw, _distortion(info))
    except ValueError as error:
        raise ImageError("bad camera_info", f"camera_info: {error}") from error


def _distortion(info: CameraInfo) -> tuple[float, ...]:
    if not any(info.D):
        return ()
    if info.distortion_model not in DISTORTION_MODELS:
        raise ValueError(
            f"distortion model '{info.distortion_model}' is not supported, expected one of "
            f"{', '.join(DISTORTION_MODELS)}: rectify the image first, for instance with image_proc"
        )
    return tuple(info.D)


def camera_info_message(header: Header, camera: PinholeCamera) -> Any:
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
