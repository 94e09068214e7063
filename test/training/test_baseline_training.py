"""The baselines, published and gqn, are trained and judged by the commands of our own network."""

import json

import pytest
from round_room import round_room

import training.evaluate
import training.train
from placenet_ros.model import PlaceNet, PlaceNetConfig
from training.configuration import REPOSITORY, ConfigurationError, build, parse, read_file
from training.data.trajectories import TrajectorySet
from training.networks import read_network
from training.published_network import PublishedNetwork
from training.schedule import learning_rate, sigma
from training.train import TrainConfig

FOLDER = REPOSITORY / "config" / "training"
TINY = ["device=cpu", "scenes=2", "model.image_size=16", "model.representation_channels=16", "model.hidden_channels=8",
        "model.canvas_channels=8", "model.layers=2", "half_precision=false"]  # fmt: skip
ASKED = ["evaluation.queries=6", "evaluation.spread_samples=2", "evaluation.inputs=colour+depth+objects,colour"]


@pytest.fixture(autouse=True)
def round_rooms(monkeypatch):
    def rooms(first_seed, houses, maker, place, cores=None):
        return TrajectorySet.of(
            [round_room(first_seed + index, maker.walk.frames, maker.image_size) for index in range(houses)]
        )

    monkeypatch.setattr(training.train, "render_houses", rooms)
    monkeypatch.setattr(training.evaluate, "render_houses", rooms)


@pytest.mark.parametrize("name, kind", [("published", PublishedNetwork), ("gqn", PlaceNet)])
def test_a_baseline_is_trained_and_asked_the_same_again_by_the_commands(name, kind, tmp_path):
    houses = ["houses.train=3", "houses.unseen=2", "houses.walk.frames=40"]
    training.train.main([name, f"run={tmp_path}", "schedule.samples=6", "log_every=2", *houses, *TINY, *ASKED])
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    assert [line["samples"] for line in lines if "loss" in line] == [2, 4, 6]
    assert type(read_network(tmp_path / "weights")) is kind
    output = tmp_path / "asked again"
    again = ["houses=2", "walk.frames=40", "device=cpu", f"output={output}"]
    recognised = ["recognition.houses=1", "recognition.query_every=8", "recognition.revisit.frames=24"]
    training.evaluate.main([str(tmp_path / "weights"), *again, *recognised, *ASKED])
    figures = json.loads((tmp_path / "evaluation.json").read_text())
    asked_again = json.loads((output / "figures.json").read_text())["figures"]
    for count in ("3", "5"):
        for row in ("this network", "this network, colour", "reprojection"):
            mean = figures[count][row]["rmse"]["mean"]
            assert asked_again[count][row]["rmse"]["mean"] == pytest.approx(mean, rel=1e-4), (count, row)


@pytest.mark.parametrize("name", ["published", "gqn"])
def test_the_schedule_is_the_published_one(name):
    config = build(TrainConfig, read_file(TrainConfig, FOLDER / f"{name}.yaml"))
    steps = config.schedule.samples / config.samples_per_step
    assert (config.samples_per_step, steps) == (36, 1.6e6)
    assert learning_rate(config.schedule, 0.0) == 5e-4
    assert learning_rate(config.schedule, 0.5) == pytest.approx(2.75e-4)
    assert learning_rate(config.schedule, 1.0) == pytest.approx(5e-5)
    assert sigma(config.schedule, 0.0) == 2.0
    assert sigma(config.schedule, 1e5 / steps) == pytest.approx(1.35)
    assert sigma(config.schedule, 2e5 / steps) == 0.7
    model = PlaceNetConfig()
    assert (config.model.layers, config.model.hidden_channels, config.model.representation_channels) == (12, 128, 256)
    assert config.model.tower == model.tower == "tower" and not config.model.shared_core


def test_published_arithmetic_with_what_it_has_not_is_refused():
    with pytest.raises(ConfigurationError, match="arithmetic=published needs model.reprojection=False, not True"):
        parse(TrainConfig, ["arithmetic=published"], "training.train", FOLDER)
    with pytest.raises(ConfigurationError, match="sampling.poses=box needs model.position_scale=50, not 3"):
        parse(TrainConfig, ["published", "model.position_scale=3"], "training.train", FOLDER)
