"""The vehicle that makes a walk: which ways it can drive, and how it drives them.

A kinematic bicycle at constant speed with limited steering, so that it moves along its heading and never turns on the
spot. `DrivableWays` plans ways that its steering allows, U-turns included; `drive` follows a line with a
linear-quadratic regulator that knows the line ahead (preview) and so rounds its corners from before them. Where to go
is `wall_following`'s business.
"""

from functools import lru_cache
from math import atan2, cos, hypot, pi, radians, sin, tan

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra

from training.houses.free_space import COMFORTABLE_CLEARANCE

STEERING_LIMIT = 49.0  # degrees, of the front wheel: turns of 0.87 wheelbases radius, tighter than any way planned
STEP = 0.2  # metres from frame to frame
SUBSTEPS = 4  # of the vehicle's motion in a step
SPACING = STEP / SUBSTEPS  # metres between the points of the line that it follows
STAIR_REACH = 3  # points to each side over which a line from the grid is averaged: 15 cm
SMOOTHING_LENGTH = 0.2  # metres: what is much shorter than this in a line is smoothed away
RICCATI_STEPS = 200  # the recursion has converged to the last bit long before

HEADINGS = 8  # that ways on the lattice have: multiples of 45 degrees, 0 along +x
TURN_PRICE = 0.5  # spacings that an eighth of a turn costs beyond its length
# Lattice steps (x, y) straight on at each heading, and those of an eighth of a turn; eight turns close a circle with a
# radius of three spacings.
STRAIGHT = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
LEFT = ((2, 1), (1, 2), (-1, 2), (-2, 1), (-2, -1), (-1, -2), (1, -2), (2, -1))
PLANNED_TURN = 3  # spacings: the radius
PLANNED_WHEELBASE = 3  # spacings: 0.3 m; where only tighter ways lead on, the vehicle is shorter


# Ways that can be driven


class DrivableWays:
    """The ways of a vehicle through a free space: a graph whose nodes are spots with one of eight headings.

    Node = spot * HEADINGS + heading. lasting (nodes,) tells from which nodes the vehicle can go on for ever and come
    back; ends of ways are chosen among those.
    """

    def __init__(self, space):
        self.space, self.spacing = space, space.stride * space.grid.cell
        self.turn_radius = PLANNED_TURN * self.spacing
        self.wheelbase = PLANNED_WHEELBASE * self.spacing
        self.graph = self._connect()
        count, part = connected_components(self.graph, connection="strong")
        self.lasting = np.bincount(part, minlength=count)[part] > 1
        # from which nodes the vehicle comes to a lasting one, as out of a blind alley
        self.leaving = np.isfinite(dijkstra(self.graph.T.tocsr(), indices=np.flatnonzero(self.lasting), min_only=True))

    @property
    def leaving_spots(self):
        """Which spots (n,) have a node from which the vehicle comes to a lasting one."""
        return self.leaving.reshape(-1, HEADINGS).any(axis=1)

    def nodes_of(self, spot, among):
        """The nodes of a spot that are among some, (nodes,) bool."""
        return spot * HEADINGS + np.flatnonzero(among[spot * HEADINGS : (spot + 1) * HEADINGS])

    def _connect(self):
        """The graph. Costs are whole tenths of a millimetre; narrow places cost more."""
        price = 1.0 + 4.0 * np.maximum(0.0, COMFORTABLE_CLEARANCE - self.space.spot_clear)
        starts, ends, costs = [], [], []
        for heading in range(HEADINGS):
            right = LEFT[(heading - 1 + HEADINGS // 2) % HEADINGS]  # a right turn is a left turn driven backwards
            for (dx, dy), turn in ((STRAIGHT[heading], 0), (LEFT[heading], 1), ((-right[0], -right[1]), -1)):
                first, second = self._neighbours(dx, dy)
                if turn:
                    length = (PLANNED_TURN * pi / 4 + TURN_PRICE) * self.spacing
                else:
                    length = hypot(dx, dy) * self.spacing
                starts.append(first * HEADINGS + heading)
                ends.append(second * HEADINGS + (heading + turn) % HEADINGS)
                costs.append(np.round(1e4 * length * (price[first] + price[second]) / 2))
        size = HEADINGS * len(self.space.spots)
        return csr_matrix((np.concatenate(costs), (np.concatenate(starts), np.concatenate(ends))), (size, size))

    def _neighbours(self, dx, dy):
        """The spots from which one gets (dx, dy) lattice steps further, and those where one is then."""
        index = self.space.spot_index
        rows, columns = index.shape
        stride = self.space.stride
        row, column = (cells // stride for cells in self.space.spot_cells)
        fits = (row + dy >= 0) & (row + dy < rows) & (column + dx >= 0) & (column + dx < columns)
        first = np.flatnonzero(fits)
        second = index[row[first] + dy, column[first] + dx]
        middle = self.space.clear[(2 * row[first] + dy) * stride // 2, (2 * column[first] + dx) * stride // 2]
        free = (second >= 0) & (middle >= self.space.least)
        return first[free], second[free]

    def nodes_at(self, points, headings):
        """Nodes (n,) at points (n, 2) looking along headings (n,), radians; -1 where there is no lasting one."""
        row, column = (
            np.minimum((cells + self.space.stride // 2) // self.space.stride, size - 1)
            for cells, size in zip(self.space.grid.cells(points), self.space.spot_index.shape, strict=True)
        )
        spot = self.space.spot_index[row, column]
        node = np.maximum(spot, 0) * HEADINGS + heading_index(headings)
        return np.where((spot >= 0) & self.lasting[node], node, -1)

    def costs_from(self, nodes):
        """Costs of the ways from the nearest of some nodes to all, (nodes,), and the node before each on its way."""
        costs, before, _ = dijkstra(self.graph, indices=nodes, return_predecessors=True, min_only=True)
        return costs, before

    def line(self, before, end):
        """Points (k, 2) of the way to the node `end`."""
        nodes = [end]
        while before[nodes[-1]] >= 0:
            nodes.append(int(before[nodes[-1]]))
        return self.space.spots[np.array(nodes[::-1]) // HEADINGS]


def heading_index(headings):
    """The nearest of the lattice's headings (n,) to headings in radians."""
    return np.round(np.round(headings * HEADINGS / (2 * pi), 6)).astype(int) % HEADINGS


# Driving


@lru_cache
def regulator(smoothing_length):
    """Gain (2,), closed loop (2, 2), feed-forward gain (2,) and cost-to-go (2, 2) of the regulator.

    State: metres left of the line and radians left of its direction; control: the path's curvature, 1/metres. The cost
    is curvature^2 + (distance / smoothing_length^2)^2, summed over steps of SPACING; the gain is the fixed point of the
    discrete Riccati recursion.
    """
    motion, steer = np.array([[1.0, SPACING], [0.0, 1.0]]), np.array([SPACING**2 / 2, SPACING])
    weight = np.array([[smoothing_length**-4, 0.0], [0.0, 0.0]])
    cost = weight
    for _ in range(RICCATI_STEPS):
        forward = steer / (1.0 + steer @ cost @ steer)
        gain = forward @ cost @ motion
        cost = weight + motion.T @ cost @ (motion - np.outer(steer, gain))
    return gain, motion - np.outer(steer, gain), forward, cost


def feed_forward(curvatures, smoothing_length):
    """What the regulator steers because of the line ahead: curvature (n,) from the line's curvatures (n,), 1/metres."""
    _, closed_loop, forward, cost = regulator(smoothing_length)
    (a, b), (c, d) = closed_loop.T.tolist()
    f, g = forward.tolist()
    pull = (cost @ np.array([SPACING**2 / 2, SPACING])).tolist()
    ahead_x = ahead_y = 0.0
    steering = np.empty(len(curvatures))
    for k in range(len(curvatures) - 1, -1, -1):
        x, y = ahead_x - pull[0] * curvatures[k], ahead_y - pull[1] * curvatures[k]
        steering[k] = -(f * x + g * y)
        ahead_x, ahead_y = a * x + b * y, c * x + d * y
    return steering


def drive(line, steps, smoothing_length, wheelbase):
    """Where the vehicle is after each of some steps along a line, float64 (steps + 1, 3): x, y, heading (not wrapped).

    line (n, 2): points SPACING apart, longer than the steps. It starts on the line, along it. A step is STEP metres
    long, in SUBSTEPS arcs; their curvature is tan(steering) / wheelbase (metres), the steering within STEERING_LIMIT.
    """
    line = averaged(line)
    motion = np.diff(line, axis=0)
    headings = np.unwrap(np.arctan2(motion[:, 1], motion[:, 0]))
    spacings = np.hypot(motion[:, 0], motion[:, 1])
    curvatures = np.append(np.diff(headings), 0.0) / SPACING
    ahead = feed_forward(curvatures.tolist(), smoothing_length).tolist()
    (pull, straighten), limit = regulator(smoothing_length)[0].tolist(), tan(radians(STEERING_LIMIT)) / wheelbase
    xs, ys, directions, lengths = line[:, 0].tolist(), line[:, 1].tolist(), headings.tolist(), spacings.tolist()
    x, y, heading = xs[0], ys[0], directions[0]
    poses, k, last = [(x, y, heading)], 0, len(directions) - 2
    for _ in range(steps * SUBSTEPS):
        k, share = place_on_line(x, y, k, xs, ys, lengths, last)
        direction = directions[k] + share * (directions[k + 1] - directions[k])
        ux, uy = cos(directions[k]), sin(directions[k])
        left = ux * (y - ys[k]) - uy * (x - xs[k])
        curvature = (
            ahead[k] + share * (ahead[k + 1] - ahead[k]) - pull * left - straighten * turn_between(direction, heading)
        )
        curvature = max(-limit, min(limit, curvature))
        x, y, heading = moved(x, y, heading, curvature)
        poses.append((x, y, heading))
    return np.array(poses[::SUBSTEPS])


def place_on_line(x, y, k, xs, ys, lengths, last):
    """On which piece of a line, from piece `k` on, a point is, and at which share of it."""
    while True:
        dx, dy = xs[k + 1] - xs[k], ys[k + 1] - ys[k]
        share = (dx * (x - xs[k]) + dy * (y - ys[k])) / (lengths[k] * lengths[k])
        if share < 1.0 or k >= last:
            return k, min(1.0, max(0.0, share))
        k += 1


def moved(x, y, heading, curvature):
    """The vehicle SPACING further on a path of this curvature: x, y, heading."""
    turn = curvature * SPACING
    chord = SPACING * (1.0 - turn * turn / 24.0)  # of the arc; exact to 1e-9 m for turns that steering allows
    return x + chord * cos(heading + turn / 2), y + chord * sin(heading + turn / 2), heading + turn


def turn_between(first, second):
    """The turn from one direction to another, -pi..pi."""
    return atan2(sin(second - first), cos(second - first))


def averaged(line):
    """A line (n, 2) without the grid's stairs: each point the mean of those within STAIR_REACH; end points count on."""
    padded = np.concatenate([np.repeat(line[:1], STAIR_REACH, 0), line, np.repeat(line[-1:], STAIR_REACH, 0)])
    sums = np.cumsum(np.concatenate([np.zeros((1, 2)), padded]), axis=0)
    width = 2 * STAIR_REACH + 1
    return (sums[width:] - sums[:-width]) / width


def evenly_spaced(points):
    """Points along a polyline (n, 2), SPACING apart, (k, 2)."""
    points = points[np.append(True, np.hypot(*np.diff(points, axis=0).T) > 1e-6)]
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    along = np.arange(int(lengths[-1] / SPACING + 1e-6) + 1) * SPACING
    return np.stack([np.interp(along, lengths, points[:, i]) for i in range(2)], axis=1)
