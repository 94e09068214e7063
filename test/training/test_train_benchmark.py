"""The benchmark of training runs on a CPU, at its smallest, and keeps its figures."""

import json

import pytest
from round_room import round_room

from benchmarks.train import main
from training.data.shards import Description
from training.data.writing import write_dataset


@pytest.fixture
def benchmark(tmp_path, capfd):
    """Its output, and its figures by part. It starts a process for each part."""

    def run(*words):
        file = tmp_path / "figures.jsonl"
        main(["--smoke", "--device", "cpu", "--json", str(file), *words])
        rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        figures = {part: [row for row in rows if row["part"] == part] for part in {row["part"] for row in rows}}
        return capfd.readouterr().out, figures

    return run


def test_speeds_and_whether_all_ways_agree_are_printed_and_kept(benchmark):
    output, figures = benchmark("--steps", "2", "--check", "--variants", "placenet,", "published,")
    assert [row["variant"] for row in figures["speed"]] == ["placenet, launched", "published, launched"]
    for row in figures["speed"]:
        assert row["samples_per_second"] == pytest.approx(2000 / row["step_ms"])
        assert row["share_of_ceiling"] == pytest.approx(row["tflops"] / figures["ceiling"][0]["tflops"])
    assert all(row["agrees"] for row in figures["check"])
    assert "| placenet, launched | 2 x 1 | 2 |" in output


def test_a_profile_says_which_kernels_take_the_time(benchmark):
    words = ["--variants", "none of them", "--profile", "placenet, launched", "--kernels", "5"]
    _, figures = benchmark("--steps", "2", *words)
    kinds = [row for row in figures["profile"] if row["kernel"].startswith("(")]
    assert sum(row["share"] for row in kinds) == pytest.approx(1)
    assert len(figures["profile"]) == len(kinds) + 5


def rooms(seed):
    """A unit's trajectories, as `write_dataset` asks for them."""
    yield round_room(seed, frames=30)


def test_waiting_for_shards_is_measured(benchmark, tmp_path):
    write_dataset(tmp_path / "shards", Description(16, None), range(4), rooms, 2, 1)
    words = ["--data", str(tmp_path / "shards"), "--data-variant", "placenet, launched", "--workers", "0"]
    output, figures = benchmark("--steps", "2", "--variants", "none of them", *words)
    assert [row["data"] for row in figures["data"]] == ["made ready ahead", "in the loop"]
    assert all(0 <= row["data_wait"] < 1 for row in figures["data"])


def test_a_part_that_takes_too_long_is_stopped_and_the_others_measured(benchmark):
    output, _ = benchmark("--variants", "placenet, launched", "--limit", "0.1")
    assert "ceiling: stopped after 0 s" in output and "speed:placenet, launched: stopped after" in output
