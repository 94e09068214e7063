"""How well a network predicts views of houses it has never seen: `python -m training.evaluate WEIGHTS [DATA]`.

DATA is a folder of shards; without it, houses are made. What is written into OUTPUT (out/evaluation):

    figures.json     all figures, what was asked, of which weights and data
    table.txt        the same as text
    *.png            RMSE by number of observations and by distance of the nearest one; spread and expected error
                     against the true one; precision and recall of places recognised

Predictions are samples from the prior, each of one query from some observations of the same window of a trajectory.
RMSE of an image is sqrt(mean over its pixels and channels of the squared error), on 0..255; every figure is the mean
over all queries of the value of each image, with a 95 % confidence interval by bootstrap over trajectories (queries in
one house are alike). The same queries are asked with each number of observations, the fewer being among the more.

*Spread* is the standard deviation over some samples from the prior, of each pixel, on 0..255 (root of the mean over
colours of the variance). *Expected error* is what a network with model.predict_error says of each pixel: its absolute
error (mean over colours, on 0..255) as it is to be expected. It learned that of the prior's mean, whose row is the one
to look at. Its *calibration* is its mean over that of the true error: under 1, the network is too sure of itself.
*Seen* are the pixels that some observation saw, by true depth (training/visibility.py).

Then places are recognised, from one walk through a house on another (training/recognition/).

Shapes: b scenes, q queries of each, n = b * q, s image size.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from placenet_ros.counted import counted
from placenet_ros.model import Observations, PlaceNet, PlaceNetConfig, WeightsError
from training.baselines import Prediction, Predictor, baseline_predictors, pose_distances
from training.confidence import Figure, confidence, correlation, ratio
from training.configuration import UserError, argument, as_dict, parse, run_command, section, setting
from training.data.dataset import ShardSet
from training.data.sampling import Batch, SamplingConfig, assemble, draw_scenes
from training.data.scenes import TrajectorySource
from training.data.trajectories import device_for, render_houses
from training.device import chosen_device
from training.evaluation_plots import draw_plots
from training.houses import CLASS_NAMES, UNSEEN_SEEDS_FROM, TrajectoryMaker, WalkConfig
from training.image_quality import QUALITIES, depth_rmse, image_quality, object_accuracy, rmse_where
from training.networks import Network, poses_of, read_network
from training.recognition.comparison import Recognition, RecognitionConfig, recognise
from training.recognition.comparison import figures as recognition_figures
from training.recognition.telling import draw as draw_recognition
from training.recognition.telling import table as recognition_table
from training.visibility import seen_pixels

EVALUATION_SEED = 1_000_003  # of the queries: the same for every network
NETWORK = "this network"
UNTRAINED = "untrained network"
RIVALS = (UNTRAINED, "mean image", "nearest image", "reprojection")  # asked once, with the first of the inputs
Inputs = Literal["colour+depth+objects", "colour+depth", "colour+objects", "colour"]
EVERYTHING: Inputs = "colour+depth+objects"
MODALITY_NAMES = {"colour": "rgb", "depth": "depth", "objects": "objects"}
# Means over images; figures of UNCERTAINTIES come from sums over pixels.
IMAGE_MEASURES = (*QUALITIES, "rmse_seen", "rmse_unseen", "depth_rmse", "object_accuracy")
UNCERTAINTIES = {"spread": "spread_error_correlation", "expected_error": "expected_error_correlation"}
UNCERTAINTY_EDGES = tuple(0.25 * 2 ** (step / 2) for step in range(18))  # 0.25 to 90, of 255: borders of plots' bins


@dataclass(frozen=True)
class EvaluationConfig:
    """What is asked of a network."""

    queries: int = setting(1024, "Queries, spread over the unseen houses.")
    observations: tuple[int, ...] = setting((3, 5), "Numbers of observations to predict from.")
    inputs: tuple[Inputs, ...] = setting(
        (EVERYTHING,),
        "What is given of observations, such as colour+depth+objects,colour: one after another.",
    )
    samples: int = setting(1, "Samples from the prior whose mean is the prediction.")
    spread_samples: int = setting(4, "Samples from the prior that the spread is taken over; 0: no spread.")
    scenes: int = setting(64, "Queries evaluated at once; less needs less memory.", may_change=True)

    def __post_init__(self) -> None:
        for name in ("queries", "samples", "scenes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not self.observations or min(self.observations) < 1:
            raise ValueError(f"observations must be numbers of at least 1, not {list(self.observations)}")
        if not self.inputs or len(set(self.inputs)) < len(self.inputs):
            raise ValueError(f"inputs must be at least one, each once, not {list(self.inputs)}")
        if self.spread_samples < 0 or self.spread_samples == 1:
            raise ValueError(f"spread_samples must be 0 or at least 2, not {self.spread_samples}")


def check_window(evaluation: EvaluationConfig, sampling: SamplingConfig) -> None:
    """Raises ValueError where the window has too few frames for an evaluation's observations and query."""
    most = max(evaluation.observations)
    if most >= sampling.window:
        raise ValueError(f"evaluation.observations ({most}) must be under sampling.window ({sampling.window})")


def fewest_frames(evaluation: EvaluationConfig, sampling: SamplingConfig) -> int:
    """Frames that a trajectory needs for the scenes of training and of an evaluation."""
    return max(sampling.fewest_frames, max(evaluation.observations) + 1)


def opened_shards(
    folder: Path, model: PlaceNetConfig, frames: int, skip_damaged: bool = False, tell: bool = True
) -> ShardSet:
    """A data set for a network: its trajectories of at least so many frames. Raises UserError where they do not fit.

    tell: say on stderr what is left out, see `tell_left_out`.
    """
    shards = ShardSet(folder, skip_damaged, frames)
    about = shards.description
    if about.image_size != model.image_size:
        raise UserError(f"{folder}: has pictures of {about.image_size} pixels, the network takes {model.image_size}")
    if about.field_of_view_degrees not in (None, model.field_of_view_degrees):
        raise UserError(
            f"{folder}: its camera has a field of view of {about.field_of_view_degrees:g} degrees, the network's has "
            f"{model.field_of_view_degrees:g} (model.field_of_view_degrees)"
        )
    if tell:
        tell_left_out(shards)
    return shards


def tell_left_out(shards: ShardSet) -> None:
    """Say on stderr how many trajectories are too short, if any are."""
    if shards.left_out:
        told = counted(shards.left_out, "trajectory", "trajectories")
        print(f"{shards.folder}: left out: {told} of under {shards.fewest_frames} frames", file=sys.stderr)


# ---- Predictors ------------------------------------------------------------------------------------------------------


def prior_prediction(model: Network, samples: int, spread_samples: int = 0) -> Predictor:
    """Predict by the mean of some samples from a model's prior, the same ones at every evaluation.

    The spread is that of `spread_samples` samples, the former among them; 0: none.
    """
    generator = torch.Generator(_device_of(model)).manual_seed(EVALUATION_SEED)

    def predict(observations: Observations, query_viewpoints: Tensor) -> Prediction:
        scene = model.encode(observations)
        drawn = range(max(samples, spread_samples))
        views = [model.predict_view(scene, query_viewpoints, generator) for _ in drawn]
        images = torch.stack([view.images for view in views])
        first = views[:samples]
        return Prediction(
            images[:samples].mean(dim=0),
            None if first[0].depth is None else torch.stack([view.depth for view in first]).mean(dim=0),
            None if first[0].class_ids is None else torch.stack([view.class_ids for view in first]).mode(dim=0).values,
            spread_of(images[:spread_samples]) if spread_samples else None,
            None if first[0].error is None else 255 * torch.stack([view.error for view in first]).mean(dim=0),
        )

    return predict


def prior_mean_prediction(model: Network) -> Predictor:
    """Predict without any noise: every latent is the mean of the prior."""

    def predict(observations: Observations, query_viewpoints: Tensor) -> Prediction:
        view = model.predict_view(model.encode(observations), query_viewpoints, temperature=0.0)
        error = None if view.error is None else 255 * view.error
        return Prediction(view.images, view.depth, view.class_ids, error=error)

    return predict


def spread_of(samples: Tensor) -> Tensor:
    """How far samples (k, b, q, 3, s, s) of views in [0, 1] differ: (b, q, 1, s, s), on 0..255."""
    return 255 * samples.var(dim=0).mean(dim=2, keepdim=True).sqrt()


def network_predictors(model: Network, config: EvaluationConfig) -> dict[str, Predictor]:
    """A trained network's rows of the table: samples from its prior, and the prior's mean."""
    return {
        NETWORK: prior_prediction(model, config.samples, config.spread_samples),
        "its prior's mean": prior_mean_prediction(model),
    }


def untrained(model: Network) -> Network:
    """The same network before any training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(EVALUATION_SEED)
        return type(model)(model.config).eval().to(_device_of(model))


def rivals(model: Network, config: EvaluationConfig) -> dict[str, Predictor]:
    """What a trained network is compared with, by name."""
    network = prior_prediction(untrained(model), config.samples)

    def predict(observations: Observations, query_viewpoints: Tensor) -> Prediction:
        return network(observations, query_viewpoints)._replace(error=None)  # the same everywhere

    return {UNTRAINED: predict, **baseline_predictors(model.config)}


def _device_of(model: Network) -> torch.device:
    return next(model.parameters()).device


# ---- Asking ----------------------------------------------------------------------------------------------------------


class Answers(NamedTuple):
    """What came of asking all predictors the same queries, with one number of observations."""

    values: dict[str, dict[str, np.ndarray]]  # row, then measure (see `judged`): n ...
    trajectories: np.ndarray  # n, int64: what each query is of
    distances: np.ndarray  # n: of the nearest observation, see baselines.pose_distances


@torch.no_grad()
def ask(
    predictors: dict[str, Predictor],
    data: TrajectorySource,
    sampling: SamplingConfig,
    config: EvaluationConfig,
    observations: int,
    model: PlaceNetConfig,
    device: torch.device,
) -> Answers:
    """Ask the predictors, with each of `config.inputs`; rows are named after the predictors, see `row_name`.

    A predictor that cannot predict from what is given has no row, one of RIVALS none but with the first of the inputs.
    Raises UserError where a prediction is no number.
    """
    values: dict[str, dict[str, list[np.ndarray]]] = {}
    trajectories, distances = [], []
    whole = asked_sampling(sampling, config)
    for step, first in enumerate(range(0, config.queries, config.scenes)):
        draw = draw_scenes(whole, data.lengths, config.scenes, EVALUATION_SEED, step, observations)
        draw = draw.rows(slice(0, config.queries - first))
        batch = assemble(draw, data.fetch(draw), model.position_scale, device)
        seen = pixels_seen(batch, model)
        trajectories.append(draw.trajectories)
        apart = pose_distances(batch.observations.viewpoints, batch.query_viewpoints, model).amin(dim=2)
        distances.append(apart.flatten().cpu().numpy())
        for inputs in config.inputs:
            observed = given(batch.observations, inputs)
            for name, predict in predictors.items():
                once = name in RIVALS and inputs != config.inputs[0]
                prediction = None if once else predict(observed, batch.query_viewpoints)
                if prediction is not None:
                    if not prediction.images.isfinite().all():
                        raise UserError(f"{row_name(name, inputs, config)}: predicts what is no number: broken weights")
                    row = values.setdefault(row_name(name, inputs, config), {})
                    for measure, value in judged(prediction, batch, seen).items():
                        row.setdefault(measure, []).append(value.double().cpu().numpy())
    joined = {name: {measure: np.concatenate(parts) for measure, parts in row.items()} for name, row in values.items()}
    return Answers(joined, np.concatenate(trajectories), np.concatenate(distances))


def row_name(predictor: str, inputs: str, config: EvaluationConfig) -> str:
    """A predictor's name; with what it was given where that is not the first of `config.inputs`."""
    return predictor if inputs == config.inputs[0] else f"{predictor}, {inputs}"


def pixels_seen(batch: Batch, model: PlaceNetConfig) -> Tensor | None:
    """(b, q, 1, s, s) bool: what an observation saw of the queries, by true depth; None where the data has none."""
    if batch.query_depth is None:
        return None
    return seen_pixels(
        batch.query_depth, batch.query_viewpoints, batch.observation_depth, batch.observations.viewpoints, model
    )


def judged(prediction: Prediction, batch: Batch, seen: Tensor | None) -> dict[str, Tensor]:
    """Measures of each view, (n, ...): IMAGE_MEASURES, and of each of UNCERTAINTIES:

    spread_sums (n, 6): sum of the spread over pixels that were seen, of their errors, their number, the same of those
    that were not.
    spread_moments (n, 6): as `confidence.correlation` takes them, of spread and error of each pixel.
    spread_bins (n, bins, 5): for pixels with the spread between two of UNCERTAINTY_EDGES: how many, their errors, these
    squared, how many of them were seen and were not.

    The error that the spread stands for is the root of the mean over colours of its square, the expected error's is the
    mean of its absolute.
    """
    images, truth = prediction.images.flatten(0, 1).float(), batch.query_images.flatten(0, 1)
    values = image_quality(images, truth)
    where = {}
    if seen is not None:
        known = batch.query_depth > 0
        where = {"seen": (seen & known).flatten(0, 1), "unseen": (~seen & known).flatten(0, 1)}
        values |= {f"rmse_{name}": rmse_where(images, truth, mask) for name, mask in where.items()}
    if prediction.depth is not None and batch.query_depth is not None:
        values["depth_rmse"] = depth_rmse(prediction.depth.flatten(0, 1), batch.query_depth.flatten(0, 1))
    if prediction.class_ids is not None and batch.query_objects is not None:
        values["object_accuracy"] = object_accuracy(
            prediction.class_ids.flatten(0, 1), batch.query_objects.flatten(0, 1)
        )
    errors = 255 * (images - truth)
    if prediction.spread is not None:
        error = errors.square().mean(dim=1, keepdim=True).sqrt()
        values |= uncertainty_measures("spread", prediction.spread.flatten(0, 1), error, where)
    if prediction.error is not None:
        error = errors.abs().mean(dim=1, keepdim=True)
        values |= uncertainty_measures("expected_error", prediction.error.flatten(0, 1), error, where)
    return values


def uncertainty_measures(name: str, said: Tensor, error: Tensor, where: dict[str, Tensor]) -> dict[str, Tensor]:
    """The measures of `judged` of one of UNCERTAINTIES, what was said and is true of each pixel (n, 1, s, s).

    where: masks like them, seen and unseen, or none.
    """
    x, y = said.flatten(1).double(), error.flatten(1).double()
    one = torch.ones_like(x)
    masks = [mask.flatten(1).double() for mask in where.values()]
    measures = {f"{name}_moments": torch.stack([v.sum(1) for v in (one, x, y, x * x, y * y, x * y)], dim=1)}
    bins = torch.bucketize(x, torch.tensor(UNCERTAINTY_EDGES, device=x.device, dtype=x.dtype))
    counted = torch.stack([one, y, y * y, *masks], dim=2)
    empty = counted.new_zeros(len(x), len(UNCERTAINTY_EDGES) + 1, counted.shape[2])
    measures[f"{name}_bins"] = empty.scatter_add(1, bins[..., None].expand_as(counted), counted)
    if masks:
        measures[f"{name}_sums"] = torch.stack([s.sum(1) for m in masks for s in (x * m, y * m, m)], dim=1)
    return measures


def figures_of(values: dict[str, np.ndarray], trajectories: np.ndarray) -> dict[str, Figure]:
    """Figures of a row's measures (n, ...); what no query has is left out."""
    figures = {name: confidence(values[name], trajectories) for name in IMAGE_MEASURES if name in values}
    for name, its_correlation in UNCERTAINTIES.items():
        if f"{name}_sums" in values:
            seen, _, seen_count, unseen, _, unseen_count = values[f"{name}_sums"].T
            for where, total, count in (("seen", seen, seen_count), ("unseen", unseen, unseen_count)):
                with np.errstate(invalid="ignore"):
                    figures[f"{name}_{where}"] = confidence(total / count, trajectories, count)
            figures[f"{name}_ratio"] = ratio(unseen, unseen_count, seen, seen_count, trajectories)
        if f"{name}_moments" in values:
            figures[its_correlation] = correlation(values[f"{name}_moments"], trajectories)
    figures |= calibration(values, trajectories)
    return {name: figure for name, figure in figures.items() if figure is not None}


def calibration(values: dict[str, np.ndarray], trajectories: np.ndarray) -> dict[str, Figure | None]:
    """Mean expected error over mean true error: of all pixels, and of those seen and not seen."""
    terms = {}
    if "expected_error_moments" in values:
        count, expected, true, *_ = values["expected_error_moments"].T
        terms["calibration"] = (expected, true, count)
    if "expected_error_sums" in values:
        sums = values["expected_error_sums"].T
        terms |= {"calibration_seen": sums[:3], "calibration_unseen": sums[3:]}
    return {name: ratio(expected, count, true, count, trajectories) for name, (expected, true, count) in terms.items()}


def evaluate(
    predictors: dict[str, Predictor],
    data: TrajectorySource,
    sampling: SamplingConfig,
    config: EvaluationConfig,
    model: PlaceNetConfig,
    device: torch.device,
) -> dict:
    """Figures of each row: {"3": {"model": {"rmse": {"mean": ..., "low": ..., "high": ...}, ...}, ...}, ...}."""
    answers = {n: ask(predictors, data, sampling, config, n, model, device) for n in config.observations}
    return all_figures(answers)


def all_figures(answers: dict[int, Answers]) -> dict:
    """Figures by number of observations and row, as `evaluate` gives them."""
    return {
        str(count): {row: figures_of(values, answer.trajectories) for row, values in answer.values.items()}
        for count, answer in answers.items()
    }


def asked_sampling(sampling: SamplingConfig, config: EvaluationConfig) -> SamplingConfig:
    """How the queries are drawn: all that the data has; what is not given is taken away later."""
    fewest, most = min(config.observations), max(config.observations)
    return replace(
        sampling, fewest_observations=fewest, most_observations=most, queries=1, drop_depth=0.0, drop_objects=0.0
    )


def given(observations: Observations, inputs: str) -> Observations:
    """Observations without what is not among the inputs."""
    names = inputs.split("+")
    return replace(
        observations,
        depth=observations.depth if "depth" in names else None,
        objects=observations.objects if "objects" in names else None,
    )


# ---- Telling ---------------------------------------------------------------------------------------------------------


TABLE_COLUMNS = {  # measure: title, decimals
    "mae": ("MAE", 2),
    "psnr": ("PSNR", 2),
    "ssim": ("SSIM", 3),
    "rmse_seen": ("seen", 2),
    "rmse_unseen": ("unseen", 2),
    "depth_rmse": ("depth m", 3),
    "object_accuracy": ("objects", 3),
}


def table(figures: dict) -> str:
    """The figures of `evaluate` as text, one block for each number of observations."""
    lines = []
    width = 2 + max(len(name) for rows in figures.values() for name in (*rows, "observations"))
    for count, rows in figures.items():
        columns = [name for name in TABLE_COLUMNS if any(name in row for row in rows.values())]
        titles = "".join(f"{TABLE_COLUMNS[name][0]:>9}" for name in columns)
        title = f"{count} observation{'' if count == '1' else 's'}"
        lines.append(f"{title:<{width}}{'RMSE (95 %)':>22}{titles}")
        lines += [f"  {name:<{width - 2}}{_with_interval(row['rmse']):>22}{_cells(row, columns)}"
                  for name, row in rows.items()]  # fmt: skip
        lines += [f"  {line}" for kind in UNCERTAINTIES for name, row in rows.items()
                  if (line := _uncertainty_line(kind, name, row))]  # fmt: skip
    return "\n".join(lines)


def _with_interval(figure: Figure) -> str:
    return f"{figure['mean']:.2f} ({figure['low']:.2f}..{figure['high']:.2f})"


def _cells(row: dict[str, Figure], columns: list[str]) -> str:
    return "".join(f"{row[name]['mean']:>9.{TABLE_COLUMNS[name][1]}f}" if name in row else " " * 9 for name in columns)


def _uncertainty_line(kind: str, name: str, row: dict[str, Figure]) -> str:
    """What there is to say of a row's spread or expected error."""
    means, parts = {measure: figure["mean"] for measure, figure in row.items()}, []
    if f"{kind}_ratio" in means:
        parts.append(
            f"{means[f'{kind}_seen']:.2f} where seen, {means[f'{kind}_unseen']:.2f} where not "
            f"({means[f'{kind}_ratio']:.2f} times)"
        )
    if UNCERTAINTIES[kind] in means:
        parts.append(f"correlation with the error {means[UNCERTAINTIES[kind]]:.2f}")
    if kind == "expected_error" and "calibration" in means:
        apart = {"where seen": "calibration_seen", "where not": "calibration_unseen"}
        told = ", ".join(f"{means[measure]:.2f} {where}" for where, measure in apart.items() if measure in means)
        parts.append(f"{means['calibration']:.2f} of the true error" + (f" ({told})" if told else ""))
    return f"{kind.replace('_', ' ')} of {name}: {', '.join(parts)}" if parts else ""


@dataclass(frozen=True)
class EvaluateConfig:
    """Compare a network's predictions of houses with what needs no learning: WEIGHTS [DATA] [key=value ...]."""

    weights: str = argument("Folder (or .safetensors file) of the network's weights.")
    data: str | None = setting(None, "Folder of shards to ask about; null: houses made at the start.")
    houses: int = setting(64, "Houses to ask about, no more than queries; one trajectory through each.")
    first_seed: int = setting(UNSEEN_SEEDS_FROM, "Seed of the first house; training uses those under 10,000,000.")
    walk: WalkConfig = section(WalkConfig)
    evaluation: EvaluationConfig = section(EvaluationConfig)
    sampling: SamplingConfig = section(SamplingConfig)
    recognition: RecognitionConfig = section(RecognitionConfig)
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "Where to compute; auto: the GPU if there is one.")
    output: str = setting("out/evaluation", "Folder for the figures, the table and the plots.")

    def __post_init__(self) -> None:
        check_window(self.evaluation, self.sampling)
        check_walks(self.walk, self.sampling, self.houses, self.first_seed)


def check_walks(walk: WalkConfig, sampling: SamplingConfig, houses: int, first_seed: int) -> None:
    """Raises ValueError where the walks are too short for the window, or there are no houses."""
    if walk.frames < sampling.window:
        raise ValueError(f"walk.frames ({walk.frames}) must be at least sampling.window ({sampling.window})")
    if houses < 1 or first_seed < 0:
        raise ValueError(f"houses ({houses}) must be at least 1, first_seed ({first_seed}) at least 0")


def data_named(argv: list[str]) -> list[str]:
    """Words of a command line WEIGHTS [DATA] [key=value ...], with DATA as data=DATA."""
    if len(argv) > 1 and "=" not in argv[1] and not argv[1].startswith("-"):
        return [argv[0], f"data={argv[1]}", *argv[2:]]
    return argv


def network_at(weights: str, device: torch.device) -> Network:
    """The network of a weights folder, on a device. Raises UserError where there is none, or it is damaged."""
    try:
        return read_network(weights).to(device)
    except WeightsError as error:
        raise UserError(str(error)) from error


def class_names(data: TrajectorySource) -> tuple[str, ...]:
    """Names of the data's class ids; none where they are not known."""
    return tuple(data.description.class_names) if isinstance(data, ShardSet) else CLASS_NAMES


def check_inputs(inputs: tuple[str, ...], modalities: tuple[str, ...], where: str) -> None:
    """Raises UserError where data has not what makes two of the inputs differ, or what one asks for.

    EVERYTHING asks for whatever there is.
    """
    found: dict[frozenset[str], str] = {}
    for one in inputs:
        there = frozenset(name for name in one.split("+") if MODALITY_NAMES[name] in modalities)
        if there in found:
            raise UserError(
                f"{where}: has {', '.join(modalities)} alone, so that evaluation.inputs {found[there]} and {one} are "
                "the same: leave one out"
            )
        found[there] = one
    for one in inputs:
        missing = [name for name in one.split("+") if MODALITY_NAMES[name] not in modalities]
        if missing and one != EVERYTHING:
            raise UserError(
                f"{where}: has {', '.join(modalities)} alone, but evaluation.inputs {one} asks for "
                f"{' and '.join(missing)}: leave it out ({EVERYTHING} stands for whatever there is)"
            )


def main(argv: list[str]) -> None:
    config = parse(EvaluateConfig, data_named(argv), program="training.evaluate")
    device = chosen_device(config.device)
    model = network_at(config.weights, device)
    if config.data is not None:
        data = opened_shards(Path(config.data), model.config, max(config.evaluation.observations) + 1)
        check_inputs(config.evaluation.inputs, data.modalities, config.data)
        if "depth" not in data.modalities:
            print(f"{config.data}: has no depth: no reprojection, no figures of what was seen or not", file=sys.stderr)
    else:
        maker = TrajectoryMaker(config.walk, 1, model.config.image_size, model.config.field_of_view_degrees)
        houses = min(config.houses, config.evaluation.queries)  # nobody would ask about others
        place = device_for(houses, config.walk.frames, maker.image_size, "auto", device)
        data = render_houses(config.first_seed, houses, maker, place)
    classes = model.about.get("object_classes", CLASS_NAMES)
    of_data = class_names(data)
    if of_data and list(classes) != list(of_data):
        print(f"warning: {config.data}: its object classes are not those of {config.weights}", file=sys.stderr)
    predictors = network_predictors(model, config.evaluation) | rivals(model, config.evaluation)
    sampling = replace(config.sampling, poses=poses_of(model))
    answers = {}
    for count in config.evaluation.observations:
        answers[count] = ask(predictors, data, sampling, config.evaluation, count, model.config, device)
        print(table(all_figures({count: answers[count]})), flush=True)
    written(Path(config.output), config, model, answers, {})  # before what takes minutes more
    recognised = places_recognised(config, model)
    if recognised:
        print(recognition_table(recognition_figures(recognised)), flush=True)
        written(Path(config.output), config, model, answers, recognised)


def places_recognised(config: EvaluateConfig, model: Network) -> dict[str, Recognition]:
    """What is recognised, by group of houses; nothing, with a line that says why, where that cannot be asked."""
    if not config.recognition.houses:
        return {}
    missing = None
    if config.data is not None:
        missing = f"{config.data}: does not say which two walks are through one house"
    elif not isinstance(model, PlaceNet):
        missing = f"{config.weights}: the published arithmetic has no embedding"
    if missing:
        print(f"{missing}: no places are recognised (recognition.houses=0 says nothing)", file=sys.stderr)
        return {}
    houses = config.recognition.houses
    print(
        f"place recognition: makes two walks each through {houses} unseen houses and {houses} of those for training, "
        "and compares them: minutes on a processor; recognition.houses=0 leaves it out",
        file=sys.stderr,
        flush=True,
    )
    return recognise(model, config.recognition)


def written(
    output: Path,
    config: EvaluateConfig,
    model: Network,
    answers: dict[int, Answers],
    recognised: dict[str, Recognition],
) -> None:
    """Write figures, table and plots. Raises OSError."""
    figures, recognition = all_figures(answers), recognition_figures(recognised)
    output.mkdir(parents=True, exist_ok=True)
    asked = as_dict(config)
    record = {"model_id": model.about["model_id"], "asked": asked, "figures": figures}
    text = table(figures)
    plots = draw_plots(answers, figures, config.evaluation.inputs, UNCERTAINTY_EDGES, output)
    if recognised:
        record["recognition"] = recognition
        text += "\n\n" + recognition_table(recognition)
        plots.append(draw_recognition(recognised, output))
    (output / "figures.json").write_text(json.dumps(record, indent=2) + "\n")
    (output / "table.txt").write_text(text + "\n")
    print(f"figures in {output}: figures.json, table.txt, {', '.join(plots)}")


if __name__ == "__main__":
    run_command(main)
