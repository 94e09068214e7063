"""What the robot needs of the house it is in, from the package `training`: obstacles, paths, pictures.

`training` is not installed with the catkin package: it is imported here alone, and only when asked for.
"""

from __future__ import annotations

import sys
from typing import Any, Callable, Iterator, NamedTuple

import numpy as np

from placenet_ros.node.house_robot_parameters import RobotParameters

PATH_DRAWS = 5  # the robot's own stream of the seed


class PlaceError(Exception):
    """Why there is no house to be in; one line."""


class RobotPlace(NamedTuple):
    """name: for messages. floor: its z, metres. clearance: metres from x, y to the nearest obstacle.
    paths: each begins where the one before ends, without end. pictures: opens `HousePictures` of so many pixels (width,
    height) and radians across; raises PlaceError.
    """

    name: str
    floor: float
    clearance: Callable[[float, float], float]
    paths: Iterator[Any]
    pictures: Callable[[int, int, float], Any]


def open_place(parameters: RobotParameters) -> RobotPlace:
    """The house or scene that the parameters name. Raises PlaceError."""
    import_training()
    from training.houses.draws import Draws
    from training.houses.path import clearance, obstacles, plan_walk

    name, house = read_place(parameters)
    top = parameters.camera_height + 0.1
    solid = obstacles(house, top)

    def paths():
        yield plan_walk(house, Draws(PATH_DRAWS, parameters.seed), 100, 0.5, 0.8, parameters.camera_height)

    return RobotPlace(
        name,
        0.0,
        lambda x, y: float(clearance(np.array([[x, y]]), solid)[0]),
        paths(),
        lambda *view: open_pictures(house, *view),
    )


def import_training() -> None:
    """Raises PlaceError where that cannot be imported, with what to do."""
    try:
        if sys.version_info < (3, 10):
            raise ImportError(f"it needs Python 3.10, and this is {sys.version_info[0]}.{sys.version_info[1]}")
        import training.houses  # noqa: F401
    except ImportError as error:
        raise PlaceError(
            f"houses are made by the package training, which cannot be imported ({error}): start the node in a shell "
            "after `source env.sh` in the repository's folder"
        ) from error


def read_place(parameters: RobotParameters) -> tuple[str, Any]:
    """The house or scene, and its name. Raises PlaceError."""
    from training.houses.plan import make_house

    return f"house {parameters.seed}", make_house(parameters.seed)


def open_pictures(place: Any, width: int, height: int, field_of_view: float) -> Any:
    """The `HousePictures` that are taken in a place. Raises PlaceError."""
    from training.configuration import UserError
    from training.houses.pictures import HousePictures

    try:
        pictures = HousePictures(width, height, float(np.degrees(field_of_view)))
        pictures.load(place)
    except UserError as error:
        raise PlaceError(str(error)) from error
    return pictures
