"""The observations' colours carried into a query's view by their depth: points projected, the nearest kept.

Everything that an observation saw, where its depth is measured or estimated, is a coloured point in space. This is
geometry alone, without weights: it tells the networks what was seen from where the query looks, so that they need to
learn only the rest (MODEL.md "A trial, and what it says"). It is also a baseline by itself.

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
LOG_ERROR = 3  # among a point's attributes, behind its colour
HALF_CERTAIN_LOG_ERROR = 0.1  # an estimate that is about 10 % off counts half as much as a measurement
NOTHING = torch.iinfo(torch.int64).max


class PointCloud(NamedTuple):
    """Coloured points of b scenes."""

    positions: Tensor  # b p 3, metres, anchor's frame
    attributes: Tensor  # b p *, see `point_cloud`: colour, log error of the depth, and what else goes along
    valid: Tensor  # b p, bool: depth is known there


class Reprojection(NamedTuple):
    """What a query's camera sees of a PointCloud."""

    colour: Tensor  # b q 3 s s, [0, 1]; 0 where nothing was seen
    depth: Tensor  # b q 1 s s, metres along the optical axis; 0 where nothing was seen
    mask: Tensor  # b q 1 s s, 1 where something was seen
    certainty: Tensor  # b q 1 s s, 1 where depth was measured, less where estimated, 0 where nothing was seen
    further: Tensor  # b q * s s, what else the points carry; 0 where nothing was seen


def pixel_rays(size: int, field_of_view_degrees: float, device: torch.device) -> Tensor:
    """(s, 2): tangents of the angle to the optical axis at the centres of a row's (or column's) pixels, first to
    last."""
    focal = 0.5 * size / math.tan(math.radians(field_of_view_degrees) / 2)
    return (torch.arange(size, device=device, dtype=torch.float32) + 0.5 - size / 2) / focal


def point_cloud(rgb: Tensor, depth: Tensor, viewpoints: Tensor, position_scale: float, field_of_view_degrees: float,
                log_error: Tensor | None = None, further: Tensor | None = None) -> PointCloud:
    """Points of rgb (b, m, 3, s, s) in [0, 1] with depth (b, m, 1, s, s) in metres (0 = none), seen from (b, m, 7).

    log_error: (b, m, 1, s, s), error to expect of the depth's logarithm; None: measured, without error.
    further: (b, m, *, s, s), whatever else the points are to carry.
    """
    tangents = pixel_rays(rgb.shape[-1], field_of_view_degrees, rgb.device)
    right, down, forward = (axis[:, :, None, None] for axis in camera_axes(viewpoints.float()))  # b m 1 1 3
    rays = forward + tangents[None, :, None] * right + tangents[:, None, None] * down  # b m s s 3
    origins = viewpoints[:, :, None, None, :3].float() * position_scale
    positions = origins + depth.float().movedim(2, -1) * rays
    measured = ((depth > 0) & (depth < FARTHEST_M)).flatten(1)
    log_error = torch.zeros_like(depth) if log_error is None else log_error
    attributes = torch.cat([x.float() for x in (rgb, log_error, further) if x is not None], dim=2)
    return PointCloud(positions.flatten(1, 3), attributes.movedim(2, -1).flatten(1, 3), measured)


def reproject(cloud: PointCloud, query_viewpoints: Tensor, size: int, position_scale: float,
              field_of_view_degrees: float) -> Reprojection:
    """Draw a point cloud into the query views (b, q, 7): each point fills one pixel, the nearest wins.

    A point of uncertain depth counts as farther by the error to expect, so that it gives way to surer ones. A pixel's
    winner is the smallest of (that depth in millimetres, index of the point): the same on every device, whatever the
    order of execution.
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
    rank = safe * (1.0 + cloud.attributes[:, None, :, LOG_ERROR])
    key = ((rank * 1000.0).long() << 32) | index
    nearest = torch.full((b, q, size * size + 1), NOTHING, dtype=torch.int64, device=key.device)
    nearest = nearest.scatter_reduce(2, pixel, key, "amin")[..., :-1]
    seen = nearest != NOTHING
    winner = torch.where(seen, nearest & 0xFFFFFFFF, torch.zeros_like(nearest))
    carried = cloud.attributes[:, None].expand(-1, q, -1, -1)
    carried = carried.gather(2, winner[..., None].expand(-1, -1, -1, carried.shape[-1]))
    certainty = 1.0 / (1.0 + carried[..., LOG_ERROR:LOG_ERROR + 1] / HALF_CERTAIN_LOG_ERROR)
    drawn = torch.cat([carried[..., :LOG_ERROR], safe.gather(2, winner)[..., None], torch.ones_like(certainty),
                       certainty, carried[..., LOG_ERROR + 1:]], dim=-1)
    drawn = torch.where(seen[..., None], drawn, torch.zeros_like(drawn))  # b q s*s *
    pictures = drawn.transpose(2, 3).unflatten(3, (size, size))
    return Reprojection(*pictures.split([3, 1, 1, 1, drawn.shape[-1] - 6], dim=2))
