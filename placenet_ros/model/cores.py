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
    new, cell = gated(convolved(gates, side_by_side([hidden, *inputs])), cell)
    return new.to(hidden.dtype), cell


def gated(values: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """New hidden and cell of the gates' outputs (n, 4 * d, g, g) and the cell before."""
    enter, forget, leave, candidate = values.chunk(4, dim=1)
    cell = forget.sigmoid() * cell + enter.sigmoid() * candidate.tanh()
    return leave.sigmoid() * cell.tanh(), cell


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
        up_hidden: what paints them: one for each layer, or one for all.
        down_canvas: what reads the canvas at each layer, likewise; none where nothing reads it.
        blank: (n, canvas, g, g) of zeros: what is read before anything is painted.
    """

    def __init__(self, up_hidden: Sequence[nn.ConvTranspose2d], down_canvas: Sequence[nn.Conv2d],
                 blank: Tensor) -> None:
        self._channels, self._shared = blank.shape[1], len(up_hidden) == 1
        self._states: list[Tensor] = []  # of each layer: n d g g; where one brush paints all: their sum, in float32
        self._brushes = _by_pixel(up_hidden, blank.dtype)  # k*d, (row, column, canvas)
        self._rows: Sequence[Tensor] = ()  # of each brush, for the readers one after another: d, k*canvas
        self._grid = (blank.shape[0], *blank.shape[2:])
        if down_canvas:
            readers = _by_pixel(down_canvas, blank.dtype).t()
            self._rows = (self._brushes @ readers).chunk(len(up_hidden))
            # n*g*g, canvas channels of each reading that is still to come. Zeros, but of the readers' weights too:
            # distributed training waits for the gradient of each.
            self._ahead = (readers.new_zeros(1, len(readers)) @ readers).expand(self._grid[0] * blank[0, 0].numel(), -1)

    def read(self) -> Tensor:
        """`down_canvas` of the canvas as it is, (n, canvas, g, g). Each layer's is read once, before it is painted."""
        if self._shared:
            here = self._ahead
            if self._states:
                here = self._states[0].to(here.dtype).movedim(1, -1).flatten(0, 2) @ self._rows[0]
        else:
            here, self._ahead = self._ahead.split([self._channels, self._ahead.shape[1] - self._channels], dim=1)
        return here.contiguous().unflatten(0, self._grid).movedim(-1, 1)  # laid out alike at every layer

    def paint(self, hidden: Tensor) -> None:
        """Add `up_hidden(hidden)`, hidden (n, d, g, g), of the next layer."""
        if self._shared:
            self._states = [hidden.float() + self._states[0] if self._states else hidden.float()]
            return
        self._states.append(hidden)
        if self._rows and self._ahead.shape[1]:
            rows = self._rows[len(self._states) - 1][:, -self._ahead.shape[1]:]
            self._ahead = torch.addmm(self._ahead, hidden.movedim(1, -1).flatten(0, 2), rows)

    def picture(self) -> Tensor:
        """The canvas itself, (n, canvas, s, s)."""
        n, g, _ = self._grid
        states = side_by_side([state.to(self._brushes.dtype) for state in self._states], multiple=1)
        folded = states.movedim(1, -1) @ self._brushes  # n g g (row, column, canvas)
        pixels = folded.unflatten(3, (GRID_STRIDE, GRID_STRIDE, self._channels)).transpose(2, 3)
        return pixels.reshape(n, g * GRID_STRIDE, g * GRID_STRIDE, self._channels).movedim(-1, 1)


def _by_pixel(convolutions: Sequence[nn.Module], dtype: torch.dtype) -> Tensor:
    """Weights (k, c, 4, 4) of each, one below the other: all k, (row, column, c). Free where they are channels_last."""
    return torch.cat([one.weight.permute(0, 2, 3, 1).flatten(1) for one in convolutions]).to(dtype)


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
