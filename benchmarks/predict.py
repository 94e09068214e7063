"""How long encoding an observation and predicting a view take, and could take: `python -m benchmarks.predict`.

One scene, one query view, 64 x 64 pixels, random weights (the time does not depend on them). Each figure is the
median of some repeats, and in brackets the fastest, which tells more where other programs run too:

- *encode*: one observation with colour, depth and objects, which is what each new one costs a robot.
- *place*: one that was encoded before, by another viewpoint, which is what each costs when the anchor moves.
- *predict*: one view. PlaceNet draws it from the scene as encoded before. The published code has no such scene: it
  encodes all its observations for each view, so `PublishedPlaceNet.predict` does too, though each of them only once.
- *bf16*: only where the device has instructions for it; without, one view takes minutes.
- *floor*: what the operations of one view, predicted from the most observations, take at the speed of a large product
  of matrices, measured at the start. Operations are those of convolutions and products, multiply and add: two.

PlaceNet, in the form of its configuration for training, runs as the node runs it, made ready by `ready_for_inference`:
on a processor in float32 with convolutions made ready for it (*ready*), beside the plain ones (*layer by layer*); on a
GPU launched by Python (*launched*) and replayed as a CUDA graph (*captured*). The published model in bf16 is autocast
within one context, so that its weights are cast once and not for each call.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from placenet_ros.model import Observations, PlaceNet, PlaceNetConfig, PublishedConfig, PublishedPlaceNet
from placenet_ros.model.captured import LAUNCHED_FIRST, CapturedPrediction
from placenet_ros.model.inference import inference_precision, ready_for_inference
from training.configuration import run_command
from training.device import chosen_device

MODELS = ("published", "placenet", "placenet-small")
OBSERVATIONS = (1, 5, 20)
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
CONFIGURATIONS = Path(__file__).parent.parent / "config" / "training"
PRODUCT_SIZE = {"cpu": 2048, "cuda": 8192}  # large enough for the machine's full speed
PRODUCT_REPEATS = 10
# The first calls also allocate, choose algorithms, record graphs and, in autocasting, cast the weights.
WARM_UPS = LAUNCHED_FIRST + 2

Task = Callable[[], object]


class Candidate(NamedTuple):
    """A model in one precision and its tasks, some prepared for a number of observations; a task is what repeats."""

    name: str
    execution: str
    parameters: int
    prepare_encoding: Callable[[int], Task]
    prepare_prediction: Callable[[int], Task]
    place: Task | None = None  # None: what places an observation, encodes it


def published(device: torch.device, precision: torch.dtype) -> Iterator[Candidate]:
    """In `precision` by autocasting, which the caller has begun."""
    config = PublishedConfig()
    model = PublishedPlaceNet(config).eval().to(device)
    size, query = config.image_size, torch.randn(1, 7, device=device)

    def inputs(observations: int) -> tuple[torch.Tensor, torch.Tensor]:
        images = torch.rand(1, 3, observations, 3, size, size, device=device)
        return images, torch.randn(1, observations, 7, device=device)

    yield Candidate(
        "published",
        "launched",
        parameters(model),
        lambda observations: partial(model.encode, *inputs(observations)),
        lambda observations: partial(model.predict, *inputs(observations), query),
    )


def ours(name: str, device: torch.device, precision: torch.dtype) -> Iterator[Candidate]:
    """The network of that configuration for training."""
    settings = yaml.safe_load((CONFIGURATIONS / f"{name}.yaml").read_text())["model"]
    config = PlaceNetConfig.from_dict(settings)
    model = ready_for_inference(PlaceNet(config), device, precision)
    query = level_viewpoints(1, device)
    noise = torch.randn(config.layers, 1, config.latent_channels, config.grid_size, config.grid_size, device=device)

    def inputs(observations: int) -> Observations:
        size = config.image_size
        rgb, depth, objects = (torch.rand(1, observations, k, size, size, device=device) for k in (3, 1, 3))
        return Observations(rgb, level_viewpoints(observations, device), depth * 5, objects)

    def candidate(execution: str, predict: Callable) -> Candidate:
        return Candidate(
            name,
            execution,
            parameters(model),
            lambda observations: partial(model.encode, inputs(observations)),
            lambda observations: partial(predict, model.encode(inputs(observations)), query, noise=noise),
            partial(model.place, model.appearance(inputs(1)), query),
        )

    def layer_by_layer(*arguments: Any, **options: Any) -> object:
        ready, model.prediction = model.prediction, None
        try:
            return model.predict_view(*arguments, **options)
        finally:
            model.prediction = ready

    if model.prediction is not None:
        yield candidate("layer by layer", layer_by_layer)
    yield candidate("launched" if model.prediction is None else "ready", model.predict_view)
    if device.type == "cuda":
        yield candidate("captured", CapturedPrediction(model))


def level_viewpoints(count: int, device: torch.device) -> torch.Tensor:
    """(1, count, 7): near one another and looking the same way, so that the query's view is full of points."""
    return torch.cat([torch.rand(1, count, 3) * 0.1, torch.tensor([1.0, 0, 1, 0]).expand(1, count, 4)], -1).to(device)


def parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def milliseconds(task: Task, repeats: int, device: torch.device) -> list[float]:
    """Of each of the repeats, from its first launch to its last result."""
    for _ in range(WARM_UPS):
        task()
    return [_timed_on_gpu(task) if device.type == "cuda" else _timed(task) for _ in range(repeats)]


def _timed(task: Task) -> float:
    start = time.perf_counter()
    task()
    return 1000 * (time.perf_counter() - start)


def _timed_on_gpu(task: Task) -> float:
    torch.cuda.synchronize()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    task()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def speed_of_a_product(precision: torch.dtype, device: torch.device) -> float:
    """Operations a second of a large product of matrices, the fastest of some."""
    size = PRODUCT_SIZE[device.type]
    factors = [torch.randn(size, size, device=device).to(precision) for _ in range(2)]
    return 2 * size**3 / (min(milliseconds(lambda: factors[0] @ factors[1], PRODUCT_REPEATS, device)) / 1000)


def operations(task: Task) -> int:
    with FlopCounterMode(display=False) as counter:
        task()
    return counter.get_total_flops()


def row(candidate: Candidate, precision: str, ceiling: float, repeats: int, device: torch.device) -> str:
    tasks = [candidate.prepare_encoding(1), candidate.place, *map(candidate.prepare_prediction, OBSERVATIONS)]
    counted = 0 if candidate.execution == "captured" else operations(tasks[-1])  # a graph is no list of operations
    times = [[] if task is None else milliseconds(task, repeats, device) for task in tasks]
    digits = 2 if device.type == "cuda" else 0
    cells = [candidate.name, f"{candidate.parameters / 1e6:.1f}", precision, candidate.execution]
    cells += [f"{statistics.median(each):.{digits}f} ({min(each):.{digits}f})" if each else "" for each in times]
    cells += [f"{counted / 1e9:.1f}", f"{1000 * counted / ceiling:.{digits}f}"] if counted else ["", ""]
    return "| " + " | ".join(cells) + " |"


def machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{line.partition(':')[2].strip()}, {torch.get_num_threads()} threads"
    return f"{platform.machine()}, {torch.get_num_threads()} threads"


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=15, help="timed calls for each figure (default: 15)")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, help="which to time (default: all)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where (default: cpu)")
    arguments = parser.parse_args(argv)
    device = chosen_device(arguments.device)
    torch.manual_seed(0)
    print(
        f"{machine(device)}, PyTorch {torch.__version__}, load average {os.getloadavg()[0]:.1f} at the start; "
        f"milliseconds, median (fastest) of {arguments.repeats}"
    )
    chosen = next(name for name, precision in PRECISIONS.items() if precision == inference_precision(device))
    precisions = {name: precision for name, precision in PRECISIONS.items() if name in ("fp32", chosen)}
    ceilings = {name: speed_of_a_product(precision, device) for name, precision in precisions.items()}
    size = PRODUCT_SIZE[device.type]
    speeds = ", ".join(f"{speed / 1e9:.0f} GFLOP/s in {name}" for name, speed in ceilings.items())
    print(f"product of {size} x {size} matrices: {speeds}; the node would predict in {chosen}\n")
    print(
        "| model | parameters, million | precision | execution | encode one observation | place it again | "
        + " | ".join(f"predict from {m}" for m in OBSERVATIONS)
        + " | GFLOP of a view | floor |"
    )
    print("| --- " * (8 + len(OBSERVATIONS)) + "|")
    makers = (published, partial(ours, "placenet"), partial(ours, "placenet-small"))
    for make in (make for name, make in zip(MODELS, makers) if name in arguments.models):
        for name, precision in precisions.items():
            autocasting = torch.autocast(device.type, torch.bfloat16, enabled=make is published and name == "bf16")
            with torch.inference_mode(), autocasting:
                for candidate in make(device, precision):
                    print(row(candidate, name, ceilings[name], arguments.repeats, device), flush=True)


if __name__ == "__main__":
    run_command(main)
