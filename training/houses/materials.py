"""What surfaces are made of: families of colours as in real homes. How patterns look is `patterns`' business."""

import colorsys
from dataclasses import dataclass

from training.houses.house import Material

# Families of hue, saturation and value, each the centre of a small spread.
WALL_TINTS = (
    (0.11, 0.06, 0.93), (0.12, 0.22, 0.92), (0.14, 0.36, 0.92), (0.28, 0.20, 0.80), (0.57, 0.22, 0.86),
    (0.99, 0.18, 0.90), (0.10, 0.02, 0.80), (0.09, 0.14, 0.76), (0.045, 0.42, 0.82), (0.73, 0.17, 0.84),
    (0.50, 0.28, 0.70), (0.08, 0.28, 0.88), (0.42, 0.22, 0.78), (0.60, 0.38, 0.66),
)  # fmt: skip
OFF_WHITES = ((0.11, 0.06, 0.93), (0.12, 0.10, 0.91), (0.10, 0.03, 0.87), (0.58, 0.04, 0.92))
WOODS = (
    (0.09, 0.42, 0.82), (0.08, 0.55, 0.66), (0.065, 0.58, 0.50), (0.05, 0.60, 0.36), (0.10, 0.30, 0.90),
    (0.07, 0.20, 0.62), (0.045, 0.58, 0.46), (0.095, 0.36, 0.76), (0.08, 0.12, 0.48),
)  # fmt: skip
FABRICS = (
    (0.62, 0.50, 0.45), (0.57, 0.40, 0.62), (0.99, 0.62, 0.58), (0.04, 0.62, 0.72), (0.13, 0.65, 0.80),
    (0.30, 0.40, 0.48), (0.45, 0.45, 0.45), (0.10, 0.25, 0.78), (0.08, 0.20, 0.50), (0.00, 0.00, 0.45),
    (0.00, 0.00, 0.28), (0.80, 0.35, 0.50), (0.93, 0.38, 0.75), (0.52, 0.45, 0.58),
)  # fmt: skip
TILE_TINTS = (
    (0.10, 0.04, 0.90), (0.55, 0.20, 0.82), (0.48, 0.35, 0.62), (0.09, 0.25, 0.74), (0.00, 0.00, 0.48),
    (0.04, 0.45, 0.66), (0.36, 0.22, 0.72), (0.60, 0.45, 0.55), (0.12, 0.15, 0.88),
)  # fmt: skip
FRONTS = (
    (0.10, 0.03, 0.94), (0.10, 0.10, 0.86), (0.60, 0.40, 0.42), (0.30, 0.25, 0.55), (0.00, 0.00, 0.35),
    (0.01, 0.68, 0.58), (0.13, 0.50, 0.85), (0.52, 0.35, 0.62), (0.08, 0.48, 0.66), (0.06, 0.55, 0.44),
)  # fmt: skip
BOXES = ((0.09, 0.40, 0.70), (0.08, 0.35, 0.58), (0.00, 0.00, 0.88), (0.60, 0.35, 0.60), (0.02, 0.45, 0.60))
TOYS = (
    (0.00, 0.75, 0.82), (0.60, 0.70, 0.78), (0.14, 0.75, 0.92), (0.33, 0.60, 0.65), (0.07, 0.75, 0.92),
    (0.83, 0.45, 0.75),
)  # fmt: skip
WHITE = (0.93, 0.92, 0.90)
DARK = (0.10, 0.10, 0.11)
METAL = (0.70, 0.71, 0.73)
WORKTOPS = (
    ((0.30, 0.30, 0.31), (0.45, 0.45, 0.46)),
    ((0.62, 0.47, 0.32), (0.50, 0.36, 0.24)),
    ((0.85, 0.84, 0.82), (0.70, 0.69, 0.67)),
    ((0.16, 0.16, 0.17), (0.30, 0.30, 0.32)),
)
GROUT = (0.25, 0.25, 0.26)
GREENS = ((0.30, 0.60, 0.42), (0.26, 0.55, 0.52), (0.36, 0.50, 0.36))

# What is seen through windows: a pattern, then the families of sky, of what stands there and of the ground.
VIEWS = (
    ("outdoors", (0.57, 0.23, 0.97), (0.28, 0.36, 0.55), (0.15, 0.19, 0.62)),
    ("outdoors", (0.58, 0.06, 0.93), (0.32, 0.30, 0.40), (0.22, 0.40, 0.50)),
    ("outdoors", (0.07, 0.28, 0.97), (0.10, 0.55, 0.50), (0.09, 0.40, 0.48)),
    ("outdoors city", (0.58, 0.14, 0.95), (0.05, 0.18, 0.62), (0.00, 0.00, 0.42)),
    ("outdoors city", (0.09, 0.20, 0.96), (0.62, 0.20, 0.48), (0.62, 0.15, 0.30)),
    ("outdoors sea", (0.56, 0.26, 0.97), (0.55, 0.48, 0.68), (0.12, 0.30, 0.85)),
    ("outdoors wall", (0.57, 0.12, 0.95), (0.02, 0.42, 0.60), (0.25, 0.45, 0.50)),
)


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
    return rounded(a + (b - a) * share for a, b in zip(colour, other, strict=True))


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
    pattern = draws.choice(("weave", "weave", "weave", "knit", "fine stripes", "plaid"))
    bedding_pattern = draws.choice(("knit", "stripes", "dots", "checker", "plaid", "plain", "damask"))
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
