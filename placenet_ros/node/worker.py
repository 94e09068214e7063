"""The one thread that owns the model: loads it, then does what the inbox holds, and what can wait while it is empty.

Knows nothing of ROS.

A daemon thread that never waits without a time limit, so that the process can always end.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Callable

from placenet_ros.node.inbox import Inbox, PosedImage
from placenet_ros.node.request import Request

IDLE_SECONDS = 0.5  # longest sleep, while nothing asks for anything


class Worker(threading.Thread):
    """The thread that runs the tasks.

    make_tasks: loads the model and returns an object with `follow_episode()`, `observe(PosedImage)`,
        `predict_current()` and `work_in_idle_time()`, which does one short step and returns whether there was anything
        to do; requests are run with it too.
    predict_period: seconds between two calls of `predict_current()`; 0: none.
    failed: called in this thread with the exception that ended it; it does not end otherwise before `stop`.
    """

    def __init__(
        self,
        inbox: Inbox,
        make_tasks: Callable[[], Any],
        predict_period: float,
        failed: Callable[[Exception], None],
    ):
        super().__init__(name="placenet worker", daemon=True)
        self._inbox, self._make_tasks = inbox, make_tasks
        self._predict_period, self._failed = predict_period, failed
        self._is_stopped = threading.Event()

    def stop(self, seconds: float) -> None:
        """Ask the thread to end, and wait for that at most so long."""
        self._is_stopped.set()
        self._inbox.close()
        if threading.current_thread() is not self:
            self.join(seconds)

    def run(self) -> None:
        try:
            self._serve(self._make_tasks())
        except Exception as error:  # whatever it is, the main thread has to learn of it and end the process
            self._failed(error)

    def _serve(self, tasks: Any) -> None:
        predicts_at, may_have_work = time.monotonic(), False
        while not self._is_stopped.is_set():
            patience = 0.0 if may_have_work else IDLE_SECONDS
            if self._predict_period:
                patience = min(patience, max(predicts_at - time.monotonic(), 0.0))
            item = self._inbox.take(patience)
            tasks.follow_episode()
            if isinstance(item, PosedImage):
                tasks.observe(item)
            elif isinstance(item, Request):
                item.run(tasks)
            # Never two predictions in a row: an image that came during the first goes before the second.
            if self._predict_period and time.monotonic() >= predicts_at and not isinstance(item, Request):
                tasks.predict_current()
                # At the rate asked for, however long a view takes; where it takes longer, there is no other time for
                # what can wait.
                predicts_at += self._predict_period
                may_have_work = True
                if predicts_at <= time.monotonic():
                    predicts_at, may_have_work = time.monotonic(), tasks.work_in_idle_time()
            elif item is None:
                may_have_work = tasks.work_in_idle_time()
            else:
                may_have_work = True
