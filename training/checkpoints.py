"""Checkpoints of a run: written whole or not at all, found again by the same command.

    RUN/checkpoints/
        samples-000001200000.pt    the state after that many samples seen
        samples-000001400000.pt

A checkpoint is a zip file (`torch.save`) of tensors and plain values, read with `weights_only=True`. What goes into it
is the training loop's choice; weights for use are in RUN/weights and RUN/best, not here. Of all that were written the
newest are kept and, where a run asks for it, the first of each so many samples.
"""

from __future__ import annotations

import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch

from placenet_ros.atomic_file import UNFINISHED, whole_file


def checkpoint_path(folder: Path, samples_seen: int) -> Path:
    """The file of that checkpoint; names sort by samples seen."""
    return folder / f"samples-{samples_seen:012d}.pt"


def save_checkpoint(
    folder: Path, samples_seen: int, state: dict[str, Any], keep: int, keep_every: int | None = None
) -> Path:
    """Write a checkpoint, then delete all but the newest `keep` and the first of each `keep_every` samples.

    A full disk or a crash leaves the older ones intact. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"*{UNFINISHED}"):
        leftover.unlink()
    path = checkpoint_path(folder, samples_seen)
    try:
        with whole_file(path) as file:
            torch.save(state, file)
    except (OSError, RuntimeError) as error:
        reason = error if isinstance(error, OSError) else error.__context__  # torch.save hides it by one of its own
        if not isinstance(reason, OSError):
            raise
        raise OSError(reason.errno, reason.strerror, str(path)) from error
    until_now = [other for other in _oldest_first(folder) if other <= path]  # later ones are damaged: passed over
    for old in _not_kept(until_now, keep, keep_every):
        old.unlink()
    return path


def _not_kept(paths: list[Path], keep: int, keep_every: int | None) -> list[Path]:
    """Which of these, oldest first, are to be deleted."""
    leaving, before = [], 0
    for path in paths[:-keep]:
        multiple = 0 if keep_every is None else _samples_of(path) // keep_every
        if multiple == before:
            leaving.append(path)
        before = multiple
    return leaving


def newest_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The state of the newest checkpoint that can be read, its tensors on the CPU; None where there is none.

    A damaged one is passed over, with a line on stderr; there is a line, too, where none is left.
    """
    found = _oldest_first(folder)
    for path in reversed(found):
        try:
            return read_checkpoint(path)
        except (zipfile.BadZipFile, RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            print(f"warning: {path} cannot be read and is passed over: {reason}", file=sys.stderr)
    if found:
        print(f"warning: {folder}: no checkpoint there can be read: training begins anew", file=sys.stderr)
    return None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The state of a checkpoint, its tensors on the CPU. Raises what zipfile and torch.load do for a damaged one."""
    with zipfile.ZipFile(path) as archive:
        broken = archive.testzip()  # torch.load itself compares no checksums
    if broken is not None:
        raise zipfile.BadZipFile(f"wrong checksum of {broken}")
    return torch.load(path, map_location="cpu", weights_only=True)


def _oldest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("samples-*.pt"))


def _samples_of(path: Path) -> int:
    return int(path.stem.removeprefix("samples-"))
