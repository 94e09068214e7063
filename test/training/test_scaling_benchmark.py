"""The benchmark of several GPUs runs with gloo processes, keeps its figures, and ends with a line when one fails."""

import json
import os
import signal
import subprocess
import threading
import time

import pytest
from small_run import rooms_on_disk

from benchmarks.scaling import main, share_of_linear
from training.configuration import UserError

SMALL = ["--smoke", "--device", "cpu", "--scenes", "3", "--observations", "2", "--steps", "2"]


def rows_of(file):
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_one_and_two_processes_are_measured_weak_and_strong_with_each_exchange(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    main([*SMALL, "--json", str(tmp_path / "figures.jsonl")])
    rows = rows_of(tmp_path / "figures.jsonl")
    shown = [(row["processes"], row["scaling"], row["scenes"], row["exchange"], row["feed"]) for row in rows]
    assert shown == [
        (1, "weak", 3, "none", "held"),
        (1, "weak", 3, "none", "memory"),
        (2, "weak", 3, "none", "held"),
        (2, "weak", 3, "float32", "held"),
        (2, "weak", 3, "float32", "memory"),
        (2, "weak", 3, "bfloat16", "held"),
        (2, "strong", 2, "none", "held"),
        (2, "strong", 2, "float32", "held"),
        (2, "strong", 2, "bfloat16", "held"),
    ]
    alone, _, apart, full, fed, half = rows[:6]
    assert full["samples_per_second"] == pytest.approx(2 * 3 * 1000 / full["step_ms"])
    assert full["of_linear"] == pytest.approx(full["samples_per_second"] / (2 * alone["samples_per_second"]))
    assert full["share_alone"] == pytest.approx(full["exchange_ms"] / full["step_ms"])
    assert full["share_not_hidden"] == pytest.approx(1 - apart["step_ms"] / full["step_ms"])
    assert full["exchanged_bytes"] == 2 * half["exchanged_bytes"] > 0
    rate = full["exchanged_bytes"] / (full["all_reduce_ms"] / 1000) / 1e9  # times 2 (n - 1) / n, which is 1
    assert full["bus_gigabytes_per_second"] == pytest.approx(rate)
    assert 0 <= fed["data_wait"] < 1 and all(row["unusable_steps"] == 0 for row in rows)
    assert capfd.readouterr().out.count("\n| 2 | weak") == 4


def test_scenes_can_come_from_shards(tmp_path):
    data, _ = rooms_on_disk(tmp_path / "shards")
    words = ["--data", data.removeprefix("data.train="), "--workers", "0", "--json", str(tmp_path / "figures.jsonl")]
    main([*SMALL, *words, "--only", "1"])
    held, fed = rows_of(tmp_path / "figures.jsonl")
    assert (held["feed"], fed["feed"]) == ("held", "shards")
    assert fed["of_linear"] == 1 and 0 <= fed["data_wait"] < 1


def test_a_process_that_is_killed_ends_the_run_with_one_line(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    file = tmp_path / "figures.jsonl"

    def kill_one_at_work():
        while not rows_of(file):
            time.sleep(0.02)
        newest = subprocess.run(["pgrep", "-n", "-f", str(file)], capture_output=True, text=True)
        os.kill(int(newest.stdout), signal.SIGKILL)

    threading.Thread(target=kill_one_at_work, daemon=True).start()
    with pytest.raises(SystemExit) as ended:
        main([*SMALL, "--processes", "2", "--json", str(file)])
    assert ended.value.code == 128 + signal.SIGKILL
    said = capfd.readouterr().err
    assert said in [f"error: process {rank} was ended by SIGKILL on {os.uname().nodename}\n" for rank in range(2)]


def test_what_goes_wrong_in_a_process_is_one_line_and_a_file_that_has_it_in_full(tmp_path, monkeypatch):
    def failing(arguments, processes):
        raise RuntimeError("NCCL is not in the mood\nlong story")
        yield

    monkeypatch.setattr("benchmarks.scaling.rows", failing)
    report = tmp_path / "figures.process-0.txt"
    with pytest.raises(UserError) as told:
        main([*SMALL, "--only", "1", "--json", str(tmp_path / "figures.jsonl")])
    assert str(told.value) == f"process 0 of 1: RuntimeError: NCCL is not in the mood (in full: {report})"
    assert "in failing" in report.read_text() and "long story" in report.read_text()


def test_what_takes_too_long_is_stopped(tmp_path, capfd):
    main([*SMALL, "--processes", "2", "--limit", "0.1", "--json", str(tmp_path / "figures.jsonl")])
    assert "2 processes: stopped after 0 s" in capfd.readouterr().out


def test_scaling_is_told_by_what_one_process_reached_with_batches_from_the_same_place():
    speeds = {"held": 50, "memory": 40}
    one = [{"processes": 1, "feed": feed, "samples_per_second": speed} for feed, speed in speeds.items()]
    assert share_of_linear({"processes": 4, "feed": "memory", "samples_per_second": 120}, one) == 0.75
    assert share_of_linear(one[0], []) == 1
    assert share_of_linear({"processes": 4, "feed": "memory", "samples_per_second": 120}, []) is None


def test_mistakes_are_said_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.scaling.gpus_of", lambda arguments: 4)
    with pytest.raises(UserError, match="--processes 8: one for each GPU at most, and there are 4"):
        main(["--processes", "8"])
    with pytest.raises(UserError, match="no data set"):
        main([*SMALL, "--data", str(tmp_path)])
    assert list(tmp_path.iterdir()) == []
