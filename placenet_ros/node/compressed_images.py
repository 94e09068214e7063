"""Compressed images (sensor_msgs/CompressedImage): what their bytes claim is checked before they are decoded.

JPEG and PNG, as image_transport's `compressed` sends them, and depth as its `compressedDepth` does: PNG behind a header
of 12 bytes. Which of these it is, is told by the bytes themselves; drivers write anything into `format`. Only
that of `compressedDepth` has to be right: it says whether 16 bits are millimetres or the inverse of metres.
`check_compressed` is cheap: it reads a few bytes. Only what passes is decoded, so that a small message cannot claim
gigabytes of pixels. Knows nothing of ROS: messages are any objects with the fields of sensor_msgs.
"""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np

from placenet_ros.node.image_layout import DEPTH_ENCODINGS, ImageError

# What image_transport appends to the name of an image's topic, by the node's input.
COMPRESSED_SUFFIXES = {"image": "/compressed", "depth": "/compressedDepth", "objects": "/compressed"}
MOST_PIXELS = 1 << 25  # 8K: what claims more is not decoded
MOST_SEGMENTS = 1000  # of a JPEG before its pixels; a colour profile has up to 255
PNG_SIGNATURE, JPEG_SIGNATURE = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
PNG_HEADER, PNG_END = b"\x00\x00\x00\rIHDR", b"\x00\x00\x00\x00IEND\xaeB`\x82"
PNG_BITS = len(PNG_SIGNATURE) + len(PNG_HEADER) + 8  # where the number of bits stands, behind width and height
JPEG_END = b"\xff\xd9"
# Markers of a JPEG: those without a length behind them, those of a frame (its size), and that of a scan (its pixels).
JPEG_BARE = {0x01, *range(0xD0, 0xD8)}
JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_SCAN = 0xDA
COMPRESSED_DEPTH_HEADER = struct.Struct("<iff")  # of compressed_depth_image_transport: format, and two coefficients
DEPTH_IN_METRES = "32FC1"
CUT_OFF = "a compressed image is cut off: its {} has no end; does the driver send all of it?"


def is_compressed(message: Any) -> bool:
    """Whether it is a sensor_msgs/CompressedImage."""
    return hasattr(message, "format")


def encoding_of(message: Any) -> str:
    """The encoding of the pixels of an Image, or of those a CompressedImage was made from; "" where it does not say."""
    return message.format.split(";")[0].strip() if is_compressed(message) else message.encoding


def check_compressed(name: str, message: Any) -> None:
    """Check that a message can be what `name` (image, depth or objects) needs: cheap, without decoding it.

    Raises ImageError.
    """
    _coded(name, message)


def decoded_colours(message: Any) -> np.ndarray:
    """The image as rgb uint8 (height, width, 3). Raises ImageError."""
    # OpenCV gives BGR; and turning it as a photograph says would no longer fit camera_info.
    bgr = _decoded(_coded("image", message), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def decoded_depth(message: Any) -> np.ndarray:
    """A depth image as it was before compression (height, width): uint16 millimetres, or float32 metres.

    Raises ImageError.
    """
    values = _single_channel("depth", _decoded(_coded("depth", message), cv2.IMREAD_UNCHANGED))
    if values.dtype != np.uint16:
        raise ImageError("bad encoding", "compressed depth has 8 bits, expected a PNG of 16 bits")
    if encoding_of(message) != DEPTH_IN_METRES or _is_png(bytes(message.data[: len(PNG_SIGNATURE)])):
        return values
    # Metres were sent as 16 bits of their inverse.
    _, scale, offset = COMPRESSED_DEPTH_HEADER.unpack_from(bytes(message.data[: COMPRESSED_DEPTH_HEADER.size]))
    with np.errstate(all="ignore"):  # the coefficients may be any numbers: what is not finite is no depth
        return np.where(values > 0, np.float32(scale) / (values - np.float32(offset)), 0).astype(np.float32)


def decoded_labels(message: Any) -> np.ndarray:
    """An image of class ids (height, width), uint8 or uint16. Raises ImageError."""
    return _single_channel("objects", _decoded(_coded("objects", message), cv2.IMREAD_UNCHANGED))


def _coded(name: str, message: Any) -> bytes:
    """The JPEG or PNG of a message, whole by all that its bytes say."""
    data = bytes(message.data)
    if name == "depth":
        behind_header = data[COMPRESSED_DEPTH_HEADER.size :]
        has_header = not _is_png(data) and _is_png(behind_header)
        data = behind_header if has_header else data
        if not _is_png(data):
            raise ImageError(
                "bad encoding",
                f"depth of format {_named(message)} is not supported, only PNG is: set the publisher's "
                "compressedDepth/format to png",
            )
        if has_header and encoding_of(message) not in DEPTH_ENCODINGS:
            raise ImageError(
                "bad encoding",
                f"depth of format {_named(message)} does not say what its numbers mean: format must begin with one of "
                f"{', '.join(DEPTH_ENCODINGS)}, as that of compressed_depth_image_transport does",
            )
    elif name == "objects" and not _is_png(data):
        raise ImageError("bad encoding", "compressed class ids must be a PNG: other formats change the ids")
    elif name == "image" and encoding_of(message).startswith("bayer"):
        raise ImageError(
            "bad encoding",
            f"compressed images of format {_named(message)} are a mosaic without colours: convert them before they are "
            "compressed, for instance with image_proc",
        )
    width, height = _png_size(data) if _is_png(data) else _jpeg_size(data, message)
    if name == "objects" and data[PNG_BITS] < 8:
        # Decoding stretches grey levels of fewer bits over 0..255.
        raise ImageError("bad encoding", f"compressed class ids have {data[PNG_BITS]} bits, expected a PNG of 8 or 16")
    if not 0 < width * height <= MOST_PIXELS:
        raise ImageError(
            "bad size",
            f"a compressed image claims {width} x {height} pixels, expected at least one and at most {MOST_PIXELS}",
        )
    return data


def _is_png(data: bytes) -> bool:
    return data.startswith(PNG_SIGNATURE)


def _named(message: Any) -> str:
    """Its format, short enough for a line, whatever somebody wrote into it."""
    return repr(message.format[:40])


def _png_size(data: bytes) -> tuple[int, int]:
    """Width and height by the header of a PNG that is there to its end."""
    start = len(PNG_SIGNATURE)
    if not data.startswith(PNG_HEADER, start):
        raise ImageError("not decoded", "a compressed image is damaged: it has no PNG header")
    if not data.endswith(PNG_END):
        raise ImageError("truncated", CUT_OFF.format("PNG"))
    return struct.unpack_from(">II", data, start + len(PNG_HEADER))


def _jpeg_size(data: bytes, message: Any) -> tuple[int, int]:
    """Width and height by the frame's header of a JPEG that is there to its end."""
    if not data.startswith(JPEG_SIGNATURE):
        raise ImageError(
            "bad encoding",
            f"a compressed image of format {_named(message)} is neither a JPEG nor a PNG: send one of them",
        )
    size, position = None, 2
    for _ in range(MOST_SEGMENTS):
        if position + 4 > len(data) or data[position] != 0xFF:
            break
        marker = data[position + 1]
        if marker == JPEG_SCAN and size is not None:
            if data.find(JPEG_END, position) < 0:  # it cannot be among the pixels' codes
                raise ImageError("truncated", CUT_OFF.format("JPEG"))
            return size
        if marker in JPEG_FRAMES and position + 9 <= len(data):
            height, width = struct.unpack_from(">HH", data, position + 5)
            size = width, height
        if marker == 0xFF:  # filling
            position += 1
        elif marker in JPEG_BARE:
            position += 2
        else:
            position += 2 + struct.unpack_from(">H", data, position + 2)[0]
    if position + 4 > len(data):
        raise ImageError("truncated", CUT_OFF.format("JPEG"))
    raise ImageError("not decoded", "a compressed image is damaged: it has no JPEG header")


def _decoded(data: bytes, flags: int) -> np.ndarray:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        reason = " ".join(error.err.split())
        raise ImageError("not decoded", f"a compressed image cannot be decoded: {reason}") from error
    if image is None:
        raise ImageError("not decoded", "a compressed image is damaged: it cannot be decoded")
    return image


def _single_channel(name: str, values: np.ndarray) -> np.ndarray:
    if values.ndim != 2:
        raise ImageError("bad encoding", f"compressed {name} must have one channel, found {values.shape[2]}")
    return values
