"""Processes that a command starts to work beside it."""

import subprocess
import sys
from pathlib import Path

import pytest

from training.configuration import UserError
from training.workers import worker_count

ROOT = Path(__file__).parents[2]
ASKED = """
from concurrent.futures import ProcessPoolExecutor
from training.workers import worker_context
import training.data.check
with ProcessPoolExecutor(2, worker_context()) as pool:
    print(*pool.map(eval, ["'training.data.check' in __import__('sys').modules", "__import__('os').getppid()"]))
"""


def test_workers_are_forks_of_a_process_that_imported_what_the_command_has():
    command = subprocess.Popen([sys.executable, "-c", ASKED], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    imported, parent = command.communicate(timeout=60)[0].split()
    assert command.returncode == 0
    assert imported == "True"
    assert int(parent) != command.pid, "what draws must not be a fork of the command"


def test_no_workers_are_refused():
    with pytest.raises(UserError, match="at least 1, not 0"):
        worker_count(0)
