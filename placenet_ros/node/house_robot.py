"""A wheeled robot in a house, simulated in steps: how it moves, and what its odometry says of that.

It drives along a path without end, or as it is commanded until something is in its way. Knows nothing of ROS, and of
the house only how far from a point the nearest obstacle is; what the robot sees is `house_robot_camera`'s business.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable, Iterator, NamedTuple

import numpy as np

ROBOT_RADIUS = 0.22  # metres: nothing but floor and carpets comes nearer to its centre
CAMERA_AHEAD = 0.1  # metres from the base's centre


class Motion(NamedTuple):
    """Where a base is and how it moves: metres, radians (not wrapped), metres and radians per second."""

    x: float
    y: float
    heading: float
    speed: float = 0.0
    turn_rate: float = 0.0

    def halfway(self, other: Motion) -> Motion:
        """The motion in the middle between this and a later one."""
        return Motion(*((a + b) / 2 for a, b in zip(self, other)))


class Reading(NamedTuple):
    """What odometry says: the motion in its own frame, and the covariance (3, 3) of x, y and heading."""

    motion: Motion
    covariance: np.ndarray


@dataclass(frozen=True)
class Limits:
    """What the base can do: metres and radians, per second and per second squared."""

    speed: float
    turn_rate: float
    acceleration: float
    turn_acceleration: float


class PathDrive:
    """Along paths, each of which begins where the one before ends: `training.houses` gives such paths.

    Each turn and each straight line is driven at full speed, without acceleration.
    """

    def __init__(self, paths: Iterator[Any], speed: float, turn_rate: float):
        self._paths, self._rates = paths, (speed, turn_rate)
        self._seconds = 0.0  # since the beginning of the present path
        self._begin(next(paths))
        self.motion = Motion(*self._path.at([0.0], *self._rates)[0].tolist())

    def _begin(self, path: Any) -> None:
        self._path, self._length = path, path.times(*self._rates)[-1]

    def advance(self, seconds: float) -> Motion:
        """Where it is, and how it moves, so much later."""
        self._seconds += seconds
        while self._seconds > self._length:
            self._seconds -= self._length
            self._begin(next(self._paths))
        before, (x, y, heading) = self.motion, self._path.at([self._seconds], *self._rates)[0].tolist()
        turned = math.remainder(heading - before.heading, 2 * math.pi)  # paths need not count turns alike
        speed = math.hypot(x - before.x, y - before.y) / seconds
        self.motion = Motion(x, y, before.heading + turned, speed, turned / seconds)
        return self.motion


class CommandedDrive:
    """As commanded, within limits, and no further than obstacles allow: what is in the way stops it; it can still turn.

    clearance: metres from a point (x, y) to the nearest obstacle. A command holds for `timeout` seconds.
    """

    def __init__(self, motion: Motion, limits: Limits, clearance: Callable[[float, float], float], timeout: float):
        self._limits, self._clearance, self._timeout = limits, clearance, timeout
        self._wanted, self._age = (0.0, 0.0), math.inf
        self.take_over(motion)

    def take_over(self, motion: Motion) -> None:
        """Go on from this motion."""
        self.motion, self._clear = motion, self._clearance(motion.x, motion.y)

    def command(self, speed: float, turn_rate: float) -> None:
        """From now on, move like this (metres and radians per second)."""
        most = self._limits
        self._wanted = (
            min(max(speed, -most.speed), most.speed),
            min(max(turn_rate, -most.turn_rate), most.turn_rate),
        )
        self._age = 0.0

    def advance(self, seconds: float) -> Motion:
        """Where it is, and how it moves, so much later."""
        wanted_speed, wanted_turn_rate = self._wanted if self._age < self._timeout else (0.0, 0.0)
        self._age += seconds
        x, y, heading, speed, turn_rate = self.motion
        speed = _nearer(speed, wanted_speed, self._limits.acceleration * seconds)
        turn_rate = _nearer(turn_rate, wanted_turn_rate, self._limits.turn_acceleration * seconds)
        direction = heading + turn_rate * seconds / 2
        next_x, next_y = x + speed * seconds * math.cos(direction), y + speed * seconds * math.sin(direction)
        clear = self._clearance(next_x, next_y)
        if clear >= ROBOT_RADIUS or clear > self._clear:  # out of a narrow place it may come
            x, y, self._clear = next_x, next_y, clear
        else:
            speed = 0.0
        self.motion = Motion(x, y, heading + turn_rate * seconds, speed, turn_rate)
        return self.motion


def _nearer(value: float, wanted: float, most: float) -> float:
    """`value`, changed towards `wanted` by at most `most`."""
    return value + min(max(wanted - value, -most), most)


class WheelOdometry:
    """Adds up the motion that the wheels report; its frame is where it began, on the floor.

    noise: standard deviation of its errors after 1 m (metres along the way, and radians of heading) and after 1 rad of
    turning (radians of heading). They grow with the square root of the way, as those of a random walk do.
    """

    def __init__(self, begin: Motion, noise: float, seed: int):
        self._noise, self._random = noise, np.random.default_rng(seed)
        self._true = begin
        self.reading = Reading(Motion(0.0, 0.0, 0.0, begin.speed, begin.turn_rate), np.zeros((3, 3)))

    def advance(self, motion: Motion) -> Reading:
        """What it says once the base has come to this motion."""
        turned = motion.heading - self._true.heading
        ahead, left = _rotated(motion.x - self._true.x, motion.y - self._true.y, -self._true.heading)
        self._true = motion
        way = math.hypot(ahead, left)
        variances = self._noise**2 * way, self._noise**2 * (way + abs(turned))
        ahead_error, turn_error = self._random.normal(size=2) * np.sqrt(variances)
        x, y, heading = self.reading.motion[:3]
        dx, dy = _rotated(ahead + ahead_error, left, heading)
        covariance = _grown(self.reading.covariance, heading, dx, dy, variances)
        self.reading = Reading(
            Motion(x + dx, y + dy, heading + turned + turn_error, motion.speed, motion.turn_rate), covariance
        )
        return self.reading


def _rotated(x: float, y: float, angle: float) -> tuple[float, float]:
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * x - sin * y, sin * x + cos * y


def _grown(covariance: np.ndarray, heading: float, dx: float, dy: float, variances: tuple[float, float]) -> np.ndarray:
    """The covariance after a step (dx, dy) with these variances along the heading and of the turn; to first order."""
    carried = np.array([[1.0, 0.0, -dy], [0.0, 1.0, dx], [0.0, 0.0, 1.0]])
    added = np.array([[math.cos(heading), 0.0], [math.sin(heading), 0.0], [0.0, 1.0]])
    return carried @ covariance @ carried.T + added @ np.diag(variances) @ added.T


class HouseRobot:
    """The whole robot: follows a path, or commands, or (drive "auto") the path until the first command.

    drive: "path", "cmd_vel" or "auto"; without a path to follow it stands where that begins.
    """

    def __init__(self, drive: str, path: PathDrive, commanded: CommandedDrive, odometry: WheelOdometry):
        self._commanded, self._odometry = commanded, odometry
        self._path = None if drive == "cmd_vel" else path
        self._obeys = drive != "path"
        self._command: tuple[float, float] | None = None  # the newest, until the next step
        self.motion = path.motion

    def command(self, speed: float, turn_rate: float) -> None:
        """From the next step on, move like this (metres and radians per second). May come from another thread."""
        self._command = (speed, turn_rate)

    def advance(self, seconds: float) -> Reading:
        """Move for so long; `motion` is then where it is in the house, and the result what odometry says."""
        command, self._command = self._command, None
        if command is not None and self._obeys:
            self._commanded.command(*command)
            if self._path is not None:
                self._commanded.take_over(self._path.motion)
                self._path = None
        self.motion = (self._path or self._commanded).advance(seconds)
        return self._odometry.advance(self.motion)


def camera_in_house(motion: Motion, height: float, pitch: float) -> tuple[float, float, float, float, float]:
    """x, y, z, yaw and pitch in the house of a camera so high above z = 0, pitched up so far."""
    x = motion.x + CAMERA_AHEAD * math.cos(motion.heading)
    y = motion.y + CAMERA_AHEAD * math.sin(motion.heading)
    return x, y, height, motion.heading, pitch


class Ticks:
    """Which moments of a steady clock have come: multiples of a period after the first one asked about.

    Where time jumps, back or ahead by more than `patience`, they go on from there. All in nanoseconds.
    """

    def __init__(self, period: int, patience: int):
        self._period, self._patience = period, patience
        self._next: int | None = None

    def due(self, now: int) -> list[int]:
        """The moments since the last question, up to now; at most patience / period and one of them."""
        if self._next is None or not now - self._patience <= self._next <= now + self._period:
            self._next = now
        moments = list(range(self._next, now + 1, self._period))
        self._next += len(moments) * self._period
        return moments
