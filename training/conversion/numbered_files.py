"""Data sets that come as numbered files in one folder: which of them are there, and which are missing."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from placenet_ros.counted import counted
from training.configuration import UserError

NAMED_AT_MOST = 5  # of the missing ones
MOST_FILES = 10_000_000


def numbered_files(folder: Path, pattern: str, example: str) -> dict[int, str]:
    """Names of a folder's files by their number, the first group of `pattern`, in its order. `example`: such a name.

    Files of other names are left out, with a line on stderr. Raises UserError where the folder cannot be read, or holds
    no such file, or two of one number.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: expected a folder, found {'a file' if folder.exists() else 'nothing'}")
    names: dict[int, str] = {}
    others = []
    for path in folder.iterdir():
        found = re.fullmatch(pattern, path.name)
        if found is None:
            others.append(path.name)
        elif (number := int(found[1])) in names:
            raise UserError(f"{folder}: {names[number]} and {path.name} have the same number: remove one of them")
        else:
            names[number] = path.name
    if not names:
        raise UserError(f"{folder}: no file with a name like {example}, among {len(others)}")
    if others:
        told = f"{counted(len(others), 'other file')} left out, such as {sorted(others)[0]}"
        print(f"{folder}: {told}", file=sys.stderr)
    return dict(sorted(names.items()))


def check_complete(folder: Path, names: dict[int, str], first: int, last: int, skip_damaged: bool) -> None:
    """Name the numbers from first to last that are missing: a UserError, or a line on stderr with skip_damaged."""
    if not first <= last <= MOST_FILES:
        raise UserError(f"{folder}: expected files {first} to at most {MOST_FILES}, found {last} as the last's number")
    expected = range(first, last + 1)
    if list(names) == list(expected):
        return
    missing = [number for number in expected if number not in names]
    some = ", ".join(map(str, missing[:NAMED_AT_MOST])) + (", ..." if len(missing) > NAMED_AT_MOST else "")
    surplus = [name for number, name in names.items() if number not in expected]
    line = f"{folder}: expected files {first} to {last}, {len(missing)} missing ({some or 'none'})"
    if surplus:
        line += f", {len(surplus)} beyond, such as {surplus[0]}"
    if not skip_damaged:
        raise UserError(f"{line}: complete the folder, or go on without them by skip_damaged=true")
    print(f"skipped: {line}", file=sys.stderr)
