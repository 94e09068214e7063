"""Walks through a place: the camera poses of trajectories.

`make_walks` is all that data sets need. Two kinds: House-Traveler (`wall_following`, driven by `vehicle`), and random
waypoints (`waypoints`). A House-Traveler walk is 144 steps of 20 cm out, 12 frames in which the robot turns round on
the spot, and 144 steps back: 300 frames.
"""

from dataclasses import dataclass
from math import cos, log, pi, sqrt
from typing import Literal

import numpy as np

from training.configuration import setting
from training.houses.draws import Draws
from training.houses.free_space import ROBOT_RADIUS, FreeSpace, NoFreeSpace, blocking_height, walkable
from training.houses.vehicle import SMOOTHING_LENGTH, STEP, SUBSTEPS, drive, evenly_spaced
from training.houses.wall_following import WallFollower
from training.houses.waypoints import plan_walk, wrapped

STEPS_OUT = 144
TURNING_FRAMES = 12  # of 15 degrees
TRAVELER_FRAMES = 2 * STEPS_OUT + TURNING_FRAMES
MOST_TURN = pi / TURNING_FRAMES  # radians from frame to frame, of the random-waypoint walk
NOISE, NOISE_EVERY = 0.02, 3  # metres (sigma), steps from one displaced point to the next
SPARE_LENGTH = 1.3  # times the walk's length that its line is long: the vehicle cuts corners
CHECKS_PER_STEP = 8  # points at which the straight line between two poses is held against the walls
CHECKED_CLEARANCE = ROBOT_RADIUS + STEP / CHECKS_PER_STEP / 2 + 0.001  # metres: between those points it can be less
# A line is driven with less and less smoothing until the drive keeps clear: (share of the noise, length in metres)
WAYS_TO_DRIVE = ((1.0, SMOOTHING_LENGTH), (0.0, SMOOTHING_LENGTH), (0.0, 0.6 * SMOOTHING_LENGTH))
KEPT_FOLLOWERS = 8  # for so many different free spaces of a place, each some megabytes
FRAMES_OF_A_VISIT = 3  # in a room, that make it visited
WALK_DRAWS = 3

WIDEST_PAN = 120.0  # degrees to either side of the motion
PAN_RATE = 8.0  # degrees from frame to frame, at most
LONGEST_GAZE = 20  # frames between two turns of the camera


@dataclass(frozen=True)
class WalkConfig:
    """How a camera walks through houses."""

    kind: Literal["house_traveler", "waypoints"] = setting(
        "house_traveler", "Follow the walls of room after room and come back, or go to random places."
    )
    look: Literal["ahead", "around"] = setting("ahead", "Look along the motion, or turn the camera to all sides.")
    frames: int = setting(TRAVELER_FRAMES, "Frames of a walk; house_traveler has at most 300.")
    lowest_camera: float = setting(0.2, "Least height of the camera above the floor, metres; drawn for each walk.")
    highest_camera: float = setting(1.6, "Greatest height of the camera above the floor, metres.")
    lowest_tilt: float = setting(-15.0, "Least tilt of the camera, degrees, positive up; drawn for each walk.")
    highest_tilt: float = setting(5.0, "Greatest tilt of the camera, degrees.")

    def __post_init__(self):
        if self.frames < 1 or (self.kind == "house_traveler" and self.frames > TRAVELER_FRAMES):
            raise ValueError(f"frames must be within 1 and {TRAVELER_FRAMES} for house_traveler, found {self.frames}")
        if not 0.0 < self.lowest_camera <= self.highest_camera <= 3.0:
            raise ValueError(
                "lowest_camera and highest_camera must be above 0, in this order and at most 3 m,"
                f" found {self.lowest_camera:g} and {self.highest_camera:g}"
            )
        if not -90.0 < self.lowest_tilt <= self.highest_tilt < 90.0:
            raise ValueError(
                "lowest_tilt and highest_tilt must be within -90 and 90 degrees, in this order,"
                f" found {self.lowest_tilt:g} and {self.highest_tilt:g}"
            )


def make_walks(place, seed, count, config):
    """The first `count` walks of a place's sequence without end: float32 arrays (frames, 5), x, y, z, yaw, pitch.

    place: a `House` or anything `Walkable`. Metres and radians, yaw within -pi..pi. Each House-Traveler walk starts in
    a room that no walk before it has visited, and goes on to others; when all are visited it begins again, with other
    noise and order, and by the left hand, too. From frame to frame the yaw changes by 44 degrees at most (in a place
    too narrow for that by 88), and by 15 where the robot turns round; looking around adds 8.

    Raises NoFreeSpace (a ValueError) where a robot has no room to walk.
    """
    place = walkable(place)
    maker = Traveler(place, seed) if config.kind == "house_traveler" else RandomWaypoints(place)
    return [make_walk(maker, Draws(WALK_DRAWS, seed, number), config) for number in range(count)]


def make_walk(maker, draws, config):
    """One walk, (frames, 5) float32, rounded so that no machine's last bit shows."""
    height = draws.between(config.lowest_camera, config.highest_camera)
    tilt = np.radians(draws.between(config.lowest_tilt, config.highest_tilt))
    base = maker.walk(draws, height, config.frames)
    poses = np.empty((config.frames, 5))
    poses[:, :2], poses[:, 2], poses[:, 4] = base[:, :2], maker.place.floor_height + height, tilt
    poses[:, 3] = base[:, 2] + (gaze(draws, config.frames) if config.look == "around" else 0.0)
    poses[:, 3] = wrapped(poses[:, 3].round(4))  # rounded first: straight along -x is as near to -pi as to pi
    return poses.round(4).astype(np.float32)


class RandomWaypoints:
    """Walks to random places, one after the other."""

    def __init__(self, place):
        self.place = place

    def walk(self, draws, camera_height, frames):
        """x, y, heading (frames, 3): at most 20 cm and 15 degrees from frame to frame."""
        path = plan_walk(self.place, draws, frames - 1, STEP, MOST_TURN, camera_height)
        return path.at(np.arange(frames), STEP, MOST_TURN)


class Traveler:
    """House-Traveler in a place: it remembers which rooms its walks have visited."""

    def __init__(self, place, seed):
        self.place, self.seed = place, seed
        self.visited, self.round = np.zeros(len(place.rooms), bool), 0
        self.followers = {}

    def walk(self, draws, camera_height, frames):
        """x, y, heading (frames, 3) of the next walk."""
        follower = self.follower(blocking_height(camera_height))
        rooms = list(follower.poles)
        if self.visited[rooms].all():
            self.visited[rooms], self.round = False, self.round + 1
        order = Draws(WALK_DRAWS, self.seed, self.round, 1).shuffled(rooms)
        # a blind alley can only be visited by starting in it; at first, that comes before all else
        first = {room for room in rooms if self.round == 0 and follower.is_blind_alley(room)}
        left_hand = draws.chance(0.5) and self.round > 0
        rank = self.visited * len(self.visited) + position_in(order, len(self.visited))
        for start in sorted(order, key=lambda room: (self.visited[room], room not in first)):
            line = follower.line(start, rank, SPARE_LENGTH * STEPS_OUT * STEP, left_hand)
            out = driven(follower, evenly_spaced(line), draws)
            if out is not None:
                self.visited[start] = True
                self.remember(follower.space.grid, out)
                return there_and_back(out)[:frames]
        raise NoFreeSpace(
            f"no free space: starting from any of {len(order)} rooms, a robot comes too near to something"
        )

    def follower(self, top):
        """What follows walls in the free space below this height: with wide turns, or tight ones.

        Kept for the walks to come whose cameras meet the same things.
        """
        blocked = self.place.grid(top).blocked.tobytes()
        if blocked not in self.followers:
            if len(self.followers) == KEPT_FOLLOWERS:
                del self.followers[next(iter(self.followers))]
            self.followers[blocked] = find_follower(self.place, top)
        return self.followers[blocked]

    def remember(self, grid, out):
        """Remember the rooms that a walk has been in."""
        rooms = grid.rooms[grid.cells(out[1:, :2].round(4))]
        self.visited |= np.bincount(rooms[rooms >= 0], minlength=len(self.visited)) >= FRAMES_OF_A_VISIT


def find_follower(place, top):
    """A `WallFollower` of this free space: of wide turns, or where nowhere is room for them, of tight ones."""
    try:
        return WallFollower(FreeSpace(place, top))
    except NoFreeSpace:
        return WallFollower(FreeSpace(place, top, stride=1))


def position_in(order, count):
    """Where each of 0..count-1 comes in a sequence, (count,); those that are not in it come last."""
    return np.array([order.index(room) if room in order else count - 1 for room in range(count)])


def there_and_back(out):
    """Frames (300, 3) of a walk from its poses (145, 3) out: those but the start, the turn, and back to the start."""
    turn = out[-1] + np.outer(np.arange(1, TURNING_FRAMES + 1), (0.0, 0.0, MOST_TURN))
    return np.concatenate([out[1:], turn, out[-2::-1] + (0.0, 0.0, pi)])


def keeps_clear(space, points):
    """Whether a robot that drives along points (n, 2), STEP apart, straight from each to the next, hits nothing."""
    share = np.arange(CHECKS_PER_STEP)[:, None, None] / CHECKS_PER_STEP
    between = (1 - share) * points[:-1] + share * points[1:]
    between = np.concatenate([between.reshape(-1, 2), points[-1:]])
    return bool(space.place.clearance(between, space.top).min().round(4) >= CHECKED_CLEARANCE)


def driven(follower, line, draws):
    """x, y, heading (145, 3) of a vehicle that follows a line; None if it cannot keep clear of everything."""
    noise = displacements(draws, len(line))
    for share, smoothing_length in WAYS_TO_DRIVE:
        out = drive(line + share * noise, STEPS_OUT, smoothing_length, follower.ways.wheelbase)
        if keeps_clear(follower.space, out[:, :2]):
            return out
    return None


def displacements(draws, count):
    """Gaussian noise (count, 2), metres, for points SPACING apart: every third step's point is displaced."""
    displaced = np.arange(count // SUBSTEPS + 2)
    noise = np.array([[gaussian(draws), gaussian(draws)] if k % NOISE_EVERY == 2 else [0.0, 0.0] for k in displaced])
    along = np.arange(count) / SUBSTEPS
    return NOISE * np.stack([np.interp(along, displaced, noise[:, i]) for i in range(2)], axis=1)


def gaussian(draws):
    """A draw from the standard normal distribution, by Box and Muller."""
    return round(sqrt(-2.0 * log(1.0 - draws.between(0.0, 1.0, digits=9))) * cos(2 * pi * draws.between(0.0, 1.0)), 6)


def gaze(draws, frames):
    """Radians (frames,) by which a camera that looks around is turned from the motion.

    It looks to a drawn side for some frames, turns smoothly to the next at PAN_RATE at most, and so on.
    """
    angles, angle = [], 0.0
    while len(angles) < frames:
        angles += [angle] * draws.count(1, LONGEST_GAZE)
        target = draws.between(-WIDEST_PAN, WIDEST_PAN)
        # a turn of this many frames that starts and ends gently is at most pi / 2 times as fast as an even one
        duration = int(np.ceil(abs(target - angle) / PAN_RATE * pi / 2)) + 1
        progress = (1 - np.cos(np.arange(1, duration + 1) / duration * pi)) / 2
        angles += (angle + (target - angle) * progress).tolist()
        angle = target
    return np.radians(angles[:frames])
