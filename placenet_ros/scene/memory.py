"""SceneMemory: the scene representation as a robot's observations come in, one encoding each.

Each observation is encoded once and kept as its own share of the representation, so that the whole is always the
plain sum and union of the shares: nothing drifts when old ones leave, and predictions encode nothing again. The
poses' anchor can move: shares are then placed anew from what was kept of the observations' appearance, without their
pictures.
"""
from __future__ import annotations

import math
import warnings
from collections import deque
from typing import Callable, NamedTuple

import numpy as np
import torch
from torch import Tensor

from placenet_ros.model.captured import CapturedPrediction
from placenet_ros.model.modalities import class_colours, objects_picture
from placenet_ros.model.placenet import Appearance, Observations, PlaceNet, SceneRepresentation
from placenet_ros.model.viewpoints import relative_viewpoints
from placenet_ros.scene.viewpoints import CameraPose

LAPLACE_DEVIATION = math.sqrt(2.0)  # standard deviation of a Laplace distribution over its mean absolute error


class PredictedView(NamedTuple):
    """What a place looks like from a pose, by the means of the prior, and how far off that may be."""

    image: np.ndarray  # s s 3 uint8, rgb
    depth: np.ndarray | None  # s s float32, metres along the optical axis; None: the model does not predict it
    class_ids: np.ndarray | None  # s s uint8; None likewise
    uncertainty: np.ndarray | None  # s s float32, 0..1: standard deviation of a pixel's colour, averaged over the
    #                                 channels; None: not asked for


class _Held(NamedTuple):
    pose: CameraPose
    appearance: Appearance
    share: SceneRepresentation


class SceneMemory:
    """The last `max_observations` observations of a scene, as a model sees them.

    Not thread-safe: one thread owns it. Runs on the model's device, without gradients; on a GPU it replays predictions
    as CUDA graphs.

    Args:
        model: in eval mode; not changed.
        max_observations: how many are held; the oldest leaves when one more comes.
        warn: is told, in one line, where predictions are slower than they should be.
    """

    def __init__(self, model: PlaceNet, max_observations: int = 20,
                 warn: Callable[[str], None] = warnings.warn) -> None:
        if max_observations < 1:
            raise ValueError(f"max_observations must be at least 1, not {max_observations}")
        self._model = model
        self._device = next(model.parameters()).device
        self._predict = CapturedPrediction(model, warn) if self._device.type == "cuda" else model.predict_view
        self._palette = class_colours().to(self._device)
        self._held: deque[_Held] = deque(maxlen=max_observations)
        self._anchor: CameraPose | None = None
        self._joined: SceneRepresentation | None = None

    def __len__(self) -> int:
        return len(self._held)

    @property
    def anchor(self) -> CameraPose | None:
        """Whose position and yaw the viewpoints are relative to: that of the first observation, until `reanchor`."""
        return self._anchor

    @property
    def poses(self) -> list[CameraPose]:
        """Of the observations held, oldest first."""
        return [held.pose for held in self._held]

    def distance_from_anchor(self, pose: CameraPose) -> float:
        """Metres; 0 while nothing is held."""
        return 0.0 if self._anchor is None else self._anchor.distance_to(pose)

    @torch.inference_mode()
    def add(self, rgb: np.ndarray, pose: CameraPose, depth: np.ndarray | None = None,
            objects: np.ndarray | None = None) -> None:
        """Encode one observation, taken by the model's camera (`config.image_size`, `config.field_of_view_degrees`).

        Args:
            rgb: (s, s, 3) uint8.
            pose: of the camera.
            depth: (s, s) float, metres along the optical axis; 0, or not finite, where there is none.
            objects: (s, s) uint8 class ids, 0 where nothing is known.

        Raises:
            ValueError: an array of another shape or type.
        """
        size = self._model.config.image_size
        _check("rgb", rgb, (size, size, 3), "u")
        observation = {"rgb": torch.from_numpy(np.ascontiguousarray(rgb)).to(self._device).movedim(-1, 0) / 255.0}
        if depth is not None:
            _check("depth", depth, (size, size), "f")
            metres = np.where(np.isfinite(depth), depth, 0.0).astype(np.float32)
            observation["depth"] = torch.from_numpy(metres).to(self._device)[None]
        if objects is not None:
            _check("objects", objects, (size, size), "u")
            class_ids = torch.from_numpy(np.ascontiguousarray(objects)).to(self._device)
            observation["objects"] = objects_picture(class_ids, self._palette)
        if self._anchor is None:
            self._anchor = pose
        viewpoints = self._viewpoints([pose])
        observations = Observations(viewpoints=viewpoints, **{name: x[None, None] for name, x in observation.items()})
        appearance = self._model.appearance(observations)
        self._held.append(_Held(pose, appearance, self._model.place(appearance, viewpoints)))
        self._joined = None

    @torch.inference_mode()
    def predict(self, pose: CameraPose, samples: int = 0, generator: torch.Generator | None = None) -> PredictedView:
        """The view from a pose, by the means of the prior; encodes nothing again.

        Its uncertainty is what the model expects its errors to be (`predict_error`), at no extra work; that of a model
        that does not say so is how far samples from the prior differ.

        Args:
            samples: for such a model: each is as much work as the view itself; 0: no uncertainty is worked out. That
                of one is 0, without drawing it.

        Raises:
            ValueError: nothing has been observed yet, or `samples` is negative.
        """
        if samples < 0:
            raise ValueError(f"samples must be at least 0, not {samples}")
        scene = self._representation()
        drawn = samples if samples > 1 and not self._model.config.predict_error else 0
        query = self._viewpoints([pose]).expand(-1, 1 + drawn, -1)
        views = self._predict(scene, query, noise=self._noise(drawn, generator))
        images, uncertainty = views.images[0], None
        if views.error is not None:
            uncertainty = (LAPLACE_DEVIATION * views.error[0, 0, 0]).clamp(max=1.0).cpu().numpy()
        elif samples:
            deviation = images[1:].std(dim=0, unbiased=False) if drawn else torch.zeros_like(images[0])
            uncertainty = deviation.mean(dim=0).cpu().numpy()
        return PredictedView(
            (images[0] * 255.0).round().to(torch.uint8).movedim(0, -1).cpu().numpy(),
            None if views.depth is None else views.depth[0, 0, 0].cpu().numpy(),
            None if views.class_ids is None else views.class_ids[0, 0].to(torch.uint8).cpu().numpy(), uncertainty)

    @torch.inference_mode()
    def embedding(self) -> np.ndarray:
        """(c,) float32 of norm 1: the representation, averaged over its places.

        Raises:
            ValueError: nothing has been observed yet, or the representation is zero everywhere (broken weights).
        """
        average = self._representation().total[0].mean(dim=(1, 2))
        norm = average.norm()
        if not norm > 0:
            raise ValueError("the representation has no direction: it is zero or not finite; are the weights sound?")
        return (average / norm).cpu().numpy()

    @torch.inference_mode()
    def reanchor(self, pose: CameraPose) -> None:
        """Make viewpoints relative to `pose` from now on; what is held is placed anew, without its pictures."""
        self._anchor = pose
        self._held = deque(
            (_Held(held.pose, held.appearance, self._model.place(held.appearance, self._viewpoints([held.pose])))
             for held in self._held), maxlen=self._held.maxlen)
        self._joined = None

    def clear(self) -> None:
        """Forget everything, the anchor too."""
        self._held.clear()
        self._anchor = self._joined = None

    def _representation(self) -> SceneRepresentation:
        if not self._held:
            raise ValueError("nothing has been observed yet: add an observation first")
        if self._joined is None:
            self._joined = SceneRepresentation.join([held.share for held in self._held])
        return self._joined

    def _noise(self, samples: int, generator: torch.Generator | None) -> Tensor:
        """(l, 1 + samples, latent channels, g, g): none for the first view, which is then of the prior's means."""
        config = self._model.config
        shape = (config.layers, samples, config.latent_channels, config.grid_size, config.grid_size)
        drawn = torch.randn(shape, generator=generator, device=self._device)
        return torch.cat([drawn.new_zeros(shape[0], 1, *shape[2:]), drawn], dim=1)

    def _viewpoints(self, poses: list[CameraPose]) -> Tensor:
        """(1, m, 7). Differences are taken in float64: odometry can be far from its origin."""
        if self._anchor is None:
            raise ValueError("nothing has been observed yet: add an observation first")
        anchor = torch.from_numpy(self._anchor.to_array()[:4])
        absolute = torch.from_numpy(np.stack([pose.to_array() for pose in poses]))
        relative = relative_viewpoints(absolute, anchor, self._model.config.position_scale)
        return relative.float()[None].to(self._device)


def _check(name: str, array: np.ndarray, shape: tuple, kind: str) -> None:
    expected = {"u": "uint8", "f": "floating point"}[kind]
    if array.shape != shape or array.dtype.kind != kind or (kind == "u" and array.dtype != np.uint8):
        raise ValueError(f"{name} must be {expected} of shape {shape}, not {array.dtype} of shape {array.shape}")
