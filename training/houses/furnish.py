"""Furnishing: what stands in which room, and where.

`furnish` puts pieces of `furniture` against walls or in the open without overlaps, clear of doors, and so that a robot
gets from every door of the room to every other.
"""

import numpy as np
from scipy import ndimage

from training.houses.classes import CLASS_IDS
from training.houses.furniture import UNIT, Workshop, placed_part
from training.houses.house import OPPOSITE, SIDES, Piece, Rectangle

WALKWAY = 0.32  # metres that stay free to each side of a robot's centre on its way from door to door
GRID = 0.05  # metres, of the test for that
LEAF_WIDTH = 1.0  # metres: wider openings have no leaf
DOOR_ZONE = 0.8  # metres in front of a door that stay free
INSIDE = 0.5  # metres from a door to where a robot stands that came in
TRIES = 30  # places tried before a piece is left out
MAIN_TRIES = 150  # the same for the piece that makes a room what it is
BLOCKING = (0.15, 1.7)  # metres above the floor: what stands there blocks a robot and its camera
SEATING_DISTANCE = (1.7, 2.6)  # metres from a sofa to the television before it
BEHIND_SOFA = 0.9  # metres that stay free behind a sofa which stands in the room
CURTAINED = ("bedroom", "children's room", "living room", "dining room", "office")
MAIN_PIECES = {
    "bedroom": ("bed", "wardrobe"),
    "children's room": ("bed", "desk"),
    "living room": ("sofa", "television"),
    "dining room": ("table",),
    "kitchen": ("counter", "refrigerator"),
    "bathroom": ("toilet", "sink"),
    "laundry": ("washing machine", "sink"),
    "storage": ("shelf",),
    "office": ("desk", "shelf"),
}
ATTEMPTS = 6  # at furnishing a room with all its main pieces
PICTURES = {"bathroom": (0, 1), "laundry": (0, 0), "storage": (0, 0)}  # fewest and most in a room; elsewhere (1, 4)


class RoomPlan:
    """Where pieces stand in one room; finds places for more of them."""

    def __init__(self, index, room, openings, draws):
        self.index, self.inner, self.draws = index, room.inner, draws
        self.ceiling = room.ceiling
        self.pieces = []
        self.free = self.empty_floor()
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
        if piece.stands_between(*BLOCKING):
            self.block(self.free, footprint)
        return piece

    def snapshot(self):
        """What stands in the room now, for `restore`."""
        return len(self.pieces), self.free.copy()

    def restore(self, snapshot):
        """Take away what was added since a snapshot."""
        count, self.free = snapshot
        del self.pieces[count:]

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

    def empty_floor(self):
        """Where on a grid a robot's centre can be while the room is empty: bool (rows, columns)."""
        free = np.zeros((round(self.inner.depth / GRID), round(self.inner.width / GRID)), bool)
        margin = round(WALKWAY / GRID)
        free[margin:-margin, margin:-margin] = True
        return free

    def block(self, free, footprint):
        """Take away from a grid where a robot's centre cannot be because of a footprint."""
        around = footprint.grown(WALKWAY)
        x0, y0 = int((around.x0 - self.inner.x0) / GRID), int((around.y0 - self.inner.y0) / GRID)
        x1, y1 = int((around.x1 - self.inner.x0) / GRID) + 1, int((around.y1 - self.inner.y0) / GRID) + 1
        free[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = False

    def walkable_with(self, footprint):
        """Whether a robot still gets from door to door, and to most of the free floor, with something more there."""
        free = self.free.copy()
        self.block(free, footprint)
        areas, count = ndimage.label(free)
        if count == 0:
            return False
        reached = [areas[self.cell_before(door, *free.shape)] for door in self.doors]
        if any(area != reached[0] for area in reached) or reached[0] == 0:
            return False
        return count == 1 or np.bincount(areas[free]).argmax() == reached[0]

    def cell_before(self, door, rows, columns):
        """The grid cell just inside a door."""
        zone = self.zone_before(door, 2 * INSIDE, 0.0)
        x, y = zone.centre
        row, column = int((y - self.inner.y0) / GRID), int((x - self.inner.x0) / GRID)
        return min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)

    def against_wall(self, name, shape, sides=SIDES, gap=0.02, corner=False, beside=0.0, tries=TRIES):
        """Put a piece with its back to one of the sides; returns (piece, side, along) or None.

        It stands in a corner if asked, and `beside` metres from one at least where the side is long enough.
        """
        bottom, top = min(part.low[2] for part in shape.parts), max(part.high[2] for part in shape.parts)
        for _ in range(tries):
            side = self.draws.choice(sides)
            spare = self.length(side) - shape.width
            if spare < 0:
                continue
            least = min(beside, spare / 2)
            along = self.draws.between(least, spare - least)
            if not beside and (corner or self.draws.chance(0.35)):
                along = self.draws.choice((0.0, round(spare, 3)))
            if self.fits(self.rectangle(side, along, shape.width, 0.0, shape.depth), bottom, top, gap):
                return self.add(name, shape, side, along), side, along
        return None

    def opposite(self, name, shape, piece, side, along):
        """Put a piece so that it faces one at a wall, in the room or at the wall opposite.

        Returns (piece, side, along, off) or None.
        """
        there = OPPOSITE[side]
        across = self.length("south" if side in ("west", "east") else "west")
        middle = along + length_along(piece.footprint, side) / 2
        start = round(min(max(0.0, middle - shape.width / 2), self.length(side) - shape.width), 3)
        seat = across - depth_from(piece.footprint, side) - shape.depth
        in_the_room = round(seat - self.draws.between(*SEATING_DISTANCE), 3)
        for off in (in_the_room, 0.0, 0.08):
            if off is in_the_room and off < BEHIND_SOFA:
                continue
            placed = self.at(name, shape, there, start, off)
            if placed:
                return placed, there, start, off
        return None

    def in_the_middle(self, name, shape, gap):
        """Put a piece in the middle of the room, or near it, lengthways; returns it or None."""
        side = "south" if (self.inner.width >= self.inner.depth) == (shape.width >= shape.depth) else "west"
        spare = self.length(side) - shape.width
        deep = self.length("west" if side == "south" else "south") - shape.depth
        if spare < 0.0 or deep < 0.0:
            return None
        for reach in (0.0, 0.15, 0.3, 0.5):
            along, off = (
                round(free * (0.5 + reach * self.draws.between(-1.0, 1.0)), 3) if reach else round(free / 2, 3)
                for free in (spare, deep)
            )
            placed = self.at(name, shape, side, along, off, gap)
            if placed:
                return placed
        return None

    def hang_front_door(self, shape, side):
        """Put the front door into a side, with free floor before it."""
        hung = self.against_wall("door", shape, sides=(side,), gap=0.1)
        if hung:
            self.door_zones.append(hung[0].footprint.grown(DOOR_ZONE))

    def hang_doors(self, leaf):
        """Hang open leaves of this shape at most of the doors that open into this room, where there is space."""
        for door in self.doors:
            opens_inwards = door.rooms[0] == self.index
            if not opens_inwards or door.end - door.start > LEAF_WIDTH or not self.draws.chance(0.8):
                continue
            side = door.side_of(self.index)
            others = [zone for zone, other in zip(self.door_zones, self.doors, strict=False) if other is not door]
            hinges = (door.start - leaf.width - 0.005, door.end + 0.005)
            for hinge in self.draws.shuffled(hinges):
                along = round(hinge - self.origin(side), 3)
                footprint = self.rectangle(side, along, leaf.width, 0.02, leaf.depth)
                if (
                    self.inner.contains(footprint)
                    and not any(footprint.overlaps(zone) for zone in others)
                    and not any(footprint.overlaps(piece.footprint.grown(0.4)) for piece in self.pieces)
                    and self.walkable_with(footprint)
                ):
                    self.add("door", leaf, side, along, 0.02)
                    break

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


def furnish(index, room, openings, draws, materials, palette, door_leaf, front_side):
    """The pieces of a room. door_leaf is a material; front_side the side with the front door, None without one."""
    workshop = Workshop(draws, materials, palette)
    for attempt in range(ATTEMPTS):
        plan = RoomPlan(index, room, openings, draws)
        if front_side is not None:
            plan.hang_front_door(workshop.front_door(), front_side)
        if attempt == 0:  # a room that stayed without its main pieces gets no leaves that stand in their way
            plan.hang_doors(workshop.door_leaf(door_leaf))
        FURNISHERS[room.name](plan, workshop)
        if {piece.name for piece in plan.pieces}.issuperset(MAIN_PIECES.get(room.name, ())):
            break
    hang(plan, workshop, room)
    return plan.pieces


def furnish_bedroom(plan, workshop):
    """A bed between nightstands, a wardrobe, and some of desk, chest, armchair, plant."""
    double = plan.inner.area > 8.5 and plan.draws.chance(0.8)
    bed = plan.against_wall("bed", workshop.bed(double), beside=0.5 if double else 0.0) or plan.against_wall(
        "bed", workshop.bed(False), corner=True, tries=MAIN_TRIES
    )
    if bed:
        piece, side, along = bed
        for beside in (along - 0.47, along + length_along(piece.footprint, side) + 0.02):
            plan.at("nightstand", workshop.nightstand(), side, round(beside, 3))
        if plan.draws.chance(0.7):
            lay_carpet(plan, workshop, piece, 0.5)
    plan.against_wall("wardrobe", workshop.wardrobe(), corner=plan.draws.chance(0.6))
    if plan.draws.chance(0.6):
        plan.against_wall("cupboard", workshop.cupboard())
    if plan.inner.area > 12 and plan.draws.chance(0.4):
        plan.against_wall("desk", workshop.desk())
    extras(plan, workshop, ("armchair", "plant", "floor_lamp", "shelf", "boxes", "hall_mirror"), 2)


def furnish_childrens_room(plan, workshop):
    """A bed or a bunk bed in a corner, a desk, toys on a carpet, a wardrobe and a shelf."""
    bunk = plan.draws.chance(0.4)
    bed = plan.against_wall("bed", workshop.bunk_bed() if bunk else workshop.bed(False), corner=True)
    if not bed:
        plan.against_wall("bed", workshop.bed(False), tries=MAIN_TRIES)
    elif not bunk:
        piece, side, along = bed
        plan.at("nightstand", workshop.nightstand(), side, round(along + length_along(piece.footprint, side) + 0.02, 3))
    plan.against_wall("desk", workshop.desk())
    plan.against_wall("wardrobe", workshop.wardrobe(), corner=plan.draws.chance(0.6))
    width, depth = plan.draws.between(1.2, 1.8), plan.draws.between(1.0, 1.4)
    plan.in_the_middle("carpet", workshop.carpet(width, depth), 0.0)
    plan.against_wall("box", workshop.toys(), gap=0.08)
    extras(plan, workshop, ("shelf", "boxes", "plant", "shelf", "cupboard", "bin"), 2)


def furnish_living_room(plan, workshop):
    """A sofa facing a television over a coffee table on a carpet, shelves, a dining table if there is room."""
    sofa = facing_television(plan, workshop)
    if not sofa:
        plan.against_wall("television", workshop.television(1.0), tries=MAIN_TRIES)
        sofa = plan.against_wall("sofa", workshop.sofa()) or plan.against_wall(
            "sofa", workshop.sofa(1.3), tries=MAIN_TRIES
        )
    if sofa:
        before_sofa(plan, workshop, *sofa)
    if plan.inner.area > 17:
        plan.in_the_open("table", workshop.dining_table(1.8) if plan.draws.chance(0.7) else workshop.round_table())
    plan.against_wall("shelf", workshop.shelf())
    kinds = ("armchair", "shelf", "cupboard", "plant", "floor_lamp", "plant", "boxes", "armchair", "shelf")
    extras(plan, workshop, kinds, min(7, int(plan.inner.area / 4)))


def facing_television(plan, workshop):
    """A television at a wall and a sofa opposite; returns the sofa as `RoomPlan.opposite` does, or None."""
    for width in (None, None, None, 1.0, 1.0, 1.0):
        before = plan.snapshot()
        television = plan.against_wall("television", workshop.television(width), beside=0.3)
        if television:
            for sofa in (workshop.sofa(), workshop.sofa(1.5)):
                placed = plan.opposite("sofa", sofa, *television)
                if placed:
                    return placed
        plan.restore(before)
    return None


def before_sofa(plan, workshop, sofa, side, along, off=0.0):
    """A carpet and a low table in front of the sofa."""
    wide, far = length_along(sofa.footprint, side), off + depth_from(sofa.footprint, side)
    width, depth = plan.draws.between(1.4, 2.2), plan.draws.between(1.1, 1.6)
    plan.at("carpet", workshop.carpet(width, depth), side, round(along + (wide - width) / 2, 3), round(far + 0.1, 3))
    table = workshop.coffee_table()
    plan.at("coffee table", table, side, round(along + (wide - table.width) / 2, 3), round(far + 0.35, 3))


def furnish_dining_room(plan, workshop):
    """A table with chairs in the middle, on a carpet or not, and sideboards along the walls."""
    table = workshop.dining_table(2.2) if plan.draws.chance(0.75) else workshop.round_table()
    placed = plan.in_the_middle("table", table, 0.5) or plan.in_the_open("table", workshop.round_table(), gap=0.35)
    if placed and plan.draws.chance(0.5):
        lay_carpet(plan, workshop, placed, 0.2)
    for _ in range(2):
        plan.against_wall("cupboard", workshop.cupboard())
    extras(plan, workshop, ("shelf", "plant", "floor_lamp", "cupboard", "plant"), 3)


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
        wide = length_along(piece.footprint, side)
        fridge = workshop.refrigerator()
        plan.at("refrigerator", fridge, side, round(along + wide + 0.02, 3)) or plan.at(
            "refrigerator", fridge, side, round(along - 0.62, 3)
        ) or plan.against_wall("refrigerator", fridge, tries=MAIN_TRIES)
        hang_above_counter(plan, workshop, piece, side, along, wide)
    table = workshop.dining_table(1.3) if plan.draws.chance(0.6) else workshop.round_table()
    plan.in_the_middle("table", table, 0.35) or plan.in_the_open("table", table, gap=0.35) or plan.against_wall(
        "table", table, tries=MAIN_TRIES
    )
    extras(plan, workshop, ("cupboard", "shelf", "bin", "plant"), 3)


def hang_above_counter(plan, workshop, run, side, along, wide):
    """Tiles, cupboards and the stove's hood above the units of a counter, where no window is."""
    windows = [plan.zone_before(window, 0.4, 0.0) for window in plan.windows]
    stove = next(part_footprint(part) for part in run.parts if part.class_id == CLASS_IDS["stove"])
    with_cupboards, tiles = plan.draws.chance(0.85), workshop.backsplash()
    for unit in range(round(wide / UNIT)):
        start = round(along + unit * UNIT, 3)
        counter = plan.rectangle(side, start, UNIT, 0.0, depth_from(run.footprint, side))
        if any(counter.overlaps(window) for window in windows):
            continue
        if counter.grown(-0.05).overlaps(stove):
            plan.add("stove", workshop.hood(tiles), side, start)
        elif with_cupboards:
            plan.add("cupboard", workshop.wall_cupboard(tiles), side, start)


def furnish_bathroom(plan, workshop):
    """A bathtub or shower, a toilet, a basin with a mirror, a washing machine, a mat."""
    plan.against_wall("toilet", workshop.toilet(), gap=0.15, tries=MAIN_TRIES)
    tub = plan.against_wall("bathtub", workshop.bathtub(), corner=True) if plan.draws.chance(0.6) else None
    if not tub:
        plan.against_wall("shower", workshop.shower(), corner=True, tries=MAIN_TRIES)
    basin = plan.against_wall("sink", workshop.washbasin(), gap=0.05, tries=MAIN_TRIES)
    if plan.draws.chance(0.5):
        plan.against_wall("washing machine", workshop.washing_machine())
    if basin and plan.draws.chance(0.7):
        lay_carpet(plan, workshop, basin[0], 0.35)
    extras(plan, workshop, ("bin", "plant", "cupboard", "linen_shelf"), 2)


def furnish_laundry(plan, workshop):
    """A washing machine, with the dryer on it or beside it, a deep sink, a basket, a shelf."""
    tower = plan.draws.chance(0.5)
    machine = workshop.washing_tower() if tower else workshop.washing_machine()
    placed = plan.against_wall("washing machine", machine, tries=MAIN_TRIES)
    if placed and not tower:
        piece, side, along = placed
        plan.at("washing machine", workshop.washing_machine(), side, round(along + 0.62, 3))
    plan.against_wall("sink", workshop.laundry_sink(), tries=MAIN_TRIES)
    plan.against_wall("box", workshop.laundry_basket(), corner=True)
    plan.against_wall("shelf", workshop.storage_shelf())
    extras(plan, workshop, ("boxes", "bin", "cupboard", "laundry_basket"), 2)


def furnish_storage(plan, workshop):
    """Shelves with boxes, and more boxes."""
    for _ in range(3):
        plan.against_wall("shelf", workshop.storage_shelf(), corner=plan.draws.chance(0.5), tries=MAIN_TRIES)
    extras(plan, workshop, ("boxes", "boxes", "bin", "wardrobe", "laundry_basket"), 4)


def furnish_office(plan, workshop):
    """A desk with a chair, shelves full of books, an armchair."""
    plan.against_wall("desk", workshop.desk(), tries=MAIN_TRIES)
    for _ in range(2):
        plan.against_wall("shelf", workshop.shelf(), corner=plan.draws.chance(0.5))
    if plan.draws.chance(0.6):
        carpet = workshop.carpet(plan.draws.between(1.2, 1.8), plan.draws.between(0.9, 1.3))
        plan.in_the_middle("carpet", carpet, 0.0)
    extras(plan, workshop, ("armchair", "cupboard", "plant", "floor_lamp", "bin", "boxes", "sofa"), 4)


def furnish_corridor(plan, workshop):
    """A runner, a narrow chest, a plant."""
    side = "south" if plan.inner.width > plan.inner.depth else "west"
    length = min(plan.length(side) - 1.0, plan.draws.between(2.0, 5.0))
    if plan.draws.chance(0.8):
        runner = workshop.carpet(length, 0.7)
        across = plan.length("west" if side == "south" else "south")
        plan.at("carpet", runner, side, round((plan.length(side) - length) / 2, 3), round((across - 0.7) / 2, 3))
    plan.against_wall("cupboard", workshop.cupboard(depth=0.3))
    extras(plan, workshop, ("plant", "boxes", "bin", "hall_mirror", "coats", "floor_lamp"), 3)


def furnish_hall(plan, workshop):
    """Coats over shoes, a narrow chest, a mirror, a mat."""
    plan.against_wall("wardrobe", workshop.coats() if plan.draws.chance(0.6) else workshop.wardrobe(), tries=MAIN_TRIES)
    plan.against_wall("cupboard", workshop.cupboard(depth=0.3))
    plan.against_wall("mirror", workshop.hall_mirror())
    if plan.draws.chance(0.7):
        plan.in_the_middle("carpet", workshop.carpet(plan.draws.between(0.8, 1.4), plan.draws.between(0.6, 0.9)), 0.0)
    extras(plan, workshop, ("plant", "floor_lamp", "boxes", "coats", "armchair"), 2)


FURNISHERS = {
    "bedroom": furnish_bedroom,
    "children's room": furnish_childrens_room,
    "living room": furnish_living_room,
    "dining room": furnish_dining_room,
    "kitchen": furnish_kitchen,
    "bathroom": furnish_bathroom,
    "laundry": furnish_laundry,
    "storage": furnish_storage,
    "office": furnish_office,
    "corridor": furnish_corridor,
    "hall": furnish_hall,
}


# Pieces that can stand in many rooms: the name of the piece for each of the workshop's methods.
EXTRAS = {
    "armchair": "armchair", "boxes": "box", "bin": "bin", "coats": "wardrobe", "cupboard": "cupboard",
    "floor_lamp": "lamp", "hall_mirror": "mirror", "laundry_basket": "box", "plant": "plant", "shelf": "shelf",
    "linen_shelf": "shelf", "sofa": "sofa", "wardrobe": "wardrobe",
}  # fmt: skip


def extras(plan, workshop, kinds, count):
    """Some further pieces of the given kinds, in corners and along the walls."""
    for kind in plan.draws.shuffled(kinds)[:count]:
        plan.against_wall(EXTRAS[kind], getattr(workshop, kind)(), corner=plan.draws.chance(0.6), gap=0.08)


def length_along(footprint, side):
    """How long a footprint is along a side of its room, metres."""
    return footprint.depth if side in ("west", "east") else footprint.width


def depth_from(footprint, side):
    """How far a footprint reaches out from a side of its room, metres."""
    return footprint.width if side in ("west", "east") else footprint.depth


def part_footprint(part):
    """The rectangle on the floor under a part."""
    return Rectangle(*part.low[:2], *part.high[:2])


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
    with_curtains = room.name in CURTAINED and plan.draws.chance(0.75)
    for window in plan.windows:
        side = window.side_of(plan.index)
        start, end = window.start - plan.origin(side), window.end - plan.origin(side)
        if window.bottom >= 0.8 and room.name != "bathroom":
            plan.at("radiator", workshop.radiator(round(end - start, 3)), side, round(start, 3))
        if with_curtains:
            bottom = 0.05 if plan.draws.chance(0.5) else window.bottom - 0.15
            curtain = workshop.curtain(curtains, bottom)
            for along in (start - curtain.width, end):
                plan.at("curtain", curtain, side, round(along, 3))
    for _ in range(plan.draws.count(*PICTURES.get(room.name, (1, 4)))):
        plan.against_wall("picture", workshop.picture(), gap=0.1)
