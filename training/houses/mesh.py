"""The triangles of a house: what `house` describes as rooms and parts, as arrays for the graphics card.

Triangles come in chunks (a piece, a wall, a floor with its ceiling), so that a camera draws only those that it can see.
Faces look inwards on walls, outwards on furniture, and are wound counter-clockwise seen from their front.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from training.houses.classes import CLASS_IDS
from training.houses.house import OPPOSITE, SIDES
from training.houses.lighting import MAP_WIDTH, HouseLight, packed, patch_sizes
from training.houses.patterns import PATTERNS
from training.houses.plan import HALF_WALL

# uv: where on the pattern's tile. light: a texel of the light map, light_within: the first and last texel
# (x, y, x, y) of what the face shows of it. The three colours are encoded sRGB.
VERTEX = np.dtype(
    [
        ("position", "<f4", 3),
        ("uv", "<f4", 2),
        ("light", "<u2", 2),
        ("light_within", "<u2", 4),
        ("first_and_pattern", "u1", 4),
        ("second_and_class", "u1", 4),
        ("third", "u1", 4),
    ]
)
CYLINDER_SIDES, BALL_SIDES, BALL_RINGS = 12, 10, 6
FRONT_ONLY = ("fronts", "drawers")  # patterns that only the face to the room shows; the others are plain
PLAIN_SPOT = (0.25, 0.25)  # where those patterns are plain
SKIRTING_HEIGHT, SKIRTING_DEPTH = 0.08, 0.012
FRAME_WIDTH, FRAME_DEPTH = 0.07, 0.018

# The corners of a box's six faces, as indices into (low, high) for each axis, and the axes that u and v run along.
FACES = {
    "west": (((0, 1, 0), (0, 0, 0), (0, 0, 1), (0, 1, 1)), 1, 2, (-1, 0, 0)),
    "east": (((1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1)), 1, 2, (1, 0, 0)),
    "south": (((0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)), 0, 2, (0, -1, 0)),
    "north": (((1, 1, 0), (0, 1, 0), (0, 1, 1), (1, 1, 1)), 0, 2, (0, 1, 0)),
    "down": (((0, 1, 0), (1, 1, 0), (1, 0, 0), (0, 0, 0)), 0, 1, (0, 0, -1)),
    "up": (((0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)), 0, 1, (0, 0, 1)),
}
STANDING_FACES = tuple(side for side in FACES if side != "down")
ALONG = {side: SIDES[2:] if side in SIDES[:2] else SIDES[:2] for side in SIDES}  # the sides at the ends of a side
FACE_ROW = {side: row for row, side in enumerate(FACES)}
FACE_CORNERS = np.array([corners for corners, _, _, _ in FACES.values()])
FACE_AXES = np.array([(u_axis, v_axis) for _, u_axis, v_axis, _ in FACES.values()])
FACE_NORMALS = np.array([normal for _, _, _, normal in FACES.values()])
QUAD = np.array([0, 1, 2, 0, 2, 3])
QUAD_UV = np.array([(0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
QUAD_TEXELS = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])  # the corners of a face's patch of light


@dataclass(frozen=True)
class Solid:
    """A curved solid within -1..1: corners (n, 3), uv (n, 2), triangles (3 m).

    Its patch of light has lit_points and lit_normals (rows, columns, 3). Corners have texels (n, 2) of it; the faces
    that they belong to lie between its rows (n, 2), the first and the last.
    """

    corners: np.ndarray
    uv: np.ndarray
    indices: np.ndarray
    lit_points: np.ndarray
    lit_normals: np.ndarray
    texels: np.ndarray
    rows: np.ndarray


def unit_cylinder():
    """An upright cylinder: its side, lid and underside."""
    n = CYLINDER_SIDES
    angle = np.arange(n + 1) * 2 * np.pi / n
    around = np.stack([np.cos(angle), np.sin(angle), np.zeros(n + 1)], axis=1)
    up = np.array([0.0, 0.0, 1.0])
    corners = np.concatenate([around - up, around + up, around[:-1] + up, around[:-1] - up])
    wrapped = np.stack([angle / 2, np.zeros(n + 1)], axis=1)
    flat = around[:-1, :2] / 2
    uv = np.concatenate([wrapped, wrapped - (0.0, 1.0), flat, flat])
    low = np.arange(n)
    sides = np.stack([low, low + 1, low + n + 2, low, low + n + 2, low + n + 1], axis=1)
    fan = np.stack([np.zeros(n - 2, int), low[1:-1], low[2:]], axis=1)
    triangles = [sides.reshape(-1), fan.reshape(-1) + 2 * n + 2, fan[:, ::-1].reshape(-1) + 3 * n + 2]
    lid, ring = np.tile(up, (n + 1, 1)), np.arange(n + 1)
    row = np.repeat([0, 1, 2, 3], [n + 1, n + 1, n, n])
    return Solid(
        corners=corners,
        uv=uv,
        indices=np.concatenate(triangles),
        lit_points=np.stack([around - up, around + up, lid, -lid]),
        lit_normals=np.stack([around, around, lid, -lid]),
        texels=np.stack([np.concatenate([ring, ring, ring[:-1], ring[:-1]]), row], axis=1),
        rows=np.array([(0, 1), (0, 1), (2, 2), (3, 3)])[row],
    )


def unit_ball():
    """A sphere."""
    longitude = np.arange(BALL_SIDES + 1) * 2 * np.pi / BALL_SIDES
    latitude = (np.arange(BALL_RINGS + 1) / BALL_RINGS - 0.5) * np.pi
    lat, lon = (grid.reshape(-1) for grid in np.meshgrid(latitude, longitude, indexing="ij"))
    corners = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
    row = BALL_SIDES + 1
    start = (np.arange(BALL_RINGS)[:, None] * row + np.arange(BALL_SIDES)[None, :]).reshape(-1)
    triangles = np.stack([start, start + 1, start + row + 1, start, start + row + 1, start + row], axis=1)
    grid = corners.reshape(BALL_RINGS + 1, row, 3)
    return Solid(
        corners=corners,
        uv=np.stack([lon / 2, -lat / 2], axis=1),
        indices=triangles.reshape(-1),
        lit_points=grid,
        lit_normals=grid,
        texels=np.stack([np.arange(len(corners)) % row, np.arange(len(corners)) // row], axis=1),
        rows=np.tile((0, BALL_RINGS), (len(corners), 1)),
    )


CYLINDER, BALL = unit_cylinder(), unit_ball()


@dataclass(frozen=True)
class Mesh:
    """Triangles of a house.

    vertices: VERTEX array. indices: uint32, three for each triangle, chunk by chunk. A chunk is what is drawn or left
    out together: floor and ceiling of a room, a wall, a door, a window or a piece.
    chunk_ranges: int (chunks, 2), each one's first index and number of indices.
    chunk_rooms: int (chunks), the index of the room that each is seen with.
    chunk_areas: float (chunks, 4), the rectangle of the floor plan that holds each: x0, y0, x1, y1 in metres.
    light_map: uint8 (rows, MAP_WIDTH, 3), the light on every face, see `lighting`.
    """

    vertices: np.ndarray
    indices: np.ndarray
    chunk_ranges: np.ndarray
    chunk_rooms: np.ndarray
    chunk_areas: np.ndarray
    light_map: np.ndarray


class Lit(NamedTuple):
    """Points whose light is kept, (n, 3), with their normals, rooms (n,), the light that they send out and texels."""

    points: np.ndarray
    normals: np.ndarray
    rooms: np.ndarray
    emission: np.ndarray
    texels: np.ndarray  # (n,) numbers of texels of the light map, row by row


class MeshBuilder:
    """Collects the triangles of one house, chunk by chunk."""

    def __init__(self, house):
        self.house = house
        self.faces, self.face_chunks = [], []
        self.solids, self.solid_chunks = [], []  # (solid, its corners, its part)
        self.chunk_rooms = []
        self.scales = np.array([material.scale for material in house.materials])
        self.grained = np.array([material.pattern == "grain" for material in house.materials])
        self.emission = np.array([material.emission for material in house.materials], np.float32)
        self.colours = np.array([material.colours for material in house.materials]) * 255 + 0.5
        self.patterns = np.array([PATTERNS.index(material.pattern) for material in house.materials])
        self.front_only = [material.pattern in FRONT_ONLY for material in house.materials]

    def face(self, side, low, high, material, class_id, plain=False):
        """One face of the box from low to high, its pattern aligned with the house."""
        self.faces.append((FACE_ROW[side], *low, *high, material, class_id, plain))
        self.face_chunks.append(len(self.chunk_rooms) - 1)

    def box(self, low, high, material, class_id, facing=None, hidden=()):
        """A box without its hidden sides and the underside that nobody sees."""
        front_only = self.front_only[material]
        for side in FACES if low[2] > 0.3 else STANDING_FACES:
            if side not in hidden:
                self.face(side, low, high, material, class_id, front_only and side != facing)

    def begin_chunk(self, room):
        """What is added from now on is one chunk of this room."""
        self.chunk_rooms.append(room)

    def finished(self):
        """The mesh of everything added."""
        rows = np.array(self.faces)
        quads, quad_sizes = self.quads(rows)
        solids = [self.solid_vertices(*solid) for solid in self.solids]
        solid_sizes = [solid.lit_points.shape[1::-1] for solid, _, _ in self.solids]
        corners, height = packed(np.concatenate([quad_sizes, np.array(solid_sizes, int).reshape(-1, 2)]))
        first, last = corners[: len(quads)], corners[: len(quads)] + quad_sizes - 1
        quads["light"] = np.where(QUAD_TEXELS, last[:, None], first[:, None])
        quads["light_within"] = np.concatenate([first, last], axis=1)[:, None]
        for vertices, corner in zip(solids, corners[len(quads) :], strict=True):
            vertices["light"] += corner.astype("<u2")
            vertices["light_within"] += np.tile(corner, 2).astype("<u2")
        rooms = np.array(self.chunk_rooms)
        indices, ranges = self.indices_by_chunk(solids)
        vertices = np.concatenate([quads.reshape(-1), *solids])
        floor_corners = vertices["position"][indices, :2]
        low, high = (extreme.reduceat(floor_corners, ranges[:, 0]) for extreme in (np.minimum, np.maximum))
        return Mesh(
            vertices=vertices,
            indices=indices.astype("<u4"),
            chunk_ranges=ranges,
            chunk_rooms=rooms,
            chunk_areas=np.concatenate([low, high], axis=1).astype(float),
            light_map=self.light_map(rows, quads, quad_sizes, corners, height),
        )

    def indices_by_chunk(self, solids):
        """The indices of all triangles in the order of their chunks, and each chunk's first and number (chunks, 2)."""
        starts = 4 * len(self.faces) + np.cumsum([0] + [len(vertices) for vertices in solids])
        quad_indices = (np.arange(len(self.faces))[:, None] * 4 + QUAD).reshape(-1)
        solid_indices = [solid.indices + start for (solid, _, _), start in zip(self.solids, starts, strict=False)]
        sizes = [len(indices) for indices in solid_indices]
        chunks = np.concatenate([np.repeat(self.face_chunks, 6), np.repeat(np.array(self.solid_chunks, int), sizes)])
        counts = np.bincount(chunks, minlength=len(self.chunk_rooms))
        order = np.argsort(chunks, kind="stable")
        return np.concatenate([quad_indices, *solid_indices])[order], np.stack([np.cumsum(counts) - counts, counts], 1)

    def quads(self, rows):
        """VERTEX array (faces, 4), without light, for rows of side, low (3), high (3), material, class, plain.

        Also the sizes of their patches of light, (faces, 2) texels.
        """
        side, material = rows[:, 0].astype(int), rows[:, 7].astype(int)
        ends = rows[:, 1:7].reshape(-1, 1, 2, 3)
        vertices = np.zeros((len(rows), 4), VERTEX)
        corners = FACE_CORNERS[side]
        positions = np.where(corners == 1, ends[:, :, 1], ends[:, :, 0])
        vertices["position"] = positions
        vertices["uv"] = self.uv(positions, side, material, rows[:, 9] != 0)
        self.paint(vertices, material[:, None], rows[:, 8, None])
        along, up = positions[:, 1] - positions[:, 0], positions[:, 3] - positions[:, 0]
        return vertices, patch_sizes(np.stack([np.abs(along).max(axis=1), np.abs(up).max(axis=1)], axis=1))

    def paint(self, vertices, material, class_id):
        """Write colours, pattern and class into vertices."""
        vertices["first_and_pattern"][..., :3] = self.colours[material, 0]
        vertices["first_and_pattern"][..., 3] = self.patterns[material]
        vertices["second_and_class"][..., :3] = self.colours[material, 1]
        vertices["second_and_class"][..., 3] = class_id
        vertices["third"][..., :3] = self.colours[material, 2]

    def light_map(self, rows, quads, quad_sizes, corners, height):
        """The light map: patches of these sizes (f, 2) at these corners for quads, and those of the solids."""
        lit = [self.lit_faces(rows, quads, quad_sizes, corners[: len(quads)])]
        for (solid, _, part), chunk, corner in zip(self.solids, self.solid_chunks, corners[len(quads) :], strict=True):
            lit.append(self.lit_solid(solid, part, self.chunk_rooms[chunk], corner))
        *where, texels = (np.concatenate(arrays) for arrays in zip(*lit, strict=True))
        picture = np.zeros((height * MAP_WIDTH, 3), np.uint8)
        picture[texels] = HouseLight(self.house).texels(*where)
        return picture.reshape(height, MAP_WIDTH, 3)

    def lit_faces(self, rows, quads, sizes, corners):
        """What is lit of faces with patches of these sizes at these corners, each (f, 2)."""
        face, texels = patch_texels(sizes)
        along = (texels + 0.5 * (sizes == 1)[face]) / np.maximum(sizes - 1, 1)[face]
        origin, right, _, top = np.moveaxis(quads["position"], 1, 0)
        side, material = rows[:, 0].astype(int), rows[:, 7].astype(int)
        sides = np.concatenate([origin, right - origin, top - origin, FACE_NORMALS[side]], axis=1, dtype=np.float32)
        sides, along = sides[face], along.astype(np.float32)
        return Lit(
            sides[:, :3] + along[:, :1] * sides[:, 3:6] + along[:, 1:] * sides[:, 6:9],
            sides[:, 9:],
            np.array(self.chunk_rooms)[self.face_chunks][face],
            self.emission[material][face],
            (corners @ (1, MAP_WIDTH))[face] + texels @ (1, MAP_WIDTH),
        )

    def lit_solid(self, solid, part, room, corner):
        """What is lit of a curved part, in the patch at this corner."""
        low, high, lit = np.array(part.low), np.array(part.high), solid.lit_points.reshape(-1, 3)
        row, column = np.indices(solid.lit_points.shape[:2]).reshape(2, -1)
        return Lit(
            ((low + high) / 2 + lit * (high - low) / 2).astype(np.float32),
            solid.lit_normals.reshape(-1, 3).astype(np.float32),
            np.full(len(lit), room),
            np.full(len(lit), self.emission[part.material]),
            corner[0] + column + (corner[1] + row) * MAP_WIDTH,
        )

    def uv(self, positions, side, material, plain):
        """Where on the pattern's tile the corners (faces, 4, 3) lie: (faces, 4, 2)."""
        face = np.arange(len(side))
        u, v = positions[face, :, FACE_AXES[side, 0]], -positions[face, :, FACE_AXES[side, 1]]
        scale = self.scales[material]
        lengthways = self.grained[material] & (np.ptp(u, axis=1) > np.ptp(v, axis=1))
        uv = np.where(lengthways[:, None, None], np.stack([v, u], axis=2), np.stack([u, v], axis=2))
        uv = np.where(scale[:, None, None] > 0, uv / np.maximum(scale, 0.01)[:, None, None], QUAD_UV)
        return np.where(plain[:, None, None], PLAIN_SPOT, uv)

    def solid(self, solid, corners, part):
        """Add a curved part: a unit solid with these corners (n, 3), put into the part's box."""
        self.solids.append((solid, corners, part))
        self.solid_chunks.append(len(self.chunk_rooms) - 1)

    def solid_vertices(self, solid, corners, part):
        """VERTEX array of a curved part; its light are texels of its own patch."""
        low, high = np.array(part.low), np.array(part.high)
        vertices = np.zeros(len(corners), VERTEX)
        vertices["position"] = (low + high) / 2 + corners * (high - low) / 2
        vertices["uv"] = solid.uv * (high - low)[[0, 2]] / (self.scales[part.material] or 1.0)
        vertices["light"] = solid.texels
        vertices["light_within"][:, 1::2] = solid.rows
        vertices["light_within"][:, 2] = solid.texels[:, 0].max()
        self.paint(vertices, part.material, part.class_id)
        return vertices

    def cylinder(self, part):
        """An upright cylinder or cone with its lid and underside."""
        corners = CYLINDER.corners.copy()
        widest = max(1.0, part.taper)
        corners[:, :2] *= np.where(corners[:, 2:] > 0, part.taper, 1.0) / widest
        self.solid(CYLINDER, corners, part)

    def ball(self, part):
        """An ellipsoid."""
        self.solid(BALL, BALL.corners, part)

    def piece(self, piece):
        """All parts of a piece."""
        for part in piece.parts:
            if part.shape == "box":
                self.box(part.low, part.high, part.material, part.class_id, piece.facing)
            elif part.shape == "cylinder":
                self.cylinder(part)
            else:
                self.ball(part)

    # Rooms

    def shell(self, index, room):
        """Floor and ceiling, the four walls, their doors and windows, each a chunk."""
        r, top = room.inner, room.ceiling
        self.begin_chunk(index)
        self.face("up", (r.x0, r.y0, 0.0), (r.x1, r.y1, 0.0), room.floor_material, CLASS_IDS["floor"])
        self.face("down", (r.x0, r.y0, top), (r.x1, r.y1, top), room.ceiling_material, CLASS_IDS["ceiling"])
        for side, material in zip(SIDES, room.wall_materials, strict=True):
            openings = [o for o in self.house.openings if index in o.rooms and o.side_of(index) == side]
            self.begin_chunk(index)
            self.wall(room, side, material, sorted(openings, key=lambda opening: opening.start))
            for opening in openings:
                self.begin_chunk(index)
                (self.door if opening.kind == "door" else self.window)(room, side, opening)

    def wall(self, room, side, material, openings):
        """One wall of a room, around its openings, with a skirting board."""
        r, top = room.inner, room.ceiling
        position = r.y0 if side in ("west", "east") else r.x0
        end = r.y1 if side in ("west", "east") else r.x1
        for opening in openings:
            self.wall_strip(room, side, material, position, opening.start, 0.0, top)
            if opening.bottom > 0.0:
                self.wall_strip(room, side, material, opening.start, opening.end, 0.0, opening.bottom)
            self.wall_strip(room, side, material, opening.start, opening.end, opening.top, top)
            position = opening.end
        self.wall_strip(room, side, material, position, end, 0.0, top)

    def wall_strip(self, room, side, material, start, end, bottom, top):
        """A rectangle of wall, seen from inside the room."""
        low, high = on_side(room.inner, side, start, end, 0.0, 0.0)
        self.face(OPPOSITE[side], (*low, bottom), (*high, top), material, CLASS_IDS["wall"])
        if bottom == 0.0:
            low, high = on_side(room.inner, side, start, end, 0.0, SKIRTING_DEPTH)
            low, high = (*low, 0.0), (*high, SKIRTING_HEIGHT)
            for face in (OPPOSITE[side], "up"):
                self.face(face, low, high, room.skirting_material, CLASS_IDS["wall"])

    def door(self, room, side, opening):
        """The frame of a door and the half of its passage that belongs to this room."""
        door, inner = CLASS_IDS["door"], room.inner
        start, end, top = opening.start, opening.end, opening.top
        for low_end, high_end, bottom, height in (
            (start - FRAME_WIDTH, start, 0.0, top + FRAME_WIDTH),
            (end, end + FRAME_WIDTH, 0.0, top + FRAME_WIDTH),
            (start, end, top, top + FRAME_WIDTH),
        ):
            low, high = on_side(inner, side, low_end, high_end, 0.0, FRAME_DEPTH)
            self.box((*low, bottom), (*high, height), opening.material, door, hidden=(side, "up"))
        self.passage(inner, side, opening, -HALF_WALL, opening.material, door)
        low, high = on_side(inner, side, start, end, -HALF_WALL, 0.0)
        self.face("up", (*low, 0.0), (*high, 0.0), room.floor_material, CLASS_IDS["floor"])

    def passage(self, inner, side, opening, depth, material, class_id):
        """The two sides and the lintel of a hole in a wall, to `depth` (negative: into the wall)."""
        low, high = on_side(inner, side, opening.start, opening.end, depth, 0.0)
        low, high = (*low, opening.bottom), (*high, opening.top)
        for face, at in zip(ALONG[side], (high, low), strict=True):  # of the box in the hole, turned inside out
            axis = 1 if side in ("west", "east") else 0
            pinned_low = tuple(at[axis] if i == axis else low[i] for i in range(3))
            pinned_high = tuple(at[axis] if i == axis else high[i] for i in range(3))
            self.face(face, pinned_low, pinned_high, material, class_id)
        self.face("down", (*low[:2], opening.top), (*high[:2], opening.top), material, class_id)

    def window(self, room, side, opening):
        """A window: its pane behind the wall's face, the reveal, sill and bars."""
        window, inner, white = CLASS_IDS["window"], room.inner, room.skirting_material
        depth = -2 * HALF_WALL
        low, high = on_side(inner, side, opening.start, opening.end, depth, depth)
        self.face(OPPOSITE[side], (*low, opening.bottom), (*high, opening.top), opening.material, window)
        self.passage(inner, side, opening, depth, white, window)
        low, high = on_side(inner, side, opening.start, opening.end, depth, 0.05)
        self.box((*low, opening.bottom - 0.03), (*high, opening.bottom), white, window, hidden=(side,))
        middle, bar = (opening.start + opening.end) / 2, 0.025
        bars = [(opening.start, opening.start + 2 * bar), (opening.end - 2 * bar, opening.end)]
        if opening.end - opening.start > 1.0:
            bars.append((middle - bar, middle + bar))
        for start, end in bars:
            low, high = on_side(inner, side, start, end, depth, depth + 0.04)
            self.box((*low, opening.bottom), (*high, opening.top), white, window, hidden=(side, "up", "down"))
        for bottom in (opening.bottom, opening.top - 2 * bar):
            low, high = on_side(inner, side, opening.start, opening.end, depth, depth + 0.04)
            self.box((*low, bottom), (*high, bottom + 2 * bar), white, window, hidden=(side, *ALONG[side]))


def on_side(inner, side, start, end, near, far):
    """((x0, y0), (x1, y1)) of what lies from start to end along a side, `near` to `far` metres off the wall."""
    if side == "west":
        return (inner.x0 + near, start), (inner.x0 + far, end)
    if side == "east":
        return (inner.x1 - far, start), (inner.x1 - near, end)
    if side == "south":
        return (start, inner.y0 + near), (end, inner.y0 + far)
    return (start, inner.y1 - far), (end, inner.y1 - near)


def build_mesh(house):
    """The mesh of a house."""
    builder = MeshBuilder(house)
    for index, room in enumerate(house.rooms):
        builder.shell(index, room)
    for piece in house.pieces:
        builder.begin_chunk(piece.room)
        builder.piece(piece)
    return builder.finished()


def patch_texels(sizes):
    """The texels of patches of these sizes (n, 2): which patch each is in (t,), and where in it (t, 2)."""
    counts = sizes.prod(axis=1)
    patch = np.repeat(np.arange(len(sizes)), counts)
    number = np.arange(len(patch)) - np.repeat(np.cumsum(counts) - counts, counts)
    width = sizes[patch, 0]
    return patch, np.stack([number % width, number // width], axis=1)
