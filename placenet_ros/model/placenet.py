"""PlaceNet (Lee, Yoo and Zhang, IJCAI 2022): from a few posed observations to what a place looks like from elsewhere.

    observations --encode--> SceneRepresentation --predict--> a view sampled from the prior
                                                 --reconstruct--> a view sampled from the posterior, which sees it

A representation is a sum and a set over the observations: `SceneRepresentation.join` merges what was encoded apart,
and `place` gives observations new poses without encoding their pictures again. `placenet_ros.scene.memory` builds on
both. The objective is in `objective.py`, files in `weights.py`.

Shapes: b scenes, m observations of each, q query views of each, n = b * q, c `representation_channels`, g grid size,
s image size, l layers.
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from placenet_ros.model.attention import ModalityAttention
from placenet_ros.model.config import PlaceNetConfig
from placenet_ros.model.cores import IMAGE_CHANNELS, GenerationCore, InferenceCore
from placenet_ros.model.modalities import DEPTH_RANGE_M, depth_picture
from placenet_ros.model.objective import Reconstruction, gaussian_kl
from placenet_ros.model.representation import representation_network
from placenet_ros.model.reprojection import PointCloud, point_cloud, reproject
from placenet_ros.model.weights import WeightsError, fill, read_weights, write_weights

STD_FLOOR = 1e-8
REPROJECTION_PICTURE_CHANNELS = 5  # colour, mask, depth


@dataclass(frozen=True)
class Observations:
    """Posed observations of b scenes, m of each, taken by the model's camera."""

    rgb: Tensor  # b m 3 s s, [0, 1]
    viewpoints: Tensor  # b m 7, see viewpoints.py
    depth: Tensor | None = None  # b m 1 s s, metres along the optical axis, 0 = none
    objects: Tensor | None = None  # b m 3 s s, class colours in [0, 1]

    def pictures(self) -> dict[str, Tensor]:
        """Each modality that is present, as the tower reads it: (b, m, 3, s, s) in [0, 1]."""
        pictures = {"r": self.rgb}
        if self.depth is not None:
            pictures["d"] = depth_picture(self.depth)
        if self.objects is not None:
            pictures["o"] = self.objects
        return pictures


@dataclass(frozen=True)
class Appearance:
    """Observations as far as they do not depend on their viewpoints."""

    features: dict[str, Tensor]  # for each modality in use: b m *, see representation.py
    rgb: Tensor | None  # b m 3 s s, kept for reprojection
    depth: Tensor | None  # b m 1 s s


@dataclass(frozen=True)
class SceneRepresentation:
    """All that predictions need of b scenes."""

    total: Tensor  # b c g g (or b c 1 1): R, the sum over observations of phi(rgb, viewpoint)
    keys: dict[str, Tensor]  # for each modality attended to: b t c
    values: dict[str, Tensor]  # likewise
    cloud: PointCloud | None  # what was seen with depth

    @staticmethod
    def join(parts: Sequence[SceneRepresentation]) -> SceneRepresentation:
        """The representation of all observations that `parts`, at least one, were encoded from, in that order."""
        clouds = [part.cloud for part in parts if part.cloud is not None]
        return SceneRepresentation(
            torch.stack([part.total for part in parts]).sum(dim=0),
            _joined(part.keys for part in parts), _joined(part.values for part in parts),
            PointCloud(*(torch.cat(tensors, dim=1) for tensors in zip(*clouds))) if clouds else None)


def _joined(parts: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    collected: dict[str, list[Tensor]] = {}
    for part in parts:
        for modality, tokens in part.items():
            collected.setdefault(modality, []).append(tokens)
    return {modality: torch.cat(tokens, dim=1) for modality, tokens in collected.items()}


class ImageHead(nn.Module):
    """Canvas to the mean of the image; with reprojection, two convolutions first weigh it against what was seen."""

    def __init__(self, config: PlaceNetConfig) -> None:
        super().__init__()
        canvas = config.canvas_channels
        self.blend = nn.Sequential(
            nn.Conv2d(canvas + REPROJECTION_PICTURE_CHANNELS, canvas, 3, padding=1), nn.ReLU(),
            nn.Conv2d(canvas, canvas, 3, padding=1), nn.ReLU()) if config.reprojection else None
        self.mean = nn.Conv2d(canvas, IMAGE_CHANNELS, 1)
        nn.init.constant_(self.mean.bias, 0.5)  # an untrained network paints mid grey

    def forward(self, canvas: Tensor, seen: Tensor | None) -> Tensor:
        """Canvas (n, *, s, s) and reprojected picture (n, 5, s, s) or None -> (n, 3, s, s)."""
        if self.blend is not None:
            canvas = self.blend(torch.cat([canvas, seen.to(canvas.dtype)], dim=1))
        return self.mean(canvas)


class PlaceNet(nn.Module):
    """The network. `config` fixes its sizes; `about`, filled by `from_pretrained`, says how its weights came about."""

    def __init__(self, config: PlaceNetConfig) -> None:
        super().__init__()
        self.config = config
        self.about: dict[str, Any] = {}
        self.representation = representation_network(config)
        self.attention = nn.ModuleDict({
            modality: ModalityAttention(config.representation_channels, config.hidden_channels, config.attention_weight)
            for modality in config.attention})
        scene_channels = config.representation_channels
        if config.reprojection:
            self.down_reprojection = nn.Conv2d(REPROJECTION_PICTURE_CHANNELS, config.reprojection_channels, 4, stride=4)
            scene_channels += config.reprojection_channels
        cores = 1 if config.shared_core else config.layers
        self.inference_cores = nn.ModuleList(InferenceCore(config, scene_channels) for _ in range(cores))
        self.generation_cores = nn.ModuleList(GenerationCore(config, scene_channels) for _ in range(cores))
        self.prior_head = nn.Conv2d(config.hidden_channels, 2 * config.latent_channels, 5, padding=2)
        self.posterior_head = nn.Conv2d(config.hidden_channels, 2 * config.latent_channels, 5, padding=2)
        self.image_head = ImageHead(config)

    @classmethod
    def from_pretrained(cls, path: str | Path) -> PlaceNet:
        """The model of a weights folder or `.safetensors` file, on the CPU, in eval mode.

        Its `about` holds the JSON's `about` and, as `model_id`, the first 12 hexadecimal digits of the weights' digest.

        Raises:
            WeightsError: a file is missing or damaged, of another format or architecture, or its tensors do not fit.
        """
        weights = read_weights(path)
        try:
            with torch.device("meta"):  # no memory until the weights are known to fit
                model = cls(PlaceNetConfig.from_dict(weights.config))
        except ValueError as error:
            raise WeightsError(f"{path}: {error}; made by another version?") from error
        fill(model, weights.tensors, path)
        model.about = dict(weights.about, model_id=weights.model_id)
        return model.eval()

    def save_pretrained(self, folder: str | Path, about: dict[str, Any], half_precision: bool = False) -> None:
        """Write weights and their JSON into a folder; `about`: plain JSON values; float16 where `half_precision`.

        Raises:
            WeightsError: a weight is not finite, or does not fit into float16.
        """
        write_weights(folder, self.state_dict(), self.config.to_dict(), about, half_precision)

    def forward(self, observations: Observations, query_viewpoints: Tensor, query_images: Tensor,
                hold_attention_weights: bool = False, noise: Tensor | None = None) -> Reconstruction:
        """Training: reconstruct query images (b, q, 3, s, s) at (b, q, 7), with the KL terms of the objective.

        `hold_attention_weights` keeps the gammas from learning (`att_weight_delay`, while sigma is still annealed).
        `noise` (l, n, latent channels, g, g): what the latents are sampled with; drawn here if it is not given.
        """
        scene = self.encode(observations)
        images, kl = self._paint(scene, query_viewpoints, query_images, None, hold_attention_weights, noise)
        return Reconstruction(images, kl)

    def encode(self, observations: Observations) -> SceneRepresentation:
        """Representation of scenes from their observations."""
        return self.place(self.appearance(observations), observations.viewpoints)

    def appearance(self, observations: Observations) -> Appearance:
        """The part of encoding that needs no viewpoint, for every modality in use."""
        in_use = "r" + self.config.attention
        features = {modality: self.representation.appearance(pictures.flatten(0, 1)).unflatten(0, pictures.shape[:2])
                    for modality, pictures in observations.pictures().items() if modality in in_use}
        keep = self.config.reprojection and observations.depth is not None
        return Appearance(features, observations.rgb if keep else None, observations.depth if keep else None)

    def place(self, appearance: Appearance, viewpoints: Tensor) -> SceneRepresentation:
        """Representation of observations, known by their appearance, at viewpoints (b, m, 7)."""
        features_bmcgg = {
            modality: self.representation.features(x.flatten(0, 1), viewpoints.flatten(0, 1)).unflatten(0, x.shape[:2])
            for modality, x in appearance.features.items()}
        keys, values = {}, {}
        for modality, attention in self.attention.items():
            if modality in features_bmcgg:
                keys[modality], values[modality] = attention.keys_and_values(
                    features_bmcgg[modality], self.config.attention_tokens)
        cloud = None
        if appearance.depth is not None:
            cloud = point_cloud(appearance.rgb, appearance.depth, viewpoints, self.config.position_scale,
                                self.config.field_of_view_degrees)
        return SceneRepresentation(features_bmcgg["r"].sum(dim=1), keys, values, cloud)

    def predict(self, scene: SceneRepresentation, query_viewpoints: Tensor,
                generator: torch.Generator | None = None) -> Tensor:
        """One sample from the prior of each view at (b, q, 7) -> (b, q, 3, s, s) in [0, 1]."""
        return self._paint(scene, query_viewpoints, None, generator, False)[0].clamp(0.0, 1.0)

    def reconstruct(self, scene: SceneRepresentation, query_viewpoints: Tensor, query_images: Tensor,
                    generator: torch.Generator | None = None) -> Tensor:
        """One sample from the posterior of each view, which sees its image (b, q, 3, s, s) -> the same, in [0, 1]."""
        return self._paint(scene, query_viewpoints, query_images, generator, False)[0].clamp(0.0, 1.0)

    def _paint(self, scene: SceneRepresentation, query_viewpoints: Tensor, query_images: Tensor | None,
               generator: torch.Generator | None, hold_attention_weights: bool,
               noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Means of the images (b, q, 3, s, s) and KL (b, q, l); latents from the posterior where images are given."""
        config = self.config
        b, q = query_viewpoints.shape[:2]
        viewpoint = query_viewpoints.flatten(0, 1)
        image = None if query_images is None else query_images.flatten(0, 1)
        total, extra, seen = self._scene_at_queries(scene, query_viewpoints)

        hidden_g = total.new_zeros(b * q, config.hidden_channels, config.grid_size, config.grid_size)
        cell_g = torch.zeros_like(hidden_g, dtype=torch.float32)
        hidden_e, cell_e = hidden_g, cell_g
        canvas = total.new_zeros(b * q, config.canvas_channels, config.image_size, config.image_size)
        kl = []
        for layer in range(config.layers):
            core = layer % len(self.generation_cores)
            scene_here = self._attended(scene, total, hidden_g, hold_attention_weights)
            scene_here = torch.cat([scene_here] + extra, dim=1)
            mean, std = _normal(self.prior_head(hidden_g))
            if image is not None:
                hidden_e, cell_e = self.inference_cores[core](
                    image, viewpoint, scene_here, canvas, hidden_g, hidden_e, cell_e)
                mean_q, std_q = _normal(self.posterior_head(hidden_e))
                kl.append(gaussian_kl(mean_q, std_q, mean, std).sum(dim=(1, 2, 3)))
                mean, std = mean_q, std_q
            drawn = torch.randn(mean.shape, generator=generator, device=mean.device) if noise is None else noise[layer]
            latent = mean + std * drawn
            canvas, hidden_g, cell_g = self.generation_cores[core](
                viewpoint, scene_here, latent, canvas, hidden_g, cell_g)
        images = self.image_head(canvas, seen).float().unflatten(0, (b, q))
        return images, torch.stack(kl, dim=1).unflatten(0, (b, q)) if kl else images.new_zeros(b, q, config.layers)

    def _scene_at_queries(self, scene: SceneRepresentation, query_viewpoints: Tensor) \
            -> tuple[Tensor, list[Tensor], Tensor | None]:
        """R for each query (n, c, g, g), what stands beside it in the cores, and the reprojected picture (n, 5, s,
        s)."""
        q, config = query_viewpoints.shape[1], self.config
        total = scene.total.expand(-1, -1, config.grid_size, config.grid_size).repeat_interleave(q, dim=0)
        if not config.reprojection:
            return total, [], None
        seen = self._reprojected(scene.cloud, query_viewpoints)
        return total, [F.relu(self.down_reprojection(seen)).to(total.dtype)], seen

    def _reprojected(self, cloud: PointCloud | None, query_viewpoints: Tensor) -> Tensor:
        """The reprojected colour, mask and depth (n, 5, s, s); all 0 where no observation had depth."""
        size = self.config.image_size
        b, q = query_viewpoints.shape[:2]
        if cloud is None:
            return query_viewpoints.new_zeros(b * q, REPROJECTION_PICTURE_CHANNELS, size, size)
        picture = reproject(cloud, query_viewpoints, size, self.config.position_scale,
                            self.config.field_of_view_degrees)
        return torch.cat([picture.colour, picture.mask, picture.depth / DEPTH_RANGE_M], dim=2).flatten(0, 1)

    def _attended(self, scene: SceneRepresentation, total: Tensor, hidden: Tensor, hold_weight: bool) -> Tensor:
        """R plus what each modality's attention adds to it, (n, c, g, g)."""
        for modality, keys in scene.keys.items():
            attended = self.attention[modality](hidden, keys, scene.values[modality], hold_weight)
            total = total + attended.to(total.dtype)
        return total


def _normal(parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, float32, of a head's output."""
    mean, raw = parameters.float().chunk(2, dim=1)
    return mean, F.softplus(raw) + STD_FLOOR
