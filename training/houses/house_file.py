"""Houses from files of others: a plan as House-Traveler takes it becomes a `House`, as if it had been made from a seed.

Such a file is a JSON list of nodes (or {"levels": [{"nodes": [...]}]}): rooms and objects with their boxes (`bbox.min`
and `bbox.max`, [x, y, z] in metres, y up). It says where things stand; what they look like is drawn from a seed, from
the same families as in made houses, so that one plan can be furnished in many looks.

Axes: (x, y, z) of the file becomes (x, -z, y), a rotation and no mirror image; then the plan's lowest corner is moved
to x = y = 0 and the floor to z = 0.

Rooms become rectangles. Walls that face each other less than NEAR_ROOMS apart become one wall in the middle. What
a file holds beyond that (stairs, slopes, round rooms) is left out. Scenes of triangles are `scene_file`'s business.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from placenet_ros.counted import counted
from training.configuration import UserError
from training.houses.class_words import class_of, words_of
from training.houses.draws import Draws
from training.houses.fitted_furniture import Look, piece_in
from training.houses.free_space import CARPET_HEIGHT, ROBOT_HEIGHT, START_RADIUS, FreeSpace, walkable
from training.houses.house import SIDES, House, Opening, Rectangle, Room
from training.houses.materials import WOODS, MaterialList, tint
from training.houses.plan import DOOR_HEIGHT, DOOR_WIDTH, HALF_WALL, draw_light, walls_around
from training.houses.surfaces import HouseSurfaces

LARGEST_FILE = 64 * 2**20  # bytes
MOST_NODES = 20_000
MOST_PIECES = 1_000
MOST_ROOMS = 64
MOST_REMARKS = 50
LARGEST_ROOM = 50.0  # metres along a side
LARGEST_HOUSE = 100.0  # metres along a side
NARROWEST_ROOM = 0.5  # metres between its walls: less is no room
LOWEST_CEILING, HIGHEST_CEILING, USUAL_CEILING = 1.9, 8.0, 2.6  # metres
LEVEL_HEIGHT = 1.5  # metres between floors that belong to different levels
NEAR_ROOMS = 0.35  # metres: walls that face each other less apart are one wall
NARROWEST_DOOR, WIDEST_DOOR = 0.8, 3.0  # metres; a robot of 0.22 m radius has 0.18 m to each side
DOOR_MARGIN = HALF_WALL + 0.04  # metres of wall that stay at a door's sides, from the cells' corners
DOOR_REACH = 0.4  # metres from a wall within which doors and windows are taken to be in it
BEFORE_DOOR = 1.0  # metres in front of a door that had better be free
SMALLEST_PIECE = 0.01  # metres
LOOKS = 12  # sets of furniture in one house; with more rooms they repeat
HOUSE_FILE_DRAWS, HOUSE_FILE_FURNITURE_DRAWS = 11, 12

# Room types of house files, by words in them; other rooms are called "room".
ROOM_WORDS = {
    "children's room": ("child", "children", "kids", "nursery", "playroom"),
    "bedroom": ("bedroom", "guest"),
    "kitchen": ("kitchen", "kitchenette"),
    "bathroom": ("bathroom", "toilet", "bath", "shower", "restroom", "wc"),
    "office": ("office", "study", "library"),
    "laundry": ("laundry", "utility"),
    "storage": ("storage", "garage", "closet", "wardrobe", "pantry"),
    "dining room": ("dining",),
    "living room": ("living", "lounge", "family"),
    "corridor": ("hallway", "corridor", "passage", "aisle"),
    "hall": ("hall", "entryway", "entrance", "lobby", "foyer"),
}

PARTS_OF_THE_HOUSE = ("door", "window", "wall", "floor", "ceiling")  # classes that are no furniture


@dataclass(frozen=True)
class Node:
    """A node of the file with its box in our axes (metres, z up, before the plan is moved to its origin).

    kind: "Room" or "Object". names: what may say a class. members: of a room, the indices of its objects.
    """

    index: int
    kind: str
    names: tuple[str, ...]
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    members: tuple[int, ...] = ()

    @property
    def rectangle(self):
        """Its box from above."""
        return Rectangle(self.low[0], self.low[1], self.high[0], self.high[1])

    @property
    def label(self):
        """How remarks call it."""
        name = next((name for name in self.names if name), "")
        return f"node {self.index} ({self.kind}{' ' + repr(name[:40]) if name else ''})"


class Remarks:
    """What was found wrong in a file and what was done about it: one line each, the first MOST_REMARKS of them."""

    def __init__(self):
        self.lines, self.more = [], 0

    def add(self, line):
        """Note one thing."""
        if len(self.lines) < MOST_REMARKS:
            self.lines.append(line)
        else:
            self.more += 1

    def all(self):
        """The lines, as a tuple."""
        return (*self.lines, *([f"and {self.more} more like these"] if self.more else ()))


def read_house(path, seed):
    """The house of a House-Traveler file, furnished in the look of a seed, and remarks: (House, tuple of str).

    Rooms keep their boxes, but those that overlap are cut and those nearly touching are joined by a wall of 12 cm. An
    object becomes a piece of the class that a word of its names says (`class_words`), or else one plain box of class 0
    ("nothing": unknown).

    Doors: an object called a door, within DOOR_REACH of the wall between two rooms, becomes an opening there, at least
    NARROWEST_DOOR wide; in an outer wall it becomes a closed door. Then, as long as two rooms that share a wall are not
    joined by any way through doors, one of DOOR_WIDTH is added between them: corridors and living rooms first, then
    the longest wall first, at the place where the objects leave most room. Windows are the objects called so that
    are in an outer wall.

    Remarks name, one line each, the nodes that were wrong and what was done. Raises UserError where nothing usable is
    left, and ValueError for a negative seed.
    """
    if seed < 0:
        raise ValueError(f"a house's seed must not be negative, found {seed}")
    path, remarks = Path(path), Remarks()
    nodes = [node_of(index, content, remarks) for index, content in enumerate(contents(path))]
    nodes = one_level([node for node in nodes if node], remarks)
    rooms, objects = ([node for node in nodes if node.kind == kind] for kind in ("Room", "Object"))
    if not rooms:
        raise UserError(f"{path}: no rooms: expected nodes of type Room with bbox.min and bbox.max{first_of(remarks)}")
    rooms, cells, corner = plan_of(rooms, remarks)
    if not rooms:
        raise UserError(f"{path}: no room that can be used{first_of(remarks)}")
    house = HouseBuilder(seed, rooms, cells, corner, remarks).built(objects)
    if not has_free_circle(house):
        raise UserError(
            f"{path}: no free space: in none of its rooms ({len(house.rooms)}) is a circle of {START_RADIUS} m radius "
            f"free between {CARPET_HEIGHT} and {ROBOT_HEIGHT} m above the floor{first_of(remarks)}"
        )
    return house, remarks.all()


def first_of(remarks):
    """The end of an error's line that tells the first remark."""
    return f"; {remarks.lines[0]}" if remarks.lines else ""


# Reading


def contents(path):
    """The nodes of a file as JSON gives them, of the level with most rooms where it has levels. Raises UserError."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise UserError(f"{path}: expected a house file, found what is no file")
        if size > LARGEST_FILE:
            raise UserError(f"{path}: {size / 2**20:.0f} MiB: a house file has at most {LARGEST_FILE / 2**20:.0f} MiB")
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON: {' '.join(str(error).split())[:120]}") from error
    if isinstance(document, dict) and isinstance(document.get("levels"), list):
        levels = [level.get("nodes") for level in document["levels"] if isinstance(level, dict)]
        document = max((nodes for nodes in levels if isinstance(nodes, list)), key=count_rooms, default=None)
    if not isinstance(document, list):
        raise UserError(f"{path}: expected a JSON list of nodes, found {type(document).__name__}")
    if len(document) > MOST_NODES:
        raise UserError(f"{path}: {len(document)} nodes: a house file has at most {MOST_NODES}")
    return document


def count_rooms(nodes):
    """How many nodes say that they are rooms."""
    return sum(isinstance(node, dict) and node.get("type") == "Room" for node in nodes)


def node_of(index, content, remarks):
    """The room or object of one node of the file, None for what is neither or has no usable box."""
    if not isinstance(content, dict):
        remarks.add(f"node {index}: expected an object with type and bbox, found {type(content).__name__}; left out")
        return None
    kind = content.get("type")
    if kind is None:
        kind = "Room" if "roomTypes" in content else "Object"
    if kind not in ("Room", "Object", "Box"):  # grounds, people
        return None
    kind = "Room" if kind == "Room" else "Object"
    types = content.get("roomTypes") if kind == "Room" else None
    fields = (
        *(types if isinstance(types, list) else (types,)),
        *(content.get(key) for key in ("modelId", "name", "label")),
    )
    fields += tuple(content.get(key) for key in ("category", "coarse_grained_class", "fine_grained_class"))
    names = tuple(field for field in fields if isinstance(field, str))
    corners = box_of(content.get("bbox"), f"node {index} ({kind})", remarks)
    if corners is None:
        return None
    members = content.get("nodeIndices")
    members = members if isinstance(members, list) else ()
    members = tuple(member for member in members if isinstance(member, int) and not isinstance(member, bool))
    return Node(index, kind, names, *corners, members)


def box_of(box, where, remarks):
    """(low, high) in our axes of a node's bbox, None if it has none."""
    ends = [box.get(end) if isinstance(box, dict) else None for end in ("min", "max")]
    if not all(isinstance(end, list) and len(end) == 3 for end in ends):
        remarks.add(f"{where}: no bbox with min and max of three numbers; left out")
        return None
    try:
        (x0, y0, z0), (x1, y1, z1) = ([number(value) for value in end] for end in ends)
    except (TypeError, ValueError):
        remarks.add(f"{where}: bbox holds what is no number ({str(ends)[:80]}); left out")
        return None
    if any(isinstance(value, str) for end in ends for value in end):
        remarks.add(f"{where}: bbox holds numbers as text; read as numbers")
    if x0 > x1 or y0 > y1 or z0 > z1:
        remarks.add(f"{where}: bbox.min is above bbox.max; exchanged")
    low = (min(x0, x1), min(-z0, -z1), min(y0, y1))
    return low, (max(x0, x1), max(-z0, -z1), max(y0, y1))


def number(value):
    """A finite float, of a number or its text. Raises TypeError or ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError
    try:
        value = float(value)
    except OverflowError as error:  # a whole number of hundreds of digits
        raise ValueError from error
    if not math.isfinite(value):
        raise ValueError
    return value


def one_level(nodes, remarks):
    """The nodes of the level that has most rooms: floors at most LEVEL_HEIGHT apart belong together."""
    levels = []
    for room in sorted((node for node in nodes if node.kind == "Room"), key=lambda room: room.low[2]):
        if not levels or room.low[2] - levels[-1][-1].low[2] > LEVEL_HEIGHT:
            levels.append([])
        levels[-1].append(room)
    if len(levels) < 2:
        return nodes
    chosen = max(levels, key=len)
    bottom, top, of_level = min(room.low[2] for room in chosen), max(room.high[2] for room in chosen), set(chosen)
    kept = [node for node in nodes if node in of_level or node.kind == "Object" and bottom <= middle(node) <= top]
    remarks.add(
        f"{len(levels)} levels: taken is the one with most rooms ({len(chosen)}, floor at {bottom:.2f} m); "
        f"rooms and objects of the others left out: {len(nodes) - len(kept)}"
    )
    return kept


def middle(node):
    """The height of a node's middle."""
    return (node.low[2] + node.high[2]) / 2


# The plan


def plan_of(rooms, remarks):
    """The usable rooms, their cells moved to a lowest corner of 0, and that corner's (x, y) before that."""
    rooms = [room for room in rooms if is_of_usable_size(room, remarks)]
    if len(rooms) > MOST_ROOMS:
        remarks.add(f"{len(rooms)} rooms: the first {MOST_ROOMS} are used")
        rooms = rooms[:MOST_ROOMS]
    rooms = apart([(room, room.rectangle) for room in rooms], NEAR_ROOMS, remarks)
    rooms = apart(snapped(rooms), 0.0, remarks)
    rooms = [pair for pair in rooms if is_wide_enough(*pair, remarks)]
    rooms = near_each_other(rooms, remarks)
    x0, y0 = min((cell.x0 for _, cell in rooms), default=0.0), min((cell.y0 for _, cell in rooms), default=0.0)
    cells = [rectangle(cell.x0 - x0, cell.y0 - y0, cell.x1 - x0, cell.y1 - y0) for _, cell in rooms]
    return [room for room, _ in rooms], cells, (x0, y0)


def rectangle(x0, y0, x1, y1):
    """A rectangle in whole millimetres."""
    return Rectangle(round(x0, 3), round(y0, 3), round(x1, 3), round(y1, 3))


def is_of_usable_size(room, remarks):
    """Whether a room has an area, and none as of a town."""
    r = room.rectangle
    if min(r.width, r.depth) < NARROWEST_ROOM:
        remarks.add(f"{room.label}: {r.width:.2f} x {r.depth:.2f} m, no area for a room; left out")
        return False
    if max(r.width, r.depth) > LARGEST_ROOM:
        remarks.add(
            f"{room.label}: {r.width:.0f} x {r.depth:.0f} m, where a room has at most {LARGEST_ROOM:.0f} m a side "
            "(is the file in metres?); left out"
        )
        return False
    return True


def is_wide_enough(room, cell, remarks):
    """Whether there is floor between the walls of a cell."""
    if min(cell.width, cell.depth) - 2 * HALF_WALL >= NARROWEST_ROOM:
        return True
    remarks.add(f"{room.label}: {cell.width:.2f} x {cell.depth:.2f} m with its walls, too narrow; left out")
    return False


def apart(rooms, tolerance, remarks):
    """(Node, Rectangle) pairs of rooms, the larger of two that overlap by more than `tolerance` cut beside the other.

    A room of which less than NARROWEST_ROOM or less than half would stay is left out.
    """
    kept = []
    for room, r in sorted(rooms, key=lambda pair: (pair[1].area, pair[0].index)):  # smaller ones keep their place
        whole = r
        for other, taken in kept:
            if r is not None and r.overlaps(taken) and min(shared_lengths(r, taken)) > tolerance:
                cut = largest_beside(r, taken)
                if cut is None or cut.area < whole.area / 2:
                    remarks.add(f"{room.label} overlaps {other.label}; left out")
                    r = None
                    continue
                if max(r.width - cut.width, r.depth - cut.depth) > 2 * HALF_WALL:
                    remarks.add(f"{room.label} overlaps {other.label}; cut to {cut.width:.2f} x {cut.depth:.2f} m")
                r = cut
        if r is not None:
            kept.append((room, r))
    return sorted(kept, key=lambda pair: pair[0].index)


def shared_lengths(r, other):
    """How far two rectangles overlap along x and y."""
    return min(r.x1, other.x1) - max(r.x0, other.x0), min(r.y1, other.y1) - max(r.y0, other.y0)


def largest_beside(r, other):
    """The largest rectangle of r beside another; None if it is too narrow for a room."""
    beside = (
        Rectangle(r.x0, r.y0, min(r.x1, other.x0), r.y1),
        Rectangle(max(r.x0, other.x1), r.y0, r.x1, r.y1),
        Rectangle(r.x0, r.y0, r.x1, min(r.y1, other.y0)),
        Rectangle(r.x0, max(r.y0, other.y1), r.x1, r.y1),
    )
    wide = [part for part in beside if min(part.width, part.depth) >= NARROWEST_ROOM]
    return max(wide, key=lambda part: part.area, default=None)


def snapped(rooms):
    """The rooms with their cells: sides that face each other closely on one line, others half a wall further out."""
    sides = [[r.x0, r.x1, r.y0, r.y1] for _, r in rooms]
    group = {(room, side): (room, side) for room in range(len(rooms)) for side in range(4)}
    for first, (_, r) in enumerate(rooms):
        for second, (_, other) in enumerate(rooms):
            along_x, along_y = shared_lengths(r, other)
            for side, along in ((1, along_y), (3, along_x)):  # the east and north sides, against west and south
                gap = sides[second][side - 1] - sides[first][side]
                if first != second and along > 2 * HALF_WALL and abs(gap) < NEAR_ROOMS:
                    join(group, (first, side), (second, side - 1))
    lines = {}
    for member in group:
        lines.setdefault(root(group, member), []).append(member)
    for members in lines.values():
        places = [sides[room][side] for room, side in members]
        outwards = HALF_WALL if members[0][1] % 2 else -HALF_WALL
        line = (min(places) + max(places)) / 2 if len(members) > 1 else places[0] + outwards
        for room, side in members:
            sides[room][side] = line
    return [(room, rectangle(x0, y0, x1, y1)) for (room, _), (x0, x1, y0, y1) in zip(rooms, sides, strict=True)]


def root(group, member):
    """The representative of a member's group."""
    while group[member] != member:
        member = group[member]
    return member


def join(group, first, second):
    """Make two groups one."""
    group[root(group, first)] = root(group, second)


def near_each_other(rooms, remarks):
    """All rooms, or where they spread over more than LARGEST_HOUSE, the most that are within it around one of them."""
    width, depth = (extent(rooms, *ends) for ends in (("x0", "x1"), ("y0", "y1")))
    if max(width, depth) <= LARGEST_HOUSE:
        return rooms
    half = LARGEST_HOUSE / 2
    groups = []
    for _, centre in rooms:
        x, y = centre.centre
        reach = Rectangle(x - half, y - half, x + half, y + half)
        groups.append([(room, cell) for room, cell in rooms if reach.contains(cell)])
    near = max(groups, key=len)
    remarks.add(
        f"the rooms spread over {width:.0f} x {depth:.0f} m, where a house has at most {LARGEST_HOUSE:.0f} m a side; "
        f"{counted(len(rooms) - len(near), 'room')} far from {near[0][0].label} left out"
    )
    return near


def extent(rooms, low, high):
    """Metres from the lowest to the highest side of the cells."""
    return max((getattr(cell, high) for _, cell in rooms), default=0.0) - min(
        (getattr(cell, low) for _, cell in rooms), default=0.0
    )


# From plan and objects to a house


class HouseBuilder:
    """Builds the house of some rooms (Nodes) and their cells; `corner` is taken off the objects' x and y."""

    def __init__(self, seed, rooms, cells, corner, remarks):
        self.seed, self.rooms, self.cells, self.corner, self.remarks = seed, rooms, cells, corner, remarks
        self.inners = [cell.grown(-HALF_WALL) for cell in cells]
        self.ceilings = [ceiling_of(room, remarks) for room in rooms]
        self.draws, self.materials = Draws(HOUSE_FILE_DRAWS, seed), MaterialList()
        self.openings, self.pieces = [], []
        self.shared_walls = shared_walls(cells)

    def built(self, objects):
        """The house with these objects (Nodes)."""
        wood = tint(self.draws, self.draws.choice(WOODS))
        self.surfaces = HouseSurfaces(self.draws, self.materials, wood)
        rooms = tuple(self.finished_room(index) for index in range(len(self.rooms)))
        self.looks = [
            Look(Draws(HOUSE_FILE_FURNITURE_DRAWS, self.seed, index), self.materials, wood, self.surfaces.leaf)
            for index in range(min(LOOKS, len(rooms)))
        ]
        room_of_member = {member: index for index, room in enumerate(self.rooms) for member in room.members}
        objects = [(node, class_of(*node.names)) for node in objects]
        furniture = [(node, name) for node, name in objects if name not in PARTS_OF_THE_HOUSE]
        if len(furniture) > MOST_PIECES:
            self.remarks.add(f"{len(furniture)} objects: the first {MOST_PIECES} are used")
        for node, name in furniture[:MOST_PIECES]:
            self.put(node, name, room_of_member.get(node.index))
        for node in (node for node, name in objects if name == "door"):
            self.cut_door(node)
        self.join_rooms()
        for node in (node for node, name in objects if name == "window"):
            self.cut_window(node)
        bounds = Rectangle(0.0, 0.0, max(cell.x1 for cell in self.cells), max(cell.y1 for cell in self.cells))
        walls = tuple(w for index, cell in enumerate(self.cells) for w in walls_around(index, cell, self.openings))
        materials = self.materials.all()
        return House(self.seed, bounds, rooms, tuple(self.openings), walls, tuple(self.pieces), materials)

    def finished_room(self, index):
        """A room with its surfaces and light."""
        name, cell, ceiling = room_name(self.rooms[index].names), self.cells[index], self.ceilings[index]
        light = draw_light(self.draws, cell, ceiling)
        return Room(name, cell, self.inners[index], ceiling, **self.surfaces.draw(name), **light)

    # Pieces

    def put(self, node, name, room):
        """Put an object into the room that lists it or holds its centre, as far as it is within the room's walls."""
        r = self.moved(node)
        if room is None or not self.inners[room].overlaps(r):
            room = next((i for i, inner in enumerate(self.inners) if inner.overlaps(point_at(*r.centre))), None)
        if room is None:
            self.remarks.add(f"{node.label}: in no room; left out")
            return
        inner, floor = self.inners[room], self.rooms[room].low[2]
        low = (max(r.x0, inner.x0), max(r.y0, inner.y0), max(node.low[2] - floor, 0.0))
        high = (min(r.x1, inner.x1), min(r.y1, inner.y1), min(node.high[2] - floor, self.ceilings[room]))
        if min(top - bottom for bottom, top in zip(low, high, strict=True)) < SMALLEST_PIECE:
            self.remarks.add(f"{node.label}: less than {SMALLEST_PIECE} m of it is inside its room; left out")
            return
        look = self.looks[room % len(self.looks)]
        self.pieces.append(piece_in(low, high, name, room, nearest_side(inner, low, high), look))

    def moved(self, node):
        """A node from above, where the plan's lowest corner is 0."""
        (x0, y0), r = self.corner, node.rectangle
        return rectangle(r.x0 - x0, r.y0 - y0, r.x1 - x0, r.y1 - y0)

    # Doors and windows

    def cut_door(self, node):
        """Make an opening of a door that is in the wall between two rooms, a closed door of one in an outer wall."""
        r = self.moved(node)
        found = []
        for wall in self.shared_walls:
            _, _, axis, at, start, end = wall
            across, along = r.centre if axis == "x" else r.centre[::-1]
            if abs(across - at) <= DOOR_REACH and start <= along <= end:
                found.append((abs(across - at), wall))
        if not found:
            self.close_door(node, r)
            return
        first, second, axis, at, start, end = min(found)[1]
        low, high = (r.y0, r.y1) if axis == "x" else (r.x0, r.x1)
        span = fitted(low, high, start + DOOR_MARGIN, end - DOOR_MARGIN, NARROWEST_DOOR, WIDEST_DOOR)
        if span is None:
            self.remarks.add(f"{node.label}: its wall is {end - start:.2f} m long, too short for a door; left out")
            return
        top = node.high[2] - self.rooms[first].low[2]
        if not self.opening_at(axis, at, *span):  # a door that two rooms list is often in a file twice
            self.add_door((first, second), axis, at, span, top)

    def add_door(self, pair, axis, at, span, top):
        """Cut a door, its top between a robot's and the ceiling."""
        highest = min(self.ceilings[room] for room in pair) - 0.05
        top = round(min(max(top, LOWEST_CEILING - 0.1), highest), 3)
        self.openings.append(Opening("door", axis, at, *span, 0.0, top, pair, self.surfaces.frame))

    def opening_at(self, axis, at, start, end):
        """Whether an opening is already there, or too close for two frames."""
        return any(
            (other.axis, other.at) == (axis, at) and start - 0.15 < other.end and other.start < end + 0.15
            for other in self.openings
        )

    def close_door(self, node, r):
        """A door that leads out of the house: a piece against its wall."""
        side = self.outer_side(r)
        if side is None:
            self.remarks.add(f"{node.label}: a door, but in no wall; left out")
            return
        room, side, _, start, end = side
        inner, floor = self.inners[room], self.rooms[room].low[2]
        height = min(max(node.high[2] - floor, LOWEST_CEILING - 0.1), self.ceilings[room])
        low, high = {
            "west": ((inner.x0, start), (inner.x0 + 0.04, end)),
            "east": ((inner.x1 - 0.04, start), (inner.x1, end)),
            "south": ((start, inner.y0), (end, inner.y0 + 0.04)),
            "north": ((start, inner.y1 - 0.04), (end, inner.y1)),
        }[side]
        look = self.looks[room % len(self.looks)]
        piece = piece_in((*low, 0.0), (*high, height), "door", room, side, look)
        if not any(other.name == "door" and other.footprint.overlaps(piece.footprint) for other in self.pieces):
            self.pieces.append(piece)

    def outer_side(self, r):
        """(room, side, at, start, end) of the wall without a room behind it that a rectangle is in; None if in none."""
        found = []
        for room, cell in enumerate(self.cells):
            for side, at in zip(SIDES, (cell.x0, cell.x1, cell.y0, cell.y1), strict=True):
                axis = 0 if side in ("west", "east") else 1
                across, along = r.centre if axis == 0 else r.centre[::-1]
                low, high = (r.y0, r.y1) if axis == 0 else (r.x0, r.x1)
                start, end = (cell.y0, cell.y1) if axis == 0 else (cell.x0, cell.x1)
                span = fitted(low, high, start + DOOR_MARGIN, end - DOOR_MARGIN, 0.3, math.inf)
                if abs(across - at) <= DOOR_REACH and start <= along <= end and span:
                    found.append((abs(across - at), room, side, at, *span))
        for _, room, side, at, start, end in sorted(found):
            axis = "x" if side in ("west", "east") else "y"
            behind = any(
                room in wall[:2] and wall[2:4] == (axis, at) and start < wall[5] and wall[4] < end
                for wall in self.shared_walls
            )
            if not behind:
                return room, side, at, start, end
        return None

    def cut_window(self, node):
        """Make an opening of a window in an outer wall."""
        side = self.outer_side(self.moved(node))
        if side is None:
            self.remarks.add(f"{node.label}: a window, but in no outer wall; left out")
            return
        room, side, at, start, end = side
        axis = "x" if side in ("west", "east") else "y"
        floor = self.rooms[room].low[2]
        bottom = round(max(node.low[2] - floor, 0.1), 3)
        top = round(min(node.high[2] - floor, self.ceilings[room] - 0.05), 3)
        if top - bottom < 0.2 or self.opening_at(axis, at, start, end):
            self.remarks.add(f"{node.label}: a window of no height, or where another opening is; left out")
            return
        rooms = (room, None) if side in ("east", "north") else (None, room)
        self.openings.append(Opening("window", axis, at, start, end, bottom, top, rooms, self.surfaces.pane))

    def join_rooms(self):
        """Add doors, until rooms that share a wall can be reached from each other; names what stays apart."""
        group = {room: room for room in range(len(self.rooms))}
        for door in self.openings:
            join(group, *door.rooms)
        hubs = [room_name(room.names) in ("corridor", "hall", "living room") for room in self.rooms]
        walls = sorted(
            self.shared_walls,
            key=lambda wall: (not (hubs[wall[0]] or hubs[wall[1]]), round(wall[4] - wall[5], 3), wall),
        )
        for first, second, axis, at, start, end in walls:
            low, high = start + DOOR_MARGIN, end - DOOR_MARGIN
            if root(group, first) == root(group, second) or high - low < DOOR_WIDTH:
                continue
            span = self.best_span(first, second, axis, at, low, high)
            self.add_door((first, second), axis, at, span, DOOR_HEIGHT)
            join(group, first, second)
            self.remarks.add(
                f"{self.rooms[first].label} and {self.rooms[second].label} share a wall and no doors join them; "
                f"a door of {DOOR_WIDTH} m added"
            )
        members = [root(group, room) for room in range(len(self.rooms))]
        main = max(sorted(set(members)), key=members.count)
        for room, member in enumerate(members):
            if member != main:
                self.remarks.add(f"{self.rooms[room].label}: no way from most other rooms; kept, walked by itself")

    def best_span(self, first, second, axis, at, low, high):
        """Where in a wall a door has least in front of it, then nearest to the middle: (start, end)."""
        blocking = [piece.footprint for piece in self.pieces if piece.stands_between(CARPET_HEIGHT, ROBOT_HEIGHT)]
        best = None
        for step in range(int((high - low - DOOR_WIDTH) / 0.1) + 1):
            start = round(low + 0.1 * step, 3)
            end = round(start + DOOR_WIDTH, 3)
            near, far = at - BEFORE_DOOR, at + BEFORE_DOOR
            zone = Rectangle(near, start, far, end) if axis == "x" else Rectangle(start, near, end, far)
            price = round(sum(math.prod(shared_lengths(zone, r)) for r in blocking if zone.overlaps(r)), 3)
            price = (price, round(abs(start + end - low - high), 3), start, end)
            best = min(best, price) if best else price
        return best[2:]


def shared_walls(cells):
    """(first, second, axis, at, start, end) of the walls between two rooms' cells; first is on the low side."""
    walls = []
    for first, low in enumerate(cells):
        for second, high in enumerate(cells):
            along_x, along_y = shared_lengths(low, high)
            if low.x1 == high.x0 and along_y > 0:
                walls.append((first, second, "x", low.x1, max(low.y0, high.y0), min(low.y1, high.y1)))
            if low.y1 == high.y0 and along_x > 0:
                walls.append((first, second, "y", low.y1, max(low.x0, high.x0), min(low.x1, high.x1)))
    return walls


def ceiling_of(room, remarks):
    """The height of a room, metres."""
    height = round(room.high[2] - room.low[2], 3)
    if LOWEST_CEILING <= height <= HIGHEST_CEILING:
        return height
    remarks.add(f"{room.label}: {height:.2f} m high; taken as {USUAL_CEILING} m")
    return USUAL_CEILING


def room_name(names):
    """A room's name among those of made houses, "room" if none of its words says one."""
    words = {word for name in names for word in words_of(name)}
    return next((name for name, known in ROOM_WORDS.items() if words & set(known)), "room")


def point_at(x, y):
    """A rectangle of a millimetre around a point."""
    return Rectangle(x - 0.0005, y - 0.0005, x + 0.0005, y + 0.0005)


def fitted(low, high, start, end, narrowest, widest):
    """The span low..high, made as wide as allowed and moved into start..end; None if that is too short."""
    width = min(max(high - low, narrowest), widest, end - start)
    if width < narrowest - 1e-9:
        return None
    low = min(max((low + high - width) / 2, start), end - width)
    return round(low, 3), round(low + width, 3)


def nearest_side(inner, low, high):
    """The side of a room that a box stands nearest to."""
    gaps = (low[0] - inner.x0, inner.x1 - high[0], low[1] - inner.y0, inner.y1 - high[1])
    return min(zip(SIDES, gaps, strict=True), key=lambda side_and_gap: round(side_and_gap[1], 3))[0]


def has_free_circle(house):
    """Whether a walk can start anywhere in a house."""
    return FreeSpace(walkable(house), ROBOT_HEIGHT).clear.max() > START_RADIUS
