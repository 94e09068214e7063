"""What the choice of observations is worth: `python -m benchmarks.recall [houses=6] [weights=weights/placenet-small]`.

A robot walks through made houses that training has never seen, out and back the same way (300 frames of 20 cm, as
House-Traveler does), then a second time, from another room. Each frame is a keyframe. Two scenes see the same: one that
holds the newest observations, and the node's (`LiveScene`), which chooses from all that was seen so far, given the time
to come to rest after each keyframe. After every tenth frame both predict the same views from as many observations:
the robot's own three frames (60 cm) later, and one from a random free place within 3 m to a random side, whether it was
seen before or not.

Prints the RMSE (0..255) of the prior's mean for each part of the way, how much less the chosen err, with the 95 %
confidence interval of that difference by bootstrap over the houses (the queries in one house are alike), and how many
observations were encoded again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from placenet_ros.model import PlaceNet
from placenet_ros.model.inference import ready_for_inference
from placenet_ros.node.keyframes import KeyframeGate
from placenet_ros.node.live_scene import LiveScene, Observation
from placenet_ros.node.parameters import NodeParameters
from placenet_ros.scene.memory import SceneMemory
from placenet_ros.scene.viewpoints import CameraPose
from training.confidence import confidence
from training.configuration import REPOSITORY, parse, run_command, setting
from training.houses import UNSEEN_SEEDS_FROM, HousePictures, WalkConfig, make_house, make_walks
from training.houses.free_space import HouseSpace, blocking_height

CAMERA_HEIGHT, CAMERA_TILT = 0.8, -5.0  # metres, degrees: one robot walks both times
WALKS = 2
ASKED_EVERY, AHEAD = 10, 3  # frames
AROUND, CLEARANCE = 3.0, 0.25  # metres: of random views from the robot, and from what stands around
NODE = NodeParameters()


@dataclass(frozen=True)
class RecallConfig:
    """Compare the newest observations with chosen ones, by the views that are predicted from them."""

    weights: str = setting(str(REPOSITORY / "weights" / "placenet-small"), "Folder of weights.")
    houses: int = setting(6, "Houses to walk through.")
    seed: int = setting(UNSEEN_SEEDS_FROM, "Of the first house; training uses those below 10,000,000.")
    frames: int = setting(300, "Of each walk.")
    observations: int = setting(NODE.max_observations, "Held by both.")
    depth: bool = setting(True, "Whether the robot measures depth.")
    threads: int = setting(1, "Of the processor.")

    def __post_init__(self):
        if self.houses < 1 or self.observations < 1 or self.threads < 1:
            raise ValueError(
                "houses, observations and threads must be 1 or more, "
                f"found {self.houses}, {self.observations} and {self.threads}"
            )
        if self.frames < ASKED_EVERY + AHEAD:
            raise ValueError(f"frames must be {ASKED_EVERY + AHEAD} or more, found {self.frames}")


class Newest:
    """A scene that holds the newest observations."""

    def __init__(self, memory: SceneMemory):
        self.memory = memory

    def add(self, observation: Observation) -> None:
        if self.memory.distance_from_anchor(observation.pose) > NODE.anchor_range:
            self.memory.reanchor(observation.pose)
        self.memory.add(
            observation.rgb, observation.pose, observation.depth, observation.objects, observation.covered
        )


class Chosen:
    """The node's scene. encoded_again: so many observations."""

    def __init__(self, memory: SceneMemory, observations: int, field_of_view_degrees: float):
        self.memory, self.encoded_again = memory, 0
        gate = KeyframeGate(0.0, 0.0, 0.0)
        self.scene = LiveScene(memory, gate, observations, NODE.anchor_range, NODE.archive_megabytes,
                                NODE.odometry_trust, field_of_view_degrees)  # fmt: skip

    def add(self, observation: Observation) -> None:
        self.scene.add(observation)
        before = self.scene.observations
        while self.scene.work():
            self.encoded_again += self.scene.observations != before
            before = self.scene.observations


class Answer(NamedTuple):
    """RMSE of one view."""

    house: int  # its seed
    part: str  # of the way
    view: str
    newest: float
    chosen: float


def camera_pose(row: np.ndarray) -> CameraPose:
    """Of x, y, z, yaw, pitch."""
    return CameraPose(tuple(row[:3].tolist()), float(row[3]), float(row[4]))


class House:
    """A house with its walks and what can be asked there."""

    def __init__(self, seed: int, frames: int, camera: HousePictures):
        walk = WalkConfig(frames=frames, lowest_camera=CAMERA_HEIGHT, highest_camera=CAMERA_HEIGHT,
                          lowest_tilt=CAMERA_TILT, highest_tilt=CAMERA_TILT)  # fmt: skip
        house = make_house(seed)
        camera.load(house)
        self.seed, self.camera, self.walks = seed, camera, make_walks(house, seed, WALKS, walk)
        self._draws = np.random.default_rng(seed)
        space, top = HouseSpace(house), blocking_height(CAMERA_HEIGHT)
        grid = space.grid(top)
        free = grid.centres(*np.nonzero(~grid.blocked & (grid.rooms >= 0)))
        self.free = free[space.clearance(free, top) >= CLEARANCE]

    def views(self, poses: np.ndarray, frame: int) -> dict[str, np.ndarray]:
        """Poses of the views that are asked for after a frame."""
        near = self.free[np.hypot(*(self.free - poses[frame, :2]).T) <= AROUND]
        x, y = near[self._draws.integers(len(near))]
        yaw = self._draws.uniform(-np.pi, np.pi)
        aside = np.array([x, y, poses[frame, 2], yaw, poses[frame, 4]], np.float32)
        return {"own, 0.6 m on": poses[frame + AHEAD], "random within 3 m": aside}


def walked(house: House, newest: Newest, chosen: Chosen, depth: bool) -> Iterator[Answer]:
    """Walk through a house with both; yields what they answer."""
    stamp = 0
    for walk, poses in enumerate(house.walks):
        pictures = house.camera.take(poses)
        for frame in range(len(poses)):
            metres = pictures.depth[frame] if depth else None
            covered = np.full(pictures.objects[frame].shape, True)
            pose, stamp = camera_pose(poses[frame]), stamp + 1
            observation = Observation(stamp, pose, pictures.rgb[frame], metres, pictures.objects[frame], covered)
            for scene in (newest, chosen):
                scene.add(observation)
            if frame % ASKED_EVERY == ASKED_EVERY - 1 and frame + AHEAD < len(poses):
                part = "second walk" if walk else ("back" if 2 * frame >= len(poses) else "out")
                views = house.views(poses, frame)
                truths = house.camera.take(np.stack(list(views.values()))).rgb
                for (view, asked), truth in zip(views.items(), truths, strict=True):
                    errors = (rmse(scene, asked, truth) for scene in (newest, chosen))
                    yield Answer(house.seed, part, view, *errors)


def rmse(scene: Any, view: np.ndarray, truth: np.ndarray) -> float:
    """Of the prior's mean, 0..255."""
    error = scene.memory.predict(camera_pose(view)).image.astype(np.float64) - truth
    return float(np.sqrt((error**2).mean()))


def print_table(answers: list[Answer]) -> None:
    """A row for each part of the way and kind of view, and for each kind over all."""
    print("| view | part of the way | queries | newest | chosen | chosen less newest | medians |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for view in dict.fromkeys(answer.view for answer in answers):
        for part in ("out", "back", "second walk", "all"):
            rows = [answer for answer in answers if answer.view == view and part in (answer.part, "all")]
            if not rows:
                continue
            newest, chosen = (np.array([getattr(row, name) for row in rows]) for name in ("newest", "chosen"))
            less = difference(chosen - newest, np.array([row.house for row in rows]))
            print(f"| {view} | {part} | {len(rows)} | {newest.mean():.1f} | {chosen.mean():.1f} | {less} "
                  f"| {np.median(newest):.1f}, {np.median(chosen):.1f} |")


def difference(values: np.ndarray, houses: np.ndarray) -> str:
    """The mean of values (n), and, where they are of several houses (n), its confidence interval."""
    if len(np.unique(houses)) == 1:
        return f"{values.mean():+.1f}"
    found = confidence(values, houses)
    return f"{found['mean']:+.1f} ({found['low']:+.1f}..{found['high']:+.1f})"


def main(argv: list[str]) -> None:
    """Walk through the houses, then print the table."""
    config = parse(RecallConfig, argv, program="benchmarks.recall")
    torch.set_num_threads(config.threads)
    model = ready_for_inference(PlaceNet.from_pretrained(config.weights), torch.device("cpu"))
    size, field_of_view = model.config.image_size, model.config.field_of_view_degrees
    answers, again, frames = [], 0, 0
    with HousePictures(size, size, field_of_view) as camera:
        for seed in range(config.seed, config.seed + config.houses):
            house = House(seed, config.frames, camera)
            newest = Newest(SceneMemory(model, config.observations))
            chosen = Chosen(SceneMemory(model, config.observations), config.observations, field_of_view)
            answers += walked(house, newest, chosen, config.depth)
            again, frames = again + chosen.encoded_again, frames + WALKS * config.frames
    print_table(answers)
    print(f"{frames} observations, {again} of them encoded again")


if __name__ == "__main__":
    run_command(main)
