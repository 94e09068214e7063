"""What a long command shows of its progress: one line on stderr."""

from __future__ import annotations

import sys
import time

SECONDS_BETWEEN_LINES = 10.0  # in a log file


class ProgressLine:
    """A line that is rewritten on a terminal, and written now and then in a log file."""

    def __init__(self) -> None:
        self._shown = time.monotonic()

    def show(self, line: str, last: bool = False) -> None:
        """Show the line, in a log file if it is time for one. last: the work is done; always shown, and left there."""
        now, terminal = time.monotonic(), sys.stderr.isatty()
        if not (terminal or last or now - self._shown > SECONDS_BETWEEN_LINES):
            return
        self._shown = now
        print(line, end="\r" if terminal and not last else "\n", file=sys.stderr, flush=True)
