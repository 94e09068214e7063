"""Where a robot can go in a scene of triangles: its floor, and what stands on it, found from the geometry alone.

Triangles are put into the columns of a grid of 5 cm exactly (not sampled), so that nothing thin is missed and nothing
large costs more than the cells it covers. Reading scenes is `scene_file`'s business, walking `walks`'.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from training.houses.free_space import CARPET_HEIGHT, CELL, ROBOT_HEIGHT, START_RADIUS, Grid

LEVEL = 0.7  # least z of a floor's unit normal: at most 45 degrees steep
FLOOR_BIN = 0.05  # metres, of the histogram of heights
FLOOR_SHARE = 0.2  # of the largest level's area that a lower level needs to be the floor
SMALLEST_FLOOR = 1.0  # square metres
BELOW_FLOOR = 0.1  # metres that floor may lie below the floor's height: scans are noisy, floors sag
FLOOR_GAPS = 2  # cells: gaps in a scanned floor up to twice as wide are closed
SOLID_HEIGHT = 2.0  # metres above the floor up to which faces say that what they belong to is solid
TURNED_FACES = 1.0  # metres below the lowest face that looks up
LAYER = 0.1  # metres of height that are looked at together above ROBOT_HEIGHT
MOST_CELLS = 50_000_000  # of a grid: 350 m square
MOST_TESTS = 300_000_000  # pairs of a triangle and a cell beneath its bounding box
TESTS_AT_ONCE = 2**17
MOST_AREAS = 100
NEAREST = 8  # cells that are looked at for an exact distance


@dataclass(frozen=True)
class Area:
    """A connected part of the free floor. size: square metres."""

    name: str
    size: float


class TriangleSpace:
    """The walkable space (`free_space.Walkable`) of triangles: vertices (v, 3) in metres, z up; triangles (t, 3).

    floor_height is that of the lowest large floor on which there is a free circle of START_RADIUS. A cell is free where
    there is floor at that height, and nothing from CARPET_HEIGHT to a robot's top above it. rooms are the free areas
    that hold such a circle, the largest first. Raises ValueError where there is none, or where the grid would be larger
    than MOST_CELLS.
    """

    def __init__(self, vertices, triangles):
        self.vertices, self.triangles = vertices, triangles
        normal_z, sizes, heights = levels_of(vertices, triangles)
        facing_up = floor_heights(heights[normal_z > LEVEL], sizes[normal_z > LEVEL])
        either_way = floor_heights(heights[abs(normal_z) > LEVEL], sizes[abs(normal_z) > LEVEL])
        # Far below what looks up, what looks down is the floor of a scene whose faces are turned inside out.
        inside_out = [height for height in either_way if not facing_up or height < facing_up[0] - TURNED_FACES]
        for height in [*inside_out, *facing_up, *either_way]:
            if self._stands_on(height, abs(normal_z) > LEVEL):
                return
        where = ", ".join(f"{height:.2f}" for height in either_way) or "none"
        raise ValueError(
            f"no walkable space: no circle of {START_RADIUS} m radius is free from {CARPET_HEIGHT} to "
            f"{ROBOT_HEIGHT} m above a floor (level faces found at heights of {where} m)"
        )

    def _stands_on(self, height, level):
        """Take this as the floor; whether a robot can stand on it anywhere."""
        self.floor_height = float(height)
        low, high = height - BELOW_FLOOR, height + CARPET_HEIGHT
        corners = self.vertices[self.triangles[level]]
        corners = corners[(corners[:, :, 2].max(axis=1) >= low) & (corners[:, :, 2].min(axis=1) <= high)]
        least, most = corners[:, :, :2].min(axis=(0, 1)), corners[:, :, :2].max(axis=(0, 1))
        # Half a cell aside, so that walls at round figures are within a cell and not in the two at their sides.
        self.x0, self.y0 = (float((np.floor(value / CELL) - 0.5) * CELL) for value in least.astype(float))
        shape = tuple(int(np.ceil((most[axis] - start) / CELL)) + 1 for axis, start in ((1, self.y0), (0, self.x0)))
        if shape[0] * shape[1] > MOST_CELLS:
            raise ValueError(f"its floor is {shape[1] * CELL:.0f} x {shape[0] * CELL:.0f} m large")
        floor = np.zeros(shape, bool)
        mark_cells(floor, corners, low, high, self.x0, self.y0)
        gaps = np.ones((2 * FLOOR_GAPS + 1,) * 2, bool)
        self._floor = ndimage.binary_closing(np.pad(floor, FLOOR_GAPS), gaps)[
            FLOOR_GAPS:-FLOOR_GAPS, FLOOR_GAPS:-FLOOR_GAPS
        ]
        self._floor &= ~self._solid()
        self._blocked, self._trees = {}, {}
        self._rooms, self.rooms = free_areas(~self._blocked_to(0))
        return bool(self.rooms)

    def _solid(self):
        """Which columns are inside something: a face above a robot looks up and none beneath it looks down."""
        inside = np.zeros(self._floor.shape, bool)
        for mask, facing, low in ((inside, 1.0, ROBOT_HEIGHT), (under := inside.copy(), -1.0, CARPET_HEIGHT)):
            low, high = self.floor_height + low, self.floor_height + SOLID_HEIGHT
            corners = self._between(low, high)
            normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            level = facing * normals[:, 2] > LEVEL * np.sqrt((normals * normals).sum(axis=1))
            mark_cells(mask, corners[level], low, high, self.x0, self.y0)
        return inside & ~under

    def _between(self, low, high):
        """Corners (n, 3, 3) of the triangles that reach between two heights."""
        heights = self.vertices[:, 2][self.triangles]
        return self.vertices[self.triangles[(heights.max(axis=1) > low) & (heights.min(axis=1) < high)]]

    def grid(self, top):
        """See `Walkable`; `top` is rounded up to 0.75, 0.85, 0.95, ... m, so that few grids serve all heights."""
        return Grid(self._blocked_to(layers_to(top)), self._rooms, self.x0, self.y0)

    def clearance(self, points, top):
        """See `Walkable`: to the cells that block; what stands in a cell may be up to 7 cm farther away."""
        points, layers = np.asarray(points, float).reshape(-1, 2), layers_to(top)
        blocked = self._blocked_to(layers)
        if layers not in self._trees:
            edge = np.pad(blocked, 1, constant_values=True)
            edge &= ~ndimage.binary_erosion(edge, np.ones((3, 3), bool), border_value=1)
            rows, columns = np.nonzero(edge)
            centres = np.stack([self.x0 + (columns - 0.5) * CELL, self.y0 + (rows - 0.5) * CELL], axis=1)
            self._trees[layers] = cKDTree(centres)
        tree = self._trees[layers]
        distances, cells = tree.query(points, k=min(NEAREST, tree.n))
        distances, cells = distances.reshape(len(points), -1), cells.reshape(len(points), -1)
        apart = np.maximum(abs(points[:, None] - tree.data[cells]) - CELL / 2, 0.0)
        clear = np.hypot(apart[..., 0], apart[..., 1]).min(axis=1)
        clear = np.minimum(clear, np.maximum(distances[:, -1] - CELL * np.sqrt(0.5), 0.0))
        column, row = np.floor((points - (self.x0, self.y0)) / CELL).astype(int).T
        inside = (row >= 0) & (column >= 0) & (row < blocked.shape[0]) & (column < blocked.shape[1])
        free = inside.copy()
        free[inside] = ~blocked[row[inside], column[inside]]
        return np.where(free, clear, 0.0)

    def _blocked_to(self, layers):
        """Which cells block up to ROBOT_HEIGHT and so many layers more; worked out once."""
        if layers not in self._blocked:
            if layers == 0:
                blocked, low, high = ~self._floor, CARPET_HEIGHT, ROBOT_HEIGHT
            else:
                blocked, high = self._blocked_to(layers - 1).copy(), ROBOT_HEIGHT + layers * LAYER
                low = high - LAYER
            low, high = self.floor_height + low, self.floor_height + high
            mark_cells(blocked, self._between(low, high), low, high, self.x0, self.y0)
            self._blocked[layers] = blocked
        return self._blocked[layers]


def layers_to(top):
    """How many layers above ROBOT_HEIGHT hold everything up to `top` above the floor."""
    return max(0, int(np.ceil(round((top - ROBOT_HEIGHT) / LAYER, 6))))


def levels_of(vertices, triangles):
    """Of each triangle: z of its unit normal (0 for those of no area), area in square metres, mean height."""
    corners = [vertices[triangles[:, i]].astype(float) for i in range(3)]
    normals = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    doubled = np.sqrt((normals * normals).sum(axis=1))
    heights = (corners[0][:, 2] + corners[1][:, 2] + corners[2][:, 2]) / 3
    return normals[:, 2] / np.maximum(doubled, 1e-12), doubled / 2, heights


def floor_heights(heights, sizes):
    """Heights that may be a floor's, from the lowest: where level triangles have large areas."""
    if sizes.sum() < SMALLEST_FLOOR:
        return []
    lowest = heights.min()
    bins = np.floor((heights - lowest) / FLOOR_BIN).astype(int)
    if bins.max() > 1_000_000:
        raise ValueError(f"its level faces spread over {heights.max() - lowest:.0f} m of height")
    areas = np.pad(np.bincount(bins, sizes), 1)
    near = areas[:-2] + areas[1:-1] + areas[2:]  # noise spreads a floor over neighbouring bins
    padded = np.pad(near, 1)
    peaks = (near >= padded[:-2]) & (near > padded[2:]) & (near >= max(SMALLEST_FLOOR, FLOOR_SHARE * near.max()))
    found = []
    for peak in np.flatnonzero(peaks):
        there = abs(bins - peak) <= 1
        found.append(float((heights[there] * sizes[there]).sum() / sizes[there].sum()))
    return found


def free_areas(free):
    """The connected areas of free cells: their indices (rows, columns) int16, -1 for none, and Areas."""
    labels, _ = ndimage.label(free)
    clear = ndimage.distance_transform_edt(np.pad(free, 1))[1:-1, 1:-1]
    wide = np.unique(labels[free & ((clear - np.sqrt(0.5)) * CELL > START_RADIUS)])
    cells = np.bincount(labels.reshape(-1))
    largest = sorted(wide.tolist(), key=lambda label: (-cells[label], label))[:MOST_AREAS]
    index = np.full(len(cells), -1, np.int16)
    index[largest] = np.arange(len(largest))
    areas = tuple(Area(f"area {i + 1}", float(cells[label] * CELL**2)) for i, label in enumerate(largest))
    return index[labels], areas


def mark_cells(marked, corners, low, high, x0, y0):
    """Set those of `marked` (rows, columns) whose column, from height `low` to `high`, a triangle of corners meets.

    corners: (t, 3, 3), metres. Raises ValueError where that would take more than MOST_TESTS.
    """
    rows, columns = marked.shape
    edges = (corners[:, :, :2].astype(float) - (x0, y0)) / CELL
    least, most = np.floor(edges.min(axis=1)).astype(int), np.floor(edges.max(axis=1)).astype(int)
    near = ((most >= 0) & (least < (columns, rows))).all(axis=1)
    corners, least, most = corners[near], least[near].clip(0), np.minimum(most[near], (columns - 1, rows - 1))
    single = (least == most).all(axis=1)
    # A triangle within one column that reaches from low to high, or into that, meets it.
    whole = (
        single & (edges[near].min(axis=1) >= 0).all(axis=1) & (edges[near].max(axis=1) < (columns, rows)).all(axis=1)
    )
    marked[least[whole, 1], least[whole, 0]] = True
    corners, least, most = corners[~whole].astype(float), least[~whole], most[~whole]
    sizes = most - least + 1
    ends = np.cumsum(sizes[:, 0] * sizes[:, 1])
    tests = int(ends[-1]) if len(ends) else 0
    if tests > MOST_TESTS:
        raise ValueError(f"its triangles are so large that {tests:.0e} cells of {CELL} m would have to be tested")
    box = np.array([CELL / 2, CELL / 2, (high - low) / 2])
    for first in range(0, tests, TESTS_AT_ONCE):
        number = np.arange(first, min(first + TESTS_AT_ONCE, tests))
        triangle = np.searchsorted(ends, number, side="right")
        row, column = np.divmod(number - (ends - sizes[:, 0] * sizes[:, 1])[triangle], sizes[triangle, 0])
        row, column = row + least[triangle, 1], column + least[triangle, 0]
        new = ~marked[row, column]
        row, column, triangle = row[new], column[new], triangle[new]
        centres = np.stack(
            [x0 + (column + 0.5) * CELL, y0 + (row + 0.5) * CELL, np.full(len(row), (low + high) / 2)], 1
        )
        near = corners[triangle] - centres[:, None]
        meets = overlap_across(near, box, (2,))
        rest = meets & (abs(near[:, :, 2]).max(axis=1) > box[2])  # of the others, all heights are between low and high
        meets[rest] = meets_box(near[rest], box)
        marked[row[meets], column[meets]] = True


def meets_box(corners, box):
    """Which triangles (n, 3, 3) meet the box from -box to box, by the separating axis theorem: bool (n,).

    Their bounding boxes must already meet it.
    """
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    meets = abs((normals * corners[:, 0]).sum(axis=1)) <= abs(normals) @ box
    return meets & overlap_across(corners, box, (0, 1, 2))


def overlap_across(corners, box, axes):
    """Which triangles overlap the box along the directions that are at right angles to a side and to one of `axes`."""
    sides, overlap = np.roll(corners, -1, axis=1) - corners, np.ones(len(corners), bool)
    for i in range(3):
        for axis in axes:
            second, third = (axis + 1) % 3, (axis + 2) % 3
            along = corners[:, :, third] * sides[:, i, None, second] - corners[:, :, second] * sides[:, i, None, third]
            reach = abs(sides[:, i, second]) * box[third] + abs(sides[:, i, third]) * box[second]
            overlap &= (along.min(axis=1) <= reach) & (along.max(axis=1) >= -reach)
    return overlap
