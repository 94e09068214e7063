"""Houses made from seeds: plans, paths through them, and pictures from those paths."""

from training.houses.classes import CLASS_NAMES
from training.houses.pictures import GraphicsError, HousePictures, Pictures
from training.houses.plan import make_house
from training.houses.trajectory import Trajectory, make_trajectories, make_trajectory
from training.houses.walks import WalkConfig, make_path, make_walks

__all__ = [
    "CLASS_NAMES",
    "GraphicsError",
    "HousePictures",
    "Pictures",
    "Trajectory",
    "WalkConfig",
    "make_house",
    "make_path",
    "make_trajectories",
    "make_trajectory",
    "make_walks",
]
