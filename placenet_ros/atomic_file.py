"""Files that are written whole or not at all: a crash, a full disk or a loss of power leaves what was there before."""

from __future__ import annotations

import glob
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Iterator

UNFINISHED = ".part"  # how the name of a file ends until it is whole, after the number of the process that writes it


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, beside `path`, that takes its place when the block ends; where it raises, nothing is left.

    What a process that was killed left of the same file is removed. Raises OSError.
    """
    _remove_leftovers(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}{UNFINISHED}")
    file = open(temporary, "wb")
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # the error that ended the writing is the one to tell
            temporary.unlink()  # gives a full disk back what it took
        raise
    _sync_folder(path.parent)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file in place of an older one. Raises OSError."""
    with whole_file(path) as file:
        file.write(data)


def _remove_leftovers(path: Path) -> None:
    """Remove what processes that have ended left unfinished of a file."""
    for leftover in path.parent.glob(f"{glob.escape(path.name)}.*{UNFINISHED}"):
        number = leftover.name[len(path.name) + 1:-len(UNFINISHED)]  # with more in it, it is another file's
        if number.isdigit() and writer_is_gone(leftover):
            with suppress(OSError):  # another user's in a shared folder: no reason not to write beside it
                leftover.unlink()


def writer_is_gone(unfinished: Path) -> bool:
    """Whether the process whose number stands before the last dot of an unfinished file's name has ended."""
    try:
        os.kill(int(unfinished.name.split(".")[-2]), 0)
    except ProcessLookupError:
        return True
    except (ValueError, OverflowError, OSError):  # no number, or another user's process
        return False
    return False


def _sync_folder(folder: Path) -> None:
    """Make the new name outlast a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
