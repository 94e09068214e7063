"""Houses made from seeds or read from files: plans, walks through them, and pictures from those walks."""

from training.houses.classes import CLASS_NAMES
from training.houses.pictures import HousePictures, Pictures
from training.houses.plan import make_house
from training.houses.trajectory import (
    UNSEEN_SEEDS_FROM,
    MadeHouse,
    PlanFile,
    SceneFile,
    TrajectoryMaker,
    make_trajectories,
)
from training.houses.walks import WalkConfig, make_walks

__all__ = [
    "CLASS_NAMES",
    "HousePictures",
    "MadeHouse",
    "Pictures",
    "PlanFile",
    "SceneFile",
    "TrajectoryMaker",
    "UNSEEN_SEEDS_FROM",
    "WalkConfig",
    "make_house",
    "make_trajectories",
    "make_walks",
]
