"""The scene as the node keeps it: memory, keyframes, and which episode and place they belong to. Knows nothing of ROS.

Owned by the worker alone. Which model encodes and predicts is left to the SceneMemory it is given.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from placenet_ros.node.keyframes import KeyframeGate
from placenet_ros.scene.viewpoints import CameraPose


@dataclass(frozen=True)
class Observation:
    """What the model's camera would have seen, from where and when."""

    stamp: int  # nanoseconds
    pose: CameraPose  # in the odometry's frame
    rgb: np.ndarray  # (s, s, 3) uint8
    depth: np.ndarray | None  # (s, s) float32, metres, 0: none
    objects: np.ndarray | None  # (s, s) uint8, class ids
    covered: np.ndarray  # (s, s) bool: what the robot's camera really saw


class LiveScene:
    """Observations of one episode after the other.

    memory: a SceneMemory that holds at most `max_observations`. anchor_range: metres from a place's origin to where the
    next place begins.
    """

    def __init__(self, memory: Any, gate: KeyframeGate, max_observations: int, anchor_range: float):
        self.memory = memory
        self._gate = gate
        self._anchor_range = anchor_range
        self._stamps: deque[int] = deque(maxlen=max_observations)
        self.episode_id = 1
        self.place_id = 1

    def __len__(self) -> int:
        return len(self.memory)

    @property
    def stamps(self) -> deque[int]:
        """Of the observations held, nanoseconds, oldest first, beside `memory.poses`."""
        return self._stamps

    def begin_episode(self, episode_id: int) -> None:
        """Forget everything; places count from 1 again."""
        self.memory.clear()
        self._gate.clear()
        self._stamps.clear()
        self.episode_id, self.place_id = episode_id, 1

    def wants(self, pose: CameraPose, stamp: int) -> bool:
        """Whether an image of that pose and stamp is worth an encoding."""
        return self._gate.opens(pose, stamp)

    def add(self, observation: Observation) -> None:
        """Add a keyframe; begin a new place where it lies out of the old one's range."""
        if self.memory.distance_from_anchor(observation.pose) > self._anchor_range:
            self.memory.reanchor(observation.pose)
            self.place_id += 1
        self.memory.add(observation.rgb, observation.pose, observation.depth, observation.objects)
        self._gate.passed(observation.pose, observation.stamp)
        self._stamps.append(observation.stamp)

    def prediction_error(self, observation: Observation) -> float:
        """Root mean square error (0..255) of the prediction of an observation that has not been added, where seen.

        NaN where the camera saw none of it.
        """
        if not observation.covered.any():
            return math.nan
        predicted = self.memory.predict(observation.pose).image
        error = predicted.astype(np.float64) - observation.rgb
        return float(np.sqrt(np.mean(error[observation.covered] ** 2)))
