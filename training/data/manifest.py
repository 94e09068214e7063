"""The manifest of a data set: what it is made from, and each of its shards with its SHA-256.

    DATA/manifest.json          what it is, and of each shard: trajectories, frames, bytes, SHA-256
    DATA/shard-00000.arrow      see training/data/shards.py
    DATA/shard-00001.arrow

Writing shards is the business of `writing`, reading them that of `dataset`.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from placenet_ros.atomic_file import write_whole
from training.configuration import UserError
from training.data.shards import DamagedError, Description
from training.trajectory import Skipped

MANIFEST = "manifest.json"
MANIFEST_FORMAT, MANIFEST_VERSION = "placenet shards", 1
LARGEST_MANIFEST = 1 << 28  # bytes; a million trajectories take some 5 MB
HASHED_AT_ONCE = 1 << 22  # bytes
MOST_FRAMES = 1 << 31  # of a trajectory


@dataclass(frozen=True)
class ShardEntry:
    """What the manifest says of a shard."""

    file: str
    lengths: tuple[int, ...]  # frames of each trajectory
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a data set's folder holds, and what it is made from."""

    description: Description
    split: str  # "train" or "unseen": whether training may see it
    units: int
    units_per_shard: int
    units_sha256: str  # of the units' names, so that a folder is not continued with others
    shards: tuple[ShardEntry, ...] = ()  # empty until all are there
    skipped: tuple[Skipped, ...] = ()
    complete: bool = False

    @property
    def shard_count(self) -> int:
        """How many shards there are to be."""
        return -(-self.units // self.units_per_shard)


def shard_name(index: int) -> str:
    """The file of a shard."""
    return f"shard-{index:05d}.arrow"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write DATA/manifest.json whole. Raises OSError."""
    content = {
        "format": MANIFEST_FORMAT,
        "version": MANIFEST_VERSION,
        "complete": manifest.complete,
        "split": manifest.split,
        "description": manifest.description.as_json(),
        "units": manifest.units,
        "units_per_shard": manifest.units_per_shard,
        "units_sha256": manifest.units_sha256,
        "trajectories": sum(len(shard.lengths) for shard in manifest.shards),
        "frames": sum(sum(shard.lengths) for shard in manifest.shards),
        "skipped": [list(entry) for entry in manifest.skipped],
        "shards": [
            {"file": shard.file, "bytes": shard.bytes, "sha256": shard.sha256, "lengths": list(shard.lengths)}
            for shard in manifest.shards
        ],
    }
    lines = ",\n".join(f"{json.dumps(name)}: {_json_lines(value)}" for name, value in content.items())
    write_whole(folder / MANIFEST, ("{\n" + lines + "\n}\n").encode())


def _json_lines(value: Any) -> str:
    """JSON with a line for each element of a list of objects: to be read by people, too."""
    if isinstance(value, list) and value and isinstance(value[0], (dict, list)):
        return "[\n  " + ",\n  ".join(json.dumps(entry) for entry in value) + "\n]"
    return json.dumps(value)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a data set. Raises UserError where there is none, DamagedError where it cannot be believed."""
    path = folder / MANIFEST
    if not path.is_file():
        made = "python -m training.make_houses or training.convert"
        raise UserError(f"{folder}: no data set: it holds no {MANIFEST}; make one with {made}")
    try:
        if path.stat().st_size > LARGEST_MANIFEST:
            raise ValueError(f"over {LARGEST_MANIFEST} bytes long")
        return _manifest_of(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError, OSError, RecursionError, OverflowError) as error:
        reason = f"no key {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise DamagedError(f"{path}: no manifest of a data set: {reason}") from error


def _manifest_of(content: Any) -> Manifest:
    if not isinstance(content, dict) or content.get("format") != MANIFEST_FORMAT:
        raise ValueError(f"its format is not '{MANIFEST_FORMAT}'")
    if content.get("version") != MANIFEST_VERSION:
        raise ValueError(f"version {content.get('version')!r}, this program reads {MANIFEST_VERSION}")
    shards = []
    for entry in content["shards"]:
        if not re.fullmatch(r"shard-\d{5,}\.arrow", entry["file"]):
            raise ValueError(f"a shard cannot be called {entry['file']!r}")
        lengths = tuple(entry["lengths"])
        if not all(isinstance(length, int) and 0 < length < MOST_FRAMES for length in lengths):
            raise ValueError(f"{entry['file']}: lengths must be whole numbers over 0 and under {MOST_FRAMES}")
        shards.append(ShardEntry(entry["file"], lengths, int(entry["bytes"]), str(entry["sha256"])))
    numbers = [content["units"], content["units_per_shard"]]
    if not all(isinstance(number, int) and number > 0 for number in numbers):
        raise ValueError(f"units and units_per_shard must be whole numbers over 0, not {numbers}")
    if content["complete"] and not any(shard.lengths for shard in shards):
        raise ValueError("it is complete without any trajectory")
    return Manifest(
        description=Description.of_json(content["description"]),
        split=str(content["split"]),
        units=numbers[0],
        units_per_shard=numbers[1],
        units_sha256=str(content["units_sha256"]),
        shards=tuple(shards),
        skipped=tuple(Skipped(str(name), str(reason)) for name, reason in content["skipped"]),
        complete=bool(content["complete"]),
    )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(HASHED_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()
