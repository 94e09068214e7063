"""Training: it learns, it resumes as if nothing had happened, and it loses nothing to bad input."""

import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from round_room import round_room

import training.evaluate
import training.train
from placenet_ros.model import PlaceNet, PlaceNetConfig, evidence_lower_bound
from placenet_ros.model.objective import error_log_likelihood
from training.baselines import mean_image
from training.checkpoints import checkpoint_path, newest_checkpoint, save_checkpoint
from training.configuration import REPOSITORY, UserError
from training.data.sampling import SamplingConfig, assemble, draw_scenes
from training.data.shards import Description
from training.data.trajectories import SHARE_OF_MEMORY, HousesConfig, TrajectorySet
from training.data.writing import write_dataset
from training.device import chosen_device
from training.evaluate import EvaluationConfig
from training.houses import WalkConfig
from training.image_quality import image_quality
from training.objective import ObjectiveConfig, placenet_objective
from training.processes import Processes
from training.schedule import ScheduleConfig, average_step, learning_rate, progress, sigma
from training.step import ExecutionConfig, TrainingStep
from training.train import DataConfig, TrainConfig, train

CPU = torch.device("cpu")
MODEL = PlaceNetConfig(image_size=16, representation_channels=16, hidden_channels=16, canvas_channels=16, layers=2,
                       shared_core=True, reprojection_channels=8)  # fmt: skip


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A run of a second, in round rooms."""

    def rooms(first_seed, houses, maker, place):
        return TrajectorySet.of(
            [round_room(first_seed + index, maker.walk.frames, maker.image_size) for index in range(houses)]
        )

    monkeypatch.setattr(training.train, "render_houses", rooms)
    return TrainConfig(
        run=str(tmp_path / "run"),
        device="cpu",
        scenes=2,
        model=MODEL,
        houses=HousesConfig(train=4, unseen=2, walk=WalkConfig(frames=40)),
        sampling=SamplingConfig(window=12, fewest_observations=2, most_observations=4, queries=2, drop_depth=0.2),
        schedule=ScheduleConfig(samples=80, learning_rate=2e-3, warm_up=0.1, average_half_life=20),
        evaluation=EvaluationConfig(queries=8, observations=(2, 3)),
        log_every=20,
        evaluate_every=40,
        evaluate_queries=4,
        checkpoint_every=20,
        keep_checkpoints=10,
        half_precision=False,
    )


def run_folder(config):
    return training.train.Path(config.run)


def files_of(config):
    return {path: path.read_bytes() for path in run_folder(config).rglob("*") if path.is_file()}


def result(config):
    return PlaceNet.from_pretrained(run_folder(config) / "weights").state_dict()


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


def test_a_network_that_sees_one_batch_again_and_again_learns_it():
    torch.manual_seed(0)
    data = TrajectorySet.of([round_room(0)])
    draw = draw_scenes(SamplingConfig(queries=2), data.lengths, 2, 0, 0, observations=4)
    batch = assemble(draw, data.fetch(draw), MODEL.position_scale, CPU)
    model = PlaceNet(MODEL)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(40):
        output = model(batch.observations, batch.query_viewpoints, batch.query_images)
        bound = evidence_lower_bound(output, batch.query_images, 0.2)
        loss = -bound.elbo.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 400
    with torch.no_grad():
        predicted = model.eval().predict(model.encode(batch.observations), batch.query_viewpoints)
    mean = mean_image(batch.observations, batch.query_viewpoints, MODEL)
    truth = batch.query_images.flatten(0, 1)
    rmse, rmse_of_mean = (image_quality(i.flatten(0, 1), truth)["rmse"].mean() for i in (predicted, mean))
    assert rmse < 0.3 * rmse_of_mean


def test_resumed_training_equals_uninterrupted_training(config, tmp_path):
    train(config, "test")
    resumed = replace(config, run=str(tmp_path / "resumed"))
    (tmp_path / "resumed" / "checkpoints").mkdir(parents=True)
    shutil.copy(checkpoint_path(run_folder(config) / "checkpoints", 40), tmp_path / "resumed" / "checkpoints")
    train(resumed, "test")
    assert same(result(config), result(resumed))
    before, after = (newest_checkpoint(run_folder(c) / "checkpoints") for c in (config, resumed))
    assert same(before["model"], after["model"])
    assert not same(before["model"], before["average"])


@pytest.mark.parametrize("ended", ["stopped in the step before", "stopped amid it", "killed amid it"])
def test_an_evaluation_on_the_way_that_was_broken_off_is_made_up(config, tmp_path, monkeypatch, ended):
    broken = replace(config, run=str(tmp_path / "broken"), checkpoint_every=20 if ended == "killed amid it" else 60)
    train(config, "test")
    noise, predictor, asked = training.train.latent_noise, training.train.prior_prediction, []

    def stop_in_the_step_before(model, samples, seed, number, *rest):
        if number == 9:  # which leads to 40 samples
            signal.raise_signal(signal.SIGTERM)
        return noise(model, samples, seed, number, *rest)

    def end_amid(model, samples):
        predict = predictor(model, samples)

        def ending(*question):
            asked.append(1)
            if len(asked) == 2 and ended == "killed amid it":
                raise MemoryError  # or whatever ends a process
            if len(asked) == 2:
                signal.raise_signal(signal.SIGTERM)
            return predict(*question)

        return ending

    with monkeypatch.context() as patched:
        if ended == "stopped in the step before":
            patched.setattr(training.train, "latent_noise", stop_in_the_step_before)
        else:
            patched.setattr(training.train, "prior_prediction", end_amid)
        with pytest.raises(MemoryError if ended == "killed amid it" else SystemExit):
            train(broken, "test")
    assert newest_checkpoint(run_folder(broken) / "checkpoints")["samples_seen"] == 40
    assert not (run_folder(broken) / "best").exists()
    train(broken, "test")
    whole, made_up = (PlaceNet.from_pretrained(run_folder(c) / "best") for c in (config, broken))
    assert same(whole.state_dict(), made_up.state_dict()) and whole.about["samples"] == made_up.about["samples"] == 40
    assert evaluations(config) == evaluations(broken) and len(evaluations(config)) == 1


def evaluations(config):
    return [line for line in map(json.loads, open(run_folder(config) / "metrics.jsonl")) if "loss" not in line]


def test_an_evaluation_on_the_way_that_is_done_is_not_repeated(config, monkeypatch):
    train(config, "test")
    for samples_seen in (60, 80):
        checkpoint_path(run_folder(config) / "checkpoints", samples_seen).unlink()
    monkeypatch.setattr(training.train, "figures_on_the_way", None)
    train(config, "test")
    assert len(evaluations(config)) == 1


def test_speed_is_that_of_steps_alone(config, monkeypatch):
    """The clock jumps by a quarter of an hour wherever a checkpoint is saved or an evaluation is made."""
    save, figures, late = training.train.save_checkpoint, training.train.figures_on_the_way, [0.0]

    def slowly(function):
        def called(*arguments):
            late[0] += 900.0
            return function(*arguments)

        return called

    monotonic = time.monotonic
    monkeypatch.setattr(training.train.time, "monotonic", lambda: monotonic() + late[0])
    monkeypatch.setattr(training.train, "save_checkpoint", slowly(save))
    monkeypatch.setattr(training.train, "figures_on_the_way", slowly(figures))
    train(config, "test")
    lines = [json.loads(line) for line in open(run_folder(config) / "metrics.jsonl")]
    assert min(line["samples_per_second"] for line in lines if "loss" in line) > 0.1  # 20 in 900 s would be 0.02
    assert late[0] == 5 * 900


def test_compiled_training_equals_eager_training(config, tmp_path, monkeypatch):
    train(config, "test")
    compile_function, compiled = torch.compile, []

    def compile_without_generating_code(function, **options):  # which takes minutes on the CPU
        compiled.append(function.__name__)
        return compile_function(function, backend="eager", **options)

    monkeypatch.setattr(torch, "compile", compile_without_generating_code)
    train(replace(config, run=str(tmp_path / "compiled"), execution=ExecutionConfig(compile="blocks")), "test")
    # all layers, the image head, what follows the tower's convolutions, and how this configuration reprojects
    assert compiled == ["reconstruct_layer", "forward", "finished", "draw_points"]
    weights = PlaceNet.from_pretrained(tmp_path / "compiled" / "weights").state_dict()
    assert all(torch.allclose(tensor, weights[name], atol=1e-5) for name, tensor in result(config).items())


def test_training_in_bf16_follows_training_in_fp32(config, tmp_path):
    lower = replace(config, run=str(tmp_path / "bf16"), precision="bf16")
    train(config, "test")
    train(lower, "test")
    one, two = (losses(c) for c in (config, lower))
    assert one != two and one == pytest.approx(two, rel=0.02)


def losses(config):
    lines = [json.loads(line) for line in open(run_folder(config) / "metrics.jsonl")]
    return [line["loss"] for line in lines if "loss" in line]


def test_a_damaged_checkpoint_is_passed_over_loudly(tmp_path, capsys):
    for samples_seen in (1, 2, 3):
        save_checkpoint(tmp_path, samples_seen, {"samples_seen": samples_seen, "model": torch.rand(1000)}, keep=5)
    truncated, altered = checkpoint_path(tmp_path, 3), checkpoint_path(tmp_path, 2)
    truncated.write_bytes(truncated.read_bytes()[:2000])
    content = bytearray(altered.read_bytes())
    content[len(content) // 2] ^= 1  # one bit, amid the tensor
    altered.write_bytes(content)
    assert newest_checkpoint(tmp_path)["samples_seen"] == 1
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 2 and str(truncated) in warnings[0] and str(altered) in warnings[1]
    checkpoint_path(tmp_path, 1).unlink()
    assert newest_checkpoint(tmp_path) is None
    assert capsys.readouterr().err.splitlines()[2:] == [
        f"warning: {tmp_path}: no checkpoint there can be read: training begins anew"
    ]
    assert newest_checkpoint(tmp_path / "none") is None and capsys.readouterr().err == ""


def test_a_new_checkpoint_is_kept_beside_damaged_ones_of_more_samples(tmp_path):
    for samples_seen in (1000, 2000):
        save_checkpoint(tmp_path, samples_seen, {"samples_seen": samples_seen}, keep=2)
    checkpoint_path(tmp_path, 2000).write_bytes(b"damaged")
    save_checkpoint(tmp_path, 1500, {"samples_seen": 1500}, keep=1)
    assert newest_checkpoint(tmp_path)["samples_seen"] == 1500


def test_a_crash_while_saving_leaves_the_older_checkpoints(tmp_path, monkeypatch, capsys):
    save_checkpoint(tmp_path, 1, {"samples_seen": 1}, keep=1)

    def full_disk(state, file):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", full_disk)
        with pytest.raises(OSError, match="No space left"):
            save_checkpoint(tmp_path, 2, {"samples_seen": 2}, keep=1)
    assert newest_checkpoint(tmp_path)["samples_seen"] == 1
    assert capsys.readouterr().err == ""  # what is unfinished is no checkpoint, not a damaged one
    save_checkpoint(tmp_path, 3, {"samples_seen": 3}, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["samples-000000000003.pt"]


def test_a_checkpoint_that_does_not_fit_on_the_disk_is_named_with_the_reason(tmp_path):
    save_checkpoint(tmp_path, 1, {"samples_seen": 1}, keep=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError) as refused:
            save_checkpoint(tmp_path, 2, {"samples_seen": 2, "model": torch.rand(1_000_000)}, keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refused.value.filename == str(checkpoint_path(tmp_path, 2)) and refused.value.strerror == "File too large"
    assert [path.name for path in tmp_path.iterdir()] == ["samples-000000000001.pt"]


def test_a_run_folder_of_another_configuration_is_left_alone(config):
    train(config, "test")
    before = files_of(config)
    with pytest.raises(UserError, match=r"another configuration \(seed: 0 -> 1; schedule.samples: 80 -> 90\)"):
        train(replace(config, seed=1, schedule=replace(config.schedule, samples=90)), "test")
    assert before == files_of(config)
    train(replace(config, log_every=10), "test")  # what may change does, and a finished run ends at once
    assert before[run_folder(config) / "metrics.jsonl"] == (run_folder(config) / "metrics.jsonl").read_bytes()


def test_a_finished_run_says_so_at_once(config, capsys, monkeypatch):
    train(config, "test")
    before = files_of(config)
    with monkeypatch.context() as patched:
        patched.setattr(training.train, "render_houses", None)
        train(config, "test")
    assert capsys.readouterr().out.splitlines()[-1].startswith("finished after 80 samples, nothing to do: weights in ")
    assert before == files_of(config)


@pytest.mark.parametrize("missing", ["evaluation.json", "weights/model.json", "weights/model.safetensors"])
def test_a_run_ended_before_its_result_was_written_is_finished_without_the_houses_to_train_on(
    config, monkeypatch, missing
):
    train(config, "test")
    before = files_of(config)
    path = run_folder(config) / missing
    path.unlink()
    rooms, first_seeds = training.train.render_houses, []
    monkeypatch.setattr(
        training.train, "render_houses", lambda seed, *sizes: first_seeds.append(seed) or rooms(seed, *sizes)
    )
    train(config, "test")
    assert first_seeds == [10_000_000]
    for name in ("evaluation.json", "weights/model.safetensors", "metrics.jsonl"):
        assert (run_folder(config) / name).read_bytes() == before[run_folder(config) / name]
    assert "evaluation" in PlaceNet.from_pretrained(run_folder(config) / "weights").about


def test_weights_are_stored_again_where_their_precision_is_changed(config):
    train(config, "test")
    size = (run_folder(config) / "weights" / "model.safetensors").stat().st_size
    train(replace(config, half_precision=True), "test")
    assert (run_folder(config) / "weights" / "model.safetensors").stat().st_size < 0.7 * size


def test_figures_of_samples_beyond_the_resumed_checkpoint_are_dropped(config):
    train(config, "test")
    metrics = run_folder(config) / "metrics.jsonl"
    figures = [line["samples"] for line in map(json.loads, metrics.open())]
    with metrics.open("a") as file:
        file.write('{"samples": 2, "lo')  # a crash amid a line
    for samples_seen in (60, 80):
        checkpoint_path(run_folder(config) / "checkpoints", samples_seen).unlink()
    train(config, "test")
    assert [line["samples"] for line in map(json.loads, metrics.open())] == figures


def test_a_crash_while_the_configuration_is_written_does_not_block_the_run(config, monkeypatch):
    def crash(descriptor):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", crash)
        with pytest.raises(KeyboardInterrupt):
            train(config, "test")
    assert not (run_folder(config) / "configuration.yaml").exists()
    train(config, "test")


def test_all_houses_together_must_fit_into_memory(config, monkeypatch):
    one_house = 40 * 16**2 * 6 / SHARE_OF_MEMORY  # bytes of memory that have room for one
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": 5 * one_house}.get)
    with pytest.raises(UserError, match="6 trajectories of 40 frames take"):  # 4 and 2 of them would
        train(config, "test")
    assert not run_folder(config).exists()


def test_weights_say_how_they_came_about_and_what_they_reach(config, capsys):
    train(config, "python -m training.train test")
    about = PlaceNet.from_pretrained(run_folder(config) / "weights").about
    assert about["command"] == "python -m training.train test"
    assert about["samples"] == 80 and about["configuration"]["schedule"]["samples"] == 80
    assert about["data"] == {
        "train": {"house_seeds": "0..3"},
        "unseen": {"house_seeds": "10000000..10000001"},
    }
    rows = about["evaluation"]["figures"]["3"]
    assert set(rows) == {"this network", "its prior's mean", "untrained network", "mean image", "nearest image",
                         "reprojection"}  # fmt: skip
    streams = capsys.readouterr()
    assert "\nevaluating the result: 8 queries, each with 2, 3 observations\n" in streams.err  # which takes a while
    assert f"{rows['this network']['rmse']['mean']:.2f}" in streams.out


def test_a_network_learns_from_a_data_set_that_has_colour_alone(config, tmp_path, capsys):
    description = Description(16, None, ("rgb",))
    write_dataset(tmp_path / "data", description, range(4), colour_alone, 2, 1)
    data = DataConfig(train=str(tmp_path / "data"), unseen=str(tmp_path / "data"), workers=0)
    train(replace(config, data=data, model=replace(MODEL, attention="r", reprojection=False)), "test")
    about = PlaceNet.from_pretrained(run_folder(config) / "weights").about
    rows = about["evaluation"]["figures"]["3"]
    assert "this network" in rows and "nearest image" in rows and "reprojection" not in rows


def test_trajectories_shorter_than_the_window_are_told(config, tmp_path, capsys):
    def room(seed):
        yield round_room(seed, 40 if seed else 11)

    write_dataset(tmp_path / "data", Description(16, 60.0, ("rgb", "depth", "objects")), range(4), room, 2, 1)
    capsys.readouterr()
    config = replace(config, data=DataConfig(train=str(tmp_path / "data"), workers=0))
    for window, told in ((12, "1 of 4 trajectories shorter than the window of 12 frames (sampling.window)"), (11, "")):
        asked = replace(config, sampling=replace(config.sampling, window=window))
        training.train.tell_of_data(asked, training.train.opened_data(asked))
        said = capsys.readouterr().err
        assert said == (f"{tmp_path / 'data'}: {told}, taken whole\n" if told else "")


def colour_alone(seed):
    yield round_room(seed)._replace(depth=None, objects=None)


def test_training_that_diverges_ends_before_it_is_saved(config):
    with pytest.raises(UserError, match="not finite in .* in a row between .* samples: lower schedule.learning_rate"):
        train(replace(config, schedule=replace(config.schedule, learning_rate=1e30, warm_up=0.0)), "test")
    for path in (run_folder(config) / "checkpoints").glob("*.pt"):
        assert all(tensor.isfinite().all() for tensor in torch.load(path, weights_only=True)["model"].values())


@pytest.mark.parametrize("stopped", [False, True])
def test_recorded_steps_are_given_up_before_the_processes_part(stopped, config, monkeypatch):
    """Else NCCL waits for ever for the CUDA graphs to be destroyed."""
    came = []
    monkeypatch.setattr(TrainingStep, "release", lambda step: came.append("release"))
    monkeypatch.setattr(Processes, "end", lambda processes: came.append("end"))
    if stopped:
        save = training.train.save_checkpoint
        monkeypatch.setattr(
            training.train, "save_checkpoint", lambda *a: (save(*a), signal.raise_signal(signal.SIGTERM))
        )
    with pytest.raises(SystemExit) if stopped else nullcontext():
        train(config, "test")
    assert came == ["release", "end"]


def test_a_budget_of_minutes_ends_a_run_with_its_schedule(config):
    train(replace(config, schedule=replace(config.schedule, samples=10_000, minutes=0.02)), "test")
    lines = [json.loads(line) for line in open(run_folder(config) / "metrics.jsonl")]
    last = [line for line in lines if "learning_rate" in line][-1]
    assert last["minutes_left"] == 0 and last["samples"] < 10_000
    assert (run_folder(config) / "weights" / "model.json").exists()


@pytest.mark.parametrize("predicted, taught", [(0, slice(None)), (1, slice(1))])
def test_expected_errors_are_learned_from_predicted_queries_where_there_are_some(predicted, taught):
    torch.manual_seed(0)
    data = TrajectorySet.of([round_room(0)])
    draw = draw_scenes(SamplingConfig(queries=3), data.lengths, 2, 0, 0, observations=4)
    batch = assemble(draw, data.fetch(draw), MODEL.position_scale, CPU)
    model, other = PlaceNet(replace(MODEL, predict_error=True)), ObjectiveConfig(predicted_queries=predicted)
    noise, sigma = torch.randn(2, 6, 3, 4, 4), torch.tensor(0.7)

    def asked(weight):
        terms = replace(other, error_weight=weight)
        return placenet_objective(model, batch, noise, sigma, False, terms)

    said = model(batch.observations, batch.query_viewpoints, batch.query_images, False, noise, predicted)
    nats = error_log_likelihood(said, batch.query_images, taught).mean()
    found = asked(0.3)
    assert torch.isclose(found.figures["error_nats"], nats, rtol=1e-5)
    assert torch.isclose(asked(0.0).loss - found.loss, 0.3 * nats, rtol=1e-3)


def test_the_schedule_is_the_published_one_by_default():
    published = ScheduleConfig()
    steps = published.samples / 36
    assert steps == 1.6e6
    for step, expected in ((0, 2.0), (1e5, 1.35), (2e5, 0.7), (1e6, 0.7)):
        assert sigma(published, step / steps) == pytest.approx(expected)
    for step, expected in ((0, 5e-4), (0.8e6, 2.75e-4), (1.6e6, 5e-5)):
        assert learning_rate(published, step / steps) == pytest.approx(expected)


def test_the_schedule_follows_the_further_of_samples_and_minutes():
    config = ScheduleConfig(samples=1000, minutes=10, warm_up=0.1, decay="cosine", final_learning_rate=0.0)
    assert progress(config, 500, 60) == 0.5 and progress(config, 100, 540) == 0.9 and progress(config, 0, 6000) == 1.0
    assert learning_rate(config, 0.05) == pytest.approx(0.5 * config.learning_rate)
    assert learning_rate(config, 0.1) == config.learning_rate
    assert learning_rate(config, 0.55) == pytest.approx(0.5 * config.learning_rate)
    assert learning_rate(config, 1.0) == pytest.approx(0.0)


def test_the_average_halves_what_is_older_than_its_half_life():
    config = ScheduleConfig(average_half_life=1200)
    moves = [average_step(config, 1_000_000 + 100 * step, 100) for step in range(12)]
    assert math.prod(1 - move for move in moves) == pytest.approx(0.5)
    assert sum(move > 0 for move in moves) == 3, "at every fourth step"
    assert average_step(config, 100, 100) > 0.99  # at first it follows


def test_the_commands_train_and_evaluate_in_real_houses(tmp_path):
    tiny = [
        "model.image_size=16", "model.representation_channels=8", "model.hidden_channels=8", "model.canvas_channels=8",
        "model.layers=1", "houses.train=1", "houses.unseen=1", "houses.walk.frames=30", "schedule.samples=16",
        "evaluation.queries=8", "device=cpu", f"run={tmp_path / 'run'}",
    ]  # fmt: skip
    trained = python_m("training.train", "smoke", *tiny)
    assert trained.returncode == 0, trained.stderr
    weights, output = tmp_path / "run" / "weights", tmp_path / "figures"
    asked = [
        "houses=1", "walk.frames=30", "evaluation.queries=8", "evaluation.inputs=colour", "recognition.houses=0",
        "device=cpu",
    ]  # fmt: skip
    evaluated = python_m("training.evaluate", str(weights), f"output={output}", *asked)
    assert evaluated.returncode == 0, evaluated.stderr
    assert "this network" in evaluated.stdout and "reprojection" not in evaluated.stdout  # without depth there is none
    assert set(json.loads((output / "figures.json").read_text())["figures"]) == {"3", "5"}
    content = bytearray((weights / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (weights / "model.safetensors").write_bytes(content)
    refused = python_m("training.evaluate", str(weights), *asked)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"error: {weights}") and refused.stderr.count("\n") == 1


def python_m(*words):
    return subprocess.run([sys.executable, "-m", *words], cwd=REPOSITORY, capture_output=True, text=True)


@pytest.mark.parametrize(
    "main, words, message",
    [
        (training.train.main, ["smoke", "schedule.sample=3"], "unknown key 'schedule.sample'.*'schedule.samples'"),
        (training.train.main, ["smok"], "no configuration 'smok'.*smoke"),
        (training.train.main, ["sampling.queries=9"], r"most_observations \(17\) and queries \(9\).*window of 20"),
        (training.train.main, ["houses.walk.frames=10"], r"houses.walk.frames \(10\).*sampling.window \(20\)"),
        (training.train.main, ["model.layers=0"], "model: layers must be .*1.*, not 0"),
        (training.train.main, ["model.embedding_channels=64"], "embedding_channels is 64, but a head.*train_embedding"),
        (training.train.main, ["evaluation.observations=3,20"], r"evaluation.observations \(20\).*window \(20\)"),
        (training.evaluate.main, [], "missing WEIGHTS"),
        (
            training.evaluate.main,
            ["weights", "walk.frames=10"],
            r"walk.frames \(10\) must be .* sampling.window \(20\)",
        ),
        (training.evaluate.main, ["no/such/folder", "device=cpu"], "no/such/folder/model.json: no weights here"),
    ],
)
def test_a_mistaken_command_does_nothing_and_says_why(main, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        main(words)
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_that_is_not_there_is_an_error():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="device=cuda, but no GPU"):
        chosen_device("cuda")
