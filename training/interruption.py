"""Ctrl-C and SIGTERM while a command runs: `python -m training.X`, `python -m benchmarks.X`, `training/run.sh`.

A command imports for seconds before its `main` begins. What Python does at Ctrl-C, a KeyboardInterrupt wherever it
happens to be, would there be a traceback from deep inside some library, or nothing at all: PyTorch while it imports
NumPy, and trimesh while it imports SciPy, pass over any exception, and the command would go on. Nothing is at stake
yet, so that the process ends on the spot (`end_at_ctrl_c_while_importing`). From then on it is to end in good order,
by an exception (`exceptions_at_signals`). Training, once it makes steps, saves a checkpoint (`processes.StopSignals`).

Python's own start, some hundredths of a second before any of this is imported, is not covered: so this imports little.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 128 + signal.SIGINT  # the status that a shell gives a command that Ctrl-C ended


def end_at_ctrl_c_while_importing() -> None:
    """Have Ctrl-C end this process at once, if it is a command that begins to import; for a package's `__init__`.

    Whoever else imports the package keeps his signals: it is a command's while Python still looks for the module that
    `python -m` names (`sys.argv[0]` is "-m" until it is found). A shell's background job goes on ignoring Ctrl-C.
    """
    if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end_interrupted)


def _end_interrupted(number: int, frame: FrameType | None) -> None:
    try:
        if tells():
            os.write(2, b"interrupted\n")  # not by print: that may be what was interrupted
    finally:
        os._exit(INTERRUPTED)


def tells() -> bool:
    """Whether this process says how its command ended: of several that torchrun started here, the first alone."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def forget_interrupt() -> None:
    """After a KeyboardInterrupt that was dealt with: have Python end with the status that it is asked for.

    Where one came while code in a string was run, as dataclass and namedtuple do, Python notes it as unhandled, and
    `python -m` would end by SIGINT in the end, whatever was done about it. To run another string takes that back.
    """
    exec("")


@contextmanager
def exceptions_at_signals() -> Iterator[None]:
    """Meanwhile Ctrl-C raises KeyboardInterrupt and SIGTERM SystemExit(143).

    Before and after, either ends the process at once. Where somebody else has taken care of one, that stays.
    """
    handlers = {
        signal.SIGINT: (_end_interrupted, signal.default_int_handler),
        signal.SIGTERM: (signal.SIG_DFL, _raise_exit),
    }
    handlers = {number: pair for number, pair in handlers.items() if signal.getsignal(number) == pair[0]}
    try:
        for number, (_, meanwhile) in handlers.items():
            signal.signal(number, meanwhile)
        yield
    finally:
        for number, (before, _) in handlers.items():
            signal.signal(number, before)


def _raise_exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
