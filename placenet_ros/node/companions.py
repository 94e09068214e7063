"""Images that belong to another image: depth and objects, joined to the colour image by their stamps.

A bounded buffer of messages and the search for the one at a stamp, exact or near. Knows nothing of ROS but that
messages have a header. The caller holds a lock if several threads use a buffer.
"""

from __future__ import annotations

from collections import deque
from typing import Any

# A bound on memory for what comes faster than cameras do: two seconds at 30 Hz, and some 80 MB of VGA depth in metres.
MAX_MESSAGES = 64


class CompanionBuffer:
    """The messages of about the last `seconds` of one topic, and of them the last MAX_MESSAGES.

    tolerance: seconds that two stamps may be apart and still belong together.
    """

    def __init__(self, tolerance: float, seconds: float):
        self._tolerance, self._span = int(tolerance * 1e9), int(seconds * 1e9)
        self._messages: deque[Any] = deque(maxlen=MAX_MESSAGES)

    def add(self, message: Any) -> None:
        self._messages.append(message)
        while _stamp(self._messages[0]) < _stamp(message) - self._span:
            self._messages.popleft()

    def clear(self) -> None:
        self._messages.clear()

    def near(self, stamp: int) -> Any | None:
        """The message nearest to the stamp (nanoseconds), None where all are further than the tolerance."""
        nearest = min(self._messages, key=lambda message: abs(_stamp(message) - stamp), default=None)
        if nearest is None or abs(_stamp(nearest) - stamp) > self._tolerance:
            return None
        return nearest

    def may_still_come(self, stamp: int) -> bool:
        """Whether a message near the stamp can still arrive: the newest one is not past it."""
        return not self._messages or _stamp(self._messages[-1]) < stamp + self._tolerance


def _stamp(message: Any) -> int:
    return message.header.stamp.to_nsec()
