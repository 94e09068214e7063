"""Scenes from files of others: triangles with colours, textures and classes, and the walkable space among them.

Reads what trimesh reads of FORMATS. Files come from outside: they refer to nothing but files beside or below them, and
sizes are bounded. Where a robot can go is found by `scene_space`; drawing is `pictures`' business.
"""

import io
import json
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from placenet_ros.counted import counted
from training.configuration import UserError
from training.houses.class_words import class_of
from training.houses.classes import CLASS_IDS
from training.houses.scene_space import Area, TriangleSpace

FORMATS = {"glb": True, "gltf": True, "obj": False, "off": False, "ply": False, "stl": False}  # metres, y up?
UP_AXES = ("auto", "x", "y", "z")
LARGEST_FILE = 4 * 2**30  # bytes
LARGEST_ASSET = 2**29  # bytes, of a file that a scene refers to
MOST_TRIANGLES = 20_000_000
MOST_NODES = 200_000
MOST_REMARKS = 50
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tga", ".tif", ".tiff", ".webp")
TEXTURE_SIDE = 1024  # pixels: larger textures are made smaller
TEXTURE_BUDGET = 64 * TEXTURE_SIDE**2  # pixels of all textures together, beyond which all are made smaller
LARGEST_IMAGE = 2 * Image.MAX_IMAGE_PIXELS  # pixels: what Pillow opens
MOST_TEXTURES = 1024
USUAL_EXTENTS = (1.0, 100.0)  # metres along the longest side of a scene that one walks in
CREASE = np.cos(np.radians(40.0))  # a face turned farther than this from its vertex's normal has an edge there
LEAST_ADVANTAGE = 1.2  # of an axis' level faces over another's, to be taken for up without a doubt
WHITE = np.array([255, 255, 255], np.uint8)


@dataclass(frozen=True)
class Scene:
    """Triangles to look at and to walk among, in metres, z up. Is `free_space.Walkable`.

    vertices, vertex_normals: (v, 3) float32. triangles: (t, 3) int32, counter-clockwise seen from their front.
    colours: (v, 3) uint8 sRGB, to be multiplied with the texture where there is one. uv: (v, 2) float32, (0, 0) the
    upper left corner of the texture and (1, 1) its lower right one; textures repeat. texture: (t,) int16, index into
    textures, -1 for none. textures: (h, w, 3) uint8 sRGB, rows downwards. class_ids: (t,) uint8, 0 unknown.
    remarks: what was assumed or found wrong, one line each.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    vertex_normals: np.ndarray
    colours: np.ndarray
    uv: np.ndarray
    texture: np.ndarray
    textures: tuple[np.ndarray, ...]
    class_ids: np.ndarray
    remarks: tuple[str, ...]
    space: TriangleSpace = field(repr=False)

    @property
    def rooms(self) -> tuple[Area, ...]:
        """The connected areas of free floor, "area 1" the largest."""
        return self.space.rooms

    @property
    def floor_height(self):
        """z of the floor, metres."""
        return self.space.floor_height

    def grid(self, top):
        """See `free_space.Walkable`."""
        return self.space.grid(top)

    def clearance(self, points, top):
        """See `free_space.Walkable`."""
        return self.space.clearance(points, top)


def read_scene(path, up="auto", scale=None):
    """The Scene in a file of one of FORMATS.

    up: the file's axis that points up, "x", "y" or "z". "auto" is y for glTF, and elsewhere the one of y and z along
    which more of the faces lie level (z, where that is in doubt). scale: metres that one unit of the file is; None: 1.
    The scene is turned so that z is up (with y up, (x, y, z) becomes (x, -z, y)) and not moved.

    Classes come from the names of nodes, meshes, materials and the groups around them (`class_words`).
    Raises UserError for files that cannot be read or hold no triangles, and where no floor is found to walk on.
    """
    path, remarks = Path(path), []
    if up not in UP_AXES:
        raise ValueError(f"up must be one of {', '.join(UP_AXES)}, found {up!r}")
    if scale is not None and not 0.0 < scale < np.inf:
        raise ValueError(f"scale must be above 0, found {scale}")
    parts = [part for part in parts_of(load(path, remarks), path, remarks) if len(part.triangles)]
    if not parts:
        raise UserError(f"{path}: no triangles in it: expected a scene of surfaces{told(remarks)}")
    shrink_textures(parts, remarks)
    vertices, triangles = joined([part.vertices for part in parts], [part.triangles for part in parts])
    metres = vertices * (1.0 if scale is None else scale)
    metres = turned(metres, triangles, up_axis(path, up, metres, triangles, remarks))
    extents = np.ptp(metres, axis=0)
    size = size_remark(path, extents, scale)
    remarks += [size] if size else []
    try:
        space = TriangleSpace(metres, triangles)
    except ValueError as error:
        size = size or f"is {shown(extents)} m large: set scale= (metres of one unit) if that is wrong"
        raise UserError(f"{path}: {error}; the scene {size}; set up= if another axis of the file points up") from error
    return finished(parts, metres, triangles, space, remarks)


def told(remarks):
    """The end of an error's line that tells the first remark."""
    return f" ({remarks[0]})" if remarks else ""


def shown(extents):
    """Sizes along x, y and z, as text."""
    return " x ".join(f"{extent:.3g}" if not 100 <= extent < 1e6 else f"{extent:.0f}" for extent in extents)


# Reading


class Beside(trimesh.resolvers.Resolver):
    """Gives trimesh the files that a scene refers to: those beside or below it and no others."""

    def __init__(self, path, remarks):
        self.folder, self.file_name, self.remarks = path.resolve().parent, path.name, remarks

    def get(self, name):
        """The content of a file. Raises OSError for what is elsewhere, missing or too large, and remarks on it."""
        name = str(name).strip()
        path = (self.folder / name.replace("\\", "/").replace("%20", " ")).resolve()
        reason = None
        if ":" in name or not path.is_relative_to(self.folder):
            reason = "is not beside the scene's file"
        elif not path.is_file():
            reason = "is missing"
        elif path.stat().st_size > LARGEST_ASSET:
            reason = f"is larger than {LARGEST_ASSET >> 20} MiB"
        if reason:
            self.remarks.append(f"refers to {name[:80]!r}, which {reason}; left out")
            raise FileNotFoundError(name)
        content = path.read_bytes()
        if path.suffix.lower() in IMAGE_SUFFIXES:
            self.check_image(name, content)
        return utf8(content) if path.suffix.lower() == ".mtl" else content

    def check_image(self, name, content):
        """Remark on what Pillow cannot open; trimesh goes on without it and says nothing."""
        try:
            Image.open(io.BytesIO(content)).close()
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            self.remarks.append(f"texture {name[:80]!r} cannot be read ({str(error)[:80]}); left out")

    def keys(self):
        """No names are offered: trimesh has to ask for what it wants."""
        return ()

    def namespaced(self, namespace):
        """The same: folders below are within reach anyway."""
        return self

    def write(self, name, data):
        """Refused: reading a scene writes nothing."""
        raise PermissionError(name)


def load(path, remarks):
    """The file as a trimesh.Scene. Raises UserError."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise UserError(f"{path}: expected a scene in one of {', '.join(FORMATS)}, found '{path.suffix}'")
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise UserError(f"{path}: expected a scene file, found what is no file")
        if size > LARGEST_FILE:
            raise UserError(f"{path}: {size / 2**30:.1f} GiB: a scene file has at most {LARGEST_FILE >> 30} GiB")
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    options = {"split_objects": True} if kind == "obj" else {}
    try:
        if kind == "gltf":
            json.loads(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of numpy and Pillow about damaged content; it is judged below
            file = io.BytesIO(utf8(content) if kind == "obj" else content)
            return trimesh.load_scene(file, kind, resolver=Beside(path, remarks), process=False, **options)
    except MemoryError as error:
        raise UserError(f"{path}: takes more memory than this machine has: simplify the scene first") from error
    except Exception as error:  # damaged files end in every kind of exception there is
        unreadable = "text that is not UTF-8" if isinstance(error, ImportError) else f"{type(error).__name__} {error}"
        what = " ".join(unreadable.split())[:120]
        raise UserError(f"{path}: damaged, or no {kind} file: {what}{told(remarks)}") from error


def utf8(text):
    """Text (bytes) as UTF-8, taken for Latin-1 where it is none."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1").encode()
    return text


@dataclass
class SurfacePart:
    """One mesh of the scene in the file's coordinates. picture: its texture as Pillow opened it, None for none."""

    vertices: np.ndarray
    triangles: np.ndarray
    colours: np.ndarray
    uv: np.ndarray
    class_id: int
    picture: Image.Image | np.ndarray | None


def parts_of(loaded, path, remarks):
    """The meshes of a trimesh.Scene, each where the scene puts it. Raises UserError beyond MOST_TRIANGLES."""
    nodes = list(loaded.graph.nodes_geometry)
    meshes = {name: mesh for name, mesh in loaded.geometry.items() if isinstance(mesh, trimesh.Trimesh)}
    count = sum(len(meshes[name].faces) for name in (loaded.graph[node][1] for node in nodes) if name in meshes)
    if count > MOST_TRIANGLES or len(nodes) > MOST_NODES:
        raise UserError(
            f"{path}: {count:,} triangles in {len(nodes):,} meshes: at most {MOST_TRIANGLES:,} in {MOST_NODES:,} can "
            "be used; simplify the scene first"
        )
    others = [name for name in loaded.geometry if name not in meshes]
    if others:
        remarks.append(f"{counted(len(others), 'part')} without triangles (points or lines); left out")
    is_linear, parents, parts = FORMATS[path.suffix.lower()[1:]], loaded.graph.transforms.parents, []
    broken = 0
    for node in nodes:
        transform, name = loaded.graph[node]
        if name in meshes:
            names = names_of(node, name, meshes[name], parents, loaded.graph.base_frame)
            try:
                part = part_of(meshes[name], transform, CLASS_IDS[class_of(*names) or "nothing"], is_linear)
            except (ValueError, IndexError, TypeError) as error:  # arrays of shapes that do not go together
                remarks.append(f"mesh {str(node)[:40]!r} is damaged ({str(error)[:80]}); left out")
                continue
            broken += len(meshes[name].faces) - len(part.triangles)
            parts.append(part)
    if broken:
        wrong = "with coordinates that are no finite numbers, or without corners"
        remarks.append(f"{counted(broken, 'triangle')} {wrong}; left out")
    return parts


def names_of(node, geometry, mesh, parents, base):
    """What a mesh is called, the nearest name first: node, mesh, material, then the groups around it."""
    names = [node, geometry, getattr(getattr(mesh.visual, "material", None), "name", None)]
    around = parents.get(node)
    while around not in (None, base, *names[3:]):
        names.append(around)
        around = parents.get(around)
    return names


def part_of(mesh, transform, class_id, is_linear):
    """A mesh put where its node says, without the triangles that have no finite corners."""
    vertices, triangles = np.asarray(mesh.vertices, float), np.asarray(mesh.faces, np.int64).reshape(-1, 3)
    with np.errstate(invalid="ignore"):  # of coordinates that are not finite
        vertices = vertices.reshape(-1, 3) @ transform[:3, :3].T + transform[:3, 3]
    finite = np.isfinite(vertices).all(axis=1)
    vertices[~finite] = 0.0
    has_corners = ((triangles >= 0) & (triangles < len(vertices))).all(axis=1)
    has_corners[has_corners] = finite[triangles[has_corners]].all(axis=1)
    triangles = triangles[has_corners]
    if np.linalg.det(transform[:3, :3]) < 0:  # a mirror image shows its backs
        triangles = triangles[:, ::-1]
    colours, uv, picture = look_of(mesh.visual, len(vertices), is_linear)
    if mesh.visual.kind == "face":
        vertices, triangles = vertices[triangles].reshape(-1, 3), np.arange(triangles.size).reshape(-1, 3)
        colours = np.repeat(np.asarray(mesh.visual.face_colors)[has_corners, :3], 3, axis=0)
        uv = np.zeros((len(vertices), 2))
    return SurfacePart(vertices, triangles, colours.astype(np.uint8), uv, class_id, picture)


def look_of(visual, count, is_linear):
    """(colours (count, 3), uv (count, 2), picture or None) of a mesh's vertices."""
    uv, picture = np.zeros((count, 2)), None
    colours = np.broadcast_to(WHITE, (count, 3))
    if visual.kind == "vertex" and len(visual.vertex_colors) == count:
        colours = np.asarray(visual.vertex_colors)[:, :3]
    elif visual.kind == "texture":
        material = visual.material
        picture = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
        given = getattr(visual, "uv", None)
        if given is None or np.shape(given) != (count, 2):
            picture = None
        else:
            uv = np.nan_to_num(np.asarray(given, float)) * (1, -1) + (0, 1)  # from the lower left to the upper left
        colour = getattr(material, "baseColorFactor", None) if is_linear else getattr(material, "diffuse", None)
        if colour is not None and not (picture is not None and not is_linear):  # OBJ's pictures replace the colour
            colour = np.asarray(colour)[:3]
            colours = np.broadcast_to(from_linear(colour) if is_linear else colour, (count, 3))
    return colours, uv, picture


def from_linear(colour):
    """glTF's linear colours (uint8) as sRGB (uint8)."""
    share = np.asarray(colour, float) / 255.0
    share = np.where(share <= 0.0031308, 12.92 * share, 1.055 * share ** (1 / 2.4) - 0.055)
    return np.round(share * 255.0).astype(np.uint8)


def shrink_textures(parts, remarks):
    """Replace the pictures of the parts by arrays of at most TEXTURE_SIDE, less where they are many."""
    pictures = {id(part.picture): part.picture for part in parts if part.picture is not None}
    side = TEXTURE_SIDE
    while side > 64 and len(pictures) * side**2 > TEXTURE_BUDGET:
        side //= 2
    small = {}
    for number, (key, picture) in enumerate(pictures.items()):
        try:
            if number >= MOST_TEXTURES or picture.width * picture.height > LARGEST_IMAGE:
                raise ValueError(f"more than {LARGEST_IMAGE:.0e} pixels or than {MOST_TEXTURES} textures")
            picture.draft("RGB", (side, side))
            rgb = picture.convert("RGB")
            rgb.thumbnail((side, side), Image.Resampling.BOX)
            small[key] = np.asarray(rgb)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            remarks.append(f"a texture cannot be read ({str(error)[:80]}); left out")
            small[key] = None
    for part in parts:
        part.picture = small.get(id(part.picture))


# Into one piece, z up, in metres


def joined(vertices, triangles):
    """Vertices (v, 3) float64 and triangles (t, 3) of all parts together."""
    starts = np.cumsum([0, *(len(part) for part in vertices)])
    return np.concatenate(vertices), np.concatenate([t + s for t, s in zip(triangles, starts, strict=False)])


def up_axis(path, up, vertices, triangles, remarks):
    """The axis that points up, 0 to 2."""
    if up != "auto":
        return "xyz".index(up)
    if FORMATS[path.suffix.lower()[1:]]:
        return 1
    corners = vertices[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.sqrt((normals * normals).sum(axis=1))
    level = (abs(normals) > 0.95 * lengths[:, None]) * lengths[:, None]  # (t, 3): area that faces along each axis
    areas = level.sum(axis=0)
    axis = 1 if areas[1] > LEAST_ADVANTAGE * areas[2] else 2
    doubt = "" if max(areas[1:]) > LEAST_ADVANTAGE * min(areas[1:]) else ", which is in doubt"
    remarks.append(f"says not which axis is up: {'xyz'[axis]} taken{doubt}; set up= if that is wrong")
    return axis


def turned(vertices, triangles, axis):
    """The vertices, float32, turned so that an axis (0 to 2) becomes z. A rotation: nothing is mirrored."""
    x, y, z = vertices.T
    turns = ((-z, y, x), (x, -z, y), (x, y, z))
    return np.stack(turns[axis], axis=1).astype(np.float32)


def size_remark(path, extents, scale):
    """What there is to say of units that had to be assumed, and of sizes that no place to walk in has; None if not."""
    low, high = USUAL_EXTENTS
    longest = extents.max()
    if longest > high or longest < low:
        guesses = (0.1, 0.01, 0.001) if longest > high else (10.0, 100.0, 1000.0)
        fitting = [guess for guess in guesses if 3.0 <= longest * guess <= 50.0] or [10.0 / max(longest, 1e-9)]
        return (
            f"is {shown(extents)} m large, where a place to walk in has {low:g} to {high:g} m: "
            f"set scale={(scale or 1.0) * fitting[0]:.3g} if its units are others"
        )
    if scale is None and not FORMATS[path.suffix.lower()[1:]]:
        return f"has no units: taken as metres, which makes it {shown(extents)} m large; set scale= if that is wrong"
    return None


def finished(parts, vertices, triangles, space, remarks):
    """The Scene of parts that were joined into vertices (metres) and triangles."""
    counts = [len(part.triangles) for part in parts]
    numbers, textures = {}, []
    for part in parts:
        if part.picture is not None and id(part.picture) not in numbers:
            numbers[id(part.picture)] = len(textures)
            textures.append(part.picture)
    texture = [numbers.get(id(part.picture), -1) if part.picture is not None else -1 for part in parts]
    corners, triangles, normals = creased(vertices, triangles)
    return Scene(
        vertices=vertices[corners],
        triangles=triangles.astype(np.int32),
        vertex_normals=normals,
        colours=np.concatenate([part.colours for part in parts])[corners],
        uv=np.concatenate([part.uv for part in parts])[corners].astype(np.float32),
        texture=np.repeat(texture, counts).astype(np.int16),
        textures=tuple(textures),
        class_ids=np.repeat([part.class_id for part in parts], counts).astype(np.uint8),
        remarks=(
            *remarks[:MOST_REMARKS],
            *([f"and {len(remarks) - MOST_REMARKS} more"] if remarks[MOST_REMARKS:] else []),
        ),
        space=space,
    )


def creased(vertices, triangles):
    """Vertices with one normal each: (which vertex each is (v), triangles (t, 3) of them, normals (v, 3) float32).

    Faces around a vertex share the mean of their normals; a face turned farther from that than CREASE gets a vertex of
    its own there. So boxes have edges and scans are smooth.
    """
    corners = [vertices[triangles[:, i]] for i in range(3)]
    normals = np.cross(corners[1] - corners[0], corners[2] - corners[0]).astype(np.float64)
    face_normals, smooth = unit(normals), np.ones(triangles.shape, bool)
    for _ in range(2):  # first over all faces, then over those that are not turned away from that
        shared = unit(sums_at_vertices(triangles, normals, smooth, len(vertices)))
        turns = [(shared[triangles[:, i]] * face_normals).sum(axis=1) for i in range(3)]
        smooth &= np.stack(turns, axis=1) >= CREASE
    sharp = ~smooth
    face, corner = np.nonzero(sharp)
    origin = np.concatenate([np.arange(len(vertices)), triangles[face, corner]])
    triangles = triangles.copy()
    triangles[face, corner] = len(vertices) + np.arange(len(face))
    return origin, triangles, np.concatenate([shared, face_normals[face]]).astype(np.float32)


def sums_at_vertices(triangles, normals, smooth, count):
    """Sums (count, 3) over each vertex of the normals (t, 3) of its triangles' corners that are smooth (t, 3)."""
    return np.stack(
        [
            sum(np.bincount(triangles[:, i], normals[:, axis] * smooth[:, i], count) for i in range(3))
            for axis in range(3)
        ],
        axis=1,
    )


def unit(vectors):
    """Vectors (n, 3) of length 1, z for those of no length."""
    lengths = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    return np.where(lengths > 1e-20, vectors / np.maximum(lengths, 1e-20), (0.0, 0.0, 1.0))
