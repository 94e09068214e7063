"""The thread that draws what the robot sees. It owns the graphics context; knows nothing of ROS.

A daemon thread that never waits without a time limit, so that the process can always end.
"""

from __future__ import annotations

import threading
from typing import Any, Callable, NamedTuple

IDLE_SECONDS = 0.5  # longest wait for a picture to be asked for


class Shot(NamedTuple):
    """A picture to take: its stamp (nanoseconds), and the camera's x, y, z, yaw and pitch in the house."""

    stamp: int
    pose: tuple[float, float, float, float, float]


class HouseCamera(threading.Thread):
    """The thread that draws the newest of the pictures to take.

    open_pictures: makes the `HousePictures` of the house, in this thread; a context.
    ready: called in this thread once there is something to draw with, with what draws in its own words.
    publish: called in this thread with each stamp and its pictures.
    failed: called in this thread with the exception that ended it; it does not end otherwise before `stop`.
    """

    def __init__(
        self,
        open_pictures: Callable[[], Any],
        ready: Callable[[str], None],
        publish: Callable[[int, Any], None],
        failed: Callable[[Exception], None],
    ):
        super().__init__(name="house camera", daemon=True)
        self._open_pictures, self._ready, self._publish, self._failed = open_pictures, ready, publish, failed
        self._asked = threading.Condition()
        self._shot: Shot | None = None
        self._is_stopped = False

    def take(self, shot: Shot) -> bool:
        """Ask for a picture, and return at once. False if that replaces one that was not begun: drawing is slow."""
        with self._asked:
            replaces, self._shot = self._shot is not None, shot
            self._asked.notify()
        return not replaces

    def stop(self, seconds: float) -> None:
        """Ask the thread to end, and wait for that at most so long."""
        with self._asked:
            self._is_stopped = True
            self._asked.notify()
        if threading.current_thread() is not self:
            self.join(seconds)

    def run(self) -> None:
        try:
            with self._open_pictures() as pictures:
                self._ready(pictures.renderer)
                self._serve(pictures)
        except Exception as error:  # whatever it is, the main thread has to learn of it and end the process
            self._failed(error)

    def _serve(self, pictures: Any) -> None:
        while not self._is_stopped:
            with self._asked:
                self._asked.wait_for(lambda: self._shot or self._is_stopped, IDLE_SECONDS)
                shot, self._shot = self._shot, None
            if shot is not None:
                self._publish(shot.stamp, pictures.take([shot.pose]))
