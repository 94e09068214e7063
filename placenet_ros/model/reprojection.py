"""The observations carried into a query's view by their depth: what was seen there, by geometry alone.

    point_cloud: what the observations saw, where its depth is measured or estimated, as coloured points in space
    draw_points: each point drawn into the query's pixel that it falls into, the nearest kept: the plain way, a baseline
    reproject:   only depth is drawn so; its gaps are closed, and each pixel then looks its colour up where an
                 observation saw that very place of the surface

Points drawn one pixel each leave gaps wherever the query is nearer than the observations were, and let farther
surfaces shine through: with three observations, of 60 % of the pixels that were seen only 47 % are hit. Looking up
closes these gaps and takes colours from between the pixels.

All this is without weights: it tells the networks what was seen from where the query looks, so that they need to learn
only the rest (MODEL.md "A trial, and what it says").

Shapes: b scenes, m observations, q query views, s image size, p = m * s * s points, k channels. Coordinates in metres,
    in the anchor's frame. Float32 whatever the networks run in: autocasting leaves these operations alone.
"""
from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from placenet_ros.model.viewpoints import camera_axes

NEAREST_M = 0.05  # points nearer to a camera than this are not drawn
FARTHEST_M = 1000.0  # depth from here on is no measurement: simulators write huge numbers where nothing was hit
HALF_CERTAIN_LOG_ERROR = 0.1  # an estimate that is about 10 % off counts half as much as a measurement
GAP_RADII = (1, 2, 3)  # pixels: gaps of up to twice that width are closed, narrow ones first
SAME_SURFACE = 0.1  # depths that differ by less, relative to them, are of one surface
SAME_SURFACE_M = 0.02  # and by less than this in any case
PARALLAX_COST = 20.0  # metres that an error of all of the depth counts for each metre between the cameras
NOTHING = torch.iinfo(torch.int64).max


class PointCloud(NamedTuple):
    """What m observations saw of b scenes: a point for each pixel."""

    positions: Tensor  # b m s s 3, metres, anchor's frame
    depth: Tensor  # b m 1 s s, metres along the observation's optical axis; 0: not known, no point
    log_error: Tensor  # b m 1 s s, error to expect of the depth's logarithm; 0: measured
    pictures: Tensor  # b m k s s: colours in [0, 1], and behind them what else was given
    viewpoints: Tensor  # b m 7


class Reprojection(NamedTuple):
    """What a query's camera sees of a PointCloud; 0 where that is nothing."""

    colour: Tensor  # b q 3 s s, [0, 1]
    depth: Tensor  # b q 1 s s, metres along the optical axis
    mask: Tensor  # b q 1 s s, 1 where something was seen
    certainty: Tensor  # b q 1 s s, 1 where depth was measured, less where it was estimated
    further: Tensor  # b q (k-3) s s, what else the points carry


def pixel_rays(size: int, field_of_view_degrees: float, device: torch.device) -> Tensor:
    """(s,): tangents of the angle to the optical axis at the centres of a row's (or column's) pixels, first to last."""
    return (torch.arange(size, device=device, dtype=torch.float32) + 0.5 - size / 2) / _focal(
        size, field_of_view_degrees)


def point_cloud(rgb: Tensor, depth: Tensor, viewpoints: Tensor, position_scale: float, field_of_view_degrees: float,
                log_error: Tensor | None = None, further: Tensor | None = None) -> PointCloud:
    """Points of rgb (b, m, 3, s, s) in [0, 1] with depth (b, m, 1, s, s) in metres (0 = none), seen from (b, m, 7).

    log_error: (b, m, 1, s, s), error to expect of the depth's logarithm; None: measured, without error.
    further: (b, m, *, s, s), whatever else the points are to carry.
    """
    depth = torch.where(depth < FARTHEST_M, depth, torch.zeros_like(depth)).float()
    positions = _surface(viewpoints, depth[:, :, 0], position_scale, field_of_view_degrees)
    log_error = torch.zeros_like(depth) if log_error is None else log_error.float()
    pictures = rgb if further is None else torch.cat([rgb, further], dim=2)
    return PointCloud(positions, depth, log_error, pictures.float().contiguous(), viewpoints)


def draw_points(cloud: PointCloud, query_viewpoints: Tensor, position_scale: float,
                field_of_view_degrees: float) -> Reprojection:
    """Draw points into the query views (b, q, 7): each fills one pixel, the nearest wins.

    A pixel's winner is the smallest of (depth in millimetres, index of the point): the same on every device, whatever
    the order of execution.
    """
    size = cloud.depth.shape[-1]
    forward, pixel = _pixels(cloud, query_viewpoints, position_scale, field_of_view_degrees)
    index = torch.arange(forward.shape[-1], device=forward.device)
    key = ((forward * 1000.0).long() << 32) | index
    nearest = torch.full((*pixel.shape[:2], size * size + 1), NOTHING, dtype=torch.int64, device=key.device)
    nearest = nearest.scatter_reduce(2, pixel, key, "amin")[..., :-1]
    seen = nearest != NOTHING
    winner = torch.where(seen, nearest & 0xFFFFFFFF, torch.zeros_like(nearest))
    error, pictures = cloud.log_error.flatten(1), cloud.pictures.transpose(1, 2).flatten(2)  # b p, b k p
    drawn = _picked(torch.cat([pictures, error[:, None]], dim=1), winner)
    return _finished(drawn, forward.gather(2, winner), seen, size)


def reproject(cloud: PointCloud, query_viewpoints: Tensor, position_scale: float,
              field_of_view_degrees: float) -> Reprojection:
    """What the query views (b, q, 7) see of the points' surfaces, gaps between the points closed.

    Where several observations saw a pixel's place, the nearest to it shows it, those of uncertain depth the less the
    farther they stand from the query: there, an error of the depth shifts the picture most. The same on every device,
    whatever the order of execution.
    """
    b, m, k, size, _ = cloud.pictures.shape
    forward, pixel = _pixels(cloud, query_viewpoints, position_scale, field_of_view_degrees)
    drawn = forward.new_full((*pixel.shape[:2], size * size + 1), FARTHEST_M)
    drawn = drawn.scatter_reduce(2, pixel, forward, "amin")
    depth = closed_gaps(drawn[..., :-1].unflatten(2, (size, size)))  # b q s s
    places = _surface(query_viewpoints, depth, position_scale, field_of_view_degrees).flatten(1, 3)  # b q*s*s 3

    # Where each observation would have seen that place, and whether it did.
    right, down, distance = _in_cameras(places[:, None], cloud.viewpoints, position_scale)  # b m q*s*s
    focal, safe = _focal(size, field_of_view_degrees), distance.clamp(min=NEAREST_M)
    column, row = focal * right / safe + size / 2, focal * down / safe + size / 2
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size) & (distance > NEAREST_M)
    there = (row.clamp(0, size - 1).long() * size + column.clamp(0, size - 1).long())
    seen_depth, error = (x.flatten(2).gather(2, there) for x in (cloud.depth, cloud.log_error))
    tolerance = (SAME_SURFACE + error) * distance + SAME_SURFACE_M
    seen = inside & (seen_depth > 0) & ((seen_depth - distance).abs() < tolerance)
    seen = seen & (depth < FARTHEST_M).flatten(1)[:, None]
    cost = distance + PARALLAX_COST * error * _between(cloud.viewpoints, query_viewpoints, size) * position_scale
    best = torch.where(seen, cost, torch.full_like(cost, FARTHEST_M)).argmin(dim=1, keepdim=True)  # b 1 q*s*s

    # Its colours there, between four pixels.
    column, row, error, seen = (x.gather(1, best)[:, 0] for x in (column, row, error, seen))
    pictures = cloud.pictures.transpose(1, 2).flatten(2)  # b k m*s*s
    left, above = (column - 0.5).clamp(0, size - 1), (row - 0.5).clamp(0, size - 1)
    x, y = left.floor(), above.floor()
    across, along = (left - x)[:, None], (above - y)[:, None]
    start = best[:, 0] * (size * size) + y.long() * size + x.long()
    one, line = (x < size - 1).long(), (y < size - 1).long() * size
    corners = [_picked(pictures, start + step) for step in (0, one, line, one + line)]
    upper, lower = (torch.lerp(corners[i], corners[i + 1], across) for i in (0, 2))
    colours = torch.cat([torch.lerp(upper, lower, along), error[:, None]], dim=1)
    shape = (query_viewpoints.shape[1], size * size)
    return _finished(colours.unflatten(2, shape), depth.flatten(2), seen.unflatten(1, shape), size)


def closed_gaps(depth: Tensor) -> Tensor:
    """Depth images (b, q, s, s), FARTHEST_M where there is none, with the gaps between points of a surface closed.

    A morphological closing: the least depth around, then the greatest of these around. So a gap inside a surface, and
    a farther point that shines through it, get the surface's depth, while its outer edge grows by one pixel only.
    """
    def closed(radius: int) -> Tensor:
        window = {"kernel_size": 2 * radius + 1, "stride": 1, "padding": radius}
        return F.max_pool2d(-F.max_pool2d(-depth, **window), **window)

    surface = closed(GAP_RADII[0])
    for radius in GAP_RADII[1:]:
        surface = torch.where(surface < FARTHEST_M, surface, closed(radius))
    own = (depth < FARTHEST_M) & ((depth - surface).abs() < SAME_SURFACE * surface)  # points of that surface
    near, sum_of_depths = (F.avg_pool2d(x, 3, 1, 1) for x in (own.float(), own * depth))
    between = torch.where(near > 0, sum_of_depths / near.clamp(min=1e-6), surface)
    return torch.where(own, depth, between)


def _focal(size: int, field_of_view_degrees: float) -> float:
    return 0.5 * size / math.tan(math.radians(field_of_view_degrees) / 2)


def _surface(viewpoints: Tensor, depth: Tensor, position_scale: float, field_of_view_degrees: float) -> Tensor:
    """Places (b, m, s, s, 3) that cameras at (b, m, 7) see at depth (b, m, s, s)."""
    tangents = pixel_rays(depth.shape[-1], field_of_view_degrees, depth.device)
    right, down, forward = (axis[:, :, None, None] for axis in camera_axes(viewpoints.float()))  # b m 1 1 3
    rays = forward + tangents[None, :, None] * right + tangents[:, None, None] * down
    return viewpoints[:, :, None, None, :3].float() * position_scale + depth[..., None] * rays


def _in_cameras(places: Tensor, viewpoints: Tensor, position_scale: float) -> list[Tensor]:
    """Right, down and forward, metres, each (b, m, p), of places (b, 1, p, 3) from cameras at (b, m, 7)."""
    offsets = places - viewpoints[:, :, None, :3].float() * position_scale
    x, y, z = offsets.movedim(-1, 0).contiguous()  # five times as fast as sums over a last dimension of three
    axes = [axis[:, :, None].unbind(-1) for axis in camera_axes(viewpoints.float())]  # b m 1
    return [torch.addcmul(torch.addcmul(x * along[0], y, along[1]), z, along[2]) for along in axes]


def _between(viewpoints: Tensor, query_viewpoints: Tensor, size: int) -> Tensor:
    """Distance (b, m, q*s*s), in units of viewpoints, of each observation's camera from that of each query's pixel."""
    offsets = viewpoints[:, :, None, :3].float() - query_viewpoints[:, None, :, :3].float()
    return offsets.norm(dim=-1).repeat_interleave(size * size, dim=2)


def _pixels(cloud: PointCloud, query_viewpoints: Tensor, position_scale: float,
            field_of_view_degrees: float) -> tuple[Tensor, Tensor]:
    """Depth of the points in the queries' cameras (b, q, p), and the pixel that each falls into; s * s: none."""
    size = cloud.depth.shape[-1]
    points = cloud.positions.flatten(1, 3)[:, None]
    right, down, forward = _in_cameras(points, query_viewpoints, position_scale)
    focal, safe = _focal(size, field_of_view_degrees), forward.clamp(min=NEAREST_M)
    column, row = torch.floor(focal * right / safe + size / 2), torch.floor(focal * down / safe + size / 2)
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    inside = inside & (cloud.depth > 0).flatten(1)[:, None] & (forward > NEAREST_M)
    return safe, torch.where(inside, row * size + column, torch.full_like(row, size * size)).long()


def _picked(pictures: Tensor, index: Tensor) -> Tensor:
    """Of pictures (b, k, n) what stands at index (b, ...): (b, k, ...)."""
    flat = index.flatten(1)[:, None].expand(-1, pictures.shape[1], -1)
    return pictures.gather(2, flat).unflatten(2, index.shape[1:])


def _finished(drawn: Tensor, depth: Tensor, seen: Tensor, size: int) -> Reprojection:
    """Of colours, further channels and log error (b, k + 1, q, s*s), depth and seen (b, q, s*s)."""
    drawn = drawn.transpose(1, 2)  # b q k+1 s*s
    certainty = 1.0 / (1.0 + drawn[:, :, -1:] / HALF_CERTAIN_LOG_ERROR)
    mask, depth = seen[:, :, None], depth[:, :, None]
    everything = torch.cat([drawn[:, :, :3], depth, torch.ones_like(depth), certainty, drawn[:, :, 3:-1]], dim=2)
    everything = torch.where(mask, everything, torch.zeros_like(everything)).unflatten(3, (size, size))
    return Reprojection(*everything.split([3, 1, 1, 1, everything.shape[2] - 6], dim=2))
