"""SceneMemory: the scene representation as a robot's observations come in, one encoding each.

Each observation is encoded once and kept as its own share of the representation, so that the whole is always the
plain sum and union of the shares: nothing drifts when old ones leave, and predictions encode nothing again. The
poses' anchor can move: shares are then placed anew from what was kept of the observations' appearance, without their
pictures, all at once (`reanchor`) or one at a time while the old ones serve (`prepare_anchor`, `place_one`).

Which observations are held is left to the caller.
"""
from __future__ import annotations

import copy
import math
import warnings
from collections import deque
from dataclasses import dataclass, replace
from typing import Callable, NamedTuple

import numpy as np
import torch
from torch import Tensor

from placenet_ros.model.captured import CapturedPrediction
from placenet_ros.model.modalities import class_colours, objects_picture
from placenet_ros.model.place_embedding import EMBEDDED_OBSERVATIONS
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


@dataclass
class _Held:
    pose: CameraPose
    appearance: Appearance
    share: SceneRepresentation  # by the anchor that serves
    next_share: SceneRepresentation | None = None  # by the one that is prepared; None: not placed yet


class _Token(NamedTuple):
    pose: CameraPose
    token: Tensor  # t, see place_embedding.py


class SceneMemory:
    """At most `max_observations` observations of a scene, as a model sees them.

    Not thread-safe: one thread owns it. Runs on the model's device, without gradients; on a GPU it replays predictions
    as CUDA graphs.

    Args:
        model: in eval mode; not changed.
        max_observations: how many are held.
        warn: is told, in one line, where predictions are slower than they should be.
    """

    def __init__(self, model: PlaceNet, max_observations: int = 20,
                 warn: Callable[[str], None] = warnings.warn) -> None:
        if max_observations < 1:
            raise ValueError(f"max_observations must be at least 1, not {max_observations}")
        self._model = model
        self._device = next(model.parameters()).device
        self._captured = CapturedPrediction(model, warn) if self._device.type == "cuda" else None
        self._palette = class_colours().to(self._device)
        self._max_observations = max_observations
        self._held: list[_Held] = []
        self._anchor: CameraPose | None = None
        self._next_anchor: CameraPose | None = None
        self._joined: SceneRepresentation | None = None
        self._tokens: deque[_Token] = deque(maxlen=EMBEDDED_OBSERVATIONS)  # of the newest, for the embedding alone

    def __len__(self) -> int:
        return len(self._held)

    @property
    def is_full(self) -> bool:
        """Whether one must leave when one more comes."""
        return len(self._held) == self._max_observations

    @property
    def embeds(self) -> int:
        """How many of the newest observations the embedding is made of, at most; 0: of all that are held."""
        return 0 if self._model.place_embedding is None else EMBEDDED_OBSERVATIONS

    @property
    def anchor(self) -> CameraPose | None:
        """Whose position and yaw the viewpoints are relative to: that of the first observation, until another serves.
        """
        return self._anchor

    @property
    def next_anchor(self) -> CameraPose | None:
        """The one that is prepared; None: none is."""
        return self._next_anchor

    @property
    def poses(self) -> list[CameraPose]:
        """Of the observations held, in the order in which they were added."""
        return [held.pose for held in self._held]

    def distance_from_anchor(self, pose: CameraPose) -> float:
        """Metres; 0 while nothing is held."""
        return 0.0 if self._anchor is None else self._anchor.distance_to(pose)

    @torch.inference_mode()
    def add(self, rgb: np.ndarray, pose: CameraPose, depth: np.ndarray | None = None,
            objects: np.ndarray | None = None, covered: np.ndarray | None = None, leaves: int = 0,
            is_newest: bool = True) -> None:
        """Encode one observation, taken by the model's camera (`config.image_size`, `config.field_of_view_degrees`).

        Args:
            rgb: (s, s, 3) uint8.
            pose: of the camera.
            depth: (s, s) float, metres along the optical axis; 0, or not finite, where there is none.
            objects: (s, s) uint8 class ids, 0 where nothing is known.
            covered: (s, s) bool, what of its pictures the robot's camera sees; None: all.
            leaves: index, in the order of `poses`, of the one that leaves where the memory is full.
            is_newest: whether it is where the robot is now, and not one of earlier that is seen again.

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
        if covered is not None:
            _check("covered", covered, (size, size), "b")
        if self._anchor is None:
            self._anchor = pose
        viewpoints = self._viewpoints(pose)
        observations = Observations(viewpoints=viewpoints, **{name: x[None, None] for name, x in observation.items()})
        appearance = self._seen(self._model.appearance(observations), covered)
        share = self._model.place(appearance, viewpoints)
        if self.is_full:
            del self._held[leaves]
        self._held.append(_Held(pose, appearance, share))
        self._joined = None
        if is_newest and self._model.place_embedding is not None:
            looks = self._model.looks(appearance, observations)[0, 0]
            self._tokens.append(_Token(pose, self._model.place_embedding.tokens(looks)))

    @torch.inference_mode()
    def predict(self, pose: CameraPose, samples: int = 0, generator: torch.Generator | None = None,
                between: Callable[[], None] | None = None) -> PredictedView:
        """The view from a pose, by the means of the prior; encodes nothing again.

        Its uncertainty is what the model expects its errors to be (`predict_error`), at no extra work; that of a model
        that does not say so is how far samples from the prior differ.

        Args:
            samples: for such a model: each is as much work as the view itself; 0: no uncertainty is worked out. That
                of one is 0, without drawing it.
            between: called some times during the view, for what cannot wait until it is done. It may `add`, `clear` and
                move the anchor: the view goes on from the scene as it was. Not called on a GPU, where a view takes
                milliseconds.

        Raises:
            ValueError: nothing has been observed yet, or `samples` is negative.
        """
        if samples < 0:
            raise ValueError(f"samples must be at least 0, not {samples}")
        scene = self._representation()
        drawn = samples if samples > 1 and not self._model.config.predict_error else 0
        query = self._viewpoints(pose).expand(-1, 1 + drawn, -1)
        noise = self._noise(drawn, generator)
        if self._captured is not None:
            views = self._captured(scene, query, noise=noise)
        else:
            views = self._model.predict_view(scene, query, noise=noise, between=between)
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
        """(c,) float32 of norm 1: what the model's head makes of the newest observations (place_embedding.py); of a
        model without one, the representation, averaged over its places.

        Raises:
            ValueError: nothing has been observed yet, or the embedding has no direction (broken weights).
        """
        average = self._representation().total[0].mean(dim=(1, 2)) if self._model.place_embedding is None \
            else self._place_embedding()
        norm = average.norm()
        if not norm > 0:
            raise ValueError("the embedding has no direction: it is zero or not finite; are the weights sound?")
        return (average / norm).cpu().numpy()

    def _place_embedding(self) -> Tensor:
        """(c,), as seen by the newest observation, whatever the anchor."""
        if not self._tokens:
            raise ValueError("nothing has been observed yet: add an observation first")
        newest = self._tokens[-1].pose
        viewpoints = torch.cat([self._viewpoints(one.pose, newest) for one in self._tokens], dim=1)
        return self._model.place_embedding(torch.stack([one.token for one in self._tokens]), viewpoints[0])

    def reanchor(self, pose: CameraPose) -> None:
        """Make viewpoints relative to `pose` from now on; what is held is placed anew, without its pictures."""
        self.prepare_anchor(pose)
        self.finish_anchor()

    def prepare_anchor(self, pose: CameraPose) -> None:
        """Have an anchor prepared, by `place_one`, while the one before it serves; gives up one that is prepared."""
        self._next_anchor = pose
        for held in self._held:
            held.next_share = None

    @torch.inference_mode()
    def place_one(self) -> bool:
        """Place one observation by the anchor that is prepared; after the last one, that anchor serves.

        Returns:
            Whether it serves now. Observations that were added since `prepare_anchor` are placed, too.

        Raises:
            ValueError: none is prepared.
        """
        if self._next_anchor is None:
            raise ValueError("no anchor is prepared: call prepare_anchor first")
        waiting = [held for held in self._held if held.next_share is None]
        if waiting:
            viewpoints = self._viewpoints(waiting[0].pose, self._next_anchor)
            waiting[0].next_share = self._model.place(waiting[0].appearance, viewpoints)
        if len(waiting) > 1:
            return False
        for held in self._held:
            held.share, held.next_share = held.next_share, None
        self._anchor, self._next_anchor, self._joined = self._next_anchor, None, None
        return True

    def finish_anchor(self) -> None:
        """Place all that is left at once. Raises ValueError where no anchor is prepared."""
        while not self.place_one():
            pass

    def clear(self) -> None:
        """Forget everything, the anchor too."""
        self._held.clear()
        self._tokens.clear()
        self._anchor = self._next_anchor = self._joined = None

    def empty_copy(self, anchor: CameraPose) -> SceneMemory:
        """A memory that holds nothing, of the same model and size, with viewpoints relative to `anchor`.

        Shared are the model, its device, its palette and the limit, which do not change, and on a GPU the graphs, into
        which each prediction copies its scene; both must then be the same thread's. All else, the scene, is its own.
        """
        memory = copy.copy(self)
        memory._held, memory._tokens = [], deque(maxlen=EMBEDDED_OBSERVATIONS)
        memory._anchor, memory._next_anchor, memory._joined = anchor, None, None
        return memory

    def _seen(self, appearance: Appearance, covered: np.ndarray | None) -> Appearance:
        """Without points where the robot's camera sees nothing: there, pictures repeat their edge."""
        if covered is None or appearance.points is None:
            return appearance
        is_seen = torch.from_numpy(covered).to(self._device)
        points = replace(appearance.points, depth=appearance.points.depth * is_seen)
        return replace(appearance, points=points)

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

    def _viewpoints(self, pose: CameraPose, anchor: CameraPose | None = None) -> Tensor:
        """(1, 1, 7), by the anchor that serves where none is given. Differences are taken in float64: odometry can be
        far from its origin."""
        anchor = anchor or self._anchor
        if anchor is None:
            raise ValueError("nothing has been observed yet: add an observation first")
        poses = (torch.from_numpy(each.to_array()) for each in (pose, anchor))
        relative = relative_viewpoints(next(poses), next(poses)[:4], self._model.config.position_scale)
        return relative.float()[None, None].to(self._device)


def _check(name: str, array: np.ndarray, shape: tuple, kind: str) -> None:
    expected = {"u": "uint8", "f": "floating point", "b": "bool"}[kind]
    if array.shape != shape or array.dtype.kind != kind or (kind == "u" and array.dtype != np.uint8):
        raise ValueError(f"{name} must be {expected} of shape {shape}, not {array.dtype} of shape {array.shape}")
