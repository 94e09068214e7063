"""What a descriptor is worth: whether the most similar frames of the map are of the place that the query was taken at.

A frame of the map is a *hit* for a query where camera and heading are within one of LEVELS. Each query is answered by
the frames of the map whose descriptors have the greatest inner product with its own, of the same house's map or of all
houses' maps together. Figures, each for a level, with its 95 % confidence interval by bootstrap over houses:

    recall@n            share of all queries with a hit among the n most similar frames
    possible            share of all queries that have a hit in the map at all: no recall can be higher
    average_precision   area under the precision-recall curve when the most similar frame is believed where its
                        similarity is over a threshold: precision of what is believed, recall of the possible queries
    certain_recall      the greatest recall on that curve at a precision of 100 %

Shapes: k queries of a house, f frames of its map, c numbers of a descriptor, n queries of all houses, l levels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from training.confidence import BOOTSTRAP_DRAWS, CONFIDENCE_PERCENT, Figure, confidence
from training.recognition.revisits import pose_gaps


class Level(NamedTuple):
    """How near a frame of the map must be to count as the query's place."""

    metres: float
    degrees: float

    @property
    def name(self) -> str:
        return f"{self.metres:g} m" + (f", {self.degrees:g} deg" if self.degrees < 180 else "")


LEVELS = (Level(0.25, 10), Level(0.5, 30), Level(1.0, 30), Level(2.0, 180))
BEST_ANSWERS = (1, 5, 10)
SEARCHES = ("same house", "all houses")


class Described(NamedTuple):
    """Descriptors of a house's map and queries, in one row of the table."""

    mapped: np.ndarray  # f c float32
    queried: np.ndarray  # k c float32


class Asked(NamedTuple):
    """Camera poses of a house's map and queries."""

    mapped: np.ndarray  # f 5, see trajectory.py
    queried: np.ndarray  # k 5


class Matches(NamedTuple):
    """What one row answered to all queries."""

    similarity: np.ndarray  # n: of the most similar frame
    hits: np.ndarray  # n answers l, bool: whether a hit is among the first BEST_ANSWERS frames
    possible: np.ndarray  # n l, bool
    houses: np.ndarray  # n, int64


def match(
    houses: list[Asked], described: list[Described], search: str, levels: tuple[Level, ...] = LEVELS
) -> Matches:
    """Answer the queries of all houses, in one of SEARCHES."""
    everything = np.concatenate([one.mapped for one in described])
    starts = np.cumsum([0, *(len(one.mapped) for one in described)])
    parts = []
    for number, (asked, one) in enumerate(zip(houses, described, strict=True)):
        gaps = pose_gaps(asked.queried, asked.mapped)
        near_kfl = np.stack([(gaps.metres <= m) & (gaps.degrees <= d) for m, d in levels], axis=2)
        first, mapped = (0, one.mapped) if search == "same house" else (starts[number], everything)
        similarity = one.queried @ mapped.T
        best = most_similar(similarity, max(BEST_ANSWERS)) - first
        here = (best >= 0) & (best < near_kfl.shape[1])
        right = np.take_along_axis(near_kfl, np.where(here, best, 0)[..., None], axis=1) & here[..., None]
        hits = np.stack([right[:, :count].any(axis=1) for count in BEST_ANSWERS], axis=1)
        parts.append((similarity.max(axis=1), hits, near_kfl.any(axis=1), np.full(len(hits), number)))
    return Matches(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def most_similar(similarity: np.ndarray, count: int) -> np.ndarray:
    """Indices (k, count) of the greatest of (k, f), greatest first; of equal ones, that which comes first."""
    count = min(count, similarity.shape[1])
    return np.argsort(-similarity, axis=1, kind="stable")[:, :count]


def figures_of(matches: Matches) -> dict[str, dict[str, Figure]]:
    """{level: {figure: ...}}; what is no number, because no query has a hit, is left out."""
    figures: dict[str, dict[str, Figure]] = {}
    for number, level in enumerate(LEVELS):
        first, possible = matches.hits[:, 0, number], matches.possible[:, number]
        found = {
            f"recall@{count}": confidence(matches.hits[:, place, number].astype(float), matches.houses)
            for place, count in enumerate(BEST_ANSWERS)
        }
        found["possible"] = confidence(possible.astype(float), matches.houses)
        found |= _curve_figures(matches.similarity, first, possible, matches.houses)
        figures[level.name] = {name: figure for name, figure in found.items() if figure is not None}
    return figures


def advantage(one: Matches, other: Matches) -> dict[str, Figure]:
    """{level: how much greater the recall@1 of `one` is than that of `other`, of the same queries}."""
    gains = one.hits[:, 0].astype(float) - other.hits[:, 0]
    return {level.name: confidence(gains[:, number], one.houses) for number, level in enumerate(LEVELS)}


class Curve(NamedTuple):
    """Precision and recall with a threshold at each of the queries' t similarities, the greatest first."""

    thresholds: np.ndarray  # t
    precision: np.ndarray  # t
    recall: np.ndarray  # t


def precision_recall(similarity: np.ndarray, right: np.ndarray, possible: np.ndarray) -> Curve:
    """The curve of n queries whose most similar frame is right or not, where a right one is possible or not."""
    order = np.argsort(-similarity, kind="stable")
    ends = _ends_of_equals(similarity[order])
    count = np.cumsum(right[order])[ends]
    return Curve(similarity[order][ends], count / (ends + 1), count / max(1, possible.sum()))


def _ends_of_equals(falling: np.ndarray) -> np.ndarray:
    """Where runs of equal similarities (n, falling) end, (t,): no threshold believes some of a run and not the rest."""
    return np.flatnonzero(np.append(falling[1:] != falling[:-1], True))


def threshold_of(similarity: np.ndarray, right: np.ndarray, possible: np.ndarray, precision: float) -> Curve | None:
    """The point of the curve with the greatest recall at no less than a precision (each field one number), or None."""
    curve = precision_recall(similarity, right, possible)
    enough = np.flatnonzero(curve.precision >= precision)
    return Curve(*(float(values[enough[-1]]) for values in curve)) if len(enough) else None


def _curve_figures(similarity: np.ndarray, right: np.ndarray, possible: np.ndarray, houses: np.ndarray)\
        -> dict[str, Figure | None]:  # fmt: skip
    """Figures of the precision-recall curve; a bootstrap draw weighs each query by how often its house was drawn."""
    order = np.argsort(-similarity, kind="stable")
    _, house = np.unique(houses, return_inverse=True)
    count = house.max() + 1
    drawn = np.random.default_rng(0).integers(0, count, (BOOTSTRAP_DRAWS, count))
    times = np.stack([np.bincount(row, minlength=count) for row in drawn])
    ends = _ends_of_equals(similarity[order])
    values = {"average_precision": [], "certain_recall": []}
    for weights in (np.ones(count), *times):
        average, certain = _area_and_certain(weights[house[order]], right[order], possible[order], ends)
        values["average_precision"].append(average)
        values["certain_recall"].append(certain)
    return {name: _with_interval(np.array(found)) for name, found in values.items()}


def _area_and_certain(weights: np.ndarray, right: np.ndarray, possible: np.ndarray, ends: np.ndarray)\
        -> tuple[float, float]:  # fmt: skip
    """Average precision and certain recall, of weighted queries by falling similarity; ends: see `_ends_of_equals`."""
    wanted = (weights * possible).sum()
    if not wanted:
        return np.nan, np.nan
    believed, hits = np.cumsum(weights)[ends], np.cumsum(weights * right)[ends]
    area = (hits / np.maximum(believed, 1) * np.diff(hits, prepend=0.0)).sum() / wanted
    return area, hits[hits == believed].max(initial=0.0) / wanted


def _with_interval(values: np.ndarray) -> Figure | None:
    """A figure and its interval, from its value and those of the bootstrap's draws after it."""
    if not np.isfinite(values[0]):
        return None
    tail = (100 - CONFIDENCE_PERCENT) / 2
    low, high = np.nanpercentile(values[1:], [tail, 100 - tail])
    return {"mean": float(values[0]), "low": float(low), "high": float(high)}
