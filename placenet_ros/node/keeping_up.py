"""Whether a demonstration's machine kept up with its camera. Knows no ROS."""

from __future__ import annotations

import os
from typing import Sequence

LATE_MS = 250.0  # from an image's stamp to its embedding; on two idle cores the 99th percentile is a quarter of it
MOST_LATE = 0.05  # of the embeddings, of a machine that keeps up


def late_count(delays_ms: Sequence[float]) -> int:
    """How many embeddings came late."""
    return sum(delay > LATE_MS for delay in delays_ms)


def note_if_late(late: int, embeddings: int) -> str | None:
    """What to tell of so many late ones; None where the machine kept up."""
    if late <= MOST_LATE * embeddings:
        return None
    load = f"load average {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores"
    return (
        f"this machine did not keep up: {late} of {embeddings} embeddings came over {LATE_MS:g} ms after their image "
        f"({load}); the figures in README.md and docs/node.md are of idle cores"
    )
