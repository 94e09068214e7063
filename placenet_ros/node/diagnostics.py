"""One diagnostics status: what arrives, what is dropped and why, how fast and how late (REP 107)."""

from __future__ import annotations

import time
from typing import Callable

import diagnostic_updater
import rospy
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_updater import DiagnosticStatusWrapper

from placenet_ros.node.activity import Activity
from placenet_ros.node.drops import DropCounter
from placenet_ros.node.inbox import Inbox
from placenet_ros.node.live_scene import LiveScene
from placenet_ros.node.silence import CLOCK, SilenceWatch


class Diagnostics:
    """Publishes the status and tells of silence whenever `beat` is called.

    scene: returns the scene, None while the model is loading. is_paused: whether images are left alone.
    silence_line: what to tell of an input that is silent.
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
    ):
        self._inbox, self._activity, self._drops, self._silence = inbox, activity, drops, silence
        self._scene, self._is_paused, self._silence_line = scene, is_paused, silence_line
        self._dropped_before = 0
        self._updater = diagnostic_updater.Updater()
        self._updater.setHardwareID("none")
        self._updater.add("scene", self._fill)

    def beat(self) -> None:
        for topic in self._silence.newly_silent(time.monotonic()):
            is_usual = topic == CLOCK and self._silence.counts()[CLOCK] > 0  # every bag ends
            (rospy.loginfo if is_usual else rospy.logwarn)(self._silence_line(topic))
        self._updater.force_update()

    def _fill(self, status: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
        scene, drops = self._scene(), self._drops.counts()
        dropped, silent = sum(drops.values()), self._silence.silent()
        if silent == [CLOCK] and self._silence.counts()[CLOCK]:
            status.summary(DiagnosticStatus.OK, "time stands still")
        elif silent:
            status.summary(DiagnosticStatus.WARN, f"silent: {', '.join(silent)}")
        elif dropped > self._dropped_before:
            status.summary(DiagnosticStatus.WARN, f"{dropped - self._dropped_before} messages dropped in a second")
        elif self._is_paused():
            status.summary(DiagnosticStatus.OK, "paused")
        elif scene is None:
            status.summary(DiagnosticStatus.OK, "loading the model")
        else:
            status.summary(DiagnosticStatus.OK, f"{len(scene)} observations held")
        self._dropped_before = dropped
        for key, value in {**self._amounts(scene), **{f"dropped, {why}": n for why, n in drops.items()}}.items():
            status.add(key, str(value))
        return status

    def _amounts(self, scene: LiveScene | None) -> dict[str, object]:
        counts, rates = self._activity.counts(), self._activity.rates()
        amounts: dict[str, object] = {
            "images received": self._inbox.images_received,
            "images replaced by a newer one": self._inbox.images_superseded,
        }
        for event in ("keyframes", "views"):
            amounts[event] = counts.get(event, 0)
            amounts[f"{event} per second"] = f"{rates.get(event, 0.0):.1f}"
        for step, seconds in self._activity.median_delays().items():
            amounts[f"{step}, median ms"] = f"{1000 * seconds:.1f}"
        if scene is not None:
            amounts.update(episode=scene.episode_id, place=scene.place_id, observations=len(scene))
            amounts["observations in the archive"] = len(scene.archive)
        return amounts
