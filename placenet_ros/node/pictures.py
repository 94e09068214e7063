"""From the messages of an image and its companions to what the model's camera would have seen."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

import cv2
import cv_bridge
import numpy as np
from sensor_msgs.msg import CameraInfo

from placenet_ros.node import images
from placenet_ros.node.drops import DropCounter
from placenet_ros.node.image_layout import ImageError, pinhole_camera
from placenet_ros.scene.camera import PinholeCamera, ViewResampler


class Pictures(NamedTuple):
    """At the model's size, s x s."""

    rgb: np.ndarray  # (s, s, 3) uint8
    depth: np.ndarray | None  # (s, s) float32, metres, 0: none
    objects: np.ndarray | None  # (s, s) uint8, class ids
    covered: np.ndarray  # (s, s) bool: what the robot's camera saw


class PictureMaker:
    """Converts and resamples; keeps the resampling maps until the camera changes.

    target: the model's camera. is_rectified: whether the images are. drops: counts companions that cannot be used, and
    tells of a camera that sees less than the model expects.
    """

    def __init__(self, target: PinholeCamera, is_rectified: bool, drops: DropCounter):
        self._target, self._is_rectified, self._drops = target, is_rectified, drops
        self._resampler: ViewResampler | None = None

    def make(self, image: Any, companions: dict[str, Any], info: CameraInfo) -> Pictures:
        """The pictures of an image (sensor_msgs/Image) and its companions; a bad companion is left out and counted.

        Raises ImageError where the colour image or its camera_info cannot be used.
        """
        try:
            return self._make(image, companions, info)
        except (cv2.error, cv_bridge.CvBridgeError, MemoryError) as error:  # no message may end the worker
            line = f"image or camera_info cannot be converted: {' '.join(str(error).split()) or type(error).__name__}"
            raise ImageError("not converted", line) from error

    def _make(self, image: Any, companions: dict[str, Any], info: CameraInfo) -> Pictures:
        camera = pinhole_camera(info, self._is_rectified)
        rgb = images.colours(image)
        _check_size("image", rgb, camera)
        resampler = self._resampler_for(camera)
        depth = self._companion("depth", companions, images.depth, resampler)
        objects = self._companion("objects", companions, images.labels, resampler)
        return Pictures(resampler.colours(rgb), depth, objects, resampler.covered)

    def _companion(
        self, name: str, companions: dict[str, Any], convert: Callable, resampler: ViewResampler
    ) -> np.ndarray | None:
        if name not in companions:
            return None
        try:
            values = convert(companions[name])
            _check_size(name, values, resampler.source)
        except ImageError as error:
            self._drops.count(f"{name}: {error.kind}", f"{name}: {error}")
            return None
        return resampler.values(values)

    def _resampler_for(self, camera: PinholeCamera) -> ViewResampler:
        if self._resampler is None or self._resampler.source != camera:
            self._resampler = ViewResampler(camera, self._target)
            missing = 1 - self._resampler.covered.mean()
            if missing > 0:
                wide, high = camera.field_of_view_degrees
                self._drops.tell(
                    "narrow camera",
                    f"the camera sees {wide:.0f} x {high:.0f} degrees, the weights were trained with "
                    f"{self._target.field_of_view_degrees[0]:.0f} both ways: {100 * missing:.0f} % of each picture is "
                    "padded, and predictions suffer there",
                )
        return self._resampler


def _check_size(name: str, image: np.ndarray, camera: PinholeCamera) -> None:
    height, width = image.shape[:2]
    if (width, height) != (camera.width, camera.height):
        raise ImageError(
            "bad size",
            f"{name} has {width} x {height} pixels, but camera_info describes {camera.width} x {camera.height}",
        )
