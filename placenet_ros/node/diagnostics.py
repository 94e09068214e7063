"""One diagnostics status: what arrives, what is dropped and why, how fast and how late (REP 107)."""

from __future__ import annotations

import time
from typing import Callable, Sequence

import diagnostic_updater
import rospy
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_updater import DiagnosticStatusWrapper

from placenet_ros.counted import counted
from placenet_ros.node.activity import ARRIVAL, RATE_SECONDS, Activity
from placenet_ros.node.drops import DropCounter
from placenet_ros.node.inbox import Inbox
from placenet_ros.node.live_scene import LiveScene
from placenet_ros.node.silence import CLOCK, SilenceWatch

CLOCKS_APART = 0.1  # seconds that stamps may be ahead of this computer's time: good synchronisation reaches 1 ms
CLOCKS_BEHIND = 10.0  # seconds that they may be behind: no transport of a camera's images takes as long
MISSED_LINE = f"{{}} keyframes missed in {RATE_SECONDS:g} s: images come faster than they are encoded"


class Diagnostics:
    """Publishes the status and tells of silence whenever `beat` is called.

    scene: returns the scene, None while the model is loading. is_paused: whether images are left alone.
    silence_line: what to tell of an input that is silent. is_simulated: whether time comes by /clock.
    """

    def __init__(
        self,
        inbox: Inbox,
        activity: Activity,
        drops: DropCounter,
        silence: SilenceWatch,
        scene: Callable[[], LiveScene | None],
        is_paused: Callable[[], bool],
        silence_line: Callable[[str], str],
        is_simulated: bool,
    ):
        self._inbox, self._activity, self._drops, self._silence = inbox, activity, drops, silence
        self._scene, self._is_paused, self._silence_line = scene, is_paused, silence_line
        self._is_simulated = is_simulated
        self._dropped_before = 0
        self._updater = diagnostic_updater.Updater()
        self._updater.setHardwareID("none")
        self._updater.add("scene", self._fill)

    def beat(self) -> None:
        for topic in self._silence.newly_silent(time.monotonic()):
            is_usual = topic == CLOCK and self._silence.counts()[CLOCK] > 0  # every bag ends
            (rospy.loginfo if is_usual else rospy.logwarn)(self._silence_line(topic))
        line = None if self._is_simulated else clocks_line(self._seconds_ahead())
        if line is not None:
            self._drops.tell("clocks", line)
        self._updater.force_update()

    def _seconds_ahead(self) -> float:
        """How far stamps are ahead of ROS's time; below 0: they are behind, of which transport is a part."""
        return -self._activity.median_delays().get(ARRIVAL, 0.0)

    def _fill(self, status: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
        scene, drops = self._scene(), self._drops.counts()
        dropped, silent = sum(drops.values()), self._silence.silent()
        stands_still = CLOCK in silent and self._silence.counts()[CLOCK] > 0
        if stands_still:
            silent.remove(CLOCK)  # no fault: every bag ends
        newly_dropped, self._dropped_before = dropped - self._dropped_before, dropped
        missed, held = self._activity.lately("keyframes missed"), None if scene is None else len(scene)
        status.summary(*summary(silent, stands_still, newly_dropped, missed, self._is_paused(), held))
        for key, value in {**self._amounts(scene), **{f"dropped, {why}": n for why, n in drops.items()}}.items():
            status.add(key, str(value))
        return status

    def _amounts(self, scene: LiveScene | None) -> dict[str, object]:
        counts = self._activity.counts()
        amounts: dict[str, object] = {
            "images received": self._inbox.images_received,
            "images replaced by newer ones": self._inbox.images_superseded,
            "keyframes missed": counts.get("keyframes missed", 0),
        }
        for event in ("keyframes", "views"):
            amounts[event] = counts.get(event, 0)
            amounts[f"{event} per second, last {RATE_SECONDS:g} s"] = f"{self._activity.rate(event):.1f}"
        for step, seconds in self._activity.median_delays().items():
            amounts[f"{step}, median ms"] = f"{1000 * seconds:.1f}"
        ahead = self._seconds_ahead()
        if ahead > 0:
            why = "/clock lags, it comes so seldom" if self._is_simulated else "clocks differ, by that at least"
            amounts["stamps ahead of this node's time, ms"] = f"{1000 * ahead:.1f} ({why})"
        elif -ahead >= CLOCKS_BEHIND and not self._is_simulated:
            why = "a bag without /use_sim_time, or clocks differ"
            amounts["stamps behind this node's time"] = f"{duration(-ahead)} ({why})"
        if scene is not None:
            amounts.update(episode=scene.episode_id, place=scene.place_id, observations=len(scene))
            amounts["observations in the archive"] = len(scene.archive)
        return amounts


def clocks_line(ahead: float) -> str | None:
    """What to tell where stamps are so many seconds ahead of this computer's time; below 0: behind. None: nothing."""
    if ahead >= CLOCKS_APART:
        return (
            f"images have stamps {ahead:.1f} s ahead of this computer's time: its clock and that of the camera's "
            "computer differ by at least that; synchronise them (chrony), or set /use_sim_time for a bag"
        )
    if -ahead >= CLOCKS_BEHIND:
        return (
            f"images have stamps {duration(-ahead)} behind this computer's time: of a bag? then `rosparam set "
            "/use_sim_time true` before this node starts, and `rosbag play --clock`; else the clock of the camera's "
            "computer is behind: synchronise them (chrony)"
        )
    return None


def duration(seconds: float) -> str:
    """Whole, in the largest unit of which it is one at least: seconds come and go while a line is still the same."""
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def summary(
    silent: Sequence[str], stands_still: bool, dropped: int, missed: int, is_paused: bool, held: int | None
) -> tuple[int, str]:
    """Level and line of the status: what is wrong, and why no image becomes an observation; else what is held.

    silent: inputs that should not be. stands_still: whether simulated time does. dropped: messages since the last
    status. missed: keyframes in the last RATE_SECONDS, told only while others come. held: observations; None: the
    model is loading.
    """
    rests = {"loading the model": held is None, "paused": is_paused, "time stands still": stands_still}
    resting = [line for line, holds in rests.items() if holds]
    faults = {
        f"silent: {', '.join(silent)}": silent,
        f"{counted(dropped, 'message')} dropped in a second": dropped,
        MISSED_LINE.format(missed): missed and not resting,
    }
    wrong = [line for line, holds in faults.items() if holds]
    level = DiagnosticStatus.WARN if wrong else DiagnosticStatus.OK
    return level, "; ".join(wrong + resting) or f"{counted(held, 'observation')} held"
