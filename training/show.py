"""See what a network predicts: `python -m training.show WEIGHTS [DATA] [out=DIR] [key=value ...]`.

DATA is a folder of shards; without it, houses are made. What is written into OUT (out/show):

    sheet-INPUTS.png    for some views the observations, truth, prediction, spread (where the network predicts it the
                        expected error instead), and depth and objects where it predicts them; one sheet for each of
                        `inputs`
    fly-through.gif     a flight through a place, prediction beside truth

Shapes: b scenes, s image size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from PIL import Image

from training.configuration import UserError, argument, parse, run_command, section, setting
from training.contact_sheet import prediction_sheet
from training.data.dataset import ShardSet
from training.data.sampling import Batch, SamplingConfig, assemble, draw_scenes
from training.data.scenes import TrajectorySource
from training.data.trajectories import device_for, render_houses
from training.device import chosen_device
from training.evaluate import (
    EvaluationConfig,
    Inputs,
    asked_sampling,
    check_inputs,
    check_walks,
    check_window,
    class_names,
    data_named,
    given,
    network_at,
    opened_shards,
    pixels_seen,
    prior_prediction,
)
from training.fly_through import batch_of, flown, house_flight, stored_flight, write_gif
from training.houses import UNSEEN_SEEDS_FROM, TrajectoryMaker, WalkConfig
from training.networks import Network, poses_of


@dataclass(frozen=True)
class ShowConfig:
    """Draw what a network predicts: contact sheets and a flight: WEIGHTS [DATA] [key=value ...]."""

    weights: str = argument("Folder (or .safetensors file) of the network's weights.")
    data: str | None = setting(None, "Folder of shards; null: houses made at the start.")
    out: str = setting("out/show", "Folder for the pictures.")
    first_seed: int = setting(UNSEEN_SEEDS_FROM, "Seed of the first made house; training uses those under 10,000,000.")
    seed: int = setting(0, "Seed of the views drawn.")
    views: int = setting(6, "Rows of a sheet, each of another house or trajectory.")
    observations: int = setting(5, "Observations of each view.")
    inputs: tuple[Inputs, ...] = setting(("colour+depth+objects",), "What is given of observations, a sheet for each.")
    samples: int = setting(8, "Samples from the prior that the spread is taken over; the first is shown.")
    scale: int = setting(3, "Pixels of the sheet for one of a picture.")
    fly: bool = setting(True, "Write the fly-through.")
    fly_seed: int = setting(0, "House after the first, or trajectory of the data, that is flown through.")
    fly_frames: int = setting(60, "Frames of the flight, one way; through stored data: those of the window.")
    fly_window: int = setting(40, "Frames of the walk that the flight goes along.")
    fly_observations: int = setting(12, "Observations along the flight.")
    fly_scale: int = setting(4, "Pixels of the GIF for one of a picture.")
    fly_rate: float = setting(12.0, "Frames of the GIF in a second.")
    walk: WalkConfig = section(WalkConfig)
    sampling: SamplingConfig = section(SamplingConfig)
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "Where to compute; auto: the GPU if there is one.")

    def __post_init__(self) -> None:
        for name, least, most in (("views", 1, 100), ("observations", 1, 1000), ("samples", 2, 1000), ("scale", 1, 20),
                                  ("fly_frames", 2, 2000), ("fly_window", 2, 10_000), ("fly_observations", 1, 1000),
                                  ("fly_scale", 1, 20), ("fly_rate", 1, 50), ("fly_seed", 0, 10**9)):  # fmt: skip
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be {least} to {most}, not {getattr(self, name)}")
        check_window(self.asked, self.sampling)
        check_walks(self.walk, self.sampling, self.views, self.first_seed)
        if self.fly_window > self.walk.frames:
            raise ValueError(f"fly_window ({self.fly_window}) must be at most walk.frames ({self.walk.frames})")
        if self.fly_observations > self.fly_window:
            raise ValueError(
                f"fly_observations ({self.fly_observations}) must be at most fly_window ({self.fly_window})"
            )

    @property
    def asked(self) -> EvaluationConfig:
        """The same as a question."""
        return EvaluationConfig(observations=(self.observations,), inputs=self.inputs)


def show(config: ShowConfig) -> None:
    """The command. Raises UserError and OSError."""
    device = chosen_device(config.device)
    model = network_at(config.weights, device)
    size, out = model.config.image_size, Path(config.out)
    maker = TrajectoryMaker(config.walk, 1, size, model.config.field_of_view_degrees)
    if config.data is not None:
        frames = max(config.observations + 1, config.fly_window if config.fly else 0)
        data = opened_shards(Path(config.data), model.config, frames)
        check_inputs(config.inputs, data.modalities, config.data)
    else:
        place = device_for(config.views, config.walk.frames, size, "auto", device)
        data = render_houses(config.first_seed, config.views, maker, place)
    batch, names = scenes_to_show(data, config, model, device)
    out.mkdir(parents=True, exist_ok=True)
    for inputs in config.inputs:
        path = out / f"sheet-{inputs}.png"
        sheet_of(model, batch, names, inputs, config, class_names(data)).save(path)
        print(path)
    if config.fly:
        path = out / "fly-through.gif"
        if isinstance(data, ShardSet):
            if config.fly_seed >= len(data):
                raise UserError(f"{config.data}: has trajectories 0 to {len(data) - 1}, not fly_seed={config.fly_seed}")
            flight = stored_flight(data, config.fly_seed, config.fly_window, config.fly_observations)
        else:
            seed = config.first_seed + config.fly_seed
            flight = house_flight(maker, seed, config.fly_window, config.fly_observations, config.fly_frames)
        predicted = flown(model, batch_of(flight, model, device))
        write_gif(path, predicted, flight.frames.rgb[: flight.length], config.fly_scale, config.fly_rate)
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def scenes_to_show(
    data: TrajectorySource, config: ShowConfig, model: Network, device: torch.device
) -> tuple[Batch, list[str]]:
    """One view of each of some trajectories, and what to call them."""
    sampling = replace(asked_sampling(config.sampling, config.asked), poses=poses_of(model))
    draw = draw_scenes(sampling, data.lengths, config.views, config.seed, 0, config.observations)
    places = ["trajectory" if isinstance(data, ShardSet) else "house"] * config.views
    first = 0 if isinstance(data, ShardSet) else config.first_seed
    names = [f"{place} {first + number}" for place, number in zip(places, draw.trajectories.tolist(), strict=True)]
    return assemble(draw, data.fetch(draw), model.config.position_scale, device), names


@torch.no_grad()
def sheet_of(
    model: Network, batch: Batch, names: list[str], inputs: str, config: ShowConfig, classes: tuple[str, ...]
) -> Image.Image:
    """The contact sheet of a batch with one query for each scene, given such inputs."""
    spread_samples = 0 if model.config.predict_error else config.samples
    prediction = prior_prediction(model, 1, spread_samples)(given(batch.observations, inputs), batch.query_viewpoints)
    return prediction_sheet(batch, prediction, pixels_seen(batch, model.config), names, config.scale, classes)


def main(argv: list[str]) -> None:
    """The command."""
    show(parse(ShowConfig, data_named(argv), program="training.show"))


if __name__ == "__main__":
    run_command(main)
