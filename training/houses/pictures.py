"""Pictures of a house from given poses: colour, metric depth and object classes in one pass on the graphics card.

Runs without a display (OpenGL on EGL), on a graphics card or in software (Mesa). Colour is antialiased by four samples
for each pixel; depth and class are those of one sample, never mixed. Needs OpenGL 3.3.
"""

import importlib.util
from dataclasses import dataclass

import moderngl
import numpy as np

from training.configuration import UserError
from training.houses.mesh import build_mesh
from training.houses.patterns import PATTERNS, TILE_SIZE, pattern_tiles
from training.houses.visibility import chunks_in_view

NEAR, FAR = 0.02, 60.0  # metres
SAMPLES = 4
ATLAS_SIDE = 512  # pixels: as many pictures as fit are drawn into one atlas before they are read back
MOST_MATERIALS, MOST_ROOMS = 1024, 16

VERTEX_SHADER = """
#version 330
uniform mat4 view;
uniform sampler2D materials;
uniform sampler2D rooms;
in vec3 position;
in vec2 uv;
in ivec4 normal_and_class;
in uvec2 material_and_room;
out vec3 point;
out vec2 tile_position;
out vec3 normal;
centroid out float distance_ahead;
flat out float class_id;
flat out vec4 first_colour_and_pattern;
flat out vec4 second_colour_and_emission;
flat out vec3 third_colour;
flat out vec4 lamp_and_daylight;
flat out vec3 lamp_colour;
flat out vec3 low_corner;
flat out vec3 high_corner;
void main() {
    int material = int(material_and_room.x), room = int(material_and_room.y);
    first_colour_and_pattern = texelFetch(materials, ivec2(0, material), 0);
    second_colour_and_emission = texelFetch(materials, ivec2(1, material), 0);
    third_colour = texelFetch(materials, ivec2(2, material), 0).rgb;
    lamp_and_daylight = texelFetch(rooms, ivec2(0, room), 0);
    lamp_colour = texelFetch(rooms, ivec2(1, room), 0).rgb;
    low_corner = texelFetch(rooms, ivec2(2, room), 0).xyz;
    high_corner = texelFetch(rooms, ivec2(3, room), 0).xyz;
    point = position;
    tile_position = uv;
    normal = vec3(normal_and_class.xyz) / 127.0;
    class_id = float(normal_and_class.w) / 255.0;
    gl_Position = view * vec4(position, 1.0);
    distance_ahead = gl_Position.w;
}
"""

FRAGMENT_SHADER = """
#version 330
uniform sampler2DArray tiles;
uniform sampler2D floor_light;
uniform vec2 house_size;
in vec3 point;
in vec2 tile_position;
in vec3 normal;
centroid in float distance_ahead;
flat in float class_id;
flat in vec4 first_colour_and_pattern;
flat in vec4 second_colour_and_emission;
flat in vec3 third_colour;
flat in vec4 lamp_and_daylight;
flat in vec3 lamp_colour;
flat in vec3 low_corner;
flat in vec3 high_corner;
layout(location = 0) out vec4 colour_and_class;
layout(location = 1) out float depth;
void main() {
    vec3 tile = texture(tiles, vec3(tile_position, first_colour_and_pattern.a)).rgb;
    vec3 albedo = mix(first_colour_and_pattern.rgb, second_colour_and_emission.rgb, tile.r);
    albedo = mix(albedo, third_colour, tile.g) * tile.b;

    vec3 n = normalize(normal);
    vec3 to_lamp = lamp_and_daylight.xyz - point;
    float distance2 = dot(to_lamp, to_lamp);
    float facing = max(0.0, 0.25 + 0.75 * dot(n, to_lamp) * inversesqrt(distance2));
    vec2 floor_here = texture(floor_light, point.xy / house_size).rg;

    vec3 light = mix(vec3(0.21, 0.19, 0.17), vec3(0.30, 0.30, 0.32), 0.5 + 0.5 * n.z);
    light *= 1.0 + 0.10 * n.x - 0.06 * n.y;
    light += lamp_colour * facing / (1.0 + 0.16 * distance2);
    light += lamp_and_daylight.w * floor_here.g * vec3(0.40, 0.46, 0.54) * (0.75 + 0.25 * n.z);

    // Less light reaches the edges where walls, floor and ceiling meet, and the floor under furniture.
    vec3 gap = max(min(point - low_corner, high_corner - point), 0.0);
    vec3 edge = (1.0 - abs(n)) * exp(-gap * 6.0);
    light *= 1.0 - 0.22 * (edge.x + edge.y + edge.z);
    light *= 1.0 - 0.6 * floor_here.r * exp(-5.0 * max(point.z, 0.0));

    vec3 seen = mix(albedo * light, albedo, second_colour_and_emission.a);
    colour_and_class = vec4(pow(min(seen * 1.15, 1.0), vec3(1.0 / 2.2)), class_id);
    depth = max(distance_ahead, 0.0);
}
"""

RESOLVE_VERTEX_SHADER = """
#version 330
void main() {
    vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
    gl_Position = vec4(corner * 4.0 - 1.0, 0.0, 1.0);
}
"""

RESOLVE_FRAGMENT_SHADER = """
#version 330
uniform sampler2DMS colours;
uniform sampler2DMS depths;
layout(location = 0) out vec4 colour_and_class;
layout(location = 1) out float depth;
void main() {
    ivec2 pixel = ivec2(gl_FragCoord.xy);
    vec4 first = texelFetch(colours, pixel, 0);
    vec3 sum = first.rgb;
    for (int sampled = 1; sampled < 4; sampled++) sum += texelFetch(colours, pixel, sampled).rgb;
    colour_and_class = vec4(sum * 0.25, first.a);
    depth = texelFetch(depths, pixel, 0).r;
}
"""


class GraphicsError(UserError):
    """No OpenGL context could be made; the message says what to install."""


@dataclass(frozen=True)
class Pictures:
    """Aligned pictures from f poses.

    rgb: uint8 (f, height, width, 3). depth: float32 (f, height, width), metres along the optical axis, 0 = nothing.
    objects: uint8 (f, height, width), indices into `classes.CLASS_NAMES`.
    """

    rgb: np.ndarray
    depth: np.ndarray
    objects: np.ndarray


class HousePictures:
    """A pinhole camera in a house, its principal point in the middle of the picture. Close it, or use it as a context.

    horizontal_field_of_view_degrees is across the width; pixels are square. Raises GraphicsError without EGL.
    """

    def __init__(self, width, height, horizontal_field_of_view_degrees):
        if not 0 < horizontal_field_of_view_degrees < 180:
            raise ValueError(
                f"field of view must be within 0 and 180 degrees, found {horizontal_field_of_view_degrees}"
            )
        self.width, self.height = width, height
        self.field_of_view_degrees = horizontal_field_of_view_degrees
        self.tangent_x = float(np.tan(np.radians(horizontal_field_of_view_degrees) / 2))
        self.tangent_y = self.tangent_x * height / width
        self.context = create_context()
        self.columns, self.rows = max(1, ATLAS_SIDE // width), max(1, ATLAS_SIDE // height)
        self._make_targets()
        self._make_programs()
        self._house, self._mesh, self._buffers = None, None, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Release everything on the graphics card."""
        if self.context is not None:
            self.context.release()
            self.context = None

    @property
    def renderer(self):
        """What draws, in its own words: a graphics card, or Mesa's llvmpipe in software."""
        return self.context.info["GL_RENDERER"]

    def _make_targets(self):
        size = (self.columns * self.width, self.rows * self.height)
        context = self.context
        self._sampled = [
            context.texture(size, 4, samples=SAMPLES),
            context.texture(size, 1, samples=SAMPLES, dtype="f4"),
        ]
        self._canvas = context.framebuffer(self._sampled, context.depth_renderbuffer(size, samples=SAMPLES))
        self._resolved = context.framebuffer([context.texture(size, 4), context.texture(size, 1, dtype="f4")])

    def _make_programs(self):
        context = self.context
        self._program = context.program(VERTEX_SHADER, FRAGMENT_SHADER)
        self._resolve = context.program(RESOLVE_VERTEX_SHADER, RESOLVE_FRAGMENT_SHADER)
        self._resolve_array = context.vertex_array(self._resolve, [])
        self._resolve["colours"], self._resolve["depths"] = 0, 1
        self._tiles = context.texture_array((TILE_SIZE, TILE_SIZE, len(PATTERNS)), 3, pattern_tiles().tobytes())
        self._tiles.build_mipmaps()
        self._tiles.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
        self._materials = context.texture((3, MOST_MATERIALS), 4, dtype="f4")
        self._rooms = context.texture((4, MOST_ROOMS), 4, dtype="f4")
        for unit, name in enumerate(("tiles", "materials", "rooms", "floor_light")):
            self._program[name] = unit

    def load(self, house):
        """Make this house the one that pictures are taken in."""
        for buffer in self._buffers:
            buffer.release()
        mesh, context = build_mesh(house), self.context
        vertices = context.buffer(mesh.vertices.tobytes())
        self._indices = context.buffer(reserve=self.columns * self.rows * mesh.indices.nbytes, dynamic=True)
        self._array = context.vertex_array(
            self._program,
            [(vertices, "3f4 2f4 4i1 2u2", "position", "uv", "normal_and_class", "material_and_room")],
            index_buffer=self._indices,
        )
        rows, columns = mesh.floor_light.shape[:2]
        self._floor_light = context.texture((columns, rows), 2, mesh.floor_light.tobytes(), alignment=1)
        self._floor_light.repeat_x = self._floor_light.repeat_y = False
        self._buffers = [self._array, vertices, self._indices, self._floor_light]
        self._materials.write(mesh.material_table.tobytes(), viewport=(0, 0, 3, len(house.materials)))
        self._rooms.write(mesh.room_table.tobytes(), viewport=(0, 0, 4, len(house.rooms)))
        self._program["house_size"] = (house.bounds.width, house.bounds.depth)
        self._house, self._mesh = house, mesh

    def take(self, poses):
        """Pictures from camera poses (f, 5): x, y, z in metres, yaw and pitch in radians, positive pitch looks up."""
        if self._house is None:
            raise ValueError("no house to take pictures in: call load(house) first")
        poses = np.asarray(poses, np.float64).reshape(-1, 5)
        frames = len(poses)
        pictures = Pictures(
            np.empty((frames, self.height, self.width, 3), np.uint8),
            np.empty((frames, self.height, self.width), np.float32),
            np.empty((frames, self.height, self.width), np.uint8),
        )
        matrices = view_matrices(poses, self.tangent_x, self.tangent_y)
        seen = chunks_in_view(
            self._house, self._mesh.chunk_rooms, self._mesh.chunk_areas, poses, self.tangent_x, self.tangent_y
        )
        batch = self.columns * self.rows
        for first in range(0, frames, batch):
            part = slice(first, min(first + batch, frames))
            self._draw(matrices[part], seen[part])
            self._read(pictures, part)
        return pictures

    def _draw(self, matrices, seen):
        indices, ends = gathered(self._mesh, seen)
        self._indices.orphan()
        self._indices.write(indices)
        context, view = self.context, self._program["view"]
        self._canvas.use()
        context.viewport = (0, 0, *self._canvas.size)
        context.clear()
        context.enable(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        context.front_face = "cw"  # pictures are drawn upside down, so that their first row is read first
        for unit, texture in enumerate((self._tiles, self._materials, self._rooms, self._floor_light)):
            texture.use(unit)
        for tile, (matrix, first, end) in enumerate(zip(matrices, [0, *ends[:-1]], ends, strict=True)):
            row, column = divmod(tile, self.columns)
            context.viewport = (column * self.width, row * self.height, self.width, self.height)
            view.write(matrix)
            self._array.render(vertices=end - first, first=first)
        self._resolved.use()
        context.disable(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        self._sampled[0].use(0)
        self._sampled[1].use(1)
        self._resolve_array.render(moderngl.TRIANGLES, vertices=3)

    def _read(self, pictures, part):
        count = part.stop - part.start
        rows = -(-count // self.columns)
        viewport = (0, 0, self.columns * self.width, rows * self.height)
        tiles = (rows, self.height, self.columns, self.width)
        colour = np.frombuffer(self._resolved.read(viewport, 4, alignment=1), np.uint8).reshape(*tiles, 4)
        depth = np.frombuffer(self._resolved.read(viewport, 1, attachment=1, alignment=1, dtype="f4"), np.float32)
        colour = colour.transpose(0, 2, 1, 3, 4).reshape(-1, self.height, self.width, 4)[:count]
        depth = depth.reshape(tiles).transpose(0, 2, 1, 3).reshape(-1, self.height, self.width)[:count]
        pictures.rgb[part], pictures.objects[part], pictures.depth[part] = colour[..., :3], colour[..., 3], depth


def create_context():
    """An OpenGL context without a window; GraphicsError says what is missing."""
    # Optimisers of torch import triton. Its LLVM and Mesa's bear each other only where triton's was loaded first;
    # otherwise that import ends the process.
    if importlib.util.find_spec("triton"):
        importlib.import_module("triton")
    try:
        return moderngl.create_context(standalone=True, backend="egl", require=330)
    except Exception as error:
        raise GraphicsError(
            f"no OpenGL through EGL ({error}): install libegl1 and libgl1, and without a graphics card libegl-mesa0"
        ) from error


def gathered(mesh, seen):
    """The vertex indices to draw for frames that see these chunks, bool (f, c), and where each frame's end (a list)."""
    frame, chunk = np.nonzero(seen)
    first, count = mesh.chunk_ranges[chunk].T
    end = np.cumsum(count)
    indices = mesh.indices[np.arange(end[-1]) + np.repeat(first - (end - count), count)]
    return indices, end[np.cumsum(seen.sum(axis=1)) - 1].tolist()


def view_matrices(poses, tangent_x, tangent_y):
    """Matrices (f, 4, 4), float32 in OpenGL's column order, from house coordinates to upside-down clip coordinates."""
    yaw, pitch = poses[:, 3], poses[:, 4]
    zero = np.zeros_like(yaw)
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    right = np.stack([sy, -cy, zero], axis=1)
    up = np.stack([-sp * cy, -sp * sy, cp], axis=1)
    forward = np.stack([cp * cy, cp * sy, sp], axis=1)
    scale, offset = (FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)
    axes = np.stack([right / tangent_x, -up / tangent_y, forward * scale, forward], axis=1)
    matrices = np.zeros((len(poses), 4, 4))
    matrices[:, :, :3] = axes
    matrices[:, :, 3] = -np.einsum("fij,fj->fi", axes, poses[:, :3])
    matrices[:, 2, 3] += offset
    return np.ascontiguousarray(matrices.transpose(0, 2, 1), dtype="<f4")
