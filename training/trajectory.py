"""What a trajectory is, whoever makes it (houses, importers) and whoever keeps it (shards, memory)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Trajectory(NamedTuple):
    """A walk of f frames with aligned pictures of s x s pixels.

    The camera is a pinhole with its principal point in the middle of the picture; its field of view is the data set's.
    """

    poses: np.ndarray  # f 5 float32: x, y, z (metres, z up), yaw (counter-clockwise from x), pitch (up), radians
    rgb: np.ndarray | Sequence[bytes]  # f s s 3 uint8; or f JPEG files of that size, kept as they are
    depth: np.ndarray | None  # f s s uint16, millimetres along the optical axis, 0 = none
    objects: np.ndarray | None  # f s s uint8, class ids, 0 = unknown
    name: str  # where it came from


class Skipped(NamedTuple):
    """Part of a source that could not be used."""

    name: str  # where it is
    reason: str
