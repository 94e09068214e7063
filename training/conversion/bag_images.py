"""Images of bags to arrays, without ROS: raw, compressed and compressedDepth; and what the model's camera sees of them.

Which images, and at which poses, is left to `bags`.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Collection
from typing import Any

import cv2
import numpy as np
import simplejpeg

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

MOST_PIXELS = 1 << 26  # of a compressed image: what claims more is not decoded
PNG_SIGNATURE, JPEG_SIGNATURE = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
COMPRESSED_DEPTH_HEADER = struct.Struct("<iff")  # of compressed_depth_image_transport: format, and two coefficients

_TO_RGB = {
    "bgr8": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
    "mono8": cv2.COLOR_GRAY2RGB,
    "mono16": cv2.COLOR_GRAY2RGB,
}
_TYPES = {1: np.dtype("u1"), 2: np.dtype("u2"), 4: np.dtype("f4")}  # of one channel, by bytes


def is_compressed(message: Any) -> bool:
    """Whether it is a sensor_msgs/CompressedImage."""
    return hasattr(message, "format")


def encoding_of(message: Any) -> str:
    """The encoding of the pixels of an Image, or those a CompressedImage was made from; "" where it does not say."""
    return message.format.split(";")[0].strip() if is_compressed(message) else message.encoding


def is_compressed_depth(message: Any) -> bool:
    """Whether it is a CompressedImage of compressed_depth_image_transport."""
    return is_compressed(message) and "compressedDepth" in message.format


def colours(message: Any) -> np.ndarray:
    """The image as rgb uint8 (height, width, 3). Raises ImageError."""
    if is_compressed(message):
        if is_compressed_depth(message):
            raise ImageError("bad encoding", "expected a colour image, found depth (compressedDepth)")
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        return cv2.cvtColor(_decoded(message.data, flags), cv2.COLOR_BGR2RGB)
    values = _pixels(message, COLOUR_ENCODINGS)
    if values.dtype == np.uint16:
        values = cv2.convertScaleAbs(values, alpha=255 / 65535)
    return values if message.encoding == "rgb8" else cv2.cvtColor(values, _TO_RGB[message.encoding])


def depth(message: Any) -> np.ndarray:
    """A depth image as stored (height, width): uint16 millimetres, or float32 metres. Raises ImageError."""
    if is_compressed_depth(message):
        return _compressed_depth(message)
    if not is_compressed(message):
        return _pixels(message, DEPTH_ENCODINGS)
    values = _decoded(message.data, cv2.IMREAD_UNCHANGED)
    if values.dtype != np.uint16 or values.ndim != 2:
        raise ImageError(
            "bad encoding", "compressed depth must be a PNG of 16 bits and one channel, or compressedDepth"
        )
    return values


def labels(message: Any) -> np.ndarray:
    """An image of class ids (height, width) uint8. Raises ImageError."""
    if is_compressed(message):
        if not bytes(message.data[:8]) == PNG_SIGNATURE:
            raise ImageError("bad encoding", "compressed class ids must be a PNG: others change the ids")
        values = _decoded(message.data, cv2.IMREAD_UNCHANGED)
        if values.ndim != 2:
            raise ImageError("bad encoding", f"class ids need one channel, found {values.shape[2]}")
    else:
        values = _pixels(message, LABEL_ENCODINGS)
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


def _decoded(data: np.ndarray, flags: int) -> np.ndarray:
    """A PNG or JPEG, decoded by OpenCV once its size is known to be sane."""
    width, height = _coded_size(bytes(data[:64]), data)
    if not 0 < width * height <= MOST_PIXELS:
        raise ImageError("bad size", f"a compressed image claims {width} x {height} pixels")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError("not decoded", f"a compressed image cannot be decoded: {error.err}") from error
    if image is None:
        raise ImageError("not decoded", "a compressed image is damaged: it cannot be decoded")
    return image


def _coded_size(head: bytes, data: np.ndarray) -> tuple[int, int]:
    if head.startswith(PNG_SIGNATURE) and len(head) >= 24:
        return struct.unpack_from(">II", head, 16)
    if head.startswith(JPEG_SIGNATURE):
        try:
            height, width, *_ = simplejpeg.decode_jpeg_header(bytes(data), strict=False)
            return width, height
        except (ValueError, LookupError) as error:  # LookupError: of a colour space that it does not know
            raise ImageError("not decoded", "a compressed image is damaged: it has no JPEG header") from error
    raise ImageError("bad encoding", "a compressed image is neither a JPEG nor a PNG")


def _compressed_depth(message: Any) -> np.ndarray:
    """Of compressed_depth_image_transport: a header, then a PNG of millimetres or of quantised inverse metres."""
    header = COMPRESSED_DEPTH_HEADER.size
    if len(message.data) <= header or "rvl" in message.format.lower():
        raise ImageError("bad encoding", f"depth of format '{message.format}' is not supported, only that with PNG is")
    values = _decoded(message.data[header:], cv2.IMREAD_UNCHANGED)
    if values.dtype != np.uint16 or values.ndim != 2:
        raise ImageError("bad encoding", "compressedDepth must hold a PNG of 16 bits and one channel")
    if encoding_of(message) != "32FC1":
        return values
    _, scale, offset = COMPRESSED_DEPTH_HEADER.unpack_from(bytes(message.data[:header]))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values > 0, np.float32(scale) / (values - np.float32(offset)), 0).astype(np.float32)


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
