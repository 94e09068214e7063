"""From seeds to a data set, and from there to a network: the commands as a user types them."""

import json
import subprocess
import sys

import numpy as np
import pytest

from training.configuration import REPOSITORY, UserError
from training.data.dataset import ShardSet
from training.houses import CLASS_NAMES, TrajectoryMaker, WalkConfig
from training.make_houses import main
from training.train import main as train_main

SMALL = ["image_size=16", "walk.frames=40", "houses_per_shard=2"]


def python_m(*words):
    return subprocess.run([sys.executable, "-m", *words], cwd=REPOSITORY, capture_output=True, text=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Data sets of 4 houses to train on and 2 unseen ones; not to be changed."""
    folder = tmp_path_factory.mktemp("houses")
    main([str(folder / "train"), "houses=4", "walks=2", "processes=1", *SMALL])
    main([str(folder / "unseen"), "houses=2", "seed=10000000", "processes=2", *SMALL])
    return folder


def test_a_data_set_holds_the_walks_of_its_seeds(made):
    data = ShardSet(made / "train")
    assert len(data) == 8 and set(data.lengths) == {40}
    about = data.description
    assert about.class_names == CLASS_NAMES and about.field_of_view_degrees == 60.0
    assert about.source["walk"]["kind"] == "house_traveler" and about.source["houses"] == 4
    assert data.manifest.split == "train" and ShardSet(made / "unseen").manifest.split == "unseen"
    maker = TrajectoryMaker(WalkConfig(frames=40), walks=2, image_size=16)
    for number, trajectory in enumerate(maker(2)):
        stored = data.read(2 * 2 + number)
        for name in ("poses", "depth", "objects"):
            assert np.array_equal(getattr(stored, name), getattr(trajectory, name)), name
        shard, row = data.shard(2 * 2 + number)
        assert shard.name(row) == trajectory.name == f"house 2, walk {number}"
    assert np.abs(data.read(4).poses - data.read(5).poses).max() > 0.5


def test_a_network_trains_and_is_evaluated_on_data_sets(made, tmp_path):
    tiny = [
        "model.image_size=16", "model.representation_channels=8", "model.hidden_channels=8", "model.canvas_channels=8",
        "model.layers=1", "schedule.samples=64", "evaluation.queries=8", "device=cpu", "data.workers=1",
    ]  # fmt: skip
    trained = python_m(
        "training.train", "smoke", *tiny, f"run={tmp_path / 'run'}",
        f"data.train={made / 'train'}", f"data.unseen={made / 'unseen'}",
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    about = json.loads((tmp_path / "run" / "weights" / "model.json").read_text())["about"]
    assert about["data"]["train"]["trajectories"] == 8 and about["data"]["train"]["walks"] == 2
    assert about["object_classes"] == list(CLASS_NAMES)
    evaluated = python_m(
        "training.evaluate", str(tmp_path / "run" / "weights"), f"data={made / 'unseen'}", "device=cpu",
        "evaluation.queries=8", f"output={tmp_path / 'evaluation'}",
    )  # fmt: skip
    assert evaluated.returncode == 0, evaluated.stderr
    figures = json.loads((tmp_path / "evaluation" / "figures.json").read_text())["figures"]
    assert figures["3"]["this network"] == about["evaluation"]["figures"]["3"]["this network"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("model.image_size=32", "has pictures of 16 pixels, the network takes 32"),
        ("model.field_of_view_degrees=75", "a field of view of 60 degrees, the network's has 75"),
        ("sampling.window=60 sampling.most_observations=50", "none of its trajectories has 54 frames"),
    ],
)
def test_a_data_set_that_does_not_fit_the_network_is_refused(made, tmp_path, settings, message):
    run, data = f"run={tmp_path / 'run'}", f"data.train={made / 'train'}"
    with pytest.raises(UserError, match=message) as refused:
        train_main(["smoke", "model.image_size=16", *settings.split(), data, run])
    assert "\n" not in str(refused.value) and str(made / "train") in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_houses_that_training_must_not_see_are_refused_as_data_to_train_on(made, tmp_path):
    with pytest.raises(UserError, match="is of unseen houses"):
        train_main(["smoke", f"data.train={made / 'unseen'}", "model.image_size=16", f"run={tmp_path / 'run'}"])
    assert not (tmp_path / "run").exists()


def test_a_killed_command_goes_on_with_other_processes_and_parts(made, tmp_path):
    out = tmp_path / "parts"
    main([str(out), "houses=4", "walks=2", "part=2/2", "processes=1", *SMALL])
    main([str(out), "houses=4", "walks=2", "processes=2", *SMALL])
    for path in (made / "train").iterdir():
        assert path.read_bytes() == (out / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["houses=0"], "houses must be 1 to"),
        (["seed=-1"], "seed must not be negative"),
        (["seed=9999999", "houses=2"], "are of houses for training and of unseen ones .* make two data sets"),
        (["part=3/2"], "part must be i/n"),
        (["part=x"], "part must be i/n"),
        (["plan=a.json", "scene=b.glb"], "plan and scene are two places"),
        (["scale=0.01"], "up and scale are of a scene"),
        (["plan=/no/such/house.json"], "/no/such/house.json"),
        (["scene=/no/such/scene.glb"], "/no/such/scene.glb"),
        (["walk.frames=400"], "frames must be within 1 and 300"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is_written(tmp_path, words, message):
    with pytest.raises(UserError, match=message):
        main([str(tmp_path / "out"), *words])
    assert not (tmp_path / "out").exists()
