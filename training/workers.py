"""The processes that a command starts to work beside it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import ModuleType
from typing import Any

from training.configuration import UserError


def worker_count(wish: int | None) -> int:
    """The number asked for, or one for each core that this process may use. Raises UserError for less than one."""
    if wish is not None and wish < 1:
        raise UserError(f"processes must be at least 1, not {wish}")
    return wish or len(os.sched_getaffinity(0))


@contextmanager
def deaf_to(*signals: signal.Signals) -> Iterator[None]:
    """Processes that are started meanwhile hear nothing of signals such as Ctrl-C's, which all of a terminal's get.

    They inherit what the thread that starts them blocks, and may unblock it. The command itself may hear of a signal
    even meanwhile: where another of its threads lets it through, Python deals with it in the main thread all the same.
    """
    resource_tracker.ensure_running()  # a process too; where it begins, it lets signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Workers(ProcessPoolExecutor):
    """Processes that are spawned for a command, and end when it ends, however that comes about.

    Use it in a `with`: where an exception leaves that, as at Ctrl-C, they end at once, amid what they do.
    """

    def __init__(self, processes: int, begin: Callable[..., None] | None = None, *arguments: Any) -> None:
        """begin: what each process does first, called with the arguments."""
        self._own: set[multiprocessing.process.BaseProcess] = set()
        # Spawned, because a graphics context does not survive a fork.
        spawn = multiprocessing.get_context("spawn")
        super().__init__(processes, spawn, initializer=_begin, initargs=(begin, arguments))

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future:
        before = multiprocessing.active_children()
        try:
            with deaf_to(signal.SIGINT):  # here a process is started, until there are enough
                return super().submit(function, *arguments, **options)
        finally:  # Ctrl-C may come amid that: those begun are to end, too
            self._own.update(child for child in multiprocessing.active_children() if child not in before)

    def __exit__(self, kind: type[BaseException] | None, *about: Any) -> bool | None:
        if kind is not None:
            results = self._result_queue  # which `shutdown` forgets
            self.shutdown(wait=False, cancel_futures=True)
            for child in self._own:
                child.terminate()
            for child in self._own:
                child.join()
            # A result that one was amid writing never ends as long as somebody could write more of it, here too; the
            # thread that reads it would wait for that, and Python, when it ends, for the thread.
            results._writer.close()
        return super().__exit__(kind, *about)


def _begin(begin: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    command = multiprocessing.parent_process()

    def end_with_the_command() -> None:
        command.join()
        os._exit(1)

    threading.Thread(target=end_with_the_command, daemon=True).start()
    if begin is not None:
        begin(*arguments)


@contextmanager
def without_importing_the_command() -> Iterator[None]:
    """Processes that are spawned meanwhile import what they are given to do, and not the command's own module.

    That imports PyTorch and more, three quarters of the time until such a process begins: with 16 of them on two cores
    the first house was drawn after 19 s instead of 74.
    """
    command = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")  # as of `python -c`: nothing to import
    try:
        yield
    finally:
        sys.modules["__main__"] = command
