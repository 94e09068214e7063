"""What an evaluation says of a network: seen and unseen, depth and classes, spread, and from what it was asked."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from round_room import round_room

import training.evaluate
from placenet_ros.model import PlaceNet, PlaceNetConfig
from training.baselines import Prediction, mean_image
from training.confidence import confidence, correlation, ratio
from training.configuration import UserError
from training.data.sampling import SamplingConfig, assemble, draw_scenes
from training.data.shards import Description
from training.data.trajectories import TrajectorySet
from training.data.writing import write_dataset
from training.evaluate import EvaluationConfig, check_inputs, data_named, evaluate, prior_prediction, table
from training.image_quality import depth_rmse, object_accuracy
from training.published_network import PublishedNetwork
from training.visibility import seen_pixels

CPU = torch.device("cpu")
MODEL = PlaceNetConfig(image_size=16, representation_channels=16, hidden_channels=16, canvas_channels=16, layers=2,
                       shared_core=True, reprojection_channels=8)  # fmt: skip
SAMPLING = SamplingConfig(window=12, fewest_observations=2, most_observations=4)


@pytest.fixture(scope="module")
def rooms():
    return TrajectorySet.of([round_room(seed) for seed in range(3)])


def figures_of(predict, rooms, **asked):
    asked = EvaluationConfig(**{"queries": 12, "observations": (3,), "scenes": 4, **asked})
    return evaluate({"it": predict}, rooms, SAMPLING, asked, MODEL, CPU)["3"]


def knowing(rooms, **wrong):
    """Predicts the truth, `wrong` in what is given: offsets of colours where seen and unseen, depth, share of classes.

    It draws the same scenes as the evaluation, in the same order.
    """
    steps = iter(range(100))

    def predict(observations, viewpoints):
        config = training.evaluate.asked_sampling(SAMPLING, EvaluationConfig(observations=(3,)))
        draw = draw_scenes(config, rooms.lengths, 4, training.evaluate.EVALUATION_SEED, next(steps), 3)
        batch = assemble(draw, rooms.fetch(draw), MODEL.position_scale, CPU)
        assert torch.equal(batch.query_viewpoints, viewpoints)
        seen = training.evaluate.pixels_seen(batch, MODEL)
        offset = torch.where(seen, wrong.get("seen", 0.0), wrong.get("unseen", 0.0))
        ids = batch.query_objects.long()
        ids = torch.cat([ids[..., : wrong.get("columns", 0)] + 1, ids[..., wrong.get("columns", 0) :]], dim=-1)
        depth = batch.query_depth + wrong.get("metres", 0.0)
        expected = wrong.get("expected", 1.0) * 255 * offset
        return Prediction(batch.query_images + offset, depth, ids, 255 * offset * 0.5 + 1, expected)

    return predict


def test_errors_are_told_apart_by_whether_a_pixel_was_seen(rooms):
    row = figures_of(knowing(rooms, seen=0.1, unseen=0.2), rooms)["it"]
    assert row["rmse_seen"]["mean"] == pytest.approx(25.5, abs=0.01)
    assert row["rmse_unseen"]["mean"] == pytest.approx(51.0, abs=0.01)
    assert 25.5 < row["rmse"]["mean"] < 51.0


def test_the_spread_is_compared_between_seen_and_unseen_pixels_and_with_the_error(rooms):
    row = figures_of(knowing(rooms, seen=0.1, unseen=0.2), rooms)["it"]
    assert row["spread_seen"]["mean"] == pytest.approx(13.75) and row["spread_unseen"]["mean"] == pytest.approx(26.5)
    assert row["spread_ratio"]["mean"] == pytest.approx(26.5 / 13.75)
    assert row["spread_error_correlation"]["mean"] == pytest.approx(1.0)


def test_expected_errors_are_compared_with_the_true_ones_where_seen_and_unseen(rooms):
    row = figures_of(knowing(rooms, seen=0.1, unseen=0.2, expected=0.5), rooms)["it"]
    means = {name: figure["mean"] for name, figure in row.items()}
    assert means["expected_error_seen"] == pytest.approx(12.75, abs=0.01)
    assert means["expected_error_unseen"] == pytest.approx(25.5, abs=0.01)
    assert means["expected_error_ratio"] == pytest.approx(2.0)
    assert means["expected_error_correlation"] == pytest.approx(1.0)
    for name in ("calibration", "calibration_seen", "calibration_unseen"):
        assert means[name] == pytest.approx(0.5, abs=1e-4)
    text = table({"3": {"it": row}})
    assert (
        "expected error of it: 12.75 where seen, 25.50 where not (2.00 times), correlation with the error 1.00, "
        "0.50 of the true error (0.50 where seen, 0.50 where not)"
    ) in text


def test_a_calibration_tells_where_a_network_is_too_sure_of_itself(rooms):
    def predict(observations, viewpoints):
        prediction = truth(observations, viewpoints)
        return prediction._replace(error=torch.full_like(prediction.error, 25.5))  # right where seen, alone

    truth = knowing(rooms, seen=0.1, unseen=0.2)
    row = figures_of(predict, rooms)["it"]
    assert row["calibration_seen"]["mean"] == pytest.approx(1.0, abs=1e-4)
    assert row["calibration_unseen"]["mean"] == pytest.approx(0.5, abs=1e-4)
    assert 0.5 < row["calibration"]["mean"] < 1.0


def test_expected_errors_are_those_of_the_network_in_grey_levels(rooms):
    torch.manual_seed(0)
    model = PlaceNet(replace(MODEL, predict_error=True)).eval()
    asked = EvaluationConfig(queries=4, observations=(3,), scenes=4, spread_samples=0)
    predictors = training.evaluate.network_predictors(model, asked) | training.evaluate.rivals(model, asked)
    rows = evaluate(predictors, rooms, SAMPLING, asked, model.config, CPU)["3"]
    for name in ("this network", "its prior's mean"):
        assert rows[name]["expected_error_seen"]["mean"] == pytest.approx(25.5, rel=1e-3)
    assert not {name for name in rows["untrained network"] if "expected" in name or "calibration" in name}
    blind = evaluate(training.evaluate.network_predictors(PlaceNet(MODEL).eval(), asked), rooms, SAMPLING, asked, MODEL,
                     CPU)["3"]  # fmt: skip
    assert not {name for name in blind["its prior's mean"] if "expected" in name or "calibration" in name}


def test_depth_and_classes_are_judged_where_they_are_predicted(rooms):
    row = figures_of(knowing(rooms, metres=0.25, columns=4), rooms)["it"]
    assert row["depth_rmse"]["mean"] == pytest.approx(0.25, abs=1e-4)
    assert row["object_accuracy"]["mean"] == pytest.approx(0.75)
    colour_alone = figures_of(lambda o, v: Prediction(mean_image(o, v, MODEL)), rooms)["it"]
    assert not {"depth_rmse", "object_accuracy", "spread_ratio"} & set(colour_alone)


def test_pixels_of_which_nothing_is_known_do_not_count():
    truth = torch.full((2, 1, 16, 16), 2.0)
    truth[0, :, :4] = 0.0
    truth[1] = 0.0
    off = depth_rmse(torch.full_like(truth, 2.5), truth)
    assert off[0] == pytest.approx(0.5) and off[1].isnan()
    ids = truth[:, 0].to(torch.uint8)
    right = object_accuracy(torch.full((2, 16, 16), 2), ids)
    assert right[0] == 1.0 and right[1].isnan()


def test_the_same_queries_are_asked_with_each_of_the_inputs(rooms):
    given, asked = [], []

    def predict(observations, viewpoints):
        given.append((observations.depth is not None, observations.objects is not None))
        asked.append(viewpoints)
        return Prediction(mean_image(observations, viewpoints, MODEL))

    inputs = ("colour+depth+objects", "colour+depth", "colour")
    figures = figures_of(predict, rooms, queries=4, inputs=inputs)
    assert given == [(True, True), (True, False), (False, False)]
    assert torch.equal(asked[0], asked[1]) and torch.equal(asked[0], asked[2])
    assert list(figures) == ["it", "it, colour+depth", "it, colour"]


def test_rivals_are_asked_once_and_reprojection_only_with_depth(rooms):
    asked = EvaluationConfig(queries=4, observations=(3,), inputs=("colour+depth", "colour"))
    rivals = training.evaluate.rivals(PlaceNet(MODEL), asked)
    figures = evaluate(rivals, rooms, SAMPLING, asked, MODEL, CPU)["3"]
    assert set(figures) == {"untrained network", "mean image", "nearest image", "reprojection"}
    alone = EvaluationConfig(queries=4, observations=(3,), inputs=("colour",))
    assert "reprojection" not in evaluate(rivals, rooms, SAMPLING, alone, MODEL, CPU)["3"]


def test_the_untrained_rival_is_of_the_same_kind_of_network():
    for network in (PlaceNet(MODEL), PublishedNetwork(replace(MODEL, attention_tokens=1, reprojection=False))):
        rival = training.evaluate.untrained(network)
        assert type(rival) is type(network) and rival.config == network.config


def test_predictions_that_are_no_numbers_are_an_error_and_no_figure(rooms):
    def broken(observations, viewpoints):
        images = mean_image(observations, viewpoints, MODEL).clone()
        images[0, 0, 0, 0, 0] = torch.nan
        return Prediction(images)

    with pytest.raises(UserError, match="it: predicts what is no number"):
        figures_of(broken, rooms)


def test_what_stands_behind_something_or_outside_every_picture_was_not_seen():
    """A wall at 3 m across the view, the query 1 m to the left of the observation, both looking along x."""
    config = PlaceNetConfig(image_size=32, field_of_view_degrees=90.0, position_scale=1.0)
    pose = [0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0]
    viewpoints = torch.tensor([[pose]])
    query_viewpoints = viewpoints.clone()
    query_viewpoints[..., 1] = 1.0  # y is left
    wall = torch.full((1, 1, 1, 32, 32), 3.0)
    seen = seen_pixels(wall, query_viewpoints, wall, viewpoints, config)[0, 0, 0]
    assert 0.8 < seen.float().mean() < 0.86  # 6 m of wall are in each picture, 5 m in both
    assert not seen[:, :4].any() and seen[:, 7:].all()
    cupboard = wall.clone()
    cupboard[..., 20:] = 1.0  # hides a part of the wall from the observation
    seen = seen_pixels(wall, query_viewpoints, cupboard, viewpoints, config)[0, 0, 0]
    assert seen[:, 7:24].all() and not seen[:, 27:].any()
    assert not seen_pixels(torch.zeros_like(wall), query_viewpoints, wall, viewpoints, config).any()
    assert not seen_pixels(wall / 2, query_viewpoints, wall, viewpoints, config).any()  # it looked through there


def test_more_observations_see_more(rooms):
    shares = []
    for count in (1, 4):
        draw = draw_scenes(SAMPLING, rooms.lengths, 8, 0, 0, observations=count)
        batch = assemble(draw, rooms.fetch(draw), MODEL.position_scale, CPU)
        shares.append(training.evaluate.pixels_seen(batch, MODEL).float().mean().item())
    assert 0.0 < shares[0] < shares[1] < 1.0


def test_the_spread_is_the_deviation_of_the_samples_and_the_first_of_them_the_prediction(rooms):
    torch.manual_seed(0)
    model = PlaceNet(MODEL).eval()
    draw = draw_scenes(SAMPLING, rooms.lengths, 2, 0, 0, observations=3)
    batch = assemble(draw, rooms.fetch(draw), MODEL.position_scale, CPU)
    asked = (batch.observations, batch.query_viewpoints)
    with torch.no_grad():
        prediction = prior_prediction(model, 1, 3)(*asked)
        generator = torch.Generator().manual_seed(training.evaluate.EVALUATION_SEED)
        scene = model.encode(batch.observations)
        samples = torch.stack([model.predict(scene, batch.query_viewpoints, generator) for _ in range(3)]).numpy()
        without_noise = training.evaluate.prior_mean_prediction(model)
        assert torch.equal(without_noise(*asked).images, without_noise(*asked).images)
    assert np.allclose(prediction.images.numpy(), samples[0], atol=1e-6)
    spread = 255 * np.sqrt(samples.var(axis=0, ddof=1).mean(axis=2))
    assert spread.max() > 0.01 and np.allclose(prediction.spread[:, :, 0].numpy(), spread, rtol=1e-3, atol=1e-4)


def test_intervals_hold_ratios_and_correlations_too():
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 20)
    x, noise = random.uniform(1, 2, (2, 600))
    y = 3 * x + noise
    moments = np.stack([np.ones(600), x, y, x * x, y * y, x * y], axis=1)
    found = correlation(moments, groups)
    assert found["mean"] == pytest.approx(np.corrcoef(x, y)[0, 1]) and found["low"] < found["mean"] < found["high"]
    assert ratio(y, np.ones(600), x, np.ones(600), groups)["mean"] == pytest.approx(y.mean() / x.mean())
    with_gaps = np.where(np.arange(600) % 3 == 0, np.nan, x)
    assert confidence(with_gaps, groups)["mean"] == pytest.approx(np.nanmean(with_gaps))
    assert confidence(np.full(600, np.nan), groups) is None


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    PlaceNet(MODEL).save_pretrained(tmp_path / "weights", {})
    return str(tmp_path / "weights")


def stored_rooms(folder, modalities=("rgb", "depth", "objects")):
    def rooms_of(seed):
        room = round_room(seed)
        yield room if "depth" in modalities else room._replace(depth=None, objects=None)

    write_dataset(folder, Description(16, None, modalities), range(3), rooms_of, 2, 1)
    return str(folder)


ASKED = ["evaluation.queries=6", "sampling.window=12", "sampling.most_observations=4", "device=cpu"]


def test_the_command_writes_figures_table_and_plots(weights, tmp_path, capsys):
    data, output = stored_rooms(tmp_path / "data"), tmp_path / "out"
    inputs = "evaluation.inputs=colour+depth,colour"
    training.evaluate.main([weights, data, *ASKED, "evaluation.observations=1,3", inputs, f"output={output}"])
    record = json.loads((output / "figures.json").read_text())
    assert set(record["figures"]) == {"1", "3"} and record["asked"]["data"] == data
    assert "this network, colour" in record["figures"]["3"] and len(record["model_id"]) == 12
    text = (output / "table.txt").read_text()
    assert text.rstrip("\n") == table(record["figures"]) and text in capsys.readouterr().out
    assert {path.name for path in output.glob("*.png")} == {
        "rmse_by_observations.png", "rmse_by_distance.png", "spread_and_error.png"
    }  # fmt: skip


def test_a_network_that_expects_its_errors_has_a_plot_of_them_with_and_without_depth(tmp_path, capsys):
    torch.manual_seed(0)
    PlaceNet(replace(MODEL, predict_error=True)).save_pretrained(tmp_path / "weights", {})
    for modalities in (("rgb", "depth", "objects"), ("rgb",)):
        data, output = stored_rooms(tmp_path / "-".join(modalities), modalities), tmp_path / f"out-{len(modalities)}"
        words = [*ASKED, "evaluation.observations=3", f"output={output}"]
        training.evaluate.main([str(tmp_path / "weights"), data, *words])
        assert (output / "expected_and_true_error.png").stat().st_size > 1000
        figures = json.loads((output / "figures.json").read_text())["figures"]["3"]["its prior's mean"]
        assert "calibration" in figures and ("calibration_seen" in figures) == ("depth" in modalities)
        assert "expected error of its prior's mean" in capsys.readouterr().out


def test_no_more_houses_are_made_than_are_asked_about_and_what_follows_is_said(weights, tmp_path, monkeypatch, capsys):
    made = []

    def rooms_of(first_seed, houses, maker, place):
        made.append(houses)
        return TrajectorySet.of([round_room(seed) for seed in range(houses)])

    monkeypatch.setattr(training.evaluate, "render_houses", rooms_of)
    monkeypatch.setattr(training.evaluate, "recognise", lambda model, config: {})
    words = [weights, *ASKED, "evaluation.observations=3", f"output={tmp_path / 'out'}", "recognition.houses=4"]
    for queries in ("3", "100"):
        training.evaluate.main([*words, "houses=5", f"evaluation.queries={queries}"])
    assert made == [3, 5]
    assert "two walks each through 4 unseen houses" in capsys.readouterr().err


def test_data_without_depth_is_evaluated_with_a_remark(weights, tmp_path, capsys):
    data = stored_rooms(tmp_path / "data", ("rgb",))
    training.evaluate.main([weights, data, *ASKED, "evaluation.observations=3", f"output={tmp_path / 'out'}"])
    streams = capsys.readouterr()
    assert f"{data}: has no depth: no reprojection" in streams.err
    assert f"{data}: does not say which two walks are through one house: no places are recognised" in streams.err
    assert "reprojection" not in streams.out and "seen" not in streams.out


@pytest.mark.parametrize(
    "words, message",
    [
        (["no/such/weights", "device=cpu"], "no/such/weights/model.json: no weights here"),
        (["w", "evaluation.observations=3,20"], r"evaluation.observations \(20\) must be under sampling.window \(20\)"),
        (["w", "evaluation.inputs=depth"], "evaluation.inputs.*one of colour"),
        (["w", "evaluation.inputs=colour,colour"], "inputs must be at least one, each once"),
        (["w", "evaluation.spread_samples=1"], "spread_samples must be 0 or at least 2, not 1"),
        (["w", "houses=0"], r"houses \(0\) must be at least 1"),
    ],
)
def test_bad_input_is_refused_in_one_line(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as refused:
        training.evaluate.main(words)
    assert "\n" not in str(refused.value) and list(tmp_path.iterdir()) == []


def test_data_that_does_not_fit_is_refused(weights, tmp_path):
    data = stored_rooms(tmp_path / "data", ("rgb",))
    with pytest.raises(
        UserError, match="has rgb alone, so that evaluation.inputs colour and colour.depth are the same"
    ):
        training.evaluate.main([weights, data, *ASKED, "evaluation.inputs=colour,colour+depth"])
    with pytest.raises(UserError, match="none of its trajectories has 41 frames"):
        training.evaluate.main([weights, data, "evaluation.observations=40", "sampling.window=50", "walk.frames=60"])
    check_inputs(("colour", "colour+objects"), ("rgb", "objects"), "somewhere")


def test_the_data_may_be_named_without_its_key():
    assert data_named(["w", "some/folder", "device=cpu"]) == ["w", "data=some/folder", "device=cpu"]
    assert data_named(["w", "device=cpu"]) == ["w", "device=cpu"] and data_named(["--help"]) == ["--help"]
    assert data_named(["w", "--help"]) == ["w", "--help"]


def test_the_authors_model_is_asked_the_same_in_its_own_poses(rooms, tmp_path, capsys):
    config = PlaceNetConfig(image_size=16, representation_channels=16, hidden_channels=8, canvas_channels=8, layers=1,
                            reprojection=False, position_scale=50.0)  # fmt: skip
    torch.manual_seed(0)
    PublishedNetwork(config).save_pretrained(tmp_path / "weights", {"configuration": {"sampling": {"poses": "box"}}})
    data, out = stored_rooms(tmp_path / "data"), tmp_path / "out"
    training.evaluate.main([str(tmp_path / "weights"), data, *ASKED, "evaluation.observations=3", f"output={out}"])
    rows = json.loads((out / "figures.json").read_text())["figures"]["3"]
    assert "spread_seen" in rows["this network"] and "its prior's mean" in rows
    assert rows["reprojection"]["rmse_seen"]["mean"] < rows["nearest image"]["rmse_seen"]["mean"]
