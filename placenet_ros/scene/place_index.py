"""PlaceIndex: the places that a robot has been to, and which of them it is at again, by their embeddings.

A place is what lies around one anchor of the scene. It keeps the embeddings of some of its keyframes (descriptors), at
most one for each small cell of position and yaw, so that it is known again from wherever it was seen.
"""
from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import Iterator, NamedTuple

import numpy as np

from placenet_ros.scene.viewpoints import CameraPose

CELL_SIZES = np.array([0.5, 0.5, 0.5, math.pi / 6])  # metres, radians: a place keeps the newest descriptor of each cell
DESCRIPTORS_PER_PLACE = 32  # then its oldest leaves
FIRST_CAPACITY = 256  # descriptors; doubled as they come

Cell = tuple  # four whole numbers: x, y, z, yaw


@dataclass(eq=False)
class Place:
    """One place. Its poses are in the frame `frame_id` as it was in its episode: that of another episode has another
    origin, unless the robot is localised."""

    episode_id: int
    place_id: int  # within its episode
    frame_id: str
    lowest: np.ndarray  # (3,) float64, metres: corner of the box around its keyframes' cameras
    highest: np.ndarray  # (3,) and the opposite one
    rows: dict[Cell, int] = field(default_factory=dict)  # of the index, by the cell that each describes, oldest first


class Match(NamedTuple):
    """A place seen before that the newest embedding is like."""

    place: Place
    similarity: float  # cosine, -1..1
    stamp: int  # nanoseconds, of the descriptor that is most alike
    pose: CameraPose  # of that descriptor, in the place's frame


class PlaceMap(NamedTuple):
    """What an index holds, as arrays: n descriptors of p places."""

    embeddings: np.ndarray  # (n, c) float32 of norm 1
    poses: np.ndarray  # (n, 5) float64: x, y, z, metres, yaw, pitch, radians
    stamps: np.ndarray  # (n,) int64, nanoseconds
    owners: np.ndarray  # (n,) int64: which of the places each describes, 0..p - 1
    ids: np.ndarray  # (p, 2) int64: episode and place, from 1
    extents: np.ndarray  # (p, 2, 3) float64: lowest and highest corner, metres
    frame_ids: list[str]  # p


class PlaceIndex:
    """Not thread-safe: one thread owns it.

    Args:
        embedding_length: of each embedding.
        similarity: the least cosine of a match; None: nothing matches.
        match_after: metres that the robot must have travelled since a descriptor for it to match within one episode.
            Those of other episodes always do.
        max_matches: places that `visit` returns at most.
        max_places: when one more comes, the place that was visited least recently leaves.
    """

    def __init__(self, embedding_length: int, similarity: float | None, match_after: float, max_matches: int,
                 max_places: int) -> None:
        self._similarity, self._match_after = similarity, match_after
        self._max_matches, self._max_places = max_matches, max_places
        self._places: dict[tuple[int, int], Place] = {}  # the least recently visited first
        self._embeddings = np.zeros((FIRST_CAPACITY, embedding_length), np.float32)
        self._poses = np.zeros((FIRST_CAPACITY, 5))
        self._stamps = np.zeros(FIRST_CAPACITY, np.int64)
        # Metres travelled when each row was written; -inf: in another episode, inf: the row is free.
        self._travelled_at = np.full(FIRST_CAPACITY, math.inf)
        self._owners: list[Place | None] = [None] * FIRST_CAPACITY
        self._free = list(range(FIRST_CAPACITY))[::-1]
        self._travelled = 0.0
        self._last: CameraPose | None = None  # in this episode
        self._episode_id = 0

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Place]:
        """The places, the least recently visited first."""
        return iter(self._places.values())

    def __contains__(self, place: tuple[int, int]) -> bool:
        """Whether a place (episode, place) is held."""
        return place in self._places

    @property
    def num_descriptors(self) -> int:
        return len(self._owners) - len(self._free)

    @property
    def embedding_length(self) -> int:
        return self._embeddings.shape[1]

    def visit(self, embedding: np.ndarray, pose: CameraPose, stamp: int, episode_id: int, place_id: int,
              frame_id: str) -> list[Match]:
        """Note what a place looks like, and return the places seen before that this is like, best first.

        Args:
            embedding: (c,) float32 of norm 1.
            pose: of the keyframe, in `frame_id`.
            stamp: nanoseconds.
        """
        self._travel(pose, episode_id)
        matches = self._matches(embedding)
        key = episode_id, place_id
        place = self._places.pop(key, None)
        if place is None:
            place = Place(*key, frame_id, np.array(pose.position), np.array(pose.position))
        self._places[key] = place
        row = self._row_for(place, _cells(pose.to_array()[None])[0], self._travelled)
        self._embeddings[row], self._poses[row], self._stamps[row] = embedding, pose.to_array(), stamp
        place.lowest = np.minimum(place.lowest, pose.position)
        place.highest = np.maximum(place.highest, pose.position)
        self._forget_oldest()
        return matches

    def contents(self) -> PlaceMap:
        """A copy of everything held."""
        places = list(self)
        counts = [len(place.rows) for place in places]
        rows = [row for place in places for row in place.rows.values()]
        return PlaceMap(
            self._embeddings[rows],
            self._poses[rows],
            self._stamps[rows],
            np.repeat(np.arange(len(places)), counts),
            np.array([(place.episode_id, place.place_id) for place in places], np.int64).reshape(-1, 2),
            np.array([(place.lowest, place.highest) for place in places]).reshape(-1, 2, 3),
            [place.frame_id for place in places])

    def unknown(self, added: PlaceMap) -> PlaceMap:
        """What a map has that is not held, each descriptor once; those of one embedding, pose and stamp are the same.

        A place that nothing is left of is left out.
        """
        held = np.flatnonzero((self._travelled_at < math.inf) & np.isin(self._stamps, added.stamps))
        known = set(_identities(self._embeddings[held], self._poses[held], self._stamps[held]))
        _, stamp, counts = np.unique(added.stamps, return_inverse=True, return_counts=True)
        doubtful = np.flatnonzero(np.isin(added.stamps, self._stamps[held]) | (counts[stamp] > 1))
        is_new = np.full(len(added.stamps), True)
        identities = _identities(added.embeddings[doubtful], added.poses[doubtful], added.stamps[doubtful])
        for row, identity in zip(doubtful.tolist(), identities):
            is_new[row] = identity not in known
            known.add(identity)
        places, owners = np.unique(added.owners[is_new], return_inverse=True)
        return PlaceMap(
            added.embeddings[is_new],
            added.poses[is_new],
            added.stamps[is_new],
            owners,
            added.ids[places],
            added.extents[places],
            [added.frame_ids[place] for place in places])

    def add(self, added: PlaceMap, first_episode: int) -> int:
        """Add the places of a map as if they had been visited before all others: of those that are too many for
        `max_places`, the ones visited last.

        Args:
            first_episode: the number that the map's first episode gets; its others follow. None of them may be held.

        Returns:
            How many were added.
        """
        too_many = min(max(len(self) + len(added.ids) - self._max_places, 0), len(added.ids))
        has_room = added.owners >= too_many  # of descriptors
        episodes, renumbered = np.unique(added.ids[:, 0], return_inverse=True)
        mine, self._places = self._places, {}
        for index in range(too_many, len(added.ids)):
            key = int(first_episode + renumbered[index]), int(added.ids[index, 1])
            self._places[key] = Place(*key, added.frame_ids[index], *added.extents[index].copy())
        places = list(self._places.values())
        owners = [places[owner - too_many] for owner in added.owners[has_room].tolist()]
        poses = added.poses[has_room]
        rows = [self._row_for(owner, cell, -math.inf) for owner, cell in zip(owners, _cells(poses))]
        self._embeddings[rows], self._poses[rows] = added.embeddings[has_room], poses
        self._stamps[rows] = added.stamps[has_room]
        self._places.update(mine)
        return len(places)

    def _travel(self, pose: CameraPose, episode_id: int) -> None:
        if episode_id != self._episode_id:
            self._episode_id, self._last = episode_id, None
            self._travelled_at[self._travelled_at < math.inf] = -math.inf
        if self._last is not None:
            self._travelled += self._last.distance_to(pose)
        self._last = pose

    def _matches(self, embedding: np.ndarray) -> list[Match]:
        if self._similarity is None:
            return []
        similarities = self._embeddings @ embedding
        is_old = self._travelled_at <= self._travelled - self._match_after
        candidates = np.flatnonzero(is_old & (similarities >= self._similarity))
        best: dict[Place, int] = {}  # row by place
        for row in candidates[np.argsort(-similarities[candidates], kind="stable")].tolist():
            best.setdefault(self._owners[row], row)
            if len(best) == self._max_matches:
                break
        return [Match(place, float(similarities[row]), int(self._stamps[row]), _pose(self._poses[row]))
                for place, row in best.items()]

    def _row_for(self, place: Place, cell: Cell, travelled: float) -> int:
        """The row for the newest descriptor of a cell; older ones give way."""
        if cell in place.rows:
            self._release(place.rows.pop(cell))
        elif len(place.rows) == DESCRIPTORS_PER_PLACE:
            self._release(place.rows.pop(next(iter(place.rows))))
        if not self._free:
            self._grow()
        row = place.rows[cell] = self._free.pop()
        self._travelled_at[row], self._owners[row] = travelled, place
        return row

    def _release(self, row: int) -> None:
        self._travelled_at[row], self._owners[row] = math.inf, None
        self._free.append(row)

    def _grow(self) -> None:
        """Twice the rows."""
        capacity = len(self._owners)
        self._embeddings = np.concatenate([self._embeddings, np.zeros_like(self._embeddings)])
        self._poses = np.concatenate([self._poses, np.zeros_like(self._poses)])
        self._stamps = np.concatenate([self._stamps, np.zeros_like(self._stamps)])
        self._travelled_at = np.concatenate([self._travelled_at, np.full(capacity, math.inf)])
        self._owners += [None] * capacity
        self._free = list(range(capacity, 2 * capacity))[::-1]

    def _forget_oldest(self) -> None:
        while len(self._places) > self._max_places:
            oldest = self._places.pop(next(iter(self._places)))
            for row in oldest.rows.values():
                self._release(row)


def _pose(values: np.ndarray) -> CameraPose:
    x, y, z, yaw, pitch = values.tolist()
    return CameraPose((x, y, z), yaw, pitch)


def _identities(embeddings: np.ndarray, poses: np.ndarray, stamps: np.ndarray) -> list[bytes]:
    """Of descriptors: equal where all their bits are."""
    arrays = (np.ascontiguousarray(array) for array in (embeddings, poses, stamps))
    rows = np.hstack([array.view(np.uint8).reshape(len(stamps), array[:1].nbytes) for array in arrays])
    return [hashlib.blake2b(row, digest_size=16).digest() for row in rows]


def _cells(poses: np.ndarray) -> list[Cell]:
    """Of poses (n, 5)."""
    turned = np.concatenate([poses[:, :3], poses[:, 3:4] % (2 * math.pi)], axis=1)
    return [tuple(cell) for cell in np.floor(turned / CELL_SIZES).astype(int).tolist()]
