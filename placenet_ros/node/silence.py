"""Notices inputs that are silent, once for each silence. Knows nothing of ROS; thread-safe."""

from __future__ import annotations

import threading


class SilenceWatch:
    """topics: names of inputs that should not be silent for `seconds`. now: seconds, monotonic."""

    def __init__(self, topics: list[str], seconds: float, now: float):
        self._seconds = seconds
        self._lock = threading.Lock()
        self._heard: dict[str, float] = dict.fromkeys(topics, now)
        self._silent: dict[str, bool] = dict.fromkeys(topics, False)

    def heard(self, topic: str, now: float) -> None:
        with self._lock:
            self._heard[topic] = now
            self._silent[topic] = False

    def newly_silent(self, now: float) -> list[str]:
        """Topics whose silence has just become too long."""
        with self._lock:
            found = [t for t, heard in self._heard.items() if now - heard >= self._seconds and not self._silent[t]]
            self._silent.update(dict.fromkeys(found, True))
            return found

    def silent(self) -> list[str]:
        """Topics that are silent."""
        with self._lock:
            return [topic for topic, is_silent in self._silent.items() if is_silent]
