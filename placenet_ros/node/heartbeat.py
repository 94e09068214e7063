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
    """note_clock: told the time of /clock, nanoseconds, where time is simulated. beat: called once a second."""

    def __init__(self, note_clock: Callable[[int], None], beat: Callable[[], None]):
        super().__init__(name="placenet heartbeat", daemon=True)
        self._note_clock, self._beat = note_clock, beat
        self._is_simulated = rospy.get_param("/use_sim_time", False)

    def run(self) -> None:
        beats_at = time.monotonic()
        while not rospy.is_shutdown():
            if self._is_simulated:
                self._note_clock(rospy.get_rostime().to_nsec())
            if time.monotonic() >= beats_at:
                beats_at += DIAGNOSTICS_SECONDS
                self._beat()
            time.sleep(CLOCK_SECONDS)
