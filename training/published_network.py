"""The authors' model as training, evaluation and pictures use ours: a baseline that is trained by the same commands.

`PublishedNetwork` stands where a `PlaceNet` may stand. What it computes is `PublishedPlaceNet`'s; here are only the
forms that the two differ in: observations as one record, several queries of a scene, modalities that are missing.

Shapes: b scenes, m observations of each, q query views of each, s image size, g grid size, l layers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from placenet_ros.model import Observations, PlaceNetConfig, PublishedConfig, PublishedPlaceNet, Reconstruction
from placenet_ros.model.modalities import MODALITIES
from placenet_ros.model.placenet import PredictedViews
from placenet_ros.model.published import FINAL_SIGMA, PublishedScene
from placenet_ros.model.weights import WeightsError, fill, read_weights, write_weights

ARCHITECTURE = "PublishedPlaceNet"
ANNEALING_SIGMA = 2.0  # any above FINAL_SIGMA: the attention weights are held at their start


def published_config(config: PlaceNetConfig) -> PublishedConfig:
    """The published model of our configuration's sizes.

    Raises ValueError where it asks for what the published model has not.
    """
    required = {
        "tower": "tower",
        "narrow_tower_channels": 0,
        "canvas_channels": config.hidden_channels,
        "attention_tokens": 1,
        "reprojection": False,
        "predict_depth": False,
        "predicted_classes": 0,
        "predict_error": False,
        "embedding_channels": 0,
    }
    for name, value in required.items():
        if getattr(config, name) != value:
            raise ValueError(f"arithmetic=published needs model.{name}={value}, not {getattr(config, name)}")
    published = PublishedConfig(
        layers=config.layers,
        attention=config.attention,
        shared_core=config.shared_core,
        att_weight=config.attention_weight,
        hidden_channels=config.hidden_channels,
        latent_channels=config.latent_channels,
        representation_channels=config.representation_channels,
    )
    if published.image_size != config.image_size:
        raise ValueError(
            f"arithmetic=published needs model.representation_channels={(config.image_size // 4) ** 2}, as many as "
            f"places, for images of {config.image_size} pixels, not {config.representation_channels}"
        )
    return published


class AttentionWeight(NamedTuple):
    """What is told of a modality's attention."""

    gamma: nn.Parameter


class PublishedNetwork(nn.Module):
    """`PublishedPlaceNet` with PlaceNet's interface.

    A modality that observations lack is shown as black pictures: the published model knows no other way.
    `config` holds sizes and camera, `about`, filled by `from_pretrained`, how the weights came about.

    Raises ValueError where `config` asks for what the published model has not, see `published_config`.
    """

    def __init__(self, config: PlaceNetConfig) -> None:
        super().__init__()
        self.config = config
        self.about: dict[str, Any] = {}
        self.network = PublishedPlaceNet(published_config(config))

    @classmethod
    def from_pretrained(cls, path: str | Path) -> PublishedNetwork:
        """The network of a weights folder, on the CPU, in eval mode. Raises WeightsError."""
        weights = read_weights(path, ARCHITECTURE)
        try:
            with torch.device("meta"):
                model = cls(PlaceNetConfig.from_dict(weights.config))
        except ValueError as error:
            raise WeightsError(f"{path}: {error}; made by another version?") from error
        fill(model.network, weights.tensors, path)
        model.about = dict(weights.about, model_id=weights.model_id)
        return model.eval()

    def save_pretrained(self, folder: str | Path, about: dict[str, Any], half_precision: bool = False) -> None:
        """Write weights, named as in the authors' checkpoints, and their JSON. Raises WeightsError."""
        tensors = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}  # shared cores apart
        write_weights(folder, tensors, self.config.to_dict(), about, half_precision, ARCHITECTURE)

    def forward(
        self,
        observations: Observations,
        query_viewpoints: Tensor,
        query_images: Tensor,
        hold_attention_weights: bool = False,
        noise: Tensor | None = None,
        predicted_queries: int = 0,
    ) -> Reconstruction:
        """Training: reconstruct query images (b, q, 3, s, s) at (b, q, 7), with the KL terms of the objective.

        hold_attention_weights: keep the gammas at their start, as published while sigma is above 0.7.
        noise: (l, b q, latent channels, g, g), what the latents are sampled with; drawn here if it is not given.
        predicted_queries: 0: the published model reconstructs every query. Raises ValueError for more.
        """
        if predicted_queries:
            raise ValueError(f"the published model reconstructs every query, predicted_queries is {predicted_queries}")
        scene = self._encoded(observations, ANNEALING_SIGMA if hold_attention_weights else FINAL_SIGMA)
        images, kl = self._paint(scene, query_viewpoints, query_images, None, noise)
        if hold_attention_weights:  # no share in the result, but distributed training waits for each gradient
            images = images + sum(0.0 * weight.gamma for weight in self.attention.values())
        return Reconstruction(images, kl)

    def encode(self, observations: Observations) -> PublishedScene:
        """All that predictions need of b scenes."""
        return self._encoded(observations, FINAL_SIGMA)

    def predict(
        self,
        scene: PublishedScene,
        query_viewpoints: Tensor,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """One sample from the prior of each view at (b, q, 7) -> (b, q, 3, s, s) in [0, 1].

        temperature: of the prior's standard deviations: 1 samples from it, 0 takes its means.
        """
        images, _ = self._paint(scene, query_viewpoints, None, generator, temperature=temperature)
        return images.clamp(0.0, 1.0)

    def predict_view(
        self,
        scene: PublishedScene,
        query_viewpoints: Tensor,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> PredictedViews:
        """As `predict`; of depth and objects it says nothing."""
        return PredictedViews(self.predict(scene, query_viewpoints, generator, temperature), None, None)

    def reconstruct(
        self,
        scene: PublishedScene,
        query_viewpoints: Tensor,
        query_images: Tensor,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """One sample from the posterior of each view, which sees its image (b, q, 3, s, s) -> the same, in [0, 1]."""
        return self._paint(scene, query_viewpoints, query_images, generator)[0].clamp(0.0, 1.0)

    @property
    def attention(self) -> dict[str, AttentionWeight]:
        """Each modality attended to."""
        return {letter: AttentionWeight(getattr(self.network, f"gamma_{letter}")) for letter in self.config.attention}

    @property
    def inference_cores(self) -> nn.ModuleList:
        return self.network.inf_core

    @property
    def generation_cores(self) -> nn.ModuleList:
        return self.network.gen_core

    @property
    def image_head(self) -> nn.Module:
        return self.network.eta_g

    def _encoded(self, observations: Observations, sigma: float) -> PublishedScene:
        pictures = observations.pictures()
        black = torch.zeros_like(observations.rgb)
        images_b3m3ss = torch.stack([pictures.get(letter, black) for letter in MODALITIES], dim=1)
        return self.network.encode(images_b3m3ss, observations.viewpoints, sigma)

    def _paint(
        self,
        scene: PublishedScene,
        query_viewpoints: Tensor,
        query_images: Tensor | None,
        generator: torch.Generator | None,
        noise: Tensor | None = None,
        temperature: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """Means of the images (b, q, 3, s, s), float32, not clamped, and KL (b, q, l)."""
        b, q = query_viewpoints.shape[:2]
        at_queries = PublishedScene(*(part.repeat_interleave(q, dim=0) for part in scene)) if q > 1 else scene
        target = None if query_images is None else query_images.flatten(0, 1)
        viewpoints = query_viewpoints.flatten(0, 1)
        images, kl = self.network.paint(at_queries, viewpoints, target, generator, noise, temperature)
        return images.float().unflatten(0, (b, q)), kl.unflatten(0, (b, q))
