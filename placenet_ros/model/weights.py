"""Weights in and out: a folder with `model.safetensors` and `model.json` beside it.

    weights/placenet-small/
        model.safetensors    tensors by their names in `PlaceNet.state_dict()`, float16 or float32
        model.json           format, architecture, config, sha256 of the tensors' file, about (how they came about,
        what they reach)

Nothing is unpickled. Each file is written whole or not at all; the JSON goes last and carries the digest, so that a
pair that does not belong together is noticed.
"""
from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from placenet_ros.atomic_file import write_whole

TENSORS_NAME, DESCRIPTION_NAME = "model.safetensors", "model.json"
FORMAT, ARCHITECTURE = 1, "PlaceNet"
LARGEST_DESCRIPTION_BYTES = 1 << 20
SHOWN_NAMES = 5  # of the tensors that an error lists


class WeightsError(ValueError):
    """A weights file that is missing, damaged or made for another model. One line: which file, what, what to do."""


class Weights(NamedTuple):
    """What a weights folder holds."""

    tensors: dict[str, Tensor]
    config: dict[str, Any]  # of the model's constructor
    about: dict[str, Any]  # how they came about and what they reach
    model_id: str  # the first 12 hexadecimal digits of the tensors' digest


def write_weights(folder: str | Path, tensors: dict[str, Tensor], config: dict[str, Any], about: dict[str, Any],
                  half_precision: bool, architecture: str = ARCHITECTURE) -> None:
    """Write a weights folder, made if absent; the two files in it are replaced.

    Raises:
        WeightsError: a tensor is not finite, or does not fit into float16 where `half_precision` asks for it.
    """
    folder = Path(folder)
    dtype = torch.float16 if half_precision else torch.float32
    stored = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in tensors.items()}
    broken = [name for name, tensor in stored.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise WeightsError(f"{folder}: not written, these weights are not finite: {_listed(broken)}")
    data = safetensors.torch.save(stored)
    description = {"format": FORMAT, "architecture": architecture, "config": config,
                   "sha256": hashlib.sha256(data).hexdigest(), "about": about}
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / TENSORS_NAME, data)
    write_whole(folder / DESCRIPTION_NAME, (json.dumps(description, indent=2) + "\n").encode())


def read_weights(path: str | Path, architecture: str = ARCHITECTURE) -> Weights:
    """Read a weights folder, or a `.safetensors` file with its JSON beside it; checks the digest.

    Raises:
        WeightsError: a file is missing or damaged, or of another format or architecture.
    """
    tensors_path, description_path = _paths(Path(path))
    description = _read_description(description_path)
    if description.get("architecture") != architecture:
        raise WeightsError(f"{description_path}: architecture is {description.get('architecture')!r}, expected "
                           f"{architecture!r}; give weights of such a network")
    data = _read(tensors_path)
    digest = hashlib.sha256(data).hexdigest()
    if digest != description.get("sha256"):
        raise WeightsError("{}: damaged, or not the file that {} describes (SHA-256 {}..., expected {}...); fetch both "
                           "again".format(tensors_path, description_path.name, digest[:12],
                                          str(description.get("sha256"))[:12]))
    try:
        tensors = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise WeightsError(f"{tensors_path}: not a safetensors file ({error}); fetch it again") from error
    about = description.get("about")
    return Weights(tensors, description["config"], about if isinstance(about, dict) else {}, digest[:12])


def read_architecture(path: str | Path) -> str:
    """The architecture that a weights folder, or a `.safetensors` file with its JSON beside it, names.

    Raises:
        WeightsError: the JSON is missing or damaged, or of another format.
    """
    return str(_read_description(_paths(Path(path))[1]).get("architecture"))


def fill(model: nn.Module, tensors: dict[str, Tensor], source: str | Path) -> None:
    """Load copies of tensors, as float32, into a model whose state dict has just these names and shapes.

    They take the place of the model's own, which may be on the meta device.

    Raises:
        WeightsError: names that are missing or unknown, or shapes that differ; lists them.
    """
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    misshapen = [f"{name} {tuple(tensors[name].shape)} instead of {tuple(shape)}"
                 for name, shape in wanted.items() if name in tensors and tensors[name].shape != shape]
    faults = [("missing", sorted(set(wanted) - set(tensors))), ("unknown", sorted(set(tensors) - set(wanted))),
              ("of another shape", misshapen)]
    told = [f"{fault}: {_listed(names)}" for fault, names in faults if names]
    if told:
        raise WeightsError("{}: weights of another model: {}".format(source, "; ".join(told)))
    model.load_state_dict({name: tensor.to(torch.float32, copy=True) for name, tensor in tensors.items()}, assign=True)


def _paths(path: Path) -> tuple[Path, Path]:
    if path.suffix == ".safetensors":
        return path, path.with_suffix(".json")
    return path / TENSORS_NAME, path / DESCRIPTION_NAME


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: no weights here ({error.strerror}); give a folder with {TENSORS_NAME} and "
                           f"{DESCRIPTION_NAME}, such as weights/placenet-small") from error


def _read_description(path: Path) -> dict[str, Any]:
    data = _read(path)
    if len(data) > LARGEST_DESCRIPTION_BYTES:
        raise WeightsError(f"{path}: {len(data)} bytes are too many for a description; expected at most "
                           f"{LARGEST_DESCRIPTION_BYTES}")
    try:
        description = json.loads(data.decode())
    except ValueError as error:
        raise WeightsError(f"{path}: damaged, not JSON ({error}); fetch it again") from error
    if not isinstance(description, dict) or not isinstance(description.get("config"), dict):
        raise WeightsError(f"{path}: not the description of weights: it has no 'config'")
    if description.get("format") != FORMAT:
        raise WeightsError(f"{path}: format is {description.get('format')!r}, this version reads {FORMAT!r}")
    return description


def _listed(names: list) -> str:
    more = "" if len(names) <= SHOWN_NAMES else f" and {len(names) - SHOWN_NAMES} more"
    return ", ".join(names[:SHOWN_NAMES]) + more
