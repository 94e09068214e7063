"""Views predicted on a processor by a model whose layers share one core, in a third of the time.

The results are those of `PlaceNet`'s layers one after another, to rounding. What they repeat is left out:

- A convolution of channels side by side is the sum of convolutions of each. The core's parts for the viewpoint, R and
  the reprojected picture are the same at all layers, and made once for a view.
- What attention adds is weights (places x tokens) times values (tokens x channels). While there are fewer tokens than
  channels, the values take the core's weights into themselves, and the weights are convolved instead of the sum.
- All these convolutions are done as Winograd's products (winograd.py), whose sums are formed before the way back. The
  prior's head reads the same hidden state as the core, within the same product.
- The first layer's hidden state is 0.
- Painting the canvas and the image head's first convolution of it are both linear: one transposed convolution.

Weights are made ready for this once, so they must not change any more. float32 only: Winograd's rounding is too coarse
for less.

Shapes: b scenes, q query views of each, n = b * q, g grid size, s image size, d hidden channels, c
`representation_channels`, t tokens of all modalities, v and tiles as in winograd.py.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from placenet_ros.model.attention import MOST_TOKENS_SCORED_AT_ONCE
from placenet_ros.model.config import GRID_STRIDE
from placenet_ros.model.convolution import side_by_side
from placenet_ros.model.cores import gated, viewpoint_maps
from placenet_ros.model.layer import mean_and_std
from placenet_ros.model.viewpoints import VIEWPOINT_SIZE
from placenet_ros.model.winograd import WinogradConvolution

if TYPE_CHECKING:
    from placenet_ros.model.placenet import ImageHead, Painting, PlaceNet, SceneRepresentation


class SharedCorePrediction:
    """`paint` is what a model predicts; the model shares its core, is on the CPU and in float32."""

    def __init__(self, model: PlaceNet) -> None:
        config, (core,) = model.config, model.generation_cores
        self._model, self._core = model, core
        self._way = WinogradConvolution(core.cell.gates.kernel_size[0], config.grid_size)
        weights = self._way.weights(core.cell.gates.weight)  # v, channels in, 4*d
        hidden, same, self._total, reprojected, self._latent = weights.split(
            [config.hidden_channels, VIEWPOINT_SIZE, config.representation_channels,
             config.reprojection_channels if config.reprojection else 0, config.latent_channels], dim=1)
        self._hidden = torch.cat([hidden, self._way.weights(model.prior_head.weight)], dim=2)  # v, d, 4*d + prior's
        self._same = torch.cat([same, reprojected], dim=1)
        self._head = _HeadOfStates(model.image_head, core.up_hidden)

    def paint(self, scene: SceneRepresentation, query_viewpoints: Tensor, noise: Tensor, temperature: float,
              between: Callable[[], None] | None) -> Painting:
        """The n views at (b, q, 7), by latents from the prior with noise (l, n, latent channels, g, g).

        temperature, between: as in `PlaceNet.predict_view`.
        """
        (b, q), config, way = query_viewpoints.shape[:2], self._model.config, self._way
        viewpoint, = viewpoint_maps([self._core], query_viewpoints.flatten(0, 1))
        attended, reprojected, seen = self._model.scene_at_queries(scene, query_viewpoints, viewpoint.dtype)
        same = way.outputs(way.inputs(side_by_side([viewpoint, *reprojected])) @ self._same, b * q)
        same = same + self._core.cell.gates.bias[:, None, None]
        beside, changing = attended, self._total[:, None]  # R and attention at a hidden state, and their weights
        if attended.tokens < min(config.representation_channels, MOST_TOKENS_SCORED_AT_ONCE):
            total = scene.total.expand(-1, -1, config.grid_size, config.grid_size)
            same = same + way.outputs(way.inputs(total) @ self._total, b).repeat_interleave(q, dim=0)
            beside, changing = attended.weights, attended.values @ self._total[:, None]  # v b t 4*d
        changing = torch.cat([self._latent[:, None].expand(-1, b, -1, -1), changing.expand(-1, b, -1, -1)], dim=2)

        blank = same.new_zeros(b * q, config.grid_size, config.grid_size, config.hidden_channels).movedim(-1, 1)
        hidden = cell = painted = blank
        prior = self._model.prior_head.bias[:, None, None].expand(b * q, -1, config.grid_size, config.grid_size)
        products: Tensor | None = None  # of the hidden state; None: it is 0
        for number in range(config.layers):
            if number:
                products, prior = (way.inputs(hidden) @ self._hidden).split(
                    [4 * config.hidden_channels, 2 * config.latent_channels], dim=2)
                prior = way.outputs(prior, b * q) + self._model.prior_head.bias[:, None, None]
            mean, std = mean_and_std(prior)
            latent = mean + temperature * std * noise[number]
            inputs = way.inputs(side_by_side([latent, beside(hidden)]))
            others = (inputs.unflatten(1, (b, -1)) @ changing).flatten(1, 2)
            gates = way.outputs(others if products is None else others.add_(products), b * q) + same
            hidden, cell = gated(gates, cell)
            painted = painted + hidden
            if between is not None:
                between()
        return self._head(painted, seen)


class _HeadOfStates:
    """The image head, of the sum of the layers' hidden states (n, d, g, g) instead of the canvas painted from them."""

    def __init__(self, head: ImageHead, up_hidden: nn.ConvTranspose2d) -> None:
        self._head, self._weight, self._bias, self._seen = head, up_hidden.weight, None, None
        self._margin = 0
        if head.blend is not None:
            first, canvas = head.blend[0], up_hidden.out_channels
            self._margin, self._bias = first.padding[0], first.bias
            # What a state paints, 4 x 4 pixels, as the first convolution makes 6 x 6 of it.
            self._weight = F.conv2d(up_hidden.weight, first.weight[:, :canvas], padding=first.kernel_size[0] - 1)
            self._seen = first.weight[:, canvas:].contiguous(memory_format=torch.channels_last)

    def __call__(self, painted: Tensor, seen: Tensor | None) -> Painting:
        """seen: reprojected picture (n, *, s, s) or None."""
        canvas = F.conv_transpose2d(painted, self._weight, self._bias, GRID_STRIDE, self._margin)
        if self._seen is not None:
            canvas = canvas + F.conv2d(seen, self._seen, padding=self._margin)
            canvas = self._head.blend[1:](canvas)
        return self._head.paint(canvas, seen)
