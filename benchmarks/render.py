"""How fast houses become trajectories here: `python -m benchmarks.render [houses=12] [processes=2]`.

Prints milliseconds for each stage of a trajectory of 300 frames at 64 x 64, from the house to the shard on the disk,
then frames per second of one process, which draws with all its threads, and of several, which draw with one each.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from placenet_ros.scene.depth import millimetres
from training.configuration import parse, run_command, setting
from training.data.shards import Description, encode, write_shard
from training.houses import CLASS_NAMES, HousePictures, TrajectoryMaker, WalkConfig, make_house, make_walks
from training.houses.pictures import draw_in_one_thread
from training.trajectory import Trajectory
from training.workers import Workers

IMAGE_SIZE, FIELD_OF_VIEW_DEGREES, FRAMES = 64, 60.0, 300
MAKER = TrajectoryMaker(WalkConfig(frames=FRAMES), 1, IMAGE_SIZE, FIELD_OF_VIEW_DEGREES)
COLOUR, DEPTH, OBJECTS = (
    Description(IMAGE_SIZE, FIELD_OF_VIEW_DEGREES, modalities, CLASS_NAMES)
    for modalities in (("rgb",), ("rgb", "depth"), ("rgb", "depth", "objects"))
)
LONGEST_START = 120.0  # seconds that processes wait for each other


@dataclass(frozen=True)
class RenderConfig:
    """Measure how fast houses, walks, pictures and shards are made."""

    houses: int = setting(12, "Houses to average over, in each process.")
    processes: int = setting(2, "Processes that work together.")

    def __post_init__(self):
        if self.houses < 1 or self.processes < 1:
            raise ValueError(f"houses and processes must be 1 or more, found {self.houses} and {self.processes}")


class Stopwatch:
    """Adds up the seconds that stages take, by the clock and of the processor."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.processor: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done within."""
        start, processor = time.perf_counter(), time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        self.processor[name] = self.processor.get(name, 0.0) + time.process_time() - processor


def make_one(seed: int, camera: HousePictures, watch: Stopwatch) -> Trajectory:
    """The trajectory of a seed, as MAKER makes it, with its stages timed."""
    with watch.stage("house"):
        house = make_house(seed)
    with watch.stage("walk"):
        poses = make_walks(house, seed, 1, MAKER.walk)[0]
    with watch.stage("load"):
        camera.load(house)
    with watch.stage("pictures"):
        pictures = camera.take(poses)
    return Trajectory(poses, pictures.rgb, millimetres(pictures.depth), pictures.objects, f"house {seed}")


def write_one(trajectory: Trajectory, folder: Path, watch: Stopwatch) -> None:
    """Encode a trajectory with one kind of picture more each time, then write it as a shard."""
    with watch.stage("encode colour"):
        encode(trajectory._replace(depth=None, objects=None), COLOUR)
    with watch.stage("encode colour, depth"):
        encode(trajectory._replace(objects=None), DEPTH)
    with watch.stage("encode all"):
        encode(trajectory, OBJECTS)
    with watch.stage("write a shard"):
        write_shard(folder / f"{os.getpid()}.arrow", OBJECTS, [trajectory])


def measure_alone(houses: int) -> tuple[str, Stopwatch]:
    """What draws here, and the seconds of all stages in this process."""
    watch = Stopwatch()
    with HousePictures(
        IMAGE_SIZE, IMAGE_SIZE, FIELD_OF_VIEW_DEGREES
    ) as camera, tempfile.TemporaryDirectory() as folder:
        write_one(make_one(0, camera, Stopwatch()), Path(folder), Stopwatch())  # compiles shaders
        for seed in range(houses):
            write_one(make_one(seed, camera, watch), Path(folder), watch)
        return camera.renderer, watch


def frames_per_second_together(houses: int, processes: int) -> tuple[float, float]:
    """Frames per second of several processes, their start not counted: of pictures, and of trajectories on the disk."""
    start = multiprocessing.get_context("spawn").Barrier(processes)
    with tempfile.TemporaryDirectory() as folder, Workers(processes, _begin, start) as pool:
        times = list(pool.map(_take_and_write, [houses] * processes, [folder] * processes))
    pictures, trajectories = (max(ends) - min(starts) for starts, ends in _starts_and_ends(times))
    return tuple(processes * houses * FRAMES / seconds for seconds in (pictures, trajectories))


def _starts_and_ends(times: list[tuple[float, ...]]) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    begin_pictures, end_pictures, begin_trajectories, end_trajectories = zip(*times, strict=True)
    return [(begin_pictures, end_pictures), (begin_trajectories, end_trajectories)]


def _begin(start: Any) -> None:
    global _start
    _start = start
    draw_in_one_thread()


def _take_and_write(houses: int, folder: str) -> tuple[float, float, float, float]:
    """When this process began and ended to take pictures, then to make and write trajectories, along with others."""
    unwatched = Stopwatch()
    with HousePictures(IMAGE_SIZE, IMAGE_SIZE, FIELD_OF_VIEW_DEGREES) as camera:
        poses = make_one(0, camera, unwatched).poses
        _start.wait(LONGEST_START)
        times = [time.perf_counter()]
        for _ in range(houses):
            camera.take(poses)
        times.append(time.perf_counter())
        _start.wait(LONGEST_START)
        times.append(time.perf_counter())
        for seed in range(houses):
            trajectory = make_one(seed, camera, unwatched)
            write_shard(Path(folder) / f"{os.getpid()}.arrow", OBJECTS, [trajectory])
        return *times, time.perf_counter()


def print_table(config: RenderConfig, watch: Stopwatch, together: tuple[float, float]) -> None:
    """Print milliseconds for each trajectory, then frames per second."""
    spent = {name: seconds / config.houses for name, seconds in watch.seconds.items()}
    rows = {name: spent[name] for name in ("house", "walk", "load", "pictures")}
    making = sum(rows.values())
    rows["encode colour (JPEG)"] = spent["encode colour"]
    rows["encode depth (PNG, 16 bit)"] = spent["encode colour, depth"] - spent["encode colour"]
    rows["encode objects (PNG, 8 bit)"] = spent["encode all"] - spent["encode colour, depth"]
    rows["write a shard"] = spent["write a shard"] - spent["encode all"]
    print(f"\n{'a trajectory of 300 frames':<44}{'ms':>10}")
    for stage, seconds in rows.items():
        print(f"{stage:<44}{1000 * seconds:>10.1f}")
    processor = watch.processor["pictures"] / config.houses
    print(f"\n{'frames per second':<44}")
    for what, rate in {
        "pictures, one process": FRAMES / spent["pictures"],
        "pictures, for each second of the processor": FRAMES / processor,
        f"pictures, {config.processes} processes": together[0],
        "trajectories made, one process": FRAMES / making,
        "trajectories in shards, one process": FRAMES / (making + spent["write a shard"]),
        f"trajectories in shards, {config.processes} processes": together[1],
    }.items():
        print(f"{what:<44}{rate:>10.0f}")


def main(argv: list[str]) -> None:
    """Print what draws, the stages and the rates."""
    config = parse(RenderConfig, argv, program="benchmarks.render")
    renderer, watch = measure_alone(config.houses)
    print(renderer)
    print_table(config, watch, frames_per_second_together(config.houses, config.processes))


if __name__ == "__main__":
    run_command(main)
