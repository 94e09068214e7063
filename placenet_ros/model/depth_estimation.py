"""Depth of an observation estimated from its colours alone, for robots without a depth camera.

What it says takes the place of measured depth where observations come without: their colours can then be carried into
a query's view all the same (`reprojection.py`), less exactly. Its uncertainty goes along. It learns from the depth
that training data has, whether or not the rest of the network was given that depth.

A small U-Net (Ronneberger et al. 2015) with residual blocks: half the image's size at the finest level, so that a
robot's processor does it in a few milliseconds, and brought back by a pixel shuffle.

Shapes: n pictures, s image size.
"""
from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from placenet_ros.model.convolution import Finish, rectified

TYPICAL_DEPTH_M = 2.0  # what an untrained network says everywhere
TYPICAL_LOG_ERROR = 0.5  # how wrong it says that is
GROWTH = (1, 2, 3, 4)  # channels of each level, in multiples of the finest's; each level halves the size
LEAST_LOG_ERROR, GREATEST_LOG_ERROR = 0.01, 2.0


class DepthEstimate(NamedTuple):
    """Depth along the optical axis, as a Laplace distribution of its logarithm."""

    log_metres: Tensor  # n 1 s s, float32: the location
    log_error: Tensor  # n 1 s s, float32: the scale, which is the mean absolute error to expect of the location

    @property
    def metres(self) -> Tensor:
        return self.log_metres.exp()


class _Block(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, finish: Finish | None) -> Tensor:
        return rectified(self.conv2, rectified(self.conv1, x, finish), finish, inside=x)


class DepthEstimator(nn.Module):
    """(n, 3, s, s) colours in [0, 1] -> DepthEstimate. `channels`: of the finest level."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = [channels * growth for growth in GROWTH]
        self.stem = nn.Conv2d(3, channels, 4, stride=2, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in zip(widths, widths[1:]))
        self.blocks_down = nn.ModuleList(_Block(width) for width in widths)
        self.whole = nn.Linear(widths[-1], widths[-1])
        self.up = nn.ModuleList(nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in zip(widths, widths[1:]))
        self.blocks_up = nn.ModuleList(_Block(width) for width in widths[:-1])
        self.head = nn.Conv2d(channels, 2 * 4, 3, padding=1)
        self.finish: Finish | None = None  # training may put a compiled one here
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():
            self.head.bias[:4] = math.log(TYPICAL_DEPTH_M)
            self.head.bias[4:] = math.log(TYPICAL_LOG_ERROR)

    def forward(self, colours: Tensor) -> DepthEstimate:
        finish, skipped = self.finish, []
        x = rectified(self.stem, (colours - 0.5).to(self.stem.weight.dtype), finish)
        for block, down in zip(self.blocks_down, self.down):
            x = block(x, finish)
            skipped.append(x)
            x = rectified(down, x, finish)
        x = self.blocks_down[-1](x, finish)
        x = x + self.whole(x.mean(dim=(2, 3)))[:, :, None, None]  # how large the room is shows in the whole picture
        for block, up in reversed(list(zip(self.blocks_up, self.up))):
            skip = skipped.pop()
            x = _shuffled(up(x))[..., :skip.shape[2], :skip.shape[3]]
            x = block(x + skip, finish)
        location, scale = _shuffled(self.head(x).float()).chunk(2, dim=1)
        bounds = math.log(LEAST_LOG_ERROR), math.log(GREATEST_LOG_ERROR)
        return DepthEstimate(location, scale.clamp(*bounds).exp())


def _shuffled(x: Tensor) -> Tensor:
    """`F.pixel_shuffle(x, 2)`, (n, 4 c, h, w) -> (n, c, 2 h, 2 w), but in channels_last, which convolutions read."""
    n, channels, h, w = x.shape
    blocks = x.movedim(1, -1).unflatten(-1, (channels // 4, 2, 2))  # n h w c (row, column)
    return blocks.permute(0, 1, 4, 2, 5, 3).reshape(n, 2 * h, 2 * w, channels // 4).movedim(-1, 1)


def depth_log_likelihood(estimate: DepthEstimate, metres: Tensor) -> Tensor:
    """log p of the logarithm of measured depth (n, 1, s, s), elementwise, in nats; 0 where none was measured (0)."""
    measured = metres > 0
    error = (metres.clamp(min=1e-3).log() - estimate.log_metres).abs()
    return torch.where(measured, -error / estimate.log_error - torch.log(2 * estimate.log_error), error.new_zeros(()))
