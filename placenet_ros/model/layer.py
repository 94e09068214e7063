"""One layer of PlaceNet: a latent, sampled from the posterior (`reconstruct_layer`) or the prior (`predict_layer`), and
what it changes in the recurrent states.

Functions of modules and tensors, all of the same shapes at each layer, so that training can compile one layer and run
every layer by it. What depends on the number of observations, which is attention, stays outside.

Shapes: n query views, g grid size, d hidden channels.
"""
from __future__ import annotations

from typing import NamedTuple, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from placenet_ros.model.convolution import convolved
from placenet_ros.model.cores import GenerationCore, InferenceCore
from placenet_ros.model.objective import gaussian_kl

STD_FLOOR = 1e-8


class State(NamedTuple):
    """Of a ConvLSTM."""

    hidden: Tensor  # n d g g
    cell: Tensor  # n d g g, float32


class Layer(NamedTuple):
    """What a layer computes with; layers may share all of it."""

    generation: GenerationCore
    inference: InferenceCore
    prior_head: nn.Conv2d
    posterior_head: nn.Conv2d


class Query(NamedTuple):
    """What a layer is told of the query views, all at the grid: (n, *, g, g)."""

    viewpoint_g: Tensor  # of `viewpoint_maps` for the generation core
    viewpoint_e: Tensor | None = None  # likewise for the inference core; None where nothing is reconstructed
    image: Tensor | None = None  # of `image_maps`


def predict_layer(layer: Layer, query: Query, scene: Sequence[Tensor], noise: Tensor, temperature: float,
                  generation: State) -> State:
    """The new generation state, by a latent from the prior; its standard deviation is multiplied by `temperature`.

    scene: what stands beside the state in the core, (n, *, g, g) each. noise: (n, latent channels, g, g).
    """
    mean, std = normal(layer.prior_head, generation.hidden)
    return State(*layer.generation(query.viewpoint_g, scene, mean + temperature * std * noise, *generation))


def reconstruct_layer(layer: Layer, query: Query, scene: Sequence[Tensor], noise: Tensor, canvas: Tensor,
                      predicted: Tensor | None, generation: State, inference: State) -> tuple[State, State, Tensor]:
    """New generation and inference states, by a latent from the posterior, and KL(posterior || prior) (n,) in nats.

    scene, noise: as in `predict_layer`. canvas: of `Canvas.read`, (n, canvas channels, g, g).
    predicted: (n, 1, 1, 1): 1 for views whose latent is the prior's mean instead, and whose KL is then 0; None: none.
    """
    mean, std = normal(layer.prior_head, generation.hidden)
    inference = State(*layer.inference(query.image, query.viewpoint_e, scene, canvas, generation.hidden, *inference))
    mean_q, std_q = normal(layer.posterior_head, inference.hidden)
    kl = gaussian_kl(mean_q, std_q, mean, std)
    if predicted is not None:
        kl = (1 - predicted) * kl
        mean_q, std_q = torch.lerp(mean_q, mean, predicted), (1 - predicted) * std_q
    latent = mean_q + std_q * noise
    return (State(*layer.generation(query.viewpoint_g, scene, latent, *generation)), inference, kl.sum(dim=(1, 2, 3)))


def normal(head: nn.Conv2d, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, float32, (n, latent channels, g, g), that a head says of a hidden state."""
    return mean_and_std(convolved(head, hidden))


def mean_and_std(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """What `normal` makes of its head's outputs (n, 2 * latent channels, g, g)."""
    mean, raw = outputs.float().chunk(2, dim=1)
    return mean, F.softplus(raw) + STD_FLOOR
