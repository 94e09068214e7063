"""House-Traveler's way through a place: along the walls of one room after the other.

From a room's pole of inaccessibility (the centre of its largest free circle) to a wall, along that wall by the
right-hand rule, and where it comes round to a place visited before, on to the next room: a line without end for a
vehicle to follow. How the vehicle drives it is `vehicle`'s business, how many frames are taken `walks`'.

Walls are followed at WALL_DISTANCE where there is room to turn round (1.4 m between walls), and at 0.35 or 0.3 m where
only that leaves room to turn. Narrower places are passed by, as a wheeled robot could only back out of them, or driven
through along their middle on the way to another room, never nearer to anything than `FreeSpace.least`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import distance_transform_edt

from training.houses.free_space import START_RADIUS, NoFreeSpace
from training.houses.vehicle import DrivableWays, averaged

WALL_DISTANCE = 0.4  # metres from the wall that is followed
NARROWER_WALL_DISTANCES = (0.35, 0.3)  # metres, where there is no room for more, widest first
NARROWER_BY = 0.05  # metres from each of these distances to the one before
VISITED_DISTANCE = 0.3  # metres: nearer than this to where the walk has been is a place visited before
SHORTEST_WALL = 1.0  # metres of wall not yet visited that are worth following
STRAIGHTENED = 0.05  # metres by which the cells' line can be off the wall's
TANGENT_REACH = 3  # points to each side that tell a wall's direction


@dataclass(frozen=True)
class Wall:
    """A closed line along walls, in the direction in which it is followed.

    points (n, 2): a cell apart. nodes (n,): of `DrivableWays`, there and in that direction, -1 for none. rooms (n,):
    that they are in. cells: rows and columns (n,).
    """

    points: np.ndarray
    nodes: np.ndarray
    rooms: np.ndarray
    cells: tuple[np.ndarray, np.ndarray]


class WallFollower:
    """The lines of House-Traveler through a free space.

    Raises NoFreeSpace where no room has a free circle of START_RADIUS from which the robot can drive on for ever.
    """

    def __init__(self, space):
        self.space, self.ways = space, DrivableWays(space)
        self.turn_radius = self.ways.turn_radius
        self.poles = self._find_poles()
        if not self.poles:
            raise NoFreeSpace(
                f"no free space: the largest free circle has a radius of {space.clear.max(initial=0.0):.2f} m, a robot"
                f" needs more than {START_RADIUS:g} m to start and {space.least + self.turn_radius:g} m to turn round"
            )

    def _find_poles(self):
        """{room: the spot with most air around it}, of the rooms in which a walk can begin."""
        space = self.space
        poles = {}
        for room in range(len(space.place.rooms)):
            spots = np.flatnonzero(self.ways.leaving_spots & (space.spot_rooms == room))
            if len(spots):
                pole = int(spots[space.spot_clear[spots].argmax()])
                if space.place.clearance(space.spots[[pole]], space.top)[0].round(4) > START_RADIUS:
                    poles[room] = pole
        return poles

    def is_blind_alley(self, room):
        """Whether a walk can begin in a room but not turn round in it."""
        return len(self.ways.nodes_of(self.poles[room], self.ways.lasting)) == 0

    @cached_property
    def walls(self):
        """The walls, on the right of who follows them."""
        inside = within(self._turning_centres(), self.turn_radius / self.space.grid.cell)
        return [wall for wall in map(self._wall, outlines(inside)) if wall is not None]

    def _turning_centres(self):
        """Cells about which a robot that follows walls can turn: those WALL_DISTANCE and a turn's radius from all.

        Where it is narrower than that, down to the least of NARROWER_WALL_DISTANCES, cells in the middle between walls.
        """
        clear, cell = self.space.clear, self.space.grid.cell
        centres = clear >= WALL_DISTANCE + self.turn_radius
        for distance in NARROWER_WALL_DISTANCES:
            radius = distance + self.turn_radius
            covered = within(centres, (radius + NARROWER_BY) / cell)
            centres = centres | (clear >= radius) & ~covered
        return centres

    def _wall(self, cells):
        """A wall from the cells (n, 2: row, column) along it; None if it is too short to follow."""
        space = self.space
        if len(cells) * space.grid.cell < SHORTEST_WALL:
            return None
        points = averaged_round(space.grid.centres(*cells.T))
        clear = space.place.clearance(points, space.top)
        off = np.maximum(0.0, clear - WALL_DISTANCE)  # much in corners, which are rounded, and rightly so
        shift = np.where(off < STRAIGHTENED, off, np.maximum(0.0, 2 * STRAIGHTENED - off))
        direction = directions(points)
        points = averaged_round(points + shift[:, None] * np.stack([np.sin(direction), -np.cos(direction)], axis=1))
        return self._directed(points)

    def _directed(self, points):
        cells = self.space.grid.cells(points)
        return Wall(points, self.ways.nodes_at(points, directions(points)), self.space.grid.rooms[cells], cells)

    @cached_property
    def walls_on_the_left(self):
        """The walls, on the left of who follows them."""
        return [self._directed(wall.points[::-1]) for wall in self.walls]

    def line(self, start, rank, length, left_hand):
        """Points (k, 2), close to each other, of a line that is at least `length` metres long.

        start: the room, one of `poles`, to start in. rank (rooms,): lower ones are gone to first.
        """
        walls = self.walls_on_the_left if left_hand else self.walls
        journey = Journey(self, walls, rank)
        journey.start(start)
        while journey.length < length:
            journey.go_on()
        return np.concatenate(journey.pieces)


class Journey:
    """A line while it grows: where it has been, and where it goes on."""

    def __init__(self, follower, walls, rank):
        self.follower, self.walls, self.rank = follower, walls, np.array(rank)
        self.pieces, self.length, self.nodes = [], 0.0, None
        self.forget()

    def forget(self):
        """From here on no place counts as visited."""
        self.trail = np.zeros(self.follower.space.grid.blocked.shape, bool)
        self.visited_rooms, self._visited = set(), None

    def start(self, room):
        """Begin at a room's pole, in whatever direction, and follow the walls of this room first."""
        ways, pole = self.follower.ways, self.follower.poles[room]
        self.nodes = ways.nodes_of(pole, ways.leaving)
        costs, before = ways.costs_from(self.nodes)
        self.add(self.follower.space.spots[[pole]])
        target = self.wall_in(room, costs)
        if target is not None:
            self.follow(*target, before)

    def go_on(self):
        """Go to the next room and along its walls."""
        costs, before = self.follower.ways.costs_from(self.nodes)
        for room in self.preferred_rooms():
            target = self.wall_in(room, costs)
            if target is not None:
                return self.follow(*target, before)
            if room in self.follower.poles and room not in self.visited_rooms:
                nodes = self.follower.ways.nodes_of(self.follower.poles[room], self.reached(costs))
                if len(nodes):
                    return self.go_to(int(nodes[costs[nodes].argmin()]), before)
        self.forget()
        return self.wander(costs, before)

    def preferred_rooms(self):
        """All rooms: first those that this walk has not been in, then by rank."""
        been = [room in self.visited_rooms for room in range(len(self.rank))]
        return sorted(range(len(self.rank)), key=lambda room: (been[room], self.rank[room]))

    def wall_in(self, room, costs):
        """(wall, index on it, points to follow) where a room's walls are best reached; None if all are visited."""
        best, best_cost = None, np.inf
        for wall in self.walls:
            runs = self.unvisited_runs(wall)
            fits = (wall.rooms == room) & (wall.nodes >= 0) & (runs * self.follower.space.grid.cell >= SHORTEST_WALL)
            cost = np.where(fits, costs[wall.nodes], np.inf)
            index = int(cost.argmin())
            if cost[index] < best_cost:
                best, best_cost = (wall, index, int(runs[index])), cost[index]
        return best

    def unvisited_runs(self, wall):
        """How many points (n,) of a wall from each on are not visited."""
        count = len(wall.points)
        visited = np.flatnonzero(self.visited[wall.cells])
        whole_round = count - int(VISITED_DISTANCE / self.follower.space.grid.cell)
        if len(visited) == 0:
            return np.full(count, whole_round)
        visited = np.append(visited, visited + count)
        run = visited[np.searchsorted(visited, np.arange(count))] - np.arange(count)
        return np.minimum(run, whole_round)

    @property
    def visited(self):
        """Which cells are within VISITED_DISTANCE of where the walk has been, (rows, columns) bool."""
        if self._visited is None:
            self._visited = within(self.trail, VISITED_DISTANCE / self.follower.space.grid.cell)
        return self._visited

    def follow(self, wall, index, count, before):
        """Go to a wall's point of this index and along the wall for so many points."""
        self.go_to(int(wall.nodes[index]), before)
        along = np.arange(index, index + count) % len(wall.points)
        self.add(wall.points[along])
        nodes = wall.nodes[along]
        self.nodes = nodes[nodes >= 0][-1:]

    def go_to(self, node, before):
        """Go to a node by the shortest way."""
        self.add(self.follower.ways.line(before, node))
        self.nodes = np.array([node])

    def wander(self, costs, before):
        """Go as far away as there is a way to."""
        self.go_to(int(np.where(self.reached(costs), costs, -1.0).argmax()), before)

    def reached(self, costs):
        """To which nodes (nodes,) there is a way, and one on from there."""
        return np.isfinite(costs) & self.follower.ways.lasting

    def add(self, points):
        """The line goes on along these points (n, 2)."""
        grid = self.follower.space.grid
        line = np.concatenate([self.pieces[-1][-1:], points]) if self.pieces else points
        self.length += float(np.hypot(*np.diff(line, axis=0).T).sum())
        self.pieces.append(points)
        cells = grid.cells(points)
        self.trail[cells], self._visited = True, None
        self.visited_rooms |= set(grid.rooms[cells].tolist())


def within(cells, reach):
    """Which cells are no farther than `reach` (cells) from some cells, both (rows, columns) bool."""
    return distance_transform_edt(~cells) <= np.round(reach, 3) if cells.any() else cells


def outlines(inside):
    """The closed outlines of the regions of cells (rows, columns), as cells (n, 2) that keep the outside on the right.

    Each is a sequence of cells of the region, neighbours, in which none comes twice in a row.
    """
    padded = np.pad(inside, 1)
    edges = {}
    for (d_row, d_column), (begin, end) in SIDES_OF_A_CELL.items():
        outside = ~padded[1 + d_row : padded.shape[0] - 1 + d_row, 1 + d_column : padded.shape[1] - 1 + d_column]
        for row, column in np.argwhere(inside & outside).tolist():
            corner, next_corner = (row + begin[0], column + begin[1]), (row + end[0], column + end[1])
            edges.setdefault(corner, []).append((next_corner, (row, column)))
    found = []
    while edges:
        found.append(trace(edges, next(iter(edges))))
    return found


# neighbour (row, column) -> the corners between which the side towards it runs, the cell on its left
SIDES_OF_A_CELL = {
    (-1, 0): ((0, 0), (0, 1)),
    (0, 1): ((0, 1), (1, 1)),
    (1, 0): ((1, 1), (1, 0)),
    (0, -1): ((1, 0), (0, 0)),
}


def trace(edges, corner):
    """The cells (n, 2) along one closed outline, from a corner on; its edges are taken out of `edges`."""
    cells, cell = [], None
    while corner in edges:
        leaving = edges[corner]
        # where two regions touch at a corner: stay with the same cell's region
        choice = next((i for i, (_, other) in enumerate(leaving) if other == cell), 0)
        corner_after, cell = leaving.pop(choice)
        if not leaving:
            del edges[corner]
        if not cells or cells[-1] != cell:
            cells.append(cell)
        corner = corner_after
    return np.array(cells)


def averaged_round(points):
    """Points (n, 2) of a closed line without the grid's stairs."""
    reach = min(10, len(points))
    return averaged(np.concatenate([points[-reach:], points, points[:reach]]))[reach:-reach]


def directions(points):
    """The direction (n,) of a closed line at its points (n, 2), radians."""
    ahead = np.roll(points, -TANGENT_REACH, axis=0) - np.roll(points, TANGENT_REACH, axis=0)
    return np.arctan2(ahead[:, 1], ahead[:, 0])
