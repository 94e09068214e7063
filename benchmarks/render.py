"""How fast houses become pictures here: `python -m benchmarks.render [houses=12] [processes=2]`.

Prints milliseconds for each stage of a trajectory of 300 frames at 64 x 64, then frames per second of one process and
of several together.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from training.configuration import parse, run_command, setting
from training.houses import HousePictures, make_house, make_path, make_trajectories

FRAMES, IMAGE_SIZE, FIELD_OF_VIEW_DEGREES = 300, 64, 60.0


@dataclass(frozen=True)
class RenderConfig:
    """Measure how fast houses, paths and pictures are made."""

    houses: int = setting(12, "Houses to average over.")
    processes: int = setting(2, "Processes of the last line.")

    def __post_init__(self):
        if self.houses < 1 or self.processes < 1:
            raise ValueError(f"houses and processes must be 1 or more, found {self.houses} and {self.processes}")


def seconds_of_stages(houses: int, camera: HousePictures) -> dict[str, float]:
    """Mean seconds for a house, a path, loading and 300 pictures; also the processor's seconds for those."""
    spent = dict.fromkeys(("house", "path", "load", "pictures", "pictures, processor"), 0.0)
    for seed in range(houses):
        marks = [time.perf_counter()]
        house = make_house(seed)
        marks.append(time.perf_counter())
        poses = make_path(house, seed, FRAMES)
        marks.append(time.perf_counter())
        camera.load(house)
        marks.append(time.perf_counter())
        processor = time.process_time()
        camera.take(poses)
        spent["pictures, processor"] += (time.process_time() - processor) / houses
        marks.append(time.perf_counter())
        for stage, start, end in zip(spent, marks, marks[1:], strict=False):
            spent[stage] += (end - start) / houses
    return spent


def frames_per_second_together(houses: int, processes: int) -> float:
    """Frames per second of whole trajectories made by several processes, their start not counted."""
    made = make_trajectories(range(houses + processes), processes, FRAMES, IMAGE_SIZE, FIELD_OF_VIEW_DEGREES)
    for _ in range(processes):
        next(made)
    start = time.perf_counter()
    count = sum(1 for _ in made)
    return count * FRAMES / (time.perf_counter() - start)


def main(argv: list[str]) -> None:
    """Print the table."""
    config = parse(RenderConfig, argv, program="benchmarks.render")
    with HousePictures(IMAGE_SIZE, IMAGE_SIZE, FIELD_OF_VIEW_DEGREES) as camera:
        print(camera.renderer)
        camera.load(make_house(0))
        camera.take(make_path(make_house(0), 0, 8))  # compiles shaders
        stages = seconds_of_stages(config.houses, camera)
    print(f"{'stage':<40}{'ms':>10}")
    for stage, seconds in stages.items():
        print(f"{stage:<40}{1000 * seconds:>10.1f}")
    total = sum(seconds for stage, seconds in stages.items() if stage != "pictures, processor")
    together = frames_per_second_together(config.houses, config.processes)
    print(f"\n{'frames per second':<40}")
    print(f"{'pictures alone, one process':<40}{FRAMES / stages['pictures']:>10.0f}")
    print(f"{'pictures alone, per processor second':<40}{FRAMES / stages['pictures, processor']:>10.0f}")
    print(f"{'whole trajectories, one process':<40}{FRAMES / total:>10.0f}")
    print(f"{f'whole trajectories, {config.processes} processes':<40}{together:>10.0f}")


if __name__ == "__main__":
    run_command(main)
