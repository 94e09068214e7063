"""Notices inputs that are silent, once for each silence. Knows nothing of ROS; thread-safe."""

from __future__ import annotations

import math
import threading


class SilenceWatch:
    """topics: names of inputs that should not be silent for `seconds`, once `begin` was called. Times: monotonic."""

    def __init__(self, topics: list[str], seconds: float):
        self._seconds = seconds
        self._lock = threading.Lock()
        self._has_begun = False
        self._heard: dict[str, float] = dict.fromkeys(topics, -math.inf)
        self._silent: dict[str, bool] = dict.fromkeys(topics, False)

    def begin(self, now: float) -> None:
        """Expect messages from now on."""
        with self._lock:
            self._has_begun = True
            self._heard = {topic: max(heard, now) for topic, heard in self._heard.items()}

    def heard(self, topic: str, now: float) -> None:
        """Note a message; `now` infinite: no further one is needed."""
        with self._lock:
            self._heard[topic] = now
            self._silent[topic] = False

    def newly_silent(self, now: float) -> list[str]:
        """Topics whose silence has just become too long."""
        with self._lock:
            if not self._has_begun:
                return []
            found = [t for t, heard in self._heard.items() if now - heard >= self._seconds and not self._silent[t]]
            self._silent.update(dict.fromkeys(found, True))
            return found

    def silent(self) -> list[str]:
        """Topics that are silent."""
        with self._lock:
            return [topic for topic, is_silent in self._silent.items() if is_silent]
