"""What changes while training runs: learning rate, sigma and the weights' average, as functions of how far it is.

Progress runs from 0 to 1, by samples seen or, where a run has a budget of minutes, by whichever is further.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from training.configuration import setting

AVERAGE_EVERY = 4  # steps: of 180 million weights, 0.8 of an H100's 45 ms a step
AVERAGE_RAMP = 0.1  # the average's half-life is at most this share of the samples seen: it forgets the random start


@dataclass(frozen=True)
class ScheduleConfig:
    """Length of a run, and what changes on the way (MODEL.md "Objective"); a sample is one query view."""

    samples: int = setting(57_600_000, "Samples seen in the whole run.")
    minutes: float | None = setting(None, "End by then at the latest, minutes of training; null for no such limit.")
    learning_rate: float = setting(5e-4, "Adam's learning rate after warm-up.")
    final_learning_rate: float = setting(5e-5, "Learning rate at the end of the run.")
    decay: Literal["linear", "cosine"] = setting("linear", "How the learning rate falls.")
    warm_up: float = setting(0.0, "Share of the run in which the learning rate rises from 0.")
    sigma: float = setting(2.0, "Standard deviation of a pixel (of 1) at the start.")
    final_sigma: float = setting(0.7, "Standard deviation of a pixel once annealed.")
    sigma_annealing: float = setting(0.125, "Share of the run in which sigma falls linearly; 0: final from the start.")
    average_half_life: int = setting(500_000, "Half-life, samples, of the average of the weights that is evaluated.")

    def __post_init__(self) -> None:
        for name in ("samples", "learning_rate", "sigma", "final_sigma", "average_half_life"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be over 0, not {getattr(self, name)}")
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"minutes must be over 0 or null, not {self.minutes}")
        if not 0 <= self.final_learning_rate <= self.learning_rate:
            raise ValueError(
                f"final_learning_rate must be 0 to learning_rate ({self.learning_rate}), not {self.final_learning_rate}"
            )
        for name in ("warm_up", "sigma_annealing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and under 1, not {getattr(self, name)}")


def progress(config: ScheduleConfig, samples_seen: int, seconds: float) -> float:
    """How much of the run is done, 0 to 1, after so many samples and seconds of training."""
    by_samples = samples_seen / config.samples
    by_time = 0.0 if config.minutes is None else seconds / (60 * config.minutes)
    return min(1.0, max(by_samples, by_time))


def learning_rate(config: ScheduleConfig, done: float) -> float:
    """Adam's learning rate at that progress."""
    if done < config.warm_up:
        return config.learning_rate * done / config.warm_up
    share = (done - config.warm_up) / (1 - config.warm_up)
    left = 1 - share if config.decay == "linear" else 0.5 * (1 + math.cos(math.pi * share))
    return config.final_learning_rate + (config.learning_rate - config.final_learning_rate) * left


def sigma(config: ScheduleConfig, done: float) -> float:
    """Standard deviation of a pixel at that progress."""
    if done >= config.sigma_annealing:
        return config.final_sigma
    return config.sigma + (config.final_sigma - config.sigma) * done / config.sigma_annealing


def average_step(config: ScheduleConfig, samples_seen: int, samples: int) -> float:
    """How far the average moves towards the weights in a step of `samples`, after `samples_seen` with them.

    It moves at every `AVERAGE_EVERY`-th step only, and 0 at the others: reading both takes a GPU longer than it seems.
    """
    if (samples_seen // samples - 1) % AVERAGE_EVERY:
        return 0.0
    half_life = min(config.average_half_life, AVERAGE_RAMP * samples_seen)
    return 1 - 0.5 ** (AVERAGE_EVERY * samples / half_life)
