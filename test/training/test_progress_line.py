"""The line of progress on a terminal and in a log file."""

import io
import sys
import time

from training.progress_line import ProgressLine


class Written(io.StringIO):
    """Every write by itself. is_terminal: what isatty() says."""

    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal, self.pieces = is_terminal, []

    def isatty(self):
        return self.is_terminal

    def write(self, text):
        self.pieces.append(text)
        return len(text)


def test_on_a_terminal_each_line_covers_the_one_before_in_one_piece(monkeypatch):
    stderr = Written(is_terminal=True)
    monkeypatch.setattr(sys, "stderr", stderr)
    progress = ProgressLine()
    for line in ("10 pictures, 5 MB", "shorter", "12 pictures"):
        progress.show(line)
    progress.show("done", last=True)
    assert stderr.pieces == ["10 pictures, 5 MB\r", "shorter          \r", "12 pictures\r", "done       \n"]


def test_a_log_file_gets_a_line_now_and_then_and_the_last(monkeypatch):
    stderr, now = Written(is_terminal=False), [100.0]
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = ProgressLine()
    for second in range(1, 25):
        now[0] = 100.0 + second
        progress.show(f"{second} s")
    progress.show("done", last=True)
    assert stderr.pieces == ["11 s\n", "22 s\n", "done\n"]
