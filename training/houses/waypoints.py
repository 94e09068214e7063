"""The random-waypoint walk: from place to place in one room after the other, in the motion of a wheeled base.

The base moves only along its heading and turns on the spot where a curve is too tight, so that one path serves for
trajectories (a frame every 20 cm or 15 degrees), for a bag (odometry at 50 Hz) and for a robot that drives it.
"""

from dataclasses import dataclass

import numpy as np

from training.houses.free_space import FreeSpace, NoFreeSpace, blocking_height, walkable

KNOT_SPACING = 0.02  # metres
HEADING_SMOOTHING = 0.12  # metres: over which the heading is averaged
HALF_TURN_TIE = 1e-6  # radians: so near to half a turn, the last bit must not decide between left and right
FEWEST_SPOTS = 10  # of free space, 10 cm apart: with fewer there is nowhere to go


@dataclass(frozen=True)
class Path:
    """Where a base goes, as knots: x, y (metres) and heading (radians, not wrapped), (k, 3) float64.

    Between two knots it moves in a straight line or turns on the spot.
    """

    knots: np.ndarray

    def times(self, speed, turn_rate):
        """When the base is at each knot if it never moves faster than `speed` nor turns faster than `turn_rate`."""
        change = np.diff(self.knots, axis=0)
        durations = np.maximum(np.hypot(change[:, 0], change[:, 1]) / speed, np.abs(change[:, 2]) / turn_rate)
        return np.concatenate([[0.0], np.cumsum(durations)])

    def at(self, times, speed, turn_rate):
        """The base's x, y, heading at the given times, (len(times), 3); it rests at the path's ends."""
        knot_times = self.times(speed, turn_rate)
        return np.stack([np.interp(times, knot_times, self.knots[:, i]) for i in range(3)], axis=1)


def plan_walk(place, draws, duration, speed, turn_rate, height):
    """A path that lasts at least `duration` at this speed (metres) and turn rate (radians per unit of time).

    The first of `walk_legs` together; see there for the rest.
    """
    legs, lasted = [], 0.0
    for leg in walk_legs(place, draws, height):
        legs.append(leg.knots)
        lasted += leg.times(speed, turn_rate)[-1]
        if lasted >= duration:
            return Path(np.concatenate(legs))
    raise AssertionError("unreachable: rooms are visited without end")


def walk_legs(place, draws, height):
    """Paths without end, each from where the one before ended to the next place.

    place: a `House` or anything `Walkable`. height: the camera's above the floor, metres. They visit the rooms in
    random order, again and again, stop at one or two places in each, and sometimes look round. Raises NoFreeSpace (a
    ValueError) where a robot has no room to move.
    """
    space = FreeSpace(walkable(place), blocking_height(height))
    candidates = spots_of_rooms(space)
    here = None
    for room in room_order(list(candidates), draws):
        for _ in range(draws.count(1, 2)):
            spot = draw_spot(draws, space, candidates[room])
            if here is None:
                here = spot
                heading = draws.between(-np.pi, np.pi)
                continue
            points = space.way(here, spot)
            if len(points) < 3:
                continue
            leg = drive(space.smoothed(points), heading)
            if draws.chance(0.2):
                leg = look_round(draws, leg)
            here, heading = spot, leg[-1, 2]
            yield Path(leg)


def spots_of_rooms(space):
    """{room: its spots in the largest connected part of the free space}, of the rooms that have any."""
    sizes = np.bincount(space.parts, minlength=1)
    if sizes.max() < FEWEST_SPOTS:
        raise NoFreeSpace(
            f"no free space: a robot of {space.least:g} m radius fits, connected, into {sizes.max()} spots 10 cm apart,"
            f" expected at least {FEWEST_SPOTS}"
        )
    rooms = np.where(space.parts == sizes.argmax(), space.spot_rooms, -1)
    found = {room: np.flatnonzero(rooms == room) for room in range(len(space.place.rooms))}
    found = {room: spots for room, spots in found.items() if len(spots) >= FEWEST_SPOTS}
    if not found:
        raise NoFreeSpace("no free space: nowhere inside a room has a robot room to move")
    return found


def draw_spot(draws, space, spots):
    """One of some spots, the one with most air around it of three."""
    return max((int(draws.choice(spots)) for _ in range(3)), key=lambda spot: space.spot_clear[spot])


def room_order(rooms, draws):
    """Rooms to visit, without end: all of them in random order, then again in another."""
    while True:
        yield from draws.shuffled(rooms)


def drive(points, heading):
    """Knots (k, 3) of a drive along points (n, 2), which begins with a turn on the spot from `heading`."""
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    count = max(2, int(np.ceil(lengths[-1] / KNOT_SPACING)) + 1)
    along = np.linspace(0.0, lengths[-1], count)
    line = np.stack([np.interp(along, lengths, points[:, i]) for i in range(2)], axis=1)
    headings = smooth_headings(line)
    headings += heading + turn_on_the_spot(headings[0] - heading) - headings[0]
    knots = np.column_stack([line, headings])
    return np.concatenate([[(*line[0], heading)], knots])


def smooth_headings(line):
    """The directions of motion (k) along evenly spaced points, without jumps, averaged over HEADING_SMOOTHING."""
    directions = np.arctan2(*np.diff(line, axis=0).T[::-1])
    directions = np.unwrap(np.append(directions, directions[-1]))
    reach = max(1, int(HEADING_SMOOTHING / KNOT_SPACING))
    padded = np.concatenate([np.full(reach, directions[0]), directions, np.full(reach, directions[-1])])
    return np.convolve(padded, np.full(2 * reach + 1, 1.0 / (2 * reach + 1)), mode="valid")


def look_round(draws, leg):
    """A drive with a look to one side, or all round, at its end."""
    x, y, heading = leg[-1]
    side = draws.choice((-1.0, 1.0))
    if draws.chance(0.4):
        turns = [side * 2 * np.pi]
    else:
        turns = [side * draws.between(0.6, 1.6), -side * draws.between(0.6, 1.6)]
    return np.concatenate([leg, [(x, y, heading + turn) for turn in turns]])


def turn_on_the_spot(angle):
    """The shorter turn (radians) that changes the heading by an angle; half a turn is one to the left."""
    turn = wrapped(angle)
    return np.pi if turn < HALF_TURN_TIE - np.pi else turn


def wrapped(angle):
    """An angle in -pi..pi."""
    return (angle + np.pi) % (2 * np.pi) - np.pi
