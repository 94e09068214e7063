"""The benchmarks start and print their figures; here at their smallest."""

import subprocess
import sys

import pytest

from training.configuration import REPOSITORY


@pytest.mark.parametrize(
    "words, last_line",
    [
        (["benchmarks.predict", "--models", "placenet-small", "--repeats", "1"], "| placenet-small |"),
        (["benchmarks.read", "trajectories=2", "rounds=1", "seconds=0.1"], "| 128 |"),
        (["benchmarks.render", "houses=1", "processes=1"], "trajectories in shards, 1 processes"),
    ],
)
def test_a_benchmark_prints_its_figures(words, last_line):
    done = subprocess.run([sys.executable, "-m", *words], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(last_line)
