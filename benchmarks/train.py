"""How fast training is on this machine, and how fast it could be: `python -m benchmarks.train [--help]`.

First the machine's ceiling: a large product of matrices in bf16, and the cores' 5 x 5 convolutions. Then, for each
network and way of executing a step (training/step.py), samples a second, the time of a step, its share of that ceiling
and the memory that it takes. `--check` shows that all ways learn the same; `--profile VARIANT` says which kernels take
the time; `--data FOLDER` measures with frames read from shards, and what of the time is waiting for them.

Each part runs in a process of its own with a limit of time; a row is printed, and appended to a file of JSON lines, as
soon as it is known, so what was measured remains if the command is stopped.

Batches hold random pictures and poses. A batch of 36 x 1 is 36 scenes with one query view each. Operations are counted
(multiply and add: two) on the network as it is, launched.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import gc
import itertools
import json
import math
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn
from torch.autograd import DeviceType

from placenet_ros.model import Observations, PlaceNetConfig
from training.configuration import REPOSITORY, UserError, run_command
from training.data.dataset import ShardSet
from training.data.prefetch import Prefetch
from training.data.sampling import Batch, SamplingConfig, assemble
from training.data.scenes import STEPS_AHEAD, StepScenes, scene_stream
from training.device import chosen_device
from training.nested import mapped
from training.networks import build_network
from training.objective import placenet_objective
from training.peak import operations_of_a_sample
from training.schedule import AVERAGE_EVERY
from training.step import LAUNCHED_FIRST, ExecutionConfig, Now, TrainingStep, latent_noise

CONFIGURATIONS = REPOSITORY / "config" / "training"
FEEDS = 3  # batches that take turns, so that no cache holds the one to come
NOW = Now(learning_rate=1e-4, sigma=0.7, annealing=False, average_step=1e-3)
LAUNCHED = ExecutionConfig(compile="none", graph="no")


@dataclass(frozen=True)
class Case:
    """A batch's size."""

    scenes: int
    queries: int
    observations: int

    def __str__(self) -> str:
        return f"{self.scenes} x {self.queries}"


@dataclass(frozen=True)
class Variant:
    """A network and how its steps are executed."""

    name: str
    network: str  # of NETWORKS
    execution: ExecutionConfig
    cases: tuple[Case, ...]
    bf16: bool = True


AT_36 = tuple(Case(36, 1, observations) for observations in (10, 5, 17))
AT_128 = (Case(128, 1, 10),)
AS_CONFIGURED = (Case(9, 4, 10), Case(32, 4, 10))  # queries as in config/training/placenet: a batch of 36, and its own
SMALL = (Case(36, 1, 10), Case(64, 4, 6))  # the second as configured


def variant(network: str, compile: str, graph: str, cases: tuple[Case, ...], bf16: bool = True) -> Variant:
    ways = {"none": [], "blocks": ["compiled"], "whole": ["compiled whole"]}[compile]
    ways += ["graph"] * (graph == "yes")
    name = f"{network}, {' + '.join(ways) or 'launched'}{'' if bf16 else ', fp32'}"
    return Variant(name, network, ExecutionConfig(compile, graph), cases, bf16)


VARIANTS = {
    one.name: one
    for one in (
        variant("placenet", "none", "yes", AT_36[:1] + AT_128),
        variant("placenet", "blocks", "yes", AT_36 + AS_CONFIGURED + AT_128),
        variant("placenet-plain", "blocks", "yes", AT_36[:1] + AT_128),
        variant("published", "none", "yes", AT_36[:1]),
        variant("published", "blocks", "yes", AT_36 + AT_128),
        variant("placenet", "none", "no", AT_36[:1]),
        variant("placenet", "blocks", "no", AT_36[:1]),
        variant("placenet-small", "none", "yes", SMALL),
        variant("placenet-small", "blocks", "yes", SMALL),
        variant("published", "none", "no", AT_36[:1]),
        variant("published", "none", "yes", AT_36[:1], bf16=False),
        variant("placenet", "whole", "yes", AT_36[:1] + AT_128),
    )
}
TINY = PlaceNetConfig(image_size=16, representation_channels=16, hidden_channels=8, canvas_channels=8, layers=2,
                      reprojection_channels=4)  # fmt: skip


def settings_of(name: str) -> dict[str, Any]:
    """The model's settings in a training configuration."""
    path = CONFIGURATIONS / f"{name}.yaml"
    return (yaml.safe_load(path.read_text()).get("model") or {}) if path.exists() else {}


def network_config(name: str, smoke: bool) -> PlaceNetConfig:
    """As config/training has it for "placenet", "placenet-small" and "published"; `smoke`: as small as can be.

    "placenet-plain" has published sizes, reprojection, and none of the options that placenet's configuration adds.
    """
    changes = settings_of(name) | ({"reprojection": False} if name == "published" else {})
    if not smoke:
        return PlaceNetConfig.from_dict(changes)
    return replace(TINY, reprojection=changes.get("reprojection", True), shared_core=changes.get("shared_core", False))


def new_network(name: str, config: PlaceNetConfig) -> nn.Module:
    torch.manual_seed(0)
    return build_network("published" if name == "published" else "placenet", config)


# ---- What a step is given --------------------------------------------------------------------------------------------


def random_batch(config: PlaceNetConfig, case: Case, seed: int, device: torch.device | str) -> Batch:
    """Pictures of noise with depth and objects, seen from within a few metres."""
    generator = torch.Generator().manual_seed(seed)
    b, q, m, s = case.scenes, case.queries, case.observations, config.image_size
    rand = partial(torch.rand, generator=generator)

    def viewpoints(count: int) -> Tensor:
        yaw, pitch = rand(b, count, 1) * 6.28, rand(b, count, 1) * 0.4 - 0.2
        return torch.cat([rand(b, count, 3) - 0.5, yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin()], dim=-1)

    depth = rand(b, q + m, 1, s, s) * 4 + 0.5
    seen = Observations(rand(b, m, 3, s, s), viewpoints(m), depth[:, q:], rand(b, m, 3, s, s))
    classes = (rand(b, q, s, s) * 40).to(torch.uint8)
    batch = Batch(seen, viewpoints(q), rand(b, q, 3, s, s), depth[:, :q], classes, depth[:, q:])
    return mapped(batch, lambda tensor: tensor.to(device))


def operations(name: str, config: PlaceNetConfig, case: Case) -> float:
    """Floating-point operations of forward and backward; nothing is computed."""
    m = case.observations
    sampling = SamplingConfig(fewest_observations=m, most_observations=m, queries=case.queries)
    arithmetic = "published" if name == "published" else "placenet"
    return operations_of_a_sample(arithmetic, config, sampling) * case.scenes * case.queries


class Training:
    """A network that is being trained, one step a call, on batches that take turns; by so many processes of torch's."""

    def __init__(self, way: Variant, smoke: bool, device: torch.device, processes: int = 1, rank: int = 0) -> None:
        self.config, self.device, self.way = network_config(way.network, smoke), device, way
        self.processes, self.rank = processes, rank
        self.model = new_network(way.network, self.config).to(device, memory_format=torch.channels_last).train()
        average = copy.deepcopy(self.model)
        objective = placenet_objective
        self.step = TrainingStep(
            self.model, objective, way.execution, device, way.bf16, 1e4, average.requires_grad_(False), processes
        )
        self._batches: dict[Case, list[Batch]] = {}
        self._number = 0

    def __call__(self, case: Case, batch: Batch | None = None) -> None:
        if batch is None:
            if case not in self._batches:
                self._batches = {case: [random_batch(self.config, case, seed, self.device) for seed in range(FEEDS)]}
            batch = self._batches[case][self._number % FEEDS]
        samples = case.scenes * case.queries
        rows = slice(self.rank * samples, (self.rank + 1) * samples)
        noise = latent_noise(self.config, self.processes * samples, 0, self._number, self.device, rows)
        self.step(batch, noise, NOW if self._number % AVERAGE_EVERY == 0 else NOW._replace(average_step=0.0))
        self._number += 1


# ---- Measuring -------------------------------------------------------------------------------------------------------


def times_ms(task: Callable[[], object], repeats: int, device: torch.device) -> list[float]:
    """Milliseconds from the end of one call to the end of the next, with whatever holds them up."""
    if device.type != "cuda":
        marks = [time.perf_counter()]
        for _ in range(repeats):
            task()
            marks.append(time.perf_counter())
        return [1000 * (after - before) for before, after in itertools.pairwise(marks)]
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
    torch.cuda.synchronize()
    marks[0].record()
    for mark in marks[1:]:
        task()
        mark.record()
    torch.cuda.synchronize()
    return [before.elapsed_time(after) for before, after in itertools.pairwise(marks)]


def median_ms(task: Callable[[], object], repeats: int, device: torch.device) -> float:
    for _ in range(3):
        task()
    return statistics.median(times_ms(task, repeats, device))


def ceiling(arguments: argparse.Namespace) -> Iterator[dict]:
    """The rates of the work that most of training consists of."""
    device, smoke = chosen_device(arguments.device), arguments.smoke
    torch.backends.cudnn.benchmark = True
    size, repeats = (256, 3) if smoke else (8192, 20)
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    rate = 2 * size**3 / median_ms(lambda: a @ b, repeats, device) / 1e9
    yield {"what": f"product of {size} x {size} matrices, bf16", "tflops": rate, "machine": machine(device)}
    if not smoke:
        memory = torch.empty(2**30, dtype=torch.uint8, device=device).random_()
        copy = torch.empty_like(memory)
        seconds = median_ms(lambda: copy.copy_(memory), repeats, device) / 1000
        yield {"what": f"copy within memory: {2 * 2**30 / seconds / 1e12:.2f} TB/s", "tflops": None}
    grid, channels, out = (4, (8,), 16) if smoke else (16, (394, 400, 426, 432, 650, 656, 682, 688), 512)
    for batch, inward in itertools.product((2,) if smoke else (36, 128), channels):
        yield convolution(batch, inward, out, grid, repeats, device)


def convolution(batch: int, inward: int, out: int, grid: int, repeats: int, device: torch.device) -> dict:
    """A 5 x 5 convolution in bf16, channels_last: forward and its gradients."""
    kinds = {"device": device, "dtype": torch.bfloat16}
    x = torch.randn(batch, inward, grid, grid, **kinds).to(memory_format=torch.channels_last)
    weight = torch.randn(out, inward, 5, 5, **kinds).to(memory_format=torch.channels_last)
    upward = torch.randn(batch, out, grid, grid, **kinds).to(memory_format=torch.channels_last)

    def gradient(to_input: bool, to_weight: bool) -> Callable[[], object]:
        arguments = (upward, x, weight, None, (1, 1), (2, 2), (1, 1), False, (0, 0), 1, (to_input, to_weight, False))
        return lambda: torch.ops.aten.convolution_backward(*arguments)

    work = 2 * batch * grid**2 * inward * out * 25
    tasks = {
        "forward": lambda: F.conv2d(x, weight, padding=2),
        "to_input": gradient(True, False),
        "to_weight": gradient(False, True),
    }
    ms = {name: median_ms(task, repeats, device) for name, task in tasks.items()}
    rates = {name: work / time / 1e9 for name, time in ms.items()}
    total = 3 * work / (ms["forward"] + ms["to_input"] + ms["to_weight"]) / 1e9
    return {"what": f"convolution 5 x 5, batch {batch}, {inward} to {out} channels", "tflops": total, **rates}


def speed(arguments: argparse.Namespace, way: Variant, peak: float | None) -> Iterator[dict]:
    """A row for each case of a variant."""
    device = chosen_device(arguments.device)
    prepared()
    training = Training(way, arguments.smoke, device)
    for case in (Case(2, 1, 2),) if arguments.smoke else way.cases[: arguments.cases]:
        start = time.monotonic()
        for _ in range(LAUNCHED_FIRST):
            training(case)
        settle(device)  # what compiling and choosing algorithms took does not count
        for _ in range(3):
            training(case)
        synchronize(device)
        ready = time.monotonic() - start
        times = times_ms(partial(training, case), arguments.steps, device)
        step_ms = statistics.mean(times)  # not their median: some steps move the average of the weights, some not
        counted = operations(way.network, training.config, case)
        figures = training.step.figures()
        yield {
            "variant": way.name,
            "batch": str(case),
            "observations": case.observations,
            "samples_per_second": case.scenes * case.queries * 1000 / step_ms,
            "step_ms": step_ms,
            "slowest_ms": max(times),
            "tflops": counted / step_ms / 1e9,
            "share_of_ceiling": None if peak is None else counted / step_ms / 1e9 / peak,
            "gibibytes_allocated": gibibytes(device, "max_memory_allocated"),
            "gibibytes_reserved": gibibytes(device, "max_memory_reserved"),
            "seconds_until_ready": ready,
            "fell_back": training.step.execution != way.execution,
            "loss": figures["loss"],
            "unusable_steps": figures["unusable_steps"],
        }


def prepared() -> None:
    """Set PyTorch up as training does."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True


def settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def gibibytes(device: torch.device, figure: str) -> float | None:
    return getattr(torch.cuda, figure)() / 2**30 if device.type == "cuda" else None


# ---- Whether all ways learn the same ---------------------------------------------------------------------------------


def check(arguments: argparse.Namespace) -> Iterator[dict]:
    """Losses and weights after some steps of each way, against launched steps; these twice, to see what noise is."""
    device = chosen_device(arguments.device)
    graph = "yes" if device.type == "cuda" else "no"
    ways = [("none", "no"), ("none", graph)] + [("blocks", "no"), ("blocks", graph)] * (device.type == "cuda")
    for network, bf16 in (("placenet", False), ("placenet", True), ("published", False), ("placenet-small", False)):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        first = learned(arguments, Variant("", network, LAUNCHED, (), bf16), device)
        for compile, way in ways:
            one = variant(network, compile, way, (), bf16)
            try:
                row = apart(learned(arguments, one, device), first)
            except RuntimeError as error:  # this way does not work: the others are still to be checked
                print(f"{one.name}: {error}", file=sys.stderr)
                row = {"losses_apart": math.inf, "weights_apart": math.inf}
            agrees = row["losses_apart"] < (2e-2 if bf16 else 1e-4) and row["weights_apart"] < 0.5
            yield {"check": one.name, "bf16": bf16, **row, "agrees": agrees}


def learned(arguments: argparse.Namespace, way: Variant, device: torch.device) -> tuple[list[float], Tensor, Tensor]:
    """Loss of each step, weights before and after; observations alternate, so that graphs share their memory."""
    training = Training(way, arguments.smoke, device)
    before = weights(training.model)
    scenes, counts = (2, (2, 3)) if arguments.smoke else (8, (5, 10))
    losses = []
    for number in range(2 * (LAUNCHED_FIRST + 3)):
        training(Case(scenes, 2, counts[number % 2]))
        losses.append(training.step.figures()["loss"])
    if training.step.execution != way.execution:
        raise RuntimeError(f"{way.name}: fell back, so there is nothing to compare")
    result = losses, before, weights(training.model)
    del training
    gc.collect()  # a step and its graphs refer to one another
    return result


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten().float() for parameter in model.parameters()])


def apart(one: tuple[list[float], Tensor, Tensor], other: tuple[list[float], Tensor, Tensor]) -> dict[str, float]:
    """The greatest difference of losses, relative, and that of weights, relative to how far they have moved."""
    losses = max(abs(a - b) / abs(b) for a, b in zip(one[0], other[0], strict=True))
    return {"losses_apart": losses, "weights_apart": float((one[2] - other[2]).norm() / (other[2] - other[1]).norm())}


# ---- Where the time goes ---------------------------------------------------------------------------------------------

KINDS = {  # of kernels, by their names; the first that fits
    "compiled": r"^triton",
    "optimiser, gradient norm, average": r"multi_tensor|fused_?adam|lp_?norm|lpnorm",
    "layout and copies": r"nchwtonhwc|nhwctonchw|copy|cat(array)?|convert|transpose|permute|pad|memcpy|memset|fill",
    "convolutions and products": r"conv|gemm|xmma|cutlass|cudnn|wgrad|dgrad|fprop|nvjet|implicit|sm90|sm80|splitk",
    "reductions": r"reduce|softmax|norm|sum",
    "scatter and gather": r"scatter|gather|index",
    "elementwise": r"elementwise|vectorized|unrolled",
}
PROFILED_STEPS = 5


def profile(arguments: argparse.Namespace, way: Variant) -> Iterator[dict]:
    """Kernels of a step by time, and by kind."""
    device, case = chosen_device(arguments.device), Case(2, 1, 2) if arguments.smoke else way.cases[0]
    prepared()
    training = Training(way, arguments.smoke, device)
    for _ in range(LAUNCHED_FIRST + 3):
        training(case)
    synchronize(device)
    with torch.profiler.profile() as recorded:
        for _ in range(PROFILED_STEPS):
            training(case)
        synchronize(device)
    kernels = DeviceType.CUDA if device.type == "cuda" else DeviceType.CPU  # not the calls that launch them
    events = [
        (microseconds(event, device) / 1000 / PROFILED_STEPS, event.count // PROFILED_STEPS, event.key)
        for event in recorded.key_averages()
        if event.device_type == kernels and not event.is_user_annotation
    ]
    total = sum(ms for ms, _, _ in events)
    by_kind: dict[str, list[float]] = {}
    for ms, count, name in events:
        kind = next((kind for kind, words in KINDS.items() if re.search(words, name.lower())), "other")
        sums = by_kind.setdefault(kind, [0.0, 0])
        sums[0], sums[1] = sums[0] + ms, sums[1] + count
    for kind, (ms, count) in sorted(by_kind.items(), key=lambda item: -item[1][0]):
        yield {"profile": way.name, "kernel": f"({kind})", "ms": ms, "count": count, "share": ms / total}
    for ms, count, name in sorted(events, reverse=True)[: arguments.kernels]:
        yield {"profile": way.name, "kernel": name[:150], "ms": ms, "count": count, "share": ms / total}


def microseconds(event: Any, device: torch.device) -> float:
    return event.self_device_time_total if device.type == "cuda" else event.self_cpu_time_total


# ---- With frames from a disk -----------------------------------------------------------------------------------------


def with_data(arguments: argparse.Namespace, way: Variant) -> Iterator[dict]:
    """Steps on frames read from shards, made ready ahead and not, beside the same steps on batches that are there.

    Timed from when every worker has started and given what it first made ready, and for so long that what is ready then
    cannot hide that workers are too slow.
    """
    device, case = chosen_device(arguments.device), Case(2, 1, 2) if arguments.smoke else way.cases[0]
    prepared()
    sampling = SamplingConfig(
        fewest_observations=case.observations, most_observations=case.observations, queries=case.queries
    )
    shards = ShardSet(Path(arguments.data), fewest_frames=sampling.fewest_frames)
    training = Training(way, arguments.smoke, device)
    if shards.description.image_size != training.config.image_size:
        raise UserError(f"{arguments.data}: has pictures of {shards.description.image_size} pixels, not "
                        f"{training.config.image_size}")  # fmt: skip
    scale, scenes = training.config.position_scale, StepScenes(shards, sampling, case.scenes, 0)
    for _ in range(LAUNCHED_FIRST + 3):
        training(case)
    alone = statistics.mean(times_ms(partial(training, case), arguments.steps, device))
    ahead = STEPS_AHEAD * arguments.workers
    for how in ("made ready ahead", "in the loop"):
        stream = scene_stream(scenes, 0, arguments.workers)
        ready = Prefetch(stream, scale, device) if how == "made ready ahead" else None
        batches = ready or (assemble(*item, scale, device) for item in stream)
        waited = 0.0

        def task(batches: Iterator[Batch] = batches) -> None:
            nonlocal waited
            before = time.monotonic()
            batch = next(batches)
            waited += time.monotonic() - before
            training(case, batch)

        for _ in range(10 + ahead):
            task()
        waited = 0.0
        times = times_ms(task, max(arguments.steps, 3 * ahead), device)
        step_ms = statistics.mean(times)
        yield {
            "data": how,
            "variant": way.name,
            "workers": arguments.workers,
            "samples_per_second": case.scenes * case.queries * 1000 / step_ms,
            "step_ms": step_ms,
            "without_data_ms": alone,
            "data_wait": max(0.0, 1 - alone / step_ms),
            "asking_for_batches": 1000 * waited / sum(times),
        }
        if ready is not None:
            ready.close()


# ---- Printing --------------------------------------------------------------------------------------------------------


def machine(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return f"{name}, {len(os.sched_getaffinity(0))} cores, PyTorch {torch.__version__}"


HEADS = {
    "ceiling": ("work", "TFLOP/s", "forward", "gradient of input", "of weights"),
    "speed": ("variant", "batch", "observations", "samples/s", "ms a step", "slowest ms", "TFLOP/s", "of ceiling",
              "GiB allocated", "GiB reserved", "s until ready"),
    "check": ("way", "losses apart", "weights apart", "agrees"),
    "profile": ("kernel", "ms a step", "launches", "share"),
    "data": ("batches from shards", "workers", "samples/s", "ms a step", "ms without data", "data wait",
             "asking for batches"),
}  # fmt: skip


def shown(value: float | None, digits: int = 0, share: bool = False) -> str:
    return "" if value is None else f"{value:.1%}" if share else f"{value:,.{digits}f}"


def cells(part: str, row: dict) -> list[str]:
    """A row as its table shows it."""
    if part == "ceiling":
        rates = [shown(row.get(name)) for name in ("forward", "to_input", "to_weight")]
        return [row["what"] + (f" ({row['machine']})" if "machine" in row else ""), shown(row["tflops"]), *rates]
    if part == "check":
        numbers = [f"{row[name]:.1e}" for name in ("losses_apart", "weights_apart")]
        return [row["check"], *numbers, "yes" if row["agrees"] else "NO"]
    if part == "profile":
        return [row["kernel"], shown(row["ms"], 2), str(row["count"]), shown(row["share"], share=True)]
    if part == "data":
        shares = [shown(row[name], share=True) for name in ("data_wait", "asking_for_batches")]
        numbers = [shown(row["samples_per_second"]), shown(row["step_ms"], 1), shown(row["without_data_ms"], 1)]
        return [row["data"], str(row["workers"]), *numbers, *shares]
    return [
        row["variant"] + " (FELL BACK)" * row["fell_back"] + " (NOT FINITE)" * bool(row["unusable_steps"]),
        row["batch"],
        str(row["observations"]),
        shown(row["samples_per_second"]),
        shown(row["step_ms"], 1),
        shown(row["slowest_ms"], 1),
        shown(row["tflops"]),
        shown(row["share_of_ceiling"], share=True),
        shown(row["gibibytes_allocated"], 2),
        shown(row["gibibytes_reserved"], 2),
        shown(row["seconds_until_ready"]),
    ]


def print_line(words: list[str] | tuple[str, ...]) -> None:
    print("| " + " | ".join(words) + " |", flush=True)


def rows_of(arguments: argparse.Namespace, part: str, way: Variant | None) -> Iterator[dict]:
    """What one process measures."""
    if part == "speed":
        return speed(arguments, way, known_peak(Path(arguments.json)))
    return {"ceiling": ceiling, "check": check}[part](arguments) if way is None else (
        {"profile": profile, "data": with_data}[part](arguments, way)
    )  # fmt: skip


def known_peak(path: Path) -> float | None:
    """TFLOP/s of the matrix product, measured before."""
    return next((row["tflops"] for row in known_rows(path) if row["part"] == "ceiling"), None)


def known_rows(path: Path) -> list[dict]:
    """What was measured before."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def measure_here(arguments: argparse.Namespace) -> None:
    """One part, in this process."""
    part, _, name = arguments.only.partition(":")
    for row in rows_of(arguments, part, VARIANTS[name] if name else None):
        print_line(cells(part, row))
        with open(arguments.json, "a", encoding="utf-8") as file:
            file.write(json.dumps({"part": part, **row}) + "\n")


def parts_of(arguments: argparse.Namespace) -> list[str]:
    """What is to be measured, in order: the part, and the variant's name behind a colon."""
    names = [name for name in VARIANTS if any(word in name for word in arguments.variants)]
    if arguments.smoke:
        names = [name for name in names if VARIANTS[name].execution == LAUNCHED]
    parts = ["ceiling"] * (not arguments.no_ceiling) + ["check"] * arguments.check + [f"speed:{name}" for name in names]
    parts += [f"profile:{name}" for name in arguments.profile]
    return parts + [f"data:{arguments.data_variant}"] * bool(arguments.data)


def measure_in_processes(arguments: argparse.Namespace, argv: list[str]) -> None:
    """All parts, each in its own process, so that one that hangs or breaks takes nothing with it."""
    Path(arguments.json).parent.mkdir(parents=True, exist_ok=True)
    Path(arguments.json).unlink(missing_ok=True)
    before = None
    for part in parts_of(arguments):
        kind = part.partition(":")[0]
        if kind != before or kind == "profile":
            print(f"\n{part if kind == 'profile' else kind}", flush=True)
            print_line(HEADS[kind])
            print_line(["---"] * len(HEADS[kind]))
        before = kind
        command = [sys.executable, "-m", "benchmarks.train", *argv, "--only", part]
        process = subprocess.Popen(command, cwd=REPOSITORY, start_new_session=True)
        try:
            if process.wait(arguments.limit):
                print(f"{part}: ended with status {process.returncode}", flush=True)
        except subprocess.TimeoutExpired:
            print(f"{part}: stopped after {arguments.limit:.0f} s", flush=True)
        finally:
            end(process)
    print(f"\nall figures: {arguments.json}")


def end(process: subprocess.Popen) -> None:
    """End a process and those that it started, if they have not."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.train", description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: a GPU if there is")
    parser.add_argument("--variants", nargs="*", default=[""], metavar="WORDS", help="those whose names hold one of it")
    parser.add_argument("--steps", type=int, default=30, help="timed steps of each row (default: 30)")
    parser.add_argument("--cases", type=positive, metavar="N", help="only the first N batch sizes of each variant")
    parser.add_argument("--limit", type=float, default=150.0, help="seconds for each variant (default: 150)")
    parser.add_argument("--no-ceiling", action="store_true", help="do not measure the machine's ceiling first")
    parser.add_argument("--check", action="store_true", help="first show that all ways of executing learn the same")
    parser.add_argument("--profile", nargs="*", default=[], metavar="VARIANT", choices=VARIANTS, help="whose kernels")
    parser.add_argument("--kernels", type=int, default=40, help="kernels listed of a profile (default: 40)")
    parser.add_argument("--data", metavar="FOLDER", help="shards to train on, to see how long it waits for them")
    parser.add_argument("--data-variant", default="placenet, compiled + graph", choices=VARIANTS, metavar="VARIANT")
    parser.add_argument("--workers", type=int, default=8, help="processes that read shards (default: 8)")
    parser.add_argument("--json", default="out/benchmark-train.jsonl", help="file of all figures, a line for each row")
    parser.add_argument("--smoke", action="store_true", help="tiny networks and batches: only whether it runs")
    parser.add_argument("--only", metavar="PART", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.only:
        measure_here(arguments)
    else:
        measure_in_processes(arguments, argv)


if __name__ == "__main__":
    run_command(main)
