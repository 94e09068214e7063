"""The recurrent cores: ConvLSTMs that infer latents from the query image and generate the canvas from them.

Shapes: n query views, g grid size, s image size (4 g); channel counts as in PlaceNetConfig.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn

from placenet_ros.model.config import GRID_STRIDE, PlaceNetConfig
from placenet_ros.model.viewpoints import VIEWPOINT_SIZE

IMAGE_CHANNELS = 3


class ConvLSTMCell(nn.Module):
    """Convolutional LSTM (Shi et al. 2015), kernel 5, the same padding, without peepholes."""

    def __init__(self, in_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(in_channels + hidden_channels, 4 * hidden_channels, 5, padding=2)

    def forward(self, inputs: list[Tensor], hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (n, *, g, g), hidden and cell (n, hidden, g, g) -> new hidden and cell."""
        gates = self.gates(torch.cat([hidden] + [x.to(hidden.dtype) for x in inputs], dim=1))
        enter, forget, leave, candidate = gates.chunk(4, dim=1)
        cell = forget.sigmoid() * cell + enter.sigmoid() * candidate.tanh()
        return (leave.sigmoid() * cell.tanh()).to(hidden.dtype), cell


class InferenceCore(nn.Module):
    """One inference step: what the query image says beyond the representation."""

    def __init__(self, config: PlaceNetConfig, scene_channels: int) -> None:
        super().__init__()
        self.down_image = nn.Conv2d(IMAGE_CHANNELS, IMAGE_CHANNELS, GRID_STRIDE, stride=GRID_STRIDE, bias=False)
        self.down_canvas = nn.Conv2d(config.canvas_channels, config.canvas_channels, GRID_STRIDE, stride=GRID_STRIDE,
                                     bias=False)
        self.up_viewpoint = nn.ConvTranspose2d(VIEWPOINT_SIZE, VIEWPOINT_SIZE, config.grid_size, bias=False)
        self.cell = ConvLSTMCell(config.hidden_channels + IMAGE_CHANNELS + VIEWPOINT_SIZE + scene_channels
                                 + config.canvas_channels, config.hidden_channels)

    def forward(self, image: Tensor, viewpoint: Tensor, scene: Tensor, canvas: Tensor, generation_hidden: Tensor,
                hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Image (n, 3, s, s), viewpoint (n, 7), scene (n, *, g, g), canvas (n, *, s, s) -> new hidden and cell."""
        inputs = [generation_hidden, self.down_image(image), self.up_viewpoint(viewpoint[:, :, None, None]), scene,
                  self.down_canvas(canvas)]
        return self.cell(inputs, hidden, cell)


class GenerationCore(nn.Module):
    """One generation step: paints what a latent says onto the canvas."""

    def __init__(self, config: PlaceNetConfig, scene_channels: int) -> None:
        super().__init__()
        self.up_viewpoint = nn.ConvTranspose2d(VIEWPOINT_SIZE, VIEWPOINT_SIZE, config.grid_size, bias=False)
        self.up_hidden = nn.ConvTranspose2d(config.hidden_channels, config.canvas_channels, GRID_STRIDE,
                                            stride=GRID_STRIDE, bias=False)
        self.cell = ConvLSTMCell(VIEWPOINT_SIZE + scene_channels + config.latent_channels, config.hidden_channels)

    def forward(self, viewpoint: Tensor, scene: Tensor, latent: Tensor, canvas: Tensor, hidden: Tensor,
                cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Viewpoint (n, 7), scene (n, *, g, g), latent (n, *, g, g), canvas (n, *, s, s) -> canvas, hidden, cell."""
        hidden, cell = self.cell([self.up_viewpoint(viewpoint[:, :, None, None]), scene, latent], hidden, cell)
        return canvas + self.up_hidden(hidden), hidden, cell
