"""The patterns that are drawn on surfaces, as tiles of texture.

A tile has three channels: how much of the material's second colour, how much of its third, and a shade. So one small
set of tiles serves all houses, and a house brings only its colours (`materials`). Tiles repeat without a seam, except
those that are stretched over a face.
"""

import numpy as np

TILE_SIZE = 128  # pixels; a power of two, for the mipmaps

PATTERNS = (
    "plain", "plaster", "planks", "parquet", "herringbone", "tiles", "checker", "bricks", "terrazzo", "weave",
    "stripes", "fine stripes", "dots", "grain", "fronts", "drawers", "books", "leaves", "outdoors", "hob", "knit",
    "carpet border", "carpet medallion", "carpet stripes", "carpet diamonds",
    "picture circles", "picture hills", "picture blocks", "picture tree", "picture waves", "picture portrait",
    "door leaf", "panelling", "half tiles", "damask", "beams", "marble", "plaid",
    "outdoors city", "outdoors sea", "outdoors wall",
)  # fmt: skip


def pattern_tiles():
    """The tiles of `PATTERNS`, uint8 (patterns, TILE_SIZE, TILE_SIZE, 3): second colour, third colour, shade.

    Rows run downwards along the picture, so that row 0 is at the top of an upright face.
    """
    tiles = np.zeros((len(PATTERNS), TILE_SIZE, TILE_SIZE, 3))
    tiles[..., 2] = 1.0
    row, column = np.mgrid[0:TILE_SIZE, 0:TILE_SIZE]
    v, u = (row + 0.5) / TILE_SIZE, (column + 0.5) / TILE_SIZE
    for index, name in enumerate(PATTERNS):
        painter = PAINTERS[name.split()[0] if name.startswith(("carpet", "picture", "outdoors")) else name]
        second, third, shade = painter(name, u, v, np.random.default_rng(index))
        tiles[index, ..., 0], tiles[index, ..., 1], tiles[index, ..., 2] = second, third, shade
    return (tiles.clip(0.0, 1.0) * 255 + 0.5).astype(np.uint8)


def _noise(rng, rows, columns):
    """Smooth noise that repeats at the tile's edges, in [0, 1], from a coarse grid of rows x columns."""
    grid = rng.random((rows, columns))
    position_v = np.arange(TILE_SIZE) * rows / TILE_SIZE
    position_u = np.arange(TILE_SIZE) * columns / TILE_SIZE
    v0, u0 = position_v.astype(int), position_u.astype(int)
    fv, fu = (position_v - v0)[:, None], (position_u - u0)[None, :]
    fv, fu = fv * fv * (3 - 2 * fv), fu * fu * (3 - 2 * fu)
    v1, u1 = (v0 + 1) % rows, (u0 + 1) % columns
    upper = grid[v0][:, u0] * (1 - fu) + grid[v0][:, u1] * fu
    lower = grid[v1][:, u0] * (1 - fu) + grid[v1][:, u1] * fu
    return upper * (1 - fv) + lower * fv


def _seams(u, count, width):
    """1 within `width` (share of the tile) of the borders between `count` columns."""
    distance = np.abs(u * count - np.round(u * count)) / count
    return (distance < width / 2).astype(float)


def _plain(name, u, v, rng):
    return 0.0, 0.0, 1.0


def _plaster(name, u, v, rng):
    return 0.0, 0.0, 0.93 + 0.07 * _noise(rng, 8, 8) - 0.04 * _noise(rng, 32, 32)


def _planks(name, u, v, rng):
    board = (u * 6).astype(int)
    shift = rng.random(6)[board]
    end = (np.floor((v + shift) * 2).astype(int) + 2 * board) % 12
    tone = rng.random(12)[end]
    seam = np.maximum(_seams(u, 6, 0.016), _seams(v + shift, 2, 0.012))
    grain = 0.06 * _noise(rng, 4, 64)
    return 0.9 * tone, 0.0, (0.97 - grain) * (1 - 0.45 * seam)


def _parquet(name, u, v, rng):
    block_u, block_v = (u * 4).astype(int), (v * 4).astype(int)
    across = (block_u + block_v) % 2 == 0
    strip = np.where(across, (u * 16).astype(int) % 4, (v * 16).astype(int) % 4)
    tone = rng.random((4, 4, 4))[block_v, block_u, strip]
    seam = np.maximum(
        np.maximum(_seams(u, 4, 0.012), _seams(v, 4, 0.012)),
        0.5 * np.where(across, _seams(u, 16, 0.01), _seams(v, 16, 0.01)),
    )
    return 0.8 * tone, 0.0, 1 - 0.4 * seam


def _herringbone(name, u, v, rng):
    zigzag = v + np.abs((u * 4) % 2 - 1) / 4
    strip = (zigzag * 8).astype(int) % 8 + 8 * ((u * 4).astype(int) % 4)
    tone = rng.random(32)[strip]
    seam = np.maximum(_seams(zigzag, 8, 0.012), _seams(u, 4, 0.012))
    return 0.85 * tone, 0.0, 1 - 0.4 * seam


def _tiles(name, u, v, rng):
    tone = rng.random((4, 4))[(v * 4).astype(int), (u * 4).astype(int)]
    return np.maximum(_seams(u, 4, 0.02), _seams(v, 4, 0.02)), 0.0, 0.92 + 0.08 * tone


def _checker(name, u, v, rng):
    dark = ((u * 4).astype(int) + (v * 4).astype(int)) % 2
    return dark.astype(float), 0.0, 1 - 0.15 * np.maximum(_seams(u, 4, 0.012), _seams(v, 4, 0.012))


def _bricks(name, u, v, rng):
    course = (v * 8).astype(int)
    shifted = u + 0.125 * (course % 2)
    tone = rng.random((8, 4))[course, (shifted * 4).astype(int) % 4]
    return np.maximum(_seams(shifted, 4, 0.016), _seams(v, 8, 0.016)), 0.0, 0.88 + 0.12 * tone


def _terrazzo(name, u, v, rng):
    return (_noise(rng, 40, 40) > 0.6) * 0.9, 0.0, 0.95 + 0.05 * _noise(rng, 16, 16)


def _weave(name, u, v, rng):
    thread = 0.5 + 0.25 * np.sin(u * 2 * np.pi * 32) * np.sin(v * 2 * np.pi * 32)
    return 0.6 * thread + 0.4 * _noise(rng, 8, 8), 0.0, 1.0


def _stripes(name, u, v, rng):
    return ((u * 8).astype(int) % 2).astype(float), 0.0, 1.0


def _fine_stripes(name, u, v, rng):
    return ((u * 16).astype(int) % 4 == 0).astype(float), 0.0, 1.0


def _dots(name, u, v, rng):
    row = (v * 4).astype(int)
    du, dv = (u * 4 + 0.5 * (row % 2)) % 1 - 0.5, (v * 4) % 1 - 0.5
    return (du**2 + dv**2 < 0.05).astype(float), 0.0, 1.0


def _grain(name, u, v, rng):
    return 0.7 * _noise(rng, 32, 3) + 0.3 * _noise(rng, 64, 6), 0.0, 1.0


def _fronts(name, u, v, rng):
    """Two doors side by side, each with an upright handle near the middle."""
    seam = np.maximum(_seams(u, 2, 0.02), (np.minimum(v, 1 - v) < 0.012).astype(float))
    handle = (np.abs(np.abs(u - 0.5) - 0.07) < 0.018) & (np.abs(v - 0.5) < 0.09)
    panel = (np.abs((u * 2) % 1 - 0.5) > 0.36) | (np.abs(v - 0.5) > 0.43)
    return seam, handle.astype(float), 0.94 + 0.06 * panel


def _drawers(name, u, v, rng):
    """Three drawers, each with a handle across."""
    seam = np.maximum(_seams(v, 3, 0.02), (np.minimum(u, 1 - u) < 0.012).astype(float))
    handle = (np.abs(u - 0.5) < 0.12) & (np.abs((v * 3) % 1 - 0.4) < 0.07)
    return seam, handle.astype(float), 1.0


def _books(name, u, v, rng):
    spine = (u * 24).astype(int)
    kind, height = rng.integers(0, 3, 24)[spine], (0.62 + 0.33 * rng.random(24))[spine]
    above = (1 - v) > height
    shade = np.where(above, 0.15, 0.7 + 0.3 * rng.random(24)[spine]) * (1 - 0.4 * _seams(u, 24, 0.012))
    return (kind == 1) & ~above, (kind == 2) & ~above, shade


def _leaves(name, u, v, rng):
    return _noise(rng, 20, 20) > 0.5, 0.0, 0.7 + 0.3 * _noise(rng, 12, 12)


def _outdoors(name, u, v, rng):
    """Sky (first colour), what stands before it (second) and the ground (third)."""
    if name.endswith("city"):
        column = (u * 11).astype(int)
        roof = (0.18 + 0.4 * rng.random(11))[column]
        windows = ((u * 44).astype(int) % 2 == 0) & ((v * 22).astype(int) % 2 == 0)
        return v > roof, 0.8 * ((v > roof + 0.03) & windows) + (v > 0.9), (0.8 + 0.2 * rng.random(11))[column]
    if name.endswith("sea"):
        return (
            (v > 0.5).astype(float),
            v > 0.8 + 0.03 * np.sin(u * 2 * np.pi),
            1.0 - 0.1 * _noise(rng, 40, 4) * (v > 0.5),
        )
    if name.endswith("wall"):
        course = (v * 24).astype(int)
        joint = np.maximum(_seams(v, 24, 0.008), _seams(u + 0.0625 * (course % 2), 8, 0.008))
        house = v > 0.22
        pane = house & (np.abs((u * 3) % 1 - 0.5) < 0.22) & (np.abs(v - 0.5) < 0.13)
        return house & ~pane, 0.3 * house * joint + (v > 0.86), 1.0 - 0.45 * pane
    trees = v > 0.52 + 0.18 * (_noise(rng, 1, 6)[0][None, :] - 0.5) + 0.06 * (_noise(rng, 1, 20)[0][None, :] - 0.5)
    ground = v > 0.78
    return trees & ~ground, ground.astype(float), 1.0 - 0.25 * trees * _noise(rng, 20, 20)


def _hob(name, u, v, rng):
    du, dv = (u * 2) % 1 - 0.5, (v * 2) % 1 - 0.5
    radius = np.sqrt(du**2 + dv**2)
    return ((radius < 0.34) & (radius > 0.24)) | (radius < 0.1), 0.0, 1.0


def _knit(name, u, v, rng):
    zigzag = np.sin((v * 12 + 0.5 * np.abs((u * 12) % 2 - 1)) * 2 * np.pi)
    return 0.5 + 0.5 * zigzag, 0.0, 1.0


def _door(name, u, v, rng):
    """Two panels one above the other and handles at both edges, as both of a door's faces show the same tile."""
    upper, lower = (
        np.maximum(np.abs(u - 0.5) / 0.34, np.abs(v - at) / high) for at, high in ((0.28, 0.21), (0.76, 0.17))
    )
    nearest = np.minimum(upper, lower)
    handle = (np.abs(np.abs(u - 0.5) - 0.43) < 0.035) & (np.abs(v - 0.515) < 0.016)
    return (nearest > 0.9) & (nearest < 1.0), handle.astype(float), 0.95 + 0.05 * (nearest > 1.0)


def _panelling(name, u, v, rng):
    """Panels (second colour, edges third) up to a third of the height, paint above."""
    panel = v > 0.67
    edge = (np.abs(np.abs((u * 6) % 1 - 0.5) - 0.36) < 0.03) & (v > 0.71) & (v < 0.95)
    edge |= (np.abs((u * 6) % 1 - 0.5) < 0.39) & ((np.abs(v - 0.715) < 0.006) | (np.abs(v - 0.945) < 0.006))
    return panel, edge | (np.abs(v - 0.672) < 0.008), 1.0


def _half(name, u, v, rng):
    """Tiles (second colour, joints third) up to half of the height, paint above."""
    tiled = v > 0.5
    joint = np.maximum(_seams(u, 15, 0.008), _seams(v, 16, 0.008))
    return tiled, tiled * joint, 1.0


def _damask(name, u, v, rng):
    row = (v * 3).astype(int)
    du, dv = np.abs((u * 3 + 0.5 * (row % 2)) % 1 - 0.5), np.abs((v * 3) % 1 - 0.5)
    leaf = (du / 0.3) + (dv / 0.46) ** 2 < 1
    return leaf & ~((du / 0.12) + (dv / 0.26) ** 2 < 1), 0.0, 1.0


def _beams(name, u, v, rng):
    beam = u < 0.17
    return beam, ((u > 0.15) & beam) | (beam & (u < 0.02)), 1.0 - 0.1 * beam * _noise(rng, 4, 32)


def _marble(name, u, v, rng):
    vein = np.abs(_noise(rng, 4, 4) + 0.5 * _noise(rng, 9, 9) - 0.75)
    return np.maximum(0.7 * (vein < 0.035), _seams(u, 2, 0.012)), 0.0, 0.93 + 0.07 * _noise(rng, 6, 6)


def _plaid(name, u, v, rng):
    across, down = (u * 6).astype(int) % 3 == 0, (v * 6).astype(int) % 3 == 0
    line = (np.abs((u * 2) % 1 - 0.55) < 0.03) | (np.abs((v * 2) % 1 - 0.55) < 0.03)
    return 0.5 * across + 0.5 * down, line.astype(float), 1.0


def _carpet(name, u, v, rng):
    edge = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v))
    border = (edge > 0.04) & (edge < 0.11)
    du, dv = np.abs(u - 0.5), np.abs(v - 0.5)
    inner = edge > 0.11
    if name.endswith("medallion"):
        radius = np.sqrt(du**2 + dv**2)
        return border | (inner & (radius < 0.3) & (radius > 0.2)), inner & (radius < 0.12), 1.0
    if name.endswith("stripes"):
        band = (v * 12).astype(int) % 4
        return band == 1, band == 3, 1.0
    if name.endswith("diamonds"):
        lattice = (np.abs((u * 4) % 1 - 0.5) + np.abs((v * 4) % 1 - 0.5)) < 0.3
        return border, inner & lattice, 1.0
    return border, edge <= 0.04, 0.94 + 0.06 * _noise(rng, 32, 32)


def _picture(name, u, v, rng):
    edge = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v)) > 0.07
    if name.endswith("circles"):
        second = (u - 0.38) ** 2 + (v - 0.42) ** 2 < 0.06
        third = (u - 0.66) ** 2 + (v - 0.62) ** 2 < 0.035
    elif name.endswith("hills"):
        second = v > 0.6 + 0.12 * np.sin(u * 7)
        third = (v > 0.75 + 0.1 * np.sin(u * 5 + 2)) | ((u - 0.7) ** 2 + (v - 0.28) ** 2 < 0.012)
    elif name.endswith("blocks"):
        second = (u < 0.42) & (v < 0.55)
        third = (u > 0.55) & (v > 0.35)
    elif name.endswith("tree"):
        second = (u - 0.5) ** 2 + (v - 0.38) ** 2 < 0.05
        third = (np.abs(u - 0.5) < 0.04) & (v > 0.5) | (v > 0.82)
    elif name.endswith("waves"):
        phase = (v * 5 + 0.25 * np.sin(u * 9)) % 3
        second, third = (phase > 1) & (phase < 2), phase >= 2
    else:
        second = ((u - 0.5) / 0.2) ** 2 + ((v - 0.4) / 0.25) ** 2 < 1
        third = (((u - 0.5) / 0.38) ** 2 + ((v - 1.0) / 0.35) ** 2 < 1) & ~second
    return second & edge, third & edge, 1.0


PAINTERS = {
    "plain": _plain, "plaster": _plaster, "planks": _planks, "parquet": _parquet, "herringbone": _herringbone,
    "tiles": _tiles, "checker": _checker, "bricks": _bricks, "terrazzo": _terrazzo, "weave": _weave,
    "stripes": _stripes, "fine stripes": _fine_stripes, "dots": _dots, "grain": _grain, "fronts": _fronts,
    "drawers": _drawers, "books": _books, "leaves": _leaves, "outdoors": _outdoors, "hob": _hob, "knit": _knit,
    "carpet": _carpet, "picture": _picture, "door leaf": _door, "panelling": _panelling, "half tiles": _half,
    "damask": _damask, "beams": _beams, "marble": _marble, "plaid": _plaid,
}  # fmt: skip
