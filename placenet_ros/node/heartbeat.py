"""A thread on the wall clock that watches /clock, says which input is silent, and publishes diagnostics.

Not a rospy.Timer, which dies when time jumps back; for the same reason diagnostic_updater is told to publish.
"""

from __future__ import annotations

import threading
import time
from typing import Callable

import rospy

CLOCK_SECONDS = 0.1  # between two looks at /clock
DIAGNOSTICS_SECONDS = 1.0  # between two diagnostics


class Heartbeat(threading.Thread):
    """The thread that does what is due by the wall clock.

    note_clock: told the time of /clock, nanoseconds; None: time is not simulated. beat: called once a second.
    failed: called in this thread with the exception that ended it.
    """

    def __init__(
        self, note_clock: Callable[[int], None] | None, beat: Callable[[], None], failed: Callable[[Exception], None]
    ):
        super().__init__(name="placenet heartbeat", daemon=True)
        self._note_clock, self._beat, self._failed = note_clock, beat, failed

    def run(self) -> None:
        try:
            self._watch()
        except Exception as error:  # whatever it is, the main thread has to learn of it and end the process
            self._failed(error)

    def _watch(self) -> None:
        beats_at = time.monotonic()
        while not rospy.is_shutdown():
            if self._note_clock is not None:
                self._note_clock(rospy.get_rostime().to_nsec())
            if time.monotonic() >= beats_at:
                beats_at = time.monotonic() + DIAGNOSTICS_SECONDS  # not += 1: no burst after a suspend
                self._beat()
            time.sleep(CLOCK_SECONDS)
