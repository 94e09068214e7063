"""The process of a node, from start to exit status."""

from __future__ import annotations

import logging
import os
import threading
import traceback
from typing import Any, Callable

import rospy


class Run:
    """One run of a node in this process.

    make_node: makes the node, given what to call with an exception that ends it.
    told_in_one_line: kinds of exceptions that a user can put right; any other is shown with its traceback.
    """

    def __init__(
        self,
        make_node: Callable[[Callable[[Exception], None]], Any],
        told_in_one_line: type[Exception] | tuple[type[Exception], ...],
    ) -> None:
        self._make_node, self._told_in_one_line = make_node, told_in_one_line
        self._node: Any = None  # kept, since its subscribers live as long as it does
        self._failure: Exception | None = None

    def start(self) -> None:
        """Make the node."""
        try:
            self._node = self._make_node(self.fail)
        except Exception as error:  # this thread has no caller to tell
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """End the process because of an error."""
        if rospy.core.is_shutdown_requested():
            return  # topics are being closed: whoever publishes then fails, and that is no failure
        self._failure = error
        if isinstance(error, self._told_in_one_line):
            rospy.logfatal(str(error))
        else:
            rospy.logfatal("".join(traceback.format_exception(type(error), error, error.__traceback__)))
        rospy.signal_shutdown(str(error))

    def end(self) -> None:
        """End the process, after ROS's shutdown.

        Not in Python's own way, which takes PyTorch apart first: that needs more than a second, and hangs where a
        thread is still loading a library.
        """
        logging.shutdown()
        os._exit(0 if self._failure is None else 1)


def run_node(
    name: str,
    make_node: Callable[[Callable[[Exception], None]], Any],
    told_in_one_line: type[Exception] | tuple[type[Exception], ...],
) -> None:
    """Start a node (see `Run`), stay until it is told to end, and end the process: does not return."""
    rospy.init_node(name)
    run = Run(make_node, told_in_one_line)
    # Not in this thread: signals are handled here, and rospy's handler waits for ever for the locks that a subscriber
    # holds while it is made, if that is what it interrupts.
    threading.Thread(target=run.start, name=f"{name} start", daemon=True).start()
    rospy.spin()
    run.end()
