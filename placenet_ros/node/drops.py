"""What was dropped, and why: counted, and told once in a while rather than at the rate of a camera. Thread-safe."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from typing import Callable

REPEAT_SECONDS = 60.0  # a line that still holds is told again after this
LINES_PER_REASON = 3  # told within that time: bad input may be bad in another way each time


class DropCounter:
    """Counts by reason; `warn` is called with each line, but not again with the same one within a minute, nor with more
    than LINES_PER_REASON for one reason; `inform` likewise, of what is no fault."""

    def __init__(self, warn: Callable[[str], None], inform: Callable[[str], None]):
        self._warn, self._inform = warn, inform
        self._lock = threading.Lock()
        self._counts: Counter = Counter()
        self._told: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)  # lines and when, by reason

    def count(self, reason: str, line: str) -> None:
        """Count something that was dropped, and tell of it. The line says what, where and what to do."""
        with self._lock:
            self._counts[reason] += 1
        self.tell(reason, line)

    def tell(self, reason: str, line: str) -> None:
        """Tell of something where that is due; without counting it. reason: one of a few that the node knows."""
        if self._is_due(reason, line, may_repeat=False):
            self._warn(line)

    def inform(self, reason: str, line: str) -> None:
        """Tell of something that was asked for: each time, so far as there are not too many."""
        if self._is_due(reason, line, may_repeat=True):
            self._inform(line)

    def _is_due(self, reason: str, line: str, may_repeat: bool) -> bool:
        now = time.monotonic()
        with self._lock:
            told = [(said, at) for said, at in self._told[reason] if now - at < REPEAT_SECONDS]
            is_new = may_repeat or all(said != line for said, _ in told)
            is_due = is_new and len(told) < LINES_PER_REASON
            self._told[reason] = [*told, (line, now)] if is_due else told
        return is_due

    def counts(self) -> dict[str, int]:
        """How often each reason came up so far."""
        with self._lock:
            return dict(self._counts)
