"""Views predicted on a processor, in float32, with fewer multiplications.

The results are those of `PlaceNet`'s layers one after another, to rounding. Where layers have cores of their own, the
cores' convolutions are done as Winograd's products (winograd.py). Where they share one, what they repeat is left out,
too:

- A convolution of channels side by side is the sum of convolutions of each. The core's parts for the viewpoint, R and
  the reprojected picture are the same at all layers, and made once for a view.
- What attention adds is weights (places x tokens) times values (tokens x channels). While there are fewer tokens than
  channels, the values take the core's weights into themselves, and the weights are convolved instead of the sum.
- The sums of Winograd's products are formed before the way back, and the hidden state is taken there once for the core
  and the prior's head.
- The first layer's hidden state is 0.
- Painting the canvas and the image head's first convolution of it are both linear: one transposed convolution.

Weights are made ready for this once, so they must not change any more: `PlaceNet` gives this up where it is loaded,
moved, cast or trained again. In memory they are 64 / 25 of the weights of the generation cores' gates, beside these: of
`placenet` 670 MB. float32 only: Winograd's rounding is too coarse for less.

Shapes: b scenes, q query views of each, n = b * q, g grid size, s image size, d hidden channels, c
`representation_channels`, t tokens of all modalities, v and tiles as in winograd.py.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Callable, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from placenet_ros.model.attention import MOST_TOKENS_SCORED_AT_ONCE
from placenet_ros.model.config import GRID_STRIDE
from placenet_ros.model.convolution import side_by_side
from placenet_ros.model.cores import Canvas, gated, viewpoint_maps
from placenet_ros.model.layer import mean_and_std, normal
from placenet_ros.model.viewpoints import VIEWPOINT_SIZE
from placenet_ros.model.winograd import WinogradConvolution

if TYPE_CHECKING:
    from placenet_ros.model.placenet import ImageHead, Painting, PlaceNet, SceneRepresentation


class _Layers(NamedTuple):
    """What all layers of n views have in common."""

    # (n, 4 * d, g, g): the gates' part that no layer changes, their bias with it.
    fixed_gates: Tensor
    # Of hidden states (n, d, g, g): R and attention (n, a, g, g), a = c, or the tokens' weights alone, a = t.
    attended: Callable[[Tensor], Tensor]
    # (v * b, latent channels + a, 4 * d): of each product, the core's weights of the latent and of `attended`.
    weights: Tensor


class OwnCoresPrediction:
    """`paint` is what a model predicts whose layers have cores of their own; it is on the CPU and in float32."""

    def __init__(self, model: PlaceNet) -> None:
        _check_processor_float32(model)
        assert not model.config.shared_core, "the model's layers must have cores of their own"
        self._model, self._winograd = model, WinogradConvolution(model.config.grid_size)
        self._weights = [self._winograd.weights(core.cell.gates.weight) for core in model.generation_cores]

    def paint(self, scene: SceneRepresentation, query_viewpoints: Tensor, noise: Tensor, temperature: float,
              between: Callable[[], None] | None) -> Painting:
        """As `SharedCorePrediction.paint`."""
        model, winograd = self._model, self._winograd
        config, n = model.config, query_viewpoints.shape[:2].numel()
        viewpoints = viewpoint_maps(model.generation_cores, query_viewpoints.flatten(0, 1))
        attended, beside, seen = model.scene_at_queries(scene, query_viewpoints, torch.float32)
        hidden, blank = (noise.new_zeros(n, config.grid_size, config.grid_size, channels).movedim(-1, 1)
                         for channels in (config.hidden_channels, config.canvas_channels))
        cell, canvas = hidden, Canvas([core.up_hidden for core in model.generation_cores], [], blank)
        for core, viewpoint, weights, noise_here in zip(model.generation_cores, viewpoints, self._weights, noise):
            mean, std = normal(model.prior_head, hidden)
            latent = mean + temperature * std * noise_here
            inputs = winograd.inputs(side_by_side([hidden, viewpoint, attended(hidden), *beside, latent]))
            gates = winograd.outputs(inputs @ weights, n) + core.cell.gates.bias[:, None, None]
            hidden, cell = gated(gates, cell)
            canvas.paint(hidden)
            if between is not None:
                between()
        return model.image_head(canvas.picture(), seen)


class SharedCorePrediction:
    """`paint` is what a model predicts whose layers share one core; it is on the CPU and in float32."""

    def __init__(self, model: PlaceNet) -> None:
        _check_processor_float32(model)
        assert model.config.shared_core, "the model must have a shared core"
        config, (core,) = model.config, model.generation_cores
        self._model, self._core = model, core
        self._winograd = WinogradConvolution(config.grid_size)
        weights = self._winograd.weights(core.cell.gates.weight).split(
            [config.hidden_channels, VIEWPOINT_SIZE, config.representation_channels,
             config.reprojection_channels if config.reprojection else 0, config.latent_channels], dim=1)
        hidden, viewpoint, total, reprojected, latent = weights  # v * 4*d each
        self._hidden, self._total, self._latent = (part.contiguous() for part in (hidden, total, latent))
        self._fixed_inputs = torch.cat([viewpoint, reprojected], dim=1)
        self._prior = self._winograd.weights(model.prior_head.weight)  # v d 2*latent channels
        self._head = _HeadOfStates(model.image_head, core.up_hidden)

    def paint(self, scene: SceneRepresentation, query_viewpoints: Tensor, noise: Tensor, temperature: float,
              between: Callable[[], None] | None) -> Painting:
        """The n views at (b, q, 7), by latents from the prior with noise (l, n, latent channels, g, g).

        temperature, between: as in `PlaceNet.predict_view`.
        """
        (b, q), winograd = query_viewpoints.shape[:2], self._winograd
        layers, seen = self._layers(scene, query_viewpoints)
        bias = self._model.prior_head.bias[:, None, None]
        hidden = cell = painted = torch.zeros_like(layers.fixed_gates.chunk(4, dim=1)[0])
        prior = bias.expand(b * q, -1, *hidden.shape[2:])
        products = hidden.new_zeros(len(self._hidden), b * q * winograd.tiles, layers.fixed_gates.shape[1])
        for number, noise_here in enumerate(noise):
            if number:  # the first layer's hidden state is 0
                inputs = winograd.inputs(hidden)
                products, prior = inputs @ self._hidden, winograd.outputs(inputs @ self._prior, b * q) + bias
            mean, std = mean_and_std(prior)
            latent = mean + temperature * std * noise_here
            inputs = winograd.inputs(side_by_side([latent, layers.attended(hidden)]))
            inputs, sums = (part.unflatten(1, (b, -1)).flatten(0, 1) for part in (inputs, products))  # v*b q*tiles *
            sums.baddbmm_(inputs, layers.weights)  # into the products
            hidden, cell = gated(winograd.outputs(sums, b * q) + layers.fixed_gates, cell)
            painted = painted + hidden
            if between is not None:
                between()
        return self._head(painted, seen)

    def _layers(self, scene: SceneRepresentation, query_viewpoints: Tensor) -> tuple[_Layers, Tensor | None]:
        """And the reprojected picture (n, *, s, s), if the model makes one."""
        (b, q), config, winograd = query_viewpoints.shape[:2], self._model.config, self._winograd
        viewpoint, = viewpoint_maps([self._core], query_viewpoints.flatten(0, 1))
        attention, reprojected, seen = self._model.scene_at_queries(scene, query_viewpoints, viewpoint.dtype)
        products = winograd.inputs(side_by_side([viewpoint, *reprojected])) @ self._fixed_inputs
        fixed_gates = winograd.outputs(products, b * q) + self._core.cell.gates.bias[:, None, None]
        attended, weights = attention, self._total[:, None].expand(-1, b, -1, -1)
        if attention.num_tokens < min(config.representation_channels, MOST_TOKENS_SCORED_AT_ONCE):
            total = winograd.inputs(scene.total.expand(-1, -1, config.grid_size, config.grid_size))  # v b*tiles c
            values = attention.values.flatten(0, 1).expand(len(total), -1, -1)  # v b*t c
            parts = [total.shape[1], values.shape[1]]
            total, weights = (torch.cat([total, values], dim=1) @ self._total).split(parts, dim=1)  # read but once
            fixed_gates = fixed_gates + winograd.outputs(total, b).repeat_interleave(q, dim=0)
            attended, weights = attention.weights, weights.unflatten(1, (b, -1))
        weights = torch.cat([self._latent[:, None].expand(-1, b, -1, -1), weights], dim=2).flatten(0, 1)
        return _Layers(fixed_gates, attended, weights), seen


def _check_processor_float32(model: PlaceNet) -> None:
    kinds = {(weight.device.type, weight.dtype) for weight in model.parameters()}
    assert kinds == {("cpu", torch.float32)}, f"the model must be on the CPU in float32, not {kinds}"


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
            canvas += F.conv2d(side_by_side([seen]), self._seen, padding=self._margin)
            canvas = F.relu(self._head.blend[2](canvas.relu_()), inplace=True)
        return self._head.paint(canvas, seen)
