"""How a scene from a file is drawn: its triangles by texture and place, and what each camera sees of them.

Shading is mild and comes from above, so that models without light of their own show their shape. Faces are seen from
both sides. The interface is that of `house_drawing`.
"""

from dataclasses import dataclass

import moderngl
import numpy as np

VERTEX = np.dtype(
    [
        ("position", "<f4", 3),
        ("uv", "<f4", 2),
        ("normal", "i1", 4),
        ("colour_and_class", "u1", 4),
    ]
)
CELLS = 32  # that the longest side of a scene is cut into: the triangles of a cell are drawn or left out together
FEWEST_TRIANGLES = 256  # of a chunk on average, for scenes of few triangles
WHITE = np.full((1, 1, 3), 255, np.uint8)

VERTEX_SHADER = """
#version 330
uniform mat4 view;
uniform vec3 eye;
in vec3 position;
in vec2 uv;
in ivec4 normal;
in vec4 colour_and_class;
out vec2 texture_position;
out vec3 colour;
out float distance_ahead;
flat out float class_id;
void main() {
    vec3 n = vec3(normal.xyz) / 127.0;
    float facing = dot(n, eye - position);
    float upwards = n.z * sign(facing);
    float sideways = abs(n.x);
    texture_position = uv;
    colour = colour_and_class.rgb * (0.78 + 0.16 * upwards + 0.10 * sideways);
    class_id = colour_and_class.a;
    gl_Position = view * vec4(position, 1.0);
    distance_ahead = gl_Position.w;
}
"""

FRAGMENT_SHADER = """
#version 330
uniform sampler2D surface;
in vec2 texture_position;
in vec3 colour;
in float distance_ahead;
flat in float class_id;
layout(location = 0) out vec4 colour_and_class;
layout(location = 1) out float depth;
void main() {
    colour_and_class = vec4(colour * texture(surface, texture_position).rgb, class_id);
    depth = max(distance_ahead, 0.0);
}
"""


@dataclass(frozen=True)
class SceneMesh:
    """Triangles of a scene in chunks: those of one texture and one cell of a grid.

    vertices: VERTEX array. indices: uint32, three for each triangle, chunk by chunk, the chunks of a texture together.
    chunk_ranges: int (chunks, 2), each one's first index and number of indices. chunk_textures: int (chunks), -1 none.
    chunk_centres, chunk_halves: float (chunks, 3), the box around each, metres.
    """

    vertices: np.ndarray
    indices: np.ndarray
    chunk_ranges: np.ndarray
    chunk_textures: np.ndarray
    chunk_centres: np.ndarray
    chunk_halves: np.ndarray


class SceneDrawer:
    """Draws one scene at a time; of its camera it needs only the poses and view matrices."""

    def __init__(self, context, *_):
        self._context = context
        self._program = context.program(VERTEX_SHADER, FRAGMENT_SHADER)
        self._program["surface"] = 0
        self._mesh, self._textures, self._loaded = None, {}, []

    def load(self, scene):
        """Make this scene the one that is drawn."""
        self.unload()
        mesh, context = build_scene_mesh(scene), self._context
        vertices, indices = context.buffer(mesh.vertices), context.buffer(mesh.indices)
        self._array = context.vertex_array(
            self._program, [(vertices, "3f4 2f4 4i1 4f1", *mesh.vertices.dtype.names)], index_buffer=indices
        )
        self._textures = {
            number: self._texture(WHITE if number < 0 else scene.textures[number])
            for number in np.unique(mesh.chunk_textures).tolist()
        }
        self._loaded = [self._array, vertices, indices, *self._textures.values()]
        self._mesh = mesh

    def _texture(self, picture):
        texture = self._context.texture(picture.shape[1::-1], 3, np.ascontiguousarray(picture), alignment=1)
        texture.build_mipmaps()
        texture.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
        return texture

    def unload(self):
        """Release what was loaded."""
        for resource in self._loaded:
            resource.release()
        self._loaded = []

    def draw(self, poses, matrices, viewports):
        """Draw what cameras at poses (f, 5) see, each with its view matrix into its part of the target."""
        mesh, context, program = self._mesh, self._context, self._program
        seen = in_view(mesh, matrices)
        context.disable(moderngl.CULL_FACE)
        for number, texture in self._textures.items():
            texture.use(0)
            chunks = np.flatnonzero(mesh.chunk_textures == number)
            for frame in np.flatnonzero(seen[:, chunks].any(axis=1)).tolist():
                context.viewport = viewports[frame]
                program["view"].write(matrices[frame])
                program["eye"] = tuple(poses[frame, :3])
                for first, count in runs(mesh.chunk_ranges[chunks[seen[frame, chunks]]]):
                    self._array.render(vertices=count, first=first)


def build_scene_mesh(scene):
    """The mesh of a scene.

    A vertex belongs to one class: where triangles of several classes meet, it is there once for each.
    """
    triangles, classes = scene.triangles, scene.class_ids
    order, starts = grouped(scene)
    corners = triangles[order].reshape(-1).astype(np.int64) * 256 + np.repeat(classes[order], 3)
    kinds, indices = np.unique(corners, return_inverse=True)
    source = kinds // 256
    vertices = np.zeros(len(source), VERTEX)
    vertices["position"], vertices["uv"] = scene.vertices[source], scene.uv[source]
    vertices["normal"][:, :3] = np.round(scene.vertex_normals[source].clip(-1, 1) * 127)
    vertices["colour_and_class"][:, :3] = scene.colours[source]
    vertices["colour_and_class"][:, 3] = kinds % 256
    positions = vertices["position"][indices]
    low, high = (extreme.reduceat(positions, 3 * starts) for extreme in (np.minimum, np.maximum))
    ends = np.append(starts[1:], len(order))
    return SceneMesh(
        vertices=vertices,
        indices=indices.astype("<u4"),
        chunk_ranges=3 * np.stack([starts, ends - starts], axis=1),
        chunk_textures=scene.texture[order[starts]].astype(int),
        chunk_centres=(low + high).astype(float) / 2,
        chunk_halves=(high - low).astype(float) / 2,
    )


def grouped(scene):
    """The order of triangles (t,) that puts those of one texture and one cell together, and where each group starts."""
    middles = scene.vertices[scene.triangles].mean(axis=1, dtype=float)
    low, extent = middles.min(axis=0), max(float(np.ptp(middles, axis=0).max()), 1e-6)
    across = min(CELLS, max(1, int(np.sqrt(len(middles) / FEWEST_TRIANGLES))))  # triangles cover surfaces
    cell = ((middles - low) * (across / extent)).astype(int).clip(0, across - 1)
    group = ((scene.texture.astype(int) * across + cell[:, 2]) * across + cell[:, 1]) * across + cell[:, 0]
    order = np.argsort(group, kind="stable")
    return order, np.flatnonzero(np.diff(group[order], prepend=group.min() - 1))


def in_view(mesh, matrices):
    """Which chunks' boxes reach into the view of these matrices (f, 4, 4): bool (f, chunks).

    A box is out of view if it is beyond one of the planes of the view: w >= |x|, |y|, |z| in clip coordinates.
    """
    rows = matrices.transpose(0, 2, 1).astype(float)  # f 4 4: the rows give x, y, z and w
    planes = np.concatenate([rows[:, 3:] + rows[:, :3], rows[:, 3:] - rows[:, :3]], axis=1)  # f 6 4
    farthest = planes[..., :3] @ mesh.chunk_centres.T + np.abs(planes[..., :3]) @ mesh.chunk_halves.T  # f 6 c
    return (farthest + planes[..., 3:] >= 0).all(axis=1)


def runs(ranges):
    """Ranges (n, 2) of first and count, those that follow on each other made one: a list of (first, count)."""
    first, end = ranges[:, 0], ranges.sum(axis=1)
    breaks = np.flatnonzero(first[1:] != end[:-1]) + 1
    firsts, ends = first[np.append(0, breaks)], end[np.append(breaks - 1, len(ranges) - 1)]
    return list(zip(firsts.tolist(), (ends - firsts).tolist(), strict=True))
