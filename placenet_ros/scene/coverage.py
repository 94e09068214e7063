"""Which observations show the most of a robot's surroundings, or of a view. Knows neither models nor pictures' colours.

One storey, seen level: what was taken on another storey is worth nothing, and of a view its pitch does not count.

What an observation saw is a set of *patches*: squares of the floor plan, each seen from one direction, since a thing's
front says little of its back. A set of observations is worth the sum over all patches around the robot of how near the
patch is, times how far the best observation that saw it can be trusted. So one more observation of what is known
already is worth nothing, and one of a wall that nothing else shows is worth its length.
"""

from __future__ import annotations

import math
from typing import Collection, NamedTuple, Protocol, Sequence

import numpy as np

from placenet_ros.scene.depth import MILLIMETRES
from placenet_ros.scene.viewpoints import CameraPose

PATCH = 0.5  # metres, side of a patch
DIRECTIONS = 8  # from which a patch can have been seen
RAYS = 8  # across the picture, and down it where there is depth
GUESSED_DISTANCES = (1.0, 2.0, 3.0)  # metres, along each ray, where there is no depth: rooms are some metres wide
GUESS_WORTH = 0.5  # of a patch that was only guessed to be seen
REACH = 4.5  # metres from the robot: what is farther away is worth nothing to it
NEAR = 1.5  # metres from the robot at which a patch is worth exp(-1/2)
VIEW_NEAR = 2.5  # metres from a camera at which a patch in its view is worth exp(-1/2): it sees farther than around it
STOREY = 2.0  # metres above or below the camera: what was taken there is of another storey, with a floor in between
VIEW_MARGIN = 10.0  # degrees beside a view, which patches at its edge reach into
ALWAYS_IN_VIEW = 0.7  # metres: nearer patches are about as large as the view is wide there
LEAST_ALIKE = 0.1  # of a patch's worth that stays where it was seen from across the view's direction, or from behind
LEAST_SEEN = 0.2  # of a near patch, seen as it is now: what shows less, all together, shows nothing. A wall 2 m away,
#                   even one seen from behind, shows twice as much; of what is hardly trusted any more it shows less
LEAST_IMPROVEMENT = 0.01  # of the worth of all that is held: an exchange for less is not worth an encoding

_TELLS_APART = np.array([1 << 34, DIRECTIONS, 1])  # squares within 500,000 km
_SIDE = 2 * int(REACH / PATCH) + 2  # patches, of the square around the robot


class Patches(NamedTuple):
    """What an observation saw: k patches, each once."""

    places: np.ndarray  # (k, 3) int32: x and y over PATCH, rounded down; direction 0..DIRECTIONS - 1, 0 looks along x
    worth: float  # 1; less where they are guessed


class _Flat(NamedTuple):
    """Patches of several observations, one after the other."""

    patches: np.ndarray  # number of each, among those around the robot
    values: np.ndarray  # what it is worth
    owners: np.ndarray  # index of the observation that saw it


class Seeing(Protocol):
    """What is needed of an observation here."""

    pose: CameraPose
    patches: Patches
    travelled: float  # metres that the robot had travelled when it was taken


def patches_seen(pose: CameraPose, depth: np.ndarray | None, field_of_view_degrees: float) -> Patches:
    """What an observation with that pose saw.

    Args:
        depth: (s, s) uint16, millimetres along the optical axis, 0 where there is none; None: the distance is guessed.
        field_of_view_degrees: across the picture both ways.
    """
    tangents = (np.arange(RAYS) + 0.5 - RAYS / 2) / (RAYS / 2) * math.tan(math.radians(field_of_view_degrees) / 2)
    if depth is None:
        right, down = np.tile(tangents, len(GUESSED_DISTANCES)), np.zeros(RAYS * len(GUESSED_DISTANCES))
        forward = np.repeat(GUESSED_DISTANCES, RAYS)
    else:
        pixels = ((np.arange(RAYS) + 0.5) / RAYS * len(depth)).astype(int)
        forward = depth[np.ix_(pixels, pixels)].ravel() / MILLIMETRES
        right, down = np.tile(tangents, RAYS), np.repeat(tangents, RAYS)
        seen = forward > 0
        right, down, forward = right[seen], down[seen], forward[seen]
    offsets = forward[:, None] * (np.stack([right, down, np.ones_like(right)], axis=1) @ pose.to_matrix()[:2, :3].T)
    squares = np.floor((offsets + pose.position[:2]) / PATCH).astype(np.int64)
    directions = np.round(np.arctan2(offsets[:, 1], offsets[:, 0]) / (2 * math.pi) * DIRECTIONS).astype(np.int64)
    places = np.concatenate([squares, directions[:, None] % DIRECTIONS], axis=1)
    _, first = np.unique(places @ _TELLS_APART, return_index=True)
    return Patches(places[first].astype(np.int32), 1.0 if depth is not None else GUESS_WORTH)


class Surroundings:
    """What is around a robot, or in a view, as a measure of observations: see `around` and `in_view`.

    Observations taken `STOREY` metres or more above or below are worth nothing.

    Args:
        centre: where the camera is, in the frame of the observations' poses.
        nearness: (side, side, directions), what each patch around it is worth, by x, y and direction.
        travelled: metres that the robot has travelled by now.
        trust: metres of travel after which an observation is worth nothing, since its pose in the odometry's frame has
            drifted; it is worth less and less until then. 0: poses do not drift.
    """

    def __init__(self, centre: CameraPose, nearness: np.ndarray, travelled: float, trust: float) -> None:
        self._corner, self._height = _corner(centre), centre.position[2]
        self._nearness = nearness.ravel()
        self._travelled, self._trust = travelled, trust

    @classmethod
    def around(cls, centre: CameraPose, travelled: float, trust: float) -> Surroundings:
        """What is around a robot whose camera is there, whichever way that looks: nearer patches count more."""
        distance = np.hypot(*_offsets(centre))
        nearness = np.where(distance < REACH, np.exp(-0.5 * (distance / NEAR) ** 2), 0.0)
        return cls(centre, np.repeat(nearness[..., None], DIRECTIONS, axis=2), travelled, trust)

    @classmethod
    def in_view(cls, pose: CameraPose, travelled: float, trust: float, field_of_view_degrees: float) -> Surroundings:
        """What is in the view of a camera with that pose: patches count the more, the more their direction is its.

        The view is taken as level, whatever its pitch: of one that looks up or down steeply, too much counts that is
        far away.
        """
        x, y = _offsets(pose)
        distance, aside = np.hypot(x, y), np.abs(_turned(np.arctan2(y, x) - pose.yaw))
        in_view = (aside < math.radians(field_of_view_degrees / 2 + VIEW_MARGIN)) | (distance < ALWAYS_IN_VIEW)
        nearness = np.where(in_view & (distance < REACH), np.exp(-0.5 * (distance / VIEW_NEAR) ** 2), 0.0)
        alike = np.maximum(np.cos(np.arange(DIRECTIONS) * 2 * math.pi / DIRECTIONS - pose.yaw), LEAST_ALIKE)
        return cls(pose, nearness[..., None] * alike, travelled, trust)

    def least_useful(self, held: Sequence[Seeing], fixed: Collection[int]) -> int:
        """Index of the one of `held`, those at `fixed` left aside, whose leaving loses the least; of equals the first.
        """
        return int(self._losses(self._flat(held), len(held), fixed).argmin())

    def most_useful(self, candidates: Sequence[Seeing], held: Sequence[Seeing], fixed: Collection[int],
                    replaces: bool) -> int | None:
        """Index of the candidate, none of which is held, that adds the most to `held`; None: none is worth it.

        replaces: whether it would replace one of `held`, those at `fixed` left aside: the least useful one.
        """
        if not candidates or (replaces and len(fixed) == len(held)):
            return None
        seen, loss = self._flat(held), 0.0
        least = LEAST_IMPROVEMENT * self._best(seen).sum()
        if replaces:
            losses = self._losses(seen, len(held), fixed)
            loss, seen = losses.min(), _Flat(*(part[seen.owners != losses.argmin()] for part in seen))
        found = self._flat(candidates)
        gains = self._gains(found, self._best(seen), len(candidates))
        chosen = int(gains.argmax())
        return chosen if gains[chosen] > loss + least else None

    def most_useful_together(self, candidates: Sequence[Seeing], most: int) -> list[int]:
        """Indices of the candidates, `most` at most, that show the most together: each adds the most to those before
        it, and from the second on something worth an encoding. Empty where they show less than `LEAST_SEEN`."""
        chosen: list[int] = []
        if not candidates:
            return chosen
        found, best = self._flat(candidates), np.zeros(len(self._nearness))
        while len(chosen) < most:
            gains = self._gains(found, best, len(candidates))
            index = int(gains.argmax())
            if gains[index] <= LEAST_IMPROVEMENT * best.sum():
                break
            chosen.append(index)
            its = found.owners == index
            best[found.patches[its]] = np.maximum(best[found.patches[its]], found.values[its])
        return chosen if best.sum() > LEAST_SEEN else []

    def _best(self, seen: _Flat) -> np.ndarray:
        """(patches around the robot,): the greatest worth of each; 0 where it was not seen."""
        best = np.zeros(len(self._nearness))
        ascending = seen.values.argsort()
        best[seen.patches[ascending]] = seen.values[ascending]  # the last one, the greatest, stays
        return best

    def _gains(self, found: _Flat, best: np.ndarray, count: int) -> np.ndarray:
        """(count,): what each of the observations adds to `best`, the worth of each patch so far."""
        return np.bincount(found.owners, np.maximum(found.values - best[found.patches], 0.0), count)

    def _losses(self, seen: _Flat, count: int, fixed: Collection[int]) -> np.ndarray:
        """(count,): what would be lost without each of the observations; infinite for those at `fixed`."""
        order = np.lexsort((seen.values, seen.patches))
        patches, values, owners = (part[order] for part in seen)
        follows = patches[1:] == patches[:-1]  # the one before is of the same patch, and worth as much or less
        second = np.concatenate([[0.0], np.where(follows, values[:-1], 0.0)])[: len(values)]
        is_best = np.concatenate([~follows, [True]])[: len(values)]
        losses = np.bincount(owners[is_best], (values - second)[is_best], count)
        losses[list(fixed)] = np.inf
        return losses

    def _flat(self, observations: Sequence[Seeing]) -> _Flat:
        """All patches around the robot that observations saw."""
        owners = np.repeat(np.arange(len(observations)), [len(seeing.patches.places) for seeing in observations])
        places = np.concatenate([seeing.patches.places for seeing in observations])
        square = places[:, :2] - self._corner
        inside = ((square >= 0) & (square < _SIDE)).all(axis=1)
        owners, square = owners[inside], square[inside]
        patches = (square[:, 0] * _SIDE + square[:, 1]) * DIRECTIONS + places[inside, 2]
        return _Flat(patches, self._nearness[patches] * self._trusted(observations)[owners], owners)

    def _trusted(self, observations: Sequence[Seeing]) -> np.ndarray:
        """(observations,), 0..1."""
        heights = np.array([seeing.pose.position[2] for seeing in observations])
        worth = np.array([seeing.patches.worth for seeing in observations])
        worth = np.where(np.abs(heights - self._height) < STOREY, worth, 0.0)
        if not self._trust:
            return worth
        since = self._travelled - np.array([seeing.travelled for seeing in observations])
        return worth * np.maximum(0.0, 1.0 - since / self._trust)


def _corner(centre: CameraPose) -> np.ndarray:
    """(2,) int32: the first square around a camera, as `Patches.places`."""
    return np.floor((np.array(centre.position[:2]) - REACH) / PATCH).astype(np.int32)


def _offsets(centre: CameraPose) -> tuple[np.ndarray, np.ndarray]:
    """(side, side) each: x and y of the middles of the squares around a camera, less its own. Metres."""
    squares = _corner(centre)[:, None, None] + np.indices((_SIDE, _SIDE))
    x, y = (squares + 0.5) * PATCH - np.array(centre.position[:2])[:, None, None]
    return x, y


def _turned(angles: np.ndarray) -> np.ndarray:
    """The same angles from -pi to pi."""
    return (angles + math.pi) % (2 * math.pi) - math.pi
