"""How a made house is drawn: its patterns, its light map, and what each camera sees of it.

A *drawer* has `load(place)` and `draw(poses, matrices, viewports)`, and writes colour with class, and depth, into the
targets in use. The camera that has these targets is `pictures`' business.
"""

import moderngl
import numpy as np

from training.houses.lighting import BRIGHTEST, GAMMA
from training.houses.mesh import build_mesh
from training.houses.patterns import PATTERNS, TILE_SIZE, pattern_tiles
from training.houses.visibility import chunks_in_view

VERTEX_SHADER = """
#version 330
uniform mat4 view;
uniform vec2 texel;
in vec3 position;
in vec2 uv;
in uvec2 light;
in uvec4 light_within;
in vec4 first_and_pattern;
in vec4 second_and_class;
in vec4 third;
out vec2 tile_position;
out vec2 light_position;
flat out vec4 light_bounds;
out float distance_ahead;
flat out vec3 first_colour;
flat out vec3 second_colour;
flat out vec3 third_colour;
flat out float pattern;
flat out float class_id;
void main() {
    tile_position = uv;
    light_position = (vec2(light) + 0.5) * texel;
    light_bounds = (vec4(light_within) + 0.5) * texel.xyxy;
    first_colour = first_and_pattern.rgb;
    second_colour = second_and_class.rgb;
    third_colour = third.rgb;
    pattern = first_and_pattern.a * 255.0;
    class_id = second_and_class.a;
    gl_Position = view * vec4(position, 1.0);
    distance_ahead = gl_Position.w;
}
"""

# Colours, shades and light are encoded by the same power, so their products are encoded, too.
FRAGMENT_SHADER = """
#version 330
uniform sampler2DArray tiles;
uniform sampler2D light_map;
uniform float brightest;
in vec2 tile_position;
in vec2 light_position;
flat in vec4 light_bounds;
in float distance_ahead;
flat in vec3 first_colour;
flat in vec3 second_colour;
flat in vec3 third_colour;
flat in float pattern;
flat in float class_id;
layout(location = 0) out vec4 colour_and_class;
layout(location = 1) out float depth;
void main() {
    vec3 tile = texture(tiles, vec3(tile_position, pattern)).rgb;
    // The middle of a pixel at a face's edge can lie beyond the face.
    vec2 lit = clamp(light_position, light_bounds.xy, light_bounds.zw);
    vec3 light = texture(light_map, lit).rgb * (tile.b * brightest);
    vec3 colour = mix(mix(first_colour, second_colour, tile.r), third_colour, tile.g);
    colour_and_class = vec4(colour * light, class_id);
    depth = max(distance_ahead, 0.0);
}
"""


class HouseDrawer:
    """Draws one house at a time. tangents are those of half the camera's field of view."""

    def __init__(self, context, tangent_x, tangent_y):
        self._context, self._tangents = context, (tangent_x, tangent_y)
        self._program = context.program(VERTEX_SHADER, FRAGMENT_SHADER)
        self._program["tiles"], self._program["light_map"] = 0, 1
        self._program["brightest"] = BRIGHTEST
        self._tiles = context.texture_array((TILE_SIZE, TILE_SIZE, len(PATTERNS)), 3, encoded_tiles().tobytes())
        self._tiles.build_mipmaps()
        self._tiles.filter = (moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR)
        self._house, self._mesh, self._loaded = None, None, []

    def load(self, house):
        """Make this house the one that is drawn."""
        self.unload()
        mesh, context = build_mesh(house), self._context
        vertices = context.buffer(mesh.vertices.tobytes())
        self._indices = context.buffer(reserve=4, dynamic=True)
        self._array = context.vertex_array(
            self._program,
            [(vertices, "3f4 2f4 2u2 4u2 4f1 4f1 4f1", *mesh.vertices.dtype.names)],
            index_buffer=self._indices,
        )
        rows, columns = mesh.light_map.shape[:2]
        self._light_map = context.texture((columns, rows), 3, mesh.light_map.tobytes(), alignment=1)
        self._light_map.repeat_x = self._light_map.repeat_y = False
        self._program["texel"] = (1 / columns, 1 / rows)
        self._loaded = [self._array, vertices, self._indices, self._light_map]
        self._house, self._mesh = house, mesh

    def unload(self):
        """Release what was loaded."""
        for resource in self._loaded:
            resource.release()
        self._loaded = []

    def draw(self, poses, matrices, viewports):
        """Draw what cameras at poses (f, 5) see, each with its view matrix into its part of the target."""
        mesh, context, view = self._mesh, self._context, self._program["view"]
        seen = chunks_in_view(self._house, mesh.chunk_rooms, mesh.chunk_areas, poses, *self._tangents)
        indices, ends = gathered(mesh, seen)
        self._indices.orphan(indices.nbytes)
        self._indices.write(indices)
        context.enable(moderngl.CULL_FACE)
        context.front_face = "cw"  # pictures are drawn upside down
        self._tiles.use(0)
        self._light_map.use(1)
        for matrix, viewport, first, end in zip(matrices, viewports, [0, *ends[:-1]], ends, strict=True):
            context.viewport = viewport
            view.write(matrix)
            self._array.render(vertices=end - first, first=first)


def encoded_tiles():
    """The pattern tiles with their shade, the third channel, encoded as colours are."""
    tiles = pattern_tiles()
    tiles[..., 2] = np.round(255 * (tiles[..., 2] / 255) ** (1 / GAMMA))
    return tiles


def gathered(mesh, seen):
    """The vertex indices to draw for frames that see these chunks, bool (f, c), and where each frame's end (a list)."""
    frame, chunk = np.nonzero(seen)
    first, count = mesh.chunk_ranges[chunk].T
    end = np.cumsum(count)
    indices = mesh.indices[np.arange(end[-1]) + np.repeat(first - (end - count), count)]
    return indices, end[np.cumsum(seen.sum(axis=1)) - 1].tolist()
