"""Processes that a command starts to work beside it."""

import subprocess
import sys
from pathlib import Path

import pytest

from training.configuration import UserError
from training.workers import worker_count

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


def test_no_workers_are_refused():
    with pytest.raises(UserError, match="at least 1, not 0"):
        worker_count(0)
