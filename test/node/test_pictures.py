"""From messages to what the model's camera would have seen."""

import cv2
import numpy as np
import pytest
from std_msgs.msg import Header

from placenet_ros.node.drops import DropCounter
from placenet_ros.node.images import ImageError, camera_info_message, image_message
from placenet_ros.node.pictures import PictureMaker
from placenet_ros.scene.camera import PinholeCamera, ViewResampler

MODEL = PinholeCamera.square(16, 60.0)
WIDE = PinholeCamera(64, 48, 40.0, 40.0, 31.5, 23.5)
NARROW = PinholeCamera(64, 48, 80.0, 80.0, 31.5, 23.5)


def info(camera):
    return camera_info_message(Header(), camera)


def image(value, width=64, height=48):
    return image_message(Header(), np.full((height, width, 3), value, np.uint8), "rgb8")


def depth(millimetres, width=64, height=48):
    return image_message(Header(), np.full((height, width), millimetres, np.uint16), "16UC1")


def labels(value):
    return image_message(Header(), np.full((48, 64), value, np.uint16), "16UC1")


@pytest.fixture
def warnings():
    return []


@pytest.fixture
def drops(warnings):
    return DropCounter(warnings.append, print)


@pytest.fixture
def maker(drops):
    return PictureMaker(MODEL, True, drops)


def test_image_and_companions_come_out_at_the_models_size(maker, warnings):
    found = maker.make(image(90), {"depth": depth(1500), "objects": labels(7)}, info(WIDE))
    np.testing.assert_array_equal(found.rgb, np.full((16, 16, 3), 90))
    np.testing.assert_allclose(found.depth, np.full((16, 16), 1.5))
    np.testing.assert_array_equal(found.objects, np.full((16, 16), 7))
    assert found.covered.all()
    assert not warnings


def test_image_goes_without_companions_that_did_not_come(maker):
    found = maker.make(image(90), {}, info(WIDE))
    assert (found.depth, found.objects) == (None, None)


def test_camera_that_sees_less_than_the_model_is_warned_of_once(maker, warnings):
    for _ in range(3):
        found = maker.make(image(90), {"depth": depth(1500)}, info(NARROW))
    assert len(warnings) == 1
    assert "44 x 33 degrees" in warnings[0]
    assert 0 < found.covered.mean() < 1
    np.testing.assert_array_equal(found.depth > 0, found.covered)


def test_camera_that_changes_is_followed(maker):
    maker.make(image(90), {}, info(NARROW))
    assert maker.make(image(90), {}, info(WIDE)).covered.all()


def test_companions_that_cannot_be_used_are_left_out_and_counted(maker, drops):
    found = maker.make(image(90), {"depth": depth(1500, width=32), "objects": labels(300)}, info(WIDE))
    assert (found.depth, found.objects) == (None, None)
    assert drops.counts() == {"depth: bad size": 1, "objects: bad label": 1}


def test_image_of_another_size_than_its_camera_info_is_refused(maker):
    with pytest.raises(ImageError, match="image has 32 x 48 pixels, but camera_info describes 64 x 48"):
        maker.make(image(90, width=32), {}, info(WIDE))


def test_raw_images_are_undistorted_only_where_they_are_said_to_be_raw(drops):
    lens = info(WIDE)
    lens.D = [-0.3, 0.1, 0.0, 0.0, 0.0]
    stripes = np.repeat(((np.arange(64) // 8) % 2 * 255).astype(np.uint8)[None, :, None], 48, axis=0)
    picture = image_message(Header(), np.repeat(stripes, 3, axis=2), "rgb8")
    rectified, raw = (PictureMaker(MODEL, is_rectified, drops) for is_rectified in (True, False))
    plain = PictureMaker(MODEL, True, drops).make(picture, {}, info(WIDE)).rgb
    np.testing.assert_array_equal(rectified.make(picture, {}, lens).rgb, plain)
    assert (raw.make(picture, {}, lens).rgb != plain).any()


def test_absurd_camera_info_is_refused_with_one_line(maker):
    absurd = info(WIDE)
    absurd.P = [1e6, 0, 31.5, 0, 0, 1e6, 23.5, 0, 0, 0, 1, 0]
    with pytest.raises(ImageError, match="camera_info: expected a field of view") as error:
        maker.make(image(90), {}, absurd)
    assert "\n" not in str(error.value)
    assert maker.make(image(90), {}, info(WIDE)).covered.all()


def test_message_that_opencv_cannot_convert_is_refused_with_one_line(maker, monkeypatch):
    def fail(*_):
        raise cv2.error("OpenCV: error:\n> in function remap")

    monkeypatch.setattr(ViewResampler, "colours", fail)
    with pytest.raises(ImageError, match="cannot be converted: OpenCV: error: > in function remap"):
        maker.make(image(90), {}, info(WIDE))
