"""How often things happen and how long they take, for diagnostics. Knows nothing of ROS; thread-safe."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque

ARRIVAL = "stamp to arrival"  # of an image; below 0 where its stamp is ahead of ROS's time
KEPT_DELAYS = 200
RATE_SECONDS = 10.0  # that rates are over: the keyframes of a robot that turns, drives and stands come unevenly


class Activity:
    """Counts events by name, and keeps how long the steps from an image to its embedding took the last times."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter = Counter()
        self._recent: dict[str, deque[tuple[float, int]]] = {}  # see `_recent_events`
        self._begun: dict[str, float] = {}  # when each happened first
        self._delays: dict[str, deque[float]] = {}

    def happened(self, event: str, times: int = 1) -> None:
        now = time.monotonic()
        with self._lock:
            self._counts[event] += times
            self._begun.setdefault(event, now)
            self._recent_events(event, now).append((now, times))

    def took(self, step: str, seconds: float) -> None:
        """Note how long a step took."""
        with self._lock:
            self._delays.setdefault(step, deque(maxlen=KEPT_DELAYS)).append(seconds)

    def counts(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counts)

    def lately(self, event: str) -> int:
        """How often it happened in the last RATE_SECONDS."""
        with self._lock:
            return sum(times for _, times in self._recent_events(event, time.monotonic()))

    def rate(self, event: str) -> float:
        """How often each second it happens: over the last RATE_SECONDS, or since it first happened."""
        with self._lock:
            now = time.monotonic()
            seconds = min(max(now - self._begun.get(event, now), 1.0), RATE_SECONDS)
            return sum(times for _, times in self._recent_events(event, now)) / seconds

    def _recent_events(self, event: str, now: float) -> deque[tuple[float, int]]:
        """When, and how many, in the last RATE_SECONDS; older ones are forgotten."""
        recent = self._recent.setdefault(event, deque())
        while recent and now - recent[0][0] > RATE_SECONDS:
            recent.popleft()
        return recent

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
