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

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterable, NamedTuple, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from placenet_ros.model.attention import ModalityAttention, SceneAttention
from placenet_ros.model.config import PlaceNetConfig
from placenet_ros.model.convolution import convolved, convolved_at_once, side_by_side
from placenet_ros.model.cores import IMAGE_CHANNELS, Canvas, GenerationCore, InferenceCore, image_maps, viewpoint_maps
from placenet_ros.model.depth_estimation import (
    GREATEST_LOG_ERROR,
    LEAST_LOG_ERROR,
    DepthEstimate,
    DepthEstimator,
)
from placenet_ros.model.layer import Layer, Query, State, predict_layer, reconstruct_layer
from placenet_ros.model.modalities import DEPTH_RANGE_M, depth_picture
from placenet_ros.model.objective import Reconstruction
from placenet_ros.model.place_embedding import PlaceEmbedding, look, look_size
from placenet_ros.model.prediction import OwnCoresPrediction, SharedCorePrediction
from placenet_ros.model.representation import representation_network
from placenet_ros.model.reprojection import NEAREST_M, PointCloud, draw_points, point_cloud, reproject
from placenet_ros.model.weights import WeightsError, fill, read_weights, write_weights

REPROJECTION_PICTURE_CHANNELS = 5
COLOUR, CERTAINTY, DEPTH = slice(0, 3), slice(3, 4), slice(4, 5)  # of these; objects may follow
COPY_AT_FIRST = 3.0  # an untrained network copies what was seen with measured depth to 95 %
OBJECTS_CHANNELS = 3  # as class colours
LEAST_ERROR, GREATEST_ERROR = 0.25 / 255, 1.0  # of a pixel's colour, that can be expected
TYPICAL_ERROR = 0.1  # what an untrained network expects everywhere


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
    points: Points | None  # what is needed to carry their colours elsewhere, where the depth is known or estimated


@dataclass(frozen=True)
class Points:
    """Observations' pixels as they are reprojected."""

    rgb: Tensor  # b m 3 s s, [0, 1]
    depth: Tensor  # b m 1 s s, metres
    log_error: Tensor | None  # b m 1 s s, of an estimated depth's logarithm; None: measured
    objects: Tensor | None  # b m 3 s s, class colours; None where these are not reprojected


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


class PredictedViews(NamedTuple):
    """What is predicted of b scenes from q poses each."""

    images: Tensor  # b q 3 s s, [0, 1]
    depth: Tensor | None  # b q 1 s s, metres along the optical axis; None: the model does not predict it
    class_ids: Tensor | None  # b q s s, int64; None likewise
    error: Tensor | None = None  # b q 1 s s, [0, 1]: absolute error to expect, mean over the channels; None likewise


class Painting(NamedTuple):
    """What the heads make of a canvas."""

    images: Tensor  # n 3 s s, not clamped
    depth: DepthEstimate | None  # n 1 s s
    class_logits: Tensor | None  # n classes s s
    error: Tensor | None  # n 1 s s, see PredictedViews


class ImageHead(nn.Module):
    """Canvas to the mean of the image, and to depth, object classes and expected error where the model predicts them.

    With reprojection, two convolutions first weigh the canvas against what was seen.
    """

    def __init__(self, config: PlaceNetConfig) -> None:
        super().__init__()
        canvas = config.canvas_channels
        self.blend = nn.Sequential(
            nn.Conv2d(canvas + reprojected_channels(config), canvas, 3, padding=1), nn.ReLU(),
            nn.Conv2d(canvas, canvas, 3, padding=1), nn.ReLU()) if config.reprojection else None
        self.mean = nn.Conv2d(canvas, IMAGE_CHANNELS, 1)
        nn.init.constant_(self.mean.bias, 0.5)  # an untrained network paints mid grey
        self.depth = nn.Conv2d(canvas, 2, 1) if config.predict_depth else None
        self.copy = nn.Conv2d(canvas, 2, 1) if config.copy_seen else None  # how far to copy colour, and depth
        self.classes = nn.Conv2d(canvas, config.predicted_classes, 1) if config.predicted_classes else None
        self.error = nn.Conv2d(canvas, 1, 1) if config.predict_error else None
        if self.error is not None:
            share = (TYPICAL_ERROR - LEAST_ERROR) / (GREATEST_ERROR - LEAST_ERROR)
            nn.init.zeros_(self.error.weight)
            nn.init.constant_(self.error.bias, math.log(share / (1 - share)))

    def forward(self, canvas: Tensor, seen: Tensor | None) -> Painting:
        """Canvas (n, *, s, s) and reprojected picture (n, *, s, s) or None."""
        if self.blend is not None:
            canvas = self.blend[1:](convolved(self.blend[0], side_by_side([canvas, seen])))
        return self.paint(canvas, seen)

    def paint(self, canvas: Tensor, seen: Tensor | None) -> Painting:
        """As `forward`, of the canvas weighed already."""
        heads = {"mean": self.mean, "depth": self.depth, "copy": self.copy, "classes": self.classes}
        heads = {name: head for name, head in heads.items() if head is not None}
        said = dict(zip(heads, (values.float() for values in convolved_at_once(list(heads.values()), canvas))))
        colour, location, raw = said["mean"], None, None
        if "depth" in said:
            location, raw = said["depth"].chunk(2, dim=1)
        if "copy" in said:
            certainty = seen[:, CERTAINTY].float()
            trusted = (said["copy"] + COPY_AT_FIRST * (2 * certainty - 1)).sigmoid() * (certainty > 0)
            colour = torch.lerp(colour, seen[:, COLOUR].float(), trusted[:, :1])
            if location is not None:
                metres = (seen[:, DEPTH].float() * DEPTH_RANGE_M).clamp(min=NEAREST_M)
                location = torch.lerp(location, metres.log(), trusted[:, 1:])
        depth = None
        if location is not None:
            depth = DepthEstimate(location, F.softplus(raw).clamp(LEAST_LOG_ERROR, GREATEST_LOG_ERROR))
        error = None
        if self.error is not None:
            # Apart from the others and from the canvas as it is: to know one's errors must not change what is painted.
            share = convolved(self.error, canvas.detach()).float().sigmoid()
            error = LEAST_ERROR + (GREATEST_ERROR - LEAST_ERROR) * share
        return Painting(colour, depth, said.get("classes"), error)


def reprojected_channels(config: PlaceNetConfig) -> int:
    """Channels of the picture that the reprojected observations make."""
    return REPROJECTION_PICTURE_CHANNELS + (OBJECTS_CHANNELS if config.reprojection_objects else 0)


class PlaceNet(nn.Module):
    """The network. `config` fixes its sizes; `about`, filled by `from_pretrained`, says how its weights came about."""

    def __init__(self, config: PlaceNetConfig) -> None:
        super().__init__()
        self.config = config
        self.about: dict[str, Any] = {}
        self.representation = representation_network(config, config.representation_channels)
        narrow = config.narrow_tower_channels
        self.narrow_tower = representation_network(config, narrow) if narrow else None
        self.attention = nn.ModuleDict({
            modality: ModalityAttention(config.representation_channels, config.hidden_channels,
                                        narrow if narrow and modality != "r" else config.representation_channels,
                                        config.attention_weight)
            for modality in config.attention})
        scene_channels = config.representation_channels
        if config.reprojection:
            self.down_reprojection = nn.Conv2d(
                reprojected_channels(config), config.reprojection_channels, 4, stride=4)
            scene_channels += config.reprojection_channels
        cores = 1 if config.shared_core else config.layers
        self.inference_cores = nn.ModuleList(InferenceCore(config, scene_channels) for _ in range(cores))
        self.generation_cores = nn.ModuleList(GenerationCore(config, scene_channels) for _ in range(cores))
        self.prior_head = nn.Conv2d(config.hidden_channels, 2 * config.latent_channels, 5, padding=2)
        self.posterior_head = nn.Conv2d(config.hidden_channels, 2 * config.latent_channels, 5, padding=2)
        self.image_head = ImageHead(config)
        channels = config.depth_estimation_channels
        self.depth_estimator = DepthEstimator(channels) if channels else None
        self.place_embedding = PlaceEmbedding(
            look_size(config.representation_channels), config.embedding_channels) if config.embedding_channels else None
        self.reconstruct_layer = reconstruct_layer  # training may put compiled ones in their places
        self.project = reproject if config.close_gaps else draw_points
        # What predicts instead of `predict_layer`, if anything: made of the weights as they were then.
        self.prediction: OwnCoresPrediction | SharedCorePrediction | None = None
        self.register_load_state_dict_post_hook(_forget_prediction)

    def _apply(self, *arguments: Any, **options: Any) -> PlaceNet:
        """What moves and casts weights (`to`, `float`, ...)."""
        self.prediction = None
        return super()._apply(*arguments, **options)

    def train(self, mode: bool = True) -> PlaceNet:
        if mode:
            self.prediction = None
        return super().train(mode)

    def requires_grad_(self, requires_grad: bool = True) -> PlaceNet:
        if requires_grad:
            self.prediction = None
        return super().requires_grad_(requires_grad)

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
                hold_attention_weights: bool = False, noise: Tensor | None = None,
                predicted_queries: int = 0) -> Reconstruction:
        """Training: reconstruct query images (b, q, 3, s, s) at (b, q, 7), with the KL terms of the objective.

        `hold_attention_weights` keeps the gammas from learning (`att_weight_delay`, while sigma is still annealed).
        `noise` (l, n, latent channels, g, g): what the latents are sampled with; drawn here if it is not given.
        `predicted_queries`: so many of each scene, the first ones, are predicted from the prior's means instead of
            reconstructed; their KL is 0.
        """
        estimate = None if self.depth_estimator is None else self.depth_estimator(observations.rgb.flatten(0, 1))
        scene = self.place(self.appearance(observations, estimate), observations.viewpoints)
        painting, kl = self._paint(scene, query_viewpoints, query_images, None, 1.0, hold_attention_weights, noise,
                                   predicted_queries)
        return Reconstruction(painting.images.unflatten(0, kl.shape[:2]), kl, painting.depth, painting.class_logits,
                              estimate, painting.error)

    def encode(self, observations: Observations) -> SceneRepresentation:
        """Representation of scenes from their observations."""
        return self.place(self.appearance(observations), observations.viewpoints)

    def appearance(self, observations: Observations, estimate: DepthEstimate | None = None) -> Appearance:
        """The part of encoding that needs no viewpoint, for every modality in use.

        estimate: of the observations' depth, (b m, 1, s, s), if it is known already; used where none was measured.
        """
        in_use = "r" + self.config.attention
        pictures = {modality: x for modality, x in observations.pictures().items() if modality in in_use}
        features = self._through_towers(pictures, lambda tower, x: tower.appearance(x))
        return Appearance(features, self._points(observations, estimate))

    def looks(self, appearance: Appearance, observations: Observations) -> Tensor:
        """What the place embedding reads of observations, (b, m, `look_size`), see place_embedding.py."""
        return look(appearance.features["r"], observations.rgb, observations.depth)

    def _points(self, observations: Observations, estimate: DepthEstimate | None) -> Points | None:
        objects = observations.objects if self.config.reprojection_objects else None
        if not self.config.reprojection:
            return None
        if self.config.reprojection_objects and objects is None:
            objects = torch.zeros_like(observations.rgb)  # black: nothing known
        if observations.depth is not None:
            return Points(observations.rgb, observations.depth, None, objects)
        if self.depth_estimator is None:
            return None
        if estimate is None:
            estimate = self.depth_estimator(observations.rgb.flatten(0, 1))
        estimate = DepthEstimate(*(x.detach() for x in estimate))  # places do not change the picture smoothly
        shape = observations.rgb.shape[:2]
        return Points(observations.rgb, estimate.metres.unflatten(0, shape), estimate.log_error.unflatten(0, shape),
                      objects)

    def place(self, appearance: Appearance, viewpoints: Tensor) -> SceneRepresentation:
        """Representation of observations, known by their appearance, at viewpoints (b, m, 7)."""
        def features_of(tower: nn.Module, x: Tensor) -> Tensor:
            return tower.features(x, viewpoints.flatten(0, 1).repeat(len(x) // viewpoints.shape[:2].numel(), 1))

        features = self._through_towers(appearance.features, features_of)
        keys, values = {}, {}
        for modality, attention in self.attention.items():
            if modality in features:
                keys[modality], values[modality] = attention.keys_and_values(
                    features[modality], self.config.attention_tokens)
        cloud = None
        if appearance.points is not None:
            points, config = appearance.points, self.config
            cloud = point_cloud(points.rgb, points.depth, viewpoints, config.position_scale,
                                config.field_of_view_degrees, points.log_error, points.objects)
        return SceneRepresentation(features["r"].sum(dim=1, dtype=torch.float32), keys, values, cloud)

    def _through_towers(self, inputs: dict[str, Tensor], step: Callable[[nn.Module, Tensor], Tensor]) \
            -> dict[str, Tensor]:
        """What a step of its tower makes of each modality (b, m, ...); those that share a tower pass it at once."""
        results = {}
        for tower in (self.representation, self.narrow_tower):
            together = [modality for modality in inputs if self._tower_of(modality) is tower]
            if together:
                made = step(tower, torch.cat([inputs[modality].flatten(0, 1) for modality in together]))
                results.update(zip(together, made.chunk(len(together))))
        return {modality: results[modality].unflatten(0, x.shape[:2]) for modality, x in inputs.items()}

    def _tower_of(self, modality: str) -> nn.Module:
        return self.representation if modality == "r" or self.narrow_tower is None else self.narrow_tower

    def predict(self, scene: SceneRepresentation, query_viewpoints: Tensor,
                generator: torch.Generator | None = None, temperature: float = 1.0,
                noise: Tensor | None = None) -> Tensor:
        """One sample from the prior of each view at (b, q, 7) -> (b, q, 3, s, s) in [0, 1].

        temperature: of the prior's standard deviations: 1 samples from it, 0 takes its means.
        noise: what the latents are sampled with, as in `forward`; drawn by `generator` if it is not given.
        """
        return self.predict_view(scene, query_viewpoints, generator, temperature, noise).images

    def predict_view(self, scene: SceneRepresentation, query_viewpoints: Tensor,
                     generator: torch.Generator | None = None, temperature: float = 1.0,
                     noise: Tensor | None = None, between: Callable[[], None] | None = None) -> PredictedViews:
        """As `predict`, with depth, object classes and expected error of the same sample where the model predicts them.

        between: called after each layer, for what cannot wait until the view is done.
        """
        if self.prediction is not None:
            if noise is None:
                noise = self._noise(query_viewpoints, generator)
            painting = self.prediction.paint(scene, query_viewpoints, noise, temperature, between)
        else:
            painting, _ = self._paint(scene, query_viewpoints, None, generator, temperature, False, noise,
                                      between=between)
        shape, classes = query_viewpoints.shape[:2], painting.class_logits
        return PredictedViews(painting.images.clamp(0.0, 1.0).unflatten(0, shape),
                              None if painting.depth is None else painting.depth.metres.unflatten(0, shape),
                              None if classes is None else classes.argmax(dim=1).unflatten(0, shape),
                              None if painting.error is None else painting.error.unflatten(0, shape))

    def reconstruct(self, scene: SceneRepresentation, query_viewpoints: Tensor, query_images: Tensor,
                    generator: torch.Generator | None = None) -> Tensor:
        """One sample from the posterior of each view, which sees its image (b, q, 3, s, s) -> the same, in [0, 1]."""
        painting, _ = self._paint(scene, query_viewpoints, query_images, generator, 1.0, False)
        return painting.images.clamp(0.0, 1.0).unflatten(0, query_viewpoints.shape[:2])

    def _paint(self, scene: SceneRepresentation, query_viewpoints: Tensor, query_images: Tensor | None,
               generator: torch.Generator | None, temperature: float, hold_attention_weights: bool,
               noise: Tensor | None = None, predicted_queries: int = 0,
               between: Callable[[], None] | None = None) -> tuple[Painting, Tensor]:
        """The n = b * q views and their KL (b, q, l); latents from the posterior where images are given."""
        config = self.config
        b, q = query_viewpoints.shape[:2]
        viewpoints_g = viewpoint_maps(self.generation_cores, query_viewpoints.flatten(0, 1))
        attended, beside, seen = self.scene_at_queries(scene, query_viewpoints, viewpoints_g[0].dtype,
                                                       hold_attention_weights)
        blank, blank_canvas = (viewpoints_g[0].new_zeros(b * q, config.grid_size, config.grid_size, channels)
                               .movedim(-1, 1) for channels in (config.hidden_channels, config.canvas_channels))
        generation = inference = State(blank, torch.zeros_like(blank, dtype=torch.float32))
        if noise is None:
            noise = self._noise(query_viewpoints, generator)
        readers: list[nn.Conv2d] = []
        if query_images is not None:
            readers = [core.down_canvas for core in self.inference_cores]
            viewpoints_e = viewpoint_maps(self.inference_cores, query_viewpoints.flatten(0, 1))
            images = image_maps(self.inference_cores, query_images.flatten(0, 1))
            predicted = _first_queries(predicted_queries, b, q, blank.device) if predicted_queries else None
        canvas = Canvas([core.up_hidden for core in self.generation_cores], readers, blank_canvas)
        kl = []
        for number in range(config.layers):
            core = number % len(self.generation_cores)
            layer = Layer(self.generation_cores[core], self.inference_cores[core], self.prior_head, self.posterior_head)
            scene_here = [attended(generation.hidden)] + beside
            if query_images is None:
                query = Query(viewpoints_g[core])
                generation = predict_layer(layer, query, scene_here, noise[number], temperature, generation)
            else:
                query = Query(viewpoints_g[core], viewpoints_e[core], images[core])
                generation, inference, nats = self.reconstruct_layer(
                    layer, query, scene_here, noise[number], canvas.read(), predicted, generation, inference)
                kl.append(nats)
            canvas.paint(generation.hidden)
            if between is not None:
                between()
        painting = self.image_head(canvas.picture(), seen)
        no_kl = painting.images.new_zeros(b, q, config.layers)
        return painting, torch.stack(kl, dim=1).unflatten(0, (b, q)) if kl else no_kl

    def _noise(self, query_viewpoints: Tensor, generator: torch.Generator | None) -> Tensor:
        """What the latents of views at (b, q, 7) are sampled with, (l, n, latent channels, g, g)."""
        config = self.config
        shape = (config.layers, query_viewpoints.shape[:2].numel(), config.latent_channels, config.grid_size,
                 config.grid_size)
        return torch.randn(shape, generator=generator, device=query_viewpoints.device)

    def scene_at_queries(self, scene: SceneRepresentation, query_viewpoints: Tensor, dtype: torch.dtype,
                         hold_attention_weights: bool = False) \
            -> tuple[SceneAttention, list[Tensor], Tensor | None]:
        """What the cores are told of a scene at its queries.

        Args:
            scene: of b scenes.
            query_viewpoints: (b, q, 7), see viewpoints.py.
            dtype: of what the cores read.
            hold_attention_weights: as in `forward`.

        Returns:
            R and attention, which make (n, c, g, g) of hidden states (n, d, g, g) at each layer.
            What the cores read beside that, the same at all layers: with reprojection a list of one tensor (n,
                `reprojection_channels`, g, g), else an empty one.
            The reprojected picture (n, `reprojected_channels`, s, s); None without reprojection. Where the observations
                have no depth it is 0, not None.
        """
        q, config = query_viewpoints.shape[1], self.config
        total = scene.total.to(dtype)[:, None].expand(-1, q, -1, config.grid_size, config.grid_size)
        attended = SceneAttention(self.attention, scene.keys, scene.values, total, hold_attention_weights)
        if not config.reprojection:
            return attended, [], None
        seen = self._reprojected(scene.cloud, query_viewpoints).to(dtype)
        return attended, [F.relu(self.down_reprojection(seen))], seen

    def _reprojected(self, cloud: PointCloud | None, query_viewpoints: Tensor) -> Tensor:
        """The reprojected colour, certainty, depth, objects (n, *, s, s); all 0 where no observation's depth is known.
        """
        size = self.config.image_size
        b, q = query_viewpoints.shape[:2]
        if cloud is None:
            return query_viewpoints.new_zeros(b * q, reprojected_channels(self.config), size, size)
        picture = self.project(cloud, query_viewpoints, self.config.position_scale, self.config.field_of_view_degrees)
        channels = [picture.colour, picture.certainty, picture.depth / DEPTH_RANGE_M, picture.further]
        return torch.cat(channels, dim=2).flatten(0, 1)


def _forget_prediction(model: PlaceNet, _: Any) -> None:
    """After other weights were loaded."""
    model.prediction = None


def _first_queries(count: int, b: int, q: int, device: torch.device) -> Tensor:
    """(b * q, 1, 1, 1): 1 for the first `count` queries of each scene, 0 for the others."""
    return (torch.arange(q, device=device) < count).float().repeat(b)[:, None, None, None]
