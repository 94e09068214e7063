"""Images and camera_info as messages."""

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from placenet_ros.node import images
from placenet_ros.node.image_layout import ImageError, check_layout, pinhole_camera
from placenet_ros.scene.camera import PinholeCamera

RGB = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
ALPHA = np.full((6, 5, 1), 9, np.uint8)
GREY = RGB[..., 0]


def message(array, encoding, padding=0, is_bigendian=False):
    """An image message of an array; `padding` bytes of rubbish behind each row."""
    height, width = array.shape[:2]
    rows = np.frombuffer(array.tobytes(), np.uint8).reshape(height, -1)
    rows = np.hstack([rows, np.full((height, padding), 77, np.uint8)])
    return Image(
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=is_bigendian,
        step=rows.shape[1],
        data=rows.tobytes(),
    )


@pytest.mark.parametrize("padding", [0, 1, 13])
@pytest.mark.parametrize(
    "encoding, array",
    [
        ("rgb8", RGB),
        ("bgr8", RGB[..., ::-1]),
        ("rgba8", np.concatenate([RGB, ALPHA], axis=2)),
        ("bgra8", np.concatenate([RGB[..., ::-1], ALPHA], axis=2)),
    ],
)
def test_colour_images_are_read_in_every_supported_layout(encoding, array, padding):
    np.testing.assert_array_equal(images.colours(message(array, encoding, padding)), RGB)


@pytest.mark.parametrize("padding", [0, 3])
def test_grey_images_are_read_as_grey_colours(padding):
    expected = np.repeat(GREY[..., None], 3, axis=2)
    np.testing.assert_array_equal(images.colours(message(GREY, "mono8", padding)), expected)
    for byte_order in "<>":
        wide = (GREY.astype(np.uint16) * 257).astype(byte_order + "u2")
        found = images.colours(message(wide, "mono16", 2 * padding, is_bigendian=byte_order == ">"))
        np.testing.assert_allclose(found, expected, atol=1)


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("padding", [0, 4])
def test_depth_is_read_in_metres_in_both_byte_orders(byte_order, padding):
    millimetres = np.array([[0, 1, 1500], [256, 65535, 20]])
    found = images.depth(message(millimetres.astype(byte_order + "u2"), "16UC1", padding, byte_order == ">"))
    np.testing.assert_allclose(found, millimetres / 1000, rtol=1e-6)
    metres = np.array([[np.nan, np.inf, -1.0], [0.0, 0.25, 12.5], [1e4, 3e38, 100.0]])
    found = images.depth(message(metres.astype(byte_order + "f4"), "32FC1", padding, byte_order == ">"))
    np.testing.assert_allclose(found, [[0, 0, 0], [0, 0.25, 12.5], [0, 0, 100.0]])


def test_class_ids_are_read_and_too_large_ones_refused():
    np.testing.assert_array_equal(images.labels(message(GREY, "mono8", 3)), GREY)
    np.testing.assert_array_equal(images.labels(message(GREY.astype(">u2"), "16UC1", 0, True)), GREY)
    with pytest.raises(ImageError, match="above 255"):
        images.labels(message(np.full((2, 2), 300, np.uint16), "16UC1"))


@pytest.mark.parametrize(
    "change, complaint",
    [
        ({"encoding": "bayer_rggb8"}, "'bayer_rggb8' is not supported, expected one of rgb8, bgr8"),
        ({"encoding": "32FC1"}, "'32FC1' is not supported"),
        ({"width": 0}, "the image is empty: 0 x 6"),
        ({"height": 0}, "the image is empty: 5 x 0"),
        ({"step": 14}, "step is 14 bytes, but a row of 5 rgb8 pixels has 15"),
        ({"data": bytes(89)}, "89 bytes of data are fewer than the 6 rows of 15 bytes"),
        ({"step": 16}, "90 bytes of data are fewer than the 6 rows of 16 bytes"),
    ],
)
def test_images_that_cannot_be_are_refused_with_one_line(change, complaint):
    broken = message(RGB, "rgb8")
    for name, value in change.items():
        setattr(broken, name, value)
    with pytest.raises(ImageError, match=complaint) as error:
        check_layout(broken, images.COLOUR_ENCODINGS)
    assert "\n" not in str(error.value)


def test_images_go_out_with_a_header_of_their_own():
    header = Header(seq=4, frame_id="odom")
    out = images.image_message(header, RGB, "rgb8")
    np.testing.assert_array_equal(images.colours(out), RGB)
    out.header.frame_id = "changed"
    assert header.frame_id == "odom"


def camera_info(**changes):
    info = CameraInfo(width=320, height=240, distortion_model="plumb_bob", D=[0.1, 0.0, 0.0, 0.0, 0.0])
    info.K = [200, 0, 159.5, 0, 201, 119.5, 0, 0, 1]
    info.P = [190, 0, 150.5, 0, 0, 191, 110.5, 0, 0, 0, 1, 0]
    for name, value in changes.items():
        setattr(info, name, value)
    return info


def test_rectified_images_have_the_camera_of_p_and_raw_ones_that_of_k_and_d():
    assert pinhole_camera(camera_info(), True) == PinholeCamera(320, 240, 190, 191, 150.5, 110.5)
    raw = PinholeCamera(320, 240, 200, 201, 159.5, 119.5, (0.1, 0.0, 0.0, 0.0, 0.0))
    assert pinhole_camera(camera_info(), False) == raw
    without_p = camera_info(P=[0.0] * 12)
    assert pinhole_camera(without_p, True) == PinholeCamera(320, 240, 200, 201, 159.5, 119.5)


def test_raw_images_of_a_fisheye_camera_have_its_model_even_without_coefficients():
    info = camera_info(distortion_model="equidistant", D=[0.0] * 4)
    assert pinhole_camera(info, False) == PinholeCamera(320, 240, 200, 201, 159.5, 119.5, (0.0,) * 4, is_fisheye=True)
    assert not pinhole_camera(info, True).is_fisheye


def test_camera_info_goes_out_as_it_comes_in():
    camera = PinholeCamera.square(64, 60.0)
    assert pinhole_camera(images.camera_info_message(Header(), camera), True) == camera
    assert pinhole_camera(images.camera_info_message(Header(), camera), False) == camera


@pytest.mark.parametrize(
    "change, complaint",
    [
        ({"K": [0.0] * 9, "P": [0.0] * 12}, "calibrated camera"),
        ({"binning_x": 2}, "binned or cropped"),
        ({"distortion_model": "thin_prism"}, "'thin_prism' is not supported"),
        ({"distortion_model": "equidistant"}, "expected 4 distortion coefficients, found 5"),
    ],
)
def test_camera_infos_that_cannot_be_used_are_refused(change, complaint):
    with pytest.raises(ImageError, match=complaint):
        pinhole_camera(camera_info(**change), is_rectified=False)
