"""How often things happen and how long they take, for diagnostics. Knows nothing of ROS; thread-safe."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque

KEPT_DELAYS = 200


class Activity:
    """Counts events by name, and keeps how long the steps from an image to its embedding took the last times."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter = Counter()
        self._counts_before: Counter = Counter()
        self._before = time.monotonic()
        self._delays: dict[str, deque[float]] = {}

    def happened(self, event: str) -> None:
        with self._lock:
            self._counts[event] += 1

    def took(self, step: str, seconds: float) -> None:
        """Note how long a step took."""
        with self._lock:
            self._delays.setdefault(step, deque(maxlen=KEPT_DELAYS)).append(seconds)

    def counts(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counts)

    def rates(self) -> dict[str, float]:
        """Events each second since the last call."""
        now = time.monotonic()
        with self._lock:
            seconds = max(now - self._before, 1e-3)
            rates = {name: (count - self._counts_before[name]) / seconds for name, count in self._counts.items()}
            self._counts_before, self._before = Counter(self._counts), now
        return rates

    def median_delays(self) -> dict[str, float]:
        """Of each step, in the order in which they were first noted, seconds."""
        with self._lock:
            delays = {step: sorted(seconds) for step, seconds in self._delays.items()}
        return {step: seconds[len(seconds) // 2] for step, seconds in delays.items()}


class StepTimes:
    """Notes steps that follow one another. since: when the first one began, seconds, monotonic."""

    def __init__(self, activity: Activity, since: float):
        self._activity, self._since = activity, since

    def done(self, step: str) -> None:
        """Note that a step is done, which began when the one before was."""
        now = time.monotonic()
        self._activity.took(step, now - self._since)
        self._since = now
