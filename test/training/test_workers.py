"""Processes that a command starts to work beside it."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from training.configuration import UserError
from training.workers import Workers, worker_count

ROOT = Path(__file__).parents[2]
COMMAND = """
import multiprocessing, os
from concurrent.futures import ProcessPoolExecutor
from training.workers import without_importing_the_command

print("imported as", __name__, flush=True)
if __name__ == "__main__":
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        with without_importing_the_command():
            first = pool.submit(os.getpid)
        assert first.result() != os.getpid()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(os.getpid).result()
"""


@pytest.mark.parametrize("words", [["beside.py"], ["-m", "beside"]], ids=" ".join)
def test_a_process_begun_without_the_command_imports_what_it_does_alone(words, tmp_path, monkeypatch):
    (tmp_path / "beside.py").write_text(COMMAND)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    # The command itself, and the second process: one that is begun as usual.
    assert done.stdout.splitlines() == ["imported as __main__", "imported as __mp_main__"]


def test_ctrl_c_is_for_the_command_and_not_for_those_who_work_for_it():
    with Workers(1) as pool:
        worker = pool.submit(os.getpid).result()
        os.kill(worker, signal.SIGINT)
        assert pool.submit(os.getpid).result() == worker
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


AMID_A_RESULT = """
import multiprocessing, os, re, signal
from pathlib import Path
from training.workers import Workers

def bytes_read():
    return int(re.search("rchar: (.*)", Path("/proc/self/io").read_text())[1])

if __name__ == "__main__":
    with Workers(1) as pool:
        pool.submit(bytes, 1_000_000_000)
        (child,) = multiprocessing.active_children()
        before = bytes_read()
        while bytes_read() - before < 100_000_000:
            pass
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert bytes_read() - before < 999_000_000
        raise KeyboardInterrupt
"""


def test_a_command_ends_also_where_one_is_ended_amid_its_result(tmp_path):
    (tmp_path / "amid.py").write_text(AMID_A_RESULT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    where = {"env": environment, "capture_output": True, "text": True}
    done = subprocess.run([sys.executable, "amid.py"], cwd=tmp_path, timeout=60, **where)
    assert done.returncode == -signal.SIGINT and done.stderr.endswith("\nKeyboardInterrupt\n"), done.stderr


def test_an_exception_ends_those_who_work_at_once_and_nobody_else():
    begun = time.monotonic()
    with Workers(1) as earlier, ExitStack() as until_the_end:
        others = {earlier: earlier.submit(os.getpid).result()}
        with pytest.raises(KeyError), Workers(1) as pool:
            pool.submit(time.sleep, 600)
            later = until_the_end.enter_context(Workers(1))
            others[later] = later.submit(os.getpid).result()
            raise KeyError
        assert sorted(child.pid for child in multiprocessing.active_children()) == sorted(others.values())
        assert all(one.submit(os.getpid).result() == worker for one, worker in others.items())
        assert time.monotonic() - begun < 300


def test_ctrl_c_while_those_who_work_are_begun_ends_them_too(monkeypatch):
    begin, done = ProcessPoolExecutor.submit, threading.Event()

    def interrupted(*arguments):
        begin(*arguments)
        os.kill(os.getpid(), signal.SIGINT)  # the other thread lets it through
        for _ in range(600):  # the main thread hears of it between two steps of Python
            time.sleep(0.1)

    other = threading.Thread(target=done.wait, daemon=True)
    other.start()
    monkeypatch.setattr(ProcessPoolExecutor, "submit", interrupted)
    begun = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt), Workers(1) as pool:
            pool.submit(time.sleep, 120)
    finally:
        done.set()
        other.join()
    assert not multiprocessing.active_children()
    assert time.monotonic() - begun < 50  # neither slept for nor worked for


def test_no_workers_are_refused():
    with pytest.raises(UserError, match="at least 1, not 0"):
        worker_count(0)
