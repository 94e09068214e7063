"""The observations' colours carried into a query's view by their own depth: points projected, the nearest kept.

Everything that an observation with depth saw is a coloured point in space. This is geometry alone, without weights:
it tells the networks what was seen from where the query looks, so that they need to learn only the rest (MODEL.md "A
trial, and what it says"). It is also a baseline by itself.

Shapes: b scenes, m observations, q query views, s image size, p = m * s * s points. Coordinates in metres, in the
    anchor's frame. Float32 whatever the networks run in: only elementwise operations, which autocasting leaves alone.
"""
from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from placenet_ros.model.viewpoints import camera_axes

NEAREST_M = 0.05  # points nearer to the query's camera than this are not drawn
FARTHEST_M = 1000.0  # depth from here on is no measurement: simulators write huge numbers where nothing was hit
NOTHING = torch.iinfo(torch.int64).max


class PointCloud(NamedTuple):
    """Coloured points of b scenes."""

    positions: Tensor  # b p 3, metres, anchor's frame
    colours: Tensor  # b p 3, [0, 1]
    valid: Tensor  # b p, bool: depth was measured there


class Reprojection(NamedTuple):
    """What a query's camera sees of a PointCloud."""

    colour: Tensor  # b q 3 s s, [0, 1]; 0 where nothing was seen
    depth: Tensor  # b q 1 s s, metres along the optical axis; 0 where nothing was seen
    mask: Tensor  # b q 1 s s, 1 where something was seen


def pixel_rays(size: int, field_of_view_degrees: float, device: torch.device) -> Tensor:
    """(s, 2): tangents of the angle to the optical axis at the centres of a row's (or column's) pixels, first to
    last."""
    focal = 0.5 * size / math.tan(math.radians(field_of_view_degrees) / 2)
    return (torch.arange(size, device=device, dtype=torch.float32) + 0.5 - size / 2) / focal


def point_cloud(rgb: Tensor, depth: Tensor, viewpoints: Tensor, position_scale: float,
                field_of_view_degrees: float) -> PointCloud:
    """Points of rgb (b, m, 3, s, s) in [0, 1] with depth (b, m, 1, s, s) in metres (0 = none), seen from (b, m, 7)."""
    tangents = pixel_rays(rgb.shape[-1], field_of_view_degrees, rgb.device)
    right, down, forward = (axis[:, :, None, None] for axis in camera_axes(viewpoints.float()))  # b m 1 1 3
    rays = forward + tangents[None, :, None] * right + tangents[:, None, None] * down  # b m s s 3
    origins = viewpoints[:, :, None, None, :3].float() * position_scale
    positions = origins + depth.float().movedim(2, -1) * rays
    measured = ((depth > 0) & (depth < FARTHEST_M)).flatten(1)
    return PointCloud(positions.flatten(1, 3), rgb.movedim(2, -1).flatten(1, 3).float(), measured)


def reproject(cloud: PointCloud, query_viewpoints: Tensor, size: int, position_scale: float,
              field_of_view_degrees: float) -> Reprojection:
    """Draw a point cloud into the query views (b, q, 7): each point fills one pixel, the nearest wins.

    A pixel's winner is the smallest of (depth in millimetres, index of the point): the same on every device, whatever
    the order of execution.
    """
    b, q = query_viewpoints.shape[:2]
    focal = 0.5 * size / math.tan(math.radians(field_of_view_degrees) / 2)
    offsets = cloud.positions[:, None] - query_viewpoints[:, :, None, :3].float() * position_scale  # b q p 3
    right, down, forward = ((offsets * axis[:, :, None]).sum(-1) for axis in camera_axes(query_viewpoints.float()))
    safe = forward.clamp(min=NEAREST_M)
    column = torch.floor(focal * right / safe + size / 2)
    row = torch.floor(focal * down / safe + size / 2)
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    inside = inside & cloud.valid[:, None] & (forward > NEAREST_M)
    pixel = torch.where(inside, row * size + column, torch.full_like(row, size * size)).long()  # the last one is a bin
    index = torch.arange(forward.shape[-1], device=forward.device)
    key = ((safe * 1000.0).long() << 32) | index
    nearest = torch.full((b, q, size * size + 1), NOTHING, dtype=torch.int64, device=key.device)
    nearest = nearest.scatter_reduce(2, pixel, key, "amin")[..., :-1]
    seen = nearest != NOTHING
    winner = torch.where(seen, nearest & 0xFFFFFFFF, torch.zeros_like(nearest))
    colours = cloud.colours[:, None].expand(-1, q, -1, -1).gather(2, winner[..., None].expand(-1, -1, -1, 3))
    colours = torch.where(seen[..., None], colours, torch.zeros_like(colours)).transpose(2, 3)
    depth = torch.where(seen, (nearest >> 32).float() / 1000.0, torch.zeros(1, device=key.device))
    return Reprojection(colours.unflatten(3, (size, size)), depth.view(b, q, 1, size, size),
                        seen.float().view(b, q, 1, size, size))
