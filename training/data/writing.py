"""Writing a data set: shards by several processes or machines, then the manifest.

Work is done in *units* (a house, a file of a source), a fixed number of them for each shard, so that a shard is a
function of its units alone: several processes, several machines (`part`) and a command that was killed and started
again all end with the same bytes. Which trajectories a unit gives is the caller's business.
"""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from placenet_ros.atomic_file import writer_is_gone
from placenet_ros.counted import counted
from training.configuration import UserError
from training.data.manifest import (
    MANIFEST,
    Manifest,
    ShardEntry,
    read_manifest,
    sha256_of,
    shard_name,
    write_manifest,
)
from training.data.shards import Description, Shard, write_shard
from training.progress_line import ProgressLine
from training.trajectory import Skipped, Trajectory
from training.workers import Workers

NAMED_AT_MOST = 10  # what was skipped is named up to this number, then counted

Unit = Any
Convert = Callable[[Unit], Iterable["Trajectory | Skipped"]]


class Summary(NamedTuple):
    """What came of writing a data set."""

    trajectories: int
    frames: int
    bytes: int
    skipped: int
    seconds: float
    missing: int  # shards that other parts are to write


class _Task(NamedTuple):
    """What a process needs to write one shard."""

    path: Path
    description: Description
    units: tuple
    convert: Convert
    skip_damaged: bool


_done = None  # in a worker: counts the trajectories written, for the line of progress


def write_dataset(
    out: Path,
    description: Description,
    units: Sequence[Unit],
    convert: Convert,
    units_per_shard: int,
    processes: int,
    part: tuple[int, int] = (1, 1),
    split: str = "train",
    skip_damaged: bool = False,
) -> Summary:
    """Write the shards of `units` into the folder `out`, or those of them that are not there yet, then the manifest.

    convert: gives a unit's trajectories, one at a time; runs in another process, so it must be picklable.
    part: (i, n): write every n-th shard, beginning with the i-th. The manifest is complete once all shards are there:
        the last part to end writes it, or the same command without a part.
    skip_damaged: count and name a unit whose `convert` raises UserError, and go on; otherwise the error ends all.
    Raises UserError, also where `out` holds another data set, and OSError. Shards that are complete then stay.
    """
    start = time.monotonic()
    manifest = _begun(out, description, units, units_per_shard, split)
    names = [shard_name(index) for index in range(manifest.shard_count)]
    _remove_leftovers(out)
    mine = range(part[0] - 1, len(names), part[1])
    tasks = [
        _Task(
            out / names[index],
            description,
            tuple(units[index * units_per_shard : (index + 1) * units_per_shard]),
            convert,
            skip_damaged,
        )
        for index in mine
        if not (out / names[index]).exists()
    ]
    if tasks:
        _run(tasks, min(processes, len(tasks)), out, len(mine))
    missing = [name for name in names if not (out / name).exists()]
    here = [out / names[index] for index in mine] if missing else [out / name for name in names]
    entries, skipped = zip(*(_entry(path) for path in here), strict=True) if here else ((), ())
    skipped = tuple(entry for entries_of_shard in skipped for entry in entries_of_shard)
    if not missing:
        write_manifest(out, _completed(manifest, entries, skipped))
    _name_skipped(skipped)
    return Summary(
        sum(len(entry.lengths) for entry in entries),
        sum(sum(entry.lengths) for entry in entries),
        sum(entry.bytes for entry in entries),
        len(skipped),
        time.monotonic() - start,
        len(missing),
    )


def _completed(manifest: Manifest, entries: Sequence[ShardEntry], skipped: Sequence[Skipped]) -> Manifest:
    """The manifest with its shards. Raises UserError where there is no trajectory in any."""
    if not any(entry.lengths for entry in entries):
        reason = f": {skipped[0].name}: {skipped[0].reason}" if skipped else ""
        raise UserError(f"no trajectory came of {manifest.units} of the source's parts{reason}")
    return replace(manifest, shards=tuple(entries), skipped=tuple(skipped), complete=True)


def _begun(out: Path, description: Description, units: Sequence[Unit], units_per_shard: int, split: str) -> Manifest:
    """The manifest with which a folder begins. Raises UserError where the folder holds another data set."""
    if len(units) < 1 or units_per_shard < 1:
        raise ValueError(f"expected units and units for each shard, found {len(units)} and {units_per_shard}")
    digest = hashlib.sha256()
    for unit in units:
        digest.update(f"{unit}\n".encode())
    wanted = Manifest(description, split, len(units), units_per_shard, digest.hexdigest())
    out.mkdir(parents=True, exist_ok=True)
    if not (out / MANIFEST).exists():
        if any(out.glob("shard-*.arrow")):
            raise UserError(f"{out}: holds shards without a {MANIFEST}: choose another folder")
        write_manifest(out, wanted)
        return wanted
    there = read_manifest(out)
    before, now = _decisive(there), _decisive(wanted)
    differing = [
        f"{key}: {before.get(key, 'none')} there, {now.get(key, 'none')} asked for"
        for key in {**before, **now}
        if before.get(key) != now.get(key)
    ]
    if differing:
        raise UserError(f"{out}: holds another data set ({'; '.join(differing)[:300]}): choose another folder")
    return wanted


def _decisive(manifest: Manifest) -> dict[str, Any]:
    """What decides a data set's content, by dotted keys, as it comes back from a file."""
    about = {
        **manifest.description.as_json(),
        "split": manifest.split,
        "units": manifest.units,
        "units for each shard": manifest.units_per_shard,
        "names of the units": manifest.units_sha256,
    }
    return dict(_flat(json.loads(json.dumps(about)), ""))


def _flat(content: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _run(tasks: list[_Task], processes: int, out: Path, all_shards: int) -> None:
    """Write shards, by this process or by several others. Raises what the first of them to fail raises."""
    progress = _Progress(multiprocessing.get_context("spawn").Value("q", 0), all_shards, all_shards - len(tasks))
    try:
        (_write_alone if processes == 1 else partial(_write_together, processes))(tasks, progress)
    except BaseException as error:
        raise _explained(error, out, progress.shards, all_shards) from error
    finally:
        _remove_leftovers(out)


def _write_alone(tasks: list[_Task], progress: _Progress) -> None:
    """Write shards one after the other."""
    global _done
    _done = progress.done
    for number, task in enumerate(tasks, start=1):
        _write(task)
        progress.shards += 1
        progress.show(last=number == len(tasks))


def _write_together(processes: int, tasks: list[_Task], progress: _Progress) -> None:
    """Write shards by several processes. If one fails, the others are ended."""
    with Workers(processes, _begin_worker, progress.done) as pool:
        waiting: set[Future] = {pool.submit(_write, task) for task in tasks}
        while waiting:
            finished, waiting = wait(waiting, timeout=1.0, return_when="FIRST_COMPLETED")
            for future in finished:
                future.result()
                progress.shards += 1
            progress.show(last=not waiting)


def _remove_leftovers(out: Path) -> None:
    """Remove what processes that have ended left unfinished."""
    for leftover in out.glob(".shard-*.part"):
        if writer_is_gone(leftover):
            leftover.unlink(missing_ok=True)


def _explained(error: BaseException, out: Path, complete: int, all_shards: int) -> BaseException:
    """What the user is told of an error that ended the writing."""
    kept = f"shards that are complete stay ({complete} of {all_shards}); the same command goes on from there"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return UserError(f"{out}: {error.strerror}: {kept} once there is room")
    if isinstance(error, BrokenProcessPool):
        return UserError(f"{out}: a process ended by itself (perhaps for want of memory: lower processes=): {kept}")
    return error


def _begin_worker(done: Any) -> None:
    global _done
    _done = done
    os.environ.setdefault("LP_NUM_THREADS", "0")  # see `training.houses.pictures.draw_in_one_thread`


def _write(task: _Task) -> None:
    write_shard(task.path, task.description, _items(task))


def _items(task: _Task) -> Iterator[Trajectory | Skipped]:
    for unit in task.units:
        try:
            for item in task.convert(unit):
                yield item
                if _done is not None:
                    with _done.get_lock():
                        _done.value += isinstance(item, Trajectory)
        except UserError as error:
            if not task.skip_damaged:
                raise
            yield Skipped(str(unit), str(error))


class _Progress:
    """How many shards and trajectories are written, as a line on stderr."""

    def __init__(self, done: Any, all_shards: int, complete: int) -> None:
        self.done, self._all, self.shards = done, all_shards, complete
        self._start, self._line = time.monotonic(), ProgressLine()

    def show(self, last: bool) -> None:
        count, seconds = self.done.value, time.monotonic() - self._start
        shards, written = counted(self._all, "shard"), counted(count, "trajectory", "trajectories")
        self._line.show(f"{self.shards} of {shards}, {written}, {count / seconds:.1f}/s, {seconds:.0f} s", last)


def _entry(path: Path) -> tuple[ShardEntry, list[Skipped]]:
    """What the manifest is to say of a shard. Raises DamagedError."""
    with Shard(path) as shard:
        lengths = tuple(shard.length(row) for row in range(shard.trajectories))
        return ShardEntry(path.name, lengths, path.stat().st_size, sha256_of(path)), shard.skipped


def _name_skipped(skipped: Sequence[Skipped]) -> None:
    for entry in skipped[:NAMED_AT_MOST]:
        print(f"skipped: {entry.name}: {entry.reason}", file=sys.stderr)
    if len(skipped) > NAMED_AT_MOST:
        print(f"skipped: {len(skipped) - NAMED_AT_MOST} more, all in {MANIFEST}", file=sys.stderr)
