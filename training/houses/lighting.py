"""Light in a house, computed once and kept as a picture: a *light map*, in which every face has a patch.

Nothing in a house moves and nothing shines, so the light on a point is the same from wherever it is seen. Patches are
grids of texels whose outer ones lie on the face's edges; between them the graphics card interpolates. How patches are
tied to triangles is `mesh`'s business.
"""

import numpy as np
from scipy import ndimage

GAMMA = 2.2  # of sRGB, near enough; light is kept encoded by it, so that it multiplies encoded colours
BRIGHTEST = 1.5  # encoded light that a texel of 255 stands for
EXPOSURE = 1.15
TEXEL = 0.2  # metres, where the house is not too large; finer ones are not told apart at 64 x 64
LARGEST_PATCH = 128  # texels along a side
MOST_TEXELS = 500_000  # of the faces of one house
MAP_WIDTH = 1024  # texels
FLOOR_PIXEL = 0.05  # metres
SHADE_BLUR = 0.12  # metres

GROUND_LIGHT = np.array([0.21, 0.19, 0.17], np.float32)  # linear RGB that comes from below, from above and as daylight
SKY_LIGHT = np.array([0.30, 0.30, 0.32], np.float32)
DAYLIGHT = np.array([0.40, 0.46, 0.54], np.float32)
LAMP_FADING = 0.16  # 1 / metres^2

LEVELS = 4096  # of linear light, for each unit
ENCODED = EXPOSURE * np.arange(4 * LEVELS) / LEVELS
ENCODED = np.round(ENCODED ** (1 / GAMMA) * 255 / BRIGHTEST).clip(0, 255).astype(np.uint8)


class HouseLight:
    """The light of one house: its lamps, its windows, and what furniture and corners take away."""

    def __init__(self, house):
        rooms, self._bounds = house.rooms, house.bounds
        self._lamps = np.array([room.light.position for room in rooms], np.float32)
        self._lamp_colours = np.array([room.light.colour for room in rooms], np.float32)
        self._daylight = np.array([room.daylight for room in rooms], np.float32)
        self._low = np.array([(room.inner.x0, room.inner.y0, 0.0) for room in rooms], np.float32)
        self._high = np.array([(room.inner.x1, room.inner.y1, room.ceiling) for room in rooms], np.float32)
        self._shadow, self._windows = floor_light(house)

    def texels(self, points, normals, rooms, emission):
        """Texels, uint8 (n, 3), for points and normals (n, 3) in rooms (n,) that send out light themselves (n,).

        All but rooms are float32.
        """
        up = normals[:, 2:]
        to_lamp = self._lamps[rooms] - points
        distance2 = np.maximum(np.einsum("nk,nk->n", to_lamp, to_lamp), 1e-6)
        facing = np.maximum(0.0, 0.25 + 0.75 * np.einsum("nk,nk->n", normals, to_lamp) / np.sqrt(distance2))
        shadow, windows = self._on_the_floor(points)
        light = GROUND_LIGHT + (SKY_LIGHT - GROUND_LIGHT) * (0.5 + 0.5 * up)
        light *= 1.0 + 0.10 * normals[:, :1] - 0.06 * normals[:, 1:2]
        light += self._lamp_colours[rooms] * (facing / (1.0 + LAMP_FADING * distance2))[:, None]
        light += (self._daylight[rooms] * windows)[:, None] * (0.75 + 0.25 * up) * DAYLIGHT
        # Less light reaches the edges where walls, floor and ceiling meet, and the floor under furniture.
        gap = np.maximum(np.minimum(points - self._low[rooms], self._high[rooms] - points), 0.0)
        edges = np.einsum("nk,nk->n", 1.0 - np.abs(normals), np.exp(-6.0 * gap))
        light *= ((1.0 - 0.22 * edges) * (1.0 - 0.6 * shadow * np.exp(-5.0 * np.maximum(points[:, 2], 0.0))))[:, None]
        light += (1.0 - light) * emission[:, None]
        return ENCODED[(np.maximum(light, 0.0) * LEVELS).astype(np.uint16).clip(0, len(ENCODED) - 1)]

    def _on_the_floor(self, points):
        """Shadow and daylight, each (n,) in [0, 1], on the floor below points (n, 3)."""
        rows, columns = self._shadow.shape
        column = ((points[:, 0] - self._bounds.x0) / FLOOR_PIXEL).astype(int).clip(0, columns - 1)
        row = ((points[:, 1] - self._bounds.y0) / FLOOR_PIXEL).astype(int).clip(0, rows - 1)
        return self._shadow[row, column], self._windows[row, column]


def patch_sizes(lengths):
    """Texels along the sides of faces with sides of these lengths (f, 2) in metres: int (f, 2).

    A large house gets larger texels, so that its light map keeps within MOST_TEXELS.
    """
    texel, lengths = TEXEL, np.asarray(lengths)
    while True:
        sizes = (1 + np.ceil(lengths / texel - 0.5).astype(int)).clip(1, LARGEST_PATCH)
        if sizes.prod(axis=1).sum() <= max(MOST_TEXELS, len(lengths)):
            return sizes
        texel *= 1.4


def packed(sizes):
    """Where patches of these sizes (n, 2) lie in the map, the texel of their first corner (n, 2); and the map's height.

    Patches stand in shelves, the tallest first.
    """
    order = np.argsort(-sizes[:, 1], kind="stable")
    ends = np.cumsum(sizes[order, 0])
    corners, first, y = np.empty_like(sizes), 0, 0
    while first < len(order):
        before = ends[first] - sizes[order[first], 0]
        last = np.searchsorted(ends, before + MAP_WIDTH, side="right")
        shelf = order[first:last]
        corners[shelf, 0], corners[shelf, 1] = ends[first:last] - sizes[shelf, 0] - before, y
        first, y = last, y + sizes[shelf[0], 1]
    return corners, y


def floor_light(house):
    """How much of the floor's light furniture takes away, and how much windows give: two arrays of pixels in [0, 1]."""
    bounds = house.bounds
    rows, columns = 1 + int(bounds.depth / FLOOR_PIXEL), 1 + int(bounds.width / FLOOR_PIXEL)
    shadow, daylight = np.zeros((rows, columns), np.float32), np.zeros((rows, columns), np.float32)
    for piece in house.pieces:
        if piece.bottom < 0.3 and piece.top > 0.1:
            for part in piece.parts:
                if part.low[2] < 0.9:
                    area = pixels_of(bounds, *part.low[:2], *part.high[:2])
                    shadow[area] = np.maximum(shadow[area], np.exp(-1.5 * part.low[2]))
    for index, room in enumerate(house.rooms):
        area = pixels_of(bounds, room.inner.x0, room.inner.y0, room.inner.x1, room.inner.y1)
        y, x = np.ogrid[area]
        x, y = bounds.x0 + (x + 0.5) * FLOOR_PIXEL, bounds.y0 + (y + 0.5) * FLOOR_PIXEL
        for opening in house.openings:
            if opening.kind == "window" and index in opening.rooms:
                daylight[area] += window_light(opening, x, y)
    return ndimage.gaussian_filter(shadow, SHADE_BLUR / FLOOR_PIXEL).clip(0.0, 1.0), daylight.clip(0.0, 1.0)


def pixels_of(bounds, x0, y0, x1, y1):
    """The slices (rows, columns) of the floor's pixels within a rectangle."""
    return tuple(
        slice(max(0, int((low - origin) / FLOOR_PIXEL)), int((high - origin) / FLOOR_PIXEL) + 1)
        for low, high, origin in ((y0, y1, bounds.y0), (x0, x1, bounds.x0))
    )


def window_light(window, x, y):
    """Daylight that falls through a window on points of its room: less farther in and farther to the side."""
    along, into = (y, np.abs(x - window.at)) if window.axis == "x" else (x, np.abs(y - window.at))
    half = (window.end - window.start) / 2
    aside = np.abs(along - (window.start + window.end) / 2)
    size = half * (window.top - window.bottom)
    return min(1.0, 0.5 + 0.5 * size) * np.exp(-into / 2.0) * np.exp(-((aside / (half + 0.3 + 0.6 * into)) ** 2))
