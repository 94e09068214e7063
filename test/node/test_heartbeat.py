"""The heartbeat ends the node rather than itself alone, and does not catch up on beats that it missed."""

import pytest
import rospy

from placenet_ros.node import heartbeat
from placenet_ros.node.heartbeat import Heartbeat


@pytest.fixture(autouse=True)
def without_master(monkeypatch):
    monkeypatch.setattr(rospy, "is_shutdown", lambda: False)


def test_beat_that_fails_is_told():
    def beat():
        raise ValueError("no diagnostics")

    failures = []
    Heartbeat(None, beat, failures.append).run()
    assert [str(failure) for failure in failures] == ["no diagnostics"]


def test_no_burst_of_beats_follows_a_suspend(monkeypatch):
    clock, beats = [0.0], []

    def sleep(seconds):
        clock[0] += 60.0 if len(beats) == 1 and clock[0] < 60.0 else seconds

    def beat():
        beats.append(clock[0])
        if len(beats) == 4:
            raise StopIteration

    monkeypatch.setattr(heartbeat, "time", type("Clock", (), {"monotonic": lambda: clock[0], "sleep": sleep}))
    Heartbeat(None, beat, lambda error: None).run()
    assert beats[1] >= 60.0
    assert all(later - now >= 1.0 - 1e-6 for now, later in zip(beats, beats[1:]))
