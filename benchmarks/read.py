"""How fast training samples are read here: `python -m benchmarks.read [data=SHARDS] [trajectories=32]`.

A sample is 10 observations and a query: 11 frames of one trajectory, each with colour, depth and objects. All four
ways are timed in turns within one run, from the same trajectories, files warm in the page cache:

- *authors' way*: unpickle a House .pt file whole and decode all its images with Pillow, as their loader does,
- *House files*: from the same files, decoding the drawn frames alone (training.conversion.published),
- *shards*: from shards, in one process (training.data.dataset),
- *two workers*: from shards, as training does (training.data.scenes): samples that arrive in all.

Then the memory of a process that reads, as the data set grows. Without `data`, trajectories through made houses.
"""

from __future__ import annotations

import collections
import io
import os
import platform
import re
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from training.configuration import UserError, parse, run_command, setting
from training.conversion.export import HouseExport, export_houses
from training.conversion.published import HouseFiles, PublishedImport, survey
from training.data.dataset import ShardSet
from training.data.manifest import read_manifest, shard_name, write_manifest
from training.data.sampling import SamplingConfig, draw_scenes
from training.data.scenes import STEPS_AHEAD, StepScenes, scene_stream
from training.data.shards import Description
from training.data.writing import write_dataset
from training.houses import CLASS_NAMES, TrajectoryMaker
from training.workers import Workers

OBSERVATIONS, WINDOW = 10, 20
SAMPLING = SamplingConfig(window=WINDOW, fewest_observations=OBSERVATIONS, most_observations=OBSERVATIONS, queries=1)
IMAGE_SIZE, FIELD_OF_VIEW_DEGREES = 64, 60.0
TRAJECTORIES_PER_SHARD = 4
HOUSE_FILES_AT_MOST = 32  # exported for the first two ways
BATCH = 32  # samples of a step
WORKERS = 2
GROWTH = (1, 64)  # times the data set's size, for the memory
SAMPLES_FOR_MEMORY = 640
REST = 1.0  # seconds in which workers prepare what they may, then wait
TARGETS = {"House files": "10 x", "shards": "60 x", "two workers": "800 samples/s"}


@dataclass(frozen=True)
class ReadConfig:
    """Measure samples per second from House files and from shards, and a reader's memory."""

    data: str | None = setting(None, "Folder of shards to read; null: made for the purpose.")
    trajectories: int = setting(32, "Made trajectories.")
    rounds: int = setting(5, "Turns of all four ways; the median counts.")
    seconds: float = setting(1.5, "Of each way in a turn.")

    def __post_init__(self) -> None:
        if self.trajectories < 1 or self.rounds < 1 or self.seconds <= 0:
            raise ValueError(
                f"trajectories and rounds must be at least 1 and seconds over 0, found {self.trajectories}, "
                f"{self.rounds} and {self.seconds:g}"
            )


# ---- Data ------------------------------------------------------------------------------------------------------------


def make_shards(folder: Path, trajectories: int) -> None:
    """A data set of made houses."""
    description = Description(IMAGE_SIZE, FIELD_OF_VIEW_DEGREES, class_names=CLASS_NAMES)
    maker = TrajectoryMaker(image_size=IMAGE_SIZE, field_of_view_degrees=FIELD_OF_VIEW_DEGREES)
    processes = len(os.sched_getaffinity(0))
    write_dataset(folder, description, range(trajectories), maker, TRAJECTORIES_PER_SHARD, processes)


def first_shards(folder: Path, data: ShardSet, trajectories: int) -> Path:
    """A data set of the first shards of `data`, those that hold so many trajectories."""
    manifest, some = data.manifest, folder / "first"
    count, held = 0, 0
    while held < trajectories and count < len(manifest.shards):
        held += len(manifest.shards[count].lengths)
        count += 1
    link_shards(some, data.folder, count, count)
    return some


def link_shards(folder: Path, source: Path, count: int, of: int) -> None:
    """A data set of `count` shards that are the first `of` ones of another, again and again."""
    manifest = read_manifest(source)
    folder.mkdir()
    entries = []
    for index in range(count):
        entry = manifest.shards[index % of]
        (folder / shard_name(index)).symlink_to((source / entry.file).resolve())
        entries.append(replace(entry, file=shard_name(index)))
    write_manifest(folder, replace(manifest, shards=tuple(entries), units=count, units_per_shard=1))


# ---- The four ways ---------------------------------------------------------------------------------------------------


def authors_way(folder: Path, files: int) -> Callable[[int], object]:
    """Read sample `number` as the authors' loader does. Of files that this program wrote: unpickling runs code."""
    module = types.ModuleType("data_loader")
    module.Scene = collections.namedtuple("Scene", "image_r image_d image_o poses", module="data_loader")
    sys.modules["data_loader"] = module

    def read(number: int) -> object:
        scene = torch.load(folder / f"{number % files}.pt", weights_only=False)
        return scene.poses[0], [np.stack([pillow(image) for image in images]) for images in scene[:3]]

    return read


def pillow(encoded: bytes) -> np.ndarray:
    """A picture as the authors decode it."""
    with Image.open(io.BytesIO(encoded)) as picture:
        return np.array(picture, dtype=np.uint8)


def house_files(files: HouseFiles, lengths: np.ndarray) -> Callable[[int], object]:
    """Read sample `number` from House files, its frames alone."""

    def read(number: int) -> object:
        draw = draw_scenes(SAMPLING, lengths, 1, seed=0, step=number)
        return files.read(f"{draw.trajectories[0]}.pt", draw.frames[0])

    return read


def samples_per_second(read: Callable[[int], object], first: int, seconds: float) -> tuple[float, int]:
    """Samples per second of one process, and how many were read."""
    start, number = time.perf_counter(), first
    while number == first or time.perf_counter() - start < seconds:
        read(number)
        number += 1
    return (number - first) / (time.perf_counter() - start), number - first


def steps_per_second(steps: Iterator, seconds: float) -> float:
    """Steps per second that workers deliver, beyond those which they had ready."""
    for _ in range(STEPS_AHEAD * WORKERS):
        next(steps)
    start, count = time.perf_counter(), 0
    while count == 0 or time.perf_counter() - start < seconds:
        next(steps)
        count += 1
    return count / (time.perf_counter() - start)


def measure(data: ShardSet, exported: Path, count: int, config: ReadConfig) -> dict[str, float]:
    """Median samples per second of each way."""
    files, _ = survey(PublishedImport(str(exported), ""), [f"{number}.pt" for number in range(count)])
    scenes = StepScenes(data, SAMPLING, BATCH, 0)
    ways = {
        "authors' way": (authors_way(exported, count), 1),
        "House files": (house_files(files, data.lengths[:count]), 1),
        "shards": (lambda step: scenes[step], BATCH),
    }
    steps = scene_stream(scenes, 0, WORKERS)
    next(steps)  # the workers have started
    found: dict[str, list[float]] = {name: [] for name in (*ways, "two workers")}
    numbers = dict.fromkeys(ways, 0)
    for _ in range(config.rounds):
        time.sleep(REST)
        for name, (read, samples) in ways.items():
            rate, done = samples_per_second(read, numbers[name], config.seconds)
            numbers[name] += done
            found[name].append(samples * rate)
        found["two workers"].append(BATCH * steps_per_second(steps, config.seconds))
    time.sleep(REST)  # workers that are ended at work end with an error
    return {name: statistics.median(rates) for name, rates in found.items()}


# ---- Memory ----------------------------------------------------------------------------------------------------------


def resident_memory(folder: Path) -> tuple[float, float]:
    """MB of a process's own after reading, and MB of files it has mapped, which the system takes back when it must."""
    data = ShardSet(folder)
    for step in range(SAMPLES_FOR_MEMORY // BATCH):
        data.fetch(draw_scenes(SAMPLING, data.lengths, BATCH, 0, step))
    status = Path("/proc/self/status").read_text()
    own, mapped = (int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) / 1000 for name in ("RssAnon", "RssFile"))
    return own, mapped


def memory_rows(data: ShardSet, scratch: Path) -> Iterator[str]:
    """A line for each size of the data set."""
    shards = len(data.manifest.shards)
    for times in GROWTH:
        folder = scratch / f"times-{times}"
        link_shards(folder, data.folder, shards * times, shards)
        with Workers(1) as fresh:
            own, mapped = fresh.submit(resident_memory, folder).result()
        yield f"| {len(data) * times:,} | {own:.0f} MB | {mapped:.0f} MB |"


# ---- The command -----------------------------------------------------------------------------------------------------


def processor() -> str:
    """The processor's name."""
    found = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def main(argv: list[str]) -> None:
    """The command."""
    config = parse(ReadConfig, argv, program="benchmarks.read")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(config.data) if config.data else Path(scratch) / "made"
        if not config.data:
            make_shards(source, config.trajectories)
        data = ShardSet(source, fewest_frames=OBSERVATIONS + 1)
        if data.left_out or data.description.modalities != ("rgb", "depth", "objects"):
            raise UserError(f"{source}: expected rgb, depth and objects, and {OBSERVATIONS + 1} frames or more in each")
        exported = Path(scratch) / "house"
        count = export_houses(HouseExport(str(first_shards(Path(scratch), data, HOUSE_FILES_AT_MOST)), str(exported)))
        print(
            f"{processor()}, {len(os.sched_getaffinity(0))} cores, load average {os.getloadavg()[0]:.1f}; "
            f"{len(data)} trajectories of {data.lengths.mean():.0f} frames; median of {config.rounds} turns"
        )
        print("| samples of 11 frames x 3 modalities | samples/s | x authors' way | target |")
        print("| --- | --- | --- | --- |")
        rates = measure(data, exported, count, config)
        slowest = rates["authors' way"]
        for name, rate in rates.items():
            print(f"| {name} | {rate:.1f} | {rate / slowest:.1f} | {TARGETS.get(name, '')} |")
        print("\n| trajectories | a reader's own memory | mapped files |")
        print("| --- | --- | --- |")
        for line in memory_rows(data, Path(scratch)):
            print(line, flush=True)


if __name__ == "__main__":
    run_command(main)
