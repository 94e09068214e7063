"""Furniture: of which parts each piece is made.

A piece is built in its own frame: x along the wall behind it, y out of the wall, z up, its footprint from (0, 0) to
(width, depth), in metres. Where pieces stand is `furnish`'s business.
"""

from collections import namedtuple

from training.houses.classes import CLASS_IDS
from training.houses.house import Part
from training.houses.materials import (
    BOXES,
    FABRICS,
    FRONTS,
    GREENS,
    METAL,
    TILE_TINTS,
    TOYS,
    WHITE,
    WOODS,
    mixed,
    shaded,
    tint,
)

UNIT = 0.6  # metres: the width of a unit of a kitchen

Shape = namedtuple("Shape", "width depth parts")  # a piece in its own frame


class Workshop:
    """Builds the pieces of one room from its draws and palette."""

    def __init__(self, draws, materials, palette):
        self.draws, self.materials, self.palette = draws, materials, palette

    # Parts

    def box(self, name, low, high, material):
        """A box from low to high."""
        return Part("box", low, high, material, CLASS_IDS[name])

    def legs(self, name, width, depth, height, material, thickness=0.06, inset=0.02):
        """Four legs under a top of this size."""
        far_x, far_y = width - inset - thickness, depth - inset - thickness
        return [
            self.box(name, (x, y, 0.0), (x + thickness, y + thickness, height), material)
            for x in (inset, far_x)
            for y in (inset, far_y)
        ]

    def cylinder(self, name, centre, radius, bottom, top, material, taper=1.0):
        """An upright cylinder; its top is `taper` times as wide as its bottom."""
        x, y = centre
        reach = radius * max(1.0, taper)
        return Part(
            "cylinder", (x - reach, y - reach, bottom), (x + reach, y + reach, top), material, CLASS_IDS[name], taper
        )

    def ball(self, name, centre, radius, bottom, top, material):
        """An ellipsoid."""
        x, y = centre
        return Part("ball", (x - radius, y - radius, bottom), (x + radius, y + radius, top), material, CLASS_IDS[name])

    def shade(self):
        """The material of a lampshade that is lit."""
        return self.materials.add(
            "plain",
            tint(self.draws, self.draws.choice(((0.11, 0.3, 0.96), (0.09, 0.12, 0.96), (0.06, 0.45, 0.92)))),
            emission=0.75,
        )

    def fabric(self):
        """A fabric in a colour of its own."""
        colour = tint(self.draws, self.draws.choice(FABRICS))
        return self.materials.add("weave", colour, shaded(colour, 0.75), scale=0.4)

    def table_lamp(self, centre, height):
        """A lamp that stands on something."""
        return [
            self.cylinder("lamp", centre, 0.05, height, height + 0.16, self.palette.metal),
            self.cylinder("lamp", centre, 0.13, height + 0.16, height + 0.36, self.shade(), taper=0.65),
        ]

    def vase(self, centre, height):
        """A vase with flowers."""
        colour = tint(self.draws, self.draws.choice(FABRICS))
        green = self.materials.add(
            "leaves", *(self.draws.choice(GREENS), tint(self.draws, self.draws.choice(FABRICS))), scale=0.3
        )
        return [
            self.cylinder("vase", centre, 0.05, height, height + 0.17, self.materials.add("plain", colour), taper=1.3),
            self.ball("plant", centre, 0.12, height + 0.15, height + 0.38, green),
        ]

    def books(self, low, high):
        """A row of books."""
        colours = [tint(self.draws, family) for family in self.draws.shuffled(FABRICS)[:3]]
        return self.box("books", low, high, self.materials.add("books", *colours, scale=0.7))

    # Pieces

    def bed(self, double):
        """A bed, its head at the wall."""
        p, width, depth = self.palette, self.draws.between(1.5, 1.8) if double else self.draws.between(0.9, 1.1), 2.06
        head = self.draws.between(0.7, 1.1) if double else 0.7
        headboard = p.fabric if self.draws.chance(0.4) else p.wood
        parts = self.legs("bed", width, depth, 0.12, p.wood, 0.07)
        parts += [
            self.box("bed", (0.0, 0.0, 0.12), (width, 0.06, head), headboard),
            self.box("bed", (0.0, 0.06, 0.12), (width, depth, 0.32), p.wood),
            self.box("bed", (0.03, 0.08, 0.32), (width - 0.03, depth - 0.03, 0.48), p.mattress),
            self.box("bed", (0.0, 0.75, 0.36), (width, depth, 0.54), p.bedding),
        ]
        count = 2 if double else 1
        for number in range(count):
            x0 = 0.08 + number * width / count
            parts.append(
                self.box(
                    "pillow",
                    (x0, 0.12, 0.48),
                    (x0 + width / count - 0.16, 0.52, 0.6),
                    p.mattress if self.draws.chance(0.5) else p.bedding,
                )
            )
        return Shape(width, depth, parts)

    def bunk_bed(self):
        """Two beds, one above the other, with a ladder at the foot."""
        p, width, depth = self.palette, 0.98, 2.04
        frame = self.draws.choice((p.wood, p.white, p.second_wood))
        parts = self.legs("bed", width, depth, 1.75, frame, 0.07, 0.0)
        for level in (0.3, 1.25):
            parts += [
                self.box("bed", (0.02, 0.02, level), (width - 0.02, depth - 0.02, level + 0.08), frame),
                self.box("bed", (0.04, 0.04, level + 0.08), (width - 0.04, depth - 0.04, level + 0.2), p.mattress),
                self.box("bed", (0.03, 0.7, level + 0.12), (width - 0.03, depth - 0.03, level + 0.25), p.bedding),
                self.box("pillow", (0.15, 0.1, level + 0.2), (width - 0.15, 0.48, level + 0.31), p.white),
                self.box("bed", (0.0, 0.0, level + 0.08), (width, 0.03, level + 0.4), frame),
            ]
        for x in (0.0, width - 0.03):
            parts.append(self.box("bed", (x, 0.07, 1.6), (x + 0.03, depth - 0.07, 1.7), frame))
        for rung in range(5):
            z = 0.25 + 0.25 * rung
            parts.append(self.box("bed", (0.3, depth - 0.05, z), (0.7, depth - 0.01, z + 0.04), frame))
        return Shape(width, depth, parts)

    def toys(self):
        """A chest with blocks and a ball beside it."""
        p, chest = self.palette, self.draws.choice((self.palette.wood, self.palette.white, self.palette.second_wood))
        bright = [self.materials.add("plain", tint(self.draws, family)) for family in self.draws.shuffled(TOYS)[:4]]
        parts = [
            self.box("box", (0.0, 0.0, 0.0), (0.6, 0.38, 0.4), chest),
            self.box("box", (0.02, 0.38, 0.28), (0.58, 0.385, 0.36), p.dark),
            self.box("box", (0.05, 0.06, 0.4), (0.2, 0.2, 0.55), bright[0]),
            self.box("box", (0.08, 0.08, 0.55), (0.18, 0.18, 0.65), bright[1]),
            self.box("box", (0.3, 0.1, 0.4), (0.5, 0.24, 0.5), bright[2]),
            self.ball("box", (0.72, 0.2), 0.11, 0.0, 0.22, bright[3]),
        ]
        return Shape(0.84, 0.4, parts)

    def nightstand(self):
        """A small cupboard with a lamp on it."""
        height = self.draws.between(0.42, 0.55)
        parts = [self.box("nightstand", (0.0, 0.0, 0.0), (0.45, 0.4, height), self.palette.wood_drawers)]
        if self.draws.chance(0.8):
            parts += self.table_lamp((0.225, 0.2), height)
        return Shape(0.45, 0.4, parts)

    def wardrobe(self):
        """A wardrobe with doors."""
        width, height = self.draws.between(1.0, 1.9), self.draws.between(1.95, 2.25)
        fronts = self.draws.choice((self.palette.wood_fronts, self.palette.wood_fronts, self.palette.kitchen_fronts))
        halves = 1 if width < 1.2 else 2
        parts = [
            self.box("wardrobe", (width * i / halves, 0.0, 0.06), (width * (i + 1) / halves, 0.6, height), fronts)
            for i in range(halves)
        ]
        parts.append(self.box("wardrobe", (0.03, 0.03, 0.0), (width - 0.03, 0.55, 0.06), self.palette.dark))
        return Shape(width, 0.6, parts)

    def cupboard(self, depth=0.45):
        """A chest of drawers with something on top."""
        width, height = self.draws.between(0.8, 1.4), self.draws.between(0.75, 1.0)
        parts = [
            self.box("cupboard", (0.0, 0.0, 0.08), (width, depth, height), self.palette.wood_drawers),
            *self.legs("cupboard", width, depth, 0.08, self.palette.dark, 0.05),
        ]
        if self.draws.chance(0.5):
            parts += self.vase((width * 0.25, depth / 2), height)
        if self.draws.chance(0.5):
            parts += self.table_lamp((width * 0.75, depth / 2), height)
        return Shape(width, depth, parts)

    def shelf(self):
        """An open shelf with books."""
        p, width, height, depth = self.palette, self.draws.between(0.7, 1.3), self.draws.between(1.5, 2.1), 0.3
        parts = [
            self.box("shelf", (0.0, 0.0, 0.0), (0.03, depth, height), p.wood),
            self.box("shelf", (width - 0.03, 0.0, 0.0), (width, depth, height), p.wood),
            self.box("shelf", (0.03, 0.0, 0.0), (width - 0.03, 0.02, height), p.wood),
        ]
        levels = 4 if height < 1.8 else 5
        pitch = (height - 0.05) / levels
        for level in range(levels + 1):
            z = level * pitch
            parts.append(self.box("shelf", (0.03, 0.02, z), (width - 0.03, depth, z + 0.03), p.wood))
            if level < levels and self.draws.chance(0.8):
                end = width - 0.04 - self.draws.choice((0.0, 0.0, 0.25))
                parts.append(self.books((0.04, 0.04, z + 0.03), (end, depth - 0.04, z + 0.03 + pitch * 0.72)))
        return Shape(width, depth, parts)

    def desk(self):
        """A desk with a monitor and a chair before it."""
        p, width, depth = self.palette, self.draws.between(1.2, 1.6), 0.7
        middle = width / 2
        parts = [
            self.box("desk", (0.0, 0.0, 0.71), (width, depth, 0.75), p.wood),
            *self.legs("desk", width, depth, 0.71, p.metal, 0.05),
            self.box("desk", (width - 0.45, 0.05, 0.2), (width - 0.05, depth - 0.05, 0.71), p.wood_drawers),
            self.box("monitor", (middle - 0.3, 0.18, 0.85), (middle + 0.3, 0.21, 1.2), p.dark),
            self.box("monitor", (middle - 0.04, 0.15, 0.75), (middle + 0.04, 0.19, 0.9), p.dark),
            self.box("monitor", (middle - 0.12, 0.12, 0.75), (middle + 0.12, 0.26, 0.765), p.dark),
        ]
        if self.draws.chance(0.6):
            parts += self.table_lamp((0.2, 0.2), 0.75)
        chair = self.office_chair() if self.draws.chance(0.6) else self.chair(p.second_wood, p.fabric)
        return joined(width, depth + 0.4, parts, facing_wall(chair, middle - chair.width / 2, depth - 0.15))

    def office_chair(self):
        """A chair on a star foot."""
        seat = self.palette.fabric
        parts = [
            self.cylinder("chair", (0.25, 0.25), 0.24, 0.03, 0.08, self.palette.dark),
            self.cylinder("chair", (0.25, 0.25), 0.03, 0.08, 0.44, self.palette.metal),
            self.box("chair", (0.02, 0.02, 0.44), (0.48, 0.48, 0.52), seat),
            self.box("chair", (0.04, 0.0, 0.55), (0.46, 0.06, 1.02), seat),
        ]
        return Shape(0.5, 0.5, parts)

    def chair(self, wood, seat):
        """A chair with four legs, its back at y = 0."""
        parts = self.legs("chair", 0.44, 0.44, 0.43, wood, 0.045, 0.0)
        parts += [
            self.box("chair", (0.0, 0.0, 0.43), (0.44, 0.44, 0.48), seat),
            self.box("chair", (0.0, 0.0, 0.48), (0.045, 0.045, 0.92), wood),
            self.box("chair", (0.395, 0.0, 0.48), (0.44, 0.045, 0.92), wood),
            self.box("chair", (0.045, 0.005, 0.64), (0.395, 0.035, 0.9), seat),
        ]
        return Shape(0.44, 0.44, parts)

    def dining_table(self, longest):
        """A table with chairs on two sides, free in the room."""
        p, depth = self.palette, self.draws.between(0.75, 0.95)
        length = min(longest, self.draws.between(0.9, 1.9))
        wood, chair_wood, seat = (
            p.wood,
            self.draws.choice((p.wood, p.second_wood, p.white)),
            self.draws.choice((p.fabric, p.second_wood, p.second_fabric)),
        )
        overhang = 0.28  # of the chairs, beyond the table's edge
        top = [self.box("table", (0.0, overhang, 0.71), (length, overhang + depth, 0.75), wood)]
        shape = Shape(length, depth, self.legs("table", length, depth, 0.71, wood, 0.07))
        top += moved(shape, 0.0, overhang)
        if self.draws.chance(0.5):
            top += self.vase((length / 2, overhang + depth / 2), 0.75)
        count = max(1, int(length / 0.65))
        parts = list(top)
        for number in range(count):
            x = (number + 0.5) * length / count - 0.22
            parts += moved(self.chair(chair_wood, seat), x, 0.0)
            parts += facing_wall(self.chair(chair_wood, seat), x, overhang * 2 + depth - 0.44)
        return Shape(length, depth + 2 * overhang, parts)

    def round_table(self):
        """A round table with two to four chairs."""
        p, radius, reach = self.palette, self.draws.between(0.4, 0.55), 0.28
        size = 2 * (radius + reach)
        middle = size / 2
        parts = [
            self.cylinder("table", (middle, middle), radius, 0.71, 0.75, p.wood),
            self.cylinder("table", (middle, middle), 0.05, 0.03, 0.71, p.wood),
            self.cylinder("table", (middle, middle), 0.25, 0.0, 0.04, p.wood),
        ]
        chair = self.chair(p.second_wood, p.fabric)
        parts += moved(chair, middle - 0.22, 0.0)
        parts += facing_wall(chair, middle - 0.22, size - 0.44)
        if radius > 0.45:
            parts += facing_right(chair, 0.0, middle - 0.22)
            parts += facing_left(chair, size - 0.44, middle - 0.22)
        if self.draws.chance(0.6):
            parts += self.vase((middle, middle), 0.75)
        return Shape(size, size, parts)

    def sofa(self, width=None, name="sofa"):
        """A sofa or armchair with arms, back and cushions."""
        p, width, depth = self.palette, width or self.draws.between(1.5, 2.3), self.draws.between(0.82, 0.95)
        back, arm = self.draws.between(0.72, 0.9), self.draws.between(0.5, 0.64)
        fabric = p.fabric if name == "sofa" else p.second_fabric
        parts = [
            *self.legs(name, width, depth, 0.08, p.dark, 0.05),
            self.box(name, (0.0, 0.0, 0.08), (width, depth, 0.3), fabric),
            self.box(name, (0.0, 0.0, 0.3), (width, 0.2, back), fabric),
            self.box(name, (0.0, 0.2, 0.3), (0.16, depth, arm), fabric),
            self.box(name, (width - 0.16, 0.2, 0.3), (width, depth, arm), fabric),
        ]
        count = max(1, int((width - 0.32) / 0.55))
        seat = (width - 0.32) / count
        for number in range(count):
            x0 = 0.16 + number * seat
            parts.append(self.box(name, (x0 + 0.01, 0.2, 0.3), (x0 + seat - 0.01, depth + 0.02, 0.44), fabric))
        for x in (0.24, width - 0.24 - 0.36):
            if name == "sofa" and self.draws.chance(0.7):
                parts.append(
                    self.box(
                        "cushion",
                        (x, 0.2, 0.44),
                        (x + 0.36, 0.32, 0.76),
                        p.second_fabric if self.draws.chance(0.5) else self.fabric(),
                    )
                )
        return Shape(width, depth + 0.02, parts)

    def armchair(self):
        """An armchair."""
        return self.sofa(self.draws.between(0.8, 0.95), "armchair")

    def coffee_table(self):
        """A low table."""
        p, height = self.palette, self.draws.between(0.36, 0.46)
        if self.draws.chance(0.4):
            radius = self.draws.between(0.32, 0.42)
            parts = [
                self.cylinder("coffee table", (radius, radius), radius, height - 0.04, height, p.wood),
                self.cylinder("coffee table", (radius, radius), radius * 0.45, 0.0, height - 0.04, p.second_wood),
            ]
            return Shape(2 * radius, 2 * radius, parts)
        width, depth = self.draws.between(0.8, 1.1), self.draws.between(0.45, 0.6)
        parts = [
            self.box("coffee table", (0.0, 0.0, height - 0.04), (width, depth, height), p.wood),
            self.box("coffee table", (0.05, 0.05, 0.12), (width - 0.05, depth - 0.05, 0.15), p.wood),
            *self.legs("coffee table", width, depth, height - 0.04, p.second_wood, 0.05),
        ]
        if self.draws.chance(0.5):
            parts.append(self.books((0.15, 0.12, height), (0.45, 0.34, height + 0.06)))
        return Shape(width, depth, parts)

    def television(self, width=None):
        """A low cupboard with a television on it."""
        p, width = self.palette, width or self.draws.between(1.3, 1.9)
        screen = min(width, self.draws.between(0.9, 1.25))
        middle, height = width / 2, self.draws.between(0.38, 0.52)
        front = self.draws.choice((p.wood_fronts, p.wood_drawers, p.white))
        parts = [
            self.box("cupboard", (0.0, 0.0, 0.06), (middle, 0.4, height), front),
            self.box("cupboard", (middle, 0.0, 0.06), (width, 0.4, height), front),
            self.box("television", (middle - 0.2, 0.1, height), (middle + 0.2, 0.28, height + 0.02), p.dark),
            self.box(
                "television",
                (middle - screen / 2, 0.16, height + 0.06),
                (middle + screen / 2, 0.2, height + 0.06 + screen * 0.57),
                p.dark,
            ),
            self.box("television", (middle - 0.05, 0.16, height), (middle + 0.05, 0.19, height + 0.1), p.dark),
        ]
        if self.draws.chance(0.4):
            parts += self.vase((0.14, 0.2), height)
        return Shape(width, 0.4, parts)

    def kitchen_run(self, length):
        """Counters with sink and stove along a wall."""
        p = self.palette
        units = max(2, round(length / UNIT))
        width, depth = round(units * UNIT, 3), 0.62
        sink, stove = 0 if units < 4 else 1, units - 1 if units < 4 else units - 2
        hob = self.materials.add("hob", (0.09, 0.09, 0.1), (0.35, 0.32, 0.32), scale=0.0)
        oven = self.materials.add("drawers", (0.2, 0.2, 0.21), (0.1, 0.1, 0.1), METAL, scale=0.0)
        parts = [
            self.box("counter", (0.0, 0.05, 0.0), (width, 0.56, 0.1), p.dark),
        ]
        for unit in range(units):
            x0, x1 = unit * UNIT, (unit + 1) * UNIT
            parts.append(
                self.box(
                    "stove" if unit == stove else "counter",
                    (x0, 0.0, 0.1),
                    (x1, 0.6, 0.88),
                    oven if unit == stove else p.kitchen_fronts,
                )
            )
            parts.append(self.box("counter", (x0, 0.0, 0.88), (x1, depth, 0.92), p.worktop))
            if unit == stove:
                parts.append(self.box("stove", (x0 + 0.04, 0.06, 0.92), (x1 - 0.04, 0.54, 0.93), hob))
            elif unit == sink:
                parts.append(self.box("sink", (x0 + 0.06, 0.1, 0.92), (x1 - 0.06, 0.5, 0.925), p.metal))
                parts.append(self.box("sink", (x0 + 0.28, 0.04, 0.92), (x0 + 0.31, 0.07, 1.17), p.metal))
                parts.append(self.box("sink", (x0 + 0.28, 0.07, 1.14), (x0 + 0.31, 0.24, 1.17), p.metal))
        return Shape(width, depth, parts)

    def backsplash(self):
        """The material of the tiles between counter and cupboards."""
        colour = tint(self.draws, self.draws.choice(((0.1, 0.1, 0.9), (0.1, 0.1, 0.9), *TILE_TINTS)))
        return self.materials.add(self.draws.choice(("tiles", "bricks")), colour, mixed(colour, METAL, 0.6), scale=0.6)

    def wall_cupboard(self, tiles):
        """A kitchen cupboard above a counter's unit, and tiles below it."""
        parts = [
            self.box("wall", (0.0, 0.0, 0.92), (UNIT, 0.015, 1.45), tiles),
            self.box("cupboard", (0.0, 0.0, 1.45), (UNIT, 0.34, 2.15), self.palette.kitchen_fronts),
        ]
        return Shape(UNIT, 0.34, parts)

    def hood(self, tiles):
        """A hood above a stove, and tiles below it."""
        steel = self.palette.metal
        parts = [
            self.box("wall", (0.0, 0.0, 0.92), (UNIT, 0.015, 1.65), tiles),
            self.box("stove", (0.05, 0.0, 1.65), (UNIT - 0.05, 0.4, 1.72), steel),
            self.box("stove", (0.18, 0.0, 1.72), (UNIT - 0.18, 0.25, 2.2), steel),
        ]
        return Shape(UNIT, 0.4, parts)

    def refrigerator(self):
        """A refrigerator, white or of steel, freezer below."""
        height = self.draws.between(1.5, 1.95)
        colour = self.draws.choice((WHITE, METAL, (0.3, 0.31, 0.33), (0.72, 0.2, 0.18), (0.60, 0.78, 0.74)))
        body = self.materials.add("plain", colour)
        parts = [
            self.box("refrigerator", (0.0, 0.0, 0.05), (0.6, 0.6, height), body),
            self.box("refrigerator", (0.01, 0.6, 0.07), (0.59, 0.63, 0.6), body),
            self.box("refrigerator", (0.01, 0.6, 0.62), (0.59, 0.63, height - 0.01), body),
            self.box("refrigerator", (0.05, 0.63, 0.75), (0.08, 0.66, 1.2), self.palette.dark),
            self.box("refrigerator", (0.03, 0.03, 0.0), (0.57, 0.55, 0.05), self.palette.dark),
        ]
        return Shape(0.6, 0.66, parts)

    def laundry_sink(self):
        """A deep sink on legs."""
        p = self.palette
        parts = [
            self.box("sink", (0.0, 0.0, 0.5), (0.6, 0.5, 0.86), p.ceramic),
            *self.legs("sink", 0.6, 0.5, 0.5, p.metal, 0.05),
            self.box("sink", (0.06, 0.08, 0.86), (0.54, 0.44, 0.865), p.metal),
            self.box("sink", (0.28, 0.0, 1.05), (0.31, 0.2, 1.08), p.metal),
        ]
        return Shape(0.6, 0.5, parts)

    def bathtub(self):
        """A bathtub with a rim and water in it."""
        c, length = self.palette.ceramic, self.draws.between(1.5, 1.75)
        water = self.materials.add("plain", (0.66, 0.80, 0.84))
        parts = [
            self.box("bathtub", (0.0, 0.0, 0.0), (length, 0.09, 0.56), c),
            self.box("bathtub", (0.0, 0.66, 0.0), (length, 0.75, 0.56), c),
            self.box("bathtub", (0.0, 0.09, 0.0), (0.12, 0.66, 0.56), c),
            self.box("bathtub", (length - 0.12, 0.09, 0.0), (length, 0.66, 0.56), c),
            self.box("bathtub", (0.12, 0.09, 0.0), (length - 0.12, 0.66, 0.3), water),
            self.box("bathtub", (0.02, 0.34, 0.56), (0.07, 0.4, 0.72), self.palette.metal),
        ]
        return Shape(length, 0.75, parts)

    def shower(self):
        """A shower tray between rails."""
        c, m = self.palette.ceramic, self.palette.metal
        glass = self.materials.add("plain", (0.72, 0.84, 0.85))
        parts = [
            self.box("shower", (0.0, 0.0, 0.0), (0.9, 0.9, 0.12), c),
            self.box("shower", (0.0, 0.0, 0.12), (0.03, 0.9, 1.95), glass),
            self.box("shower", (0.87, 0.6, 0.12), (0.9, 0.9, 1.95), glass),
            self.box("shower", (0.43, 0.0, 0.9), (0.46, 0.03, 2.05), m),
            self.cylinder("shower", (0.445, 0.12), 0.1, 2.03, 2.06, m),
        ]
        return Shape(0.9, 0.9, parts)

    def toilet(self):
        """A toilet with a tank."""
        c = self.palette.ceramic
        parts = [
            self.box("toilet", (0.02, 0.0, 0.38), (0.4, 0.18, 0.8), c),
            self.box("toilet", (0.1, 0.0, 0.0), (0.32, 0.45, 0.2), c),
            self.cylinder("toilet", (0.21, 0.42), 0.13, 0.0, 0.4, c, taper=1.6),
            self.cylinder(
                "toilet", (0.21, 0.42), 0.205, 0.4, 0.44, self.draws.choice((c, self.palette.dark, self.palette.wood))
            ),
        ]
        return Shape(0.42, 0.64, parts)

    def washbasin(self):
        """A basin on a cupboard below a mirror."""
        p, width = self.palette, self.draws.between(0.6, 0.95)
        glass = self.materials.add("plain", (0.72, 0.80, 0.84), emission=0.15)
        parts = [
            self.box(
                "cupboard",
                (0.05, 0.0, 0.2),
                (width - 0.05, 0.42, 0.74),
                self.draws.choice((p.wood_drawers, p.kitchen_fronts)),
            ),
            self.box("sink", (0.0, 0.0, 0.74), (width, 0.48, 0.87), p.ceramic),
            self.cylinder("sink", (width / 2, 0.26), 0.16, 0.87, 0.875, p.metal),
            self.box("sink", (width / 2 - 0.02, 0.04, 0.87), (width / 2 + 0.02, 0.16, 1.0), p.metal),
            self.box("mirror", (0.05, 0.0, 1.15), (width - 0.05, 0.025, 1.85), glass),
        ]
        return Shape(width, 0.48, parts)

    def washing_machine(self):
        """A washing machine with its round door."""
        return Shape(0.6, 0.6, self.washing_machine_parts(0.0))

    def washing_machine_parts(self, bottom):
        """The parts of a washing machine or dryer that stands at this height."""
        p = self.palette
        return [
            self.box("washing machine", (0.0, 0.0, bottom), (0.6, 0.58, bottom + 0.85), p.white),
            self.box("washing machine", (0.12, 0.58, bottom + 0.2), (0.48, 0.59, bottom + 0.58), p.metal),
            self.box("washing machine", (0.17, 0.59, bottom + 0.25), (0.43, 0.6, bottom + 0.53), p.dark),
            self.box("washing machine", (0.02, 0.58, bottom + 0.72), (0.25, 0.59, bottom + 0.81), p.metal),
            self.box("washing machine", (0.42, 0.58, bottom + 0.73), (0.56, 0.59, bottom + 0.8), p.dark),
        ]

    def washing_tower(self):
        """A dryer on a washing machine."""
        return Shape(0.6, 0.6, self.washing_machine_parts(0.0) + self.washing_machine_parts(0.87))

    def laundry_basket(self):
        """A basket full of clothes."""
        wicker = self.materials.add("weave", (0.72, 0.56, 0.38), (0.5, 0.37, 0.24), scale=0.3)
        parts = [
            self.box("box", (0.0, 0.0, 0.0), (0.5, 0.36, 0.4), wicker),
            self.ball("box", (0.17, 0.18), 0.14, 0.34, 0.5, self.fabric()),
            self.ball("box", (0.33, 0.18), 0.14, 0.34, 0.48, self.fabric()),
        ]
        return Shape(0.5, 0.36, parts)

    def storage_shelf(self):
        """A bare shelf of metal or wood with boxes on its boards."""
        p, width, height = self.palette, self.draws.between(0.8, 1.4), self.draws.between(1.6, 2.0)
        frame = self.draws.choice((p.metal, p.wood, p.white))
        parts = self.legs("shelf", width, 0.4, height, frame, 0.04, 0.0)
        for level in range(4):
            z = 0.12 + level * (height - 0.15) / 3
            parts.append(self.box("shelf", (0.0, 0.0, z - 0.03), (width, 0.4, z), frame))
            x = 0.06
            while level < 3 and x < width - 0.4:
                size, card = self.draws.between(0.22, 0.4), tint(self.draws, self.draws.choice(BOXES))
                parts.append(
                    self.box("box", (x, 0.05, z), (x + size, 0.37, z + size * 0.8), self.materials.add("plain", card))
                )
                x += size + self.draws.between(0.03, 0.25)
        return Shape(width, 0.4, parts)

    def linen_shelf(self):
        """A narrow open shelf with towels."""
        p, height = self.palette, self.draws.between(1.3, 1.8)
        frame = self.draws.choice((p.white, p.wood, p.metal))
        parts = self.legs("shelf", 0.5, 0.32, height, frame, 0.03, 0.0)
        for level in range(4):
            z = 0.15 + level * (height - 0.18) / 3
            parts.append(self.box("shelf", (0.0, 0.0, z - 0.025), (0.5, 0.32, z), frame))
            if level < 3:
                high = self.draws.between(0.1, 0.25)
                parts.append(self.box("box", (0.05, 0.03, z), (0.45, 0.3, z + high), self.fabric()))
        return Shape(0.5, 0.32, parts)

    def coats(self):
        """A board with hooks, coats on it and shoes below."""
        p, width = self.palette, self.draws.between(0.7, 1.1)
        parts = [
            self.box("wardrobe", (0.0, 0.0, 1.62), (width, 0.03, 1.74), p.wood),
            self.box("shelf", (0.0, 0.0, 0.3), (width, 0.3, 0.33), p.wood),
            self.box("shelf", (0.0, 0.0, 0.0), (0.03, 0.3, 0.3), p.wood),
            self.box("shelf", (width - 0.03, 0.0, 0.0), (width, 0.3, 0.3), p.wood),
        ]
        count = int(width / 0.28)
        for number in range(count):
            x = (number + 0.5) * width / count
            bottom = self.draws.between(0.7, 1.05)
            parts.append(self.box("wardrobe", (x - 0.11, 0.03, bottom), (x + 0.11, 0.2, 1.64), self.fabric()))
            parts.append(self.box("box", (x - 0.1, 0.05, 0.33), (x + 0.1, 0.28, 0.43), p.dark))
        return Shape(width, 0.3, parts)

    def hall_mirror(self):
        """A tall mirror on the wall."""
        glass = self.materials.add("plain", (0.72, 0.80, 0.84), emission=0.15)
        width = self.draws.between(0.45, 0.7)
        parts = [
            self.box("mirror", (0.0, 0.0, 0.75), (width, 0.02, 1.85), self.palette.wood),
            self.box("mirror", (0.04, 0.0, 0.79), (width - 0.04, 0.025, 1.81), glass),
        ]
        return Shape(width, 0.025, parts)

    def front_door(self):
        """A house's front door, shut, in its frame."""
        p = self.palette
        colour = tint(self.draws, self.draws.choice(FRONTS + WOODS))
        leaf = self.materials.add("door leaf", colour, shaded(colour, 0.65), METAL, scale=0.0)
        parts = [
            self.box("door", (0.0, 0.0, 0.0), (0.07, 0.05, 2.12), p.white),
            self.box("door", (1.03, 0.0, 0.0), (1.1, 0.05, 2.12), p.white),
            self.box("door", (0.07, 0.0, 2.05), (1.03, 0.05, 2.12), p.white),
            self.box("door", (0.07, 0.0, 0.0), (1.03, 0.035, 2.05), leaf),
        ]
        return Shape(1.1, 0.05, parts)

    def door_leaf(self, material):
        """An open door's leaf, its hinges at (0, 0), out of the wall."""
        return Shape(0.04, 0.86, [self.box("door", (0.0, 0.0, 0.01), (0.04, 0.86, 2.03), material)])

    def plant(self):
        """A plant in a pot."""
        radius, height = self.draws.between(0.12, 0.2), self.draws.between(0.6, 1.5)
        pot = self.materials.add(
            "plain", tint(self.draws, self.draws.choice(((0.05, 0.5, 0.7), (0.1, 0.05, 0.85), (0.6, 0.3, 0.4))))
        )
        green = self.draws.choice(GREENS)
        leaves = self.materials.add("leaves", green, shaded(green, 0.6), scale=0.5)
        reach = radius * 1.9
        centre = (reach, reach)
        parts = [self.cylinder("plant", centre, radius * 0.75, 0.0, radius * 2, pot, taper=1.3)]
        if height > 1.0:
            parts.append(self.cylinder("plant", centre, 0.025, radius * 2, height * 0.6, self.palette.second_wood))
            parts.append(self.ball("plant", centre, reach, height * 0.5, height, leaves))
            parts.append(
                self.ball("plant", (reach * 0.75, reach * 1.1), reach * 0.65, height * 0.4, height * 0.68, leaves)
            )
        else:
            parts.append(self.ball("plant", centre, reach, radius * 1.8, height, leaves))
        return Shape(2 * reach, 2 * reach, parts)

    def floor_lamp(self):
        """A lamp on a pole."""
        height = self.draws.between(1.4, 1.75)
        centre = (0.2, 0.2)
        parts = [
            self.cylinder("lamp", centre, 0.14, 0.0, 0.03, self.palette.dark),
            self.cylinder("lamp", centre, 0.02, 0.03, height - 0.25, self.palette.dark),
            self.cylinder("lamp", centre, 0.2, height - 0.27, height, self.shade(), taper=0.7),
        ]
        return Shape(0.4, 0.4, parts)

    def bin(self):
        """A bin."""
        return Shape(
            0.3,
            0.3,
            [
                self.cylinder(
                    "bin",
                    (0.15, 0.15),
                    0.12,
                    0.0,
                    0.42,
                    self.draws.choice((self.palette.metal, self.palette.dark, self.fabric())),
                    taper=1.2,
                )
            ],
        )

    def boxes(self):
        """One or two boxes, one on the other."""
        card = self.materials.add("plain", tint(self.draws, (0.09, 0.4, 0.7)))
        size = self.draws.between(0.35, 0.5)
        parts = [self.box("box", (0.0, 0.0, 0.0), (size, size * 0.8, size * 0.7), card)]
        if self.draws.chance(0.5):
            parts.append(
                self.box("box", (0.05, 0.03, size * 0.7), (size - 0.08, size * 0.7, size * 1.2), self.fabric())
            )
        return Shape(size, size * 0.8, parts)

    def carpet(self, width, depth):
        """A carpet of this size."""
        pattern = self.draws.choice(("carpet border", "carpet medallion", "carpet stripes", "carpet diamonds"))
        first, second, third = (tint(self.draws, family) for family in self.draws.shuffled(FABRICS)[:3])
        material = self.materials.add(pattern, first, mixed(second, WHITE, 0.3), third, scale=0.0)
        return Shape(width, depth, [self.box("carpet", (0.0, 0.0, 0.0), (width, depth, 0.012), material)])

    def picture(self):
        """A framed picture."""
        width, height = self.draws.between(0.4, 1.1), self.draws.between(0.4, 0.8)
        bottom = self.draws.between(1.1, 1.4)
        kind = self.draws.choice(("circles", "hills", "blocks", "tree", "waves", "portrait"))
        first, second, third = (tint(self.draws, family) for family in self.draws.shuffled(FABRICS)[:3])
        canvas = self.materials.add(
            "picture " + kind, mixed(first, WHITE, self.draws.choice((0.0, 0.6))), second, third, scale=0.0
        )
        frame = self.draws.choice((self.palette.dark, self.palette.white, self.palette.wood))
        parts = [
            self.box("picture", (0.0, 0.0, bottom), (width, 0.02, bottom + height), frame),
            self.box("picture", (0.03, 0.0, bottom + 0.03), (width - 0.03, 0.026, bottom + height - 0.03), canvas),
        ]
        return Shape(width, 0.026, parts)

    def radiator(self, width):
        """A radiator below a window."""
        ribs = self.materials.add("stripes", WHITE, shaded(WHITE, 0.78), scale=0.5)
        return Shape(width, 0.1, [self.box("radiator", (0.0, 0.02, 0.1), (width, 0.1, 0.65), ribs)])

    def curtain(self, material, bottom):
        """One half of a pair of curtains."""
        return Shape(0.28, 0.09, [self.box("curtain", (0.0, 0.0, bottom), (0.28, 0.09, 2.3), material)])

    def ceiling_lamp(self, ceiling):
        """A lamp that hangs from the ceiling."""
        drop = self.draws.between(0.15, 0.5)
        radius = self.draws.between(0.15, 0.25)
        parts = [
            self.cylinder("lamp", (radius, radius), 0.012, ceiling - drop, ceiling, self.palette.dark),
            self.cylinder(
                "lamp", (radius, radius), radius, ceiling - drop - 0.16, ceiling - drop, self.shade(), taper=0.6
            ),
        ]
        return Shape(2 * radius, 2 * radius, parts)


def moved(shape, x, y):
    """The parts of a shape, moved on the floor."""
    return [placed_part(part, lambda u, v: (u + x, v + y)) for part in shape.parts]


def facing_wall(shape, x, y):
    """The parts of a shape turned round and moved, so that its back is at high y."""
    return [placed_part(part, lambda u, v: (shape.width - u + x, shape.depth - v + y)) for part in shape.parts]


def facing_right(shape, x, y):
    """The parts of a shape turned by a quarter and moved, so that its back is at low x."""
    return [placed_part(part, lambda u, v: (v + x, u + y)) for part in shape.parts]


def facing_left(shape, x, y):
    """The parts of a shape turned by a quarter and moved, so that its back is at high x."""
    return [placed_part(part, lambda u, v: (shape.depth - v + x, u + y)) for part in shape.parts]


def joined(width, depth, parts, more):
    """A shape from parts and further parts."""
    return Shape(width, depth, [*parts, *more])


def placed_part(part, place):
    """A part with its corners moved by `place`, a map of (x, y) that keeps right angles, in whole millimetres."""
    (x0, y0), (x1, y1) = place(part.low[0], part.low[1]), place(part.high[0], part.high[1])
    low = (round(min(x0, x1), 3), round(min(y0, y1), 3), round(part.low[2], 3))
    high = (round(max(x0, x1), 3), round(max(y0, y1), 3), round(part.high[2], 3))
    return Part(part.shape, low, high, part.material, part.class_id, part.taper)
