"""Give a network a head for the embedding of places: `python -m training.train_embedding WEIGHTS OUT`.

OUT becomes a weights folder with the network of WEIGHTS as it is, bit for bit, and a head (placenet_ros/model/
place_embedding.py) that was trained on two walks through each of some houses (training/recognition/revisits.py); a head
that WEIGHTS has already gives way. The command is to be run again whenever the network has been trained anew.

1. What the head reads of all frames, their looks, is worked out once: the network itself does not learn.
2. Linear discriminants of the looks, by pairs of frames of the same place on both walks, are the head's start: it then
   embeds the newest frame alone.
3. All of the head learns by contrast (InfoNCE): frames of one place on both walks are to be more alike than those of
   other places in the same house and of other houses. What is near, but not near enough, counts as neither. Depth is
   left out of some houses' frames, for robots with a colour camera alone.
4. Houses that neither it nor the network was trained on, nor are evaluated on, say from which similarity on a match can
   be believed: `about.recognition`. They have the last seeds for training, far from those that networks begin with.

Shapes: f frames of a walk, k looks or their principal components, b frames of a step, m observations of an embedding.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from placenet_ros.model import PlaceNet, WeightsError
from placenet_ros.model.place_embedding import (
    DEPTH_NUMBERS,
    EMBEDDED_OBSERVATIONS,
    TOKEN_CHANNELS,
    PlaceEmbedding,
    look_size,
)
from placenet_ros.model.viewpoints import relative_viewpoints
from training.configuration import UserError, argument, parse, run_command, section, setting
from training.device import chosen_device
from training.houses import UNSEEN_SEEDS_FROM
from training.recognition.comparison import NETWORK, answered
from training.recognition.descriptors import embeddings, looks_of
from training.recognition.protocol import SEARCHES, Level, threshold_of
from training.recognition.revisits import Revisit, RevisitConfig, RevisitMaker, make_revisits, pose_gaps

NEAR_M, NEAR_DEGREES = 0.6, 25.0  # that frames of one place are apart, at most
BETWEEN_M, BETWEEN_DEGREES = 1.0, 30.0  # that frames of two places are apart, at least: either
DEPTH_CHANNELS = DEPTH_NUMBERS + 1  # of a look, its last ones
RIDGE = 0.1  # of the mean variance within places, that is added to each direction's
STEADY_START = 0.1001  # of the steps, over which the learning rate rises; OneCycleLR divides 10 steps' tenth by 0
BESIDE_AT_FIRST = 0.1  # scale of what the head adds to the discriminants at the start
PAIRS_AT_MOST = 2000  # of a house, that the discriminants are made from
BELIEVED = Level(3.0, 180.0)  # what a match means: within the range of one place (~anchor_range), looking anywhere
LEAST_DEVIATION = 0.1  # of the mean of all, that each number of a look is taken to have


@dataclass(frozen=True)
class TrainEmbeddingConfig:
    """Train a head for the embedding of places: WEIGHTS OUT [key=value ...]."""

    weights: str = argument("Folder (or .safetensors file) of the network's weights.")
    out: str = argument("Folder for the same weights with the head; may be the same folder.")
    channels: int = setting(128, "Numbers of an embedding (model.embedding_channels).")
    houses: int = setting(80, "Houses to train on, by seed from 0 on; two walks through each.")
    held_out: int = setting(12, "Further houses, by the seeds up to 9,999,999, that the threshold is learned from.")
    every: int = setting(2, "Every so-manyth frame of a walk is learned from.")
    steps: int = setting(600, "Steps by contrast; 0: linear discriminants of the newest frame alone.")
    houses_per_step: int = setting(8, "Houses whose frames are told apart in one step.")
    frames_per_house: int = setting(24, "Frames of each of them: pairs, one of each walk.")
    components: int = setting(512, "Principal components of the looks that the head learns from.")
    learning_rate: float = setting(5e-4, "Greatest learning rate, of AdamW; it rises, then falls to 0.")
    weight_decay: float = setting(0.05, "Weight decay of AdamW.")
    dropout: float = setting(0.3, "Share of a look's components left out in training.")
    temperature: float = setting(0.07, "Of the similarities in the contrast.")
    drop_depth: float = setting(0.5, "Share of houses in a step whose frames go without depth.")
    farthest_apart: int = setting(2, "Frames from one observation of an embedding to the next in training, at most.")
    precision: float = setting(0.99, "Of matches that are believed, in the houses held out.")
    seed: int = setting(0, "Seed of the head's weights and of what each step draws.")
    revisit: RevisitConfig = section(RevisitConfig)
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "Where to compute; auto: the GPU if there is one.")
    processes: int | None = setting(None, "Processes that render houses; null: one for each core.")

    def __post_init__(self) -> None:
        for name in ("channels", "components"):
            if getattr(self, name) < 2:  # half of the channels begin as discriminants
                raise ValueError(f"{name} must be at least 2, not {getattr(self, name)}")
        for name in ("held_out", "houses_per_step", "farthest_apart", "every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("learning_rate", "temperature"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be over 0, not {getattr(self, name):g}")
        for name in ("steps", "seed", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")
        if self.houses < self.houses_per_step:
            raise ValueError(f"houses ({self.houses}) must be at least houses_per_step ({self.houses_per_step})")
        if self.houses + self.held_out > UNSEEN_SEEDS_FROM:
            raise ValueError(
                f"houses ({self.houses}) and held_out ({self.held_out}) must be {UNSEEN_SEEDS_FROM:,} together at most"
            )
        if self.frames_per_house < 2 or self.frames_per_house % 2:
            raise ValueError(f"frames_per_house must be even and at least 2, not {self.frames_per_house}")
        if not 0 <= self.dropout < 1 or not 0 <= self.drop_depth <= 1:
            raise ValueError(
                f"dropout must be 0 to under 1 and drop_depth 0 to 1, not {self.dropout} and {self.drop_depth}"
            )
        if not 0 < self.precision <= 1:
            raise ValueError(f"precision must be over 0 and at most 1, not {self.precision}")


class Walk(NamedTuple):
    """A walk as the head sees it."""

    looks: np.ndarray  # f k, float16; or their components, see `Components`, float32
    poses: np.ndarray  # f 5, see trajectory.py


class House(NamedTuple):
    """Both walks of a house, and which frames of them are of one place."""

    walks: tuple[Walk, Walk]
    pairs: np.ndarray  # n 2: a frame of the first, one of the second


def houses_of(model: PlaceNet, revisits: Iterable[Revisit], config: TrainEmbeddingConfig) -> list[House]:
    """Looks and pairs of houses; those whose walks share no place are left out. Tells how far it is on stderr."""
    houses, start = [], time.monotonic()
    for number, revisit in enumerate(revisits, start=1):
        walks = tuple(
            Walk(torch.cat(list(looks_of(model, walk))).half().cpu().numpy(), walk.poses)
            for walk in (revisit.mapped, revisit.queried)
        )
        gaps = pose_gaps(walks[0].poses, walks[1].poses)
        pairs = np.argwhere((gaps.metres <= NEAR_M) & (gaps.degrees <= NEAR_DEGREES))
        if len(pairs):
            houses.append(House(walks, pairs))
        if number % 10 == 0:
            print(f"looks of {number} houses, {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    if len(houses) < config.houses_per_step:
        raise UserError(
            f"only {len(houses)} of {config.houses} houses have a place that both walks pass: set more houses or "
            "revisit.frames"
        )
    return houses


# ---- The start: principal components and linear discriminants --------------------------------------------------------


class Components(NamedTuple):
    """Principal components of looks, the greatest first, each of a variance that falls as the root of its own."""

    mean: np.ndarray  # of the looks without depth
    basis: np.ndarray  # looks without depth, components
    depth_mean: np.ndarray
    depth_scale: float

    def of(self, looks: np.ndarray) -> np.ndarray:
        """(f, looks) -> (f, components + DEPTH_CHANNELS) float32; what says whether there is depth stays as it is."""
        looks = looks.astype(np.float32)
        colours, depth, there = looks[:, :-DEPTH_CHANNELS], looks[:, -DEPTH_CHANNELS:-1], looks[:, -1:]
        return np.concatenate([(colours - self.mean) @ self.basis, there * (depth - self.depth_mean) * self.depth_scale,
                               there], axis=1)  # fmt: skip

    def unfolded(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Weight and bias of a linear layer of looks that says what one of their components, with depth, says."""
        colours, depth, there = weight.double().tensor_split((self.basis.shape[1], weight.shape[1] - 1), dim=1)
        of_looks = colours @ torch.from_numpy(self.basis).double().T
        of_depth = depth * self.depth_scale
        # Without depth its numbers are 0, and count for nothing: their mean goes with what says whether there is.
        there = there - of_depth @ torch.from_numpy(self.depth_mean).double()[:, None]
        moved = bias.double() - of_looks @ torch.from_numpy(self.mean).double()
        return torch.cat([of_looks, of_depth, there], dim=1).float(), moved.float()


def principal_components(houses: list[House], count: int) -> Components:
    """Of the looks of all frames, each of their numbers first scaled by its own deviation."""
    total, square, frames = 0.0, 0.0, 0
    for looks in _all_looks(houses):
        total, frames = total + looks.sum(axis=0, dtype=np.float64), frames + len(looks)
        square = square + (looks.astype(np.float64) ** 2).sum(axis=0)
    mean = total / frames
    deviation = np.sqrt(np.maximum(square / frames - mean**2, 0.0))
    colours = slice(0, len(mean) - DEPTH_CHANNELS)
    deviation = np.maximum(deviation, LEAST_DEVIATION * deviation[colours].mean())  # what hardly varied says little
    covariance = np.zeros((colours.stop, colours.stop), np.float32)
    for looks in _all_looks(houses):
        scaled = ((looks[:, colours] - mean[colours]) / deviation[colours]).astype(np.float32)
        covariance += scaled.T @ scaled / frames
    variances, directions = np.linalg.eigh(covariance.astype(np.float64))
    kept = slice(None, -min(count, len(variances)) - 1, -1)
    variances, directions = np.maximum(variances[kept], 1e-9), directions[:, kept]
    spread = np.sqrt(np.sqrt(variances).mean())  # of the components' deviations, which is 1 then
    basis = directions / deviation[colours][:, None] / variances**0.25
    depth = slice(colours.stop, -1)
    return Components(mean[colours].astype(np.float32), (basis / spread).astype(np.float32),
                      mean[depth].astype(np.float32), float(1.0 / deviation[depth].mean()))  # fmt: skip


def _all_looks(houses: list[House]) -> Iterable[np.ndarray]:
    return (walk.looks.astype(np.float32) for house in houses for walk in house.walks)


def discriminants(houses: list[House], components: int) -> np.ndarray:
    """Linear discriminants (components, components) of looks' components, the one that tells places best first.

    Within a place they differ by 1 (root mean square, of two frames on both walks), or less by RIDGE.
    """
    within, count = np.zeros((components, components)), 0
    for first, second, pairs in ((*house.walks, house.pairs) for house in houses):
        chosen = pairs[:: -(-len(pairs) // PAIRS_AT_MOST)]
        apart = (first.looks[chosen[:, 0]] - second.looks[chosen[:, 1]])[:, :components].astype(np.float64)
        within, count = within + apart.T @ apart, count + len(chosen)
    within /= count
    within += RIDGE * np.trace(within) / components * np.eye(components)
    variances, directions = np.linalg.eigh(within)
    whitening = directions / np.sqrt(variances)
    total = sum((looks[:, :components] @ whitening).T @ (looks[:, :components] @ whitening)
                for looks in _all_looks(houses))  # fmt: skip
    return whitening @ np.linalg.eigh(total)[1][:, ::-1]


def started_head(houses: list[House], components: int, channels: int) -> PlaceEmbedding:
    """A head of looks' components that embeds the newest observation by the first discriminants."""
    head = PlaceEmbedding(components + DEPTH_CHANNELS, channels)
    found = discriminants(houses, components)[:, :TOKEN_CHANNELS]
    first = min(channels, found.shape[1]) // 2  # the others tell noise, until they have learned something better
    scale = np.concatenate([looks[:, :components] @ found[:, :first] for looks in _all_looks(houses)]).std()
    with torch.no_grad():
        head.token.weight.mul_(BESIDE_AT_FIRST)
        head.token.weight[: found.shape[1], :components] = torch.from_numpy(found.T / scale).float()
        head.token.bias.zero_()
        head.direct.weight.mul_(BESIDE_AT_FIRST)
        head.direct.weight[:first] = torch.eye(TOKEN_CHANNELS)[:first]
        head.beside.weight.mul_(BESIDE_AT_FIRST)
        head.beside.bias.zero_()
    return head


# ---- Learning by contrast --------------------------------------------------------------------------------------------


class Contrast(NamedTuple):
    """Frames of a step, those of one place among them."""

    looks: Tensor  # b m k
    viewpoints: Tensor  # b m 7
    there: Tensor  # b m bool
    same: Tensor  # b b bool: of one place
    other: Tensor  # b b bool: of two places


def drawn_contrast(houses: list[House], config: TrainEmbeddingConfig, scale: float, step: int) -> Contrast:
    """The frames of a step, a function of the seed and its number. scale: the model's position_scale."""
    draws = np.random.default_rng([config.seed, step])
    looks, poses, there, numbers = [], [], [], []
    for number in draws.choice(len(houses), config.houses_per_step, replace=False):
        house = houses[number]
        pairs = house.pairs[draws.integers(0, len(house.pairs), config.frames_per_house // 2)]
        blind = draws.random() < config.drop_depth
        for walk, frames in zip(house.walks, pairs.T, strict=True):
            back = np.arange(1 - EMBEDDED_OBSERVATIONS, 1) * draws.integers(1, config.farthest_apart + 1)
            back = back[-draws.integers(1, EMBEDDED_OBSERVATIONS + 1) :]
            windows = np.full((len(frames), EMBEDDED_OBSERVATIONS), -1)
            windows[:, -len(back) :] = frames[:, None] + back
            seen = walk.looks[np.maximum(windows, 0)].astype(np.float32)
            if blind:
                seen[..., -DEPTH_CHANNELS:] = 0.0
            looks.append(seen)
            poses.append(walk.poses[np.maximum(windows, 0)].astype(np.float64))
            there.append(windows >= 0)
            numbers.append(np.full(len(frames), number))
    seen, posed = np.concatenate(looks), torch.from_numpy(np.concatenate(poses))
    viewpoints = relative_viewpoints(posed, posed[:, -1:, :4], scale).float()
    newest, house = posed[:, -1].numpy(), np.concatenate(numbers)
    gaps, alike = pose_gaps(newest, newest), house[:, None] == house[None, :]
    same = alike & (gaps.metres <= NEAR_M) & (gaps.degrees <= NEAR_DEGREES) & ~np.eye(len(house), dtype=bool)
    other = ~alike | (gaps.metres > BETWEEN_M) | (gaps.degrees > BETWEEN_DEGREES)
    return Contrast(torch.from_numpy(seen), viewpoints, torch.from_numpy(np.concatenate(there)),
                    torch.from_numpy(same), torch.from_numpy(other))  # fmt: skip


def contrast_loss(embeddings: Tensor, same: Tensor, other: Tensor, temperature: float) -> Tensor:
    """InfoNCE with several frames of the same place (Khosla et al. 2020), of embeddings (b, c) of norm 1; nats."""
    logits = (embeddings @ embeddings.T / temperature).masked_fill(~(same | other), -torch.inf)
    log_share = logits - logits.logsumexp(dim=1, keepdim=True)
    each = log_share.masked_fill(~same, 0.0).sum(dim=1) / same.sum(dim=1).clamp(min=1)
    return -each[same.any(dim=1)].mean()


def learn(head: PlaceEmbedding, houses: list[House], config: TrainEmbeddingConfig, scale: float) -> None:
    """Train a head of looks' components, in place, on its device; tells the loss on stderr."""
    device = head.token.weight.device
    optimiser = torch.optim.AdamW(head.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, max(config.steps, 1), pct_start=STEADY_START
    )
    generator = torch.Generator(device).manual_seed(config.seed)
    start = time.monotonic()
    for step in range(config.steps):
        drawn = Contrast(*(tensor.to(device) for tensor in drawn_contrast(houses, config, scale, step)))
        kept = torch.rand(drawn.looks.shape, generator=generator, device=device) >= config.dropout
        weights = kept / (1 - config.dropout)
        weights[..., -1] = 1.0  # what says whether there is depth
        tokens = head.tokens(drawn.looks * weights)
        loss = contrast_loss(head(tokens, drawn.viewpoints, drawn.there), drawn.same, drawn.other, config.temperature)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 99 or step == config.steps - 1:
            seconds = time.monotonic() - start
            print(f"step {step + 1} of {config.steps}: {loss:.3f} nats, {seconds:.0f} s", file=sys.stderr, flush=True)
    if not all(weight.isfinite().all() for weight in head.parameters()):
        raise UserError(f"the head has become no numbers: lower learning_rate ({config.learning_rate:g})")


# ---- The command -----------------------------------------------------------------------------------------------------


def trained_head(model: PlaceNet, houses: list[House], config: TrainEmbeddingConfig) -> PlaceEmbedding:
    """A head of looks for a model, on its device."""
    device = next(model.parameters()).device
    components = principal_components(houses, config.components)
    reduced = [
        house._replace(walks=tuple(walk._replace(looks=components.of(walk.looks)) for walk in house.walks))
        for house in houses
    ]
    count = components.basis.shape[1]
    torch.manual_seed(config.seed)
    small = started_head(reduced, count, config.channels).to(device)
    learn(small, reduced, config, model.config.position_scale)
    small = small.cpu()
    head = PlaceEmbedding(look_size(model.config.representation_channels), config.channels)
    weights = small.state_dict()
    weights["token.weight"], weights["token.bias"] = components.unfolded(small.token.weight, small.token.bias)
    head.load_state_dict(weights)
    return head.to(device)


def with_head(model: PlaceNet, head: PlaceEmbedding, channels: int) -> PlaceNet:
    """The model with a head; all its other weights are the same tensors."""
    with torch.device("meta"):
        made = PlaceNet(replace(model.config, embedding_channels=channels))
    weights = {name: x for name, x in model.state_dict().items() if not name.startswith("place_embedding.")}
    weights |= {f"place_embedding.{name}": x for name, x in head.state_dict().items()}
    made.load_state_dict(weights, assign=True)
    made.about = model.about
    return made.eval()


def believable(model: PlaceNet, revisits: Iterable[Revisit], precision: float) -> dict:
    """From which similarity on a match is of the same place, by the houses held out: for `about.recognition`.

    threshold: None where no similarity is enough.
    """
    found = answered({NETWORK: lambda walk: embeddings(model, walk)}, revisits, 1, (BELIEVED,))
    matches = found.matches[SEARCHES[0]][NETWORK]
    point = threshold_of(matches.similarity, matches.hits[:, 0, 0], matches.possible[:, 0], precision)
    return {
        "threshold": point and point.thresholds,
        "precision": point and point.precision,
        "recall": point and point.recall,
        "protocol": f"the most similar frame of another walk through the same house is within {BELIEVED.metres:g} m of "
        f"{len(matches.houses)} queries in {found.houses} houses held out; recall of those with such a frame",
    }


def network_to_extend(config: TrainEmbeddingConfig) -> PlaceNet:
    """The network of WEIGHTS. Raises UserError where there is none, or it can have no such head."""
    try:
        model = PlaceNet.from_pretrained(config.weights)
    except WeightsError as error:
        raise UserError(str(error)) from error
    try:
        replace(model.config, embedding_channels=config.channels)
    except ValueError as error:
        raise UserError(f"{config.weights}: {error}") from error
    return model


def train_embedding(config: TrainEmbeddingConfig, command: str) -> None:
    """The command. Raises UserError and OSError."""
    device = chosen_device(config.device)
    model = network_to_extend(config).to(device)
    maker = RevisitMaker(config.revisit, model.config.image_size, model.config.field_of_view_degrees)
    processes = config.processes or len(os.sched_getaffinity(0))
    seeds = range(config.houses)
    houses = houses_of(model, make_revisits(seeds, processes, replace(maker, every=config.every)), config)
    head = trained_head(model, houses, config)
    half = all(torch.equal(x, x.half().float()) for x in model.state_dict().values())
    made = with_head(model, head.half().float() if half else head, config.channels)
    held_out = range(UNSEEN_SEEDS_FROM - config.held_out, UNSEEN_SEEDS_FROM)
    recognition = believable(made, make_revisits(held_out, processes, maker), config.precision)
    recognition |= {
        "command": command,
        "house_seeds": {"train": f"0..{config.houses - 1}", "held_out": f"{held_out.start}..{held_out.stop - 1}"},
    }
    about = {name: value for name, value in model.about.items() if name != "model_id"}
    made.save_pretrained(config.out, about | {"recognition": recognition}, half_precision=half)
    print(f"{config.out}: {recognition}")


def main(argv: list[str]) -> None:
    """The command."""
    config = parse(TrainEmbeddingConfig, argv, program="training.train_embedding")
    train_embedding(config, " ".join(["python -m training.train_embedding", *argv]))


if __name__ == "__main__":
    run_command(main)
