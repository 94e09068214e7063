"""Plans of houses from a seed: rooms of named types, doors, windows, walls and lights.

`make_house` gives the same house on every machine. What walls and floors look like is the business of `surfaces`,
furniture that of `furnish`; paths and pictures come after.
"""

from training.houses.draws import Draws
from training.houses.furnish import furnish
from training.houses.house import SIDES, House, Light, Opening, Rectangle, Room
from training.houses.materials import FRONTS, WOODS, MaterialList, draw_palette, mixed, tint
from training.houses.surfaces import HouseSurfaces

FEWEST_ROOMS, MOST_ROOMS = 3, 9
HALF_WALL = 0.06  # metres; an inner wall is 12 cm thick
DOOR_WIDTH, DOOR_HEIGHT = 0.9, 2.05
ARCH_WIDTHS, ARCH_HEIGHT = (1.4, 2.4), 2.2  # of the wide openings without a door between rooms that one lives in
DOOR_FROM_CORNER = 0.3  # least distance of a door from the end of its wall, measured on the cell
NARROWEST_ROOM = 2.1
WINDOW_SILLS = {"living room": (0.4, 0.8), "kitchen": (1.1,)}  # metres above the floor; elsewhere 0.8 to 1
SERVICE_WIDTHS = (1.7, 2.1)  # of a strip that is cut off for storage, laundry and the like
HOUSE_DRAWS, FURNITURE_DRAWS = 1, 2  # separate streams, so that a change of one leaves the other
MOST_ATTEMPTS = 100  # plans drawn until one has all rooms within reach; nearly always the first has

# Square metres that rooms of a type usually have; the larger rooms of a house get the names of the larger types.
TYPICAL_AREAS = {
    "storage": 5.0, "laundry": 6.0, "bathroom": 7.0, "hall": 8.0, "office": 10.0, "children's room": 11.5,
    "kitchen": 12.0, "dining room": 13.0, "bedroom": 14.0, "living room": 24.0,
}  # fmt: skip
FURTHER_ROOMS = ("bathroom", "bedroom", "children's room", "office", "dining room", "laundry", "storage")
ROOMS_FOR_TWO_BATHROOMS = 7  # a house with fewer has one
OPEN_ROOMS = ("living room", "dining room", "kitchen", "hall")  # between these, doors are wide or many
PRIVATE_ROOMS = ("bathroom", "laundry", "storage", "bedroom", "children's room")  # these have one door, if possible
ENTRANCE_ROOMS = ("corridor", "hall", "living room", "kitchen", "dining room")  # where the front door is: the first


def make_house(seed):
    """The house of a seed (non-negative integer): 3 to 9 rooms, all of them reachable from each other."""
    if seed < 0:
        raise ValueError(f"a house's seed must not be negative, found {seed}")
    for attempt in range(MOST_ATTEMPTS):
        draws = Draws(HOUSE_DRAWS, seed, attempt)
        cells, names = draw_rooms(draws)
        doors = draw_doors(draws, cells, names)
        if doors is not None:
            return build_house(seed, draws, cells, names, doors)
    raise AssertionError(f"house {seed}: none of {MOST_ATTEMPTS} plans has all rooms within reach")


def build_house(seed, draws, cells, names, doors):
    """The house with these cells and doors ((room, room) pairs), with windows, surfaces and furniture."""
    materials = MaterialList()
    bounds = Rectangle(0.0, 0.0, max(cell.x1 for cell in cells), max(cell.y1 for cell in cells))
    wood = tint(draws, draws.choice(WOODS))
    surfaces = HouseSurfaces(draws, materials, wood)
    openings = [door_between(draws, cells, names, pair, surfaces.frame) for pair in doors]
    entrance = draw_entrance(draws, cells, names, bounds)
    openings += draw_windows(draws, cells, names, bounds, entrance, surfaces.pane)
    ceiling = draws.between(2.4, 2.8, digits=2)
    rooms = tuple(
        Room(name, cell, cell.grown(-HALF_WALL), ceiling, **surfaces.draw(name), **draw_light(draws, cell, ceiling))
        for name, cell in zip(names, cells, strict=True)
    )
    kitchen_front = tint(draws, draws.choice(FRONTS))
    pieces = []
    for index, room in enumerate(rooms):
        room_draws = Draws(FURNITURE_DRAWS, seed, index)
        palette = draw_palette(room_draws, materials, wood, kitchen_front)
        front_side = entrance[1] if entrance[0] == index else None
        of_room = [opening for opening in openings if index in opening.rooms]
        pieces += furnish(index, room, of_room, room_draws, materials, palette, surfaces.leaf, front_side)
    walls = tuple(wall for index, cell in enumerate(cells) for wall in walls_around(index, cell, openings))
    return House(seed, bounds, rooms, tuple(openings), walls, tuple(pieces), materials.all())


# Rooms


def draw_rooms(draws):
    """Cells that tile a rectangle, and their names: around a corridor or by splitting the rectangle again and again."""
    count = draws.count(FEWEST_ROOMS, MOST_ROOMS)
    with_corridor = count >= 5 and draws.chance(0.55)
    cells = corridor_cells(draws, count) if with_corridor else split_cells(draws, count)
    if draws.chance(0.5):
        cells = [Rectangle(cell.y0, cell.x0, cell.y1, cell.x1) for cell in cells]
    return cells, name_rooms(draws, cells, with_corridor)


def corridor_cells(draws, count):
    """A corridor along x (the first cell) with rooms on both sides and, in some houses, one across its end."""
    across = draws.chance(0.4)
    most, fewest = (count - across) // 2, (count - 1 - across) // 2
    width = round(most * draws.between(*((2.7, 3.5) if most > 2 else (3.2, 4.2)), digits=1), 1)
    below, corridor, above = (draws.between(low, high, digits=1) for low, high in ((3.0, 4.4), (1.5, 1.9), (3.0, 4.4)))
    y1, y2, y3 = below, round(below + corridor, 1), round(below + corridor + above, 1)
    cells = [Rectangle(0.0, y1, width, y2)]
    for (low, high), rooms in zip(((0.0, y1), (y2, y3)), draws.shuffled((most, fewest)), strict=True):
        cells += [Rectangle(x0, low, x1, high) for x0, x1 in split_length(draws, width, rooms)]
    if across:
        cells.append(Rectangle(width, 0.0, round(width + draws.between(3.2, 4.2, digits=1), 1), y3))
    return cells


def split_length(draws, length, count):
    """A length cut into `count` spans of unequal size, none narrower than NARROWEST_ROOM."""
    spare = length - count * NARROWEST_ROOM
    weights = [draws.between(0.2, 1.0) for _ in range(count)]
    ends, end = [0.0], 0.0
    for weight in weights[:-1]:
        end = round(end + NARROWEST_ROOM + spare * weight / sum(weights), 1)
        ends.append(end)
    ends.append(length)
    return list(zip(ends[:-1], ends[1:], strict=True))


def split_cells(draws, count):
    """Cells from a rectangle whose largest cell is split across its longer side until there are enough."""
    width = round(4.6 + 0.8 * count + draws.between(0.0, 1.2), 1)
    depth = round(4.0 + 0.55 * count + draws.between(0.0, 0.9), 1)
    cells = [Rectangle(0.0, 0.0, width, depth)]
    with_service_room = count > 4 and draws.chance(0.6)
    while len(cells) < count - with_service_room:
        split(cells, max(cells, key=lambda cell: cell.area), draws.between(0.36, 0.64))
    if with_service_room:
        longest = max(cells, key=lambda cell: max(cell.width, cell.depth))
        share = draws.between(*SERVICE_WIDTHS) / max(longest.width, longest.depth)
        split(cells, longest, share if draws.chance(0.5) else 1.0 - share)
    return cells


def split(cells, cell, share):
    """Put two cells in the place of one, cut across its longer side at this share of its length."""
    cells.remove(cell)
    if cell.width >= cell.depth:
        cut = round(cell.x0 + share * cell.width, 1)
        cells += [Rectangle(cell.x0, cell.y0, cut, cell.y1), Rectangle(cut, cell.y0, cell.x1, cell.y1)]
    else:
        cut = round(cell.y0 + share * cell.depth, 1)
        cells += [Rectangle(cell.x0, cell.y0, cell.x1, cut), Rectangle(cell.x0, cut, cell.x1, cell.y1)]


def name_rooms(draws, cells, with_corridor):
    """Names for the cells, by their size; a corridor is the first. What a home needs comes before what it can have."""
    unnamed = range(1 if with_corridor else 0, len(cells))
    further = FURTHER_ROOMS if with_corridor else (*FURTHER_ROOMS, "hall")
    extra = draws.shuffled(further if len(cells) >= ROOMS_FOR_TWO_BATHROOMS else further[1:])
    chosen = ["living room", "bathroom", *draws.shuffled(["kitchen", "bedroom"]), *extra]
    wanted = [(TYPICAL_AREAS[name] * draws.between(0.8, 1.25), name) for name in chosen[: len(unnamed)]]
    by_size = sorted(unnamed, key=lambda index: (cells[index].area, index))
    names = ["corridor"] * len(cells)
    for index, (_, name) in zip(by_size, sorted(wanted), strict=True):
        names[index] = name
    return names


# Doors, windows and walls


def shared_wall(cell, other):
    """(axis, at, start, end, low first?) of the wall between two cells, None where they do not touch."""
    for axis, low, high, start, end in (
        ("x", cell.x1, other.x0, max(cell.y0, other.y0), min(cell.y1, other.y1)),
        ("x", other.x1, cell.x0, max(cell.y0, other.y0), min(cell.y1, other.y1)),
        ("y", cell.y1, other.y0, max(cell.x0, other.x0), min(cell.x1, other.x1)),
        ("y", other.y1, cell.y0, max(cell.x0, other.x0), min(cell.x1, other.x1)),
    ):
        if low == high and end > start:
            return axis, low, start, end, low in (cell.x1, cell.y1) and (cell.x1 == other.x0 or cell.y1 == other.y0)
    return None


def draw_doors(draws, cells, names):
    """Pairs of rooms with a door between them, so that every room is reachable; None if the plan does not allow it."""
    pairs = []
    for first in range(len(cells)):
        for second in range(first + 1, len(cells)):
            wall = shared_wall(cells[first], cells[second])
            if wall and wall[3] - wall[2] >= DOOR_WIDTH + 2 * DOOR_FROM_CORNER:
                pairs.append((first, second))
    hub = next(names.index(name) for name in ENTRANCE_ROOMS if name in names)

    def rank(pair):
        private = sum(names[room] in PRIVATE_ROOMS for room in pair)
        return (hub not in pair) * (1 + private), not open_between(names, pair)

    group = list(range(len(cells)))
    doors = []
    for first, second in sorted(draws.shuffled(pairs), key=rank):
        joins = group[first] != group[second]
        private = names[first] in PRIVATE_ROOMS or names[second] in PRIVATE_ROOMS
        if joins or (not private and draws.chance(0.5 if open_between(names, (first, second)) else 0.2)):
            doors.append((first, second))
            group = [group[first] if member == group[second] else member for member in group]
    return doors if len(set(group)) == 1 else None


def open_between(names, pair):
    """Whether one goes from one of these rooms to the other all the time."""
    return all(names[room] in OPEN_ROOMS for room in pair)


def door_between(draws, cells, names, pair, material):
    """A door somewhere in the wall between two rooms; between rooms that one lives in it can be a wide opening."""
    axis, at, start, end, first_is_low = shared_wall(cells[pair[0]], cells[pair[1]])
    widest = end - start - 2 * DOOR_FROM_CORNER
    wide = open_between(names, pair) and widest >= ARCH_WIDTHS[0] and draws.chance(0.55)
    width = min(widest, draws.between(*ARCH_WIDTHS, digits=1)) if wide else DOOR_WIDTH
    low = draws.between(start + DOOR_FROM_CORNER, end - DOOR_FROM_CORNER - width, digits=2)
    rooms = pair if first_is_low else (pair[1], pair[0])
    top = ARCH_HEIGHT if wide else DOOR_HEIGHT
    return Opening("door", axis, at, low, round(low + width, 3), 0.0, top, rooms, material)


def outer_sides(cell, bounds):
    """The sides of a cell that are outer walls."""
    on_edge = (cell.x0 == bounds.x0, cell.x1 == bounds.x1, cell.y0 == bounds.y0, cell.y1 == bounds.y1)
    return [side for side, outer in zip(SIDES, on_edge, strict=True) if outer]


def draw_entrance(draws, cells, names, bounds):
    """(room, side) of the front door: in the corridor or hall, else where one lives; (None, None) without a place."""
    for name in ENTRANCE_ROOMS:
        for room in range(len(cells)):
            if names[room] == name and outer_sides(cells[room], bounds):
                return room, draws.choice(outer_sides(cells[room], bounds))
    return None, None


def draw_windows(draws, cells, names, bounds, entrance, pane):
    """Windows in the outer walls but the front door's: wide ones in rooms one lives in, small ones in the others."""
    windows = []
    for room, (name, cell) in enumerate(zip(names, cells, strict=True)):
        sides = [side for side in outer_sides(cell, bounds) if (room, side) != entrance]
        for number, side in enumerate(draws.shuffled(sides)):
            if number == 0 or draws.chance(0.5):
                windows.append(window_in(draws, room, name, cell, side, pane))
    return windows


def window_in(draws, room, name, cell, side, pane):
    """A window somewhere in one side of a room."""
    along_y = side in ("west", "east")
    start, end = (cell.y0, cell.y1) if along_y else (cell.x0, cell.x1)
    at = {"west": cell.x0, "east": cell.x1, "south": cell.y0, "north": cell.y1}[side]
    longest = end - start - 0.8
    small = name in ("bathroom", "laundry", "storage")
    width = round(min(longest, draws.between(0.6, 0.9) if small else draws.between(0.9, 2.2)), 3)
    low = draws.between(start + 0.4, end - 0.4 - width)
    bottom = 1.3 if small else draws.choice(WINDOW_SILLS.get(name, (0.8, 0.9, 1.0)))
    rooms = (room, None) if side in ("east", "north") else (None, room)
    return Opening("window", "x" if along_y else "y", at, low, round(low + width, 3), bottom, 2.15, rooms, pane)


def walls_around(index, cell, openings):
    """The solid strips along a cell's four sides, with its doors left open."""
    doors = [opening for opening in openings if opening.kind == "door" and index in opening.rooms]
    walls = []
    for side in SIDES:
        along_y = side in ("west", "east")
        at = {"west": cell.x0, "east": cell.x1, "south": cell.y0, "north": cell.y1}[side]
        start, end = (cell.y0, cell.y1) if along_y else (cell.x0, cell.x1)
        gaps = sorted((door.start, door.end) for door in doors if door.side_of(index) == side)
        edges = [start - HALF_WALL, *(edge for gap in gaps for edge in gap), end + HALF_WALL]
        for low, high in zip(edges[::2], edges[1::2], strict=True):
            low, high, near, far = (round(edge, 3) for edge in (low, high, at - HALF_WALL, at + HALF_WALL))
            walls.append(Rectangle(near, low, far, high) if along_y else Rectangle(low, near, high, far))
    return walls


def draw_light(draws, cell, ceiling):
    """A lamp near the middle of the ceiling, from warm to cold, and the strength of the daylight."""
    x, y = cell.centre
    warmth = draws.between(0.0, 1.0)
    strength = draws.between(0.55, 0.95) * min(1.5, max(0.8, cell.area / 12))
    colour = tuple(round(strength * channel, 3) for channel in mixed((1.0, 0.82, 0.60), (0.95, 0.97, 1.0), warmth))
    return {
        "light": Light((round(x, 3), round(y, 3), round(ceiling - 0.4, 3)), colour),
        "daylight": draws.between(0.5, 1.0),
    }
