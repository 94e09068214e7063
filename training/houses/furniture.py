"""Furniture: what stands in which room, where, and of which parts it is made.

A piece is built in its own frame: x along the wall behind it, y out of the wall, z up, its footprint from (0, 0) to
(width, depth). `furnish` puts pieces against walls or in the open without overlaps, clear of doors, and so that a robot
gets from every door of the room to every other.
"""

from collections import namedtuple

import numpy as np
from scipy import ndimage

from training.houses.classes import CLASS_IDS
from training.houses.house import OPPOSITE, SIDES, Part, Piece, Rectangle
from training.houses.materials import FABRICS, GREENS, METAL, WHITE, mixed, shaded, tint

WALKWAY = 0.32  # metres that stay free to each side of a robot's centre on its way from door to door
GRID = 0.05  # metres, of the test for that
DOOR_ZONE = 1.0  # metres in front of a door that stay free
TRIES = 30  # places tried before a piece is left out
MAIN_TRIES = 150  # the same for the piece that makes a room what it is
BLOCKING = (0.15, 1.3)  # metres above the floor: what stands there blocks a robot

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
        return Part("cylinder", (x - reach, y - reach, bottom), (x + reach, y + reach, top), material, CLASS_IDS[name], taper)

    def ball(self, name, centre, radius, bottom, top, material):
        """An ellipsoid."""
        x, y = centre
        return Part("ball", (x - radius, y - radius, bottom), (x + radius, y + radius, top), material, CLASS_IDS[name])

    def shade(self):
        """The material of a lampshade that is lit."""
        return self.materials.add("plain", tint(self.draws, self.draws.choice(((0.11, 0.3, 0.96), (0.09, 0.12, 0.96), (0.06, 0.45, 0.92)))), emission=0.75)

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
        green = self.materials.add("leaves", *(self.draws.choice(GREENS), tint(self.draws, self.draws.choice(FABRICS))), scale=0.3)
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
            parts.append(self.box("pillow", (x0, 0.12, 0.48), (x0 + width / count - 0.16, 0.52, 0.6), p.mattress if self.draws.chance(0.5) else p.bedding))
        return Shape(width, depth, parts)

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
        wood, chair_wood, seat = p.wood, self.draws.choice((p.wood, p.second_wood, p.white)), self.draws.choice((p.fabric, p.second_wood, p.second_fabric))
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
        parts += moved(self.chair(p.second_wood, p.fabric), middle - 0.22, 0.0)
        parts += facing_wall(self.chair(p.second_wood, p.fabric), middle - 0.22, size - 0.44)
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
                parts.append(self.box("cushion", (x, 0.2, 0.44), (x + 0.36, 0.32, 0.76), p.second_fabric if self.draws.chance(0.5) else self.fabric()))
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

    def television(self):
        """A low cupboard with a television on it."""
        p, width, screen = self.palette, self.draws.between(1.3, 1.9), self.draws.between(0.9, 1.25)
        middle, height = width / 2, self.draws.between(0.38, 0.52)
        front = self.draws.choice((p.wood_fronts, p.wood_drawers, p.white))
        parts = [
            self.box("cupboard", (0.0, 0.0, 0.06), (middle, 0.4, height), front),
            self.box("cupboard", (middle, 0.0, 0.06), (width, 0.4, height), front),
            self.box("television", (middle - 0.2, 0.1, height), (middle + 0.2, 0.28, height + 0.02), p.dark),
            self.box("television", (middle - screen / 2, 0.16, height + 0.06), (middle + screen / 2, 0.2, height + 0.06 + screen * 0.57), p.dark),
            self.box("television", (middle - 0.05, 0.16, height), (middle + 0.05, 0.19, height + 0.1), p.dark),
        ]
        if self.draws.chance(0.4):
            parts += self.vase((0.14, 0.2), height)
        return Shape(width, 0.4, parts)

    def kitchen_run(self, length):
        """Counters with sink and hob, cupboards above, along a wall."""
        p = self.palette
        units = max(2, int(length / 0.6))
        width, depth = units * 0.6, 0.62
        sink, stove = 0 if units < 4 else 1, units - 1 if units < 4 else units - 2
        hob = self.materials.add("hob", (0.09, 0.09, 0.1), (0.35, 0.32, 0.32), scale=0.0)
        oven = self.materials.add("drawers", (0.2, 0.2, 0.21), (0.1, 0.1, 0.1), METAL, scale=0.0)
        backsplash = self.materials.add(self.draws.choice(("tiles", "bricks")), tint(self.draws, (0.1, 0.1, 0.9)), (0.6, 0.6, 0.6), scale=0.6)
        parts = [
            self.box("counter", (0.0, 0.05, 0.0), (width, 0.56, 0.1), p.dark),
            self.box("wall", (0.0, 0.0, 0.92), (width, 0.015, 1.45), backsplash),
        ]
        for unit in range(units):
            x0, x1 = unit * 0.6, unit * 0.6 + 0.6
            parts.append(self.box("stove" if unit == stove else "counter", (x0, 0.0, 0.1), (x1, 0.6, 0.88), oven if unit == stove else p.kitchen_fronts))
            parts.append(self.box("counter", (x0, 0.0, 0.88), (x1, depth, 0.92), p.worktop))
            if unit == stove:
                parts.append(self.box("stove", (x0 + 0.04, 0.06, 0.92), (x1 - 0.04, 0.54, 0.93), hob))
                parts.append(self.box("stove", (x0 + 0.05, 0.0, 1.65), (x1 - 0.05, 0.4, 1.72), p.metal))
                parts.append(self.box("stove", (x0 + 0.18, 0.0, 1.72), (x1 - 0.18, 0.25, 2.2), p.metal))
            elif unit == sink:
                parts.append(self.box("sink", (x0 + 0.06, 0.1, 0.92), (x1 - 0.06, 0.5, 0.925), p.metal))
                parts.append(self.box("sink", (x0 + 0.28, 0.04, 0.92), (x0 + 0.31, 0.07, 1.17), p.metal))
                parts.append(self.box("sink", (x0 + 0.28, 0.07, 1.14), (x0 + 0.31, 0.24, 1.17), p.metal))
        return Shape(width, depth, parts)

    def wall_cupboards(self, width):
        """Kitchen cupboards above a counter."""
        units = max(1, int(width / 0.6))
        parts = [
            self.box("cupboard", (unit * 0.6, 0.0, 1.45), (unit * 0.6 + 0.6, 0.34, 2.15), self.palette.kitchen_fronts)
            for unit in range(units)
        ]
        return Shape(units * 0.6, 0.34, parts)

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
            self.cylinder("toilet", (0.21, 0.42), 0.205, 0.4, 0.44, self.draws.choice((c, self.palette.dark, self.palette.wood))),
        ]
        return Shape(0.42, 0.64, parts)

    def washbasin(self):
        """A basin on a cupboard below a mirror."""
        p, width = self.palette, self.draws.between(0.6, 0.95)
        glass = self.materials.add("plain", (0.72, 0.80, 0.84), emission=0.15)
        parts = [
            self.box("cupboard", (0.05, 0.0, 0.2), (width - 0.05, 0.42, 0.74), self.draws.choice((p.wood_drawers, p.kitchen_fronts))),
            self.box("sink", (0.0, 0.0, 0.74), (width, 0.48, 0.87), p.ceramic),
            self.cylinder("sink", (width / 2, 0.26), 0.16, 0.87, 0.875, p.metal),
            self.box("sink", (width / 2 - 0.02, 0.04, 0.87), (width / 2 + 0.02, 0.16, 1.0), p.metal),
            self.box("mirror", (0.05, 0.0, 1.15), (width - 0.05, 0.025, 1.85), glass),
        ]
        return Shape(width, 0.48, parts)

    def washing_machine(self):
        """A washing machine with its round door."""
        p = self.palette
        parts = [
            self.box("washing machine", (0.0, 0.0, 0.0), (0.6, 0.58, 0.85), p.white),
            self.box("washing machine", (0.14, 0.58, 0.28), (0.46, 0.6, 0.6), p.dark),
            self.box("washing machine", (0.02, 0.58, 0.72), (0.58, 0.59, 0.83), p.metal),
        ]
        return Shape(0.6, 0.6, parts)

    def plant(self):
        """A plant in a pot."""
        radius, height = self.draws.between(0.12, 0.2), self.draws.between(0.6, 1.5)
        pot = self.materials.add("plain", tint(self.draws, self.draws.choice(((0.05, 0.5, 0.7), (0.1, 0.05, 0.85), (0.6, 0.3, 0.4)))))
        green = self.draws.choice(GREENS)
        leaves = self.materials.add("leaves", green, shaded(green, 0.6), scale=0.5)
        reach = radius * 1.9
        centre = (reach, reach)
        parts = [self.cylinder("plant", centre, radius * 0.75, 0.0, radius * 2, pot, taper=1.3)]
        if height > 1.0:
            parts.append(self.cylinder("plant", centre, 0.025, radius * 2, height * 0.6, self.palette.second_wood))
            parts.append(self.ball("plant", centre, reach, height * 0.5, height, leaves))
            parts.append(self.ball("plant", (reach * 0.75, reach * 1.1), reach * 0.65, height * 0.4, height * 0.68, leaves))
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
        return Shape(0.3, 0.3, [self.cylinder("bin", (0.15, 0.15), 0.12, 0.0, 0.42, self.draws.choice((self.palette.metal, self.palette.dark, self.fabric())), taper=1.2)])

    def boxes(self):
        """One or two boxes, one on the other."""
        card = self.materials.add("plain", tint(self.draws, (0.09, 0.4, 0.7)))
        size = self.draws.between(0.35, 0.5)
        parts = [self.box("box", (0.0, 0.0, 0.0), (size, size * 0.8, size * 0.7), card)]
        if self.draws.chance(0.5):
            parts.append(self.box("box", (0.05, 0.03, size * 0.7), (size - 0.08, size * 0.7, size * 1.2), self.fabric()))
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
        canvas = self.materials.add("picture " + kind, mixed(first, WHITE, self.draws.choice((0.0, 0.6))), second, third, scale=0.0)
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
            self.cylinder("lamp", (radius, radius), radius, ceiling - drop - 0.16, ceiling - drop, self.shade(), taper=0.6),
        ]
        return Shape(2 * radius, 2 * radius, parts)


def moved(shape, x, y):
    """The parts of a shape, moved on the floor."""
    return [placed_part(part, lambda u, v: (u + x, v + y)) for part in shape.parts]


def facing_wall(shape, x, y):
    """The parts of a shape turned round and moved, so that its back is at high y."""
    return [placed_part(part, lambda u, v: (shape.width - u + x, shape.depth - v + y)) for part in shape.parts]


def joined(width, depth, parts, more):
    """A shape from parts and further parts."""
    return Shape(width, depth, [*parts, *more])


def placed_part(part, place):
    """A part with its corners moved by `place`, a map of (x, y) that keeps right angles, in whole millimetres."""
    (x0, y0), (x1, y1) = place(part.low[0], part.low[1]), place(part.high[0], part.high[1])
    low = (round(min(x0, x1), 3), round(min(y0, y1), 3), round(part.low[2], 3))
    high = (round(max(x0, x1), 3), round(max(y0, y1), 3), round(part.high[2], 3))
    return Part(part.shape, low, high, part.material, part.class_id, part.taper)


class RoomPlan:
    """Where pieces stand in one room; finds places for more of them."""

    def __init__(self, index, room, openings, draws):
        self.index, self.inner, self.draws = index, room.inner, draws
        self.ceiling = room.ceiling
        self.pieces = []
        self.doors = [opening for opening in openings if opening.kind == "door"]
        self.windows = [opening for opening in openings if opening.kind == "window"]
        self.door_zones = [self.zone_before(door, DOOR_ZONE, 0.1) for door in self.doors]

    def zone_before(self, opening, depth, margin):
        """The rectangle of this depth inside the room before an opening."""
        side = opening.side_of(self.index)
        low, high = opening.start - margin, opening.end + margin
        along = low - self.origin(side)
        return self.rectangle(side, along, high - low, 0.0, depth)

    def origin(self, side):
        """Where positions along a side are counted from."""
        return self.inner.y0 if side in ("west", "east") else self.inner.x0

    def length(self, side):
        """Length of a side, metres."""
        return self.inner.depth if side in ("west", "east") else self.inner.width

    def place(self, side, along, off):
        """Map from a piece's own frame to the room, for a piece at `along` on a side and `off` the wall."""
        r = self.inner
        return {
            "south": lambda x, y: (r.x0 + along + x, r.y0 + off + y),
            "north": lambda x, y: (r.x0 + along + x, r.y1 - off - y),
            "west": lambda x, y: (r.x0 + off + y, r.y0 + along + x),
            "east": lambda x, y: (r.x1 - off - y, r.y0 + along + x),
        }[side]

    def rectangle(self, side, along, width, off, depth):
        """The footprint of a piece of this size."""
        place = self.place(side, along, off)
        (x0, y0), (x1, y1) = place(0.0, 0.0), place(width, depth)
        return Rectangle(round(min(x0, x1), 3), round(min(y0, y1), 3), round(max(x0, x1), 3), round(max(y0, y1), 3))

    def add(self, name, shape, side, along, off=0.0):
        """Put a piece there."""
        place = self.place(side, along, off)
        parts = tuple(placed_part(part, place) for part in shape.parts)
        bottom, top = min(part.low[2] for part in parts), max(part.high[2] for part in parts)
        footprint = self.rectangle(side, along, shape.width, off, shape.depth)
        piece = Piece(name, self.index, OPPOSITE[side], footprint, bottom, top, parts)
        self.pieces.append(piece)
        return piece

    def fits(self, footprint, bottom, top, gap=0.0):
        """Whether a piece with this footprint and height has its place there."""
        if not self.inner.contains(footprint):
            return False
        for piece in self.pieces:
            if bottom < piece.top and top > piece.bottom and footprint.grown(gap).overlaps(piece.footprint):
                return False
        if top > 0.05 and any(footprint.overlaps(zone) for zone in self.door_zones):
            return False
        for window in self.windows:
            if top > window.bottom + 0.1 and footprint.overlaps(self.zone_before(window, 0.4, 0.0)):
                return False
        return bottom >= BLOCKING[1] or top <= BLOCKING[0] or self.walkable_with(footprint)

    def walkable_with(self, footprint):
        """Whether a robot still gets from door to door, and to half of the free floor, with something more there."""
        rows, columns = round(self.inner.depth / GRID), round(self.inner.width / GRID)
        free = np.zeros((rows, columns), bool)
        margin = round(WALKWAY / GRID)
        free[margin:-margin, margin:-margin] = True
        footprints = [piece.footprint for piece in self.pieces if piece.stands_between(*BLOCKING)]
        for obstacle in [*footprints, footprint]:
            around = obstacle.grown(WALKWAY)
            x0, y0 = int((around.x0 - self.inner.x0) / GRID), int((around.y0 - self.inner.y0) / GRID)
            x1, y1 = int((around.x1 - self.inner.x0) / GRID) + 1, int((around.y1 - self.inner.y0) / GRID) + 1
            free[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = False
        areas, count = ndimage.label(free)
        if count == 0:
            return False
        reached = [areas[self.cell_before(door, rows, columns)] for door in self.doors]
        largest = np.bincount(areas[free]).max()
        return all(area == reached[0] != 0 for area in reached) and (areas == reached[0]).sum() == largest

    def cell_before(self, door, rows, columns):
        """The grid cell half a metre inside a door."""
        zone = self.zone_before(door, 1.0, 0.0)
        x, y = zone.centre
        row, column = int((y - self.inner.y0) / GRID), int((x - self.inner.x0) / GRID)
        return min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)

    def against_wall(self, name, shape, sides=SIDES, off=0.0, gap=0.02, corner=False, tries=TRIES):
        """Put a piece with its back to one of the sides, in a corner if asked; returns (piece, side, along) or None."""
        bottom, top = min(part.low[2] for part in shape.parts), max(part.high[2] for part in shape.parts)
        for _ in range(tries):
            side = self.draws.choice(sides)
            spare = self.length(side) - shape.width
            if spare < 0:
                continue
            along = self.draws.between(0.0, spare)
            if corner or self.draws.chance(0.35):
                along = self.draws.choice((0.0, round(spare, 3)))
            if self.fits(self.rectangle(side, along, shape.width, off, shape.depth), bottom, top, gap):
                return self.add(name, shape, side, along, off), side, along
        return None

    def in_the_open(self, name, shape, gap=0.5):
        """Put a piece away from the walls; returns it or None."""
        for _ in range(TRIES):
            side = self.draws.choice(SIDES)
            spare, deep = self.length(side) - shape.width, self.length("south" if side in ("west", "east") else "west") - shape.depth
            if spare < 0.6 or deep < 0.6:
                continue
            along, off = self.draws.between(0.3, spare - 0.3), self.draws.between(0.3, deep - 0.3)
            top = max(part.high[2] for part in shape.parts)
            if self.fits(self.rectangle(side, along, shape.width, off, shape.depth), 0.0, top, gap):
                return self.add(name, shape, side, along, off)
        return None

    def at(self, name, shape, side, along, off=0.0, gap=0.0):
        """Put a piece just there, if it fits; returns it or None."""
        bottom, top = min(part.low[2] for part in shape.parts), max(part.high[2] for part in shape.parts)
        if self.fits(self.rectangle(side, along, shape.width, off, shape.depth), bottom, top, gap):
            return self.add(name, shape, side, along, off)
        return None


def furnish(index, room, openings, draws, materials, palette):
    """The pieces of a room."""
    plan = RoomPlan(index, room, openings, draws)
    workshop = Workshop(draws, materials, palette)
    FURNISHERS[room.name](plan, workshop)
    hang(plan, workshop, room)
    return plan.pieces


def furnish_bedroom(plan, workshop):
    """A bed between nightstands, a wardrobe, and some of desk, chest, armchair, plant."""
    double = plan.inner.area > 8.5 and plan.draws.chance(0.75)
    bed = plan.against_wall("bed", workshop.bed(double)) or plan.against_wall(
        "bed", workshop.bed(False), corner=True, tries=MAIN_TRIES
    )
    if bed:
        piece, side, along = bed
        wide = piece.footprint.width if side in ("south", "north") else piece.footprint.depth
        for beside in (along - 0.47, along + wide + 0.02):
            plan.at("nightstand", workshop.nightstand(), side, round(beside, 3))
        if plan.draws.chance(0.7):
            lay_carpet(plan, workshop, piece, 0.5)
    plan.against_wall("wardrobe", workshop.wardrobe(), corner=plan.draws.chance(0.6))
    if plan.draws.chance(0.5):
        plan.against_wall("cupboard", workshop.cupboard())
    if plan.inner.area > 12 and plan.draws.chance(0.5):
        plan.against_wall("desk", workshop.desk())
    extras(plan, workshop, ("armchair", "plant", "floor_lamp", "shelf", "boxes"), 2)


def furnish_living_room(plan, workshop):
    """A sofa facing a television over a coffee table on a carpet, shelves, a dining table if there is room."""
    television = plan.against_wall("television", workshop.television())
    sofa_sides = (OPPOSITE[television[1]],) if television else SIDES
    sofa = plan.against_wall("sofa", workshop.sofa(), sofa_sides, off=plan.draws.choice((0.0, 0.0, 0.08))) or plan.against_wall(
        "sofa", workshop.sofa(1.5), tries=MAIN_TRIES
    )
    if sofa:
        before_sofa(plan, workshop, *sofa)
    if plan.inner.area > 15:
        plan.in_the_open("table", workshop.dining_table(1.8) if plan.draws.chance(0.7) else workshop.round_table())
    plan.against_wall("shelf", workshop.shelf())
    extras(plan, workshop, ("armchair", "shelf", "cupboard", "plant", "floor_lamp", "plant", "boxes"), 4)


def before_sofa(plan, workshop, sofa, side, along):
    """A carpet and a low table in front of the sofa."""
    wide = sofa.footprint.width if side in ("south", "north") else sofa.footprint.depth
    deep = sofa.footprint.depth if side in ("south", "north") else sofa.footprint.width
    width, depth = plan.draws.between(1.4, 2.2), plan.draws.between(1.1, 1.6)
    plan.at("carpet", workshop.carpet(width, depth), side, round(along + (wide - width) / 2, 3), round(deep + 0.1, 3))
    table = workshop.coffee_table()
    plan.at("coffee table", table, side, round(along + (wide - table.width) / 2, 3), round(deep + 0.35, 3))


def furnish_kitchen(plan, workshop):
    """A run of counters with cupboards above, a refrigerator, a table with chairs."""
    sides = plan.draws.shuffled(SIDES)
    run = None
    for longest in (3.6, 3.0, 2.4, 1.8, 1.2):
        run = plan.against_wall("counter", workshop.kitchen_run(longest), sides, corner=True)
        if run:
            break
    if run:
        piece, side, along = run
        wide = piece.footprint.width if side in ("south", "north") else piece.footprint.depth
        for width, start in ((wide * 0.5, along), (wide * 0.5, along + wide * 0.5)):
            plan_wall_cupboards(plan, workshop, side, start, width)
        fridge = workshop.refrigerator()
        plan.at("refrigerator", fridge, side, round(along + wide + 0.02, 3)) or plan.at(
            "refrigerator", fridge, side, round(along - 0.62, 3)
        ) or plan.against_wall("refrigerator", fridge, corner=True)
    table = workshop.dining_table(1.3) if plan.draws.chance(0.6) else workshop.round_table()
    plan.in_the_open("table", table, gap=0.35) or plan.against_wall("table", table, tries=MAIN_TRIES)
    extras(plan, workshop, ("cupboard", "shelf", "bin", "plant"), 3)


def plan_wall_cupboards(plan, workshop, side, start, width):
    """Cupboards above a counter, where no hood and no window is."""
    units = workshop.wall_cupboards(width)
    hood = [part for piece in plan.pieces for part in piece.parts if part.low[2] >= 1.6]
    footprint = plan.rectangle(side, round(start, 3), units.width, 0.0, units.depth)
    clear = not any(footprint.overlaps(Rectangle(part.low[0], part.low[1], part.high[0], part.high[1])) for part in hood)
    free_of_windows = not any(footprint.overlaps(plan.zone_before(window, 0.4, 0.0)) for window in plan.windows)
    free_of_doors = not any(footprint.overlaps(zone) for zone in plan.door_zones)
    if clear and free_of_windows and free_of_doors and plan.inner.contains(footprint):
        plan.add("cupboard", units, side, round(start, 3))


def furnish_bathroom(plan, workshop):
    """A bathtub or shower, a toilet, a basin with a mirror, a washing machine, a mat."""
    tub = plan.against_wall("bathtub", workshop.bathtub(), corner=True) if plan.draws.chance(0.6) else None
    if not tub:
        plan.against_wall("shower", workshop.shower(), corner=True)
    plan.against_wall("toilet", workshop.toilet(), gap=0.15, tries=MAIN_TRIES)
    basin = plan.against_wall("sink", workshop.washbasin(), gap=0.05, tries=MAIN_TRIES)
    if plan.draws.chance(0.6):
        plan.against_wall("washing machine", workshop.washing_machine())
    if basin and plan.draws.chance(0.7):
        lay_carpet(plan, workshop, basin[0], 0.35)
    extras(plan, workshop, ("bin", "plant", "cupboard", "shelf"), 2)


def furnish_office(plan, workshop):
    """A desk with a chair, shelves full of books, an armchair."""
    plan.against_wall("desk", workshop.desk(), tries=MAIN_TRIES)
    for _ in range(2):
        plan.against_wall("shelf", workshop.shelf(), corner=plan.draws.chance(0.5))
    if plan.draws.chance(0.6):
        plan.in_the_open("carpet", workshop.carpet(plan.draws.between(1.2, 1.8), plan.draws.between(0.9, 1.3)), 0.0)
    extras(plan, workshop, ("armchair", "cupboard", "plant", "floor_lamp", "bin", "boxes", "sofa"), 3)


def furnish_corridor(plan, workshop):
    """A runner, a narrow chest, a plant."""
    side = "south" if plan.inner.width > plan.inner.depth else "west"
    length = min(plan.length(side) - 1.0, plan.draws.between(2.0, 5.0))
    if plan.draws.chance(0.8):
        runner = workshop.carpet(length, 0.7)
        across = plan.length("west" if side == "south" else "south")
        plan.at("carpet", runner, side, round((plan.length(side) - length) / 2, 3), round((across - 0.7) / 2, 3))
    plan.against_wall("cupboard", workshop.cupboard(depth=0.3))
    extras(plan, workshop, ("plant", "boxes", "bin", "floor_lamp"), 2)


FURNISHERS = {
    "bedroom": furnish_bedroom,
    "living room": furnish_living_room,
    "kitchen": furnish_kitchen,
    "bathroom": furnish_bathroom,
    "office": furnish_office,
    "corridor": furnish_corridor,
}


def extras(plan, workshop, kinds, count):
    """Some further pieces of the given kinds, in corners and along the walls."""
    for kind in plan.draws.shuffled(kinds)[:count]:
        plan.against_wall(kind.replace("_", " "), getattr(workshop, kind)(), corner=plan.draws.chance(0.6), gap=0.08)


def lay_carpet(plan, workshop, piece, margin):
    """A carpet under a piece, that looks out on all sides as far as the room allows."""
    around, inner = piece.footprint.grown(margin), plan.inner
    x0, y0 = max(around.x0, inner.x0 + 0.05), max(around.y0, inner.y0 + 0.05)
    x1, y1 = min(around.x1, inner.x1 - 0.05), min(around.y1, inner.y1 - 0.05)
    shape = workshop.carpet(round(x1 - x0, 3), round(y1 - y0, 3))
    plan.add("carpet", shape, "south", round(x0 - inner.x0, 3), round(y0 - inner.y0, 3))


def hang(plan, workshop, room):
    """What hangs on walls and ceiling: a lamp, radiators and curtains at windows, pictures."""
    lamp = workshop.ceiling_lamp(room.ceiling)
    plan.add("lamp", lamp, "south", round(plan.inner.width / 2 - lamp.width / 2, 3), round(plan.inner.depth / 2 - lamp.depth / 2, 3))
    curtains = workshop.fabric()
    with_curtains = room.name in ("bedroom", "living room", "office") and plan.draws.chance(0.75)
    for window in plan.windows:
        side = window.side_of(plan.index)
        start, end = window.start - plan.origin(side), window.end - plan.origin(side)
        if window.bottom >= 0.8 and room.name != "bathroom":
            plan.at("radiator", workshop.radiator(round(end - start, 3)), side, round(start, 3))
        if with_curtains:
            bottom = 0.05 if plan.draws.chance(0.5) else window.bottom - 0.15
            for along in (start - 0.26, end - 0.02):
                plan.at("curtain", workshop.curtain(curtains, bottom), side, round(along, 3))
    for _ in range(plan.draws.count(1, 4)):
        plan.against_wall("picture", workshop.picture(), gap=0.1)
