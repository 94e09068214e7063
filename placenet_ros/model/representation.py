"""Representation networks of the GQN (Eslami et al., Science 2018): one observation's picture and viewpoint to
features.

Each has two steps, so that an observation can be given a new pose without seeing its picture again:
`appearance(pictures)` needs no viewpoint, `features(appearance, viewpoints)` adds it.

Shapes: n pictures, c channels of the features, s image size, g grid size (s / 4).
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from placenet_ros.model.config import PlaceNetConfig
from placenet_ros.model.convolution import Finish, rectified, side_by_side
from placenet_ros.model.viewpoints import VIEWPOINT_SIZE


def broadcast(viewpoints: Tensor, size: int) -> Tensor:
    """(n, 7) -> (n, 7, size, size): the same viewpoint at every place."""
    return viewpoints[:, :, None, None].expand(-1, -1, size, size)


class Tower(nn.Module):
    """'tower': (n, 3, s, s) pictures and (n, 7) viewpoints -> (n, c, g, g) features, ReLU after every convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Conv2d(3, channels, 2, stride=2)
        self.conv2 = nn.Conv2d(channels, channels, 2, stride=2)
        self.conv3 = nn.Conv2d(channels, half, 3, padding=1)
        self.conv4 = nn.Conv2d(half, channels, 2, stride=2)
        self.conv5 = nn.Conv2d(channels + VIEWPOINT_SIZE, channels, 3, padding=1)
        self.conv6 = nn.Conv2d(channels + VIEWPOINT_SIZE, half, 3, padding=1)
        self.conv7 = nn.Conv2d(half, channels, 3, padding=1)
        self.conv8 = nn.Conv2d(channels, channels, 1)
        self.finish: Finish | None = None  # training may put a compiled one here

    def appearance(self, pictures: Tensor) -> Tensor:
        """(n, 3, s, s) -> (n, c, g, g)."""
        x = pictures.to(self.conv1.weight.dtype, memory_format=torch.channels_last)
        x = rectified(self.conv1, x, self.finish)
        skip = rectified(self.conv2, x, self.finish)
        return rectified(self.conv4, rectified(self.conv3, x, self.finish), self.finish, beside=skip)

    def features(self, appearance: Tensor, viewpoints: Tensor) -> Tensor:
        """(n, c, g, g) and (n, 7) -> (n, c, g, g)."""
        x = side_by_side([appearance, broadcast(viewpoints, appearance.shape[-1])])
        skip = rectified(self.conv5, x, self.finish)
        x = rectified(self.conv7, rectified(self.conv6, x, self.finish), self.finish, beside=skip)
        return rectified(self.conv8, x, self.finish)


class Pool(Tower):
    """'pool': the tower, averaged over its places: (n, c, 1, 1)."""

    def features(self, appearance: Tensor, viewpoints: Tensor) -> Tensor:
        return super().features(appearance, viewpoints).mean(dim=(2, 3), keepdim=True)


class Pyramid(nn.Module):
    """'pyramid': the viewpoint joins the picture before the first convolution, so that a new pose costs a whole pass.

    Each of three convolutions of kernel 2 halves the picture, the last takes all that is left: (n, c, 1, 1).
    """

    def __init__(self, channels: int, image_size: int) -> None:
        super().__init__()
        half, quarter = channels // 2, max(channels // 4, 1)
        self.conv1 = nn.Conv2d(3 + VIEWPOINT_SIZE, quarter, 2, stride=2)
        self.conv2 = nn.Conv2d(quarter, quarter, 2, stride=2)
        self.conv3 = nn.Conv2d(quarter, half, 2, stride=2)
        self.conv4 = nn.Conv2d(half, channels, image_size // 8)

    def appearance(self, pictures: Tensor) -> Tensor:
        return pictures.to(self.conv1.weight.dtype)

    def features(self, appearance: Tensor, viewpoints: Tensor) -> Tensor:
        x = torch.cat([appearance, broadcast(viewpoints, appearance.shape[-1]).to(appearance.dtype)], dim=1)
        for convolution in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = F.relu(convolution(x))
        return x


def representation_network(config: PlaceNetConfig, channels: int) -> nn.Module:
    """The network that `config.tower` names, its features of so many channels."""
    if config.tower == "pyramid":
        return Pyramid(channels, config.image_size)
    return {"tower": Tower, "pool": Pool}[config.tower](channels)
