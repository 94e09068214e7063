"""Paths of a robot through a house: collision-free, from room to room, in the motion of a wheeled base.

The base moves only along its heading and turns on the spot where a curve is too tight, so that one path serves both for
trajectories (a frame every 20 cm or 15 degrees) and for a bag (odometry at 50 Hz).
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from training.houses.draws import Draws

ROBOT_RADIUS = 0.22  # metres
PLANNED_CLEARANCE = 0.28  # metres from the robot's centre, for the plan on the grid
COMFORTABLE_CLEARANCE = 0.6  # metres: farther from things no way is better than another
CELL = 0.1  # metres, of the grid
CARPET_HEIGHT, ROBOT_HEIGHT = 0.15, 0.75  # metres: what stands between them blocks
KNOT_SPACING = 0.02  # metres
SMOOTHING_STEPS = 40
HEADING_SMOOTHING = 0.12  # metres: over which the heading is averaged
STEP, TURN = 0.2, np.radians(15.0)  # most motion from frame to frame, metres and radians
CAMERA_HEIGHTS = (0.4, 1.2)  # metres
CAMERA_TILTS = (-15.0, 5.0)  # degrees
PATH_DRAWS = 3


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


def make_path(house, seed, frames=300, camera_height=None):
    """Camera poses on a walk through a house, float32 (frames, 5): x, y, z in metres, yaw and pitch in radians.

    At most 20 cm and 15 degrees from frame to frame. Height (0.4 to 1.2 m, unless given) and pitch (-15 to 5 degrees)
    are drawn for the path and stay.
    """
    draws = Draws(PATH_DRAWS, seed)
    height = draws.between(*CAMERA_HEIGHTS) if camera_height is None else camera_height
    pitch = np.radians(draws.between(*CAMERA_TILTS))
    path = plan_walk(house, draws, duration=frames - 1, speed=STEP, turn_rate=TURN, height=height)
    poses = np.empty((frames, 5))
    base = path.at(np.arange(frames), STEP, TURN)
    poses[:, :2], poses[:, 2], poses[:, 4] = base[:, :2], height, pitch
    poses[:, 3] = wrapped(base[:, 2])
    return poses.round(4).astype(np.float32)  # so that no machine's last bit shows


def plan_walk(house, draws, duration, speed, turn_rate, height):
    """A path that lasts at least `duration` at this speed (metres) and turn rate (radians per unit of time).

    It visits the rooms in random order, again and again, stops at one or two places in each, and sometimes looks round.
    """
    space = FreeSpace(house, max(ROBOT_HEIGHT, height + 0.1))
    legs, lasted, here = [], 0.0, None
    for room in room_order(house, draws):
        for _ in range(draws.count(1, 2)):
            place = space.draw_place(draws, room)
            if place is None:
                break
            if here is None:
                here = place
                heading = draws.between(-np.pi, np.pi)
                continue
            points = space.way(here, place)
            if points is None or len(points) < 3:
                continue
            leg = drive(space.smoothed(points), heading)
            if draws.chance(0.2):
                leg = look_round(draws, leg)
            legs.append(leg)
            lasted += Path(leg).times(speed, turn_rate)[-1]
            here, heading = place, leg[-1, 2]
            if lasted >= duration:
                return Path(np.concatenate(legs))
    raise AssertionError("unreachable: rooms are visited without end")


def room_order(house, draws):
    """Rooms to visit, without end: all of them in random order, then again in another."""
    while True:
        yield from draws.shuffled(range(len(house.rooms)))


def obstacles(house, height=ROBOT_HEIGHT):
    """Rectangles (n, 4: x0, y0, x1, y1) that block a robot of this height: walls, and furniture other than carpets."""
    pieces = [piece.footprint for piece in house.pieces if piece.stands_between(CARPET_HEIGHT, height)]
    return np.array([(r.x0, r.y0, r.x1, r.y1) for r in [*house.walls, *pieces]])


def clearance(points, rectangles):
    """Distance of points (n, 2) from the nearest of some rectangles (m, 4), metres; 0 inside, infinite without any."""
    x, y = points[:, :1], points[:, 1:]
    dx = np.maximum(np.maximum(rectangles[:, 0] - x, x - rectangles[:, 2]), 0.0)
    dy = np.maximum(np.maximum(rectangles[:, 1] - y, y - rectangles[:, 3]), 0.0)
    return np.sqrt((dx * dx + dy * dy).min(axis=1, initial=np.inf))


class FreeSpace:
    """Where in a house a robot's centre can be, and its ways from place to place, on a grid."""

    def __init__(self, house, height):
        self.house, self.obstacles = house, obstacles(house, height)
        columns, rows = int(house.bounds.width / CELL), int(house.bounds.depth / CELL)
        row, column = np.divmod(np.arange(rows * columns), columns)
        centres = np.stack([(column + 0.5) * CELL, (row + 0.5) * CELL], axis=1)
        clear = clearance(centres, self.obstacles)
        free = clear >= PLANNED_CLEARANCE
        self.places, self.clear = centres[free], clear[free]
        self.graph = grid_graph(free.reshape(rows, columns), self.clear)
        self.rooms = np.array([house.room_at(x, y) for x, y in self.places.tolist()])
        self._start = None

    def draw_place(self, draws, room):
        """The index of a place in a room, the one with most air around it of three; None if the room is full."""
        candidates = np.flatnonzero(self.rooms == room)
        if len(candidates) == 0:
            return None
        return max((int(draws.choice(candidates)) for _ in range(3)), key=lambda place: self.clear[place])

    def way(self, start, end):
        """Points (n, 2) from place to place, 10 to 14 cm apart; None if there is no way."""
        before = dijkstra(self.graph, indices=start, return_predecessors=True)[1]
        if before[end] < 0:
            return None
        way = [end]
        while way[-1] != start:
            way.append(int(before[way[-1]]))
        return self.places[way[::-1]]

    def smoothed(self, points):
        """The points, moved towards the middle of their neighbours as long as they stay clear of everything."""
        reach = [points.min(axis=0) - 1.0, points.max(axis=0) + 1.0]
        near = (self.obstacles[:, :2] < reach[1]).all(axis=1) & (self.obstacles[:, 2:] > reach[0]).all(axis=1)
        near = self.obstacles[near]
        points = points.copy()
        for _ in range(SMOOTHING_STEPS):
            middle = points[1:-1] + 0.5 * ((points[:-2] + points[2:]) / 2 - points[1:-1])
            keeps = clearance(middle, near) >= PLANNED_CLEARANCE - 0.01
            points[1:-1][keeps] = middle[keeps]
        return points


def grid_graph(free, clear):
    """Sparse graph between the free cells (rows, columns) and their eight neighbours; narrow places cost more.

    Costs are whole tenths of a millimetre, so that sums of them are exact and ways the same on every machine.
    """
    index = np.full(free.shape, -1)
    index[free] = np.arange(free.sum())
    price = 1.0 + 4.0 * np.maximum(0.0, COMFORTABLE_CLEARANCE - clear)
    starts, ends, costs = [], [], []
    for d_row, d_column in ((0, 1), (1, 0), (1, 1), (1, -1)):
        rows, columns = free.shape
        first = index[: rows - d_row, max(0, -d_column) : columns - max(0, d_column)].reshape(-1)
        second = index[d_row:, max(0, d_column) : columns + min(0, d_column)].reshape(-1)
        both = (first >= 0) & (second >= 0)
        first, second = first[both], second[both]
        cost = np.round(1e4 * CELL * np.hypot(d_row, d_column) * (price[first] + price[second]) / 2)
        starts += [first, second]
        ends += [second, first]
        costs += [cost, cost]
    size = int(free.sum())
    return coo_matrix((np.concatenate(costs), (np.concatenate(starts), np.concatenate(ends))), (size, size)).tocsr()


def drive(points, heading):
    """Knots (k, 3) of a drive along points (n, 2), which begins with a turn on the spot from `heading`."""
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    count = max(2, int(np.ceil(lengths[-1] / KNOT_SPACING)) + 1)
    along = np.linspace(0.0, lengths[-1], count)
    line = np.stack([np.interp(along, lengths, points[:, i]) for i in range(2)], axis=1)
    headings = smooth_headings(line)
    headings += heading + wrapped(headings[0] - heading) - headings[0]
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


def wrapped(angle):
    """An angle in -pi..pi."""
    return (angle + np.pi) % (2 * np.pi) - np.pi
