"""The recurrent cores: ConvLSTMs that infer latents from the query image and generate the canvas from them.

The canvas is a sum of what each layer's generation paints, and painting, a transposed convolution of kernel and stride
4, is linear. So it need not be made until the last layer: a `Canvas` remembers the hidden states and the weights that
paint them, and what an inference core reads of it is a product of two matrices with those states, on the grid. The
results are those of painting and reading 64 x 64 pixels at each layer, to rounding.

Shapes: n query views, g grid size, s image size (4 g), d hidden channels; channel counts as in PlaceNetConfig.
"""
from __future__ import annotations

from typing import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from placenet_ros.model.config import GRID_STRIDE, PlaceNetConfig
from placenet_ros.model.convolution import convolved, side_by_side
from placenet_ros.model.viewpoints import VIEWPOINT_SIZE

IMAGE_CHANNELS = 3


class ConvLSTMCell(nn.Module):
    """Convolutional LSTM (Shi et al. 2015), kernel 5, the same padding, without peepholes."""

    def __init__(self, in_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(in_channels + hidden_channels, 4 * hidden_channels, 5, padding=2)

    def forward(self, inputs: list[Tensor], hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (n, *, g, g), hidden and cell (n, d, g, g), the cell in float32 -> new hidden and cell."""
        return convolutional_lstm(self.gates, inputs, hidden, cell)


def convolutional_lstm(gates: nn.Conv2d, inputs: list[Tensor], hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """What a ConvLSTMCell computes with that convolution, whose outputs are input, forget, output and candidate."""
    values = convolved(gates, side_by_side([hidden, *inputs]))
    enter, forget, leave, candidate = values.chunk(4, dim=1)
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

    def forward(self, image: Tensor, viewpoint: Tensor, scene: list[Tensor], canvas: Tensor, generation_hidden: Tensor,
                hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """All at the grid, (n, *, g, g): image of `image_maps`, viewpoint of `viewpoint_maps`, scene in parts, canvas
        of `Canvas.read` -> new hidden and cell."""
        return self.cell([generation_hidden, image, viewpoint, *scene, canvas], hidden, cell)


class GenerationCore(nn.Module):
    """One generation step: what a latent says, in the state that `up_hidden` paints."""

    def __init__(self, config: PlaceNetConfig, scene_channels: int) -> None:
        super().__init__()
        self.up_viewpoint = nn.ConvTranspose2d(VIEWPOINT_SIZE, VIEWPOINT_SIZE, config.grid_size, bias=False)
        self.up_hidden = nn.ConvTranspose2d(config.hidden_channels, config.canvas_channels, GRID_STRIDE,
                                            stride=GRID_STRIDE, bias=False)
        self.cell = ConvLSTMCell(VIEWPOINT_SIZE + scene_channels + config.latent_channels, config.hidden_channels)

    def forward(self, viewpoint: Tensor, scene: list[Tensor], latent: Tensor, hidden: Tensor,
                cell: Tensor) -> tuple[Tensor, Tensor]:
        """All at the grid, (n, *, g, g): viewpoint of `viewpoint_maps`, scene in parts -> new hidden and cell."""
        return self.cell([viewpoint, *scene, latent], hidden, cell)


class Canvas:
    """The sum of what `up_hidden` of each layer's core painted, kept as what it was painted from.

    Args:
        blank: (n, canvas, g, g) of zeros: what is read before anything is painted.
    """

    def __init__(self, blank: Tensor) -> None:
        self._blank = blank
        self._brushes: list[nn.ConvTranspose2d] = []
        self._weights: list[Tensor] = []  # of each brush: d, canvas * 4 * 4
        self._hidden: list[Tensor] = []  # for each brush: n d g g, summed over the layers that share it

    def paint(self, up_hidden: nn.ConvTranspose2d, hidden: Tensor) -> None:
        """Add `up_hidden(hidden)`, hidden (n, d, g, g)."""
        if self._brushes and self._brushes[-1] is up_hidden:
            self._hidden[-1] = self._hidden[-1] + hidden.float()  # in float32, however many layers share the weights
            return
        self._brushes.append(up_hidden)
        self._weights.append(up_hidden.weight.to(hidden.dtype).flatten(1))
        self._hidden.append(hidden)

    def read(self, down_canvas: nn.Conv2d) -> Tensor:
        """`down_canvas` of the canvas, (n, canvas, g, g)."""
        down = down_canvas.weight.to(self._blank.dtype).flatten(1)
        if not self._hidden:  # zeros, but of these weights too: DDP waits for the gradient of each
            return self._blank + (down.new_zeros(1, down.shape[1]) @ down.t())[:, :, None, None]
        return self._product(torch.cat(self._weights) @ down.t())

    def picture(self) -> Tensor:
        """The canvas itself, (n, canvas, s, s)."""
        n, channels, g, _ = self._blank.shape
        by_pixel = [weight.unflatten(1, (channels, -1)).transpose(1, 2).flatten(1) for weight in self._weights]
        folded = self._product(torch.cat(by_pixel)).movedim(1, -1)  # n g g (row, column, canvas)
        pixels = folded.unflatten(3, (GRID_STRIDE, GRID_STRIDE, channels)).transpose(2, 3)  # n g row g column canvas
        return pixels.reshape(n, g * GRID_STRIDE, g * GRID_STRIDE, channels).movedim(-1, 1)

    def _product(self, weights: Tensor) -> Tensor:
        """States (n, *, g, g) of all brushes times weights (*, k) -> (n, k, g, g)."""
        hidden = side_by_side([state.to(self._blank.dtype) for state in self._hidden], multiple=1)
        return (hidden.movedim(1, -1) @ weights).movedim(-1, 1)


def viewpoint_maps(cores: Sequence[nn.Module], viewpoint: Tensor) -> list[Tensor]:
    """`up_viewpoint` of each core of a viewpoint (n, 7): (n, 7, g, g) each, of the type that the networks compute in.
    """
    weights = torch.stack([core.up_viewpoint.weight for core in cores])  # cores, 7 in, 7 out, g, g
    k, g = weights.shape[0], weights.shape[-1]
    rows = weights.permute(0, 3, 4, 2, 1).flatten(0, 3)  # (core, row, column, out), in
    maps = F.linear(viewpoint.to(rows.dtype), rows).view(-1, k, g, g, VIEWPOINT_SIZE)
    return list(maps.movedim(-1, 2).unbind(1))


def image_maps(cores: Sequence[InferenceCore], image: Tensor) -> list[Tensor]:
    """`down_image` of each core of an image (n, 3, s, s): (n, 3, g, g) each."""
    weights = torch.cat([core.down_image.weight for core in cores])
    return list(F.conv2d(image, weights.to(image.dtype), stride=GRID_STRIDE).chunk(len(cores), dim=1))
