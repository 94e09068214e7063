"""The worker: images and requests first, then what can wait, and sleep where there is nothing to do."""

import threading
import time
from types import SimpleNamespace

import pytest

from placenet_ros.node.inbox import PosedImage
from placenet_ros.node.worker import Worker

PATIENCE = 20.0  # seconds until a test gives up


class Inbox:
    """Hands out what it was given, one at a time; notes how long it was waited for."""

    def __init__(self, items=()):
        self.items, self.patiences, self._closed = list(items), [], threading.Event()

    def take(self, seconds):
        self.patiences.append(seconds)
        if self.items:
            return self.items.pop(0)
        self._closed.wait(seconds)
        return None

    def close(self):
        self._closed.set()


class Tasks:
    """Notes what it was asked to do; has so many steps of work after each image."""

    def __init__(self, steps):
        self.done, self._steps, self._left = [], steps, 0

    def follow_episode(self):
        pass

    def observe(self, image):
        self.done.append("image")
        self._left = self._steps

    def predict_current(self):
        self.done.append("view")

    def work_in_idle_time(self):
        if self._left:
            self.done.append("work")
            self._left -= 1
            return True
        self.done.append("nothing")
        return False


@pytest.fixture
def working():
    """Starts a worker on an inbox and tasks; ends it after the test."""
    started = []

    def start(inbox, tasks, predict_period=0.0):
        worker = Worker(inbox, lambda: tasks, predict_period, failed=started.append)
        started.append(worker)
        worker.start()
        return worker

    yield start
    started[0].stop(PATIENCE)
    assert len(started) == 1, f"the worker failed: {started[1:]}"


def image():
    return PosedImage(None, None, SimpleNamespace(stamp=0), {}, (), 1, 0.0, 0)


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_what_can_wait_waits_for_images(working):
    tasks = Tasks(steps=2)
    working(Inbox([image(), image(), image()]), tasks)
    wait_until(lambda: "nothing" in tasks.done)
    assert tasks.done[:6] == ["image", "image", "image", "work", "work", "nothing"]


def test_the_worker_sleeps_where_there_is_nothing_to_do(working):
    inbox, tasks = Inbox([image()]), Tasks(steps=3)
    working(inbox, tasks)
    wait_until(lambda: "nothing" in tasks.done)
    time.sleep(0.2)
    assert len(inbox.patiences) <= 8 and inbox.patiences[-1] > 0.1
    assert inbox.patiences[1:5] == [0.0] * 4, "it did not sleep before"


def test_what_can_wait_is_done_between_views_too(working):
    tasks = Tasks(steps=5)
    working(Inbox([image()]), tasks, predict_period=0.01)
    wait_until(lambda: tasks.done.count("work") == 5 and tasks.done.count("view") >= 2)


@pytest.mark.parametrize("view_seconds, views, steps", [(0.05, 10, 2), (0.2, 5, 2)])
def test_views_come_at_the_rate_asked_for_or_as_fast_as_they_can_with_what_can_wait_between(
    monkeypatch, view_seconds, views, steps
):
    now = [0.0]
    monkeypatch.setattr("placenet_ros.node.worker.time", SimpleNamespace(monotonic=lambda: now[0]))

    class ClockedInbox(Inbox):
        def take(self, seconds):
            now[0] += seconds
            return self.items.pop(0) if self.items else None

    class SlowTasks(Tasks):
        def predict_current(self):
            super().predict_current()
            now[0] += view_seconds

        def work_in_idle_time(self):
            now[0] += 0.001
            return super().work_in_idle_time()

    tasks = SlowTasks(steps)
    worker = Worker(ClockedInbox([image()]), lambda: tasks, 0.1, pytest.fail)
    worker._is_stopped.is_set = lambda: now[0] > 0.95
    worker._serve(tasks)
    assert (tasks.done.count("view"), tasks.done.count("work")) == (views, steps)
