"""The benchmark of training runs on a CPU, at its smallest, and keeps its figures."""

import json
import subprocess
import sys

import pytest
from round_room import round_room

from training.configuration import REPOSITORY
from training.data.shards import Description
from training.data.writing import write_dataset


def benchmark(folder, *words):
    """Its output, and its figures by part."""
    file = folder / "figures.jsonl"
    command = [sys.executable, "-m", "benchmarks.train", "--smoke", "--device", "cpu", "--steps", "2"]
    done = subprocess.run([*command, "--json", str(file), *words], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return done.stdout, {part: [row for row in rows if row["part"] == part] for part in {row["part"] for row in rows}}


def test_speeds_and_whether_all_ways_agree_are_printed_and_kept(tmp_path):
    output, figures = benchmark(tmp_path, "--check", "--variants", "placenet,", "published,")
    assert [row["variant"] for row in figures["speed"]] == ["placenet, launched", "published, launched"]
    for row in figures["speed"]:
        assert row["samples_per_second"] == pytest.approx(2000 / row["step_ms"])
        assert row["share_of_ceiling"] == pytest.approx(row["tflops"] / figures["ceiling"][0]["tflops"])
    assert all(row["agrees"] for row in figures["check"])
    assert "| placenet, launched | 2 x 1 | 2 |" in output


def test_a_profile_says_which_kernels_take_the_time(tmp_path):
    _, figures = benchmark(tmp_path, "--variants", "none of them", "--profile", "placenet, launched", "--kernels", "5")
    kinds = [row for row in figures["profile"] if row["kernel"].startswith("(")]
    assert sum(row["share"] for row in kinds) == pytest.approx(1)
    assert len(figures["profile"]) == len(kinds) + 5


def rooms(seed):
    """A unit's trajectories, as `write_dataset` asks for them."""
    yield round_room(seed, frames=30)


def test_waiting_for_shards_is_measured(tmp_path):
    write_dataset(tmp_path / "shards", Description(16, None), range(4), rooms, 2, 1)
    words = ["--data", str(tmp_path / "shards"), "--data-variant", "placenet, launched", "--workers", "0"]
    output, figures = benchmark(tmp_path, "--variants", "none of them", *words)
    assert [row["data"] for row in figures["data"]] == ["made ready ahead", "in the loop"]
    assert all(0 <= row["data_wait"] < 1 for row in figures["data"])


def test_a_part_that_takes_too_long_is_stopped_and_the_others_measured(tmp_path):
    file = tmp_path / "figures.jsonl"
    words = ["--smoke", "--device", "cpu", "--variants", "placenet, launched", "--limit", "0.1", "--json", str(file)]
    command = [sys.executable, "-m", "benchmarks.train", *words]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert "ceiling: stopped after 0 s" in done.stdout and "speed:placenet, launched: stopped after" in done.stdout
