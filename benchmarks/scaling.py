"""Whether training scales to all GPUs of this machine: `python -m benchmarks.scaling [--help]`.

With 1, 2, 4, ... processes in one run, one for each GPU: samples a second when each process has 36 scenes (weak
scaling) and when all together have them (strong), and the share of linear, which is that many times one process's. What
the exchange of gradients takes, in float32 and in bfloat16 (`execution.exchange`), is told in two ways: measured alone,
and as what is not hidden of it, the difference to the same processes that train each for itself (exchange "none"; the
others' difference includes agreeing on when to stop). Beside it stands what the
machine can do: the bus bandwidth of a plain all-reduce of as many bytes, which is bytes / seconds * 2 (n - 1) / n. What
waiting for data takes is measured with scenes read from shards (`--data FOLDER`) or held in memory.

Each number of processes is started as training/run.sh starts training, with a limit of time. A row is printed, and
appended to a file of JSON lines, as soon as it is known. A process that fails ends the run with a line that says why.

Times are means over the steps, of the slowest process. Batches hold random pictures, as in `benchmarks.train`. Where
the scenes of strong scaling cannot be shared equally, each process has the nearest whole number of them.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
import torch.distributed

from benchmarks.train import (
    Case,
    Training,
    Variant,
    end,
    known_rows,
    machine,
    median_ms,
    network_config,
    positive,
    prepared,
    print_line,
    settle,
    shown,
    synchronize,
    times_ms,
)
from placenet_ros.model.captured import first_line
from training.configuration import UserError, run_command
from training.data.dataset import ShardSet
from training.data.prefetch import Prefetch
from training.data.sampling import SamplingConfig
from training.data.scenes import StepScenes, TrajectorySource, scene_stream
from training.data.trajectories import TrajectorySet
from training.device import chosen_device
from training.gradient_exchange import GradientExchange
from training.launch import LaunchConfig, environment_of, torchrun_arguments, torchrun_status
from training.processes import Processes, begin_processes, is_lost_process
from training.step import LAUNCHED_FIRST, ExecutionConfig
from training.train import DataConfig

NONE = "none"  # each process trains for itself
HELD, MEMORY, SHARDS = "held", "memory", "shards"  # where batches come from; held: they are there already
TRAJECTORIES_IN_MEMORY = 64
ALONE_REPEATS = 20  # of an exchange without a step
SECONDS_TO_END = 45.0  # torchrun gives its processes 30


# ---- What one of the processes measures ------------------------------------------------------------------------------


def rows(arguments: argparse.Namespace, processes: Processes) -> Iterator[dict]:
    """All rows of this number of processes; each process makes the same rows, together with the others."""
    prepared()
    count, alone = processes.count, {}
    weak = Case(arguments.scenes, 1, arguments.observations)
    strong = Case(max(1, round(arguments.scenes / count)), 1, arguments.observations)
    for scaling, case in (("weak", weak), ("strong", strong))[: 1 if count == 1 else 2]:
        without_ms = None
        for exchange in (NONE, "float32", "bfloat16")[: 1 if count == 1 else 3]:
            training = new_training(arguments, processes, exchange)
            if exchange != NONE and exchange not in alone:
                alone[exchange] = exchange_alone(training.model, exchange, processes)
            row = timed_row(arguments, processes, training, case, partial(training, case))
            row |= {"scaling": scaling, "exchange": exchange, "feed": HELD, **alone.get(exchange, {})}
            if exchange == NONE:
                without_ms = row["step_ms"]
            else:
                row["share_alone"] = row["exchange_ms"] / row["step_ms"]
                row["share_not_hidden"] = 1 - without_ms / row["step_ms"]
            yield row
            if scaling == "weak" and exchange == (NONE if count == 1 else "float32"):
                yield row_with_data(arguments, processes, training, case) | {"scaling": scaling, "exchange": exchange}
            del training
            gc.collect()  # a step and its graphs refer to one another
            settle(processes.device)


def new_training(arguments: argparse.Namespace, processes: Processes, exchange: str) -> Training:
    """The network at its start; with the other processes, or by itself."""
    device, apart = processes.device, exchange == NONE
    execution = ExecutionConfig() if apart else ExecutionConfig(exchange=exchange)
    way = Variant(arguments.network, arguments.network, execution.on(device), (), bf16=device.type == "cuda")
    count, rank = (1, 0) if apart else (processes.count, processes.rank)
    return Training(way, arguments.smoke, device, count, rank)


def timed_row(
    arguments: argparse.Namespace, processes: Processes, training: Training, case: Case, step: Callable[[], None]
) -> dict:
    """Time and speed of steps, after those that are needed to compile and record them."""

    def agreed_step() -> None:
        step()
        if training.processes > 1:
            processes.greatest(0.0)  # as the loop of training does, to stop together

    for _ in range(LAUNCHED_FIRST):
        agreed_step()
    settle(processes.device)
    for _ in range(3):
        agreed_step()
    synchronize(processes.device)
    processes.wait()
    times = times_ms(agreed_step, arguments.steps, processes.device)
    step_ms, slowest_ms = processes.greatest(statistics.mean(times), max(times))
    (unusable,) = processes.greatest(training.step.figures()["unusable_steps"])
    return {
        "processes": processes.count,
        "scenes": case.scenes,
        "observations": case.observations,
        "samples_per_second": processes.count * case.scenes * case.queries * 1000 / step_ms,
        "step_ms": step_ms,
        "slowest_ms": slowest_ms,
        "fell_back": training.step.execution != training.way.execution,
        "unusable_steps": unusable,
        "machine": machine(processes.device),
    }


def row_with_data(arguments: argparse.Namespace, processes: Processes, training: Training, case: Case) -> dict:
    """The same steps on scenes that are drawn, made ready ahead as in training, and its share of waiting for them."""
    sampling = sampling_of(arguments)
    feed = SHARDS if arguments.data else MEMORY
    source = ShardSet(Path(arguments.data), sampling.fewest_frames) if arguments.data else in_memory(training)
    together = case.scenes * processes.count
    scenes = StepScenes(source, sampling, together, 0, processes.share(together))
    workers = DataConfig(workers=arguments.workers).workers_of(processes)
    waited: list[float] = []  # in all, at each step
    with Prefetch(scene_stream(scenes, 0, workers), training.config.position_scale, processes.device) as batches:

        def step() -> None:
            training(case, next(batches))
            waited.append(batches.seconds_waited)

        row = timed_row(arguments, processes, training, case, step)
    seconds = row["step_ms"] * arguments.steps / 1000
    (row["data_wait"],) = processes.greatest((waited[-1] - waited[-1 - arguments.steps]) / seconds)
    return row | {"feed": feed, "workers": workers if feed == SHARDS else 0}


def sampling_of(arguments: argparse.Namespace) -> SamplingConfig:
    """How scenes are drawn from trajectories: always with as many observations."""
    m = arguments.observations
    return SamplingConfig(fewest_observations=m, most_observations=m, queries=1)


def in_memory(training: Training) -> TrajectorySource:
    """Trajectories of noise, held where training holds houses that it has made."""
    frames = SamplingConfig().window
    held = TrajectorySet(TRAJECTORIES_IN_MEMORY, frames, training.config.image_size, training.device)
    held.rgb.random_(256)
    held.depth.random_(500, 4500)  # millimetres
    held.objects.random_(40)
    held.poses.uniform_(-0.5, 0.5)
    return held


def exchange_alone(model: torch.nn.Module, exchanged: str, processes: Processes) -> dict:
    """Milliseconds of an exchange of a model's gradients without a step, and what the machine can do of its kind."""
    parameters, device = list(model.parameters()), processes.device
    exchange = GradientExchange(parameters, exchanged)
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    plain = torch.zeros(sum(p.numel() for p in parameters), dtype=getattr(torch, exchanged), device=device)
    tasks = exchange.sum_over_processes, lambda: torch.distributed.all_reduce(plain)
    processes.wait()
    exchange_ms, plain_ms = processes.greatest(*(median_ms(task, ALONE_REPEATS, device) for task in tasks))
    for parameter in parameters:
        parameter.grad = None
    size, n = plain.numel() * plain.element_size(), processes.count
    return {
        "exchange_ms": exchange_ms,
        "exchanged_bytes": size,
        "all_reduce_ms": plain_ms,
        "bus_gigabytes_per_second": size / (plain_ms / 1000) * 2 * (n - 1) / n / 1e9,
    }


# ---- Printing --------------------------------------------------------------------------------------------------------

HEADS = ("processes", "scaling", "scenes of each", "exchange", "samples/s", "of linear", "ms a step", "slowest ms",
         "exchange alone, ms", "its share", "not hidden", "plain all-reduce, GB/s", "data wait")  # fmt: skip


def cells(row: dict) -> list[str]:
    """A row as the table shows it."""
    feed = {HELD: "", MEMORY: ", data from memory", SHARDS: ", data from shards"}[row["feed"]]
    marks = " (FELL BACK)" * row["fell_back"] + " (NOT FINITE)" * bool(row["unusable_steps"])
    return [
        str(row["processes"]),
        row["scaling"] + feed + marks,
        str(row["scenes"]),
        row["exchange"],
        shown(row["samples_per_second"]),
        shown(row.get("of_linear"), share=True),
        shown(row["step_ms"], 1),
        shown(row["slowest_ms"], 1),
        shown(row.get("exchange_ms"), 2),
        shown(row.get("share_alone"), share=True),
        shown(row.get("share_not_hidden"), share=True),
        shown(row.get("bus_gigabytes_per_second"), 1),
        shown(row.get("data_wait"), share=True),
    ]


def share_of_linear(row: dict, known: list[dict]) -> float | None:
    """Of so many times what one process reached in this run, with batches from the same place."""
    for one in known:
        if one["processes"] == 1 and one["feed"] == row["feed"]:
            return row["samples_per_second"] / (row["processes"] * one["samples_per_second"])
    return 1.0 if row["processes"] == 1 else None


# ---- Running ---------------------------------------------------------------------------------------------------------


def measure_here(arguments: argparse.Namespace) -> None:
    """As one of the processes: measure, and where it is the first, print. Raises UserError, whatever goes wrong."""
    path = Path(arguments.json)
    try:
        processes = begin_processes(arguments.device)
        for row in rows(arguments, processes):
            if processes.first:
                row["of_linear"] = share_of_linear(row, known_rows(path))
                print_line(cells(row))
                with open(path, "a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
        processes.wait()
        processes.end()
    except Exception as error:  # the others cannot go on without this one, whatever it is
        rank, count = (int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1)))
        if is_lost_process(error):
            time.sleep(SECONDS_TO_END)  # torchrun, which says which was lost, ends this one meanwhile
        time.sleep(rank)  # what is wrong with all of them is said by the first
        report = path.with_suffix(f".process-{rank}.txt")
        report.write_text(traceback.format_exc())
        raise UserError(f"process {rank} of {count}: {first_line(error)} (in full: {report})") from error


def start_processes(arguments: argparse.Namespace, argv: list[str]) -> int:
    """Start as many processes as `--only` says, as training/run.sh does; their exit status."""
    launch = LaunchConfig()
    os.environ.update(environment_of(launch, gpus_of(arguments), arguments.only))
    options = torchrun_arguments(launch, arguments.only, "scaling")
    return torchrun_status([*options, "-m", "benchmarks.scaling", *argv], launch)


def gpus_of(arguments: argparse.Namespace) -> int:
    return torch.cuda.device_count() if chosen_device(arguments.device).type == "cuda" else 0


def counts_of(arguments: argparse.Namespace) -> list[int]:
    """Numbers of processes to measure, 1 first. Raises UserError for more than there are GPUs."""
    gpus = gpus_of(arguments)
    if arguments.processes is None:
        most = gpus or 2
        return sorted({2**power for power in range(most.bit_length())} | {most})
    if gpus and max(arguments.processes) > gpus:
        raise UserError(f"--processes {max(arguments.processes)}: one for each GPU at most, and there are {gpus}")
    return sorted(set(arguments.processes))


def check_beforehand(arguments: argparse.Namespace) -> None:
    """Raises UserError where the shards do not suit."""
    size = network_config(arguments.network, arguments.smoke).image_size
    if arguments.data:
        shards = ShardSet(Path(arguments.data), sampling_of(arguments).fewest_frames)
        if shards.description.image_size != size:
            found = shards.description.image_size
            raise UserError(f"{arguments.data}: has pictures of {found} pixels, not {size}")


def measure_in_processes(arguments: argparse.Namespace, argv: list[str]) -> None:
    """All numbers of processes, one after the other."""
    counts = counts_of(arguments)
    check_beforehand(arguments)
    Path(arguments.json).parent.mkdir(parents=True, exist_ok=True)
    Path(arguments.json).unlink(missing_ok=True)
    print_line(HEADS)
    print_line(["---"] * len(HEADS))
    for count in counts:
        command = [sys.executable, "-m", "benchmarks.scaling", *argv, "--only", str(count)]
        process = subprocess.Popen(command, start_new_session=True)
        try:
            status = process.wait(arguments.limit)
        except subprocess.TimeoutExpired:
            print(f"{count} processes: stopped after {arguments.limit:.0f} s", flush=True)
            status = 0
        finally:
            end_softly(process)
        if status:  # a line has said why
            raise SystemExit(status if status > 0 else 128 - status)
    print(f"\nall figures: {arguments.json}")


def end_softly(process: subprocess.Popen) -> None:
    """End a process, if it has not: first so that it can end those that it started, which are in sessions of theirs."""
    process.terminate()
    try:
        process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        end(process)


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.scaling", description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: GPUs if there are")
    counts = "numbers of processes (default: 1, 2, 4, ... and one for each GPU; without any, 1 and 2)"
    parser.add_argument("--processes", type=positive, nargs="+", metavar="N", help=counts)
    parser.add_argument("--network", choices=("placenet", "placenet-small"), default="placenet")
    parser.add_argument("--scenes", type=positive, default=36, help="of each process, or of all together (default: 36)")
    parser.add_argument("--observations", type=positive, default=10, help="of each scene (default: 10)")
    parser.add_argument("--steps", type=positive, default=50, help="timed steps of each row (default: 50)")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for each number of them (default: 300)")
    parser.add_argument("--data", metavar="FOLDER", help="shards to read scenes from; without, they are held in memory")
    parser.add_argument("--workers", type=int, default=-1, help="that read shards for a process, as data.workers")
    parser.add_argument("--json", default="out/benchmark-scaling.jsonl", help="file of all figures, a line for each")
    parser.add_argument("--smoke", action="store_true", help="a tiny network: only whether it runs")
    parser.add_argument("--only", type=int, metavar="N", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.only is None:
        measure_in_processes(arguments, argv)
    elif arguments.only == 1 or "RANK" in os.environ:
        measure_here(arguments)
    else:
        raise SystemExit(start_processes(arguments, argv))


if __name__ == "__main__":
    run_command(main)
