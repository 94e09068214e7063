"""The process of a node, from start to exit status."""

from __future__ import annotations

import logging
import os
import signal
import threading
import traceback
from typing import Any, Callable

import rospy

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)
POLL_SECONDS = 0.1
CLOSING_SECONDS = 5.0  # for ROS's shutdown, which a master that does not answer would hold up for ever


class Run:
    """One run of a node in this process.

    name: of the node, where it is started without __name.
    make_node: makes the node, given what to call with an exception that ends it.
    told_in_one_line: kinds of exceptions that a user can put right; any other is shown with its traceback.
    """

    def __init__(
        self,
        name: str,
        make_node: Callable[[Callable[[Exception], None]], Any],
        told_in_one_line: type[Exception] | tuple[type[Exception], ...],
    ) -> None:
        self._name, self._make_node, self._told_in_one_line = name, make_node, told_in_one_line
        self._node: Any = None  # kept, since its subscribers live as long as it does
        self._failure: Exception | None = None
        self._failed = threading.Event()  # and it has been told why

    def start(self) -> None:
        """Make ROS know the node, and make it."""
        try:
            rospy.init_node(self._name, disable_signals=True)
            self._node = self._make_node(self.fail)
        except Exception as error:  # this thread has no caller to tell
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Let the process end because of an error."""
        if self._failure or rospy.core.is_shutdown_requested():
            return  # topics are being closed: whoever publishes then fails, and that is no failure
        self._failure = error
        if isinstance(error, self._told_in_one_line):
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
        closing = threading.Thread(target=rospy.signal_shutdown, args=("told to end",), daemon=True)
        closing.start()
        closing.join(CLOSING_SECONDS)
        logging.shutdown()
        os._exit(0 if self._failure is None else 1)


def run_node(
    name: str,
    make_node: Callable[[Callable[[Exception], None]], Any],
    told_in_one_line: type[Exception] | tuple[type[Exception], ...],
) -> None:
    """Start a node (see `Run`), stay until it is told to end, and end the process: does not return.

    Signals are waited for, never handled in the middle of something: rospy's own handler interrupts the main thread and
    then waits for ever for a lock that this very thread holds, if it was just asking the master or making a subscriber.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)  # every thread from here on has it
    run = Run(name, make_node, told_in_one_line)
    threading.Thread(target=run.start, name=f"{name} start", daemon=True).start()
    while not run.is_over():
        if signal.sigtimedwait(ENDING_SIGNALS, POLL_SECONDS):
            break
    run.end()
