"""What a training run tells while it runs: its figures on TensorBoard and as JSON lines, its status line, its pictures.

What the figures are is the training loop's and `training.evaluate`'s business; how much of the device is used,
`training.peak`'s.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from placenet_ros.atomic_file import write_whole
from training.contact_sheet import prediction_sheet
from training.data.sampling import SamplingConfig, assemble, draw_scenes
from training.data.scenes import TrajectorySource
from training.evaluate import EvaluationConfig, asked_sampling, class_names, pixels_seen, prior_prediction
from training.networks import Network
from training.schedule import ScheduleConfig

MODEL = "model"  # the row of the network in training among the figures of an evaluation
PICTURED_SCENES = 6  # rows of the image grid on TensorBoard
PICTURE_SCALE = 2  # pixels of that grid for one of a picture
SPREAD_SAMPLES = 4  # from the prior, that its spread is taken over


class RunLog:
    """Figures of a run, to TensorBoard and as lines of JSON."""

    def __init__(self, run: Path, samples_seen: int) -> None:
        self._path = run / "metrics.jsonl"
        if self._path.exists():
            drop_figures_after(samples_seen, self._path)
        self._writer = SummaryWriter(run / "tensorboard", purge_step=samples_seen + 1)
        self._lines = open(self._path, "a", encoding="utf-8")

    def write(self, samples_seen: int, figures: dict[str, float]) -> None:
        """Note figures by name at that number of samples."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, samples_seen)
        self._lines.write(json.dumps({"samples": samples_seen, **figures}) + "\n")
        self._lines.flush()

    def holds(self, samples_seen: int, prefix: str) -> bool:
        """Whether a figure whose name begins like that is noted at that number of samples."""
        lines = map(json.loads, self._path.read_text(encoding="utf-8").splitlines())
        return any(line["samples"] == samples_seen and any(name.startswith(prefix) for name in line) for line in lines)

    def draw(self, samples_seen: int, grid: np.ndarray) -> None:
        """Show an image (uint8, height x width x 3) on TensorBoard."""
        self._writer.add_image("views", grid, samples_seen, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()
        self._lines.close()


def drop_figures_after(samples_seen: int, path: Path) -> None:
    """Drop the lines of metrics.jsonl that a resumed run will write again, and one that a crash left unfinished."""
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            samples = json.loads(line)["samples"]
        except json.JSONDecodeError:
            continue
        if samples <= samples_seen and line.endswith("\n"):
            kept.append(line)
    write_whole(path, "".join(kept).encode())


def status_line(schedule: ScheduleConfig, samples_seen: int, done: float, figures: dict[str, float]) -> str:
    """One line with what one wants to know at a glance; share of the peak, data wait and memory where known."""
    speed = f"{figures['samples_per_second']:.0f} samples/s"
    if "share_of_peak" in figures:
        speed += f" ({figures['share_of_peak']:.0%} of peak)"
    wait = f"  data wait {figures['data_wait']:.1%}" if "data_wait" in figures else ""
    memory = f"  {figures['gpu_memory_gib']:.1f} GiB" if "gpu_memory_gib" in figures else ""
    return (
        f"{samples_seen:,} samples  {done:.1%}  loss {figures['loss']:.1f}  "
        f"{figures['bits_per_dimension']:.3f} bits/dim  KL {figures['kl']:.2f}  sigma {figures['sigma']:.2f}  "
        f"lr {figures['learning_rate']:.1e}  |g| {figures['gradient_norm']:.0f}  "
        f"{speed}{wait}{memory}  {time_left(figures['minutes_left'])} left"
    )


def time_left(minutes: float) -> str:
    """So many minutes as one says them: 45 s, 12.5 min, 3 h 20 min."""
    if minutes < 1:
        return f"{60 * minutes:.0f} s"
    if minutes < 60:
        return f"{minutes:.1f} min"
    return f"{int(minutes) // 60} h {int(minutes) % 60:02d} min"


def flat_figures(figures: dict, prefix: str) -> dict[str, float]:
    """Means of all figures by names such as unseen/rmse_of_5_observations; of further rows, with the row's name."""
    return {
        f"{prefix}/{measure}_of_{count}_observations{'' if row == MODEL else f' ({row})'}": value["mean"]
        for count, rows in figures.items()
        for row, values in rows.items()
        for measure, value in values.items()
    }


@torch.no_grad()
def image_grid(
    model: Network,
    data: TrajectorySource,
    sampling: SamplingConfig,
    observations: int,
    seed: int,
    device: torch.device,
) -> np.ndarray:
    """Rows of scenes: observations, truth, reconstruction, prediction, spread, and what else the network predicts.

    uint8, height x width x 3; see training/contact_sheet.py.
    """
    asked = asked_sampling(sampling, EvaluationConfig(observations=(observations,)))
    draw = draw_scenes(asked, data.lengths, PICTURED_SCENES, seed, 0, observations)
    batch = assemble(draw, data.fetch(draw), model.config.position_scale, device)
    prediction = prior_prediction(model, 1, SPREAD_SAMPLES)(batch.observations, batch.query_viewpoints)
    generator = torch.Generator(device).manual_seed(seed)
    scene = model.encode(batch.observations)
    reconstructions = model.reconstruct(scene, batch.query_viewpoints, batch.query_images, generator)
    names = [f"trajectory {number}" for number in draw.trajectories.tolist()]
    seen = pixels_seen(batch, model.config)
    return np.asarray(
        prediction_sheet(batch, prediction, seen, names, PICTURE_SCALE, class_names(data), reconstructions)
    )
