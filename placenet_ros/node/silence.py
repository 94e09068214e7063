"""Notices inputs that are silent, once for each silence. Knows nothing of ROS; thread-safe."""

from __future__ import annotations

import math
import threading
from collections import Counter
from typing import Collection

CLOCK = "clock"  # the input that time comes by where it is simulated


class SilenceWatch:
    """When each input was heard last, and so which are silent. Times: monotonic.

    topics: names of inputs that should not be silent for `seconds`, once `begin` was called. Any other that is heard
    should go on, too.
    optional: those that need not come: `silent` only where they came.
    is_simulated: whether time comes by /clock. While that stands still, as where a bag is paused or over, CLOCK alone
    is silent: nothing else can come.
    """

    def __init__(
        self, topics: list[str], seconds: float, is_simulated: bool = False, optional: Collection[str] = ()
    ):
        self.seconds, self._optional = seconds, optional
        self._lock = threading.Lock()
        self._has_begun = False
        self._clock = 0
        self._heard: dict[str, float] = dict.fromkeys([CLOCK, *topics] if is_simulated else topics, -math.inf)
        self._silent: dict[str, bool] = dict.fromkeys(self._heard, False)
        self._counts: Counter = Counter()

    def begin(self, now: float) -> None:
        """Expect messages from now on."""
        with self._lock:
            self._has_begun = True
            self._expect_anew(now)

    def heard(self, topic: str, now: float) -> None:
        """Note a message; `now` infinite: no further one is needed."""
        with self._lock:
            self._note(topic, now)

    def heard_clock(self, stamp: int, now: float) -> None:
        """Note the time of /clock, nanoseconds, however often: it counts where it is another than before."""
        with self._lock:
            if stamp == self._clock:
                return
            self._clock = stamp
            if self._silent[CLOCK] or not self._counts[CLOCK]:
                self._expect_anew(now)  # nothing could come while it stood still, or before it began
            self._note(CLOCK, now)

    def newly_silent(self, now: float) -> list[str]:
        """Topics whose silence has just become too long."""
        with self._lock:
            if not self._has_begun:
                return []
            found = [topic for topic in self._heard if not self._silent[topic] and self._is_silent(topic, now)]
            self._silent.update(dict.fromkeys(found, True))
            return found

    def silent(self) -> list[str]:
        """Topics that are silent."""
        with self._lock:
            return [
                topic
                for topic, is_silent in self._silent.items()
                if is_silent and (self._counts[topic] or topic not in self._optional)
            ]

    def counts(self) -> dict[str, int]:
        """How many messages came of each topic so far."""
        with self._lock:
            return {topic: self._counts[topic] for topic in self._heard}

    def _note(self, topic: str, now: float) -> None:
        self._heard[topic] = now
        self._silent[topic] = False
        self._counts[topic] += 1

    def _expect_anew(self, now: float) -> None:
        self._heard = {topic: max(heard, now) for topic, heard in self._heard.items()}

    def _is_silent(self, topic: str, now: float) -> bool:
        expected_until = now if topic == CLOCK else self._expected_until(now)
        return expected_until - self._heard[topic] >= self.seconds

    def _expected_until(self, now: float) -> float:
        """Until when inputs had to come. From a bag that is played without /clock they do, and are then expected."""
        if CLOCK not in self._heard:
            return now
        if self._counts[CLOCK]:
            return self._heard[CLOCK]
        return now if sum(self._counts.values()) else -math.inf
