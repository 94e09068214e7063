"""Trajectories: walks through a place, their pictures and poses, so many for each seed.

Keeping them on a disk is `training.data`'s business.
"""

from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice

from placenet_ros.scene.depth import millimetres
from training.configuration import UserError
from training.houses.free_space import NoFreeSpace
from training.houses.house_file import read_house
from training.houses.pictures import HousePictures, draw_in_one_thread
from training.houses.plan import make_house
from training.houses.scene_file import read_scene
from training.houses.walks import WalkConfig, make_walks
from training.trajectory import Trajectory
from training.workers import Workers, without_importing_the_command

UNSEEN_SEEDS_FROM = 10_000_000  # houses below are for training, houses from here on are never trained on
GENERATOR_VERSION = 2  # counts up when a seed gives another house, walk or picture than before

_camera = None  # of this process; kept, because a graphics context takes longer to make than a trajectory


@dataclass(frozen=True)
class MadeHouse:
    """The houses that seeds make."""

    def place(self, seed):
        """The house of a seed, and no remarks."""
        return make_house(seed), ()


@dataclass(frozen=True)
class PlanFile:
    """A House-Traveler house file, furnished in the look of each seed."""

    path: str

    def place(self, seed):
        """The house in the look of a seed, and what was assumed or found wrong. Raises UserError."""
        return read_house(self.path, seed)


@dataclass(frozen=True)
class SceneFile:
    """A scene that trimesh reads: the same for all seeds, only walks differ. up and scale: see `read_scene`."""

    path: str
    up: str = "auto"
    scale: float | None = None

    def place(self, seed):
        """The scene, and what was assumed or found wrong. Raises UserError."""
        scene = _scene_of(self)
        return scene, scene.remarks


@lru_cache(maxsize=1)  # a scan of a million triangles takes seconds to read
def _scene_of(file):
    return read_scene(file.path, file.up, file.scale)


@dataclass(frozen=True)
class TrajectoryMaker:
    """Makes the trajectories of a seed, the same on every machine but for the last bits of what a graphics card draws.

    source: whence a seed's place comes, one of the classes above. walks: trajectories of each seed.
    field_of_view_degrees: across the whole picture both ways.
    """

    walk: WalkConfig = field(default_factory=WalkConfig)
    walks: int = 1
    image_size: int = 64
    field_of_view_degrees: float = 60.0
    source: MadeHouse | PlanFile | SceneFile = field(default_factory=MadeHouse)

    def __call__(self, seed):
        """Yield them, one at a time. Raises UserError as `walked` does."""
        yield from self.along(seed, *self.walked(seed))

    def along(self, seed, place, walks):
        """Yield the trajectories of walks, camera poses (f, 5) each, through the place of a seed."""
        camera = _camera_of(self.image_size, self.field_of_view_degrees)
        camera.load(place)
        for number, poses in enumerate(walks):
            pictures = camera.take(poses)
            depth = millimetres(pictures.depth)
            yield Trajectory(poses, pictures.rgb, depth, pictures.objects, f"{self.where(seed)}, walk {number}")

    def walked(self, seed):
        """A seed's place and the walks in it. Raises UserError where there is no house or nothing to walk on in it."""
        place, _ = self.source.place(seed)
        try:
            return place, make_walks(place, seed, self.walks, self.walk)
        except NoFreeSpace as error:
            raise UserError(f"{self.where(seed)}: {error}") from error

    def where(self, seed):
        """The place of a seed, for messages."""
        return f"house {seed}" if isinstance(self.source, MadeHouse) else f"{self.source.path}, seed {seed}"

    def all_of(self, seed):
        """The trajectories of a seed, as a list: what another process can send back."""
        return list(self(seed))


def _camera_of(image_size, field_of_view_degrees):
    """This process's camera, made anew if it is to take other pictures than before."""
    global _camera
    if _camera is None or (_camera.width, _camera.field_of_view_degrees) != (image_size, field_of_view_degrees):
        if _camera is not None:
            _camera.close()
        _camera = HousePictures(image_size, image_size, field_of_view_degrees)
    return _camera


def make_trajectories(seeds, processes, maker):
    """Yield the trajectories that a TrajectoryMaker makes of some seeds, in their order, made by several processes.

    Memory stays bounded however many seeds there are: each process is at most two seeds ahead of the reader.
    """
    seeds, waiting = iter(seeds), deque()

    def submit(count):
        with without_importing_the_command():
            waiting.extend(pool.submit(maker.all_of, seed) for seed in islice(seeds, count))

    with Workers(processes, draw_in_one_thread) as pool:
        submit(2 * processes)
        while waiting:
            yield from waiting.popleft().result()
            submit(1)
