"""What surfaces are made of: families of colours as in real homes, and the patterns that are drawn on them.

A pattern is a square tile of three channels: how much of the material's second colour, how much of its third, and a
shade. So one small set of tiles (`pattern_tiles`, the same for every house) serves all houses, and a house brings only
its colours.
"""

import colorsys
from dataclasses import dataclass

import numpy as np

from training.houses.house import Material

TILE_SIZE = 128  # pixels; a power of two, for the mipmaps

PATTERNS = (
    "plain", "plaster", "planks", "parquet", "herringbone", "tiles", "checker", "bricks", "terrazzo", "weave", "stripes",
    "fine stripes", "dots", "grain", "fronts", "drawers", "books", "leaves", "outdoors", "hob", "knit",
    "carpet border", "carpet medallion", "carpet stripes", "carpet diamonds",
    "picture circles", "picture hills", "picture blocks", "picture tree", "picture waves", "picture portrait",
)  # fmt: skip

# Families of hue, saturation and value, each the centre of a small spread.
WALL_TINTS = (
    (0.11, 0.06, 0.93), (0.12, 0.22, 0.92), (0.14, 0.36, 0.92), (0.28, 0.20, 0.80), (0.57, 0.22, 0.86), (0.99, 0.18, 0.90),
    (0.10, 0.02, 0.80), (0.09, 0.14, 0.76), (0.045, 0.42, 0.82), (0.73, 0.17, 0.84), (0.50, 0.28, 0.70), (0.08, 0.28, 0.88),
    (0.42, 0.22, 0.78), (0.60, 0.38, 0.66),
)  # fmt: skip
WOODS = (
    (0.09, 0.42, 0.82), (0.08, 0.55, 0.66), (0.065, 0.58, 0.50), (0.05, 0.60, 0.36), (0.10, 0.30, 0.90), (0.07, 0.20, 0.62),
    (0.03, 0.62, 0.46),
)  # fmt: skip
FABRICS = (
    (0.62, 0.50, 0.45), (0.57, 0.40, 0.62), (0.99, 0.62, 0.58), (0.04, 0.62, 0.72), (0.13, 0.65, 0.80), (0.30, 0.40, 0.48),
    (0.45, 0.45, 0.45), (0.10, 0.25, 0.78), (0.08, 0.20, 0.50), (0.00, 0.00, 0.45), (0.00, 0.00, 0.28), (0.80, 0.35, 0.50),
    (0.93, 0.38, 0.75), (0.52, 0.45, 0.58),
)  # fmt: skip
TILE_TINTS = (
    (0.10, 0.04, 0.90), (0.55, 0.20, 0.82), (0.48, 0.35, 0.62), (0.09, 0.25, 0.74), (0.00, 0.00, 0.48), (0.04, 0.45, 0.66),
    (0.36, 0.22, 0.72), (0.60, 0.45, 0.55), (0.12, 0.15, 0.88),
)  # fmt: skip
FRONTS = (
    (0.10, 0.03, 0.94), (0.10, 0.10, 0.86), (0.60, 0.40, 0.42), (0.30, 0.25, 0.55), (0.00, 0.00, 0.35), (0.01, 0.68, 0.58),
    (0.13, 0.50, 0.85), (0.52, 0.35, 0.62), (0.08, 0.48, 0.66), (0.06, 0.55, 0.44),
)  # fmt: skip
WHITE = (0.93, 0.92, 0.90)
DARK = (0.10, 0.10, 0.11)
METAL = (0.70, 0.71, 0.73)
GREENS = ((0.30, 0.60, 0.42), (0.26, 0.55, 0.52), (0.36, 0.50, 0.36))


def tint(draws, family):
    """An sRGB colour near a (hue, saturation, value) of a family."""
    hue, saturation, value = family
    hue = (hue + draws.between(-0.015, 0.015)) % 1.0
    saturation = min(1.0, max(0.0, saturation * draws.between(0.8, 1.2)))
    value = min(0.97, max(0.06, value + draws.between(-0.05, 0.05)))
    return rounded(colorsys.hsv_to_rgb(hue, saturation, value))


def shaded(colour, factor):
    """A colour made darker (factor < 1) or lighter."""
    return rounded(min(1.0, channel * factor) for channel in colour)


def mixed(colour, other, share):
    """A colour with a share of another in it."""
    return rounded(a + (b - a) * share for a, b in zip(colour, other))


def rounded(colour):
    """A colour to three digits, so that no machine's last bit shows."""
    return tuple(round(float(channel), 3) for channel in colour)


class MaterialList:
    """The materials of one house, each held once."""

    def __init__(self):
        self._indices = {}

    def add(self, pattern, *colours, scale=1.0, emission=0.0):
        """Index of the material with this pattern in one to three colours (missing ones repeat the first)."""
        colours = colours + (colours[0],) * (3 - len(colours))
        material = Material(pattern, colours, scale, emission)
        return self._indices.setdefault(material, len(self._indices))

    def all(self):
        """The materials in order of their indices."""
        return tuple(self._indices)


@dataclass(frozen=True)
class Palette:
    """Indices of the materials that the furniture of one room is made from."""

    wood: int
    wood_fronts: int
    wood_drawers: int
    second_wood: int
    fabric: int
    second_fabric: int
    bedding: int
    white: int
    dark: int
    metal: int
    ceramic: int
    kitchen_fronts: int
    worktop: int
    mattress: int


def draw_palette(draws, materials, house_wood, kitchen_front):
    """A room's palette: the house's wood (an sRGB colour) or another, and fabrics of its own."""
    wood = house_wood if draws.chance(0.6) else tint(draws, draws.choice(WOODS + FRONTS[:2]))
    second_wood = shaded(wood, 0.8) if draws.chance(0.5) else tint(draws, draws.choice(WOODS))
    first, second, third = (tint(draws, family) for family in draws.shuffled(FABRICS)[:3])
    pattern = draws.choice(("weave", "weave", "knit", "fine stripes"))
    bedding_pattern = draws.choice(("knit", "stripes", "dots", "checker", "plain"))
    light = mixed(third, WHITE, 0.6)
    return Palette(
        wood=materials.add("grain", wood, shaded(wood, 0.75), scale=0.9),
        wood_fronts=materials.add("fronts", wood, shaded(wood, 0.55), METAL, scale=0.0),
        wood_drawers=materials.add("drawers", wood, shaded(wood, 0.55), METAL, scale=0.0),
        second_wood=materials.add("grain", second_wood, shaded(second_wood, 0.75), scale=0.9),
        fabric=materials.add(pattern, first, shaded(first, 0.7), scale=0.4),
        second_fabric=materials.add("weave", second, shaded(second, 0.75), scale=0.4),
        bedding=materials.add(bedding_pattern, third, light, scale=draws.choice((0.5, 0.8))),
        white=materials.add("plain", WHITE),
        dark=materials.add("plain", DARK),
        metal=materials.add("plain", METAL),
        ceramic=materials.add("plain", (0.95, 0.95, 0.94)),
        kitchen_fronts=materials.add("fronts", kitchen_front, shaded(kitchen_front, 0.55), METAL, scale=0.0),
        worktop=materials.add("terrazzo", *draws.choice(WORKTOPS), scale=0.6),
        mattress=materials.add("plain", (0.92, 0.90, 0.86)),
    )


WORKTOPS = (
    ((0.30, 0.30, 0.31), (0.45, 0.45, 0.46)),
    ((0.62, 0.47, 0.32), (0.50, 0.36, 0.24)),
    ((0.85, 0.84, 0.82), (0.70, 0.69, 0.67)),
    ((0.16, 0.16, 0.17), (0.30, 0.30, 0.32)),
)


def pattern_tiles():
    """The tiles of `PATTERNS`, uint8 (patterns, TILE_SIZE, TILE_SIZE, 3): second colour, third colour, shade.

    Rows run downwards along the picture, so that row 0 is at the top of an upright face.
    """
    tiles = np.zeros((len(PATTERNS), TILE_SIZE, TILE_SIZE, 3))
    tiles[..., 2] = 1.0
    row, column = np.mgrid[0:TILE_SIZE, 0:TILE_SIZE]
    v, u = (row + 0.5) / TILE_SIZE, (column + 0.5) / TILE_SIZE
    for index, name in enumerate(PATTERNS):
        painter = PAINTERS[name.split()[0] if name.startswith(("carpet", "picture")) else name]
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
    seam = np.maximum(np.maximum(_seams(u, 4, 0.012), _seams(v, 4, 0.012)), 0.5 * np.where(across, _seams(u, 16, 0.01), _seams(v, 16, 0.01)))
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
    """Sky (first colour) above trees (second) and ground (third), with a mullion in the middle."""
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
    "tiles": _tiles, "checker": _checker, "bricks": _bricks, "terrazzo": _terrazzo, "weave": _weave, "stripes": _stripes,
    "fine stripes": _fine_stripes, "dots": _dots, "grain": _grain, "fronts": _fronts, "drawers": _drawers,
    "books": _books, "leaves": _leaves, "outdoors": _outdoors, "hob": _hob, "knit": _knit,
    "carpet": _carpet, "picture": _picture,
}  # fmt: skip
