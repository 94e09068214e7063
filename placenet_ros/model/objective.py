"""The evidence lower bound of a reconstruction, in nats and in bits for each dimension (MODEL.md "Objective").

Shapes: b scenes, q query views of each, l layers.
"""
from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Reconstruction(NamedTuple):
    """What a model makes of query images that it was shown."""

    images: Tensor  # b q 3 s s, mean of the pixels' normal distribution, not clamped
    kl: Tensor  # b q l, nats: KL(posterior || prior) of each layer, summed over its latents


class EvidenceLowerBound(NamedTuple):
    """The terms of the objective, each (b, q) but the last; loss = -elbo.mean()."""

    elbo: Tensor  # nats
    log_likelihood: Tensor  # nats: sum over pixels of log N(image; mean, sigma)
    kl: Tensor  # nats, all layers together
    bits_per_dimension: Tensor  # of 8-bit pixels
    kl_per_layer: Tensor  # b q l, nats


def gaussian_kl(mean_q: Tensor, std_q: Tensor, mean_p: Tensor, std_p: Tensor) -> Tensor:
    """KL(N(mean_q, std_q) || N(mean_p, std_p)) in closed form, elementwise, nats."""
    return torch.log(std_p / std_q) + (std_q ** 2 + (mean_q - mean_p) ** 2) / (2 * std_p ** 2) - 0.5


def evidence_lower_bound(reconstruction: Reconstruction, targets: Tensor,
                         sigma: float | Tensor) -> EvidenceLowerBound:
    """Objective of query images (b, q, 3, s, s) in [0, 1] under pixels' standard deviation `sigma`, in float32."""
    sigma = torch.as_tensor(sigma, dtype=torch.float32, device=targets.device)
    error = (targets.float() - reconstruction.images.float()) / sigma
    log_likelihood = (-0.5 * error ** 2 - torch.log(sigma) - 0.5 * math.log(2 * math.pi)).sum(dim=(2, 3, 4))
    kl = reconstruction.kl.sum(dim=2)
    elbo = log_likelihood - kl
    dimensions = targets[0, 0].numel()
    bits = -(elbo / dimensions - math.log(256)) / math.log(2)
    return EvidenceLowerBound(elbo, log_likelihood, kl, bits, reconstruction.kl)
