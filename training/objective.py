"""What training lowers: the evidence lower bound, and what else a batch can teach beside colours.

Of each scene's queries some may be predicted from the prior's means instead of reconstructed from the posterior: then
the loss is the error that predictions will have, and what the prior's means paint is the best single guess. The
others keep the prior and posterior together, so that samples still show what may be.

Shapes: b scenes, q queries of each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import NamedTuple

from torch import Tensor

from placenet_ros.model.objective import (
    AuxiliaryTargets,
    auxiliary_log_likelihoods,
    error_log_likelihood,
    evidence_lower_bound,
)
from training.configuration import setting
from training.data.sampling import Batch


@dataclass(frozen=True)
class ObjectiveConfig:
    """What the terms of the loss count, which are sums over an image's pixels, in nats."""

    kl_weight: float = setting(1.0, "Weight of the KL terms.")
    predicted_queries: int = setting(0, "Queries of each scene that are predicted from the prior's means instead.")
    depth_weight: float = setting(0.1, "Weight of the queries' depth, where the model predicts it.")
    objects_weight: float = setting(0.1, "Weight of the queries' object classes, where the model predicts them.")
    observation_depth_weight: float = setting(0.1, "Weight of the observations' depth, where the model estimates it.")
    error_weight: float = setting(
        0.1,
        "Weight of the error to expect, where the model predicts it; learned from the predicted queries, "
        "whose errors are those of predictions; from all queries where there are none.",
    )

    def __post_init__(self) -> None:
        for term in fields(self):
            if not getattr(self, term.name) >= 0:
                raise ValueError(f"{term.name} must not be negative, not {getattr(self, term.name)}")


DEFAULT_TERMS = ObjectiveConfig()


def check_predicted_queries(config: ObjectiveConfig, queries: int, arithmetic: str) -> None:
    """Raises ValueError where no query is left to be reconstructed, or the network has no such way."""
    if config.predicted_queries and arithmetic == "published":
        raise ValueError("objective.predicted_queries must be 0 with arithmetic=published, which only reconstructs")
    if config.predicted_queries >= queries:
        raise ValueError(
            f"objective.predicted_queries ({config.predicted_queries}) must be under sampling.queries ({queries}): "
            "the prior learns from reconstructions"
        )


class Objective(NamedTuple):
    """What a batch says of a network; all scalars."""

    loss: Tensor  # to be lowered
    figures: dict[str, Tensor]  # means over the batch, to be logged


# (network, batch, noise, sigma as a 0-d tensor, whether sigma is still annealed) -> Objective. The network that it gets
# runs in the step's precision; what the objective itself computes stays float32.
ObjectiveFunction = Callable[[Callable, Batch, Tensor, Tensor, bool], Objective]


def placenet_objective(
    network: Callable,
    batch: Batch,
    noise: Tensor,
    sigma: Tensor,
    annealing: bool,
    config: ObjectiveConfig = DEFAULT_TERMS,
) -> Objective:
    """PlaceNet's loss (MODEL.md "Objective"), its terms weighted; the bound's figures are of reconstructions alone."""
    predicted = config.predicted_queries
    options = {"predicted_queries": predicted} if predicted else {}
    reconstruction = network(
        batch.observations, batch.query_viewpoints, batch.query_images, annealing, noise, **options
    )
    bound = evidence_lower_bound(reconstruction, batch.query_images, sigma)
    loss = (config.kl_weight * bound.kl - bound.log_likelihood).mean()
    figures = {
        "elbo": bound.elbo[:, predicted:].mean(),
        "bits_per_dimension": bound.bits_per_dimension[:, predicted:].mean(),
        "kl": bound.kl[:, predicted:].mean(),
    }
    if predicted:
        errors = (reconstruction.images[:, :predicted] - batch.query_images[:, :predicted]).square()
        figures["predicted_rmse"] = 255 * errors.mean(dim=(2, 3, 4)).sqrt().mean()
    targets = AuxiliaryTargets(batch.query_depth, batch.query_objects, batch.observation_depth)
    likelihoods = auxiliary_log_likelihoods(reconstruction, targets)
    if reconstruction.error is not None:
        likelihoods["error"] = error_log_likelihood(reconstruction, batch.query_images, slice(predicted or None))
    for name, nats in likelihoods.items():
        loss = loss - getattr(config, f"{name}_weight") * nats.mean()
        figures[f"{name}_nats"] = nats.mean()
    layers = bound.kl_per_layer[:, predicted:].mean(dim=(0, 1)).unbind()
    figures |= {f"kl_of_layer/{layer}": kl for layer, kl in enumerate(layers)}
    return Objective(loss, {"loss": loss, **figures})
