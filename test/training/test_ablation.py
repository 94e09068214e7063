"""The ablation: rows on the same houses and queries, done once each, whatever interrupts it."""

import json
import signal
import subprocess
import sys
import time

import pytest
from round_room import round_room

import benchmarks.ablation
from benchmarks.ablation import ROWS, AblationConfig, HousesMadeOnce, check_rows, distinct, main, row_config
from training.configuration import REPOSITORY, UserError
from training.data.trajectories import TrajectorySet

TINY = ("scenes=2", "model.image_size=16", "model.representation_channels=16", "model.hidden_channels=8",
        "model.canvas_channels=8", "model.layers=2")  # fmt: skip
WORDS = ["device=cpu", "houses.train=2", "houses.unseen=1", "houses.walk.frames=40", "evaluation.queries=4",
         "evaluation.spread_samples=2", "also=" + ",".join(TINY)]  # fmt: skip


@pytest.fixture
def rendered(monkeypatch):
    """Round rooms instead of houses; the seeds that were asked for."""
    asked = []

    def rooms(first_seed, houses, maker, place, cores=None):
        asked.append(first_seed)
        return TrajectorySet.of(
            [round_room(first_seed + index, maker.walk.frames, maker.image_size) for index in range(houses)]
        )

    monkeypatch.setattr(benchmarks.ablation, "render_houses", rooms)
    return asked


def results(out):
    return {path.stem: json.loads(path.read_text()) for path in out.glob("*.json")}


@pytest.mark.parametrize("name", ROWS)
def test_each_row_is_a_configuration_that_training_takes(name):
    config = row_config(name, AblationConfig(rows=(name,), samples=1000))
    assert config.schedule.samples == 1000 and config.run == f"runs/ablation/runs/{name}"


def test_a_network_without_heads_tells_colours_alone():
    for name in ("no-heads", "gqn-small", "published-small"):
        model = row_config(name, AblationConfig(rows=(name,))).model
        assert (model.predict_depth, model.predicted_classes, model.predict_error) == (False, 0, False), name
    assert row_config("base", AblationConfig()).model.predict_error
    assert not row_config("no-error", AblationConfig()).model.predict_error


def test_the_table_tells_expected_errors_beside_spreads(rendered, tmp_path):
    main(["rows=base,no-error", "samples=8", f"out={tmp_path}", *WORDS])
    head, _, base, without, *_ = (tmp_path / "table.md").read_text().splitlines()
    titles = [title.strip() for title in head.split("|")]
    figures = results(tmp_path)["base"]["figures"]["5"]["its prior's mean"]
    for title, measure in (("expected error unseen / seen, 5", "expected_error_ratio"),
                           ("expected / true error, 5", "calibration")):  # fmt: skip
        cells = [row.split("|")[titles.index(title)].strip() for row in (base, without)]
        assert cells == [f"{figures[measure]['mean']:.2f}", ""]
    assert "spread unseen / seen, 5" in titles


def test_rows_share_their_houses_and_differ_in_what_they_say(rendered, tmp_path, capsys):
    main(["rows=base,no-attention,published", "samples=24", f"out={tmp_path}", *WORDS])
    assert rendered == [0, 10_000_000]  # each house once, for all rows
    rows = results(tmp_path)
    assert list(rows) and {row["samples"] for row in rows.values()} == {24}
    mean_images = {row["figures"]["5"]["mean image"]["rmse"]["mean"] for row in rows.values()}
    assert len(mean_images) == 1  # the same queries
    assert len({row["figures"]["5"]["this network"]["rmse"]["mean"] for row in rows.values()}) == 3
    table = (tmp_path / "table.md").read_text()
    assert table in capsys.readouterr().out
    published = rows["published"]["figures"]["5"]["this network"]["rmse"]["mean"]
    share = rows["base"]["figures"]["5"]["this network"]["rmse"]["mean"] / published
    assert f"| base | {share:.2f} |" in table and "| published | 1.00 | 1.00 |" in table
    asked = set(rows["base"]["figures"]["5"])
    assert {"this network", "this network, colour", "mean image", "reprojection"} <= asked


def test_equal_minutes_instead_of_samples(rendered, tmp_path):
    main(["rows=base,published", "minutes=0.02", f"out={tmp_path}", *WORDS])
    assert all(row["seconds"] >= 1.2 and row["samples"] > 0 for row in results(tmp_path).values())


def test_an_ablation_that_is_killed_goes_on_where_it_was(rendered, tmp_path, capsys):
    asked = ["rows=base,published", "samples=160", f"out={tmp_path}", *WORDS, "houses.train=1"]
    words = [sys.executable, "-m", "benchmarks.ablation", *asked]
    with subprocess.Popen(words, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        while not list((tmp_path / "runs" / "published" / "checkpoints").glob("*.pt")):
            assert running.poll() is None
            time.sleep(0.02)
        running.send_signal(signal.SIGKILL)
    first = (tmp_path / "base.json").read_bytes()
    assert list(results(tmp_path)) == ["base"]
    main(asked)  # in round rooms, sooner made than houses: what is learned there does not matter
    told = capsys.readouterr().err
    assert "base: done before" in told and "resumed after" in told
    assert (tmp_path / "base.json").read_bytes() == first
    assert results(tmp_path)["published"]["samples"] == 160


def test_a_row_that_fails_is_named_and_the_others_are_done(rendered, tmp_path, monkeypatch, capsys):
    train = benchmarks.ablation.train

    def without_memory(config, *others):
        if "base" in config.run:
            raise RuntimeError("out of memory")
        train(config, *others)

    monkeypatch.setattr(benchmarks.ablation, "train", without_memory)
    with pytest.raises(UserError, match="rows that failed: base"):
        main(["rows=base,no-attention", "samples=8", f"out={tmp_path}", *WORDS])
    assert list(results(tmp_path)) == ["no-attention"]
    assert "row base: out of memory" in capsys.readouterr().err


def test_a_folder_of_another_ablation_is_left_alone(rendered, tmp_path):
    main(["rows=base", "samples=8", f"out={tmp_path}", *WORDS])
    before = (tmp_path / "base.json").read_bytes()
    with pytest.raises(UserError, match=r"another configuration \(schedule.samples: 8 -> 16\)"):
        main(["rows=base", "samples=16", f"out={tmp_path}", *WORDS])
    assert (tmp_path / "base.json").read_bytes() == before


def test_a_row_that_changes_nothing_is_left_out(capsys):
    config = AblationConfig(also=("schedule.final_sigma=0.7",), rows=("base", "sigma-0.7", "box"))
    assert list(distinct({name: row_config(name, config) for name in config.rows})) == ["base", "box"]
    assert "row sigma-0.7 is left out: it is the same as base" in capsys.readouterr().err


def test_rows_with_other_queries_are_refused():
    configs = {name: row_config(name, AblationConfig(also=(f"sampling.window={window}",)))
               for name, window in (("base", 20), ("box", 25))}  # fmt: skip
    with pytest.raises(UserError, match="different queries .base 20, box 25"):
        check_rows(configs)


@pytest.mark.parametrize(
    "words, said",
    [
        (["rows=bsae"], "no row 'bsae': they are base, "),
        (["rows=base,base"], "named once each"),
        (["samples=0"], "samples must be at least 1, not 0"),
        (["rows=published", "also=model.reprojection=true"], "row published: .*model.reprojection=False, not True"),
        (["rows=box", "also=model.position_scale=3"], "row box: .*model.position_scale=50, not 3"),
    ],
)
def test_what_cannot_be_run_is_refused_before_any_work(words, said, tmp_path):
    with pytest.raises(UserError, match=said):
        main([*words, f"out={tmp_path / 'out'}"])
    assert not (tmp_path / "out").exists()


def test_houses_stay_where_they_were_first_put(rendered):
    houses = HousesMadeOnce()
    maker = benchmarks.ablation.TrajectoryMaker(image_size=16)
    first = houses(3, 1, maker, "cpu")
    assert houses(3, 1, maker, "elsewhere") is first and rendered == [3]
    assert houses(4, 1, maker, "cpu") is not first
