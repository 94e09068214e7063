"""The process of a node, from start to exit status."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import traceback
from typing import Any, Callable

import rospy

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)
POLL_SECONDS = 0.05
CLOSING_SECONDS = 5.0  # for ROS's shutdown and the log's, which a master that does not answer would hold up for ever


class Run:
    """One run of a node in this process.

    name: of the node, where it is started without __name.
    make_node: makes the node, given what to call with an exception that ends it.
    told_in_one_line: kinds of exceptions that a user can put right, and that ROS's shutdown never causes; any other is
        shown with its traceback.
    """

    def __init__(
        self,
        name: str,
        make_node: Callable[[Callable[[Exception], None]], Any],
        told_in_one_line: type[Exception] | tuple[type[Exception], ...],
    ) -> None:
        self._name, self._make_node, self._told_in_one_line = name, make_node, told_in_one_line
        self._node: Any = None  # kept, since its subscribers live as long as it does
        self._telling = threading.Lock()  # a failure, or that no more are told
        self._failure: Exception | None = None
        self._is_closed = False
        self._failed = threading.Event()  # and it has been told why

    def start(self) -> None:
        """Make ROS know the node, and make it."""
        try:
            rospy.init_node(self._name, disable_signals=True)
            self._node = self._make_node(self.fail)
        except Exception as error:  # this thread has no caller to tell
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Let the process end because of an error, and with a status that says so, also where it was just told to end.

        While topics are being closed, whoever publishes fails, and that is no failure.
        """
        is_for_user = isinstance(error, self._told_in_one_line)
        with self._telling:
            if self._failure or self._is_closed or (rospy.core.is_shutdown_requested() and not is_for_user):
                return
            self._failure = error
            if is_for_user:
                rospy.logfatal(str(error))
            else:
                rospy.logfatal("".join(traceback.format_exception(type(error), error, error.__traceback__)))
        self._failed.set()

    def is_over(self) -> bool:
        """Whether the node failed, or ROS was shut down."""
        return self._failed.is_set() or rospy.is_shutdown()

    def end(self) -> None:
        """Shut ROS down, and end the process.

        Not in Python's own way, which takes PyTorch apart first: that needs more than a second, and hangs where a
        thread is still loading a library.
        """
        closing = threading.Thread(target=self._close, daemon=True)
        closing.start()
        closing.join(CLOSING_SECONDS)
        os._exit(0 if self._failure is None else 1)

    def _close(self) -> None:
        if self._node is None and self._failure is None:
            rospy.logwarn("told to end before it had started")
        rospy.signal_shutdown("told to end")
        with self._telling:
            self._is_closed = True
            logging.shutdown()


def run_node(
    name: str,
    make_node: Callable[[Callable[[Exception], None]], Any],
    told_in_one_line: type[Exception] | tuple[type[Exception], ...],
) -> None:
    """Start a node (see `Run`), stay until it is told to end, and end the process: does not return.

    Signals are looked for, never handled in the middle of something: rospy's own handler interrupts the main thread and
    then waits for ever for a lock that this very thread holds, if it was just asking the master or making a subscriber.
    Nor does `signal.sigtimedwait` wait for them: where the process is stopped meanwhile and goes on (Ctrl-Z and fg, a
    computer that sleeps), it may return a signal that nobody sent.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)  # every thread from here on has it
    run = Run(name, make_node, told_in_one_line)
    threading.Thread(target=run.start, name=f"{name} start", daemon=True).start()
    while not (run.is_over() or signal.sigpending().intersection(ENDING_SIGNALS)):
        time.sleep(POLL_SECONDS)
    run.end()
