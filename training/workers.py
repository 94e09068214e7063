"""The processes that a command starts to work beside it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from training.configuration import UserError


def worker_count(wish: int | None) -> int:
    """The number asked for, or one for each core that this process may use. Raises UserError for less than one."""
    if wish is not None and wish < 1:
        raise UserError(f"processes must be at least 1, not {wish}")
    return wish or len(os.sched_getaffinity(0))


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
