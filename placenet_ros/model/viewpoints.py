"""What the model knows of a camera's pose: viewpoints, seven numbers relative to an anchor.

A *camera pose* is (x, y, z, yaw, pitch) in a world frame by REP 103 (metres, x forward, y left, z up): yaw
counter-clockwise about z, 0 looking along +x; pitch positive when looking up; both in radians. An *anchor* is (x, y,
z, yaw) in the same frame. A *viewpoint* is what the networks read: position relative to the anchor divided by
`position_scale`, cos yaw, sin yaw, cos pitch, sin pitch (cosines first, as in PlaceNet, MODEL.md "Notation").

Shapes: `...` is any batch. Tensors only; poses as robots report them are in `placenet_ros.scene.viewpoints`.
"""
from __future__ import annotations

import torch
from torch import Tensor

VIEWPOINT_SIZE = 7


def relative_viewpoints(poses: Tensor, anchors: Tensor, position_scale: float) -> Tensor:
    """Viewpoints of camera poses as seen from anchors.

    Args:
        poses: (..., 5) x, y, z (metres), yaw, pitch (radians), world frame.
        anchors: (..., 4) x, y, z (metres), yaw (radians), world frame; broadcast against `poses`.
        position_scale: metres that one unit of a viewpoint's position stands for.

    Returns:
        (..., 7) viewpoints.
    """
    offset = poses[..., :3] - anchors[..., :3]
    cos_a, sin_a = anchors[..., 3].cos(), anchors[..., 3].sin()
    forward = cos_a * offset[..., 0] + sin_a * offset[..., 1]
    left = cos_a * offset[..., 1] - sin_a * offset[..., 0]
    yaw, pitch = poses[..., 3] - anchors[..., 3], poses[..., 4]
    position = torch.stack([forward, left, offset[..., 2]], dim=-1) / position_scale
    return torch.cat([position, torch.stack([yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin()], dim=-1)], dim=-1)


def camera_axes(viewpoints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Unit vectors (right, down, forward) of a camera's optical frame, each (..., 3), in the anchor's frame."""
    cos_yaw, sin_yaw, cos_pitch, sin_pitch = viewpoints[..., 3:].unbind(-1)
    right = torch.stack([sin_yaw, -cos_yaw, torch.zeros_like(cos_yaw)], dim=-1)
    down = torch.stack([sin_pitch * cos_yaw, sin_pitch * sin_yaw, -cos_pitch], dim=-1)
    forward = torch.stack([cos_pitch * cos_yaw, cos_pitch * sin_yaw, sin_pitch], dim=-1)
    return right, down, forward
