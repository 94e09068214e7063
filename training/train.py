"""Train PlaceNet on generated houses: `python -m training.train [CONFIG] [key=value ...]`.

One process, on a GPU or the CPU. To resume, run the same command again. A run's folder holds:

    RUN/configuration.yaml    what was asked for, in full
    RUN/checkpoints/          see training/checkpoints.py
    RUN/tensorboard/          `tensorboard --logdir RUN`
    RUN/metrics.jsonl         the same figures, one line of JSON each time
    RUN/evaluation.json       figures of the result, with what needs no learning beside it
    RUN/weights/              the result: model.safetensors and model.json, for from_pretrained

Everything random is a function of (seed, samples seen), so a resumed run does what an uninterrupted one would have
done, bit for bit on the CPU. (Not with `schedule.minutes`: the clock is not repeatable.)

Shapes: b scenes, q queries of each, l layers.
"""

from __future__ import annotations

import copy
import json
import os
import platform
import shlex
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from placenet_ros.model import PlaceNetConfig, WeightsError, evidence_lower_bound
from training.checkpoints import newest_checkpoint, save_checkpoint, write_whole
from training.configuration import (
    REPOSITORY,
    UserError,
    as_dict,
    as_yaml,
    build,
    differing_keys,
    parse,
    read_file,
    run_command,
    section,
    setting,
)
from training.data.dataset import ShardSet
from training.data.sampling import SamplingConfig, assemble, check_poses
from training.data.scenes import StepScenes, scene_stream
from training.data.trajectories import (
    BYTES_PER_PIXEL,
    HouseMaker,
    HousesConfig,
    device_for,
    render_houses,
)
from training.device import chosen_device
from training.evaluate import (
    EvaluationConfig,
    check_window,
    evaluate,
    fewest_frames,
    network_predictors,
    opened_shards,
    prior_prediction,
    rivals,
    table,
)
from training.houses import CLASS_NAMES, UNSEEN_SEEDS_FROM, TrajectoryMaker
from training.networks import Arithmetic, Network, build_network, check_arithmetic, read_network
from training.run_log import RunLog, flat_figures, image_grid, status_line
from training.schedule import ScheduleConfig, average_step, learning_rate, progress, sigma

MOST_WORKERS = 128
METRICS = ("loss", "elbo", "bits_per_dimension", "kl", "gradient_norm")  # then the KL of each layer


@dataclass(frozen=True)
class DataConfig:
    """Trajectories on a disk, instead of houses that are made at the start."""

    train: str | None = setting(None, "Folder of shards to train on; null: houses made at the start, see houses.*.")
    unseen: str | None = setting(None, "Folder of shards to evaluate on; null: houses made at the start.")
    workers: int = setting(-1, "Processes that read shards; -1: one for each core, at most 16.", may_change=True)
    skip_damaged: bool = setting(False, "Go on without trajectories that cannot be read.", may_change=True)

    def __post_init__(self) -> None:
        if not -1 <= self.workers <= MOST_WORKERS:
            raise ValueError(f"workers must be -1 to {MOST_WORKERS}, not {self.workers}")

    @property
    def processes(self) -> int:
        """How many processes read shards."""
        return min(16, len(os.sched_getaffinity(0))) if self.workers < 0 else self.workers


@dataclass(frozen=True)
class TrainConfig:
    """Train PlaceNet on houses, made or on a disk. To resume, run the same command again."""

    run: str = setting("runs/placenet", "Folder of the run: checkpoints, logs, weights.", may_change=True)
    seed: int = setting(0, "Seed of the weights, of the scenes drawn and of the latents.")
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "Where to compute; auto: the GPU if there is one.", may_change=True
    )
    precision: Literal["auto", "bf16", "fp32"] = setting("auto", "Networks' arithmetic; auto: bf16 on a GPU.")
    compile: bool = setting(False, "Compile the cores and the image head (torch.compile).", may_change=True)
    scenes: int = setting(12, "Scenes of a step; each gives sampling.queries samples.")
    clip_gradient: float = setting(1e4, "Greatest norm of the gradient (nats); beyond, it is scaled down.")
    arithmetic: Arithmetic = setting("placenet", "Whose network: ours, or the authors' as a baseline.")
    model: PlaceNetConfig = section(PlaceNetConfig)
    data: DataConfig = section(DataConfig)
    houses: HousesConfig = section(HousesConfig)
    sampling: SamplingConfig = section(SamplingConfig)
    schedule: ScheduleConfig = section(ScheduleConfig)
    evaluation: EvaluationConfig = section(EvaluationConfig)
    log_every: int = setting(10_000, "Samples between two lines of figures.", may_change=True)
    evaluate_every: int = setting(200_000, "Samples between two evaluations on the way.", may_change=True)
    evaluate_queries: int = setting(256, "Queries of an evaluation on the way.", may_change=True)
    checkpoint_every: int = setting(200_000, "Samples between two checkpoints.", may_change=True)
    keep_checkpoints: int = setting(3, "Newest checkpoints that are kept.", may_change=True)
    half_precision: bool = setting(True, "Store the resulting weights as float16.", may_change=True)
    dry_run: bool = setting(False, "Print the whole configuration and sizes, and stop.", may_change=True)

    def __post_init__(self) -> None:
        for name in ("scenes", "log_every", "evaluate_every", "evaluate_queries", "checkpoint_every",
                     "keep_checkpoints", "clip_gradient"):  # fmt: skip
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be over 0, not {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, not {self.seed}")
        if self.houses.walk.frames < self.sampling.window:
            raise ValueError(
                f"houses.walk.frames ({self.houses.walk.frames}) must be at least sampling.window "
                f"({self.sampling.window})"
            )
        check_window(self.evaluation, self.sampling)
        check_poses(self.sampling, self.model.position_scale)
        check_arithmetic(self.arithmetic, self.model)

    @property
    def samples_per_step(self) -> int:
        """Query views that one step learns from."""
        return self.scenes * self.sampling.queries


def train(config: TrainConfig, command: str, make_houses: HouseMaker | None = None) -> None:
    """Train, evaluate and write the weights; `command` is noted in them.

    make_houses: `render_houses`, or what stands for it where several runs share their houses.
    """
    make_houses = make_houses or render_houses
    # ---- The device, memory and the run's folder, before any work.
    device = chosen_device(config.device)
    houses, size = config.houses, config.model.image_size
    maker = TrajectoryMaker(houses.walk, 1, size, config.model.field_of_view_degrees)
    made = houses.train * (config.data.train is None) + houses.unseen * (config.data.unseen is None)
    place = device_for(made, houses.walk.frames, size, houses.on_device, device)
    frames = fewest_frames(config.evaluation, config.sampling)
    stored = {
        name: opened_shards(Path(folder), config.model, frames, config.data.skip_damaged)
        for name, folder in (("train", config.data.train), ("unseen", config.data.unseen))
        if folder is not None
    }
    if "train" in stored and stored["train"].manifest.split == "unseen":
        raise UserError(f"{config.data.train}: is of unseen houses, kept for evaluation: train on another data set")
    run = opened_run(config)
    state = newest_checkpoint(run / "checkpoints")
    if state is not None and is_finished(config, run, state):
        print(f"finished after {state['samples_seen']:,} samples, nothing to do: {results(run)}")
        return
    bf16 = config.precision == "bf16" or (config.precision == "auto" and device.type == "cuda")
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True

    # ---- Model, its average, optimiser; resumed where there is a checkpoint.
    torch.manual_seed(config.seed)
    model = build_network(config.arithmetic, config.model).to(device, memory_format=torch.channels_last).train()
    average = copy.deepcopy(model).eval().requires_grad_(False)
    parameters, averaged = list(model.parameters()), list(average.parameters())
    optimiser = torch.optim.Adam(parameters, lr=config.schedule.learning_rate, fused=device.type == "cuda")
    samples_seen, seconds_before = 0, 0.0
    if state is not None:
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        samples_seen, seconds_before = state["samples_seen"], state["seconds"]
        say(f"resumed after {samples_seen:,} samples")
    if config.compile:
        for block in (*model.inference_cores, *model.generation_cores, model.image_head):
            block.compile(fullgraph=True)

    # ---- Trajectories; those to train on only where training is left to do.
    scale = config.model.position_scale
    done = first = progress(config.schedule, samples_seen, seconds_before)
    if done < 1:
        data = stored.get("train") or make_houses(0, houses.train, maker, place)
        scenes = StepScenes(data, config.sampling, config.scenes, config.seed)
        stream = scene_stream(scenes, samples_seen // config.samples_per_step, config.data.processes)
    unseen = stored.get("unseen") or make_houses(UNSEEN_SEEDS_FROM, houses.unseen, maker, place)

    # ---- The loop.
    log, most = RunLog(run, samples_seen), max(config.evaluation.observations)
    samples, start = config.samples_per_step, time.monotonic()
    totals, logged = torch.zeros(len(METRICS) + config.model.layers, device=device), (samples_seen, start)
    while done < 1:
        # One step: everything in it is queued on the device without waiting for it.
        step = samples_seen // samples
        batch = assemble(*next(stream), scale, device)
        torch.manual_seed(latent_seed(config.seed, step))
        rate, pixel_sigma = learning_rate(config.schedule, done), sigma(config.schedule, done)
        for group in optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            annealing = pixel_sigma > config.schedule.final_sigma
            reconstruction = model(batch.observations, batch.query_viewpoints, batch.query_images, annealing)
        bound = evidence_lower_bound(reconstruction, batch.query_images, torch.full((), pixel_sigma, device=device))
        loss = (config.schedule.kl_weight * bound.kl - bound.log_likelihood).mean()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, config.clip_gradient)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        samples_seen += samples
        with torch.no_grad():
            torch._foreach_lerp_(averaged, parameters, average_step(config.schedule, samples_seen, samples))
            means = torch.stack([loss, bound.elbo.mean(), bound.bits_per_dimension.mean(), bound.kl.mean(), norm])
            totals += torch.cat([means, bound.kl_per_layer.mean(dim=(0, 1))])
        seconds = seconds_before + time.monotonic() - start
        done = progress(config.schedule, samples_seen, seconds)

        # Figures, evaluation and checkpoint, each at its own interval of samples.
        saving = crossed(config.checkpoint_every, samples_seen, samples) or done >= 1
        if crossed(config.log_every, samples_seen, samples) or saving:
            steps = (samples_seen - logged[0]) // samples
            figures = dict(zip(METRICS, (totals / steps).tolist(), strict=False))
            layers = (totals[len(METRICS) :] / steps).tolist()
            require_finite(figures, logged[0], samples_seen, run)
            now = time.monotonic()
            figures |= {f"kl_of_layer/{layer}": kl for layer, kl in enumerate(layers)}
            figures |= {f"gamma/{name}": a.gamma.item() for name, a in model.attention.items()}
            figures |= {"learning_rate": rate, "sigma": pixel_sigma}
            figures["samples_per_second"] = (samples_seen - logged[0]) / (now - logged[1])
            figures["minutes_left"] = (1 - done) / (done - first) * (now - start) / 60
            log.write(samples_seen, figures)
            say(status_line(config.schedule, samples_seen, done, figures))
            totals.zero_()
            logged = (samples_seen, now)
        if crossed(config.evaluate_every, samples_seen, samples) and done < 1:
            paused = time.monotonic()
            asked = replace(config.evaluation, queries=config.evaluate_queries, samples=1)
            for name, trajectories in (("seen", data), ("unseen", unseen)):
                predictors = {"model": prior_prediction(average, 1)}
                figures = evaluate(predictors, trajectories, config.sampling, asked, config.model, device)
                log.write(samples_seen, flat_figures(figures, name))
                rmses = (f"{figures[count]['model']['rmse']['mean']:.2f} with {count}" for count in figures)
                say(f"  RMSE of predictions, {name} houses: {', '.join(rmses)} observations")
            log.draw(samples_seen, image_grid(average, unseen, config.sampling, most, config.seed, device))
            logged = (logged[0], logged[1] + time.monotonic() - paused)  # speed is that of training alone
        if saving:
            state = {"samples_seen": samples_seen, "seconds": seconds, "model": model.state_dict(),
                     "average": average.state_dict(), "optimiser": optimiser.state_dict()}  # fmt: skip
            save_checkpoint(run / "checkpoints", samples_seen, state, config.keep_checkpoints)

    # ---- The result, evaluated as it is stored.
    about = provenance(config, stored, command, samples_seen, seconds_before + time.monotonic() - start, device)
    write_weights(average, run, about, config.half_precision)
    result = read_network(run / "weights").to(device)
    predictors = network_predictors(result, config.evaluation) | rivals(config.model, config.evaluation, device)
    figures = evaluate(predictors, unseen, config.sampling, config.evaluation, config.model, device)
    about["evaluation"] = {**as_dict(config.evaluation), "data": about["data"]["unseen"], "figures": figures}
    write_weights(average, run, about, config.half_precision)
    write_whole(run / "evaluation.json", json.dumps(figures, indent=2) + "\n")
    log.draw(samples_seen, image_grid(average, unseen, config.sampling, most, config.seed, device))
    log.close()
    print(table(figures))
    print(results(run))


# ---- Parts of the loop that stand by themselves ----------------------------------------------------------------------


def opened_run(config: TrainConfig) -> Path:
    """The run's folder with its configuration. Raises UserError where it holds a run of another configuration."""
    run = Path(config.run)
    path = run / "configuration.yaml"
    if path.exists():
        differing = differing_keys(build(TrainConfig, read_file(TrainConfig, path)), config)
        if differing:
            raise UserError(
                f"{run} holds a run of another configuration ({'; '.join(differing)}): nothing was changed; "
                "set run= to another folder, or these keys as they were"
            )
    else:
        run.mkdir(parents=True, exist_ok=True)
        write_whole(path, as_yaml(config))
    return run


def is_finished(config: TrainConfig, run: Path, state: dict) -> bool:
    """Whether training has come to its end by that checkpoint, and its result is there, stored as asked for."""
    if progress(config.schedule, state["samples_seen"], state["seconds"]) < 1 or not (run / "evaluation.json").exists():
        return False
    try:
        about = read_network(run / "weights").about
    except WeightsError:  # missing or damaged: to be written again
        return False
    return "evaluation" in about and about["configuration"]["half_precision"] == config.half_precision


def results(run: Path) -> str:
    """Where to find what came of a run."""
    return f"weights in {run / 'weights'}, figures in {run / 'evaluation.json'}"


def latent_seed(seed: int, step: int) -> int:
    """Seed of the latents of a step."""
    return int(np.random.SeedSequence((seed, step)).generate_state(1)[0])


def crossed(every: int, samples_seen: int, samples: int) -> bool:
    """Whether the last `samples` samples led across a multiple of `every`."""
    return samples_seen // every > (samples_seen - samples) // every


def require_finite(figures: dict[str, float], before: int, samples_seen: int, run: Path) -> None:
    """Raises UserError where a figure is not: checkpoints are only written of what passed."""
    broken = [name for name, value in figures.items() if not np.isfinite(value)]
    if broken:
        raise UserError(
            f"{', '.join(broken)} not finite between {before:,} and {samples_seen:,} samples: lower "
            f"schedule.learning_rate or clip_gradient; checkpoints in {run / 'checkpoints'} are from before"
        )


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def data_sources(config: TrainConfig, stored: dict[str, ShardSet]) -> dict[str, Any]:
    """What was trained and evaluated on: seeds of houses, first to last, or what a data set says it was made from."""
    firsts = {"train": (0, config.houses.train), "unseen": (UNSEEN_SEEDS_FROM, config.houses.unseen)}
    made = {name: {"house_seeds": f"{first}..{first + count - 1}"} for name, (first, count) in firsts.items()}
    return made | {name: {"trajectories": len(shards), **shards.description.source} for name, shards in stored.items()}


def provenance(
    config: TrainConfig,
    stored: dict[str, ShardSet],
    command: str,
    samples_seen: int,
    seconds: float,
    device: torch.device,
) -> dict:
    """How weights came about, for the JSON beside them."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "command": command,
        "configuration": as_dict(config),
        "data": data_sources(config, stored),
        "object_classes": list(stored["train"].description.class_names if "train" in stored else CLASS_NAMES),
        "samples": samples_seen,
        "training_minutes": round(seconds / 60, 2),
        "device": name,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }


def write_weights(model: Network, run: Path, about: dict, half_precision: bool) -> None:
    """Write RUN/weights. Raises UserError where the weights cannot be stored that way."""
    folder = run / "weights"
    try:
        model.save_pretrained(folder, about, half_precision)
    except WeightsError as error:
        raise UserError(f"{error}; half_precision=false stores them in full") from error
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error


def sizes(config: TrainConfig) -> str:
    """What `--dry-run` says after the configuration."""
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in build_network(config.arithmetic, config.model).parameters())
    frames = (config.houses.train + config.houses.unseen) * config.houses.walk.frames
    steps = -(-config.schedule.samples // config.samples_per_step)
    stored = count * (2 if config.half_precision else 4)
    return (
        f"# {count / 1e6:.2f} million parameters, {stored / 1e6:.1f} MB as stored\n"
        f"# {frames:,} frames, {frames * config.model.image_size**2 * BYTES_PER_PIXEL / 1e9:.2f} GB in memory\n"
        f"# {config.samples_per_step} samples a step, {steps:,} steps"
    )


def main(argv: list[str]) -> None:
    config = parse(TrainConfig, argv, program="training.train", config_folder=REPOSITORY / "config" / "training")
    if config.dry_run:
        print(as_yaml(config) + sizes(config))
    else:
        train(config, shlex.join(["python", "-m", "training.train", *argv]))


if __name__ == "__main__":
    run_command(main)
