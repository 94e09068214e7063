"""The published code's PlaceNet, computed as its authors' code computes it: the baseline for ours.

Here are the model, `PublishedPlaceNet`, and `load_published` for the authors' checkpoints. Our own model is in
placenet.py, the objective of both in objective.py; data and schedules belong to training/.

The authors' code departs from the paper. Its weights were learned with these departures, so they are kept:

- *The LSTM's states trade places* between layers: what a core returns as hidden state enters the next layer as cell
  memory, and the reverse. The heads of prior and posterior, and the inference core, read the new cell memory; only the
  canvas receives the new hidden state.
- *Attention never attends.* Each observation is its softmax's only key, so the weight is 1 and the result is the
  observation's value vector at each of the 16 x 16 places, whatever the query. Query and key weights have no effect.
- *The layout is scrambled.* That result, places x channels (256 x 256), is read as channels x places without being
  transposed. Its rows are all the value vector, so each channel receives one and the same map: the value vector laid
  out over the 16 x 16 places row by row.
- *No gradient* flows from the attention's features into the tower.

By the second and third point, what attention adds to the scene representation is the same after each layer: it is
computed once. `upsample_r` (403 of a checkpoint's 572 million parameters), `phi.bn`, the query and the key weights are
left out.

Shapes: b scenes, m observations of each, c representation channels, s image size, g grid size (s / 4). Modules are
named as in the checkpoints.
"""
from __future__ import annotations

import math
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from placenet_ros.model.config import GRID_STRIDE
from placenet_ros.model.cores import IMAGE_CHANNELS, Canvas, convolutional_lstm, image_maps, viewpoint_maps
from placenet_ros.model.modalities import MODALITIES
from placenet_ros.model.objective import Reconstruction, gaussian_kl
from placenet_ros.model.representation import Tower
from placenet_ros.model.viewpoints import VIEWPOINT_SIZE
from placenet_ros.model.weights import WeightsError, fill

STD_FLOOR = 1e-8
FINAL_SIGMA = 0.7  # the pixels' standard deviation once annealed; `att_weight_delay` holds gamma above it
UNUSED_WEIGHTS = re.compile(r"(inf_core|gen_core)\.\d+\.upsample_r\.|phi\.bn\.|a_[qk]_[rdo]\.")
LAYER_OF_A_CORE = re.compile(r"(inf_core|gen_core)\.(\d+)\.")
MODALITY_OF_ATTENTION = re.compile(r"(?:a_[qkv]|gamma)_([rdo])\b")


@dataclass(frozen=True)
class PublishedConfig:
    """Sizes and options of a published model, the options named as in the authors' code; the defaults are the paper's.

    Raises:
        ValueError: a setting that is out of range.
    """

    layers: int = 12
    attention: str = MODALITIES  # modalities attended to: any of r (rgb), d (depth), o (objects); none is GQN
    shared_core: bool = False  # one set of core weights for all layers
    att_weight: float = 0.1  # start of the attention weights gamma
    att_weight_grad: bool = True  # the attention weights are learned; else they stay at their start
    att_weight_delay: bool = True  # they stay at their start while sigma is above 0.7
    hidden_channels: int = 128  # of the LSTMs' states and of the canvas
    latent_channels: int = 3
    representation_channels: int = 256  # an even square: the scrambled layout needs as many places as channels

    def __post_init__(self) -> None:
        for name in ("layers", "hidden_channels", "latent_channels", "representation_channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.grid_size ** 2 != self.representation_channels or self.representation_channels % 2:
            raise ValueError("representation_channels must be an even square such as 16 or 256, not "
                             f"{self.representation_channels}")
        if len(set(self.attention)) != len(self.attention) or set(self.attention) - set(MODALITIES):
            raise ValueError("attention must be made of the letters {}, each at most once, not '{}'".format(
                ", ".join(MODALITIES), self.attention))

    @property
    def grid_size(self) -> int:
        """Height and width of latents, states and scene representation, in places: as many places as channels."""
        return math.isqrt(self.representation_channels)

    @property
    def image_size(self) -> int:
        """Height and width of every image, pixels."""
        return GRID_STRIDE * self.grid_size


class CoreState(NamedTuple):
    """The states of a core's LSTM as its next layer takes them: after they traded places. Each (b, hidden, g, g)."""

    hidden: Tensor  # the cell memory that the last layer left; of the type that the networks compute in
    cell: Tensor  # the hidden state that the last layer left; float32


class PublishedScene(NamedTuple):
    """All that the layers take from b scenes."""

    total: Tensor  # b c g g: the scene representation of the first layer
    update: Tensor  # b 1 g g: what attention adds to it, in every channel, after each layer


class ConvLSTM(nn.Module):
    """Convolutional LSTM, kernel 5; gates in the order input, forget, output, candidate."""

    def __init__(self, in_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(hidden_channels + in_channels, 4 * hidden_channels, 5, padding=2)

    def forward(self, inputs: list[Tensor], state: CoreState) -> tuple[Tensor, CoreState]:
        """Inputs (b, *, g, g) -> the new hidden state, and the states for the next layer."""
        hidden, cell = convolutional_lstm(self.conv, inputs, state.hidden, state.cell)
        return hidden, CoreState(hidden=cell.to(hidden.dtype), cell=hidden.float())


class InferenceCore(nn.Module):
    """One inference step."""

    def __init__(self, config: PublishedConfig) -> None:
        super().__init__()
        hidden = config.hidden_channels
        self.downsample_x = nn.Conv2d(IMAGE_CHANNELS, IMAGE_CHANNELS, GRID_STRIDE, stride=GRID_STRIDE, bias=False)
        self.downsample_u = nn.Conv2d(hidden, hidden, GRID_STRIDE, stride=GRID_STRIDE, bias=False)
        self.upsample_v = nn.ConvTranspose2d(VIEWPOINT_SIZE, VIEWPOINT_SIZE, config.grid_size, bias=False)
        self.core = ConvLSTM(2 * hidden + IMAGE_CHANNELS + VIEWPOINT_SIZE + config.representation_channels, hidden)

    @property
    def down_image(self) -> nn.Conv2d:
        """As `image_maps` asks for it."""
        return self.downsample_x

    @property
    def up_viewpoint(self) -> nn.ConvTranspose2d:
        """As `viewpoint_maps` asks for it."""
        return self.upsample_v

    def forward(self, target: Tensor, query: Tensor, scene: Tensor, canvas: Tensor, generation_hidden: Tensor,
                state: CoreState) -> CoreState:
        """All at the grid, (b, *, g, g): target of `image_maps`, query of `viewpoint_maps`, canvas of `Canvas.read`."""
        return self.core([generation_hidden, target, query, scene, canvas], state)[1]


class GenerationCore(nn.Module):
    """One generation step: the hidden state that it returns is painted onto the canvas by `upsample_h`."""

    def __init__(self, config: PublishedConfig) -> None:
        super().__init__()
        hidden = config.hidden_channels
        self.upsample_v = nn.ConvTranspose2d(VIEWPOINT_SIZE, VIEWPOINT_SIZE, config.grid_size, bias=False)
        self.upsample_h = nn.ConvTranspose2d(hidden, hidden, GRID_STRIDE, stride=GRID_STRIDE, bias=False)
        self.core = ConvLSTM(VIEWPOINT_SIZE + config.representation_channels + config.latent_channels, hidden)

    @property
    def up_viewpoint(self) -> nn.ConvTranspose2d:
        """As `viewpoint_maps` asks for it."""
        return self.upsample_v

    def forward(self, query: Tensor, scene: Tensor, latent: Tensor, state: CoreState) -> tuple[Tensor, CoreState]:
        """All at the grid, (b, *, g, g), query of `viewpoint_maps` -> hidden state, states for the next layer."""
        return self.core([query, scene, latent], state)


class PublishedPlaceNet(nn.Module):
    """PlaceNet as published (Lee, Yoo and Zhang, IJCAI 2022); with no attention, the authors' GQN.

    Its arguments, of each method:
        images: (b, 3, m, 3, s, s) in [0, 1]; the first 3 are rgb, depth and objects, each a picture of three channels.
        viewpoints: (b, m, 7) of the observations: position, cos yaw, sin yaw, cos pitch, sin pitch; one origin for all.
        query: (b, 7), the viewpoint to draw.
        target: (b, 3, s, s) in [0, 1], what is seen there.
        sigma: the pixels' standard deviation; all it does is decide whether gamma is held (`att_weight_delay`).
        generator: source of the latents' samples, on the tensors' device; without one, torch's own.
        noise: (layers, b, latent channels, g, g), what the latents are sampled with, instead of a generator.

    Each raises ValueError for other shapes or types.
    """

    def __init__(self, config: PublishedConfig) -> None:
        super().__init__()
        self.config = config
        self.phi = Tower(config.representation_channels)
        self.inf_core = _cores(InferenceCore, config)
        self.gen_core = _cores(GenerationCore, config)
        self.eta_pi = nn.Conv2d(config.hidden_channels, 2 * config.latent_channels, 5, padding=2)
        self.eta_e = nn.Conv2d(config.hidden_channels, 2 * config.latent_channels, 5, padding=2)
        self.eta_g = nn.Conv2d(config.hidden_channels, IMAGE_CHANNELS, 1)
        for modality in config.attention:
            values = nn.Linear(config.representation_channels, config.representation_channels)
            self.add_module(f"a_v_{modality}", values)
            if config.att_weight_grad:
                self.register_parameter(f"gamma_{modality}", nn.Parameter(torch.tensor(config.att_weight)))

    def forward(self, images: Tensor, viewpoints: Tensor, query: Tensor, target: Tensor, sigma: float = FINAL_SIGMA,
                generator: torch.Generator | None = None, noise: Tensor | None = None) -> Reconstruction:
        """Training: the target's reconstruction from the posterior, one query for each scene, and the KL terms."""
        self._check(images, viewpoints, query, target)
        mean, kl = self.paint(self.encode(images, viewpoints, sigma), query, target, generator, noise)
        return Reconstruction(mean[:, None], kl[:, None])

    def encode(self, images: Tensor, viewpoints: Tensor, sigma: float = FINAL_SIGMA) -> PublishedScene:
        """What the query has no part in. `predict` and `reconstruct` do it again for each call."""
        features_bmcgg = self._features(images[:, 0], viewpoints)
        total = features_bmcgg.sum(dim=1).contiguous(memory_format=torch.channels_last)
        pooled = self._pooled(images, viewpoints, features_bmcgg)
        update = torch.zeros_like(total[:, :1])
        for modality in self.config.attention:
            values_bc = getattr(self, f"a_v_{modality}")(pooled[modality]).sum(dim=1)
            update = update + self._gamma(modality, sigma) * values_bc.view_as(update)
        return PublishedScene(total, update)

    @torch.no_grad()
    def predict(self, images: Tensor, viewpoints: Tensor, query: Tensor, sigma: float = FINAL_SIGMA,
                generator: torch.Generator | None = None) -> Tensor:
        """One sample from the prior of each query view, (b, 3, s, s) in [0, 1]."""
        self._check(images, viewpoints, query, None)
        return self.paint(self.encode(images, viewpoints, sigma), query, None, generator)[0].clamp(0.0, 1.0)

    @torch.no_grad()
    def reconstruct(self, images: Tensor, viewpoints: Tensor, query: Tensor, target: Tensor, sigma: float = FINAL_SIGMA,
                    generator: torch.Generator | None = None) -> Tensor:
        """One sample from the posterior of each query view, which sees its target; (b, 3, s, s) in [0, 1]."""
        self._check(images, viewpoints, query, target)
        return self.paint(self.encode(images, viewpoints, sigma), query, target, generator)[0].clamp(0.0, 1.0)

    def paint(self, encoded: PublishedScene, query: Tensor, target: Tensor | None,
              generator: torch.Generator | None = None, noise: Tensor | None = None,
              temperature: float = 1.0) -> tuple[Tensor, Tensor]:
        """Means of the views (b, 3, s, s), not clamped, and KL (b, layers), of scenes from `encode`.

        Latents come from the posterior where a target is given, else from the prior, whose standard deviations are
        multiplied by `temperature`.
        """
        config = self.config
        inference, generation = (list(dict.fromkeys(cores)) for cores in (self.inf_core, self.gen_core))  # shared: once
        queries_g = viewpoint_maps(generation, query)
        total, update = encoded.total.float(), encoded.update.float()
        if target is not None:
            queries_e, targets = viewpoint_maps(inference, query), image_maps(inference, target)
        blank = queries_g[0].new_zeros(len(query), config.grid_size, config.grid_size, config.hidden_channels)
        blank = blank.movedim(-1, 1)  # channels_last, of the type that the networks compute in
        state_g = state_e = CoreState(blank, blank.float())
        readers = [] if target is None else [core.downsample_u for core in inference]
        canvas, kl = Canvas([core.upsample_h for core in generation], readers, blank), []
        for layer in range(config.layers):
            core = layer % len(generation)
            scene = (total + layer * update).to(blank.dtype)
            mean, std = _gaussian(self.eta_pi(state_g.hidden))
            if target is not None:
                state_e = inference[core](targets[core], queries_e[core], scene, canvas.read(), state_g.hidden, state_e)
                mean_q, std_q = _gaussian(self.eta_e(state_e.hidden))
                kl.append(gaussian_kl(mean_q, std_q, mean, std).sum(dim=(1, 2, 3)))
                mean, std = mean_q, std_q
            else:
                std = temperature * std
            drawn = noise[layer] if noise is not None else torch.randn(
                mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
            hidden, state_g = generation[core](queries_g[core], scene, mean + std * drawn, state_g)
            canvas.paint(hidden)
        image = self.eta_g(canvas.picture()).float()
        return image, torch.stack(kl, dim=1) if kl else image.new_zeros(len(query), config.layers)

    def _features(self, pictures_bm3ss: Tensor, viewpoints: Tensor) -> Tensor:
        appearance = self.phi.appearance(pictures_bm3ss.flatten(0, 1))
        return self.phi.features(appearance, viewpoints.flatten(0, 1)).unflatten(0, viewpoints.shape[:2])

    @torch.no_grad()
    def _pooled(self, images: Tensor, viewpoints: Tensor, features_bmcgg: Tensor) -> dict[str, Tensor]:
        """Features averaged over their places, (b, m, c), of each modality attended to; `features_bmcgg`: of rgb.

        The others go through the tower together.
        """
        others = [modality for modality in self.config.attention if modality != "r"]
        pooled = {"r": features_bmcgg.mean(dim=(3, 4))}
        if others:
            pictures = torch.cat([images[:, MODALITIES.index(modality)] for modality in others])
            features = self._features(pictures, viewpoints.repeat(len(others), 1, 1))
            pooled.update(zip(others, features.mean(dim=(3, 4)).chunk(len(others))))
        return pooled

    def _gamma(self, modality: str, sigma: float) -> float | Tensor:
        held = self.config.att_weight_delay and sigma > FINAL_SIGMA
        if held or not self.config.att_weight_grad:
            return self.config.att_weight
        return getattr(self, f"gamma_{modality}")

    def _check(self, images: Tensor, viewpoints: Tensor, query: Tensor, target: Tensor | None) -> None:
        if viewpoints.dim() != 3 or viewpoints.shape[1] < 1:
            raise ValueError(f"viewpoints must be of shape (scenes, observations, {VIEWPOINT_SIZE}) with at least one "
                             f"observation, not {tuple(viewpoints.shape)}")
        (b, m), size = viewpoints.shape[:2], self.config.image_size
        expected = {"images": (images, (b, len(MODALITIES), m, IMAGE_CHANNELS, size, size)),
                    "viewpoints": (viewpoints, (b, m, VIEWPOINT_SIZE)), "query": (query, (b, VIEWPOINT_SIZE))}
        if target is not None:
            expected["target"] = (target, (b, IMAGE_CHANNELS, size, size))
        for name, (tensor, shape) in expected.items():
            if tensor.shape != shape:
                raise ValueError(f"{name} must be of shape {shape} with viewpoints of shape {tuple(viewpoints.shape)}, "
                                 f"not {tuple(tensor.shape)}")
            if not tensor.is_floating_point():
                raise ValueError(f"{name} must be floating point (images in [0, 1]), not {tensor.dtype}")


def load_published(path: str | Path, att_weight: float | None = None,
                   att_weight_delay: bool = True) -> PublishedPlaceNet:
    """A checkpoint of the authors' code as a model in eval mode, in float32 on the CPU.

    The file is what `torch.save` writes of a state dict, bare or under the key `state_dict`, with or without the prefix
    `module.` of distributed training. Sizes, layers, shared cores and attention are read from the weights. No code that
    the file may hold is run.

    Args:
        path: the file.
        att_weight: the authors' option `--att_weight` at its training, which it does not record; 0.1 if not given. Must
            be given if the attention weights were not learned: then they are not in the file.
        att_weight_delay: whether it was trained with `--att_weight_delay`.

    Raises:
        WeightsError: the file is missing, damaged or holds other than tensors and plain containers; or weights are
            missing, unknown, misshapen or not finite.
    """
    weights = _used_weights(_read_checkpoint(Path(path)), path)
    config = _config(weights, path, att_weight, att_weight_delay)
    with torch.device("meta"):  # no memory and no initial values: the checkpoint's tensors take the places
        model = PublishedPlaceNet(config)
    fill(model, weights, path)
    return model.eval()


def _cores(core: type, config: PublishedConfig) -> nn.ModuleList:
    if config.shared_core:
        return nn.ModuleList([core(config)] * config.layers)
    return nn.ModuleList(core(config) for _ in range(config.layers))


def _gaussian(parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, float32, of a head's output."""
    mean, raw = parameters.float().chunk(2, dim=1)
    return mean, F.softplus(raw) + STD_FLOOR


def _read_checkpoint(path: Path) -> Any:
    try:
        zipped = zipfile.is_zipfile(path)  # else a file of torch before 1.6
        if zipped:
            _check_sums(path)
        # mapped, so that the optimiser's state, most of a checkpoint, takes no memory
        return torch.load(str(path), map_location="cpu", weights_only=True, mmap=zipped)
    except WeightsError:
        raise
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); give a checkpoint's file") from error
    except Exception as error:  # what damaged bytes make an unpickler raise is not documented
        refused = re.search(r"GLOBAL (\S+)", str(error))
        if refused:
            raise WeightsError(f"{path}: refused, it holds {refused.group(1)!r}, which could run code; save the "
                               "state_dict alone") from error
        raise WeightsError(f"{path}: damaged, or not a file that torch.save wrote ({type(error).__name__}); fetch it "
                           "again") from error


def _check_sums(path: Path) -> None:
    """Checksums: torch.load itself does not notice a changed byte among the weights."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise WeightsError(f"{path}: damaged, the checksum of '{damaged}' in it is wrong; fetch it again")


def _used_weights(checkpoint: Any, path: str | Path) -> dict[str, Tensor]:
    """The weights that influence the result, in float32, by their names without prefix."""
    state = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict) or not state:
        raise WeightsError(f"{path}: holds no state dict; give a checkpoint of the published code")
    prefix = "module." if all(str(name).startswith("module.") for name in state) else ""
    named = {str(name)[len(prefix):]: value for name, value in state.items()}
    weights = {name: value for name, value in named.items() if not UNUSED_WEIGHTS.match(name)}
    for name, value in weights.items():
        if not _is_numbers(value):
            raise WeightsError(f"{path}: '{name}' is not a tensor of finite numbers; give another checkpoint")
    return {name: value.float() for name, value in weights.items()}


def _is_numbers(value: Any) -> bool:
    return (isinstance(value, Tensor) and value.device.type == "cpu" and value.layout is torch.strided
            and value.is_floating_point() and bool(torch.isfinite(value).all()))


def _config(weights: dict[str, Tensor], path: str | Path, att_weight: float | None,
            att_weight_delay: bool) -> PublishedConfig:
    """The configuration that the weights' names and shapes tell; where one is missing, the published size."""
    published = PublishedConfig()
    layers = {match.group(2) for match in map(LAYER_OF_A_CORE.match, weights) if match}
    attention = {match.group(1) for match in map(MODALITY_OF_ATTENTION.match, weights) if match}
    learned = any(name.startswith("gamma_") for name in weights)
    if attention and not learned and att_weight is None:
        missing = ", ".join(f"gamma_{modality}" for modality in sorted(attention))
        raise WeightsError(f"{path}: missing: {missing}; if they were not learned, give att_weight, the --att_weight "
                           "of its training")
    try:
        return PublishedConfig(
            layers=len(layers) or published.layers,
            attention="".join(modality for modality in MODALITIES if modality in attention),
            shared_core=len(layers) > 1 and _cores_are_equal(weights),
            att_weight=published.att_weight if att_weight is None else att_weight,
            att_weight_grad=learned,
            att_weight_delay=att_weight_delay,
            hidden_channels=_size(weights, ["eta_pi", "eta_e", "eta_g"], 1) or published.hidden_channels,
            latent_channels=(_size(weights, ["eta_pi", "eta_e"], 0) or 2 * published.latent_channels) // 2,
            representation_channels=(_size(weights, ["phi.conv1", "phi.conv2", "phi.conv8"], 0)
                                     or published.representation_channels))
    except ValueError as error:
        raise WeightsError(f"{path}: not weights of the published code: {error}") from error


def _size(weights: dict[str, Tensor], layers: list[str], dimension: int) -> int | None:
    """A dimension of most of the layers' weights, so that one that differs will be named; None without any."""
    shapes = [weights[f"{layer}.weight"].shape for layer in layers if f"{layer}.weight" in weights]
    sizes = [shape[dimension] for shape in shapes if len(shape) > dimension]
    return max(sizes, key=sizes.count) if sizes else None


def _cores_are_equal(weights: dict[str, Tensor]) -> bool:
    """Whether each layer's cores hold what layer 0's hold."""
    first = {name: weights.get(LAYER_OF_A_CORE.sub(r"\1.0.", name)) for name in weights if LAYER_OF_A_CORE.match(name)}
    return all(other is not None and torch.equal(other, weights[name]) for name, other in first.items())
