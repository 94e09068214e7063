"""The scene as the node keeps it: memory, keyframes, and which episode and place they belong to. Knows nothing of ROS.

Owned by the worker alone. Which model encodes and predicts is left to the SceneMemory it is given.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any, Callable

import numpy as np

from placenet_ros.node.keyframes import KeyframeGate
from placenet_ros.scene.archive import Archive, KeptObservation
from placenet_ros.scene.coverage import REACH, Surroundings
from placenet_ros.scene.depth import metres, millimetres
from placenet_ros.scene.viewpoints import CameraPose

NEWEST_KEPT = 4  # observations that stay in the memory whatever they show: what was seen last is the surest
MOST_CANDIDATES = 1000  # looked at for one choice: more would take longer than an encoding, and images wait for it
ELSEWHERE = 2.0  # metres from the robot, from which on a view is predicted from observations chosen for it
ELSEWHERE_OBSERVATIONS = 8  # so many at most: each costs an encoding
FARTHEST_RANGES = 1.5  # of a place: out of it, there is no waiting for a time in which nothing else is to be done


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
    """Observations of one episode after the other: all in an archive, those that show its surroundings in the memory.

    Adding an observation encodes it, and no other. What follows from it, `work` does in short steps, while there is
    time: it recalls from the archive what shows more of where the robot is now than what is held, and prepares the next
    place's anchor.

    Args:
        memory: a SceneMemory; nobody else adds to it.
        gate: which images become keyframes.
        max_observations: how many the memory holds.
        anchor_range: metres from a place's origin to where the next place begins.
        archive_megabytes: what the archive may take; 0: nothing is recalled.
        odometry_trust: metres of travel after which an observation is no longer recalled; 0: always.
        field_of_view_degrees: of the model's camera.
    """

    def __init__(
        self,
        memory: Any,
        gate: KeyframeGate,
        max_observations: int,
        anchor_range: float,
        archive_megabytes: float,
        odometry_trust: float,
        field_of_view_degrees: float,
    ):
        self.memory = memory
        self.archive = Archive(archive_megabytes)
        self._gate = gate
        self._max_observations = max_observations
        self._anchor_range, self._trust = anchor_range, odometry_trust
        self._field_of_view = field_of_view_degrees
        self._held: list[KeptObservation] = []  # in the memory's order
        self._newest: deque[KeptObservation] = deque(maxlen=min(NEWEST_KEPT, (max_observations + 1) // 2))
        self._embedded: deque[int] = deque(maxlen=memory.embeds)  # stamps of the newest
        self._travelled = 0.0
        self._recalled: KeptObservation | None = None  # chosen, not encoded yet
        self._may_improve = False  # whether there may be one to choose
        self.episode_id = 1
        self.place_id = 1

    def __len__(self) -> int:
        return len(self.memory)

    @property
    def observations(self) -> list[KeptObservation]:
        """Those that the memory holds, by their stamps, oldest first."""
        return sorted(self._held, key=lambda kept: kept.stamp)

    @property
    def embedded_stamps(self) -> list[int]:
        """Stamps of the observations that the memory's embedding is made of, nanoseconds, oldest first."""
        return list(self._embedded) if self.memory.embeds else [kept.stamp for kept in self.observations]

    @property
    def travelled(self) -> float:
        """Metres that the camera has travelled in this episode, from keyframe to keyframe."""
        return self._travelled

    def begin_episode(self, episode_id: int) -> None:
        """Forget everything, the archive too; places count from 1 again."""
        for part in (self.memory, self.archive, self._gate, self._held, self._newest, self._embedded):
            part.clear()
        self._travelled, self._recalled, self._may_improve = 0.0, None, False
        self.episode_id, self.place_id = episode_id, 1

    def wants(self, pose: CameraPose, stamp: int) -> bool:
        """Whether an image of that pose and stamp is worth an encoding."""
        return self._gate.opens(pose, stamp)

    def missed(self, pose: CameraPose, stamp: int, most: int) -> int:
        """How many keyframes should have come before that one, see `KeyframeGate.missed`."""
        return self._gate.missed(pose, stamp, most)

    def add(self, observation: Observation) -> None:
        """Add a keyframe, to the archive, too.

        Where it lies far out of the place's range, a new place begins at once; where it lies just out of it, `work`
        begins one.
        """
        if self._newest:
            self._travelled += observation.pose.distance_to(self._newest[-1].pose)
        kept = self._kept(observation)
        self._newest.append(kept)
        self._embedded.append(kept.stamp)
        if self.memory.distance_from_anchor(kept.pose) > FARTHEST_RANGES * self._anchor_range:
            self._begin_place_at_once(kept.pose)
        self._hold(kept, observation.depth)
        self.archive.add(kept)
        self._gate.passed(kept.pose, kept.stamp)
        self._recalled, self._may_improve = None, True

    def work(self) -> bool:
        """Do one short step of what can wait: place one observation by the next anchor, choose or encode one.

        Returns whether there was anything to do.
        """
        if not self._newest:
            return False
        if self.memory.next_anchor is None and self._is_out_of_range():
            self.memory.prepare_anchor(self._newest[-1].pose)
        if self.memory.next_anchor is not None:
            if self.memory.place_one():
                self.place_id += 1
        elif self._recalled is not None:
            self._recall()
        elif self._may_improve:
            self._choose()
        else:
            return False
        return True

    def _is_out_of_range(self) -> bool:
        return self.memory.distance_from_anchor(self._newest[-1].pose) > self._anchor_range

    def _begin_place_at_once(self, pose: CameraPose) -> None:
        next_anchor = self.memory.next_anchor
        if next_anchor is None or next_anchor.distance_to(pose) > self._anchor_range:
            self.memory.prepare_anchor(pose)
        self.memory.finish_anchor()
        self.place_id += 1

    def _choose(self) -> None:
        """Choose the observation to recall, if any is worth it."""
        held = {id(kept) for kept in self._held}
        nearby = self.archive.near(self._newest[-1].pose, REACH, MOST_CANDIDATES)
        candidates = [kept for kept in nearby if id(kept) not in held]
        chosen = self._surroundings().most_useful(candidates, self._held, self._fixed(), self.memory.is_full)
        self._may_improve = chosen is not None
        self._recalled = None if chosen is None else candidates[chosen]

    def _recall(self) -> None:
        recalled, self._recalled = self._recalled, None
        self._hold(recalled, _metres(recalled), is_newest=False)

    def _hold(self, kept: KeptObservation, depth: np.ndarray | None, is_newest: bool = True) -> None:
        """Encode an observation into the memory; where that is full, what shows the least besides leaves."""
        leaves = 0
        if self.memory.is_full:
            leaves = self._surroundings().least_useful([*self._held, kept], [*self._fixed(), len(self._held)])
            del self._held[leaves]
        self.memory.add(kept.rgb, kept.pose, depth, kept.objects, kept.covered, leaves, is_newest)
        self._held.append(kept)

    def _fixed(self) -> list[int]:
        """Where the newest are among those held: what was seen last stays, whatever else it shows."""
        newest = {id(kept) for kept in self._newest}
        return [index for index, kept in enumerate(self._held) if id(kept) in newest]

    def _surroundings(self) -> Surroundings:
        return Surroundings.around(self._newest[-1].pose, self._travelled, self._trust)

    def _kept(self, observation: Observation) -> KeptObservation:
        depth = None if observation.depth is None else millimetres(observation.depth)
        return KeptObservation.seeing(observation.stamp, observation.pose, self._travelled, observation.rgb, depth,
                                      observation.objects, observation.covered, self._field_of_view)

    def predict(self, pose: CameraPose, samples: int, between: Callable[[], None],
                remark: Callable[[str], None]) -> Any:
        """The view from a pose, see `SceneMemory.predict`; where that is not where the robot is, from those few of all
        observations that show the most of what is in view.

        Those, `ELSEWHERE_OBSERVATIONS` at most, are encoded for this view alone, around an anchor of its own.

        Args:
            pose: of the camera, in the odometry's frame.
            between: called after each of these encodings, and as `SceneMemory.predict` does.
            remark: is told, in one line, where none shows anything of that view: it is then of what the memory holds.

        Raises:
            ValueError: nothing has been observed yet, or `samples` is negative.
        """
        memory = self.memory_for(pose, between, remark) if self.is_elsewhere(pose) else self.memory
        return memory.predict(pose, samples, between=between)

    def is_elsewhere(self, pose: CameraPose) -> bool:
        """Whether a pose in the odometry's frame is more than `ELSEWHERE` from the newest keyframe's: then the memory,
        which shows what is around that, may not show what is around the pose. False while there is no keyframe."""
        return bool(self._newest) and self._newest[-1].pose.distance_to(pose) > ELSEWHERE

    def memory_for(self, pose: CameraPose, between: Callable[[], None], remark: Callable[[str], None]) -> Any:
        """A memory of what was seen of the view from a pose; the scene's own where nothing besides was, or nothing at
        all, which `remark` is told. Arguments as of `predict`; once there is a keyframe."""
        nearby = self.archive.near(pose, REACH, MOST_CANDIDATES)
        candidates = list({id(kept): kept for kept in (*self._held, *nearby)}.values())
        view = Surroundings.in_view(pose, self._travelled, self._trust, self._field_of_view)
        chosen = view.most_useful_together(candidates, min(self._max_observations, ELSEWHERE_OBSERVATIONS))
        if not chosen:
            away = self._newest[-1].pose.distance_to(pose)
            remark(f"nothing seen within view of that pose: predicted from what surrounds the robot, {away:.1f} m away")
        if all(index < len(self._held) for index in chosen):
            return self.memory
        memory = self.memory.empty_copy(pose)
        for kept in [candidates[index] for index in chosen]:
            memory.add(kept.rgb, kept.pose, _metres(kept), kept.objects, kept.covered, is_newest=False)
            between()
        return memory

    def prediction_error(self, observation: Observation) -> float:
        """Root mean square error (0..255) of the prediction of an observation that has not been added, where seen.

        NaN where the camera saw none of it.
        """
        if not observation.covered.any():
            return math.nan
        predicted = self.memory.predict(observation.pose).image
        error = predicted.astype(np.float64) - observation.rgb
        return float(np.sqrt(np.mean(error[observation.covered] ** 2)))


def _metres(kept: KeptObservation) -> np.ndarray | None:
    return None if kept.depth is None else metres(kept.depth)
