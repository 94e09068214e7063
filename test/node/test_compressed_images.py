"""Compressed images: read whatever their format says, and refused in one line before anything is decoded."""

import struct
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from placenet_ros.node import compressed_images, images
from placenet_ros.node.compressed_images import MOST_PIXELS, check_compressed
from placenet_ros.node.image_layout import ImageError

RGB = np.zeros((48, 64, 3), np.uint8)
RGB[:24, :, 0], RGB[24:, :, 2] = 200, 200  # red above, blue below
BILEVEL = cv2.IMWRITE_PNG_BILEVEL
MILLIMETRES = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 20


def assert_shows_rgb(found):
    """But for where a JPEG mixes both colours."""
    assert found.shape == RGB.shape
    away = np.r_[0:12, 36:48]
    assert np.abs(found.astype(int) - RGB)[away].max() <= 3


def compressed(data, name="jpeg"):
    return SimpleNamespace(format=name, data=bytes(data))


def encoded(suffix, pixels, *settings):
    return cv2.imencode(suffix, pixels, list(settings))[1].tobytes()


def jpeg(pixels=RGB, *settings):
    return encoded(".jpg", pixels[..., ::-1], *settings)


def png(pixels=RGB):
    return encoded(".png", pixels[..., ::-1] if pixels.ndim == 3 else pixels)


def png_that_claims(width, height, pixels=b""):
    """A PNG whose header says so, with the checksums that it needs."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def with_orientation(data, orientation):
    """A JPEG that says (Exif) that it is to be turned."""
    exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + struct.pack(">H", orientation) + bytes(6)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


@pytest.mark.parametrize("name", ["jpeg", "rgb8; jpeg compressed bgr8", "bgr8; jpeg compressed rgb8", "png", ""])
@pytest.mark.parametrize("data", [png(), jpeg(), jpeg(RGB, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)])
def test_colours_are_red_green_and_blue_whatever_the_format_says(name, data):
    assert_shows_rgb(images.colours(compressed(data, name)))


def test_image_is_not_turned_by_what_a_photograph_would_say():
    assert_shows_rgb(images.colours(compressed(with_orientation(jpeg(), 6))))


def test_grey_jpeg_is_read_as_grey_colours():
    grey = np.full((48, 64), 90, np.uint8)
    assert (images.colours(compressed(encoded(".jpg", grey))) == 90).all()


@pytest.mark.parametrize("header", [b"", bytes(12), b"\xff" * 12])  # drivers leave it as it was
def test_depth_in_millimetres_is_read_behind_any_header(header):
    message = compressed(header + png(MILLIMETRES), "16UC1; compressedDepth png")
    np.testing.assert_allclose(images.depth(message), MILLIMETRES / 1000, rtol=1e-6)


@pytest.mark.parametrize("name", ["png", "", "16UC1; png compressed "])
def test_plain_png_of_16_bits_is_depth_in_millimetres_whatever_its_format_says(name):
    np.testing.assert_allclose(images.depth(compressed(png(MILLIMETRES), name)), MILLIMETRES / 1000, rtol=1e-6)


def test_depth_in_metres_is_read_back_to_its_quantisation():
    """As compressed_depth_image_transport writes 32FC1: 16 bits of the inverse, best near the camera."""
    metres = np.linspace(0.3, 9.0, 64 * 48, dtype=np.float32).reshape(48, 64)
    metres[:4] = 0
    scale = 100.0 * 101.0
    offset = 1 - scale / 10.0
    quantised = np.where(metres > 0, scale / np.maximum(metres, 0.1) + offset, 0).astype(np.uint16)
    message = compressed(struct.pack("<iff", 0, scale, offset) + png(quantised), "32FC1; compressedDepth")
    found = images.depth(message)
    assert (found[:4] == 0).all() and (np.abs(found - metres)[4:] < 0.0005 + metres[4:] ** 2 / scale).all()


@pytest.mark.parametrize("numbers", [(float("nan"), 1.0), (1.0, float("inf")), (0.0, 0.0), (-1.0, 1e5), (1.0, 20.0)])
def test_depth_of_absurd_coefficients_is_none(numbers):
    message = compressed(struct.pack("<iff", 0, *numbers) + png(MILLIMETRES), "32FC1; compressedDepth")
    found = images.depth(message)
    assert np.isfinite(found).all() and (found >= 0).all()


def test_class_ids_are_read_from_a_png():
    np.testing.assert_array_equal(images.labels(compressed(png(RGB[..., 0]), "png")), RGB[..., 0])
    with pytest.raises(ImageError, match="above 255"):
        images.labels(compressed(png(MILLIMETRES), "png"))


@pytest.mark.parametrize(
    "name, message, kind, complaint",
    [
        ("image", compressed(jpeg()[:-2]), "truncated", "JPEG has no end"),
        ("image", compressed(jpeg()[:700]), "truncated", "JPEG has no end"),
        ("image", compressed(jpeg()[:100]), "truncated", "JPEG has no end"),
        ("image", compressed(png()[:-6]), "truncated", "PNG has no end"),
        ("image", compressed(b""), "bad encoding", "neither a JPEG nor a PNG"),
        ("image", compressed(bytes(200), "h264" * 99), "bad encoding", "'h264.{36}' is neither a JPEG"),
        ("image", compressed(bytes(12) + png(MILLIMETRES), "16UC1; compressedDepth"), "bad encoding", "neither"),
        ("image", compressed(b"\xff\xd8\xff" + bytes(100)), "not decoded", "no JPEG header"),
        ("image", compressed(b"\xff\xd8" + b"\xff\xd0" * 5000), "not decoded", "no JPEG header"),
        ("image", compressed(b"\x89PNG\r\n\x1a\n" + bytes(100)), "not decoded", "no PNG header"),
        ("image", compressed(png_that_claims(60_000, 60_000)), "bad size", "claims 60000 x 60000 pixels"),
        ("image", compressed(png_that_claims(0, 10)), "bad size", "claims 0 x 10 pixels"),
        ("depth", compressed(bytes(12) + png_that_claims(60_000, 60_000), "16UC1"), "bad size", "claims 60000 x 60000"),
        ("depth", compressed(bytes(100), "16UC1; compressedDepth rvl"), "bad encoding", "compressedDepth rvl' is not"),
        ("depth", compressed(bytes(12) + jpeg()), "bad encoding", "only PNG is"),
        ("depth", compressed(bytes(12) + png(MILLIMETRES), "compressedDepth"), "bad encoding", "begin with one of"),
        ("depth", compressed(bytes(12) + png(MILLIMETRES), ""), "bad encoding", "format '' does not say"),
        ("depth", compressed(bytes(12) + png(MILLIMETRES), "png"), "bad encoding", "format 'png' does not say"),
        ("depth", compressed(bytes(12) + png(MILLIMETRES), "rgb8; compressedDepth"), "bad encoding", "does not say"),
        ("image", compressed(jpeg(RGB[..., 0]), "bayer_rggb8; jpeg compressed "), "bad encoding", "mosaic"),
        ("objects", compressed(jpeg()), "bad encoding", "class ids must be a PNG"),
        ("objects", compressed(encoded(".png", RGB[..., 0], BILEVEL, 1)), "bad encoding", "have 1 bits"),
    ],
)
def test_images_that_cannot_be_used_are_refused_before_they_are_decoded(name, message, kind, complaint, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(ImageError, match=complaint) as error:
        check_compressed(name, message)
    assert error.value.kind == kind
    assert "\n" not in str(error.value)


def test_jpeg_that_claims_more_pixels_than_any_camera_has_is_refused():
    data = bytearray(jpeg())
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(ImageError, match="claims 65535 x 65535 pixels"):
        check_compressed("image", compressed(data))


@pytest.mark.parametrize(
    "read, message, complaint",
    [
        (images.colours, compressed(png_that_claims(64, 48, bytes(10))), "damaged: it cannot be decoded"),
        (images.depth, compressed(png(RGB)), "must have one channel, found 3"),
        (images.depth, compressed(png(RGB[..., 0])), "has 8 bits"),
        (images.labels, compressed(png(RGB)), "must have one channel, found 3"),
    ],
)
def test_images_that_turn_out_to_be_others_are_refused_when_they_are_decoded(read, message, complaint):
    with pytest.raises(ImageError, match=complaint):
        read(message)


def test_images_of_many_pixels_that_cameras_have_are_let_through():
    check_compressed("image", compressed(png_that_claims(7680, 4320)))
    assert 7680 * 4320 < MOST_PIXELS
    assert compressed_images.encoding_of(compressed(b"", "32FC1; compressedDepth png")) == "32FC1"
