"""Make trajectories through houses, as many as wanted: `python -m training.make_houses OUT houses=1000 seed=0`.

One seed gives one house; houses that training must not see have seeds from 10,000,000 on. Other places to walk through:
`plan=FILE` (a House-Traveler house file, in the look of each seed) and `scene=FILE` (GLB, OBJ, PLY, ...). Killed and
started again it goes on; `part=2/3` makes the second third of the shards, on a machine of its own. The data set's
format is described in training/data/shards.py; houses, walks and pictures are `training.houses`' business.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from placenet_ros.counted import counted
from training.configuration import UserError, argument, as_dict, parse, run_command, section, setting
from training.data.manifest import sha256_of
from training.data.shards import Description
from training.data.writing import write_dataset
from training.houses import (
    CLASS_NAMES,
    UNSEEN_SEEDS_FROM,
    HousePictures,
    MadeHouse,
    PlanFile,
    SceneFile,
    TrajectoryMaker,
    WalkConfig,
)
from training.houses.trajectory import GENERATOR_VERSION
from training.workers import worker_count

REMARKS_AT_MOST = 20


@dataclass(frozen=True)
class MakeHousesConfig:
    """Make trajectories through houses and keep them as a data set. To go on after an end, run the same command."""

    out: str = argument("Folder of the data set.")
    houses: int = setting(100, "Houses: one for each seed.")
    seed: int = setting(0, "Seed of the first house; 10,000,000 and more are for houses that training never sees.")
    walks: int = setting(1, "Trajectories through each house.")
    walk: WalkConfig = section(WalkConfig)
    plan: str | None = setting(None, "A House-Traveler house file to walk through, in the look of each seed.")
    scene: str | None = setting(None, "A scene to walk through (GLB, glTF, OBJ, OFF, PLY, STL); walks differ by seed.")
    up: Literal["auto", "x", "y", "z"] = setting("auto", "The scene's axis that points up; auto: found from its faces.")
    scale: float | None = setting(None, "Metres that one unit of the scene is; null: 1.")
    image_size: int = setting(64, "Pixels along each side of a picture.")
    field_of_view: float = setting(60.0, "Degrees across a picture, both ways.")
    houses_per_shard: int = setting(100, "Houses in each file.")
    part: str = setting("1/1", "i/n: make every n-th file from the i-th on; the parts together are the whole.")
    processes: int | None = setting(None, "Processes that make them; null: one for each core.")

    def __post_init__(self) -> None:
        for name, most in (("houses", 10_000_000), ("walks", 1000), ("image_size", 1024), ("houses_per_shard", 10_000)):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be 1 to {most:,}, not {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, not {self.seed}")
        if self.seed < UNSEEN_SEEDS_FROM < self.seed + self.houses:
            raise ValueError(
                f"seeds {self.seed:,} to {self.seed + self.houses - 1:,} are of houses for training and of unseen ones "
                f"(from {UNSEEN_SEEDS_FROM:,} on): make two data sets"
            )
        if self.plan is not None and self.scene is not None:
            raise ValueError("plan and scene are two places: set one of them")
        if not 0 < self.field_of_view < 180:
            raise ValueError(f"field_of_view must be over 0 and under 180 degrees, not {self.field_of_view:g}")
        if self.scene is None and (self.scale is not None or self.up != "auto"):
            raise ValueError("up and scale are of a scene: set scene, too")
        self.part_of()

    def part_of(self) -> tuple[int, int]:
        """(i, n) of `part`. Raises ValueError."""
        number, slash, count = self.part.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count) <= 1_000_000):
            raise ValueError(f"part must be i/n with i from 1 to n, not '{self.part}'")
        return int(number), int(count)

    @property
    def source(self) -> MadeHouse | PlanFile | SceneFile:
        """Where the houses come from."""
        if self.plan is not None:
            return PlanFile(self.plan)
        return MadeHouse() if self.scene is None else SceneFile(self.scene, self.up, self.scale)


def description_of(config: MakeHousesConfig) -> Description:
    """What holds for all trajectories, with all settings that decide them. Raises OSError."""
    decides = ("seed", "houses", "walks", "up", "scale")
    source = {"generator": "houses", "generator_version": GENERATOR_VERSION}
    source |= {name: getattr(config, name) for name in decides} | {"walk": as_dict(config.walk)}
    for name in ("plan", "scene"):
        path = getattr(config, name)
        if path is not None:
            source[name] = {"file": Path(path).name, "sha256": sha256_of(Path(path))}
    return Description(config.image_size, config.field_of_view, class_names=CLASS_NAMES, source=source)


def make_houses(config: MakeHousesConfig) -> None:
    """The command. Raises UserError and OSError."""
    maker = TrajectoryMaker(config.walk, config.walks, config.image_size, config.field_of_view, config.source)
    _, remarks = config.source.place(config.seed)  # a file that cannot be used ends it here
    for remark in remarks[:REMARKS_AT_MOST]:
        print(f"warning: {config.plan or config.scene}: {remark}", file=sys.stderr)
    HousePictures(8, 8, config.field_of_view).close()  # as does a machine that cannot draw
    seeds = range(config.seed, config.seed + config.houses)
    split = "train" if config.seed < UNSEEN_SEEDS_FROM else "unseen"
    processes = worker_count(config.processes)
    out, part = Path(config.out), config.part_of()
    summary = write_dataset(out, description_of(config), seeds, maker, config.houses_per_shard, processes, part, split)
    print(
        f"{out}: {counted(summary.trajectories, 'trajectory', 'trajectories')}, {summary.frames:,} frames, "
        f"{summary.bytes / 1e6:,.1f} MB, {summary.seconds:.0f} s"
    )
    if summary.missing:
        print(f"left to other parts: {counted(summary.missing, 'shard')}; with all in {out}, run this without part=")


def main(argv: list[str]) -> None:
    """The command."""
    config = parse(MakeHousesConfig, argv, program="training.make_houses")
    try:
        make_houses(config)
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: no such file") from error


if __name__ == "__main__":
    run_command(main)
