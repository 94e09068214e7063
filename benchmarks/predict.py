"""How long encoding an observation and predicting a view take on this machine's CPU: `python -m benchmarks.predict`.

One scene, one query view, 64 x 64 pixels, random weights (the time does not depend on them). Each figure is the
median of some repeats, and in brackets the fastest, which tells more where other programs run too:

- *encode*: one observation with colour, depth and objects, which is what each new one costs a robot.
- *predict*: one view. PlaceNet draws it from the scene as encoded before. The published code has no such scene: it
  encodes all its observations for each view, so `PublishedPlaceNet.predict` does too, though each of them only once.

bf16 is autocasting within one context, so that the weights are cast once and not for each call.
"""
from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
import yaml
from torch import Tensor, nn

from placenet_ros.model import Observations, PlaceNet, PlaceNetConfig, PublishedConfig, PublishedPlaceNet

MODELS = ("published", "placenet", "placenet-small")
OBSERVATIONS = (1, 5, 20)
SMALL = Path(__file__).parent.parent / "config" / "training" / "placenet-small.yaml"


class Candidate(NamedTuple):
    """A model and its tasks, each prepared for a number of observations: what repeats for each call is returned."""

    name: str
    model: nn.Module
    prepare_encoding: Callable[[int], Callable[[], object]]
    prepare_prediction: Callable[[int], Callable[[], object]]


def published() -> Candidate:
    config = PublishedConfig()
    model, query, size = PublishedPlaceNet(config).eval(), torch.randn(1, 7), config.image_size

    def inputs(observations: int) -> tuple[Tensor, Tensor]:
        return torch.rand(1, 3, observations, 3, size, size), torch.randn(1, observations, 7)

    return Candidate("published", model, lambda observations: partial(model.encode, *inputs(observations)),
                     lambda observations: partial(model.predict, *inputs(observations), query))


def ours(name: str, config: PlaceNetConfig) -> Candidate:
    model, query, size = PlaceNet(config).eval(), torch.randn(1, 1, 7), config.image_size

    def inputs(observations: int) -> Observations:
        return Observations(torch.rand(1, observations, 3, size, size), torch.randn(1, observations, 7),
                            torch.rand(1, observations, 1, size, size) * 5, torch.rand(1, observations, 3, size, size))

    return Candidate(name, model, lambda observations: partial(model.encode, inputs(observations)),
                     lambda observations: partial(model.predict, model.encode(inputs(observations)), query))


def median_and_fastest(task: Callable[[], object], repeats: int) -> str:
    """Milliseconds."""
    task()  # the first call also allocates and, in bf16, casts the weights
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        task()
        times.append(1000 * (time.perf_counter() - start))
    return f"{statistics.median(times):.0f} ({min(times):.0f})"


def row(candidate: Candidate, bf16: bool, repeats: int) -> str:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        times = [median_and_fastest(candidate.prepare_encoding(1), repeats)]
        times += [median_and_fastest(candidate.prepare_prediction(m), repeats) for m in OBSERVATIONS]
    parameters = sum(parameter.numel() for parameter in candidate.model.parameters()) / 1e6
    cells = [candidate.name, f"{parameters:.1f}", "bf16" if bf16 else "fp32", *times]
    return "| " + " | ".join(cells) + " |"


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=15, help="timed calls for each figure (default: 15)")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, help="which to time (default: all)")
    arguments = parser.parse_args()
    repeats = arguments.repeats
    torch.manual_seed(0)
    print(f"{processor()}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}, load average "
          f"{os.getloadavg()[0]:.1f} at the start; median (fastest) of {repeats}, milliseconds")
    print("| model | parameters, million | precision | encode one observation | "
          + " | ".join(f"predict from {m}" for m in OBSERVATIONS) + " |")
    print("| --- " * (4 + len(OBSERVATIONS)) + "|")
    small = PlaceNetConfig.from_dict(yaml.safe_load(SMALL.read_text())["model"])
    makers = (published, partial(ours, "placenet", PlaceNetConfig()), partial(ours, "placenet-small", small))
    for name, make in zip(MODELS, makers):
        if name not in arguments.models:
            continue
        candidate = make()
        for bf16 in (False, True):
            print(row(candidate, bf16, repeats), flush=True)


if __name__ == "__main__":
    main()
