"""What a day of driving takes of memory and time: `python -m benchmarks.day [hours=8] [houses=4]`.

A robot drives 0.5 m/s through made houses that training has never seen, side by side in one odometry frame, half an
hour in each, then in the next, and again in the first after the last. Keyframes, archive, choice of what is recalled
anchors and places are the node's own (`LiveScene`, `PlaceIndex`, the node's default parameters). A keyframe's pictures
are any of those of a walk through its house, since drawing them all takes longer than all else here; a tiny untrained
network encodes them, and embeddings are drawn at random, as long as those of `placenet-small`.

After every `every`-th keyframe the scene does all that can wait, as a robot's does between any two; the others show
what the node does that never comes to rest.

Prints, for each hour, the metres and keyframes until then, what the archive and the index of places hold, by how much
the process's resident memory has grown since the first minute, and, in that hour, how many observations were recalled
and what adding a keyframe (its place included) and choosing what to recall took of one thread: processor time, median
and longest.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from placenet_ros.model import PlaceNet, PlaceNetConfig
from placenet_ros.node.keyframes import KeyframeGate
from placenet_ros.node.live_scene import LiveScene, Observation
from placenet_ros.node.parameters import NodeParameters
from placenet_ros.scene.archive import MEGABYTE
from placenet_ros.scene.depth import metres
from placenet_ros.scene.memory import SceneMemory
from placenet_ros.scene.place_index import PlaceIndex
from placenet_ros.scene.viewpoints import CameraPose
from training.configuration import parse, run_command, setting
from training.houses import UNSEEN_SEEDS_FROM, TrajectoryMaker, make_house
from training.houses.draws import Draws
from training.houses.waypoints import plan_walk
from training.trajectory import Trajectory

SPEED, TURN_RATE = 0.5, 0.8  # metres and radians per second
PERIOD = 0.1  # seconds from picture to picture
VISIT = 1800.0  # seconds in a house
APART = 100.0  # metres from house to house
CAMERA_HEIGHT, FIELD_OF_VIEW_DEGREES = 0.8, 60.0
DAY_DRAWS = 5
EMBEDDING_LENGTH = 128
ALIKE = 1.0  # cosine of a match: all are compared, none is one
NETWORK = PlaceNetConfig(representation_channels=4, hidden_channels=4, canvas_channels=4, layers=1, shared_core=True,
                         reprojection=False, attention="")  # fmt: skip


@dataclass(frozen=True)
class DayConfig:
    """Drive through houses for a day; show memory and time."""

    hours: float = setting(8.0, "How long the robot drives.")
    houses: int = setting(4, "Houses that it drives through, one after the other, again and again.")
    every: int = setting(20, "After so many keyframes, what can wait is done.")
    archive_megabytes: float = setting(NodeParameters.archive_megabytes, "As the node's parameter.")

    def __post_init__(self):
        if self.hours <= 0 or self.houses < 1 or self.every < 1:
            raise ValueError(
                "hours must be above 0, houses and every 1 or more, "
                f"found {self.hours:g}, {self.houses} and {self.every}"
            )


@dataclass
class Watch:
    """Milliseconds of processor time of what was done in an hour."""

    adding: list[float] = field(default_factory=list)
    choosing: list[float] = field(default_factory=list)
    recalled: int = 0


def new_places() -> PlaceIndex:
    """An index as the node has it."""
    given = NodeParameters()
    return PlaceIndex(EMBEDDING_LENGTH, ALIKE, given.match_after, given.max_matches, given.max_places)


def new_scene(archive_megabytes: float) -> LiveScene:
    """A scene as the node has it, its network small and untrained."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    given = NodeParameters()
    memory = SceneMemory(PlaceNet(NETWORK).eval(), given.max_observations)
    gate = KeyframeGate(given.keyframe_distance, given.keyframe_angle, given.keyframe_period)
    return LiveScene(memory, gate, given.max_observations, given.anchor_range, archive_megabytes, given.odometry_trust,
                     FIELD_OF_VIEW_DEGREES)  # fmt: skip


def drive(config: DayConfig) -> Iterator[tuple[float, CameraPose, Trajectory]]:
    """Hours, the camera's pose, and a walk through the house that it is in, for each picture that it takes."""
    walks = [next(TrajectoryMaker()(UNSEEN_SEEDS_FROM + house)) for house in range(config.houses)]
    taken, visit = 0, 0
    while True:
        house = visit % config.houses
        draws = Draws(DAY_DRAWS, house, visit)
        path = plan_walk(make_house(UNSEEN_SEEDS_FROM + house), draws, VISIT, SPEED, TURN_RATE, CAMERA_HEIGHT)
        for x, y, heading in path.at(np.arange(0.0, VISIT, PERIOD), SPEED, TURN_RATE):
            yield taken * PERIOD / 3600, CameraPose((x + APART * house, y, CAMERA_HEIGHT), heading, 0.0), walks[house]
            taken += 1
        visit += 1


def observe(
    scene: LiveScene, places: PlaceIndex, pose: CameraPose, stamp: int, walk: Trajectory, draws: np.random.Generator
) -> None:
    """Add an observation from there with any of the walk's pictures, and note its place."""
    picture = draws.integers(len(walk.poses))
    # copied: a view into the walk would keep the walk, and count as nothing
    rgb, objects = (pictures[picture].copy() for pictures in (walk.rgb, walk.objects))
    covered = np.full(objects.shape, True)
    scene.add(Observation(stamp, pose, rgb, metres(walk.depth[picture]), objects, covered))
    embedding = draws.normal(size=EMBEDDING_LENGTH).astype(np.float32)
    places.visit(embedding / np.linalg.norm(embedding), pose, stamp, scene.episode_id, scene.place_id, "odom")


def work(scene: LiveScene, watch: Watch) -> None:
    """Let the scene do all that can wait; time each choice."""
    while True:
        observations, next_anchor = scene.observations, scene.memory.next_anchor
        start = time.thread_time()
        if not scene.work():
            return
        spent = 1000 * (time.thread_time() - start)
        if scene.observations != observations:
            watch.recalled += 1
        elif next_anchor is None and scene.memory.next_anchor is None:
            watch.choosing.append(spent)


def resident_megabytes() -> float:
    """Of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE


def row(hours: float, scene: LiveScene, places: PlaceIndex, keyframes: int, grown: float, watch: Watch) -> str:
    cells = [f"{hours:.2f}", f"{scene.travelled:.0f}", f"{keyframes}", f"{len(scene.archive)}"]
    cells += [f"{scene.archive.nbytes / MEGABYTE:.0f}", f"{len(places)}", f"{grown:.0f}", f"{watch.recalled}"]
    for times in (watch.adding, watch.choosing):
        cells += [f"{statistics.median(times):.1f}", f"{max(times):.1f}"] if times else ["", ""]
    return "| " + " | ".join(cells) + " |"


def main(argv: list[str]) -> None:
    """Print a row for each hour, and one for the end."""
    config = parse(DayConfig, argv, program="benchmarks.day")
    scene, places = new_scene(config.archive_megabytes), new_places()
    draws, watch = np.random.default_rng(0), Watch()
    keyframes, told, at_first = 0, 0, None
    print("| hours | metres | keyframes | archive | its MB | places | process grew by MB | recalled | add, ms "
          "| longest | choose, ms | longest |")  # fmt: skip
    print("| --- " * 12 + "|")
    for hours, pose, walk in drive(config):
        stamp = int(hours * 3600e9)
        if hours >= config.hours:
            break
        if at_first is None and hours * 60 >= 1.0:
            at_first = resident_megabytes()
        if hours >= told + 1:
            told += 1
            print(row(hours, scene, places, keyframes, resident_megabytes() - at_first, watch), flush=True)
            watch = Watch()
        if not scene.wants(pose, stamp):
            continue
        start = time.thread_time()
        observe(scene, places, pose, stamp, walk, draws)
        watch.adding.append(1000 * (time.thread_time() - start))
        keyframes += 1
        if keyframes % config.every == 0:
            work(scene, watch)
    at_first = resident_megabytes() if at_first is None else at_first
    print(row(config.hours, scene, places, keyframes, resident_megabytes() - at_first, watch))


if __name__ == "__main__":
    run_command(main)
