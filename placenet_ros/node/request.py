"""Something that a service or a topic asks of the worker, and its answer. Knows nothing of ROS."""

from __future__ import annotations

import threading
from typing import Any, Callable


class RequestError(Exception):
    """A request that cannot be answered; one line for whoever asked."""


class Request:
    """Work to be done with the worker's tasks, once; the one who asks may wait for the answer.

    is_query: whether it came by a topic: nobody waits, and where there are too many it gives way to newer ones.
    """

    def __init__(self, work: Callable[[Any], Any], is_query: bool = False):
        self.is_query = is_query
        self._work = work
        self._done = threading.Event()
        self._answer: Any = None
        self._refusal: RequestError | None = None
        self._lock = threading.Lock()  # of these two: what has begun is done, what is abandoned before does not begin
        self._has_begun = self._is_abandoned = False

    @property
    def is_abandoned(self) -> bool:
        """Whether the one who asked has given up."""
        return self._is_abandoned

    def run(self, tasks: Any) -> None:
        """Do it (in the worker), unless nobody waits any more."""
        with self._lock:
            if self._is_abandoned:
                return
            self._has_begun = True
        try:
            self._answer = self._work(tasks)
        except RequestError as refusal:
            self._refusal = refusal
        self._done.set()

    def refuse(self, line: str) -> None:
        """Answer that it will not be done."""
        self._refusal = RequestError(line)
        self._done.set()

    def wait(self, seconds: float, is_loading: Callable[[], bool] = lambda: False) -> Any:
        """The answer, in whatever thread asked. Raises RequestError for a refusal, or where none comes in time.

        is_loading: whether the model still is, so that nothing is answered yet.
        """
        if not self._done.wait(seconds):
            with self._lock:
                self._is_abandoned, has_begun = True, self._has_begun
            if has_begun:
                raise RequestError(f"no answer within {seconds:g} s, but it is being done: raise ~service_timeout")
            if is_loading():
                why = "the model is still loading; ask again when the log says `ready:`"
            else:
                why = "busy with what came before; ask again, or raise ~service_timeout, or lower ~predict_rate"
            raise RequestError(f"no answer within {seconds:g} s: {why}")
        if self._refusal is not None:
            raise self._refusal
        return self._answer
