"""Where pieces stand in a room: places against walls, in the middle, opposite each other.

A place is free of other pieces, of the floor before doors and of windows, and leaves a robot its way from every door
of the room to every other. What stands in which room is `furnish`'s business.
"""

import numpy as np
from scipy import ndimage

from training.houses.furniture import placed_part
from training.houses.house import OPPOSITE, SIDES, Piece, Rectangle

WALKWAY = 0.32  # metres that stay free to each side of a robot's centre on its way from door to door
GRID = 0.05  # metres, of the test for that
BLOCKING = (0.15, 1.7)  # metres above the floor: what stands there blocks a robot and its camera
LEAF_WIDTH = 1.0  # metres: wider openings have no leaf
DOOR_ZONE = 0.8  # metres in front of a door that stay free
WINDOW_ZONE = 0.4  # metres in front of a window where nothing stands that is higher than its sill
INSIDE = 0.5  # metres from a door to where a robot stands that came in
TRIES = 30  # places tried before a piece is left out
SEATING_DISTANCE = (1.7, 2.6)  # metres from a sofa to the television before it
BEHIND_SOFA = 0.9  # metres that stay free behind a sofa which stands in the room
SIDE_BY_SIDE = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)  # cells of the grid that are one area


class RoomPlan:
    """Where pieces stand in one room; finds places for more of them."""

    def __init__(self, index, room, openings, draws):
        self.index, self.inner, self.draws = index, room.inner, draws
        self.pieces = []
        self.free = self.empty_floor()
        self.doors = [opening for opening in openings if opening.kind == "door"]
        self.windows = [opening for opening in openings if opening.kind == "window"]
        self.window_zones = [self.zone_before(window, WINDOW_ZONE, 0.0) for window in self.windows]
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
        around = footprint.grown(gap)
        for piece in self.pieces:
            if bottom < piece.top and top > piece.bottom and around.overlaps(piece.footprint):
                return False
        if top > 0.05 and any(footprint.overlaps(zone) for zone in self.door_zones):
            return False
        for window, zone in zip(self.windows, self.window_zones, strict=True):
            if top > window.bottom + 0.1 and footprint.overlaps(zone):
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
        areas, count = ndimage.label(free, SIDE_BY_SIDE)
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


def length_along(footprint, side):
    """How long a footprint is along a side of its room, metres."""
    return footprint.depth if side in ("west", "east") else footprint.width


def depth_from(footprint, side):
    """How far a footprint reaches out from a side of its room, metres."""
    return footprint.width if side in ("west", "east") else footprint.depth
