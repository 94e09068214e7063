"""Trajectories: a walk through a made house, its pictures and poses, one for each seed.

Keeping them on a disk is `training.data`'s business.
"""

import multiprocessing
import os
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from training.houses.pictures import HousePictures
from training.houses.plan import make_house
from training.houses.walks import make_path

_camera = None  # of this process; kept, because a graphics context takes longer to make than a trajectory


@dataclass(frozen=True)
class Trajectory:
    """A walk of f frames, camera at the principal point of a square picture of s x s pixels.

    rgb: uint8 (f, s, s, 3). depth: uint16 (f, s, s), millimetres along the optical axis, 0 = none.
    objects: uint8 (f, s, s), indices into `classes.CLASS_NAMES`. poses: float32 (f, 5), x, y, z, yaw, pitch.
    """

    rgb: np.ndarray
    depth: np.ndarray
    objects: np.ndarray
    poses: np.ndarray
    house_seed: int


def make_trajectory(seed, frames=300, image_size=64, field_of_view_degrees=60.0):
    """The trajectory of a seed: through the house of that seed, on the path of that seed."""
    house = make_house(seed)
    poses = make_path(house, seed, frames)
    camera = _camera_of(image_size, field_of_view_degrees)
    camera.load(house)
    pictures = camera.take(poses)
    return Trajectory(pictures.rgb, millimetres(pictures.depth), pictures.objects, poses, seed)


def _camera_of(image_size, field_of_view_degrees):
    """This process's camera, made anew if it is to take other pictures than before."""
    global _camera
    if _camera is None or (_camera.width, _camera.field_of_view_degrees) != (image_size, field_of_view_degrees):
        if _camera is not None:
            _camera.close()
        _camera = HousePictures(image_size, image_size, field_of_view_degrees)
    return _camera


def make_trajectories(seeds, processes, frames=300, image_size=64, field_of_view_degrees=60.0):
    """Yield the trajectories of some seeds in their order, made by several processes.

    Memory stays bounded however many seeds there are: each process is at most two trajectories ahead of the reader.
    """
    context = multiprocessing.get_context("spawn")  # a graphics context does not survive a fork
    seeds = iter(seeds)
    with ProcessPoolExecutor(processes, context, initializer=_use_one_thread) as pool:
        waiting = deque()
        try:
            for seed in islice(seeds, 2 * processes):
                waiting.append(pool.submit(make_trajectory, seed, frames, image_size, field_of_view_degrees))
            while waiting:
                yield waiting.popleft().result()
                for seed in islice(seeds, 1):
                    waiting.append(pool.submit(make_trajectory, seed, frames, image_size, field_of_view_degrees))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _use_one_thread():
    """Keep Mesa's software renderer to one thread for each process; there are as many processes as cores."""
    os.environ.setdefault("LP_NUM_THREADS", "1")


def millimetres(depth):
    """Depth in metres (float) as uint16 millimetres; what is beyond 65 m becomes 0, none."""
    rounded = np.round(depth * 1000.0)
    return np.where(rounded <= 65535, rounded, 0).astype(np.uint16)
