"""Notices that time jumped back, as when a bag loops: a new episode begins, once. Knows nothing of ROS; thread-safe.

The stamps of the images, those of the odometry and the clock jump at different messages, in any order, and messages
from before the jump still arrive in between. So each source's jumps are counted, and an episode begins only when a
source is ahead of the others; those that follow only catch up.
"""

from __future__ import annotations

import threading

# Stamps of one source may be out of order by this without meaning anything, as from a driver with several threads.
MIN_JUMP_SECONDS = 0.5
# A source that has not followed a jump by then took no part in it; its next jump counts for itself.
CATCH_UP_SECONDS = 10.0


class EpisodeWatch:
    """Counts episodes, from 1. reset_on_time_jump: False: jumps are told, but no episode begins because of them."""

    def __init__(self, reset_on_time_jump: bool):
        self._reset_on_time_jump = reset_on_time_jump
        self._lock = threading.Lock()
        self._newest: dict[str, int] = {}
        self._jumps: dict[str, int] = {}
        self._most_jumps = 0
        self._jumped_at = -CATCH_UP_SECONDS
        self._episode = self._last = 1  # the one that is on, and the highest number given

    @property
    def episode(self) -> int:
        """Number of the episode that is on."""
        return self._episode

    def begin(self) -> int:
        """Begin a new episode, for another reason than time; returns its number."""
        with self._lock:
            return self._begin()

    def reserve(self, count: int) -> int:
        """Keep so many numbers from the episodes to come, for those of a map; returns the first of them."""
        with self._lock:
            self._last += count
            return self._last - count + 1

    def jumped_back(self, source: str, stamp: int, now: float) -> bool:
        """Note a stamp (nanoseconds) of a source at a time (seconds, monotonic); whether it jumped back."""
        with self._lock:
            newest = self._newest.get(source, stamp)
            self._jumps.setdefault(source, self._most_jumps)
            if newest - stamp <= MIN_JUMP_SECONDS * 1e9:
                self._newest[source] = max(newest, stamp)
                return False
            self._newest[source] = stamp
            follows = self._jumps[source] < self._most_jumps and now - self._jumped_at <= CATCH_UP_SECONDS
            if not follows:
                self._most_jumps += 1
                self._jumped_at = now
                if self._reset_on_time_jump:
                    self._begin()
            self._jumps[source] = self._most_jumps
            return True

    def _begin(self) -> int:
        self._last += 1
        self._episode = self._last
        return self._episode
