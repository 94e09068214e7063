"""What the index of places and its maps cost: `python -m benchmarks.places [places=100,500,2000] [descriptors=32]`.

An index as the node has it, filled with places of random embeddings, as long as those of `placenet-small`, which are
all compared at each lookup. Prints, for each number of places, milliseconds of processor time, but of wall clock where
a file is written or read:

- a lookup together with what is remembered of it (`PlaceIndex.visit`), median and 99th percentile;
- what the worker is busy for when a map is saved (it copies) and loaded (it looks for what is there already, and adds
  the rest): meanwhile images wait;
- what a service's thread takes to write the file and to read and check it, while the worker goes on;
- the file's megabytes.

`OMP_NUM_THREADS=1` keeps lookups on one thread.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.day import EMBEDDING_LENGTH, new_places
from placenet_ros.node.map_file import read_map, write_map
from placenet_ros.node.parameters import NodeParameters
from placenet_ros.scene.archive import MEGABYTE
from placenet_ros.scene.place_index import CELL_SIZES, DESCRIPTORS_PER_PLACE, PlaceIndex, PlaceMap
from placenet_ros.scene.viewpoints import CameraPose
from training.configuration import parse, run_command, setting

APART = 3.0  # metres from place to place
STEP = 0.1  # metres from one lookup to the next
MODEL_ID = "0123456789ab"


@dataclass(frozen=True)
class PlacesConfig:
    """Time lookups in the index of places, and maps."""

    places: tuple[int, ...] = setting((100, 500, NodeParameters.max_places), "How many the index holds.")
    descriptors: int = setting(DESCRIPTORS_PER_PLACE, "Embeddings of each place.")
    lookups: int = setting(500, "Timed for each number of places.")

    def __post_init__(self):
        if not all(1 <= places <= NodeParameters.max_places for places in self.places):
            raise ValueError(
                f"places must be within 1 and {NodeParameters.max_places} (~max_places), found {list(self.places)}"
            )
        if not 1 <= self.descriptors <= DESCRIPTORS_PER_PLACE or self.lookups < 1:
            raise ValueError(
                f"descriptors must be within 1 and {DESCRIPTORS_PER_PLACE}, lookups 1 or more, "
                f"found {self.descriptors} and {self.lookups}"
            )


def random_embeddings(draws: np.random.Generator, count: int) -> np.ndarray:
    """(count, c) float32 of norm 1."""
    embeddings = draws.normal(size=(count, EMBEDDING_LENGTH)).astype(np.float32)
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


def made_map(places: int, descriptors: int) -> PlaceMap:
    """Places along a line, each with so many descriptors in cells of their own."""
    owners = np.repeat(np.arange(places), descriptors)
    poses = np.zeros((len(owners), 5))
    poses[:, 0] = APART * owners
    poses[:, 1] = CELL_SIZES[1] * (np.tile(np.arange(descriptors), places) + 0.5)
    corners = poses[:, :3].reshape(places, descriptors, 3)
    extents = np.stack([corners.min(axis=1), corners.max(axis=1)], axis=1)
    ids = np.stack([np.ones(places, np.int64), np.arange(1, places + 1)], axis=1)
    embeddings = random_embeddings(np.random.default_rng(0), len(owners))
    return PlaceMap(embeddings, poses, np.arange(1, len(owners) + 1), owners, ids, extents, ["odom"] * places)


def lookup_milliseconds(index: PlaceIndex, count: int) -> np.ndarray:
    """Of each of so many lookups, as the robot drives through an episode of its own: processor time (count,)."""
    spent = []
    for number, embedding in enumerate(random_embeddings(np.random.default_rng(1), count)):
        pose, start = CameraPose((STEP * number, -1.0, 0.0), 0.0, 0.0), time.process_time()
        index.visit(embedding, pose, number + 1, 3, 1 + int(STEP * number / APART), "odom")
        spent.append(1000 * (time.process_time() - start))
    return np.array(spent)


def timed(work: Callable, clock: Callable[[], float]) -> tuple[float, object]:
    """Milliseconds, and what the work returned."""
    start = clock()
    done = work()
    return 1000 * (clock() - start), done


def row(places: int, config: PlacesConfig, folder: Path) -> str:
    """The table's row of so many places."""
    index, made, path = new_places(), made_map(places, config.descriptors), folder / "places.map"
    index.add(made, first_episode=1)
    copying, contents = timed(index.contents, time.process_time)
    writing, _ = timed(lambda: write_map(path, contents, MODEL_ID), time.perf_counter)
    reading, (read, _) = timed(lambda: read_map(path), time.perf_counter)
    fresh = new_places()
    adding, _ = timed(lambda: fresh.add(fresh.unknown(read), first_episode=2), time.process_time)
    again, unknown = timed(lambda: index.unknown(read), time.process_time)
    assert len(unknown.ids) == 0 and len(fresh) == places
    lookups = lookup_milliseconds(index, config.lookups)
    cells = [f"{places:,}", f"{places * config.descriptors:,}"]
    cells += [f"{percentile:.1f}" for percentile in np.percentile(lookups, [50, 99])]
    cells += [f"{milliseconds:.0f}" for milliseconds in (copying, writing, reading, adding, again)]
    return "| " + " | ".join([*cells, f"{path.stat().st_size / MEGABYTE:.1f}"]) + " |"


def main(argv: list[str]) -> None:
    """Print a row for each number of places."""
    config = parse(PlacesConfig, argv, program="benchmarks.places")
    print("| places | embeddings | lookup, ms | 99 % | save: copy, ms | write, ms | load: read, ms | add, ms "
          "| add nothing, ms | file, MB |")  # fmt: skip
    print("| --- " * 10 + "|")
    with tempfile.TemporaryDirectory(prefix="placenet-places-") as folder:
        for places in config.places:
            print(row(places, config, Path(folder)), flush=True)


if __name__ == "__main__":
    run_command(main)
