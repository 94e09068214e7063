"""Encoded pictures from outside: JPEG and PNG, decoded whole or refused, with bounds on their size.

What the pictures show, and which of them a trajectory can do without, is left to the importers.
"""

from __future__ import annotations

import io

import cv2
import numpy as np
import simplejpeg
from PIL import Image, ImageOps

LARGEST_SIDE = 16384  # pixels, as `placenet_ros.scene.camera` takes
MOST_PIXELS = 64 * 2**20  # of one picture: a camera of 64 megapixels; 200 MB decoded
JPEG_START, PNG_START = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
COLOURS_OF_8_BITS = b"\x08\x02\x00\x00\x00"  # in a PNG header: bits, RGB, and no unusual compression or interlacing


class DamagedImage(ValueError):
    """A picture that is truncated, too large, or neither JPEG nor PNG; one line without its name."""


def is_jpeg(encoded: bytes) -> bool:
    """Whether these bytes begin as a JPEG file does."""
    return encoded.startswith(JPEG_START)


def colours(encoded: bytes) -> np.ndarray:
    """Colours (height, width, 3) uint8 RGB of a picture, upright where its EXIF data says how it was held.

    A picture of grey levels gives three equal channels. Raises DamagedImage.
    """
    if is_jpeg(encoded) and b"Exif" not in encoded[:64]:
        return _decoded_jpeg(encoded)
    if encoded.startswith(PNG_START) and encoded[24:29] == COLOURS_OF_8_BITS:
        return _decoded_png(encoded)
    with _opened(encoded) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))


def values(encoded: bytes, kind: type[np.unsignedinteger]) -> np.ndarray:
    """Numbers (height, width) of a PNG picture with one channel (or a palette): depth or class ids.

    kind: np.uint8 or np.uint16; 8-bit pictures are taken for 16-bit ones as well. Raises DamagedImage.
    """
    if not encoded.startswith(PNG_START):
        raise DamagedImage("expected a PNG file, which keeps numbers as they are")
    with _opened(encoded) as picture:
        numbers = np.asarray(picture)
        if numbers.ndim != 2 or numbers.dtype == bool:
            raise DamagedImage(f"expected one channel of numbers, found mode {picture.mode}")
    if numbers.min() < 0 or numbers.max() > np.iinfo(kind).max:
        raise DamagedImage(f"expected numbers up to {np.iinfo(kind).max}, found {numbers.min()} to {numbers.max()}")
    return numbers.astype(kind)


def keeps_as_it_is(encoded: bytes, size: int) -> bool:
    """Whether these bytes are a JPEG picture in colour of size x size pixels, which shards can hold unchanged."""
    if not is_jpeg(encoded):
        return False
    height, width, colourspace, _ = _jpeg_header(encoded)
    return (height, width) == (size, size) and colourspace in ("YCbCr", "RGB")


def resized(picture: np.ndarray, size: int) -> np.ndarray:
    """Colours (height, width, 3) as size x size pixels, each the mean of the area it covers: nothing aliases."""
    if picture.shape[:2] == (size, size):
        return picture
    larger = min(picture.shape[:2]) < size
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR if larger else cv2.INTER_AREA)


def _decoded_jpeg(encoded: bytes) -> np.ndarray:
    height, width, colourspace, _ = _jpeg_header(encoded)
    _check_size(width, height)
    if colourspace in ("CMYK", "YCCK"):
        with _opened(encoded) as picture:
            return np.asarray(picture.convert("RGB"))
    try:
        return simplejpeg.decode_jpeg(encoded, "RGB", strict=True)
    except ValueError as error:
        raise DamagedImage(f"a damaged JPEG file: {' '.join(str(error).split())}") from error


def _decoded_png(encoded: bytes) -> np.ndarray:
    """By OpenCV, in half of Pillow's time."""
    _check_size(*(int.from_bytes(encoded[at : at + 4], "big") for at in (16, 20)))
    picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise DamagedImage("a damaged PNG file: it cannot be decoded to its end")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _jpeg_header(encoded: bytes) -> tuple[int, int, str, str]:
    try:
        return simplejpeg.decode_jpeg_header(encoded)
    except ValueError as error:
        raise DamagedImage(f"a damaged JPEG file: {' '.join(str(error).split())}") from error


def _opened(encoded: bytes) -> Image.Image:
    """The picture, read to its end."""
    try:
        picture = Image.open(io.BytesIO(encoded), formats=("JPEG", "PNG"))
        _check_size(*picture.size)
        picture.load()
    except DamagedImage:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        text = "neither JPEG nor PNG" if isinstance(error, Image.UnidentifiedImageError) else str(error)
        raise DamagedImage(f"a damaged picture: {' '.join(text.split())}") from error
    return picture


def _check_size(width: int, height: int) -> None:
    if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE and width * height <= MOST_PIXELS):
        raise DamagedImage(
            f"{width} x {height} pixels, expected at most {LARGEST_SIDE} each way and {MOST_PIXELS} in all"
        )
