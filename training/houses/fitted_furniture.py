"""Furniture that fills a given box: what house files say is only where a thing is, how large, and what it is.

The looks are drawn; where things stand is `house_file`'s business. Furniture of made houses, which chooses its own
size, is `furniture`'s.
"""

from training.houses.classes import CLASS_IDS
from training.houses.house import OPPOSITE, Part, Piece, Rectangle
from training.houses.materials import FABRICS, GREENS, WOODS, draw_palette, shaded, tint

# How pieces are made: parts as shape, class, low and high corner in shares of the piece's box (x along the wall behind
# it, y out of the wall, z up), and what of a look they are made of. Classes that are not here are one box.
FOUR_LEGS = tuple((x, y) for x in (0.03, 0.89) for y in (0.03, 0.89))


def _legs(name, top, material):
    return tuple(("box", name, (x, y, 0.0), (x + 0.08, y + 0.08, top), material) for x, y in FOUR_LEGS)


SHAPES = {
    "bed": (
        ("box", "bed", (0.0, 0.0, 0.0), (1.0, 0.04, 1.0), "wood"),
        ("box", "bed", (0.0, 0.04, 0.1), (1.0, 1.0, 0.4), "wood"),
        ("box", "bed", (0.02, 0.04, 0.4), (0.98, 0.98, 0.62), "mattress"),
        ("box", "bed", (0.0, 0.38, 0.45), (1.0, 1.0, 0.68), "bedding"),
        ("box", "pillow", (0.1, 0.07, 0.62), (0.9, 0.3, 0.8), "mattress"),
    ),
    "nightstand": (("box", "nightstand", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "wood_drawers"),),
    "wardrobe": (("box", "wardrobe", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "wood_fronts"),),
    "cupboard": (("box", "cupboard", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "wood_drawers"),),
    "shelf": (
        ("box", "shelf", (0.0, 0.0, 0.0), (1.0, 0.1, 1.0), "second_wood"),
        ("box", "shelf", (0.0, 0.1, 0.0), (0.04, 1.0, 1.0), "second_wood"),
        ("box", "shelf", (0.96, 0.1, 0.0), (1.0, 1.0, 1.0), "second_wood"),
        *(
            ("box", "shelf", (0.04, 0.1, level), (0.96, 1.0, level + 0.03), "second_wood")
            for level in (0.0, 0.32, 0.64, 0.97)
        ),
        ("box", "books", (0.06, 0.15, 0.35), (0.8, 0.85, 0.55), "books"),
        ("box", "books", (0.2, 0.15, 0.67), (0.94, 0.85, 0.87), "books"),
    ),
    "books": (("box", "books", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "books"),),
    "table": (("box", "table", (0.0, 0.0, 0.93), (1.0, 1.0, 1.0), "wood"), *_legs("table", 0.93, "wood")),
    "coffee table": (
        ("box", "coffee table", (0.0, 0.0, 0.85), (1.0, 1.0, 1.0), "second_wood"),
        *_legs("coffee table", 0.85, "second_wood"),
    ),
    "desk": (
        ("box", "desk", (0.0, 0.0, 0.94), (1.0, 1.0, 1.0), "second_wood"),
        ("box", "desk", (0.0, 0.0, 0.0), (0.04, 1.0, 0.94), "second_wood"),
        ("box", "desk", (0.7, 0.0, 0.0), (1.0, 0.95, 0.94), "wood_drawers"),
    ),
    "chair": (
        ("box", "chair", (0.0, 0.0, 0.45), (1.0, 1.0, 0.52), "second_fabric"),
        ("box", "chair", (0.0, 0.0, 0.52), (1.0, 0.1, 1.0), "wood"),
        *_legs("chair", 0.45, "wood"),
    ),
    "armchair": (
        ("box", "armchair", (0.0, 0.0, 0.06), (1.0, 1.0, 0.45), "second_fabric"),
        ("box", "armchair", (0.0, 0.0, 0.45), (1.0, 0.25, 1.0), "second_fabric"),
        ("box", "armchair", (0.0, 0.25, 0.45), (0.2, 1.0, 0.7), "second_fabric"),
        ("box", "armchair", (0.8, 0.25, 0.45), (1.0, 1.0, 0.7), "second_fabric"),
    ),
    "sofa": (
        ("box", "sofa", (0.0, 0.0, 0.06), (1.0, 1.0, 0.48), "fabric"),
        ("box", "sofa", (0.0, 0.0, 0.48), (1.0, 0.28, 1.0), "fabric"),
        ("box", "sofa", (0.0, 0.28, 0.48), (0.1, 1.0, 0.72), "fabric"),
        ("box", "sofa", (0.9, 0.28, 0.48), (1.0, 1.0, 0.72), "fabric"),
        ("box", "cushion", (0.14, 0.28, 0.48), (0.34, 0.42, 0.85), "second_fabric"),
    ),
    "cushion": (("box", "cushion", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "second_fabric"),),
    "pillow": (("box", "pillow", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "mattress"),),
    "television": (("box", "television", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "dark"),),
    "monitor": (
        ("box", "monitor", (0.0, 0.3, 0.25), (1.0, 0.6, 1.0), "dark"),
        ("box", "monitor", (0.4, 0.3, 0.06), (0.6, 0.5, 0.25), "metal"),
        ("box", "monitor", (0.25, 0.0, 0.0), (0.75, 1.0, 0.06), "metal"),
    ),
    "counter": (
        ("box", "counter", (0.0, 0.0, 0.0), (1.0, 0.95, 0.95), "kitchen_fronts"),
        ("box", "counter", (0.0, 0.0, 0.95), (1.0, 1.0, 1.0), "worktop"),
    ),
    "sink": (("box", "sink", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "ceramic"),),
    "stove": (
        ("box", "stove", (0.0, 0.0, 0.0), (1.0, 1.0, 0.97), "metal"),
        ("box", "stove", (0.0, 0.0, 0.97), (1.0, 1.0, 1.0), "dark"),
    ),
    "refrigerator": (("box", "refrigerator", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "white"),),
    "toilet": (
        ("box", "toilet", (0.05, 0.0, 0.0), (0.95, 0.3, 1.0), "ceramic"),
        ("cylinder", "toilet", (0.0, 0.3, 0.0), (1.0, 1.0, 0.55), "ceramic"),
    ),
    "bathtub": (("box", "bathtub", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "ceramic"),),
    "shower": (
        ("box", "shower", (0.0, 0.0, 0.0), (1.0, 1.0, 0.06), "ceramic"),
        ("box", "shower", (0.0, 0.0, 0.06), (0.04, 0.04, 1.0), "metal"),
    ),
    "washing machine": (("box", "washing machine", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "white"),),
    "mirror": (("box", "mirror", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "metal"),),
    "plant": (
        ("cylinder", "plant", (0.3, 0.3, 0.0), (0.7, 0.7, 0.3), "second_wood"),
        ("ball", "plant", (0.0, 0.0, 0.25), (1.0, 1.0, 1.0), "leaves"),
    ),
    "lamp": (
        ("cylinder", "lamp", (0.45, 0.45, 0.0), (0.55, 0.55, 0.75), "metal"),
        ("cylinder", "lamp", (0.0, 0.0, 0.7), (1.0, 1.0, 1.0), "glow"),
    ),
    "carpet": (("box", "carpet", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "second_fabric"),),
    "picture": (("box", "picture", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "art"),),
    "curtain": (("box", "curtain", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "second_fabric"),),
    "radiator": (("box", "radiator", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "white"),),
    "bin": (("cylinder", "bin", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "metal"),),
    "vase": (("cylinder", "vase", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "ceramic"),),
    "door": (("box", "door", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "leaf"),),
}
PICTURE_PATTERNS = ("picture circles", "picture hills", "picture blocks", "picture tree", "picture waves")


class Look:
    """What the furniture of a room is made of: its palette, and some materials that differ from palette to palette."""

    def __init__(self, draws, materials, wood, leaf):
        front, art = tint(draws, draws.choice(WOODS)), [tint(draws, family) for family in draws.shuffled(FABRICS)[:6]]
        self.palette = draw_palette(draws, materials, wood, front)
        self.own = {
            "leaf": leaf,
            "books": materials.add("books", *art[:3], scale=0.7),
            "art": materials.add(draws.choice(PICTURE_PATTERNS), *art[3:], scale=0.0),
            "leaves": materials.add("leaves", draws.choice(GREENS), shaded(art[0], 0.8), scale=0.3),
            "glow": materials.add("plain", (0.96, 0.90, draws.between(0.6, 0.9)), emission=0.75),
        }

    def material(self, name):
        """The index of a material by its name in SHAPES."""
        return self.own[name] if name in self.own else getattr(self.palette, name)


def piece_in(low, high, name, room, side, look):
    """The piece of a class (None: unknown) that fills the box from low to high, its back to a side of its room."""
    unknown = (("box", "nothing", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "second_wood"),)
    shape = SHAPES.get(name, (("box", name, *unknown[0][2:]),) if name else unknown)
    parts = tuple(
        Part(solid, *placed(low, high, start, end, side), look.material(material), CLASS_IDS[part_name])
        for solid, part_name, start, end, material in shape
    )
    low, high = (tuple(round(value, 3) for value in corner) for corner in (low, high))
    footprint = Rectangle(*low[:2], *high[:2])
    return Piece(name or "unknown", room, OPPOSITE[side], footprint, low[2], high[2], parts)


def placed(low, high, start, end, side):
    """(low, high) in the house of a part from `start` to `end` in shares of a piece's box."""
    corners = []
    for u, v, w in (start, end):
        x, y = {"south": (u, v), "north": (u, 1 - v), "west": (v, u), "east": (1 - v, u)}[side]
        corners.append([a + share * (b - a) for a, b, share in zip(low, high, (x, y, w), strict=True)])
    ends = [(round(min(pair), 3), round(max(pair), 3)) for pair in zip(*corners, strict=True)]
    return tuple(a for a, _ in ends), tuple(b for _, b in ends)
