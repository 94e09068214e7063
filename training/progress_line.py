"""What a long command shows of its progress: one line on stderr."""

from __future__ import annotations

import sys
import time

SECONDS_BETWEEN_LINES = 10.0  # in a log file


class ProgressLine:
    """A line that is rewritten on a terminal, and written now and then in a log file."""

    def __init__(self) -> None:
        self._shown = time.monotonic()
        self._width = 0

    def show(self, line: str, last: bool = False) -> None:
        """Show the line, in a log file if it is time for one. last: the work is done; always shown, and left there."""
        now, terminal = time.monotonic(), sys.stderr.isatty()
        if not (terminal or last or now - self._shown > SECONDS_BETWEEN_LINES):
            return
        self._shown = now
        end = "\r" if terminal and not last else "\n"
        blanks = " " * (self._width - len(line)) if terminal else ""  # over the rest of a longer one
        self._width = len(line)
        sys.stderr.write(f"{line}{blanks}{end}")  # in one piece: what Ctrl-C writes does not come between
        sys.stderr.flush()
