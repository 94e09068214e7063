"""Look at houses before making trajectories of them: `python -m training.draw_houses OUT houses=12 seed=0`.

    OUT/above.png    each house from above, with its walks
    OUT/seen.png     a row for each house: what the camera sees on its first walk, at the model's 64 x 64 pixels

Takes the settings of training.make_houses that decide houses and walks; keeps no data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from placenet_ros.counted import counted
from training.configuration import argument, parse, run_command, section, setting
from training.houses import HousePictures, MadeHouse, PlanFile, TrajectoryMaker, WalkConfig
from training.houses.above import draw_above

IMAGE_SIZE, FIELD_OF_VIEW_DEGREES = 64, 60.0  # of the model
GAP = 4  # pixels between pictures


@dataclass(frozen=True)
class DrawHousesConfig:
    """Draw houses from above with their walks, and what is seen on them."""

    out: str = argument("Folder for the pictures.")
    houses: int = setting(12, "Houses: one for each seed.")
    seed: int = setting(0, "Seed of the first house.")
    walks: int = setting(2, "Walks drawn into each house.")
    walk: WalkConfig = section(WalkConfig)
    plan: str | None = setting(None, "A House-Traveler house file instead, in the look of each seed.")
    columns: int = setting(4, "Houses beside each other in above.png.")
    size: int = setting(300, "Pixels along each side of a house in above.png.")
    views: int = setting(12, "Pictures in each row of seen.png.")

    def __post_init__(self) -> None:
        for name, most in (("houses", 1000), ("walks", 100), ("columns", 100), ("size", 4000), ("views", 100)):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be 1 to {most}, not {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, not {self.seed}")


def sheet(pictures: list[np.ndarray], columns: int) -> Image.Image:
    """Pictures of one size (h, w, 3) uint8 in rows, with white gaps."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    whole = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        y, x = row * (height + GAP), column * (width + GAP)
        whole[y : y + height, x : x + width] = picture
    return Image.fromarray(whole)


def draw_houses(config: DrawHousesConfig) -> None:
    """The command. Raises UserError and OSError."""
    source = MadeHouse() if config.plan is None else PlanFile(config.plan)
    maker = TrajectoryMaker(config.walk, config.walks, IMAGE_SIZE, FIELD_OF_VIEW_DEGREES, source)
    above, seen = [], []
    with HousePictures(IMAGE_SIZE, IMAGE_SIZE, FIELD_OF_VIEW_DEGREES) as camera:
        for seed in range(config.seed, config.seed + config.houses):
            house, walks = maker.walked(seed)
            above.append(draw_above(house, config.size, walks))
            camera.load(house)
            chosen = np.linspace(0, len(walks[0]) - 1, config.views).round().astype(int)
            seen += list(camera.take(walks[0][chosen]).rgb)
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    sheet(above, min(config.columns, config.houses)).save(out / "above.png")
    sheet(seen, config.views).save(out / "seen.png")
    print(f"{counted(config.houses, 'house')} in {out / 'above.png'} and {out / 'seen.png'}")


def main(argv: list[str]) -> None:
    """The command."""
    draw_houses(parse(DrawHousesConfig, argv, program="training.draw_houses"))


if __name__ == "__main__":
    run_command(main)
