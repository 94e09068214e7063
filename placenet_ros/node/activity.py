"""How often things happen and how long they take, for diagnostics. Knows nothing of ROS; thread-safe."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque

KEPT_DELAYS = 200


class Activity:
    """Counts events by name, and keeps the last delays from an image's arrival to its embedding."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter = Counter()
        self._counts_before: Counter = Counter()
        self._before = time.monotonic()
        self._delays: deque[float] = deque(maxlen=KEPT_DELAYS)

    def happened(self, event: str) -> None:
        with self._lock:
            self._counts[event] += 1

    def took(self, seconds: float) -> None:
        """Note one delay."""
        with self._lock:
            self._delays.append(seconds)

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

    def median_delay(self) -> float | None:
        """Seconds; None before the first."""
        with self._lock:
            delays = sorted(self._delays)
        return delays[len(delays) // 2] if delays else None
