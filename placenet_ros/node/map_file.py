"""A map of places as one file: safetensors with a JSON description in its header. Knows nothing of ROS.

    tensors       those of `scene.place_index.PlaceMap`, by their names
    description   format, model_id, frame_ids (one for each place), sha256 of the tensors

Nothing is unpickled. It is written whole or not at all (`atomic_file`), so that at any moment there is the old file or
the new one. What is read is checked whole before anybody uses it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from placenet_ros.atomic_file import write_whole
from placenet_ros.node.stamps import LATEST_STAMP
from placenet_ros.scene.place_index import PlaceMap

FORMAT = 1
DESCRIPTION = "placenet_map"  # its key in the file's header
LARGEST_BYTES = 1 << 30  # far more than the places of any index take
LARGEST_COORDINATE = 1e8  # metres, as of odometry
LARGEST_ID = 2**32 - 1  # of messages
NORM_TOLERANCE = 1e-3  # of an embedding
# Type and shape of each tensor; letters are equal where they are the same.
TENSORS = {
    "embeddings": ("F32", "nc"),
    "poses": ("F64", "n5"),
    "stamps": ("I64", "n"),
    "owners": ("I64", "n"),
    "ids": ("I64", "p2"),
    "extents": ("F64", "p23"),
}


class MapError(ValueError):
    """A map that cannot be written or read; one line: which file, what, what to do."""


def map_path(text: str) -> Path:
    """The path that somebody asks for, `~` expanded. Raises MapError for one that is relative, or none."""
    path = Path(os.path.expanduser(text))
    if not path.is_absolute() or "\0" in text:
        raise MapError(f"'{text}' is no whole path: give one that begins with / or ~/ (the node runs elsewhere)")
    return path


def write_map(path: Path, places: PlaceMap, model_id: str) -> None:
    """Write a map, in place of an older one.

    Raises MapError where it cannot be written, and where another file that is no map has that name; nothing is changed.
    """
    tensors = {name: np.ascontiguousarray(getattr(places, name)) for name in TENSORS}
    description = {
        "format": FORMAT,
        "model_id": model_id,
        "frame_ids": places.frame_ids,
        "sha256": _digest(tensors),
    }
    try:
        if path.exists():
            _refuse_to_replace(path)
        write_whole(path, save(tensors, {DESCRIPTION: json.dumps(description)}))
    except OSError as error:
        raise MapError(f"{path}: not saved: {error.strerror}; give a file in a folder that can be written") from error


def _refuse_to_replace(path: Path) -> None:
    try:
        _read_description(path)
    except MapError as error:
        raise MapError(f"{path}: not saved: the file there is no map; take another name, or remove it") from error


def read_map(path: Path) -> tuple[PlaceMap, str]:
    """The places of a map, and the id of the model that made them.

    Raises MapError for a file that is missing, damaged, no map, or of another format.
    """
    try:
        description = _read_description(path)
        with safe_open(path, framework="numpy") as file:
            _check_shapes(path, file)
            tensors = {name: file.get_tensor(name) for name in TENSORS}
    except OSError as error:
        raise MapError(f"{path}: not loaded: {error.strerror}; give the path of a file that ~save_map wrote") from error
    except SafetensorError as error:
        raise MapError(f"{path}: damaged ({error}); load another copy") from error
    if description.get("sha256") != _digest(tensors):
        raise MapError(f"{path}: damaged: its SHA-256 is another one than it says; load another copy")
    places = PlaceMap(**tensors, frame_ids=description.get("frame_ids"))
    fault = _fault(places)
    if fault or not isinstance(description.get("model_id"), str):
        raise MapError(f"{path}: no map that this node could have written: {fault or 'no model_id'}")
    return places, description["model_id"]


def _read_description(path: Path) -> dict[str, Any]:
    """Raises MapError for what is no map of this format, OSError."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_BYTES:
        raise MapError(f"{path}: no map: not a file, or of more than {LARGEST_BYTES >> 20} MiB")
    try:
        with safe_open(path, framework="numpy") as file:
            description = json.loads((file.metadata() or {}).get(DESCRIPTION, ""))
    except (SafetensorError, ValueError, RecursionError) as error:
        raise MapError(f"{path}: no map of ~save_map, or damaged; load another file") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        found = description.get("format") if isinstance(description, dict) else None
        raise MapError(f"{path}: a map of format {found!r:.20}, this version reads {FORMAT}")
    return description


def _check_shapes(path: Path, file: Any) -> None:
    """Before anything is read. Raises MapError."""
    if set(file.keys()) != set(TENSORS):
        raise MapError(f"{path}: no map that this node could have written: it has other tensors")
    sizes: dict[str, int] = {}
    for name, (dtype, letters) in TENSORS.items():
        found = file.get_slice(name)
        shape = found.get_shape()
        expected = [int(x) if x.isdigit() else sizes.setdefault(x, size) for x, size in zip(letters, shape)]
        if found.get_dtype() != dtype or len(shape) != len(letters) or shape != expected:
            raise MapError(f"{path}: no map that this node could have written: {name} is {found.get_dtype()} {shape}")


def _fault(places: PlaceMap) -> str:
    """What is wrong with its values; empty: nothing."""
    norms = np.linalg.norm(places.embeddings, axis=1)
    frames = places.frame_ids
    coordinates = np.concatenate([places.poses.ravel(), places.extents.ravel()])
    checks = {
        "an embedding's norm is not 1": np.all(np.abs(norms - 1) < NORM_TOLERANCE),
        "a pose is not finite or beyond any map": np.all(np.abs(coordinates) < LARGEST_COORDINATE),
        "a stamp is out of range": np.all((places.stamps >= 0) & (places.stamps <= LATEST_STAMP)),
        "an id is out of range": np.all((places.ids >= 1) & (places.ids <= LARGEST_ID)),
        "two places have the same id": len(np.unique(places.ids, axis=0)) == len(places.ids),
        "an extent is inside out": np.all(places.extents[:, 0] <= places.extents[:, 1]),
        "a place has no descriptor, or a descriptor no place": np.array_equal(
            np.unique(places.owners), np.arange(len(places.ids))
        ),
        "frame_ids are no list of names": isinstance(frames, list)
        and len(frames) == len(places.ids)
        and all(isinstance(name, str) for name in frames),
    }
    return next((complaint for complaint, holds in checks.items() if not holds), "")


def _digest(tensors: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(np.ascontiguousarray(tensors[name]).data)
    return digest.hexdigest()
