"""A stand-in for a house that needs no renderer: a round room with a painted wall, walked through in small circles."""

import numpy as np

from training.trajectory import Trajectory

RADIUS = 3.0  # metres
HEIGHT = 1.0  # of the camera, metres


def round_room(seed, frames=40, image_size=16, field_of_view_degrees=60.0, stripes=0):
    """A trajectory as `training.houses` makes it, with exact colours and depth; `stripes` go around the wall."""
    random = np.random.default_rng(seed)
    turn = np.linspace(0, 2 * np.pi, frames) + random.uniform(0, 2 * np.pi)
    poses = np.zeros((frames, 5), np.float32)
    poses[:, 0], poses[:, 1], poses[:, 2] = np.cos(turn), np.sin(turn), HEIGHT
    poses[:, 3] = turn + random.uniform(-0.3, 0.3, frames)  # looking sideways, at the wall
    focal = image_size / 2 / np.tan(np.radians(field_of_view_degrees) / 2)
    tangents = (np.arange(image_size) + 0.5 - image_size / 2) / focal
    yaw = poses[:, 3][:, None, None]
    # Rays of length 1 along the optical axis: forward + tangent * right (columns) + tangent * down (rows).
    x = np.cos(yaw) + np.sin(yaw) * tangents[None, None]
    y = np.sin(yaw) - np.cos(yaw) * tangents[None, None]
    px, py = poses[:, 0][:, None, None], poses[:, 1][:, None, None]
    a, b, c = x**2 + y**2, px * x + py * y, px**2 + py**2 - RADIUS**2
    depth = (-b + np.sqrt(b**2 - a * c)) / a  # f 1 s: metres along the axis, where the ray meets the wall
    around = np.arctan2(py + depth * y, px + depth * x)
    height = HEIGHT - depth * tangents[None, :, None]
    paint = random.uniform(-np.pi, np.pi, 3)
    wave = (
        np.sin(around[..., None] * np.array([1, 2, 3]) + paint)
        + (0.3 * np.sin(3 * height) + 0.5 * np.sin(stripes * around))[..., None]
    )
    rgb = np.clip(128 + 90 * wave, 0, 255).astype(np.uint8)
    depth = np.broadcast_to(depth, rgb.shape[:3])
    return Trajectory(
        poses=poses,
        rgb=rgb,
        depth=(1000 * depth).round().astype(np.uint16),
        objects=(1 + (around > 0) + np.zeros(rgb.shape[:3])).astype(np.uint8),
        name=f"round room {seed}",
    )
