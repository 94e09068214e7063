"""The evidence lower bound of a reconstruction, in nats and in bits for each dimension (MODEL.md "Objective").

Shapes: b scenes, q query views of each, l layers.
"""
from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from placenet_ros.model.depth_estimation import DepthEstimate, depth_log_likelihood


class Reconstruction(NamedTuple):
    """What a model makes of query images that it was shown."""

    images: Tensor  # b q 3 s s, mean of the pixels' normal distribution, not clamped
    kl: Tensor  # b q l, nats: KL(posterior || prior) of each layer, summed over its latents
    depth: DepthEstimate | None = None  # n 1 s s: of the query views, where the model predicts it
    class_logits: Tensor | None = None  # n classes s s: likewise
    observation_depth: DepthEstimate | None = None  # b*m 1 s s: as estimated from the observations' colours
    error: Tensor | None = None  # n 1 s s: absolute error to expect of the images, mean over the channels


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


class AuxiliaryTargets(NamedTuple):
    """What is known of query views and observations beside the query's colours; None: nothing."""

    depth: Tensor | None  # b q 1 s s, metres, 0 = none
    class_ids: Tensor | None  # b q s s; 0 = nothing known, and so is any that the model does not tell apart
    observation_depth: Tensor | None  # b m 1 s s, metres, 0 = none; also where the model was not given it


def auxiliary_log_likelihoods(reconstruction: Reconstruction, targets: AuxiliaryTargets) -> dict[str, Tensor]:
    """Nats of what the model says beside colours, each (b,), means over a scene's views of their pixels' sums.

    "depth" and "objects" of the query views, "observation_depth" of the observations; each only where both the model
    says it and the target is known.
    """
    likelihoods = {}
    for name, said, known in (("depth", reconstruction.depth, targets.depth),
                              ("observation_depth", reconstruction.observation_depth, targets.observation_depth)):
        if said is not None and known is not None:
            pixels = depth_log_likelihood(said, known.flatten(0, 1))
            likelihoods[name] = pixels.sum(dim=(1, 2, 3)).unflatten(0, known.shape[:2]).mean(dim=1)
    if reconstruction.class_logits is not None and targets.class_ids is not None:
        ids = targets.class_ids.flatten(0, 1).long()
        ids = torch.where(ids < reconstruction.class_logits.shape[1], ids, torch.zeros_like(ids))
        pixels = -F.cross_entropy(reconstruction.class_logits, ids, ignore_index=0, reduction="none")
        likelihoods["objects"] = pixels.sum(dim=(1, 2)).unflatten(0, targets.class_ids.shape[:2]).mean(dim=1)
    return likelihoods


def error_log_likelihood(reconstruction: Reconstruction, targets: Tensor, queries: slice) -> Tensor:
    """Nats of the absolute error that images have, under a Laplace distribution of the scale that the model expects.

    (b,): means over some of a scene's queries (b, q, 3, s, s) of their pixels' sums. The images are taken as they are:
    there is no gradient by them.
    """
    images = reconstruction.images.detach()[:, queries].float().clamp(0.0, 1.0)
    error = (targets[:, queries].float() - images).abs().mean(dim=2, keepdim=True)
    expected = reconstruction.error.unflatten(0, targets.shape[:2])[:, queries]
    return (-error / expected - torch.log(2 * expected)).sum(dim=(2, 3, 4)).mean(dim=1)
