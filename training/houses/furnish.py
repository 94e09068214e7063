"""Furnishing: what stands in which room, and where.

`furnish` puts pieces of `furniture` against walls or in the open without overlaps, clear of doors, and so that a robot
gets from every door of the room to every other.
"""

import numpy as np
from scipy import ndimage

from training.houses.furniture import Workshop, placed_part
from training.houses.house import OPPOSITE, SIDES, Piece, Rectangle

WALKWAY = 0.32  # metres that stay free to each side of a robot's centre on its way from door to door
GRID = 0.05  # metres, of the test for that
DOOR_ZONE = 1.0  # metres in front of a door that stay free
TRIES = 30  # places tried before a piece is left out
MAIN_TRIES = 150  # the same for the piece that makes a room what it is
BLOCKING = (0.15, 1.3)  # metres above the floor: what stands there blocks a robot


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
            spare, deep = (
                self.length(side) - shape.width,
                self.length("south" if side in ("west", "east") else "west") - shape.depth,
            )
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
    sofa = plan.against_wall(
        "sofa", workshop.sofa(), sofa_sides, off=plan.draws.choice((0.0, 0.0, 0.08))
    ) or plan.against_wall("sofa", workshop.sofa(1.5), tries=MAIN_TRIES)
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
    clear = not any(
        footprint.overlaps(Rectangle(part.low[0], part.low[1], part.high[0], part.high[1])) for part in hood
    )
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
    plan.add(
        "lamp",
        lamp,
        "south",
        round(plan.inner.width / 2 - lamp.width / 2, 3),
        round(plan.inner.depth / 2 - lamp.depth / 2, 3),
    )
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
