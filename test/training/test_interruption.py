"""Ctrl-C, SIGTERM and SIGKILL at any moment of a command, in real processes: it ends in one line, with its own."""

import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest
from small_run import SCRIPT

from training.configuration import REPOSITORY

PATIENCE = 300  # seconds; machines may be busy
COMMAND = {
    "run.sh": [str(SCRIPT), "smoke"],
    "evaluate": [sys.executable, "-m", "training.evaluate", "weights/placenet-small"],
    "ablation": [sys.executable, "-m", "benchmarks.ablation"],
}
HOUSES = [str(SCRIPT), "smoke", "device=cpu", "houses.train=400"]
# Ctrl-C as a terminal gives it, to all of the group, just when a module is imported.
CTRL_C_AT = """
import importlib.abc, os, signal, sys

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == os.environ["CTRL_C_AT"] and {"training", "benchmarks"} & set(sys.modules):
            os.environ["CTRL_C_AT"] = ""
            os.killpg(0, signal.SIGINT)

sys.meta_path.insert(0, Finder())
"""


def interrupted_at(tmp_path, command, module, **options):
    """What a command comes to that is interrupted when it imports a module."""
    (tmp_path / "sitecustomize.py").write_text(CTRL_C_AT)
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "CTRL_C_AT": module}
    how = {"env": environment, "cwd": REPOSITORY, "capture_output": True, "text": True, "start_new_session": True}
    return subprocess.run(command, timeout=PATIENCE, **how, **options)


@pytest.mark.parametrize(
    "command, module",
    [
        ("run.sh", "training.launch"),
        ("run.sh", "numpy"),  # by PyTorch, which passes over what goes wrong there
        ("run.sh", "scipy.optimize"),  # by trimesh, which does so too
        ("evaluate", "torch"),
        ("ablation", "scipy.optimize"),
    ],
)
def test_ctrl_c_while_a_command_imports_ends_it_in_one_line(command, module, tmp_path):
    ended = interrupted_at(tmp_path, COMMAND[command], module)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "interrupted\n")


def test_a_background_job_goes_on_ignoring_ctrl_c(tmp_path):
    ended = interrupted_at(tmp_path, ["sh", "-c", f"trap '' INT; exec {SCRIPT} --help"], "scipy.optimize")
    assert ended.returncode == 0 and ended.stdout.startswith("usage:"), ended.stderr


def test_who_imports_the_packages_keeps_his_signals():
    told = "import signal, benchmarks, training; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run([sys.executable, "-c", told], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr


def test_ctrl_c_within_code_that_is_run_from_a_string_ends_a_command_with_its_status(tmp_path):
    told = "from training.configuration import run_command\nrun_command(lambda argv: exec('raise KeyboardInterrupt'))"
    (tmp_path / "interrupted_command.py").write_text(told)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(REPOSITORY)])}
    words = [sys.executable, "-m", "interrupted_command"]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (130, "interrupted\n")


def in_a_terminal(words, until, act):
    """Status and output of a command in a terminal of its own, where act(pid, terminal) is done at its first `until`.

    Returns when nothing of it runs any more; fails, with what it said, where that or `until` does not come.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(words[0], words)
    said, acted, deadline = b"", False, time.monotonic() + PATIENCE
    try:
        while select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0]:
            try:
                said += os.read(terminal, 4096)
            except OSError:  # nobody has the terminal any more
                break
            if not acted and until in said:
                acted = True
                act(pid, terminal)
        assert acted, f"never said {until}: {said}"
        while is_running(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not is_running(pid), f"something of it still runs after {PATIENCE} s: {said}"
    finally:
        os.close(terminal)
        if is_running(pid):
            os.killpg(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status, said.decode().replace("\r\n", "\n")


def is_running(group):
    """Whether there is any process of a group but those that have ended."""
    stats = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True).stdout.splitlines()
    return any(int(line.split()[0]) == group and line.split()[1][0] != "Z" for line in stats)


def ctrl_c(pid, terminal):
    os.write(terminal, b"\x03")


def sigterm(pid, terminal):
    os.kill(pid, signal.SIGTERM)


def ctrl_c_a_little_later(pid, terminal):
    time.sleep(0.7)  # those who are to draw have begun, and import
    ctrl_c(pid, terminal)


@pytest.mark.parametrize(
    "processes, until, act, status, lines",
    [
        (1, b"to be judged by", ctrl_c_a_little_later, 130, ["^Cinterrupted"]),
        (1, b"1 of 400", ctrl_c, 130, ["^Cinterrupted"]),
        (1, b"1 of 400", sigterm, 143, []),
        (2, b"1 of 200", ctrl_c, 130, ["^Cinterrupted"]),
    ],
)
def test_what_comes_while_houses_are_drawn_ends_those_who_draw_them_too(processes, until, act, status, lines, tmp_path):
    ended, said = in_a_terminal([*HOUSES, f"processes={processes}", f"run={tmp_path / 'run'}"], until, act)
    begins, *others = [text for text in said.replace("\r", "\n").split("\n") if text]
    made = "400 houses to learn from and 6 houses to be judged by"
    assert begins == f"{tmp_path / 'run'}: to 1,200 samples on cpu; first makes {made}"
    assert ended == status, said
    assert [text for text in others if not text.startswith("houses from seed")] == lines, said


def test_those_who_draw_houses_end_also_when_the_command_is_killed(tmp_path):
    told = tmp_path / "stderr"
    with told.open("w") as file:
        words = [*HOUSES, f"run={tmp_path / 'run'}"]
        training = subprocess.Popen(words, stderr=file, start_new_session=True)  # without a terminal that hangs up
    deadline = time.monotonic() + PATIENCE
    try:
        while training.poll() is None and "of 400, " not in told.read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert "of 400, " in told.read_text() and training.poll() is None, told.read_text()
        training.kill()
        while is_running(training.pid) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not is_running(training.pid), told.read_text()
        assert training.wait() == -signal.SIGKILL, told.read_text()
    finally:
        if is_running(training.pid):
            os.killpg(training.pid, signal.SIGKILL)
        training.wait()
