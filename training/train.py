"""Train PlaceNet on generated houses: `python -m training.train [CONFIG] [key=value ...]`.

This is one process of the training, on a GPU or the CPU; `training/run.sh` starts one for each GPU. They share a step's
scenes, average their gradients, and have equal weights throughout; rank 0 alone prints, writes and evaluates. To
resume, run the same command again, with as many processes as you like. A run's folder holds:

    RUN/configuration.yaml    what was asked for, in full
    RUN/checkpoints/          see training/checkpoints.py
    RUN/tensorboard/          `tensorboard --logdir RUN`
    RUN/metrics.jsonl         the same figures, one line of JSON each time
    RUN/evaluation.json       figures of the result, with what needs no learning beside it
    RUN/weights/              the result: model.safetensors and model.json, for from_pretrained
    RUN/best/                 likewise, the best by RMSE in an evaluation on the way; the result is better, as a rule:
                              its learning rate has fallen furthest, and it is judged by more queries

Everything random is a function of (seed, samples seen), so a resumed run does what an uninterrupted one would have
done, bit for bit on the CPU, and the number of processes changes no more than rounding. (Not with `schedule.minutes`:
the clock is not repeatable.) SIGTERM and Ctrl-C end it after the step that they come in, with a checkpoint and the
status 143 or 130; what ends it otherwise loses what came after the last checkpoint, and nothing else. An evaluation on
the way that was broken off is made up.

Shapes: b scenes, q queries of each, l layers.
"""

from __future__ import annotations

import copy
import json
import math
import platform
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from placenet_ros.atomic_file import write_whole
from placenet_ros.counted import counted
from placenet_ros.model import Observations, PlaceNetConfig, WeightsError
from training.baselines import Prediction
from training.checkpoints import checkpoint_path, newest_checkpoint, read_checkpoint, save_checkpoint
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
from training.data.prefetch import Prefetch
from training.data.sampling import Batch, SamplingConfig, check_poses
from training.data.scenes import StepScenes, TrajectorySource, lost_worker, scene_stream
from training.data.trajectories import (
    BYTES_PER_PIXEL,
    HouseMaker,
    HousesConfig,
    TrajectorySet,
    device_for,
    render_houses,
)
from training.evaluate import (
    EvaluationConfig,
    check_inputs,
    check_window,
    evaluate,
    fewest_frames,
    network_predictors,
    opened_shards,
    prior_prediction,
    rivals,
    table,
    tell_left_out,
)
from training.houses import CLASS_NAMES, UNSEEN_SEEDS_FROM, TrajectoryMaker
from training.memory import scenes_that_fit
from training.nested import mapped
from training.networks import Arithmetic, Network, build_network, check_arithmetic, read_network
from training.objective import ObjectiveConfig, ObjectiveFunction, check_predicted_queries, placenet_objective
from training.peak import measured_peak, operations_of_a_sample, share_of_peak
from training.processes import Processes, StopSignals, begin_processes, is_lost_process
from training.run_log import RunLog, flat_figures, image_grid, status_line
from training.schedule import ScheduleConfig, average_step, learning_rate, progress, sigma
from training.step import ExecutionConfig, Now, TrainingStep, latent_noise

CONFIGURATION = "configuration.yaml"
MOST_WORKERS = 128
UNUSABLE_IN_A_ROW = 3  # steps whose gradient is not finite, and training is given up


@dataclass(frozen=True)
class DataConfig:
    """Trajectories on a disk, instead of houses that are made at the start."""

    train: str | None = setting(None, "Folder of shards to train on; null: houses made at the start, see houses.*.")
    unseen: str | None = setting(None, "Folder of shards to evaluate on; null: houses made at the start.")
    workers: int = setting(
        -1, "Processes that read shards, for each that trains; -1: one for each core, at most 16.", may_change=True
    )
    skip_damaged: bool = setting(False, "Go on without trajectories that cannot be read.", may_change=True)

    def __post_init__(self) -> None:
        if not -1 <= self.workers <= MOST_WORKERS:
            raise ValueError(f"workers must be -1 to {MOST_WORKERS}, not {self.workers}")

    def workers_of(self, processes: Processes) -> int:
        """How many processes read shards for this one of those that train."""
        return min(16, processes.cores) if self.workers < 0 else self.workers


@dataclass(frozen=True)
class TrainConfig:
    """Train PlaceNet on houses, made or on a disk.

    To resume, run the same command again; houses that are not on a disk are made again first. Ctrl-C and SIGTERM end
    it with a checkpoint. A job that a script put into the background ignores Ctrl-C: kill -TERM.
    """

    run: str = setting("runs/placenet", "Folder of the run: checkpoints, logs, weights.", may_change=True)
    seed: int = setting(0, "Seed of the weights, of the scenes drawn and of the latents.")
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "Where to compute; auto: the GPU if there is one.", may_change=True
    )
    precision: Literal["auto", "bf16", "fp32"] = setting("auto", "Networks' arithmetic; auto: bf16 on a GPU.")
    execution: ExecutionConfig = section(ExecutionConfig)
    scenes: int = setting(12, "Scenes of a step, of all processes together; each gives sampling.queries samples.")
    clip_gradient: float = setting(1e4, "Greatest norm of the gradient (nats); beyond, it is scaled down.")
    arithmetic: Arithmetic = setting("placenet", "Whose network: ours, or the authors' as a baseline.")
    model: PlaceNetConfig = section(PlaceNetConfig)
    data: DataConfig = section(DataConfig)
    houses: HousesConfig = section(HousesConfig)
    sampling: SamplingConfig = section(SamplingConfig)
    schedule: ScheduleConfig = section(ScheduleConfig)
    objective: ObjectiveConfig = section(ObjectiveConfig)
    evaluation: EvaluationConfig = section(EvaluationConfig)
    log_every: int = setting(10_000, "Samples between two lines of figures.", may_change=True)
    evaluate_every: int = setting(200_000, "Samples between two evaluations on the way.", may_change=True)
    evaluate_queries: int = setting(256, "Queries of an evaluation on the way.", may_change=True)
    checkpoint_every: int = setting(200_000, "Samples between two checkpoints.", may_change=True)
    keep_checkpoints: int = setting(3, "Newest checkpoints that are kept.", may_change=True)
    keep_every: int | None = setting(
        None, "Samples between two checkpoints that are kept for good; null: none are.", may_change=True
    )
    half_precision: bool = setting(True, "Store the resulting weights as float16.", may_change=True)
    dry_run: bool = setting(False, "Print the whole configuration and sizes, and stop.", may_change=True)

    def __post_init__(self) -> None:
        for name in ("scenes", "log_every", "evaluate_every", "evaluate_queries", "checkpoint_every",
                     "keep_checkpoints", "clip_gradient"):  # fmt: skip
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be over 0, not {getattr(self, name)}")
        if self.keep_every is not None and self.keep_every < self.checkpoint_every:
            raise ValueError(
                f"keep_every ({self.keep_every}) must be at least checkpoint_every ({self.checkpoint_every})"
            )
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
        if self.model.embedding_channels:
            raise ValueError(
                f"model.embedding_channels is {self.model.embedding_channels}, but a head for embeddings is trained "
                "after its network: leave it at 0, then see python -m training.train_embedding --help"
            )
        check_predicted_queries(self.objective, self.sampling.queries, self.arithmetic)

    @property
    def samples_per_step(self) -> int:
        """Query views that one step learns from."""
        return self.scenes * self.sampling.queries


def train(config: TrainConfig, command: str, make_houses: HouseMaker | None = None) -> None:
    """Train, evaluate and write the weights; `command` is noted in them.

    make_houses: `render_houses`, or what stands for it where several runs share their houses.
    Raises UserError, and SystemExit with 128 + the number of the signal that stopped it, a checkpoint being saved.
    """
    # ---- What can be known to fail, before any work; then the processes, memory and the run's folder.
    stored = opened_data(config)
    processes = begin_processes(config.device)
    device, first = processes.device, processes.first
    rows = processes.share(config.scenes)
    houses, size = config.houses, config.model.image_size
    maker = TrajectoryMaker(houses.walk, 1, size, config.model.field_of_view_degrees)
    made = houses.train * ("train" not in stored) + houses.unseen * ("unseen" not in stored)
    place = device_for(made, houses.walk.frames, size, houses.on_device, device, processes.count_here)
    run = Path(config.run)
    state, is_done = found_state(config, run, processes)
    if is_done:
        if first:
            print(f"finished after {state['samples_seen']:,} samples, nothing to do: {results(run)}")
        return processes.end()
    if first:
        print(beginning(config, stored, state, device), file=sys.stderr, flush=True)
        tell_of_data(config, stored)
    bf16 = config.precision == "bf16" or (config.precision == "auto" and device.type == "cuda")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True

    # ---- Model, its average, the step with its optimiser; resumed where there is a checkpoint.
    torch.manual_seed(config.seed)
    model = build_network(config.arithmetic, config.model).to(device, memory_format=torch.channels_last).train()
    average = copy.deepcopy(model).eval().requires_grad_(False)
    objective = partial(placenet_objective, config=config.objective)
    step = TrainingStep(
        model, objective, config.execution, device, bf16, config.clip_gradient, average, processes.count
    )
    loss_of = partial(loss_apart, model, objective, bf16)
    samples_seen, seconds_before = 0, 0.0
    if state is not None:
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        step.load_optimiser(state["optimiser"])
        samples_seen, seconds_before = state["samples_seen"], state["seconds"]
        say(processes, f"resumed after {samples_seen:,} samples")

    # ---- Trajectories; those to train on only where training is left to do, those to evaluate on for one process.
    done = begun = progress(config.schedule, samples_seen, seconds_before)
    samples = config.samples_per_step
    data = unseen = None
    batches = nullcontext()
    if done < 1:
        data = stored.get("train") or houses_to_train_on(houses.train, maker, place, processes, make_houses)
        scenes = StepScenes(data, config.sampling, config.scenes, config.seed, rows)
        stream = scene_stream(scenes, samples_seen // samples, config.data.workers_of(processes))
        batches = Prefetch(stream, config.model.position_scale, device)
    if first:
        unseen = stored.get("unseen") or (make_houses or render_houses)(UNSEEN_SEEDS_FROM, houses.unseen, maker, place)
    held = {"seen": copy.copy(data), "unseen": unseen}  # a reader of its own: batches are read beside evaluations
    processes.wait()

    peak = operations = None
    if device.type == "cuda" and done < 1:
        peak = measured_peak(device, torch.bfloat16 if bf16 else torch.float32)
        operations = operations_of_a_sample(config.arithmetic, config.model, config.sampling)

    # ---- The loop. A signal ends it after the step or evaluation that it came in, in all processes, with a checkpoint.
    def save() -> None:
        state = {"samples_seen": samples_seen, "seconds": seconds, "model": model.state_dict(),
                 "average": average.state_dict(), "optimiser": step.optimiser_state()}  # fmt: skip
        save_checkpoint(run / "checkpoints", samples_seen, state, config.keep_checkpoints, config.keep_every)

    log = RunLog(run, samples_seen) if first else None
    best, stopping, seconds = best_rmse(run, samples_seen) if first else 0.0, 0, seconds_before
    start, logged, waited = time.monotonic(), (samples_seen, time.monotonic()), 0.0
    with StopSignals() as signals, batches:
        while done < 1 and not stopping:
            # An evaluation, of the steps until here; one that was broken off is made up when the run is resumed.
            if samples_seen and crossed(config.evaluate_every, samples_seen, samples):
                paused = time.monotonic()
                if first and not log.holds(samples_seen, "unseen/"):
                    best = evaluate_on_the_way(average, held, config, samples_seen, best, log, signals)
                told, seconds = processes.greatest(signals.received, seconds_before + time.monotonic() - start)
                stopping = int(told)
                if stopping:
                    if first:
                        save()
                    break
                logged = (logged[0], logged[1] + time.monotonic() - paused)  # speed is that of steps alone

            # One step: everything in it is queued on the device without waiting for it.
            number = samples_seen // samples
            try:
                batch = next(batches)
                noise = latent_noise(config.model, samples, config.seed, number, device, samples_of(rows, config))
            except torch.OutOfMemoryError as error:
                raise no_room_for_batch(config, processes, place) from error
            rate, pixel_sigma = learning_rate(config.schedule, done), sigma(config.schedule, done)
            annealing = pixel_sigma > config.schedule.final_sigma
            samples_seen += samples
            now = Now(rate, pixel_sigma, annealing, average_step(config.schedule, samples_seen, samples))
            try:
                step(batch, noise, now)
            except torch.OutOfMemoryError as error:
                raise out_of_memory(error, loss_of, model, batch, noise, now, config, processes) from None

            # What all processes have to agree on: whether to go on, and how much is done.
            told, seconds = processes.greatest(signals.received, seconds_before + time.monotonic() - start)
            stopping, done = int(told), progress(config.schedule, samples_seen, seconds)

            # Figures and checkpoint, each at its own interval of samples.
            saving = crossed(config.checkpoint_every, samples_seen, samples) or done >= 1 or stopping
            if crossed(config.log_every, samples_seen, samples) or saving:
                figures = step.figures()
                if figures["unusable_in_a_row"] >= UNUSABLE_IN_A_ROW:
                    with torch.no_grad():
                        fails = not loss_of(batch, noise, now).isfinite().item()
                    step.release()
                    raise_diverged(figures, logged[0], samples_seen, processes.all_of(fails), run, processes)
                if first:
                    ended = time.monotonic()
                    figures |= {f"gamma/{name}": a.gamma.item() for name, a in model.attention.items()}
                    figures |= {"learning_rate": rate, "sigma": pixel_sigma}
                    figures["samples_per_second"] = (samples_seen - logged[0]) / (ended - logged[1])
                    if peak is not None:
                        speed = figures["samples_per_second"]
                        figures["share_of_peak"] = share_of_peak(speed, operations, peak, processes.count)
                    figures["data_wait"] = (batches.seconds_waited - waited) / (ended - logged[1])
                    figures["minutes_left"] = (1 - done) / (done - begun) * (ended - start) / 60
                    figures["damaged_trajectories"] = getattr(data, "damaged", 0)
                    if device.type == "cuda":
                        figures["gpu_memory_gib"] = torch.cuda.max_memory_allocated(device) / 2**30
                    log.write(samples_seen, figures)
                    say(processes, status_line(config.schedule, samples_seen, done, figures))
                if saving and first:
                    save()
                logged, waited = (samples_seen, time.monotonic()), batches.seconds_waited
    if signals.received and not stopping:  # it came after the last step, which is saved
        signal.raise_signal(signals.received)
    if stopping:
        if first:
            log.close()
        name = signal.Signals(stopping).name
        say(processes, f"stopped by {name} after {samples_seen:,} samples: the same command goes on from there")
        processes.wait()  # for the checkpoint: torchrun ends the others when the first has ended
        step.release()
        processes.end()
        raise SystemExit(128 + stopping)

    # ---- The result, evaluated as it is stored.
    if first:
        seconds = seconds_before + time.monotonic() - start
        about = provenance(config, stored, command, samples_seen, seconds, processes)
        write_weights(average, run / "weights", about, config.half_precision)
        counts = ", ".join(map(str, config.evaluation.observations))
        say(processes, f"evaluating the result: {config.evaluation.queries} queries, each with {counts} observations")
        result = read_network(run / "weights").to(device)
        predictors = network_predictors(result, config.evaluation) | rivals(result, config.evaluation)
        figures = evaluate(predictors, unseen, config.sampling, config.evaluation, config.model, device)
        about["evaluation"] = {**as_dict(config.evaluation), "data": about["data"]["unseen"], "figures": figures}
        write_weights(average, run / "weights", about, config.half_precision)
        write_whole(run / "evaluation.json", (json.dumps(figures, indent=2) + "\n").encode())
        most = max(config.evaluation.observations)
        log.draw(samples_seen, image_grid(average, unseen, config.sampling, most, config.seed, device))
        log.close()
        print(table(figures))
        print(results(run))
    processes.wait()
    step.release()
    processes.end()


# ---- Parts of the loop that stand by themselves ----------------------------------------------------------------------


def check_beforehand(config: TrainConfig) -> None:
    """Raises UserError where the data or the run's folder do not go with the configuration. Changes nothing."""
    opened_data(config)
    check_run(config)


def opened_data(config: TrainConfig) -> dict[str, ShardSet]:
    """The data sets on a disk, "train" and "unseen", as far as there are any. Raises UserError."""
    frames = fewest_frames(config.evaluation, config.sampling)
    stored = {
        name: opened_shards(Path(folder), config.model, frames, config.data.skip_damaged, tell=False)
        for name, folder in (("train", config.data.train), ("unseen", config.data.unseen))
        if folder is not None
    }
    if "train" in stored and stored["train"].manifest.split == "unseen":
        raise UserError(f"{config.data.train}: is of unseen houses, kept for evaluation: train on another data set")
    if "unseen" in stored:
        check_inputs(config.evaluation.inputs, stored["unseen"].modalities, config.data.unseen)
    return stored


def tell_of_data(config: TrainConfig, stored: dict[str, ShardSet]) -> None:
    """Say on stderr what of the data sets is not used, and which part of the model does not learn from them."""
    for shards in stored.values():
        tell_left_out(shards)
    if "train" in stored:
        lengths, window = stored["train"].lengths, config.sampling.window
        if short := int((lengths < window).sum()):
            told = f"{short:,} of {counted(len(lengths), 'trajectory', 'trajectories')} shorter than the window"
            print(f"{config.data.train}: {told} of {window} frames (sampling.window), taken whole", file=sys.stderr)
    channels = config.model.depth_estimation_channels
    if channels and "train" in stored and "depth" not in stored["train"].modalities:
        reason = f"{config.data.train} has no depth: what estimates it (model.depth_estimation_channels={channels})"
        print(f"warning: {reason} learns nothing; set it to 0", file=sys.stderr)


def beginning(config: TrainConfig, stored: dict[str, ShardSet], state: dict | None, device: torch.device) -> str:
    """What training is about to do, with the houses that it makes first: to be said before anything that takes time."""
    schedule, seen, done = config.schedule, 0, 0.0
    if state is not None:
        seen, done = state["samples_seen"], progress(schedule, state["samples_seen"], state["seconds"])
    made = []
    if "train" not in stored and done < 1:
        made.append(f"{counted(config.houses.train, 'house')} to learn from")
    if "unseen" not in stored:
        made.append(f"{counted(config.houses.unseen, 'house')} to be judged by")
    begin = f"from {seen:,} " if seen else ""
    limit = f", {schedule.minutes:g} minutes at most," if schedule.minutes is not None else ""
    first = f"; first makes {' and '.join(made)}{', again' * (seen > 0)}" if made else ""
    return f"{config.run}: {begin}to {schedule.samples:,} samples{limit} on {device}{first}"


def check_run(config: TrainConfig) -> None:
    """Raises UserError where the run's folder holds a run of another configuration."""
    run = Path(config.run)
    if not (run / CONFIGURATION).exists():
        return
    differing = differing_keys(build(TrainConfig, read_file(TrainConfig, run / CONFIGURATION)), config)
    if differing:
        raise UserError(
            f"{run} holds a run of another configuration ({'; '.join(differing)}): nothing was changed; "
            "set run= to another folder, or these keys as they were"
        )


def found_state(config: TrainConfig, run: Path, processes: Processes) -> tuple[dict | None, bool]:
    """The newest checkpoint of the run, whose folder is made where it is missing, and whether nothing is left to do.

    Rank 0 looks, the others read what it found. Raises UserError where the folder holds a run of another configuration.
    """
    state, is_done = None, False
    if processes.first:
        check_run(config)
        if not (run / CONFIGURATION).exists():
            run.mkdir(parents=True, exist_ok=True)
            write_whole(run / CONFIGURATION, as_yaml(config).encode())
        state = newest_checkpoint(run / "checkpoints")
        is_done = state is not None and is_finished(config, run, state)
    samples_seen, is_done = processes.agreed((state and state["samples_seen"], is_done))
    if samples_seen is not None and not processes.first:
        path = checkpoint_path(run / "checkpoints", samples_seen)
        if not path.exists():
            raise UserError(f"{path}: not here ({platform.node()}): run= must be a folder that all machines see")
        state = read_checkpoint(path)
    return state, is_done


def houses_to_train_on(
    houses: int, maker: TrajectoryMaker, place: torch.device, processes: Processes, make_houses: HouseMaker | None
) -> TrajectorySet:
    """Houses from seed 0 on; of several processes, each renders its share and gets the others'."""
    if processes.count == 1:
        return (make_houses or render_houses)(0, houses, maker, place)
    make = make_houses or partial(render_houses, cores=processes.cores)
    bounds = [houses * rank // processes.count for rank in range(processes.count + 1)]
    held = TrajectorySet(houses, maker.walk.frames, maker.image_size, place)
    for rank, (begin, end) in enumerate(zip(bounds, bounds[1:], strict=False)):
        if rank == processes.rank and end > begin:
            held.copy_from(make(begin, end - begin, maker, place), begin)
    processes.wait()
    for rank, (begin, end) in enumerate(zip(bounds, bounds[1:], strict=False)):
        for tensor in held.tensors():
            processes.give(tensor[begin:end], rank)
    if place.type == "cuda":
        torch.cuda.synchronize(place)  # batches are made of them on another stream
    return held


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


def samples_of(rows: slice, config: TrainConfig) -> slice:
    """Which samples of a step those scenes are."""
    return slice(rows.start * config.sampling.queries, rows.stop * config.sampling.queries)


def crossed(every: int, samples_seen: int, samples: int) -> bool:
    """Whether the last `samples` samples led across a multiple of `every`."""
    return samples_seen // every > (samples_seen - samples) // every


def say(processes: Processes, line: str) -> None:
    """Tell the user, once."""
    if processes.first:
        print(line, file=sys.stderr, flush=True)


def evaluate_on_the_way(
    model: Network,
    data: dict[str, TrajectorySource],
    config: TrainConfig,
    samples_seen: int,
    best: float,
    log: RunLog,
    signals: StopSignals,
) -> float:
    """Note figures of predictions on each data set, and pictures of the last, "unseen"; returns the best RMSE on that.

    best: the one until here; where this one is better, the weights are stored in RUN/best.
    Breaks off where a signal comes, before anything is noted: the checkpoint must not wait.
    """
    try:
        figures = figures_on_the_way(model, data, config, signals)
    except _Stopped:
        return best
    for name, of_data in figures.items():
        shown = ", ".join(f"{rmse:.2f} with {count}" for count, rmse in rmses(of_data).items())
        print(f"  RMSE of predictions, {name} houses: {shown} observations", file=sys.stderr, flush=True)
    most, device = max(config.evaluation.observations), next(model.parameters()).device
    log.draw(samples_seen, image_grid(model, data["unseen"], config.sampling, most, config.seed, device))
    rmse = sum(rmses(figures["unseen"]).values()) / len(config.evaluation.observations)
    if rmse < best:
        about = {"samples": samples_seen, "rmse": rmse, "configuration": as_dict(config)}
        write_weights(model, Path(config.run) / "best", about, config.half_precision)
    flat = {key: value for name, of_data in figures.items() for key, value in flat_figures(of_data, name).items()}
    log.write(samples_seen, flat)  # last, and at once: it says that this evaluation is done
    return min(rmse, best)


def figures_on_the_way(
    model: Network, data: dict[str, TrajectorySource], config: TrainConfig, signals: StopSignals
) -> dict[str, dict]:
    """Figures of predictions on each data set. Raises _Stopped where a signal comes."""
    asked = replace(config.evaluation, queries=config.evaluate_queries, samples=1, spread_samples=0)
    device = next(model.parameters()).device
    predict = prior_prediction(model, 1)

    def predict_unless_stopped(observations: Observations, query_viewpoints: Tensor) -> Prediction:
        if signals.received:
            raise _Stopped
        return predict(observations, query_viewpoints)

    predictors = {"model": predict_unless_stopped}
    return {
        name: evaluate(predictors, trajectories, config.sampling, asked, config.model, device)
        for name, trajectories in data.items()
    }


def rmses(figures: dict) -> dict[str, float]:
    """The model's RMSE by number of observations."""
    return {count: rows["model"]["rmse"]["mean"] for count, rows in figures.items()}


class _Stopped(Exception):
    """An evaluation on the way was broken off."""


def best_rmse(run: Path, samples_seen: int) -> float:
    """RMSE of RUN/best, as far as it comes from before so many samples; infinite where there is none."""
    try:
        about = read_network(run / "best").about
    except WeightsError:  # missing, or damaged: to be found again
        return math.inf
    return about["rmse"] if about.get("samples", math.inf) <= samples_seen else math.inf


def loss_apart(
    model: Network, objective: ObjectiveFunction, bf16: bool, batch: Batch, noise: Tensor, now: Now
) -> Tensor:
    """The loss of a batch, apart from training: to find out what is wrong with it."""

    def network(*arguments: Any, **options: Any) -> Any:
        with torch.autocast(noise.device.type, torch.bfloat16, enabled=bf16):
            return model(*arguments, **options)

    return objective(network, batch, noise, torch.full((), now.sigma, device=noise.device), now.annealing).loss


def no_room_for_batch(config: TrainConfig, processes: Processes, place: torch.device) -> UserError:
    """What to say where memory runs out before a step; place: where the trajectories lie."""
    each, instead = config.scenes // processes.count, ", or set houses.on_device=no" * (place.type == "cuda")
    return UserError(
        f"{processes.device}: memory ran out while a step's batch of {each} scenes was made: lower scenes{instead}"
    )


def out_of_memory(
    error: torch.OutOfMemoryError,
    loss_of: Callable[[Batch, Tensor, Now], Tensor],
    model: Network,
    batch: Batch,
    noise: Tensor,
    now: Now,
    config: TrainConfig,
    processes: Processes,
) -> UserError:
    """What to say of a step that did not fit: how many scenes do, found by trying."""
    traceback.clear_frames(error.__traceback__)  # what the step held

    def attempt(scenes: int) -> None:
        few = mapped(batch, lambda tensor: tensor[:scenes])
        loss_of(few, noise[:, : scenes * config.sampling.queries], now).backward()

    each, observations = config.scenes // processes.count, batch.observations.rgb.shape[1]
    fit = scenes_that_fit(attempt, each - 1, model)
    fit = fit * observations // config.sampling.most_observations  # a later step may have more of them
    reason = f"{config.scenes} scenes of {observations} observations do not fit into the memory of {processes.device}"
    if processes.count > 1:
        reason += f", {each} for each of {processes.count} processes"
    if not fit:
        return UserError(f"{reason}, nor does one: lower model.* or sampling.most_observations")
    return UserError(f"{reason}: set scenes={fit * processes.count}, which would")


def raise_diverged(
    figures: dict[str, float], before: int, samples_seen: int, fails: list[bool], run: Path, processes: Processes
) -> None:
    """Give up, in all processes; one says why. Checkpoints are only written of what passed."""
    where = ""
    if processes.count > 1:
        ranks = [str(rank) for rank, failing in enumerate(fails) if failing]
        where = f" (in process {', '.join(ranks)})" if ranks else " (in no process's loss, but in its gradient)"
    reason = (
        f"loss or gradient not finite in {figures['unusable_in_a_row']:.0f} steps in a row{where} between {before:,} "
        f"and {samples_seen:,} samples: lower schedule.learning_rate or clip_gradient; checkpoints in "
        f"{run / 'checkpoints'} are from before"
    )
    if processes.count == 1:
        raise UserError(reason)
    say(processes, f"error: {reason}")
    processes.wait()  # torchrun ends the others when the first has ended: not before it is said
    raise SystemExit(2)


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
    processes: Processes,
) -> dict:
    """How weights came about, for the JSON beside them."""
    device = processes.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "command": command,
        "configuration": as_dict(config),
        "data": data_sources(config, stored),
        "object_classes": list(stored["train"].description.class_names if "train" in stored else CLASS_NAMES),
        "samples": samples_seen,
        "training_minutes": round(seconds / 60, 2),
        "device": name,
        "processes": processes.count,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }


def write_weights(model: Network, folder: Path, about: dict, half_precision: bool) -> None:
    """Write a folder of weights. Raises UserError where they cannot be stored that way."""
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
        try:
            train(config, shlex.join(["python", "-m", "training.train", *argv]))
        except torch.OutOfMemoryError as error:
            reason = str(error).split(". ")[0]
            raise UserError(f"{reason}, outside of a step: lower evaluation.scenes or houses.train") from error
        except RuntimeError as error:
            if lost := lost_worker(error):
                raise UserError(
                    f"{config.data.train}: of the processes that read it, {lost}: where memory or /dev/shm ran out, "
                    "lower data.workers; the same command goes on from the last checkpoint"
                ) from error
            if not is_lost_process(error):
                raise
            raise UserError("another process of this training ended: its own message says why") from error


if __name__ == "__main__":
    run_command(main)
