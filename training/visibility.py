"""Which pixels of a query view some observation has seen: the geometry of true depth, for judging alone.

A pixel was seen where its point in space lies inside an observation's picture and no nearer or farther than what that
observation measured around there. So what lies behind furniture, or outside every picture, was not.

Shapes: b scenes, m observations, q queries, s image size.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from placenet_ros.model import PlaceNetConfig
from placenet_ros.model.reprojection import NEAREST_M, pixel_rays
from placenet_ros.model.viewpoints import camera_axes

TOLERANCE = 0.03  # of the distance: a surface met at another slant is not measured at quite the same points
AROUND = 3  # pixels across in which the observation's depth is compared: it is sampled at their centres alone


def seen_pixels(
    query_depth: Tensor,
    query_viewpoints: Tensor,
    observation_depth: Tensor,
    viewpoints: Tensor,
    config: PlaceNetConfig,
) -> Tensor:
    """(b, q, 1, s, s) bool: pixels of the queries that at least one observation saw.

    query_depth (b, q, 1, s, s), observation_depth (b, m, 1, s, s): metres along the optical axis, 0 = none; what has no
    depth counts as not seen. query_viewpoints (b, q, 7), viewpoints (b, m, 7).
    """
    nearest, farthest = _depth_around(observation_depth)
    points = _points(query_depth, query_viewpoints, config)  # b q s s 3
    seen = torch.zeros_like(query_depth[:, :, 0], dtype=torch.bool)
    for number in range(viewpoints.shape[1]):
        pixel, forward = _projected(points, viewpoints[:, number], config)
        near, far = (_looked_up(picture[:, number], pixel) for picture in (nearest, farthest))
        there = (forward >= (1 - TOLERANCE) * near) & (forward <= (1 + TOLERANCE) * far)
        seen |= there & (pixel >= 0)
    return (seen & (query_depth[:, :, 0] > 0))[:, :, None]


def _depth_around(depth: Tensor) -> tuple[Tensor, Tensor]:
    """Least and greatest depth (b, m, s * s) measured in the pixels around each; nothing measured: infinity and 0."""
    pictures = depth.flatten(0, 1)
    measured = torch.where(pictures > 0, pictures, torch.full_like(pictures, math.inf))
    least = -F.max_pool2d(-measured, AROUND, 1, AROUND // 2)
    greatest = F.max_pool2d(pictures, AROUND, 1, AROUND // 2)
    return tuple(picture.unflatten(0, depth.shape[:2]).flatten(2) for picture in (least, greatest))


def _points(depth: Tensor, viewpoints: Tensor, config: PlaceNetConfig) -> Tensor:
    """The points (b, q, s, s, 3) in metres, anchor's frame, of pixels (b, q, 1, s, s) of such depth."""
    tangents = pixel_rays(depth.shape[-1], config.field_of_view_degrees, depth.device)
    right, down, forward = (axis[:, :, None, None] for axis in camera_axes(viewpoints))
    rays = forward + tangents[None, :, None] * right + tangents[:, None, None] * down
    return viewpoints[:, :, None, None, :3] * config.position_scale + depth[:, :, 0, ..., None] * rays


def _projected(points: Tensor, viewpoint: Tensor, config: PlaceNetConfig) -> tuple[Tensor, Tensor]:
    """Index of the pixel (b, q, s, s; -1: outside) and depth of points in the picture from viewpoints (b, 7)."""
    size = config.image_size
    focal = 0.5 * size / math.tan(math.radians(config.field_of_view_degrees) / 2)
    offsets = points - viewpoint[:, None, None, None, :3] * config.position_scale
    axes = (axis[:, None, None, None] for axis in camera_axes(viewpoint))
    right, down, forward = ((offsets * axis).sum(-1) for axis in axes)
    safe = forward.clamp(min=NEAREST_M)
    column = torch.floor(focal * right / safe + size / 2)
    row = torch.floor(focal * down / safe + size / 2)
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size) & (forward > NEAREST_M)
    return torch.where(inside, row * size + column, torch.full_like(row, -1)).long(), forward


def _looked_up(pictures: Tensor, pixel: Tensor) -> Tensor:
    """Values of pictures (b, s * s) at pixels (b, q, s, s)."""
    return pictures.gather(1, pixel.clamp(min=0).flatten(1)).view(pixel.shape)
