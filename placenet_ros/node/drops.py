"""What was dropped, and why: counted, and told once in a while rather than at the rate of a camera. Thread-safe."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from typing import Callable

REPEAT_SECONDS = 60.0  # a line that still holds is told again after this
MAX_LINES = 64  # lines remembered as told; the oldest is forgotten


class DropCounter:
    """Counts by reason; `warn` is called with each line, but not again with the same one within a minute."""

    def __init__(self, warn: Callable[[str], None]):
        self._warn = warn
        self._lock = threading.Lock()
        self._counts: Counter = Counter()
        self._told_at: OrderedDict = OrderedDict()

    def count(self, reason: str, line: str) -> None:
        """Count something that was dropped. The line says what, where and what to do, without measured values."""
        now = time.monotonic()
        with self._lock:
            self._counts[reason] += 1
            is_due = now - self._told_at.get(line, -REPEAT_SECONDS) >= REPEAT_SECONDS
            if is_due:
                self._told_at.pop(line, None)
                self._told_at[line] = now
                if len(self._told_at) > MAX_LINES:
                    self._told_at.popitem(last=False)
        if is_due:
            self._warn(line)

    def counts(self) -> dict[str, int]:
        """How often each reason came up so far."""
        with self._lock:
            return dict(self._counts)
