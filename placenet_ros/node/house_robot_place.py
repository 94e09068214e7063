"""What the robot needs of the house it is in, from the package `training`: obstacles, paths, pictures.

`training` is not installed with the catkin package: it is imported here alone, and only when asked for.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple, Sequence

import numpy as np

from placenet_ros.node.house_robot_parameters import RobotParameters

PATH_DRAWS = 5  # the robot's own stream of the seed


class PlaceError(Exception):
    """Why there is no house to be in; one line."""


class RobotPlace(NamedTuple):
    """A house or scene that the robot can be in.

    name: for messages. remarks: what in its file could not be taken as it is, one line each.
    floor: its z, metres. clearance: metres from x, y to the nearest obstacle, never more than the true ones.
    paths: each begins where the one before ends, without end; raises PlaceError where there is no free space.
    pictures: opens `HousePictures` of so many pixels (width, height) and radians across; raises PlaceError.
    """

    name: str
    remarks: Sequence[str]
    floor: float
    clearance: Callable[[float, float], float]
    paths: Iterator[Any]
    pictures: Callable[[int, int, float], Any]


def open_place(parameters: RobotParameters) -> RobotPlace:
    """The house or scene that the parameters name. Raises PlaceError."""
    import_training()
    from training.configuration import UserError
    from training.houses.free_space import blocking_height, walkable

    try:
        name, place, remarks = read_place(parameters)
    except UserError as error:
        raise PlaceError(str(error)) from error
    space, top = walkable(place), blocking_height(parameters.camera_height)
    return RobotPlace(
        name,
        remarks,
        space.floor_height,
        lambda x, y: float(space.clearance(np.array([[x, y]]), top)[0]),
        paths_through(name, place, parameters),
        lambda *view: open_pictures(place, *view),
    )


def import_training() -> None:
    """Raises PlaceError, with what to do, where `training` cannot be imported."""
    try:
        if sys.version_info < (3, 10):
            raise ImportError(f"it needs Python 3.10, and this is {sys.version_info[0]}.{sys.version_info[1]}")
        import training.houses  # noqa: F401
    except ImportError as error:
        raise PlaceError(
            f"houses are made by the package training, which cannot be imported ({error}): start the node in a shell "
            "after `source env.sh` in the repository's folder"
        ) from error


def read_place(parameters: RobotParameters) -> tuple[str, Any, Sequence[str]]:
    """Its name, the house or scene, and remarks. Raises PlaceError, or training.configuration.UserError."""
    from training.houses.plan import make_house

    if parameters.plan:
        from training.houses.house_file import read_house

        return (parameters.plan, *read_house(whole_path("plan", parameters.plan), parameters.seed))
    if parameters.scene:
        from training.houses.scene_file import read_scene  # imports trimesh

        path = whole_path("scene", parameters.scene)
        scene = read_scene(path, parameters.scene_up, parameters.scene_scale)
        return parameters.scene, scene, scene.remarks
    return f"house {parameters.seed}", make_house(parameters.seed), ()


def whole_path(name: str, path: str) -> Path:
    """The path that a parameter gives. Raises PlaceError where it is relative: roslaunch starts nodes elsewhere."""
    if not Path(path).is_absolute():
        raise PlaceError(f"parameter ~{name} is '{path}': give its whole path, for instance {name}:=$PWD/{path}")
    return Path(path)


def paths_through(name: str, place: Any, parameters: RobotParameters) -> Iterator[Any]:
    """See `RobotPlace`."""
    from training.houses.draws import Draws
    from training.houses.free_space import NoFreeSpace
    from training.houses.waypoints import walk_legs

    try:
        yield from walk_legs(place, Draws(PATH_DRAWS, parameters.seed), parameters.camera_height)
    except NoFreeSpace as error:
        raise PlaceError(f"{name}: {error}") from error


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
