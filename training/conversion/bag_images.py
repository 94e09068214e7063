"""Images of bags to arrays, without ROS: raw, compressed and compressedDepth; and what the model's camera sees of them.

Which images, and at which poses, is left to `bags`.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Any

import cv2
import numpy as np

from placenet_ros.node.compressed_images import decoded_colours, decoded_depth, decoded_labels, is_compressed
from placenet_ros.node.image_layout import (
    BYTES_PER_PIXEL,
    COLOUR_ENCODINGS,
    DEPTH_ENCODINGS,
    LABEL_ENCODINGS,
    MAX_LABEL,
    METRES_PER_UNIT,
    ImageError,
    check_layout,
)
from placenet_ros.scene.camera import PinholeCamera, ViewResampler
from training.data.shards import FARTHEST_DEPTH

_TO_RGB = {
    "bgr8": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
    "mono8": cv2.COLOR_GRAY2RGB,
    "mono16": cv2.COLOR_GRAY2RGB,
}
_TYPES = {1: np.dtype("u1"), 2: np.dtype("u2"), 4: np.dtype("f4")}  # of one channel, by bytes


def is_compressed_depth(message: Any) -> bool:
    """Whether it is a CompressedImage of compressed_depth_image_transport."""
    return is_compressed(message) and "compressedDepth" in message.format


def colours(message: Any) -> np.ndarray:
    """The image as rgb uint8 (height, width, 3). Raises ImageError."""
    if is_compressed(message):
        return decoded_colours(message)
    values = _pixels(message, COLOUR_ENCODINGS)
    if values.dtype == np.uint16:
        values = cv2.convertScaleAbs(values, alpha=255 / 65535)
    return values if message.encoding == "rgb8" else cv2.cvtColor(values, _TO_RGB[message.encoding])


def depth(message: Any) -> np.ndarray:
    """A depth image as stored (height, width): uint16 millimetres, or float32 metres. Raises ImageError."""
    return decoded_depth(message) if is_compressed(message) else _pixels(message, DEPTH_ENCODINGS)


def labels(message: Any) -> np.ndarray:
    """An image of class ids (height, width) uint8. Raises ImageError."""
    values = decoded_labels(message) if is_compressed(message) else _pixels(message, LABEL_ENCODINGS)
    if values.max() > MAX_LABEL:
        raise ImageError("bad label", f"a class id is above {MAX_LABEL}, the largest that there can be")
    return values.astype(np.uint8)


def millimetres(values: np.ndarray) -> np.ndarray:
    """Depth as `depth` gives it, as uint16 millimetres; 0 where nothing was measured or more than 16 bits hold."""
    if values.dtype == np.uint16:
        return values
    metres = np.where((values > 0) & (values <= FARTHEST_DEPTH), values, 0)  # NaN and infinity: none (REP 118)
    return np.round(metres / METRES_PER_UNIT).astype(np.uint16)


def _pixels(message: Any, encodings: Collection[str]) -> np.ndarray:
    """The pixels of an Image (height, width) or (height, width, channels), in this machine's byte order."""
    check_layout(message, encodings)
    size = BYTES_PER_PIXEL[message.encoding]
    rows = np.frombuffer(message.data, np.uint8, message.step * message.height).reshape(message.height, message.step)
    packed = np.ascontiguousarray(rows[:, : message.width * size])
    if message.encoding in ("rgb8", "bgr8", "rgba8", "bgra8"):
        return packed.reshape(message.height, message.width, size)
    stored = _TYPES[size].newbyteorder(">" if message.is_bigendian else "<")
    return packed.view(stored).astype(_TYPES[size], copy=False)


class ModelView:
    """Resamples pictures to the model's camera; keeps the maps until the source's camera changes.

    Warns once, on stderr, of a camera that sees less than the model's.
    """

    def __init__(self, target: PinholeCamera, name: str) -> None:
        self._target, self._name, self._has_warned = target, name, False
        self._resampler: ViewResampler | None = None

    def of(self, camera: PinholeCamera) -> ViewResampler:
        """The resampler for pictures of a camera."""
        if self._resampler is None or self._resampler.source != camera:
            self._resampler = ViewResampler(camera, self._target)
            self._warn_of_padding(camera)
        return self._resampler

    def _warn_of_padding(self, camera: PinholeCamera) -> None:
        missing = 1 - self._resampler.covered.mean()
        if missing > 0 and not self._has_warned:
            self._has_warned = True
            wide, high = camera.field_of_view_degrees
            print(
                f"warning: {self._name}: the camera sees {wide:.0f} x {high:.0f} degrees, the data set's pictures "
                f"{self._target.field_of_view_degrees[0]:.0f} both ways: {100 * missing:.0f} % of each is padded; "
                "view= sets that of the data set",
                file=sys.stderr,
            )


def check_size(name: str, image: np.ndarray, camera: PinholeCamera) -> None:
    """Whether an image has the pixels of its camera. Raises ImageError."""
    height, width = image.shape[:2]
    if (width, height) != (camera.width, camera.height):
        raise ImageError(
            "bad size",
            f"{name} has {width} x {height} pixels, but its camera {camera.width} x {camera.height}",
        )
