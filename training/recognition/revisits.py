"""Two walks through the same house: on the first a map is made, on the second its places are to be recognised.

The first is a House-Traveler walk, which follows the walls of some rooms and comes back, the second goes to random
places in random rooms. Each has a camera height and a tilt of its own. `Difference` says how far they differ.

Shapes: f frames of a walk, k queries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from training.configuration import setting
from training.houses import TrajectoryMaker, WalkConfig, make_trajectories
from training.houses.walks import TRAVELER_FRAMES, make_walks
from training.trajectory import Trajectory


@dataclass(frozen=True)
class RevisitConfig:
    """How a house is walked through twice."""

    frames: int = setting(TRAVELER_FRAMES, "Frames of each walk, 20 cm or 15 degrees apart; at most 300.")
    lowest_camera: float = setting(0.2, "Least height of the camera above the floor, metres; drawn for each walk.")
    highest_camera: float = setting(1.6, "Greatest height of the camera above the floor, metres.")
    lowest_tilt: float = setting(-15.0, "Least tilt of the camera, degrees, positive up; drawn for each walk.")
    highest_tilt: float = setting(5.0, "Greatest tilt of the camera, degrees.")

    def __post_init__(self) -> None:
        self.walks()

    def walks(self) -> tuple[WalkConfig, WalkConfig]:
        """Of the map and of the queries. Raises ValueError."""
        names = ("lowest_camera", "highest_camera", "lowest_tilt", "highest_tilt")
        camera = {name: getattr(self, name) for name in names}
        first = WalkConfig(kind="house_traveler", frames=self.frames, **camera)
        return first, replace(first, kind="waypoints")


class Revisit(NamedTuple):
    """Two trajectories through the house of a seed."""

    seed: int
    mapped: Trajectory
    queried: Trajectory


@dataclass(frozen=True)
class RevisitMaker:
    """Makes of each seed the trajectory of the map and that of the queries, the same on every machine.

    every: so-manyth frame of each walk is kept.
    """

    config: RevisitConfig = field(default_factory=RevisitConfig)
    image_size: int = 64
    field_of_view_degrees: float = 60.0
    every: int = 1

    def all_of(self, seed: int) -> list[Trajectory]:
        """Both, as `make_trajectories` asks for them. Raises NoFreeSpace."""
        maker = TrajectoryMaker(image_size=self.image_size, field_of_view_degrees=self.field_of_view_degrees)
        place, _ = maker.source.place(seed)
        first, second = self.config.walks()
        # The n-th walk of each kind has the n-th draws of camera and noise: the first of one, the second of the other.
        walks = [make_walks(place, seed, 1, first)[0], make_walks(place, seed, 2, second)[1]]
        return list(maker.along(seed, place, [walk[:: self.every] for walk in walks]))


def make_revisits(seeds: Iterable[int], processes: int, maker: RevisitMaker) -> Iterator[Revisit]:
    """Yield the revisits of some seeds, in their order, made by several processes."""
    seeds = list(seeds)
    made = make_trajectories(seeds, processes, maker)
    for seed in seeds:
        yield Revisit(seed, next(made), next(made))


class PoseGaps(NamedTuple):
    """How far the camera of each query was from that of each frame of the map."""

    metres: np.ndarray  # k f: over the floor
    degrees: np.ndarray  # k f: between the headings, 0 to 180


def pose_gaps(queries: np.ndarray, mapped: np.ndarray) -> PoseGaps:
    """Of poses (k, 5) and (f, 5); heights and tilts, which are a walk's own, do not count."""
    metres = np.hypot(*(queries[:, None, :2] - mapped[None, :, :2]).transpose(2, 0, 1))
    turn = queries[:, None, 3] - mapped[None, :, 3]
    return PoseGaps(metres, np.degrees(np.abs((turn + np.pi) % (2 * np.pi) - np.pi)))


def difference(revisits: list[Revisit]) -> dict[str, float]:
    """How far the two walks of each house differ; medians over all houses' frames.

    nearest_metres: from a query's frame to the nearest of the map. heading_degrees: between the headings of those two.
    height_metres, tilt_degrees: between the two cameras. start_metres: between the two starts.
    """
    nearest, headings, heights, tilts, starts = [], [], [], [], []
    for _, mapped, queried in revisits:
        gaps = pose_gaps(queried.poses, mapped.poses)
        at = gaps.metres.argmin(axis=1)[:, None]
        nearest.append(np.take_along_axis(gaps.metres, at, axis=1)[:, 0])
        headings.append(np.take_along_axis(gaps.degrees, at, axis=1)[:, 0])
        heights.append(abs(float(queried.poses[0, 2] - mapped.poses[0, 2])))
        tilts.append(float(np.degrees(abs(queried.poses[0, 4] - mapped.poses[0, 4]))))
        starts.append(float(gaps.metres[0, 0]))
    return {
        "nearest_metres": float(np.median(np.concatenate(nearest))),
        "heading_degrees": float(np.median(np.concatenate(headings))),
        "height_metres": float(np.median(heights)),
        "tilt_degrees": float(np.median(tilts)),
        "start_metres": float(np.median(starts)),
    }
