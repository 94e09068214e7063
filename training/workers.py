"""The processes that a command starts to work beside it."""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing.context import BaseContext

from training.configuration import UserError

OURS = ("training", "placenet_ros")  # whose modules import the others


def worker_count(wish: int | None) -> int:
    """The number asked for, or one for each core that this process may use. Raises UserError for less than one."""
    if wish is not None and wish < 1:
        raise UserError(f"processes must be at least 1, not {wish}")
    return wish or len(os.sched_getaffinity(0))


def worker_context() -> BaseContext:
    """What begins processes that may draw: forks of one that has imported what this command has, and done nothing else.

    Neither a graphics context nor CUDA would survive a fork of the command itself. A process begun anew would import
    all for itself, which takes a core some seconds: a minute in all where there are as many as cores, and more.
    """
    multiprocessing.set_forkserver_preload([name for name in sys.modules if name.split(".")[0] in OURS])
    return multiprocessing.get_context("forkserver")
