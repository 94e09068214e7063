"""Archive: an episode's observations as they came, so that what was seen of a room can be recalled in it.

For each cell of poses (where the camera was, and where it looked) the newest observation is kept. So the archive grows
with what was seen, not with time, and follows a world that changes. It is bounded all the same.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Iterator

import numpy as np

from placenet_ros.scene.coverage import Patches, patches_seen
from placenet_ros.scene.viewpoints import CameraPose

CELL = 0.4  # metres, side of a cell
TURN = math.radians(30.0)  # width of a cell in yaw and in pitch
TILE = 2.0  # metres, side of the tiles of the floor plan by which observations are found
MEGABYTE = 1_000_000
OBJECT_BYTES = 2_000  # of an observation besides its pictures and patches: Python's objects and the archive's tables

Cell = tuple  # of five whole numbers: x, y, z over CELL, yaw and pitch over TURN, rounded down
Tile = tuple  # of two: x, y over TILE, rounded down


@dataclass(frozen=True, eq=False)
class KeptObservation:
    """An observation as the archive keeps it; s is the model's image size. Not to be changed, its arrays neither."""

    stamp: int  # nanoseconds
    pose: CameraPose  # of the camera, in the odometry's frame
    travelled: float  # metres that the robot had travelled in its episode when this was taken
    rgb: np.ndarray  # (s, s, 3) uint8
    depth: np.ndarray | None  # (s, s) uint16, millimetres along the optical axis, 0: none (`scene.depth`)
    objects: np.ndarray | None  # (s, s) uint8, class ids, 0 where nothing is known
    covered: np.ndarray | None  # (s, s) bool, what the robot's camera saw of it; None: all. One for all of a camera
    patches: Patches  # what it saw

    @classmethod
    def seeing(cls, stamp: int, pose: CameraPose, travelled: float, rgb: np.ndarray, depth: np.ndarray | None,
               objects: np.ndarray | None, covered: np.ndarray | None,
               field_of_view_degrees: float) -> KeptObservation:
        """One of these pictures, as a camera of that field of view took them."""
        patches = patches_seen(pose, depth, field_of_view_degrees)
        return cls(stamp, pose, travelled, rgb, depth, objects, covered, patches)

    @property
    def nbytes(self) -> int:
        """Memory that it takes, roughly; `covered`, which it shares with others, left out."""
        arrays = (self.rgb, self.depth, self.objects, self.patches.places)
        return OBJECT_BYTES + sum(array.nbytes for array in arrays if array is not None)


class Archive:
    """Observations by where they were taken: iterate over them, the one that has been there the longest first.

    Where they would take more than so many megabytes, those that have been there the longest leave: the robot has not
    been there since, and its odometry has drifted farthest since then.
    """

    def __init__(self, megabytes: float) -> None:
        self._most_bytes = megabytes * MEGABYTE
        self._kept: OrderedDict[Cell, KeptObservation] = OrderedDict()
        self._tiles: dict[Tile, dict[Cell, KeptObservation]] = {}
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[KeptObservation]:
        return iter(self._kept.values())

    def add(self, observation: KeptObservation) -> None:
        """Keep an observation, instead of the one from its cell where there is one."""
        cell = _cell_of(observation.pose)
        if cell in self._kept:
            self._drop(cell)
        self._kept[cell] = observation
        self._tiles.setdefault(_tile_of(observation.pose), {})[cell] = observation
        self.nbytes += observation.nbytes
        while self.nbytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def near(self, pose: CameraPose, distance: float, most: int) -> list[KeptObservation]:
        """Those taken from at most so many metres away, nearest first, and of them the `most` nearest."""
        (x, y), at = _tile_of(pose), pose.position
        reach = math.ceil(distance / TILE)
        tiles = (self._tiles.get((x + dx, y + dy), {})
                 for dx in range(-reach, reach + 1) for dy in range(-reach, reach + 1))
        away = ((math.dist(kept.pose.position, at), kept) for tile in tiles for kept in tile.values())
        found = ((metres, kept) for metres, kept in away if metres <= distance)
        return [kept for _, kept in heapq.nsmallest(most, found, key=lambda pair: pair[0])]

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._tiles.clear()
        self.nbytes = 0

    def _drop(self, cell: Cell) -> None:
        dropped = self._kept.pop(cell)
        self.nbytes -= dropped.nbytes
        at = _tile_of(dropped.pose)
        del self._tiles[at][cell]
        if not self._tiles[at]:
            del self._tiles[at]


def _cell_of(pose: CameraPose) -> Cell:
    turn = math.remainder(pose.yaw, 2 * math.pi)
    return (*(math.floor(value / CELL) for value in pose.position), math.floor(turn / TURN),
            math.floor(pose.pitch / TURN))


def _tile_of(pose: CameraPose) -> Tile:
    return math.floor(pose.position[0] / TILE), math.floor(pose.position[1] / TILE)
