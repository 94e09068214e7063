"""Training that is stopped or killed, as real processes: nothing is lost but what came after the last checkpoint."""

import contextlib
import os
import signal
import subprocess
import time

import pytest
import torch
from small_run import SCRIPT, SMALL, assert_same_weights, rooms_on_disk, start_sh, train_here

from training.checkpoints import newest_checkpoint

LONGER = ["schedule.samples=600", "evaluate_every=200"]
SLOW = ["evaluate_every=8", "evaluate_queries=512"]  # an evaluation after each step: time to stop or kill it in
PATIENCE = 600  # seconds; machines may be busy


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return [*SMALL, *LONGER, *rooms_on_disk(tmp_path_factory.mktemp("rooms") / "data")]


@pytest.fixture(scope="module")
def uninterrupted(words, tmp_path_factory):
    """The folder of a run by one process."""
    run = tmp_path_factory.mktemp("uninterrupted") / "run"
    train_here(*words, f"run={run}")
    return run


def training_at_work(run, *words, start=start_sh):
    """training/run.sh, once it has told figures that were not there before."""
    before = told(run)
    training = start(*words, *SLOW, f"run={run}")
    while training.poll() is None and told(run) <= before:
        time.sleep(0.02)
    assert training.poll() is None, training.communicate()[1]
    return training


def start_in_background(*words):
    """training/run.sh as a shell's script starts `nohup ... &`; here in a group of its own."""
    command = ["sh", "-c", """trap '' INT HUP; exec "$0" "$@" """, SCRIPT, *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes, start_new_session=True)


def told(run):
    """Samples that the newest figures are of."""
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return max([int(line.split(",")[0].split()[-1]) for line in lines if '"loss"' in line], default=0)


def test_stopped_and_killed_training_ends_as_uninterrupted_training_bit_for_bit(words, uninterrupted, tmp_path):
    run = tmp_path / "run"
    stopped = training_at_work(run, *words, "checkpoint_every=600")
    stopped.send_signal(signal.SIGTERM)
    _, said = stopped.communicate(timeout=PATIENCE)
    samples_seen = newest_checkpoint(run / "checkpoints")["samples_seen"]
    assert stopped.returncode == 143 and 0 < samples_seen < 600, said
    assert f"stopped by SIGTERM after {samples_seen} samples: the same command goes on from there" in said
    assert not (run / "weights").exists()
    killed = training_at_work(run, *words, "checkpoint_every=24")
    killed.kill()
    assert killed.wait(PATIENCE) == -signal.SIGKILL
    train_here(*words, f"run={run}")
    assert_same_weights(run, uninterrupted)
    states = [newest_checkpoint(folder / "checkpoints") for folder in (run, uninterrupted)]
    for part in ("model", "average"):
        assert all(torch.equal(tensor, states[1][part][name]) for name, tensor in states[0][part].items())


def test_two_processes_stop_together_at_ctrl_c_and_one_goes_on(words, uninterrupted, tmp_path):
    run = tmp_path / "run"
    training = training_at_work(run, *words, "checkpoint_every=600", "processes=2")
    training.send_signal(signal.SIGINT)
    _, said = training.communicate(timeout=PATIENCE)
    samples_seen = newest_checkpoint(run / "checkpoints")["samples_seen"]
    assert training.returncode == 130 and 0 < samples_seen < 600, said
    assert said.count("stopped by SIGINT") == 1
    train_here(*words, f"run={run}")
    assert_same_weights(run, uninterrupted, tolerance=1e-3)  # rounding, over 75 steps


def test_a_signal_to_all_of_a_group_is_the_trainings_also_while_readers_of_shards_begin(words, tmp_path):
    """As `timeout` and schedulers of jobs send it."""
    run = tmp_path / "run"
    command = [SCRIPT, *words, *SLOW, "data.workers=2", f"run={run}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    training = subprocess.Popen(command, **pipes, start_new_session=True)
    while training.poll() is None and not (len(readers_of(training)) == 2 and (run / "metrics.jsonl").exists()):
        time.sleep(0.02)
    time.sleep(0.2)  # training is in its loop, and waits for them; they import
    assert told(run) == 0
    os.killpg(training.pid, signal.SIGTERM)
    _, said = training.communicate(timeout=PATIENCE)
    assert training.returncode == 143 and "stopped by SIGTERM after 8 samples" in said, said
    assert newest_checkpoint(run / "checkpoints")["samples_seen"] == 8


def readers_of(training):
    """Processes that read shards for a training, by their numbers."""
    listed = subprocess.run(["pgrep", "-P", str(training.pid), "-f", "spawn_main"], capture_output=True, text=True)
    return listed.stdout.split()


def test_the_third_signal_ends_processes_that_hear_none(words, tmp_path):
    """One is stopped, and the other waits for it, as for a GPU that never answers."""
    training = training_at_work(tmp_path / "run", *words, "schedule.samples=40000", "processes=2")
    listed = subprocess.run(["pgrep", "-P", str(training.pid)], capture_output=True, text=True)
    processes = listed.stdout.split()
    os.kill(int(processes[-1]), signal.SIGSTOP)
    try:
        for _ in range(2):
            for _ in range(2):  # as `timeout` sends them: they count once
                training.send_signal(signal.SIGTERM)
                time.sleep(0.2)
            time.sleep(1.2)
            assert training.poll() is None
        training.send_signal(signal.SIGTERM)
        _, said = training.communicate(timeout=PATIENCE)
        assert training.returncode == 137 and "was ended by SIGKILL" in said, said
        assert is_none_left(processes)
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)
        training.kill()


def is_none_left(pids):
    return subprocess.run(["ps", "-p", ",".join(pids)], capture_output=True).returncode != 0


@pytest.mark.parametrize("processes", [1, 2])
def test_a_background_job_trains_on_through_ctrl_c_and_the_end_of_its_terminal(processes, words, tmp_path):
    run = tmp_path / "run"
    training = training_at_work(run, *words, "schedule.samples=80", f"processes={processes}", start=start_in_background)
    os.killpg(training.pid, signal.SIGINT)
    os.killpg(training.pid, signal.SIGHUP)
    assert told(run) < 80
    _, said = training.communicate(timeout=PATIENCE)
    assert training.returncode == 0 and "stopped" not in said, said
    assert told(run) == 80 and (run / "weights").exists()


def test_a_process_that_is_killed_ends_the_others_and_that_is_said_and_the_same_command_goes_on(words, tmp_path):
    command = tmp_path / "run", *words, "schedule.samples=40000", "checkpoint_every=8", "processes=2"
    training = training_at_work(*command)
    listed = subprocess.run(["pgrep", "-P", str(training.pid)], capture_output=True, text=True)
    os.kill(int(listed.stdout.split()[-1]), signal.SIGKILL)
    killed = time.monotonic()
    _, said = training.communicate(timeout=PATIENCE)
    assert time.monotonic() - killed < 60
    assert training.returncode != 0
    assert "was ended by SIGKILL" in said or "another process of this training ended" in said, said
    assert "Traceback" not in said, said
    samples_seen = newest_checkpoint(tmp_path / "run" / "checkpoints")["samples_seen"]
    again = training_at_work(*command)
    again.send_signal(signal.SIGTERM)
    _, said = again.communicate(timeout=PATIENCE)
    assert f"resumed after {samples_seen} samples" in said and again.returncode == 143, said


def test_a_reader_of_shards_that_the_system_kills_ends_training_with_one_line(words, tmp_path):
    run = tmp_path / "run"
    training = training_at_work(run, *words, "schedule.samples=40000", "data.workers=1")
    reader = subprocess.run(["pgrep", "-P", str(training.pid), "-f", "spawn_main"], capture_output=True, text=True)
    os.kill(int(reader.stdout), signal.SIGKILL)
    _, said = training.communicate(timeout=PATIENCE)
    assert training.returncode == 2, said
    begins, *lines = said.splitlines()
    assert begins.startswith(f"{run}: to 40,000 samples on cpu"), begins
    (line,) = [line for line in lines if "samples  " not in line and not line.startswith("  RMSE")]
    data = words[-1].removeprefix("data.unseen=")
    assert line.startswith(f"error: {data}: of the processes that read it, pid {reader.stdout.strip()} "), said
    assert "lower data.workers; the same command goes on from the last checkpoint" in line
