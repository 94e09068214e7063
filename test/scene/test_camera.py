"""Resampling a robot's pictures to the model's camera."""

import math

import numpy as np
import pytest

from placenet_ros.scene.camera import PinholeCamera, ViewResampler

MODEL = PinholeCamera.square(64, 60.0)
WIDE = PinholeCamera(320, 240, 200.0, 200.0, 159.5, 119.5)  # 77 x 62 degrees


def directions(camera):
    """x / z and y / z of the ray through each pixel's centre: (height, width) each."""
    x = (np.arange(camera.width) - camera.cx) / camera.fx
    y = (np.arange(camera.height) - camera.cy) / camera.fy
    return np.meshgrid(x, y)


def as_grey(values, lowest, highest):
    """Values of a span as grey levels 0..255, three equal channels."""
    grey = np.clip((values - lowest) / (highest - lowest) * 255, 0, 255).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def test_model_camera_spans_its_field_of_view():
    assert MODEL.field_of_view_degrees == pytest.approx((60.0, 60.0))
    assert MODEL.fx == pytest.approx(32 / math.tan(math.radians(30)))
    assert (MODEL.cx, MODEL.cy) == (31.5, 31.5)


def test_each_pixel_shows_what_lies_in_its_direction():
    for axis in (0, 1):
        picture = as_grey(directions(WIDE)[axis], -0.8, 0.8)
        expected = as_grey(directions(MODEL)[axis], -0.8, 0.8)
        found = ViewResampler(WIDE, MODEL).colours(picture)
        assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1


def test_same_camera_changes_nothing():
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    resampler = ViewResampler(MODEL, MODEL)
    np.testing.assert_array_equal(resampler.colours(picture), picture)
    np.testing.assert_array_equal(resampler.values(picture[..., 0]), picture[..., 0])
    assert resampler.covered.all()


def test_fine_patterns_become_their_mean_instead_of_aliasing():
    stripes = np.zeros((960, 1280, 3), np.uint8)
    stripes[:, ::2] = 255
    found = ViewResampler(PinholeCamera(1280, 960, 800.0, 800.0, 639.5, 479.5), MODEL).colours(stripes)
    assert np.abs(found.astype(int) - 127).max() <= 12


def test_depth_and_labels_are_never_mixed():
    labels = np.random.default_rng(0).choice([0, 200], (240, 320)).astype(np.uint8)
    depth = np.where(labels > 0, 5.0, 1.0).astype(np.float32)
    resampler = ViewResampler(WIDE, MODEL)
    assert set(np.unique(resampler.values(labels))) == {0, 200}
    assert set(np.unique(resampler.values(depth))) == {1.0, 5.0}


def test_narrow_camera_is_padded_and_masked():
    narrow = PinholeCamera(320, 240, 400.0, 400.0, 159.5, 119.5)  # 44 x 33 degrees
    resampler = ViewResampler(narrow, MODEL)
    x, y = directions(MODEL)
    half_pixel = 0.5 / MODEL.fx
    np.testing.assert_array_equal(
        resampler.covered, (abs(x) + half_pixel <= 160 / 400) & (abs(y) + half_pixel <= 120 / 400)
    )
    assert (resampler.values(np.full((240, 320), 7, np.uint8)) == np.where(resampler.covered, 7, 0)).all()
    assert (resampler.colours(np.full((240, 320, 3), 90, np.uint8)) == 90).all()


def test_distorted_pictures_are_straightened():
    k1, k2 = -0.25, 0.05
    lens = PinholeCamera(640, 480, 400.0, 400.0, 319.5, 239.5, (k1, k2, 0.0, 0.0, 0.0))
    # A wall whose grey level is its x / z, as the lens shows it: invert r' = r (1 + k1 r^2 + k2 r^4) point by point.
    x_seen, y_seen = directions(lens)
    radius_seen = np.hypot(x_seen, y_seen)
    radius = radius_seen.copy()
    for _ in range(50):
        radius = radius_seen / (1 + k1 * radius**2 + k2 * radius**4)
    picture = as_grey(x_seen * radius / np.maximum(radius_seen, 1e-9), -0.8, 0.8)
    found = ViewResampler(lens, MODEL).colours(picture).astype(int)
    expected = as_grey(directions(MODEL)[0], -0.8, 0.8).astype(int)
    assert np.abs(found - expected).max() <= 2


@pytest.mark.parametrize("coefficients", [(0.0, 0.0, 0.0, 0.0), (0.05, -0.01, 0.0, 0.0)])
def test_fisheye_pictures_become_those_of_a_pinhole(coefficients):
    lens = PinholeCamera(640, 480, 250.0, 250.0, 319.5, 239.5, coefficients, is_fisheye=True)
    assert lens.field_of_view_degrees == pytest.approx((math.degrees(640 / 250), math.degrees(480 / 250)))
    # A wall whose grey level is its x / z, as the lens shows it: invert r' = a + k1 a^3 + k2 a^5, a being the angle.
    x_seen, y_seen = directions(lens)
    radius_seen = np.hypot(x_seen, y_seen)
    angle = radius_seen.copy()
    for _ in range(50):
        angle = radius_seen / (1 + coefficients[0] * angle**2 + coefficients[1] * angle**4)
    tangent = np.tan(np.minimum(angle, 1.4))
    picture = as_grey(x_seen * tangent / np.maximum(radius_seen, 1e-9), -0.8, 0.8)
    resampler = ViewResampler(lens, MODEL)
    expected = as_grey(directions(MODEL)[0], -0.8, 0.8).astype(int)
    assert np.abs(resampler.colours(picture).astype(int) - expected).max() <= 2
    assert resampler.covered.all()


@pytest.mark.parametrize(
    "lens",
    [
        PinholeCamera(640, 480, 554.0, 554.0, 319.5, 239.5, (-0.6, 0.0, 0.0, 0.0)),
        PinholeCamera(640, 480, 554.0, 554.0, 319.5, 239.5, (-0.8, 0.0, 0.0, 0.0), is_fisheye=True),
    ],
)
def test_what_is_beyond_a_lens_is_the_edge_and_not_the_middle_once_more(lens):
    """The polynomials grow up to a radius of 0.75; the corners of what the model sees are at 0.80."""
    picture = np.full((480, 640, 3), 100, np.uint8)
    picture[0, 0] = picture[0, -1] = picture[-1, 0] = picture[-1, -1] = 200
    resampler = ViewResampler(lens, MODEL)
    assert not resampler.covered[::63, ::63].any() and resampler.covered[16:48, 16:48].all()
    np.testing.assert_array_equal(resampler.colours(picture)[::63, ::63], np.full((2, 2, 3), 200))


def test_picture_of_another_size_is_refused():
    with pytest.raises(ValueError, match="expected an image of 320 x 240 pixels.*found 64 x 48"):
        ViewResampler(WIDE, MODEL).colours(np.zeros((48, 64, 3), np.uint8))


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ((0, 240, 200.0, 200.0, 0.0, 0.0), "0 x 240"),
        ((320, 240, 0.0, 0.0, 0.0, 0.0), "calibrated camera"),
        ((320, 240, float("nan"), 200.0, 0.0, 0.0), "calibrated camera"),
        ((320, 240, 200.0, 200.0, 0.0, 0.0, (0.1, 0.2)), "found 2"),
    ],
)
def test_cameras_that_cannot_be_are_refused(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        PinholeCamera(*arguments)


def test_pictures_far_finer_than_the_models_become_their_mean_with_maps_of_bounded_size():
    camera = PinholeCamera(4096, 3072, 60_000.0, 60_000.0, 2047.5, 1535.5)  # 4 x 3 degrees
    stripes = np.zeros((3072, 4096, 3), np.uint8)
    stripes[:, ::2] = 255
    resampler = ViewResampler(camera, PinholeCamera.square(64, 3.0))
    assert all(samples.nbytes <= 4 * (16 * 64) ** 2 for samples in resampler._samples)
    assert resampler.covered.sum() >= 0.9 * 64 * 62
    assert np.abs(resampler.colours(stripes).astype(int) - 127).max() <= 12
    edge = as_grey(directions(camera)[0], -0.035, 0.035)
    expected = as_grey(directions(resampler.target)[0], -0.035, 0.035)
    assert np.abs(resampler.colours(edge).astype(int) - expected.astype(int)).max() <= 2


@pytest.mark.parametrize(
    "numbers, complaint",
    [
        ((640, 480, 1e6, 500.0, 319.5, 239.5), "field of view of at least 1 degree"),
        ((640, 480, 500.0, 500.0, 1e9, 239.5), "field of view of at least 1 degree"),
        ((20_000, 480, 500.0, 500.0, 319.5, 239.5), "at most 16384 pixels"),
    ],
)
def test_cameras_that_none_can_be_are_refused(numbers, complaint):
    with pytest.raises(ValueError, match=complaint):
        PinholeCamera(*numbers)
