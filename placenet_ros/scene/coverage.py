"""Which observations show the most of a robot's surroundings. Knows neither models nor pictures' colours.

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
REACH = 6.0  # metres from the robot: what is farther away is worth nothing to it
NEAR = 2.5  # metres from the robot at which a patch is worth exp(-1/2)
LEAST_IMPROVEMENT = 0.02  # of the worth of all that is held: an exchange for less is not worth an encoding

_SIDE = 2 * int(REACH / PATCH) + 2  # patches, of the square around the robot


class Patches(NamedTuple):
    """What an observation saw: k patches, each once."""

    squares: np.ndarray  # (k, 2) int32: x and y over PATCH, rounded down
    directions: np.ndarray  # (k,) int32, 0..DIRECTIONS - 1: 0 looks along x
    worth: float  # 1; less where they are guessed


class Seeing(Protocol):
    """What is needed of an observation here."""

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
    squares = np.floor((offsets + pose.position[:2]) / PATCH).astype(np.int32)
    angles = np.arctan2(offsets[:, 1], offsets[:, 0])
    directions = np.round(angles / (2 * math.pi) * DIRECTIONS).astype(np.int32) % DIRECTIONS
    unique = np.unique(np.concatenate([squares, directions[:, None]], axis=1), axis=0)
    return Patches(unique[:, :2], unique[:, 2], 1.0 if depth is not None else GUESS_WORTH)


class Surroundings:
    """What is around a robot, as a measure of observations.

    Args:
        centre: where the robot's camera is.
        travelled: metres that the robot has travelled by now.
        trust: metres of travel after which an observation is worth nothing, since its pose in the odometry's frame has
            drifted; it is worth less and less until then. 0: poses do not drift.
    """

    def __init__(self, centre: CameraPose, travelled: float, trust: float) -> None:
        self._travelled, self._trust = travelled, trust
        self._corner = np.floor((np.array(centre.position[:2]) - REACH) / PATCH).astype(np.int32)
        middles = (self._corner + np.arange(_SIDE)[:, None] + 0.5) * PATCH - centre.position[:2]  # (side, 2)
        distance = np.hypot(middles[:, None, 0], middles[None, :, 1])
        nearness = np.where(distance < REACH, np.exp(-0.5 * (distance / NEAR) ** 2), 0.0)
        self._nearness = np.repeat(nearness.ravel(), DIRECTIONS)

    def least_useful(self, held: Sequence[Seeing], fixed: Collection[int]) -> int:
        """Index of the one of `held`, those at `fixed` left aside, whose leaving loses the least; of equals the first.
        """
        return int(self._losses(self._worths(held), fixed).argmin())

    def most_useful(self, candidates: Sequence[Seeing], held: Sequence[Seeing], fixed: Collection[int],
                    replaces: bool) -> int | None:
        """Index of the candidate, none of which is held, that adds the most to `held`; None: none is worth it.

        replaces: whether it would replace one of `held`, those at `fixed` left aside: the least useful one.
        """
        if not candidates or (replaces and len(fixed) == len(held)):
            return None
        worths, loss = self._worths(held), 0.0
        least = LEAST_IMPROVEMENT * worths.max(axis=0).sum()
        if replaces:
            losses = self._losses(worths, fixed)
            loss, worths = losses.min(), np.delete(worths, losses.argmin(), axis=0)
        best = worths.max(axis=0, initial=0.0)
        patch, values, owner = self._flat(candidates)
        gains = np.bincount(owner, np.maximum(values - best[patch], 0.0), len(candidates))
        chosen = int(gains.argmax())
        return chosen if gains[chosen] > loss + least else None

    def _worths(self, observations: Sequence[Seeing]) -> np.ndarray:
        """(observations, patches around the robot): what each is worth for each patch."""
        worths = np.zeros((len(observations), len(self._nearness)))
        patch, values, owner = self._flat(observations)
        worths[owner, patch] = values
        return worths

    def _losses(self, worths: np.ndarray, fixed: Collection[int]) -> np.ndarray:
        """(observations,): what would be lost without each; infinite for those at `fixed`."""
        worths = np.concatenate([worths, np.zeros((1, worths.shape[1]))])  # what is left where the only one leaves
        second, first = np.partition(worths, -2, axis=0)[-2:]
        losses = np.bincount(worths.argmax(axis=0), first - second, len(worths))[:-1]
        losses[list(fixed)] = np.inf
        return losses

    def _flat(self, observations: Sequence[Seeing]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All patches around the robot that observations saw: its number, its worth, and the observation's index."""
        counts = [len(seeing.patches.directions) for seeing in observations]
        owner = np.repeat(np.arange(len(observations)), counts)
        squares = np.concatenate([seeing.patches.squares for seeing in observations]) - self._corner
        directions = np.concatenate([seeing.patches.directions for seeing in observations])
        inside = ((squares >= 0) & (squares < _SIDE)).all(axis=1)
        owner = owner[inside]
        patch = (squares[inside, 0] * _SIDE + squares[inside, 1]) * DIRECTIONS + directions[inside]
        trusted = np.array([self._trusted(seeing) for seeing in observations])
        return patch, self._nearness[patch] * trusted[owner], owner

    def _trusted(self, seeing: Seeing) -> float:
        since = self._travelled - seeing.travelled
        return seeing.patches.worth * (max(0.0, 1.0 - since / self._trust) if self._trust else 1.0)
