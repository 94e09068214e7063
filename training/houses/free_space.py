"""Free space: where in a place a robot's centre can be, and its shortest ways from spot to spot, on a grid.

A place is whatever is `Walkable`: a made house, by way of `walkable`, or a scene from a file. What drives through the
space is the business of `wall_following` and `waypoints`.

All decisions are taken on whole numbers (cells, squared distances between cells, costs in tenths of a millimetre), so
that no machine's last bit decides a way.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, dijkstra

from training.houses.house import House

CELL = 0.05  # metres, of a grid
CARPET_HEIGHT, ROBOT_HEIGHT = 0.15, 0.75  # metres above the floor: what stands between them blocks
CAMERA_HOUSING = 0.1  # metres above the camera's centre that must be free, too
ROBOT_RADIUS = 0.22  # metres
START_RADIUS = 0.4  # metres: the free circle about a walk's start must be larger (House-Traveler)
MARGIN = 0.03  # metres: ways on the grid keep the radius and this from things, as steering is not perfect
COMFORTABLE_CLEARANCE = 0.6  # metres: farther from things no way is better than another
SPOT_STRIDE = 2  # cells from spot to spot: ways are planned on every second cell
SMOOTHING_STEPS = 40
CELL_CORNER = np.sqrt(0.5)  # cells from a cell's centre to its corner


class NoFreeSpace(ValueError):
    """A robot cannot walk in a place."""


@dataclass(frozen=True)
class Grid:
    """A place from above. blocked: (rows, columns) bool, True where anything a robot would hit is in the cell.

    rooms: (rows, columns) int16, the index of the room that the cell is in, -1 in none. Rows grow with y, columns with
    x; cell (0, 0) covers x0..x0 + cell, y0..y0 + cell (metres). Beyond the grid all is blocked.
    """

    blocked: np.ndarray
    rooms: np.ndarray
    x0: float
    y0: float
    cell: float = CELL

    def centres(self, rows, columns):
        """The middles (n, 2) of cells, x and y in metres."""
        return np.stack([self.x0 + (columns + 0.5) * self.cell, self.y0 + (rows + 0.5) * self.cell], axis=-1)

    def cells(self, points):
        """Row and column (n,) of the cells that hold points (n, 2); of the nearest cells for those beyond the grid."""
        # rounded: walls and lines at round figures lie between two cells
        column, row = np.floor(((points - np.array([self.x0, self.y0])) / self.cell).round(6)).astype(int).T
        return row.clip(0, self.blocked.shape[0] - 1), column.clip(0, self.blocked.shape[1] - 1)


class Walkable(Protocol):
    """A place to walk in. rooms: one for each room, each with a name. floor_height: z of the floor, metres."""

    rooms: tuple
    floor_height: float

    def grid(self, top: float) -> Grid:
        """The grid in which what stands between CARPET_HEIGHT and `top` metres above the floor blocks."""

    def clearance(self, points: np.ndarray, top: float) -> np.ndarray:
        """Metres (n,) from points (n, 2) to the nearest thing that blocks; 0 inside, never more than the true ones."""


def walkable(place):
    """The place itself, or what makes a `House` walkable."""
    return HouseSpace(place) if isinstance(place, House) else place


def blocking_height(camera_height):
    """Up to which height above the floor things block a robot whose camera is at this height, metres."""
    return max(ROBOT_HEIGHT, camera_height + CAMERA_HOUSING)


class HouseSpace:
    """A made house as a place to walk in: walls, and the rectangles that hold its furniture, block."""

    floor_height = 0.0

    def __init__(self, house):
        self.house, self.rooms = house, house.rooms

    def grid(self, top):
        """See `Walkable`. A cell is blocked if a wall or a piece reaches into it."""
        bounds = self.house.bounds
        shape = (int(np.ceil(round(bounds.depth / CELL, 6))), int(np.ceil(round(bounds.width / CELL, 6))))
        grid = Grid(np.zeros(shape, bool), np.full(shape, -1, np.int16), bounds.x0, bounds.y0)
        for rectangle in obstacles(self.house, top):
            # a thousandth of a cell keeps an edge that lies between two cells out of the next one
            first = np.floor(((rectangle[:2] - (bounds.x0, bounds.y0)) / CELL).round(3)).astype(int).clip(0)
            last = np.ceil(((rectangle[2:] - (bounds.x0, bounds.y0)) / CELL).round(3)).astype(int).clip(0)
            grid.blocked[first[1] : last[1], first[0] : last[0]] = True
        for index, room in enumerate(self.rooms):
            low = np.round((np.array([room.cell.x0, room.cell.y0]) - (bounds.x0, bounds.y0)) / CELL).astype(int)
            high = np.round((np.array([room.cell.x1, room.cell.y1]) - (bounds.x0, bounds.y0)) / CELL).astype(int)
            grid.rooms[low[1] : high[1], low[0] : high[0]] = index
        return grid

    def clearance(self, points, top):
        """See `Walkable`. Exact for the rectangles."""
        return distance(points, obstacles(self.house, top))


def obstacles(house, top):
    """Rectangles (n, 4: x0, y0, x1, y1) that block a robot of this height: walls, and furniture other than carpets."""
    pieces = [piece.footprint for piece in house.pieces if piece.stands_between(CARPET_HEIGHT, top)]
    return np.array([(r.x0, r.y0, r.x1, r.y1) for r in [*house.walls, *pieces]]).reshape(-1, 4)


def distance(points, rectangles):
    """Metres (n,) from points (n, 2) to the nearest of some rectangles (m, 4); 0 inside, infinite without any."""
    x, y = points[:, :1], points[:, 1:]
    dx = np.maximum(np.maximum(rectangles[:, 0] - x, x - rectangles[:, 2]), 0.0)
    dy = np.maximum(np.maximum(rectangles[:, 1] - y, y - rectangles[:, 3]), 0.0)
    return np.sqrt((dx * dx + dy * dy).min(axis=1, initial=np.inf))


class FreeSpace:
    """Where in a place the centre of a robot of some height can be, and its ways from spot to spot.

    clear: (rows, columns), metres that a cell's centre is away from everything at least; off by up to 6 cm, never over.
    Spots are every `stride`-th cell where the robot fits, 10 cm apart; they are known by their index in `spots` (n, 2).
    """

    def __init__(self, place, top, stride=SPOT_STRIDE):
        self.place, self.top, self.grid, self.stride = place, top, place.grid(top), stride
        cells = distance_transform_edt(np.pad(~self.grid.blocked, 1))[1:-1, 1:-1]
        self.clear = np.maximum(0.0, cells - CELL_CORNER) * self.grid.cell
        self.least = ROBOT_RADIUS + MARGIN

    @cached_property
    def spot_index(self):
        """The index of the spot in each of every `stride`-th cell, (rows, columns); -1 where the robot does not fit."""
        free = self.clear[:: self.stride, :: self.stride] >= self.least
        index = np.full(free.shape, -1)
        index[free] = np.arange(free.sum())
        return index

    @cached_property
    def spot_cells(self):
        """Rows and columns (n,) of the spots' cells."""
        return tuple(self.stride * cells for cells in np.nonzero(self.spot_index >= 0))

    @cached_property
    def spots(self):
        """Centres (n, 2) of the spots, metres."""
        return self.grid.centres(*self.spot_cells)

    @cached_property
    def spot_clear(self):
        """Clearance (n,) of the spots, metres."""
        return self.clear[self.spot_cells]

    @cached_property
    def spot_rooms(self):
        """Room (n,) of each spot, -1 for none."""
        return self.grid.rooms[self.spot_cells]

    @cached_property
    def graph(self):
        """Sparse graph (n, n) between neighbouring spots."""
        return lattice_graph(self.spot_index, self.spot_clear, self.stride * self.grid.cell)

    @cached_property
    def parts(self):
        """Which part (n,) of the free space each spot is in; there is a way between any two spots of a part."""
        return connected_components(self.graph, directed=False)[1]

    def ways_from(self, start):
        """Costs (n,) of the ways from a spot to each, and for each the spot before it on its way (negative: none)."""
        return dijkstra(self.graph, indices=start, return_predecessors=True)

    def way(self, start, end):
        """Points (k, 2) from spot to spot, 10 to 14 cm apart; None if there is no way."""
        before = self.ways_from(start)[1]
        if before[end] < 0 and end != start:
            return None
        return self.spots[backwards(before, start, end)[::-1]]

    def smoothed(self, points):
        """The points, moved towards the middle of their neighbours as long as they stay clear of everything."""
        points, clear = points.copy(), self.least + 0.02  # the line between two points comes nearer than both
        for _ in range(SMOOTHING_STEPS):
            middle = points[1:-1] + 0.5 * ((points[:-2] + points[2:]) / 2 - points[1:-1])
            keeps = self.place.clearance(middle, self.top).round(6) >= clear  # rounded: what stands in line ties
            points[1:-1][keeps] = middle[keeps]
        return points


def backwards(before, start, end):
    """The spots on the way from `start` to `end`, in reverse, by what came before each."""
    way = [end]
    while way[-1] != start:
        way.append(int(before[way[-1]]))
    return way


def lattice_graph(index, clear, spacing):
    """Sparse graph between the points of a lattice and their eight neighbours.

    index (rows, columns) numbers the points, -1 where there is none; clear (n,) is theirs; narrow places cost more.
    Costs are whole tenths of a millimetre, so that sums of them are exact and ways the same on every machine.
    """
    price = 1.0 + 4.0 * np.maximum(0.0, COMFORTABLE_CLEARANCE - clear)
    starts, ends, costs = [], [], []
    for d_row, d_column in ((0, 1), (1, 0), (1, 1), (1, -1)):
        rows, columns = index.shape
        first = index[: rows - d_row, max(0, -d_column) : columns - max(0, d_column)].reshape(-1)
        second = index[d_row:, max(0, d_column) : columns + min(0, d_column)].reshape(-1)
        both = (first >= 0) & (second >= 0)
        first, second = first[both], second[both]
        cost = np.round(1e4 * spacing * np.hypot(d_row, d_column) * (price[first] + price[second]) / 2)
        starts += [first, second]
        ends += [second, first]
        costs += [cost, cost]
    size = len(clear)
    return coo_matrix((np.concatenate(costs), (np.concatenate(starts), np.concatenate(ends))), (size, size)).tocsr()
