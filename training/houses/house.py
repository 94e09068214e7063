"""What a house is: rooms, openings, walls and furniture as plain, frozen data.

Metres; x and y on the floor, z up from the floor. All walls stand along x or y, so that every solid is an axis-aligned
box, a cylinder or an ellipsoid in an axis-aligned box. How a house comes about is `plan`'s business, how it looks
`mesh`'s and `pictures`'.
"""

from dataclasses import dataclass

Vector = tuple[float, float, float]

SIDES = ("west", "east", "south", "north")  # of a room: at low x, high x, low y, high y
OPPOSITE = {"west": "east", "east": "west", "south": "north", "north": "south"}


@dataclass(frozen=True)
class Rectangle:
    """An axis-aligned rectangle on the floor, metres."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self):
        """Length along x."""
        return self.x1 - self.x0

    @property
    def depth(self):
        """Length along y."""
        return self.y1 - self.y0

    @property
    def area(self):
        """Square metres."""
        return self.width * self.depth

    @property
    def centre(self):
        """(x, y) of the middle."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    def grown(self, margin):
        """The rectangle with every side moved outwards by `margin` (inwards if negative)."""
        return Rectangle(
            round(self.x0 - margin, 3),
            round(self.y0 - margin, 3),
            round(self.x1 + margin, 3),
            round(self.y1 + margin, 3),
        )

    def overlaps(self, other):
        """Whether the two share more than an edge."""
        return self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1

    def contains(self, other):
        """Whether the other lies within this one, edges included."""
        return self.x0 <= other.x0 and self.y0 <= other.y0 and other.x1 <= self.x1 and other.y1 <= self.y1


@dataclass(frozen=True)
class Material:
    """A surface: a pattern of `materials.PATTERNS` in up to three colours.

    colours: three sRGB triples in [0, 1]. scale: metres that one repeat of the pattern covers; 0 stretches it once over
    each face. emission: light that it sends out itself, as a share of its colour.
    """

    pattern: str
    colours: tuple[Vector, Vector, Vector]
    scale: float = 1.0
    emission: float = 0.0


@dataclass(frozen=True)
class Part:
    """A solid within the box from `low` to `high`: `box`, `ball` or upright `cylinder` (its top `taper` times as wide).

    material is an index into `House.materials`.
    """

    shape: str
    low: Vector
    high: Vector
    material: int
    class_id: int
    taper: float = 1.0


@dataclass(frozen=True)
class Piece:
    """A piece of furniture: its parts, and the rectangle on the floor that holds all of them.

    facing is the side of the room that its front looks to.
    """

    name: str
    room: int
    facing: str
    footprint: Rectangle
    bottom: float
    top: float
    parts: tuple[Part, ...]

    def stands_between(self, low, high):
        """Whether anything of it is between two heights above the floor, metres."""
        return self.bottom < high and self.top > low


@dataclass(frozen=True)
class Opening:
    """A door or window: a hole in the walls along the line x = at (axis "x") or y = at (axis "y"), from start to end.

    rooms are the rooms on the low and high side of that line; None is outdoors. material is that of its frame.
    """

    kind: str
    axis: str
    at: float
    start: float
    end: float
    bottom: float
    top: float
    rooms: tuple[int | None, int | None]
    material: int

    @property
    def centre(self):
        """(x, y) of its middle on the floor."""
        middle = (self.start + self.end) / 2
        return (self.at, middle) if self.axis == "x" else (middle, self.at)

    def side_of(self, room):
        """The side of the given room that it is in."""
        if self.axis == "x":
            return "east" if self.rooms[0] == room else "west"
        return "north" if self.rooms[0] == room else "south"


@dataclass(frozen=True)
class Light:
    """A lamp below the ceiling: its position and its colour, linear RGB times intensity."""

    position: Vector
    colour: Vector


@dataclass(frozen=True)
class Room:
    """A rectangular room. cell reaches to the middle of its walls, inner is the floor between them.

    wall_materials are for `SIDES`, in that order.
    """

    name: str
    cell: Rectangle
    inner: Rectangle
    ceiling: float
    wall_materials: tuple[int, int, int, int]
    floor_material: int
    ceiling_material: int
    skirting_material: int
    light: Light
    daylight: float


@dataclass(frozen=True)
class House:
    """A furnished house. walls are the solid rectangles on the floor, with the doors left open."""

    seed: int
    bounds: Rectangle
    rooms: tuple[Room, ...]
    openings: tuple[Opening, ...]
    walls: tuple[Rectangle, ...]
    pieces: tuple[Piece, ...]
    materials: tuple[Material, ...]

    @property
    def doors(self):
        """The openings that one can walk through."""
        return tuple(opening for opening in self.openings if opening.kind == "door")

    def room_at(self, x, y):
        """Index of the room whose cell holds the point, None outdoors."""
        for index, room in enumerate(self.rooms):
            if room.cell.x0 <= x <= room.cell.x1 and room.cell.y0 <= y <= room.cell.y1:
                return index
        return None
