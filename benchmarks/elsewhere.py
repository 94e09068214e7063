"""Views of places that the robot has left: `python -m benchmarks.elsewhere [houses=6]`.

A robot walks through made houses that training has never seen, as in `benchmarks.recall`, with the node's scene
(`LiveScene`), given the time to come to rest after each keyframe. Every now and then views are asked for from near
where it has been: from random free places within half a metre of an earlier camera, turned from it by 30 degrees at
most; one view for each range of distances from the robot. Each is predicted

- from what the memory holds, which was chosen to show what is around the robot,
- from the few observations that were chosen for it, which show the most of what is in view, however near its pose is,
- as the node answers: by the first way up to `ELSEWHERE` metres from the robot, by the second beyond.

Prints the RMSE (0..255) of the prior's mean by the first two for each range of distances, how much less the second
errs, with the 95 % confidence interval of that difference by bootstrap over the houses, and how long a view by the
first way and the node's answer take, which are timed one after the other, now this first and now that.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.recall import NODE, Chosen, House, camera_pose, difference
from placenet_ros.model import PlaceNet
from placenet_ros.model.inference import ready_for_inference
from placenet_ros.node.live_scene import ELSEWHERE, LiveScene, Observation
from placenet_ros.scene.memory import PredictedView, SceneMemory
from placenet_ros.scene.viewpoints import CameraPose
from training.configuration import REPOSITORY, parse, run_command, setting
from training.houses import UNSEEN_SEEDS_FROM, HousePictures

RANGES = (0.0, 1.0, ELSEWHERE, 3.0, 4.5, 6.0, np.inf)  # metres from the robot: one view of each to the next
ASIDE, TURNED = 0.5, np.pi / 6  # metres, radians: at most, from a camera of earlier


@dataclass(frozen=True)
class ElsewhereConfig:
    """Compare views from what surrounds the robot with views from what was chosen for them."""

    weights: str = setting(str(REPOSITORY / "weights" / "placenet-small"), "Folder of weights.")
    houses: int = setting(6, "Houses to walk through.")
    seed: int = setting(UNSEEN_SEEDS_FROM, "Of the first house; training uses those below 10,000,000.")
    frames: int = setting(300, "Of each walk.")
    every: int = setting(60, "Frames from one time that views are asked for to the next.")
    observations: int = setting(NODE.max_observations, "Held by the memory.")
    depth: bool = setting(True, "Whether the robot measures depth.")
    threads: int = setting(1, "Of the processor.")

    def __post_init__(self):
        counts = {name: getattr(self, name) for name in ("houses", "every", "observations", "threads")}
        if min(counts.values()) < 1 or self.frames < self.every:
            raise ValueError(
                f"{', '.join(counts)} must be 1 or more and frames at least every, found "
                f"{', '.join(map(str, counts.values()))} and {self.frames}"
            )


class Answer(NamedTuple):
    """What became of one view."""

    house: int  # its seed
    nearest: float  # metres from the robot: where its range begins
    held: float  # RMSE from what the memory holds
    chosen: float  # RMSE from what was chosen for the view
    held_seconds: float
    node_seconds: float


def views(house: House, past: np.ndarray, draws: np.random.Generator) -> Iterator[tuple[float, np.ndarray]]:
    """Poses of the views that are asked for after the cameras of `past` (n, 5), and where their ranges begin."""
    away = np.hypot(*(past[:, :2] - past[-1, :2]).T)
    for nearest, farthest in zip(RANGES, RANGES[1:], strict=False):
        there = past[(away >= nearest) & (away < farthest)]
        if not len(there):
            continue
        x, y, z, yaw, pitch = there[draws.integers(len(there))]
        free = house.free[np.hypot(house.free[:, 0] - x, house.free[:, 1] - y) <= ASIDE]
        distances = np.hypot(*(free - past[-1, :2]).T)
        free = free[(distances >= nearest) & (distances < farthest)]
        if len(free):
            x, y = free[draws.integers(len(free))]
            yield nearest, np.array([x, y, z, yaw + draws.uniform(-TURNED, TURNED), pitch], np.float32)


def answers(house: House, scene: Chosen, every: int, depth: bool) -> Iterator[Answer]:
    """Walk through a house; yields what becomes of the views that are asked for."""
    draws, past = np.random.default_rng(house.seed), np.zeros((0, 5), np.float32)
    for poses in house.walks:
        pictures = house.camera.take(poses)
        for frame, row in enumerate(poses):
            metres, objects = pictures.depth[frame] if depth else None, pictures.objects[frame]
            past = np.concatenate([past, row[None]])
            scene.add(Observation(len(past), camera_pose(row), pictures.rgb[frame], metres, objects,
                                  np.full(objects.shape, True)))  # fmt: skip
            if frame % every == every - 1:
                held_first = frame // every % 2 == 0  # of every other time, so that each range has both
                for nearest, view in views(house, past, draws):
                    truth = house.camera.take(view[None]).rgb[0]
                    yield Answer(house.seed, nearest, *compared(scene.scene, camera_pose(view), truth, held_first))


def compared(
    scene: LiveScene, pose: CameraPose, truth: np.ndarray, held_first: bool
) -> tuple[float, float, float, float]:
    """What an `Answer` has after where the view is.

    held_first: whether that is timed first: the second is a little faster.
    """
    ways = {
        "held": lambda: scene.memory.predict(pose),
        "node": lambda: scene.predict(pose, 0, between=_nothing, remark=_nothing),
    }
    results = {name: timed(ways[name]) for name in (ways if held_first else reversed(ways))}
    (from_held, held_seconds), (answered, node_seconds) = results["held"], results["node"]
    chosen = answered if scene.is_elsewhere(pose) else scene.memory_for(pose, _nothing, _nothing).predict(pose)
    return rmse(from_held, truth), rmse(chosen, truth), held_seconds, node_seconds


def _nothing(*_: str) -> None:
    """No image waits between two encodings here, and of what was not seen the table tells."""


def timed(predict: Callable[[], PredictedView]) -> tuple[PredictedView, float]:
    """A view and the seconds that it took."""
    begun = time.perf_counter()
    view = predict()
    return view, time.perf_counter() - begun


def rmse(view: PredictedView, truth: np.ndarray) -> float:
    """Of a view's colours, 0..255."""
    return float(np.sqrt(((view.image.astype(np.float64) - truth) ** 2).mean()))


def print_table(found: list[Answer]) -> None:
    """A row for each range of distances, one for all that is near and one for all that is elsewhere."""
    print("| metres from the robot | views | held | chosen | difference | medians | held, ms | node, ms "
          "| node / held |")  # fmt: skip
    print("| --- " * 9 + "|")
    for nearest, farthest in [*zip(RANGES, RANGES[1:], strict=False), (0.0, ELSEWHERE), (ELSEWHERE, np.inf)]:
        rows = [answer for answer in found if nearest <= answer.nearest < farthest]
        if rows:
            upto = "" if farthest == np.inf else f" to {farthest:g}"
            print(f"| {nearest:g}{upto or ' and more'} | {table_cells(rows)} |")


def table_cells(rows: list[Answer]) -> str:
    """What a row of the table has after its distances."""
    held, chosen = (np.array([getattr(row, name) for row in rows]) for name in ("held", "chosen"))
    less = difference(chosen - held, np.array([row.house for row in rows]))
    milliseconds = [1000 * statistics.median(getattr(row, f"{name}_seconds") for row in rows)
                    for name in ("held", "node")]  # fmt: skip
    ratio = statistics.median(row.node_seconds / row.held_seconds for row in rows)
    return (f"{len(rows)} | {held.mean():.1f} | {chosen.mean():.1f} | {less} "
            f"| {np.median(held):.1f}, {np.median(chosen):.1f} "
            f"| {milliseconds[0]:.0f} | {milliseconds[1]:.0f} | {ratio:.2f}")  # fmt: skip


def main(argv: list[str]) -> None:
    """Walk through the houses, then print the table."""
    config = parse(ElsewhereConfig, argv, program="benchmarks.elsewhere")
    torch.set_num_threads(config.threads)
    model = ready_for_inference(PlaceNet.from_pretrained(config.weights), torch.device("cpu"))
    size, field_of_view = model.config.image_size, model.config.field_of_view_degrees
    found: list[Answer] = []
    with HousePictures(size, size, field_of_view) as camera:
        for seed in range(config.seed, config.seed + config.houses):
            scene = Chosen(SceneMemory(model, config.observations), config.observations, field_of_view)
            found += answers(House(seed, config.frames, camera), scene, config.every, config.depth)
    print_table(found)


if __name__ == "__main__":
    run_command(main)
