"""Pictures of a place from given poses: colour, metric depth and object classes in one pass on the graphics card.

Runs without a display (OpenGL on EGL), on a graphics card or in software (Mesa). Colour is antialiased by four samples
for each pixel; depth and class are those of one sample, never mixed. Needs OpenGL 3.3.
Here is the camera: its targets and how they are read. How a house is drawn is `house_drawing`'s business, how a scene
from a file `scene_drawing`'s.
"""

import importlib.util
import os
from dataclasses import dataclass

import moderngl
import numpy as np

from training.configuration import UserError
from training.houses.house import House
from training.houses.house_drawing import HouseDrawer
from training.houses.scene_drawing import SceneDrawer

NEAR, FAR = 0.02, 60.0  # metres
SAMPLES = 4
PIXELS_AT_ONCE = 512 * 512  # pictures of that many pixels are drawn, one below the other, before they are read
TALLEST_TARGET = 4096  # pixels

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
    """A pinhole camera in a house or a scene, its principal point in the middle of the picture.

    Close it, or use it as a context.
    horizontal_field_of_view_degrees is across the width; pixels are square. Raises UserError without EGL.
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
        self._rows = max(1, min(PIXELS_AT_ONCE // (width * height), TALLEST_TARGET // height))
        self._make_targets()
        self._drawers, self._drawer = {}, None

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
        with self.context:
            return self.context.info["GL_RENDERER"]

    def _make_targets(self):
        size, context = (self.width, self._rows * self.height), self.context
        self._sampled = [
            context.texture(size, 4, samples=SAMPLES),
            context.texture(size, 1, samples=SAMPLES, dtype="f4"),
        ]
        self._canvas = context.framebuffer(self._sampled, context.depth_renderbuffer(size, samples=SAMPLES))
        # Two, so that one is drawn while the other is read.
        self._resolved = [
            context.framebuffer([context.texture(size, 4), context.texture(size, 1, dtype="f4")]) for _ in range(2)
        ]
        program = context.program(RESOLVE_VERTEX_SHADER, RESOLVE_FRAGMENT_SHADER)
        program["colours"], program["depths"] = 0, 1
        self._resolve = context.vertex_array(program, [])

    def load(self, place):
        """Make this House or Scene the one that pictures are taken in."""
        with self.context:  # OpenGL draws with the context made last, which may be another camera's
            self._load(place)

    def _load(self, place):
        kind = HouseDrawer if isinstance(place, House) else SceneDrawer
        for other, drawer in self._drawers.items():
            if other is not kind:
                drawer.unload()
        if kind not in self._drawers:
            self._drawers[kind] = kind(self.context, self.tangent_x, self.tangent_y)
        self._drawer = None  # should this place be one that cannot be drawn
        self._drawers[kind].load(place)
        self._drawer = self._drawers[kind]

    def take(self, poses):
        """Pictures from camera poses (f, 5): x, y, z in metres, yaw and pitch in radians, positive pitch looks up."""
        if self._drawer is None:
            raise ValueError("nothing to take pictures of: call load(house) or load(scene) first")
        poses = np.asarray(poses, np.float64).reshape(-1, 5)
        frames = len(poses)
        pictures = Pictures(
            np.empty((frames, self.height, self.width, 3), np.uint8),
            np.empty((frames, self.height, self.width), np.float32),
            np.empty((frames, self.height, self.width), np.uint8),
        )
        with self.context:
            self._take(poses, pictures)
        return pictures

    def _take(self, poses, pictures):
        drawn = None
        for number, first in enumerate(range(0, len(poses), self._rows)):
            part = slice(first, min(first + self._rows, len(poses)))
            target = self._resolved[number % 2]
            self._draw(poses[part], target)
            if drawn:
                self._read(pictures, *drawn)
            drawn = part, target
        if drawn:
            self._read(pictures, *drawn)

    def _draw(self, poses, target):
        context = self.context
        self._canvas.use()
        context.viewport = (0, 0, *self._canvas.size)
        context.clear()
        context.enable(moderngl.DEPTH_TEST)
        viewports = [(0, row * self.height, self.width, self.height) for row in range(len(poses))]
        self._drawer.draw(poses, view_matrices(poses, self.tangent_x, self.tangent_y), viewports)
        target.use()
        context.viewport = (0, 0, self.width, len(poses) * self.height)
        context.disable(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        self._sampled[0].use(0)
        self._sampled[1].use(1)
        self._resolve.render(moderngl.TRIANGLES, vertices=3)

    def _read(self, pictures, part, target):
        shape = (part.stop - part.start, self.height, self.width)
        viewport = (0, 0, self.width, shape[0] * self.height)
        colour = np.frombuffer(target.read(viewport, 4, alignment=1), np.uint8).reshape(*shape, 4)
        for channel in range(3):  # one by one: numpy copies long strides faster than short rows
            pictures.rgb[part, ..., channel] = colour[..., channel]
        pictures.objects[part] = colour[..., 3]
        target.read_into(pictures.depth[part].data.cast("B"), viewport, 1, attachment=1, alignment=1, dtype="f4")


def draw_in_one_thread():
    """Have Mesa's software renderer draw in the threads that ask for pictures, from the first camera on.

    For processes that work side by side, one for each core: they then need a tenth less of the processor.
    """
    os.environ.setdefault("LP_NUM_THREADS", "0")


def create_context():
    """An OpenGL context without a window. Raises UserError that says what to install."""
    # Optimisers of torch import triton. Its LLVM and Mesa's bear each other only where triton's was loaded first;
    # otherwise that import ends the process.
    if importlib.util.find_spec("triton"):
        importlib.import_module("triton")
    try:
        return moderngl.create_context(standalone=True, backend="egl", require=330)
    except Exception as error:
        raise UserError(
            f"no OpenGL through EGL ({error}): install libegl1 and libgl1, "
            "and without a graphics card libegl-mesa0 and libgl1-mesa-dri"
        ) from error


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
