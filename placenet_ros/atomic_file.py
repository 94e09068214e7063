"""Files that are written whole or not at all: a crash, a full disk or a loss of power leaves what was there before."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Iterator

UNFINISHED = ".part"  # how the name of a file ends until it is whole


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, beside `path`, that takes its place when the block ends; where it raises, nothing is left.

    Raises OSError.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{UNFINISHED}")
    file = open(temporary, "wb")
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink()  # gives a full disk back what it took
        raise
    _sync_folder(path.parent)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file in place of an older one. Raises OSError."""
    with whole_file(path) as file:
        file.write(data)


def _sync_folder(folder: Path) -> None:
    """Make the new name outlast a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
