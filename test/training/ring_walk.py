"""A walk around a ring, looking along the motion, with pictures that tell its frames apart: data for importers."""

import numpy as np

from training.data.shards import Description
from training.data.writing import write_dataset
from training.houses.classes import CLASS_NAMES
from training.trajectory import Trajectory

RADIUS, HEIGHT, PITCH = 2.0, 0.8, -0.1  # metres, metres, radians


def ring_poses(frames, turn=1.0):
    """(f, 5) poses: `turn` of a circle counter-clockwise, then half a turn on the spot."""
    walked = frames - 5
    angles = np.linspace(0.0, 2 * np.pi * turn, walked)
    poses = np.zeros((frames, 5), np.float32)
    poses[:walked, 0], poses[:walked, 1] = RADIUS * np.cos(angles), RADIUS * np.sin(angles) + 3.0
    poses[:walked, 3] = angles + np.pi / 2
    poses[walked:] = poses[walked - 1]
    poses[walked:, 3] += np.linspace(0.6, np.pi, 5)
    poses[:, 2], poses[:, 4] = HEIGHT, PITCH
    poses[:, 3] = np.arctan2(np.sin(poses[:, 3]), np.cos(poses[:, 3]))
    return poses


def ring_trajectory(number, frames=40, size=64):
    """The walk with pictures; each number has others."""
    rows, columns = np.mgrid[:size, :size]
    shift = 7 * np.arange(frames)[:, None, None] + 50 * number
    rgb = np.stack([(columns + shift) % 256, (2 * rows + shift) % 256, (rows + columns) * 2 + 0 * shift], axis=-1)
    depth = (20 * (rows + columns) + 5 * shift) * (rows > 3)  # millimetres; the topmost rows have none
    objects = (columns // 8 + rows // 16 + number + np.arange(frames)[:, None, None] // 4) % len(CLASS_NAMES)
    return Trajectory(
        ring_poses(frames), rgb.astype(np.uint8), depth.astype(np.uint16), objects.astype(np.uint8), f"ring {number}"
    )


def _of_unit(unit):
    yield ring_trajectory(int(unit))


def write_rings(folder, trajectories):
    """A data set of such walks."""
    description = Description(64, 60.0, class_names=CLASS_NAMES)
    units = [str(number) for number in range(trajectories)]
    return write_dataset(folder, description, units, _of_unit, units_per_shard=2, processes=1)
