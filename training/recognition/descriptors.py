"""Descriptors of each frame of a walk: a network's embedding, and what needs no network.

Those of a network are what the node's SceneMemory says after each keyframe; the others know the frame's picture alone.
All have norm 1, so that their inner product is the cosine between them.

Shapes: f frames, s image size, c numbers of a descriptor, w words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import cv2
import numpy as np
import torch

from placenet_ros.model import PlaceNet
from placenet_ros.model.place_embedding import EMBEDDED_OBSERVATIONS, look
from placenet_ros.model.viewpoints import relative_viewpoints
from placenet_ros.scene.depth import MILLIMETRES
from placenet_ros.scene.memory import SceneMemory
from placenet_ros.scene.viewpoints import CameraPose
from training.trajectory import Trajectory

Describe = Callable[[Trajectory], np.ndarray]  # of a trajectory of f frames, (f, c) float32
PICTURE_PARTS = 8  # along each side of the picture whose colours are compared
RANDOM_LENGTH = 256
FRAMES_AT_ONCE = 50  # on their way through the tower
HELD_OBSERVATIONS, ANCHOR_RANGE_M = 20, 3.0  # as config/placenet.yaml has them: what a robot's node does
WORDS = 256  # of the vocabulary
FEATURES = 200  # of a picture, at most
FEATURE_REACH = 15  # pixels from a feature to the picture's edge, at least, and across its patch
VOCABULARY_FEATURES = 20_000  # that the words are fitted to
DRAWS_SEED = 1_000_033


@torch.inference_mode()
def embeddings(model: PlaceNet, trajectory: Trajectory) -> np.ndarray:
    """The embedding after each frame, as a robot's node works it out: every frame is a keyframe."""
    if model.place_embedding is None:
        return online_embeddings(model, trajectory)
    device = next(model.parameters()).device
    tokens = torch.cat([model.place_embedding.tokens(looks) for looks in looks_of(model, trajectory)])
    windows = earlier_frames(len(tokens))
    frames, there = np.maximum(windows, 0), torch.from_numpy(windows >= 0).to(device)
    poses = torch.from_numpy(trajectory.poses.astype(np.float64))
    viewpoints = relative_viewpoints(poses[frames], poses[:, None, :4], model.config.position_scale)
    return model.place_embedding(tokens[frames], viewpoints.float().to(device), there).cpu().numpy()


def earlier_frames(frames: int) -> np.ndarray:
    """Which frames the embedding after each is made of, (f, EMBEDDED_OBSERVATIONS), the newest last; under 0: none."""
    return np.arange(frames)[:, None] + np.arange(1 - EMBEDDED_OBSERVATIONS, 1)


@torch.inference_mode()
def looks_of(model: PlaceNet, trajectory: Trajectory) -> Iterator[torch.Tensor]:
    """What the head reads of a trajectory's frames, some at once: (n, `look_size`)."""
    device = next(model.parameters()).device
    for first in range(0, len(trajectory.poses), FRAMES_AT_ONCE):
        part = slice(first, first + FRAMES_AT_ONCE)
        rgb = torch.from_numpy(np.ascontiguousarray(trajectory.rgb[part])).to(device).movedim(-1, 1) / 255.0
        depth = None
        if trajectory.depth is not None:
            depth = torch.from_numpy(trajectory.depth[part] / np.float32(MILLIMETRES)).to(device)[:, None]
        yield look(model.representation.appearance(rgb), rgb, depth)


def online_embeddings(model: PlaceNet, trajectory: Trajectory) -> np.ndarray:
    """The same by SceneMemory itself, frame after frame; of a network without a head, of its colours alone."""
    memory = SceneMemory(model, HELD_OBSERVATIONS)
    has_depth = trajectory.depth is not None and model.place_embedding is not None
    rows = []
    for number, (rgb, pose) in enumerate(zip(trajectory.rgb, camera_poses(trajectory.poses), strict=True)):
        if memory.distance_from_anchor(pose) > ANCHOR_RANGE_M:
            memory.reanchor(pose)
        memory.add(rgb, pose, trajectory.depth[number] / MILLIMETRES if has_depth else None)
        rows.append(memory.embedding())
    return np.stack(rows)


def without_head(model: PlaceNet) -> PlaceNet:
    """The same network with the embedding that it has without a head: the mean of its representation."""
    with torch.device("meta"):
        plain = PlaceNet(replace(model.config, embedding_channels=0))
    names = plain.state_dict().keys()
    plain.load_state_dict({name: weight for name, weight in model.state_dict().items() if name in names}, assign=True)
    return plain.eval()


def camera_poses(poses: np.ndarray) -> list[CameraPose]:
    """Of a trajectory's poses (f, 5)."""
    return [CameraPose((x, y, z), yaw, pitch) for x, y, z, yaw, pitch in poses.astype(float).tolist()]


def random_descriptors(trajectory: Trajectory) -> np.ndarray:
    """Random directions, others for each trajectory: what chance makes of the protocol."""
    words = [byte for byte in trajectory.name.encode()]
    return unit(np.random.default_rng([DRAWS_SEED, *words]).normal(size=(len(trajectory.poses), RANDOM_LENGTH)))


def picture_descriptors(trajectory: Trajectory) -> np.ndarray:
    """The picture in 8 x 8 mean colours, without its own mean colour value."""
    rgb = np.asarray(trajectory.rgb)
    frames, size = rgb.shape[:2]
    parts = rgb.reshape(frames, PICTURE_PARTS, size // PICTURE_PARTS, PICTURE_PARTS, -1, 3).mean(axis=(2, 4))
    colours = parts.reshape(frames, -1)
    return unit(colours - colours.mean(axis=1, keepdims=True))


class OrbWords:
    """A bag of visual words: each picture's ORB features counted by the nearest of some words, and weighed by idf.

    The words are centres by k-means of features of the training pictures, as vectors of 256 bits.
    """

    def __init__(self, training: Iterable[Trajectory]) -> None:
        self._orb = cv2.ORB_create(
            nfeatures=FEATURES, edgeThreshold=FEATURE_REACH, patchSize=FEATURE_REACH, fastThreshold=5, nlevels=4
        )
        pictures = [self._features(rgb) for trajectory in training for rgb in trajectory.rgb]
        features = np.concatenate(pictures)
        draws = np.random.default_rng(DRAWS_SEED)
        chosen = features[draws.permutation(len(features))[:VOCABULARY_FEATURES]]
        self._words = chosen if len(chosen) else np.zeros((1, 256), np.float32)  # none: pictures too small for any
        if len(chosen) > WORDS:
            cv2.setRNGSeed(0)
            stop = (cv2.TERM_CRITERIA_MAX_ITER, 20, 0.0)
            _, _, self._words = cv2.kmeans(chosen, WORDS, None, stop, 1, cv2.KMEANS_PP_CENTERS)
        seen = np.stack([self._counts(one) > 0 for one in pictures]).sum(axis=0)
        self._weights = np.log((1 + len(pictures)) / (1 + seen))

    def __call__(self, trajectory: Trajectory) -> np.ndarray:
        """Descriptors (f, w) of a trajectory; a picture without a feature has the same of each word."""
        counts = np.stack([self._counts(self._features(rgb)) for rgb in trajectory.rgb])
        return unit(np.sqrt(counts) * self._weights + 1e-6)

    def _features(self, rgb: np.ndarray) -> np.ndarray:
        """Bits (n, 256) float32 of a picture's features."""
        _, found = self._orb.detectAndCompute(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), None)
        if found is None:
            return np.zeros((0, 256), np.float32)
        return np.unpackbits(found, axis=1).astype(np.float32)

    def _counts(self, features: np.ndarray) -> np.ndarray:
        """How many of a picture's features are nearest to each word, (w,)."""
        offsets = (self._words**2).sum(axis=1) - 2 * features @ self._words.T
        return np.bincount(offsets.argmin(axis=1), minlength=len(self._words))


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows (f, c) of norm 1, float32; those without a direction stay 0."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(norms > 0, norms, 1.0)).astype(np.float32)
