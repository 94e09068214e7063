"""Loads the weights and makes them ready to run. This imports PyTorch, which takes seconds: the worker does it.

Facts about the model, as ModelInfo shows them, are read from the JSON beside the weights.
"""

from __future__ import annotations

import gc
import hashlib
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import numpy as np
import torch

from placenet_ros.counted import counted
from placenet_ros.model import PlaceNet, WeightsError
from placenet_ros.model.inference import ready_for_inference
from placenet_ros.model.weights import TENSORS_NAME
from placenet_ros.node.parameters import NodeParameters, ParameterError
from placenet_ros.scene.camera import PinholeCamera
from placenet_ros.scene.memory import SceneMemory
from placenet_ros.scene.viewpoints import CameraPose

MODALITY_NAMES = {"r": "rgb", "d": "depth", "o": "objects"}
# Rows in the evaluation's figures: what the node predicts; where older weights have none, one sample, which errs more.
MODEL_FIGURES = ("its prior's mean", "this network")
WARM_UP_RUNS = 2  # the first one allocates memory and picks algorithms; the second is as fast as any later one


@dataclass(frozen=True)
class Evaluation:
    """What the weights reached on unseen houses, as RMSE on 0..255; NaN: not measured."""

    queries: int
    rmse: float
    rmse_nearest_image: float
    rmse_mean_image: float

    @classmethod
    def of(cls, about: dict[str, Any]) -> Evaluation:
        """From the `about` of the weights' JSON: the figures with the most observations.

        Anybody may have written that: whatever is not of the expected form counts as not measured.
        """
        evaluation = _dictionary(about.get("evaluation"))
        figures = _dictionary(evaluation.get("figures"))
        numbered = [key for key in figures if isinstance(key, str) and key.isdecimal()]
        rows = _dictionary(figures[max(numbered, key=int)]) if numbered else {}

        def rmse(*names: str) -> float:
            """Of the first of these rows that has one."""
            means = [_dictionary(_dictionary(rows.get(name)).get("rmse")).get("mean") for name in names]
            return next((float(mean) for mean in means if _is_number(mean)), math.nan)

        return cls(
            _count(evaluation.get("queries"), 32), rmse(*MODEL_FIGURES), rmse("nearest image"), rmse("mean image")
        )


def match_similarity_of(about: dict[str, Any]) -> float | None:
    """From the `about` of the weights' JSON; None where that does not say it."""
    threshold = _dictionary(about.get("recognition")).get("threshold")
    return float(threshold) if _is_number(threshold) and threshold <= 1 else None


def _dictionary(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < sys.float_info.max


def _count(value: Any, bits: int) -> int:
    return int(value) if _is_number(value) and value < 2**bits else 0  # bits: of its field in ModelInfo


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready to run, and what is known of it."""

    memory: SceneMemory
    camera: PinholeCamera  # the camera that the weights were trained with
    field_of_view: float  # radians
    model_id: str
    name: str
    sha256: str
    num_parameters: int
    modalities: tuple[str, ...]
    predictions: tuple[str, ...]
    position_scale: float  # metres
    embedding_length: int
    training_samples: int
    evaluation: Evaluation
    match_similarity: float | None  # least cosine of two embeddings of one place; None: the weights do not say


def load_model(weights: Path, parameters: NodeParameters, warn: Callable[[str], None]) -> LoadedModel:
    """The model of a weights folder or file, on its device and warmed up. warn: is told what makes it slow.

    Raises ParameterError for weights that are missing, damaged or of another model, and for a device that is not there.
    """
    if parameters.threads:
        torch.set_num_threads(parameters.threads)
    device = _device(parameters.device)
    try:
        model = ready_for_inference(PlaceNet.from_pretrained(weights), device)
    except WeightsError as error:
        raise ParameterError(f"parameter ~weights: {error}") from error
    memory = SceneMemory(model, parameters.max_observations, warn)
    embedding = _warm_up(memory, model.config.image_size, parameters.prediction_samples)
    about = model.about
    _keep_for_good()
    return LoadedModel(
        memory=memory,
        camera=PinholeCamera.square(model.config.image_size, model.config.field_of_view_degrees),
        field_of_view=math.radians(model.config.field_of_view_degrees),
        model_id=about["model_id"],
        name=str(about.get("name", weights.stem)),
        sha256=_sha256(weights),
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        modalities=_modalities(model),
        predictions=_predictions(model),
        position_scale=model.config.position_scale,
        embedding_length=len(embedding),
        training_samples=_count(about.get("samples"), 64),
        evaluation=Evaluation.of(about),
        match_similarity=match_similarity_of(about),
    )


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ParameterError(f"parameter ~device must be cpu or cuda, found '{name}'") from error
    if device.type not in ("cpu", "cuda"):
        raise ParameterError(f"parameter ~device must be cpu or cuda, found '{name}'")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ParameterError(
            f"parameter ~device is '{name}', but PyTorch finds {counted(torch.cuda.device_count(), 'GPU')} here: "
            "set device:=cpu, or install a driver and a PyTorch that go together"
        )
    return device


def _modalities(model: PlaceNet) -> tuple[str, ...]:
    in_use = "r" + model.config.attention + ("d" if model.config.reprojection else "")
    return tuple(name for letter, name in MODALITY_NAMES.items() if letter in in_use)


def _predictions(model: PlaceNet) -> tuple[str, ...]:
    predicted = {"rgb": True, "depth": model.config.predict_depth, "objects": model.config.predicted_classes > 0}
    return tuple(name for name, is_predicted in predicted.items() if is_predicted)


def _warm_up(memory: SceneMemory, image_size: int, samples: int) -> np.ndarray:
    """Run everything, so that the robot's first image is not the slow one; returns an embedding."""
    pose = CameraPose((0.0, 0.0, 0.0), 0.0, 0.0)
    shape = (image_size, image_size)
    for _ in range(WARM_UP_RUNS):
        memory.add(np.zeros((*shape, 3), np.uint8), pose, np.ones(shape, np.float32), np.zeros(shape, np.uint8))
        embedding = memory.embedding()
        memory.predict(pose, samples)
    memory.clear()
    return embedding


def _keep_for_good() -> None:
    """Have Python's search for unused cycles pass over all that is loaded, PyTorch above all.

    One search through it holds every thread of the node up for a tenth of a second and more.
    """
    gc.collect()
    gc.freeze()


def _sha256(weights: Path) -> str:
    tensors = weights if weights.suffix == ".safetensors" else weights / TENSORS_NAME
    return hashlib.sha256(tensors.read_bytes()).hexdigest()
