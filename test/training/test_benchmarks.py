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
        (["benchmarks.places", "places=2", "descriptors=3", "lookups=5"], "| 2 | 6 | "),
        (["benchmarks.recall", "houses=1", "frames=13", "observations=2"], "26 observations, "),
        (["benchmarks.elsewhere", "houses=1", "frames=13", "every=13", "observations=2"], "| 2 and more | "),
    ],
)
def test_a_benchmark_prints_its_figures(words, last_line):
    done = subprocess.run([sys.executable, "-m", *words], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1].startswith(last_line)
    if last_line.startswith("|"):  # the last line of a table
        rule = max(number for number, line in enumerate(lines) if line.startswith("| ---"))
        assert lines[-1].count("|") == lines[rule - 1].count("|") == lines[rule].count("|"), "cells"


def test_a_day_s_driving_stays_within_what_the_archive_may_take():
    words = ["hours=0.1", "houses=1", "every=40", "archive_megabytes=4"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.day", *words], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    cells = [cell.strip() for cell in done.stdout.splitlines()[-1].strip("|").split("|")]
    keyframes, held, megabytes, places, grown, recalled = (float(cell) for cell in cells[2:8])
    assert 3.5 < megabytes <= 4.0 and held < 160 < keyframes, "the archive was full"
    assert places > 1 and grown < 100 and recalled > 0
