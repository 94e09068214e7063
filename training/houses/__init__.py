"""Houses made from seeds: plans, paths through them, and pictures from those paths."""

from training.houses.classes import CLASS_NAMES
from training.houses.path import make_path
from training.houses.pictures import GraphicsError, HousePictures, Pictures
from training.houses.plan import make_house
from training.houses.trajectory import Trajectory, make_trajectories, make_trajectory

__all__ = [
    "CLASS_NAMES",
    "GraphicsError",
    "HousePictures",
    "Pictures",
    "Trajectory",
    "make_house",
    "make_path",
    "make_trajectories",
    "make_trajectory",
]
