"""How many processes a command runs."""

from __future__ import annotations

import os

from training.configuration import UserError


def worker_count(wish: int | None) -> int:
    """The number asked for, or one for each core that this process may use. Raises UserError for less than one."""
    if wish is not None and wish < 1:
        raise UserError(f"processes must be at least 1, not {wish}")
    return wish or len(os.sched_getaffinity(0))
