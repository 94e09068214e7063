"""How well a network predicts views of houses it has never seen: `python -m training.evaluate WEIGHTS [key=value ...]`.

Predictions are samples from the prior, each of one query from some observations of the same window of a trajectory.
RMSE of an image is sqrt(mean over its pixels and channels of the squared error), on 0..255; every figure is the mean
over all queries of the value of each image, with a 95 % confidence interval by bootstrap over trajectories (queries in
one house are alike). The same queries are asked with each number of observations, the fewer being among the more.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from placenet_ros.model import Observations, PlaceNet, PlaceNetConfig, WeightsError
from training.baselines import BASELINES
from training.configuration import UserError, argument, parse, run_command, section, setting
from training.data.dataset import ShardSet
from training.data.sampling import SamplingConfig, assemble, draw_scenes
from training.data.scenes import TrajectorySource
from training.data.trajectories import device_for, render_houses
from training.device import chosen_device
from training.houses import UNSEEN_SEEDS_FROM, TrajectoryMaker, WalkConfig
from training.image_quality import QUALITIES, image_quality

EVALUATION_SEED = 1_000_003  # of the queries: the same for every network
BOOTSTRAP_DRAWS = 1000
CONFIDENCE_PERCENT = 95

Predictor = Callable[[Observations, Tensor], Tensor]  # observations, query viewpoints (b q 7) -> images (b q 3 s s)


@dataclass(frozen=True)
class EvaluationConfig:
    """What is asked of a network."""

    queries: int = setting(1024, "Queries, spread over the unseen houses.")
    observations: tuple[int, ...] = setting((3, 5), "Numbers of observations to predict from.")
    samples: int = setting(1, "Samples from the prior whose mean is the prediction.")
    depth: bool = setting(True, "Give depth images; false: predict from colour alone.")
    objects: bool = setting(True, "Give object images.")
    scenes: int = setting(64, "Queries evaluated at once; less needs less memory.", may_change=True)

    def __post_init__(self) -> None:
        for name in ("queries", "samples", "scenes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not self.observations or min(self.observations) < 1:
            raise ValueError(f"observations must be numbers of at least 1, not {list(self.observations)}")


def check_window(evaluation: EvaluationConfig, sampling: SamplingConfig) -> None:
    """Raises ValueError where the window has too few frames for an evaluation's observations and query."""
    most = max(evaluation.observations)
    if most >= sampling.window:
        raise ValueError(f"evaluation.observations ({most}) must be under sampling.window ({sampling.window})")


def fewest_frames(evaluation: EvaluationConfig, sampling: SamplingConfig) -> int:
    """Frames that a trajectory needs for the scenes of training and of an evaluation."""
    return max(sampling.fewest_frames, max(evaluation.observations) + 1)


def opened_shards(folder: Path, model: PlaceNetConfig, frames: int, skip_damaged: bool = False) -> ShardSet:
    """A data set for a network: its trajectories of at least so many frames. Raises UserError where they do not fit."""
    shards = ShardSet(folder, skip_damaged, frames)
    about = shards.description
    if about.image_size != model.image_size:
        raise UserError(f"{folder}: has pictures of {about.image_size} pixels, the network takes {model.image_size}")
    if about.field_of_view_degrees not in (None, model.field_of_view_degrees):
        raise UserError(
            f"{folder}: its camera has a field of view of {about.field_of_view_degrees:g} degrees, the network's has "
            f"{model.field_of_view_degrees:g} (model.field_of_view_degrees)"
        )
    if shards.left_out:
        print(f"{folder}: {shards.left_out} trajectories of under {frames} frames are left out", file=sys.stderr)
    return shards


def prior_prediction(model: PlaceNet, samples: int) -> Predictor:
    """Predict by the mean of some samples from a model's prior, the same ones at every evaluation."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(EVALUATION_SEED)

    def predict(observations: Observations, query_viewpoints: Tensor) -> Tensor:
        scene = model.encode(observations)
        views = (model.predict(scene, query_viewpoints, generator) for _ in range(samples))
        return sum(views) / samples

    return predict


def untrained(config: PlaceNetConfig, device: torch.device) -> PlaceNet:
    """The same network before any training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(EVALUATION_SEED)
        return PlaceNet(config).eval().to(device)


def rivals(
    model_config: PlaceNetConfig, config: EvaluationConfig, data: TrajectorySource, device: torch.device
) -> dict[str, Predictor]:
    """What a trained network is compared with on `data`, by name; reprojection only where there is depth."""

    def baseline(name: str) -> Predictor:
        return lambda observations, viewpoints: BASELINES[name](observations, viewpoints, model_config)

    depth = config.depth and "depth" in data.modalities
    names = [name for name in BASELINES if depth or name != "reprojection"]
    networks = {"untrained network": prior_prediction(untrained(model_config, device), config.samples)}
    return networks | {name: baseline(name) for name in names}


@torch.no_grad()
def evaluate(
    predictors: dict[str, Predictor],
    data: TrajectorySource,
    sampling: SamplingConfig,
    config: EvaluationConfig,
    position_scale: float,
    device: torch.device,
) -> dict:
    """Figures of each predictor: {"3": {"model": {"rmse": {"mean": ..., "low": ..., "high": ...}, ...}, ...}, ...}."""
    sampling = replace(
        sampling,
        fewest_observations=min(config.observations),
        most_observations=max(config.observations),
        queries=1,
        drop_depth=0.0 if config.depth else 1.0,
        drop_objects=0.0 if config.objects else 1.0,
    )
    figures = {}
    for count in config.observations:
        values = {name: {quality: [] for quality in QUALITIES} for name in predictors}
        trajectories = []
        for step, first in enumerate(range(0, config.queries, config.scenes)):
            draw = draw_scenes(sampling, data.lengths, config.scenes, EVALUATION_SEED, step, observations=count)
            draw = draw.rows(slice(0, config.queries - first))
            batch = assemble(draw, data.fetch(draw), position_scale, device)
            trajectories.append(draw.trajectories)
            for name, predict in predictors.items():
                images = predict(batch.observations, batch.query_viewpoints)
                quality = image_quality(images.flatten(0, 1).float(), batch.query_images.flatten(0, 1))
                for measure in QUALITIES:
                    values[name][measure].append(quality[measure].cpu())
        groups = np.concatenate(trajectories)
        figures[str(count)] = {
            name: {measure: confidence(torch.cat(values[name][measure]).numpy(), groups) for measure in QUALITIES}
            for name in predictors
        }
    return figures


def confidence(values: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Mean of values (n) and its confidence interval by bootstrap over the groups (n, integers) they belong to."""
    _, group = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(group, values), np.bincount(group)
    drawn = np.random.default_rng(0).integers(0, len(sums), (BOOTSTRAP_DRAWS, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    tail = (100 - CONFIDENCE_PERCENT) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return {"mean": float(values.mean()), "low": float(low), "high": float(high)}


def table(figures: dict) -> str:
    """The figures of `evaluate` as text, one block for each number of observations."""
    lines = []
    for count, rows in figures.items():
        title = f"{count} observations"
        lines.append(f"{title:<20}{'RMSE (95 %)':>22}{'MAE':>8}{'PSNR':>8}{'SSIM':>8}")
        for name, row in rows.items():
            rmse = row["rmse"]
            interval = f"{rmse['mean']:.2f} ({rmse['low']:.2f}..{rmse['high']:.2f})"
            mae, psnr, ssim = (row[measure]["mean"] for measure in ("mae", "psnr", "ssim"))
            lines.append(f"  {name:<18}{interval:>22}{mae:>8.2f}{psnr:>8.2f}{ssim:>8.3f}")
    return "\n".join(lines)


@dataclass(frozen=True)
class EvaluateConfig:
    """Compare a network's predictions of houses with what needs no learning. Prints a table and writes JSON."""

    weights: str = argument("Folder (or .safetensors file) of the network's weights.")
    data: str | None = setting(None, "Folder of shards to ask about; null: houses made at the start.")
    houses: int = setting(64, "Houses to ask about; one trajectory through each.")
    first_seed: int = setting(UNSEEN_SEEDS_FROM, "Seed of the first house; training uses those under 10,000,000.")
    walk: WalkConfig = section(WalkConfig)
    evaluation: EvaluationConfig = section(EvaluationConfig)
    sampling: SamplingConfig = section(SamplingConfig)
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "Where to compute; auto: the GPU if there is one.")
    output: str = setting("out/evaluation.json", "File for the figures.")

    def __post_init__(self) -> None:
        check_window(self.evaluation, self.sampling)
        if self.walk.frames < self.sampling.window:
            raise ValueError(
                f"walk.frames ({self.walk.frames}) must be at least sampling.window ({self.sampling.window})"
            )
        if self.houses < 1 or self.first_seed < 0:
            raise ValueError(f"houses ({self.houses}) must be at least 1, first_seed ({self.first_seed}) at least 0")


def main(argv: list[str]) -> None:
    config = parse(EvaluateConfig, argv, program="training.evaluate")
    device = chosen_device(config.device)
    try:
        model = PlaceNet.from_pretrained(config.weights).to(device)
    except WeightsError as error:
        raise UserError(str(error)) from error
    if config.data is not None:
        data = opened_shards(Path(config.data), model.config, fewest_frames(config.evaluation, config.sampling))
    else:
        maker = TrajectoryMaker(config.walk, 1, model.config.image_size, model.config.field_of_view_degrees)
        place = device_for(config.houses, config.walk.frames, maker.image_size, "auto", device)
        data = render_houses(config.first_seed, config.houses, maker, place)
    predictors = {"this network": prior_prediction(model, config.evaluation.samples)}
    predictors |= rivals(model.config, config.evaluation, data, device)
    scale = model.config.position_scale
    figures = evaluate(predictors, data, config.sampling, config.evaluation, scale, device)
    print(table(figures))
    output = Path(config.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"figures in {output}")


if __name__ == "__main__":
    run_command(main)
