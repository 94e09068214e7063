"""How each modality of an observation becomes a picture of three channels in [0, 1] that the tower reads.

`r` (rgb) is the colour image itself, `d` (depth) the metric depth scaled by a fixed range, `o` (objects) the class
ids painted in a fixed palette.
"""
from __future__ import annotations

import colorsys

import torch
from torch import Tensor

MODALITIES = "rdo"
DEPTH_RANGE_M = 10.0  # depth at and beyond which the tower sees white: an indoor depth camera's range


def depth_picture(depth: Tensor) -> Tensor:
    """(..., 1, h, w) depth in metres, 0 where none was measured -> (..., 3, h, w) in [0, 1]."""
    scaled = (depth / DEPTH_RANGE_M).clamp(0.0, 1.0)
    return scaled.expand(*depth.shape[:-3], 3, *depth.shape[-2:])


def class_colours() -> Tensor:
    """The palette, (256, 3) in [0, 1]: a fixed colour for each class id; id 0 (nothing known) is black.

    Hues step by the golden ratio, so that ids near each other differ clearly.
    """
    golden_ratio = 0.618033988749895
    rows = [(0.0, 0.0, 0.0)]
    for class_id in range(1, 256):
        hue = (class_id * golden_ratio) % 1.0
        rows.append(colorsys.hsv_to_rgb(hue, 0.55 + 0.45 * (class_id % 3) / 2, 0.6 + 0.4 * (class_id % 2)))
    return torch.tensor(rows, dtype=torch.float32)


def objects_picture(class_ids: Tensor, palette: Tensor) -> Tensor:
    """(..., h, w) uint8 class ids -> (..., 3, h, w) in [0, 1], painted with `palette` (256, 3) of `class_colours`."""
    return palette[class_ids.long()].movedim(-1, -3)
