"""What Image and CameraInfo messages say of their pixels, checked before anything reads those. Knows nothing of ROS.

`check_layout` looks at a message's size, encoding, step and data; `pinhole_camera` reads a camera's calibration.
Messages are any objects with the fields of sensor_msgs: a node's, or those read from a bag where no ROS is.
"""

from __future__ import annotations

from typing import Any, Collection

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

FISHEYE_MODELS = ("equidistant", "fisheye")
DISTORTION_MODELS = ("plumb_bob", "rational_polynomial", *FISHEYE_MODELS)


class ImageError(ValueError):
    """An image or camera_info that cannot be used. One line; `kind` names the reason in a few words, for counting."""

    def __init__(self, kind: str, line: str):
        super().__init__(line)
        self.kind = kind


def check_layout(message: Any, encodings: Collection[str]) -> None:
    """Check that the message holds an image in one of these encodings: cheap, without touching the pixels.

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


def pinhole_camera(info: Any, is_rectified: bool) -> PinholeCamera:
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
        is_fisheye = info.distortion_model in FISHEYE_MODELS
        return PinholeCamera(info.width, info.height, *raw, _distortion(info, is_fisheye), is_fisheye)
    except ValueError as error:
        raise ImageError("bad camera_info", f"camera_info: {error}") from error


def _distortion(info: Any, is_fisheye: bool) -> tuple[float, ...]:
    if not is_fisheye and not any(info.D):
        return ()
    if info.distortion_model not in DISTORTION_MODELS:
        raise ValueError(
            f"distortion model '{info.distortion_model}' is not supported, expected one of "
            f"{', '.join(DISTORTION_MODELS)}: rectify the image first, for instance with image_proc"
        )
    return tuple(info.D)
