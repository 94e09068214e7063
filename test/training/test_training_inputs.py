"""What training does with data, settings and machines that it cannot use: it says so, and nothing is lost."""

import os
import resource
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_run import SMALL, rooms_on_disk, train_here

import training.train
from placenet_ros.model import PlaceNet
from training.checkpoints import checkpoint_path, newest_checkpoint, save_checkpoint
from training.configuration import UserError, parse
from training.data.dataset import ShardSet
from training.data.manifest import read_manifest, write_manifest
from training.data.prefetch import Prefetch
from training.data.sampling import SamplingConfig
from training.data.scenes import StepScenes, scene_stream
from training.memory import scenes_that_fit
from training.processes import Processes
from training.train import TrainConfig, no_room_for_batch, raise_diverged


@pytest.fixture
def words(tmp_path):
    return [*SMALL, *rooms_on_disk(tmp_path / "data"), f"run={tmp_path / 'run'}"]


# ---- Data ------------------------------------------------------------------------------------------------------------


def spoil_a_pose(folder):
    """Make the first pose of a data set no number, where it lies in its file; returns the file."""
    path = folder / "shard-00000.arrow"
    content = bytearray(path.read_bytes())
    pose = ShardSet(folder).read(0, [0]).poses.tobytes()
    assert content.count(pose) == 1
    place = content.index(pose)
    content[place : place + 4] = struct.pack("<f", np.nan)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("workers", [0, 2])
def test_a_trajectory_with_nan_is_named_passed_over_and_counted(tmp_path, capfd, workers):
    rooms_on_disk(tmp_path)
    path = spoil_a_pose(tmp_path)
    config = SamplingConfig(window=40, fewest_observations=2, most_observations=38, queries=2)  # every frame is drawn
    data = ShardSet(tmp_path)
    stream = scene_stream(StepScenes(data, config, 6, seed=0), 0, workers)
    for _ in range(3):
        _, frames = next(stream)
        assert frames.poses.isfinite().all()
    assert data.damaged >= 1
    assert f"skipped: {path}: trajectory 0, frame 0: a pose that is not finite" in capfd.readouterr().err


def test_training_counts_what_it_passed_over(words, tmp_path):
    spoil_a_pose(tmp_path / "data")
    train_here(*words, "sampling.window=40", "sampling.most_observations=38")
    assert '"damaged_trajectories": ' in (tmp_path / "run" / "metrics.jsonl").read_text()
    assert '"damaged_trajectories": 0}' not in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1]


def test_a_folder_of_another_format_is_named(words, tmp_path):
    manifest = tmp_path / "data" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"version": 1', '"version": 99'))
    with pytest.raises(UserError, match=rf"{manifest}: no manifest of a data set: version 99, this program reads 1"):
        train_here(*words)
    assert not (tmp_path / "run").exists()


def test_an_empty_split_is_named(words, tmp_path):
    manifest = read_manifest(tmp_path / "data")
    write_manifest(tmp_path / "data", replace(manifest, shards=()))
    with pytest.raises(UserError, match="complete without any trajectory"):
        train_here(*words)


def test_trajectories_shorter_than_a_scene_are_named(words, tmp_path):
    with pytest.raises(UserError, match=rf"{tmp_path / 'data'}: none of its trajectories has 52 frames"):
        train_here(*words, "sampling.window=60", "sampling.most_observations=50", "houses.walk.frames=60")


def test_inputs_of_an_evaluation_that_the_data_has_not_are_named_before_a_gpu_is_looked_for(tmp_path, monkeypatch):
    for function in ("device_count", "is_available", "init"):
        monkeypatch.setattr(torch.cuda, function, None)
    words = [*SMALL, *rooms_on_disk(tmp_path / "data", ("rgb",)), f"run={tmp_path / 'run'}"]
    where = rf"{tmp_path / 'data'}: has rgb alone"
    with pytest.raises(UserError, match=rf"{where}, so that evaluation.inputs colour and colour.depth are the same"):
        train_here(*words, "evaluation.inputs=colour,colour+depth")
    with pytest.raises(UserError, match=rf"{where}, but evaluation.inputs colour.depth asks for depth: leave it out"):
        train_here(*words, "evaluation.inputs=colour+depth")
    assert not (tmp_path / "run").exists()


def test_depth_that_cannot_be_learned_to_be_estimated_is_a_warning(tmp_path, capfd):
    colour, all_of_it = (rooms_on_disk(tmp_path / name, m) for name, m in (("c", ("rgb",)), ("a", ("rgb", "depth"))))
    estimating = [*SMALL, "model.depth_estimation_channels=4", "schedule.samples=8"]
    train_here(*estimating, *all_of_it, f"run={tmp_path / 'one'}")
    assert "warning" not in capfd.readouterr().err
    train_here(*estimating, *colour, f"run={tmp_path / 'other'}")
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "warning" in line]
    assert f"{tmp_path / 'c'} has no depth" in line
    assert line.endswith("(model.depth_estimation_channels=4) learns nothing; set it to 0")


def test_pictures_of_another_size_are_named(words):
    with pytest.raises(UserError, match="has pictures of 16 pixels, the network takes 32"):
        train_here(*words, "model.image_size=32")


# ---- Memory and disk -------------------------------------------------------------------------------------------------


def test_a_batch_that_does_not_fit_into_memory_is_answered_with_one_that_does(words, tmp_path, monkeypatch):
    forward = PlaceNet.forward

    def forward_of_three(model, observations, *arguments, **options):
        if observations.rgb.shape[0] * observations.rgb.shape[1] > 12:  # as if memory were for 3 scenes of 4
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(model, observations, *arguments, **options)

    monkeypatch.setattr(PlaceNet, "forward", forward_of_three)
    asked = [*words, "scenes=8", "sampling.fewest_observations=4"]
    with pytest.raises(UserError, match="8 scenes of 4 observations do not fit into the memory of cpu: set scenes=3,"):
        train_here(*asked)
    assert not list((tmp_path / "run").glob("checkpoints/*"))
    monkeypatch.setattr(PlaceNet, "forward", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA")))
    with pytest.raises(UserError, match="nor does one: lower model.* or sampling.most_observations"):
        train_here(*asked)


def test_memory_that_runs_out_while_a_batch_is_made_is_said_to_be_of_the_batch(words, monkeypatch):
    def no_memory(_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(Prefetch, "__next__", no_memory)
    with pytest.raises(UserError, match="cpu: memory ran out while a step's batch of 4 scenes was made: lower scenes$"):
        train_here(*words)
    config = parse(TrainConfig, words, "training.train")
    told = no_room_for_batch(config, Processes(torch.device("cuda:1"), 1, 2), torch.device("cuda:1"))
    assert str(told).startswith("cuda:1: memory ran out while a step's batch of 2 scenes was made: lower scenes, or ")


@pytest.mark.parametrize("room", [0, 1, 5, 31])
def test_what_fits_is_found_by_trying(room):
    tried = []

    def attempt(scenes):
        tried.append(scenes)
        if scenes > room:
            raise torch.OutOfMemoryError

    assert scenes_that_fit(attempt, 31, torch.nn.Linear(1, 1)) == room
    assert len(tried) <= 5


def test_a_full_disk_leaves_the_older_checkpoint_and_the_run_goes_on_from_it(words, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    train_here(*words)
    whole = checkpoint_path(tmp_path / "run" / "checkpoints", 40).stat().st_size
    again = [*words[:-1], f"run={tmp_path / 'full'}"]
    save = training.train.save_checkpoint

    def save_until_it_is_full(folder, samples_seen, *rest):
        if samples_seen > 16:
            resource.setrlimit(resource.RLIMIT_FSIZE, (whole // 2, hard))
        return save(folder, samples_seen, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.train, "save_checkpoint", save_until_it_is_full)
        try:
            with pytest.raises(OSError, match="File too large"):
                train_here(*again, "checkpoint_every=16")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    checkpoints = tmp_path / "full" / "checkpoints"
    assert [path.name for path in checkpoints.iterdir()] == ["samples-000000000016.pt"]
    train_here(*again)
    one, other = (PlaceNet.from_pretrained(tmp_path / run / "weights").state_dict() for run in ("run", "full"))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


# ---- Divergence ------------------------------------------------------------------------------------------------------


def test_the_processes_whose_loss_is_not_finite_are_named_by_one_before_any_ends(monkeypatch, capsys):
    waited = []
    monkeypatch.setattr(Processes, "wait", lambda self: waited.append((self.rank, capsys.readouterr().err)))
    for fails in ([False, True, False, True], [False] * 4):
        for rank in (0, 1):
            with pytest.raises(SystemExit) as ended:
                processes = Processes(torch.device("cpu"), rank, 4)
                raise_diverged({"unusable_in_a_row": 3.0}, 80, 160, fails, Path("run"), processes)
            assert ended.value.code == 2
    (_, named), (_, quiet), (_, gradient), _ = waited
    assert named.startswith("error: ")
    assert "not finite in 3 steps in a row (in process 1, 3) between 80 and 160" in named
    assert "(in no process's loss, but in its gradient)" in gradient
    assert quiet == "", "one speaks for all"


# ---- Settings --------------------------------------------------------------------------------------------------------


def test_a_mistaken_setting_is_found_before_a_gpu_is_looked_for(monkeypatch):
    for function in ("device_count", "is_available", "init"):
        monkeypatch.setattr(torch.cuda, function, None)
    with pytest.raises(UserError, match="keep_every .5. must be at least checkpoint_every .200000."):
        training.train.main(["keep_every=5"])
    with pytest.raises(UserError, match="no/such: no data set"):
        training.train.main(["data.train=no/such"])


# ---- What is kept ----------------------------------------------------------------------------------------------------


def test_the_newest_checkpoints_are_kept_and_the_first_of_each_so_many_samples(tmp_path):
    for samples_seen in range(30, 401, 30):
        save_checkpoint(tmp_path, samples_seen, {"samples_seen": samples_seen}, keep=2, keep_every=100)
    kept = sorted(int(path.stem.split("-")[1]) for path in tmp_path.iterdir())
    assert kept == [120, 210, 300, 360, 390]
    assert newest_checkpoint(tmp_path)["samples_seen"] == 390


def test_the_best_weights_on_the_way_are_kept_and_survive_a_resumed_run(words, tmp_path, monkeypatch):
    rmses = iter([30.0, 20.0, 25.0, 15.0])

    def figures(*_):
        return {"unseen": {"2": {"model": {"rmse": {"mean": next(rmses)}}}}}

    monkeypatch.setattr(training.train, "figures_on_the_way", figures)
    longer = [*words, "schedule.samples=80", "evaluate_every=16", "checkpoint_every=16"]
    train_here(*longer)
    best = tmp_path / "run" / "best"
    assert PlaceNet.from_pretrained(best).about["samples"] == 64
    for samples_seen in (64, 80):
        os.remove(checkpoint_path(tmp_path / "run" / "checkpoints", samples_seen))
    (tmp_path / "run" / "evaluation.json").unlink()
    rmses = iter([40.0])
    train_here(*longer)  # from 48 on: what is of 64 samples is found again, or not
    about = PlaceNet.from_pretrained(best).about
    assert (about["samples"], about["rmse"]) == (64, 40.0)
