"""Pinhole cameras, and resampling the pictures of a robot's camera to the camera that the weights were trained with.

The weights know one field of view. A robot's camera has another one, another resolution, and perhaps lens distortion;
`ViewResampler` computes the picture that the model's camera would have taken from the same place. It turns nothing and
moves nothing: both cameras share their optical centre and axes (z forward, x right, y down).

Where the pictures come from and in which encoding is left to the caller; poses are left to `viewpoints`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

# How many coefficients OpenCV's distortion models have: (k1 k2 p1 p2), then k3, then (k4 k5 k6).
DISTORTION_LENGTHS = (0, 4, 5, 8)
FISHEYE_DISTORTION_LENGTHS = (4,)
LARGEST_SIDE = 16384  # pixels: no robot's camera has more, and OpenCV's remap ends at 32767
SMALLEST_FIELD_OF_VIEW = 1.0  # degrees: below, the numbers are no calibration, or a telescope's
# Samples along each side of a target's pixel, at most: a 64 x 64 target then has a map of 8 MB. Finer pictures are
# first made coarser, each pixel the mean of the area it covers.
MOST_PARTS = 16
LENS_RADII = 1000  # from the picture's centre out, at which it is looked whether a lens turns back


@dataclass(frozen=True)
class PinholeCamera:
    """Intrinsics of a camera. All in pixels, with the centre of the first pixel at (0, 0), as OpenCV and CameraInfo do.

    distortion: OpenCV's k1 k2 p1 p2 [k3 [k4 k5 k6]] (`plumb_bob`, `rational_polynomial`); empty for a rectified image.
    is_fisheye: distances from the centre go by the angle (`equidistant`) and not by its tangent; distortion is then
        OpenCV's k1 k2 k3 k4 of that model, which has zeros for a perfect one.
    Raises ValueError for a size, focal length, field of view or distortion that no camera has.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()
    is_fisheye: bool = False

    def __post_init__(self):
        if self.width < 1 or self.height < 1:
            raise ValueError(f"expected a camera with a width and a height, found {self.width} x {self.height} pixels")
        if max(self.width, self.height) > LARGEST_SIDE:
            raise ValueError(
                f"expected a camera of at most {LARGEST_SIDE} pixels each way, found {self.width} x {self.height}"
            )
        numbers = (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        if not all(math.isfinite(number) for number in numbers) or self.fx <= 0 or self.fy <= 0:
            raise ValueError(
                f"expected a calibrated camera, found focal lengths {self.fx:g}, {self.fy:g} and centre "
                f"{self.cx:g}, {self.cy:g} pixels"
            )
        if min(self.field_of_view_degrees) < SMALLEST_FIELD_OF_VIEW:
            raise ValueError(
                f"expected a field of view of at least {SMALLEST_FIELD_OF_VIEW:g} degree both ways, found focal "
                f"lengths {self.fx:g}, {self.fy:g} and centre {self.cx:g}, {self.cy:g} "
                f"for {self.width} x {self.height} pixels"
            )
        lengths = FISHEYE_DISTORTION_LENGTHS if self.is_fisheye else DISTORTION_LENGTHS
        if len(self.distortion) not in lengths:
            expected = " or ".join(str(length) for length in lengths)
            raise ValueError(f"expected {expected} distortion coefficients, found {len(self.distortion)}")

    @classmethod
    def square(cls, image_size: int, field_of_view_degrees: float) -> PinholeCamera:
        """The model's camera: image_size x image_size pixels, the field of view across the whole image both ways."""
        focal = image_size / 2 / math.tan(math.radians(field_of_view_degrees) / 2)
        centre = image_size / 2 - 0.5
        return cls(image_size, image_size, focal, focal, centre, centre)

    @property
    def field_of_view_degrees(self) -> tuple[float, float]:
        """Horizontal and vertical field of view, distortion left aside."""

        def angle(size: int, focal: float, centre: float) -> float:
            if self.is_fisheye:
                return math.degrees(size / focal)
            return math.degrees(math.atan((centre + 0.5) / focal) + math.atan((size - 0.5 - centre) / focal))

        return angle(self.width, self.fx, self.cx), angle(self.height, self.fy, self.cy)

    def resized(self, width: int, height: int) -> PinholeCamera:
        """The same camera with other pixels, which cover the same area together."""
        x, y = width / self.width, height / self.height
        centre = (self.cx + 0.5) * x - 0.5, (self.cy + 0.5) * y - 0.5
        return PinholeCamera(width, height, self.fx * x, self.fy * y, *centre, self.distortion, self.is_fisheye)


class ViewResampler:
    """Resamples pictures of the camera `source` to those of the undistorted camera `target`; made once, used for many.

    covered: bool (target height, target width): False where `source` does not see (all of) the target's pixel. There,
        colours repeat the picture's edge, which a network bears better than a black frame, and depth and labels are 0.
    """

    def __init__(self, source: PinholeCamera, target: PinholeCamera):
        if target.distortion or target.is_fisheye:
            raise ValueError("expected a target camera without distortion")
        self.source, self.target = source, target
        self._sampled = source.resized(
            max(round(source.width * min(1.0, MOST_PARTS * target.fx / source.fx)), 1),
            max(round(source.height * min(1.0, MOST_PARTS * target.fy / source.fy)), 1),
        )
        # At least one sample for each of the pixels sampled, along each side of a target's pixel.
        finest = max(self._sampled.fx / target.fx, self._sampled.fy / target.fy)
        parts = min(max(math.ceil(finest), 1), MOST_PARTS)
        self._samples = _source_pixels(self._sampled, target.resized(target.width * parts, target.height * parts))
        self._centres = _source_pixels(source, target)
        seen = _inside(self._samples, self._sampled)
        blocks = seen.reshape(target.height, parts, target.width, parts)
        self.covered = blocks.all(axis=(1, 3))

    def colours(self, image: np.ndarray) -> np.ndarray:
        """Colours (height, width, 3) uint8 of the target: the mean over each pixel's area, so that nothing aliases."""
        self._check(image)
        if self._sampled != self.source:
            image = cv2.resize(image, (self._sampled.width, self._sampled.height), interpolation=cv2.INTER_AREA)
        samples = cv2.remap(image, *self._samples, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return cv2.resize(samples, (self.target.width, self.target.height), interpolation=cv2.INTER_AREA)

    def values(self, image: np.ndarray) -> np.ndarray:
        """Depth or labels (height, width) of the target: the nearest pixel's, never a mixture; 0 where not covered."""
        self._check(image)
        nearest = cv2.remap(image, *self._centres, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
        nearest[~self.covered] = 0
        return nearest

    def _check(self, image: np.ndarray) -> None:
        height, width = image.shape[:2]
        if (width, height) != (self.source.width, self.source.height):
            raise ValueError(
                f"expected an image of {self.source.width} x {self.source.height} pixels, as its camera has, "
                f"found {width} x {height}"
            )


def _source_pixels(source: PinholeCamera, target: PinholeCamera) -> tuple[np.ndarray, np.ndarray]:
    """Where the target's pixels lie in the source's image: x and y, each float32 (target height, target width).

    Those that the lens cannot have seen lie far out of the image, in their direction.
    """
    undistorted = cv2.fisheye.initUndistortRectifyMap if source.is_fisheye else cv2.initUndistortRectifyMap
    size, distortion = (target.width, target.height), np.array(source.distortion)
    x, y = undistorted(_matrix(source), distortion, np.eye(3), _matrix(target), size, cv2.CV_32FC1)
    if source.distortion:
        right = (np.arange(target.width) - target.cx) / target.fx
        down = (np.arange(target.height)[:, None] - target.cy) / target.fy
        radius = np.hypot(right, down)
        unseen, far = radius > _lens_end(source, radius.max()), 2 * max(source.width, source.height)
        angle = np.arctan2(down, right)[unseen]
        x[unseen], y[unseen] = source.cx + far * np.cos(angle), source.cy + far * np.sin(angle)
    return x, y


def _lens_end(camera: PinholeCamera, farthest: float) -> float:
    """Tangent of the angle from the optical axis up to which the lens's polynomial holds; `farthest` where it does to
    there. Farther out it turns back, as those of strong barrel distortion do, and shows the picture's inside again."""
    radii, distortion = np.linspace(0.0, farthest, LENS_RADII), np.array(camera.distortion)
    if camera.is_fisheye:
        seen = cv2.fisheye.distortPoints(np.stack([radii, np.zeros_like(radii)], axis=-1)[None], np.eye(3), distortion)
    else:
        distortion[2:4] = 0.0  # a lens that is not quite centred: next to nothing of it
        rays = np.stack([radii, np.zeros_like(radii), np.ones_like(radii)], axis=-1)
        seen, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), np.eye(3), distortion)
    turns_back = ~(np.diff(seen.reshape(-1, 2)[:, 0]) > 0)  # NaN does, too
    return radii[turns_back.argmax()] if turns_back.any() else farthest


def _matrix(camera: PinholeCamera) -> np.ndarray:
    return np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]], np.float64)


def _inside(pixels: tuple[np.ndarray, np.ndarray], camera: PinholeCamera) -> np.ndarray:
    x, y = pixels
    return (x >= -0.5) & (x <= camera.width - 0.5) & (y >= -0.5) & (y <= camera.height - 0.5)
