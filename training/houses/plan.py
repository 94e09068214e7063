"""Plans of houses from a seed: rooms of named types, doors, windows, walls, colours and lights.

`make_house` gives the same house on every machine. Furniture is `furnish`'s business; paths and pictures come after.
"""

from training.houses.draws import Draws
from training.houses.furnish import furnish
from training.houses.house import SIDES, House, Light, Opening, Rectangle, Room
from training.houses.materials import (
    FRONTS,
    METAL,
    TILE_TINTS,
    WALL_TINTS,
    WHITE,
    WOODS,
    MaterialList,
    draw_palette,
    mixed,
    shaded,
    tint,
)

HALF_WALL = 0.06  # metres; an inner wall is 12 cm thick
DOOR_WIDTH, DOOR_HEIGHT = 0.9, 2.05
DOOR_FROM_CORNER = 0.3  # least distance of a door from the end of its wall, measured on the cell
NARROWEST_ROOM = 2.4
LARGEST_ROOM_COUNT = 7
HOUSE_DRAWS, FURNITURE_DRAWS = 1, 2  # separate streams, so that a change of one leaves the other


def make_house(seed):
    """The house of a seed (non-negative integer): 4 to 7 rooms, all of them reachable from each other."""
    if seed < 0:
        raise ValueError(f"a house's seed must not be negative, found {seed}")
    attempt = 0
    while True:
        draws = Draws(HOUSE_DRAWS, seed, attempt)
        cells, names = draw_rooms(draws)
        doors = draw_doors(draws, cells, names)
        if doors is not None:
            return build_house(seed, draws, cells, names, doors)
        attempt += 1


def build_house(seed, draws, cells, names, doors):
    """The house with these cells and doors ((room, room) pairs), with windows, surfaces and furniture."""
    materials = MaterialList()
    wood = tint(draws, draws.choice(WOODS))
    frame = materials.add("plain", WHITE if draws.chance(0.5) else wood)
    openings = [door_between(draws, cells, pair, frame) for pair in doors]
    openings += draw_windows(draws, cells, names, materials)
    ceiling = draws.between(2.4, 2.8, digits=2)
    surfaces = HouseSurfaces(draws, materials, wood)
    rooms = tuple(
        Room(name, cell, cell.grown(-HALF_WALL), ceiling, **surfaces.draw(name), **draw_light(draws, cell, ceiling))
        for name, cell in zip(names, cells, strict=True)
    )
    kitchen_front = tint(draws, draws.choice(FRONTS))
    pieces = []
    for index, room in enumerate(rooms):
        room_draws = Draws(FURNITURE_DRAWS, seed, index)
        palette = draw_palette(room_draws, materials, wood, kitchen_front)
        pieces += furnish(index, room, [o for o in openings if index in o.rooms], room_draws, materials, palette)
    bounds = Rectangle(0.0, 0.0, max(cell.x1 for cell in cells), max(cell.y1 for cell in cells))
    walls = tuple(wall for index, cell in enumerate(cells) for wall in walls_around(index, cell, openings))
    return House(seed, bounds, rooms, tuple(openings), walls, tuple(pieces), materials.all())


# Rooms


def draw_rooms(draws):
    """Cells that tile a rectangle, and their names: around a corridor or by splitting the rectangle again and again."""
    with_corridor = draws.chance(0.5)
    cells = corridor_cells(draws) if with_corridor else split_cells(draws)
    if draws.chance(0.5):
        cells = [Rectangle(cell.y0, cell.x0, cell.y1, cell.x1) for cell in cells]
    return cells, name_rooms(draws, cells, with_corridor)


def corridor_cells(draws):
    """A corridor along x (the first cell) with two or three rooms on each side of it."""
    width = draws.between(8.0, 11.5, digits=1)
    below, corridor, above = (
        draws.between(3.0, 4.4, digits=1),
        draws.between(1.5, 1.9, digits=1),
        draws.between(3.0, 4.4, digits=1),
    )
    y1, y2, y3 = below, round(below + corridor, 1), round(below + corridor + above, 1)
    cells = [Rectangle(0.0, y1, width, y2)]
    for low, high in ((0.0, y1), (y2, y3)):
        cells += [Rectangle(x0, low, x1, high) for x0, x1 in split_length(draws, width, 2 if draws.chance(0.4) else 3)]
    return cells


def split_length(draws, length, count):
    """A length cut into `count` spans of unequal size, none narrower than NARROWEST_ROOM."""
    spare = length - count * NARROWEST_ROOM
    weights = [draws.between(0.05, 1.0) for _ in range(count)]
    ends, end = [0.0], 0.0
    for weight in weights[:-1]:
        end = round(end + NARROWEST_ROOM + spare * weight / sum(weights), 1)
        ends.append(end)
    ends.append(length)
    return list(zip(ends[:-1], ends[1:], strict=True))


def split_cells(draws):
    """Four to six cells: a rectangle whose largest cell is split across its longer side until there are enough."""
    cells = [Rectangle(0.0, 0.0, draws.between(7.5, 10.5, digits=1), draws.between(6.5, 8.5, digits=1))]
    count = draws.count(4, 6)
    while len(cells) < count:
        cell = max(cells, key=lambda candidate: candidate.area)
        cells.remove(cell)
        share = draws.between(0.36, 0.64)
        if cell.width >= cell.depth:
            cut = round(cell.x0 + share * cell.width, 1)
            cells += [Rectangle(cell.x0, cell.y0, cut, cell.y1), Rectangle(cut, cell.y0, cell.x1, cell.y1)]
        else:
            cut = round(cell.y0 + share * cell.depth, 1)
            cells += [Rectangle(cell.x0, cell.y0, cell.x1, cut), Rectangle(cell.x0, cut, cell.x1, cell.y1)]
    return cells


def name_rooms(draws, cells, with_corridor):
    """Names for the cells: the largest is the living room, the smallest the bathroom, a corridor is the first."""
    names = [""] * len(cells)
    by_size = sorted(range(1 if with_corridor else 0, len(cells)), key=lambda index: (cells[index].area, index))
    if with_corridor:
        names[0] = "corridor"
    names[by_size[0]], names[by_size[-1]] = "bathroom", "living room"
    others = ["kitchen", "bedroom", *draws.shuffled(["office", "bedroom"])]
    for index, name in zip(draws.shuffled(by_size[1:-1]), others, strict=False):  # a small house has fewer rooms
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
    hub = names.index("corridor") if "corridor" in names else names.index("living room")
    ordered = sorted(draws.shuffled(pairs), key=lambda pair: (hub not in pair, "bathroom" in [names[i] for i in pair]))
    group = list(range(len(cells)))
    doors = []
    for first, second in ordered:
        joins = group[first] != group[second]
        private = "bathroom" in (names[first], names[second])
        if joins or (not private and draws.chance(0.3)):
            doors.append((first, second))
            group = [group[first] if member == group[second] else member for member in group]
    return doors if len(set(group)) == 1 else None


def door_between(draws, cells, pair, material):
    """A door somewhere in the wall between two rooms."""
    axis, at, start, end, first_is_low = shared_wall(cells[pair[0]], cells[pair[1]])
    low = draws.between(start + DOOR_FROM_CORNER, end - DOOR_FROM_CORNER - DOOR_WIDTH, digits=2)
    rooms = pair if first_is_low else (pair[1], pair[0])
    return Opening("door", axis, at, low, round(low + DOOR_WIDTH, 3), 0.0, DOOR_HEIGHT, rooms, material)


def draw_windows(draws, cells, names, materials):
    """Windows in the outer walls: wide ones in rooms one lives in, a small one in the bathroom."""
    pane = materials.add(
        "outdoors", (0.75, 0.87, 0.98), (0.40, 0.55, 0.35), (0.60, 0.62, 0.50), scale=0.0, emission=1.0
    )
    x1, y1 = max(cell.x1 for cell in cells), max(cell.y1 for cell in cells)
    windows = []
    for index, (name, cell) in enumerate(zip(names, cells, strict=True)):
        outer = [
            side
            for side, on_edge in zip(SIDES, (cell.x0 == 0.0, cell.x1 == x1, cell.y0 == 0.0, cell.y1 == y1), strict=True)
            if on_edge
        ]
        for number, side in enumerate(draws.shuffled(outer)):
            if number == 0 or draws.chance(0.5):
                windows.append(window_in(draws, index, name, cell, side, pane))
    return windows


def window_in(draws, room, name, cell, side, pane):
    """A window somewhere in one side of a room."""
    along_y = side in ("west", "east")
    start, end = (cell.y0, cell.y1) if along_y else (cell.x0, cell.x1)
    at = {"west": cell.x0, "east": cell.x1, "south": cell.y0, "north": cell.y1}[side]
    longest = end - start - 0.8
    width = min(longest, draws.between(0.6, 0.9) if name == "bathroom" else draws.between(0.9, 2.2))
    low = draws.between(start + 0.4, end - 0.4 - width)
    bottom = 1.3 if name == "bathroom" else draws.choice((0.4, 0.8) if name == "living room" else (0.8, 0.9, 1.0))
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


# Surfaces and light


class HouseSurfaces:
    """Walls, floors and ceilings of one house: one wood for its dry floors, a tint of its own for each room."""

    def __init__(self, draws, materials, wood):
        self.draws, self.materials = draws, materials
        self.tints = draws.shuffled(WALL_TINTS)
        floor_wood = tint(draws, draws.choice(WOODS)) if draws.chance(0.6) else wood
        pattern = draws.choice(("planks", "planks", "parquet", "herringbone"))
        self.wood_floor = materials.add(pattern, floor_wood, shaded(floor_wood, 0.68), scale=draws.choice((1.0, 1.4)))
        self.skirting = materials.add("plain", WHITE if draws.chance(0.6) else shaded(wood, 0.9))
        self.ceiling = materials.add("plain", (0.95, 0.95, 0.93))

    def draw(self, name):
        """The surfaces of a room, as keyword arguments of `Room`."""
        paint = tint(self.draws, self.tints.pop())
        if name == "bathroom":
            wall = self.tiled_wall()
        elif self.draws.chance(0.2):
            pattern = self.draws.choice(("stripes", "dots", "fine stripes"))
            wall = self.materials.add(
                pattern, paint, mixed(shaded(paint, 0.9), WHITE, 0.2), scale=self.draws.choice((0.8, 1.2))
            )
        else:
            wall = self.materials.add("plaster", paint, scale=2.0)
        walls = [wall] * 4
        if name not in ("bathroom", "corridor") and self.draws.chance(0.4):
            walls[self.draws.count(0, 3)] = self.accent_wall(paint)
        return {
            "wall_materials": tuple(walls),
            "floor_material": self.floor(name),
            "ceiling_material": self.ceiling,
            "skirting_material": self.skirting,
        }

    def tiled_wall(self):
        """Bathroom tiles, square or like bricks."""
        colour = tint(self.draws, self.draws.choice(TILE_TINTS))
        pattern, scale = self.draws.choice((("tiles", 0.8), ("tiles", 1.2), ("bricks", 1.0), ("checker", 0.8)))
        return self.materials.add(pattern, colour, mixed(colour, METAL, 0.6), scale=scale)

    def accent_wall(self, paint):
        """One wall in a deeper tint, in brick or in wood."""
        kind = self.draws.choice(("paint", "paint", "bricks", "planks"))
        if kind == "paint":
            return self.materials.add("plaster", shaded(paint, 0.68), scale=2.0)
        colour = tint(self.draws, (0.03, 0.45, 0.68) if kind == "bricks" else self.draws.choice(WOODS))
        return self.materials.add(kind, colour, mixed(colour, WHITE, 0.5) if kind == "bricks" else shaded(colour, 0.75))

    def floor(self, name):
        """Tiles where it gets wet, the house's wood or a carpet elsewhere."""
        wet = name == "bathroom" or (name == "kitchen" and self.draws.chance(0.7))
        if wet:
            colour = tint(self.draws, self.draws.choice(TILE_TINTS))
            pattern = self.draws.choice(("tiles", "tiles", "checker", "terrazzo"))
            second = shaded(colour, 0.55) if pattern == "checker" else mixed(colour, DARK_GROUT, 0.4)
            return self.materials.add(pattern, colour, second, scale=self.draws.choice((1.2, 1.6, 2.0)))
        if name == "bedroom" and self.draws.chance(0.4):
            colour = tint(self.draws, (0.09, self.draws.between(0.05, 0.35), self.draws.between(0.45, 0.8)))
            return self.materials.add("weave", colour, shaded(colour, 0.85), scale=0.8)
        return self.wood_floor


DARK_GROUT = (0.25, 0.25, 0.26)


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
