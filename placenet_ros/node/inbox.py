"""What the callbacks leave for the worker, and the order in which the worker takes it. Knows nothing of ROS topics.

Callbacks store and return. Of the images only the newest is kept; the one before it waits, for a moment, for odometry,
camera_info and the depth and label images that belong to it. Requests are served between images: neither starves.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Callable

import numpy as np

from placenet_ros.node.companions import CompanionBuffer
from placenet_ros.node.drops import DropCounter
from placenet_ros.node.episodes import EpisodeWatch
from placenet_ros.node.odometry import TOP_SPEED, OdometryBuffer, OdometrySample
from placenet_ros.node.request import Request
from placenet_ros.node.stamps import LATEST_STAMP

MAX_QUERIES = 10
DROP_LINES = {
    "late": "an image is older than the odometry kept: it came too late to be placed",
    "no odometry": "no pose of the robot on either side of an image's stamp: is odometry, or with ~pose_source tf its "
    "transform, published, and with the same clock?",
    "no camera_info": "an image came without any camera_info before it: is that published?",
    "image: no stamp": "an image came without a stamp (0, or beyond ROS's time), which says nothing of where it was "
    "taken: its driver must set header.stamp",
    "odom: no stamp": "odometry came without a stamp (0, or beyond ROS's time), and places no image: its driver must "
    "set header.stamp",
}
TIME_LINE = (
    "time jumped back, as where a bag begins again: episode {} begins, and what was seen before is forgotten; "
    "~reset_on_time_jump can keep it"
)
ODOMETRY_LINE = (
    "odometry restarted, by a step that no robot drives or another frame_id: episode {} begins, and what was seen "
    "before is forgotten; ~odometry_jump says which step is too large"
)


@dataclass(frozen=True)
class PosedImage:
    """An image with all that belongs to it."""

    image: Any  # sensor_msgs/Image
    camera_info: Any  # sensor_msgs/CameraInfo, the newest
    odometry: OdometrySample  # at the image's stamp
    companions: dict[str, Any]  # depth, objects: those that came
    missing: tuple[str, ...]  # those of them that are published, but of which none came for this image
    episode: int
    arrived: float  # seconds, monotonic
    replaced: int  # how many images before it gave way to newer ones, ever


@dataclass
class _Waiting:
    image: Any
    arrived: float
    replaced: int
    stamp: int = field(init=False)

    def __post_init__(self):
        self.stamp = self.image.header.stamp.to_nsec()


class Inbox:
    """Shared by all callbacks and the worker.

    odometry_seconds: how much odometry, depth and objects are kept. odometry_wait: seconds an image waits for these.
    odometry_jump: metres between two successive odometry poses, beyond what TOP_SPEED explains, that mean that odometry
        restarted; 0: no distance does. Another frame_id always does.
    join_tolerance: seconds between the stamps of an image and its companions.
    """

    def __init__(
        self,
        odometry_seconds: float,
        odometry_wait: float,
        odometry_jump: float,
        join_tolerance: float,
        episodes: EpisodeWatch,
        drops: DropCounter,
    ):
        self._odometry_wait, self._odometry_jump = odometry_wait, odometry_jump
        self._episodes, self._drops = episodes, drops
        self._condition = threading.Condition()
        self._odometry = OdometryBuffer(odometry_seconds)
        self._companions = {name: CompanionBuffer(join_tolerance, odometry_seconds) for name in ("depth", "objects")}
        self._is_published: dict[str, Callable[[], bool]] = {name: lambda: False for name in self._companions}
        self._camera_info: Any = None
        self._newest: _Waiting | None = None  # the one-place slot
        self._waiting: _Waiting | None = None  # taken out of the slot, not yet complete
        self._requests: deque[Request] = deque()
        self._serve_request_next = False
        self._is_closed = False
        self.images_received = 0
        self.images_superseded = 0

    # ---- Callbacks ----

    def expect_companion(self, name: str, is_published: Callable[[], bool]) -> None:
        """Let images wait for their depth or objects while `is_published()`."""
        self._is_published[name] = is_published

    def put_image(self, message: Any) -> None:
        now, stamp = time.monotonic(), message.header.stamp.to_nsec()
        with self._condition:
            self.images_received += 1
            if not 0 < stamp <= LATEST_STAMP:
                self._drop("image: no stamp")
                return
            self._note_time("image", stamp, now)
            self.images_superseded += self._newest is not None
            self._newest = _Waiting(message, now, self.images_superseded)
            self._condition.notify()

    def put_camera_info(self, message: Any) -> None:
        with self._condition:
            self._camera_info = message
            self._condition.notify()

    def put_odometry(self, sample: OdometrySample) -> None:
        with self._condition:
            if not 0 < sample.stamp <= LATEST_STAMP:
                self._drop("odom: no stamp")
                return
            if self._note_time("odometry", sample.stamp, time.monotonic()):
                self._odometry.clear()
            elif self._has_restarted(sample):
                self._drops.tell("odometry restart", ODOMETRY_LINE.format(self._episodes.begin()))
                self._restart_odometry(sample.stamp)
            self._odometry.add(sample)
            self._condition.notify()

    def put_companion(self, name: str, message: Any) -> None:
        with self._condition:
            self._companions[name].add(message)
            self._condition.notify()

    def put_request(self, request: Request) -> None:
        """Queue a request; where too many queries wait, the oldest is refused.

        Those of services never are: as many wait as have callers that wait.
        """
        with self._condition:
            self._requests = deque(waiting for waiting in self._requests if not waiting.is_abandoned)
            queries = [waiting for waiting in self._requests if waiting.is_query]
            if request.is_query and len(queries) >= MAX_QUERIES:
                self._requests.remove(queries[0])
                queries[0].refuse("too many queries at once: this one gave way to newer ones")
                self._drops.count("queries refused", "more queries than the model can answer: the oldest are dropped")
            self._requests.append(request)
            self._condition.notify()

    def note_clock(self, now: int) -> None:
        """Tell the time of /clock, nanoseconds."""
        with self._condition:
            self._note_time("clock", now, time.monotonic())

    def newest_odometry(self) -> OdometrySample | None:
        with self._condition:
            return self._odometry.newest

    def odometry_ahead(self, seconds: float) -> OdometrySample | None:
        """Where the robot will be so long after its newest odometry, see `OdometryBuffer.ahead`."""
        with self._condition:
            return self._odometry.ahead(seconds)

    def close(self) -> None:
        """Wake the worker for good."""
        with self._condition:
            self._is_closed = True
            self._condition.notify()

    # ---- Worker ----

    def take(self, seconds: float) -> PosedImage | Request | None:
        """The next thing to do; None where there is none for `seconds`, or the inbox is closed."""
        deadline = time.monotonic() + seconds
        with self._condition:
            while not self._is_closed:
                item = self._next(time.monotonic())
                if item is not None:
                    return item
                wake_at = deadline if self._waiting is None else min(deadline, self._gives_up_at())
                remaining = wake_at - time.monotonic()
                if deadline <= time.monotonic():
                    return None
                self._condition.wait(max(remaining, 0.001))
            return None

    def take_image(self) -> PosedImage | None:
        """The image that has all that it needs, if there is one; for a worker that is busy with something else."""
        with self._condition:
            return self._next_image(time.monotonic())

    def _next(self, now: float) -> PosedImage | Request | None:
        if self._requests and self._serve_request_next:
            self._serve_request_next = False
            return self._next_request()
        posed = self._next_image(now)
        if posed is not None:
            self._serve_request_next = True
            return posed
        return self._next_request() if self._requests else None

    def _next_request(self) -> Request:
        """The oldest; those that a caller waits for go before queries."""
        request = next((waiting for waiting in self._requests if not waiting.is_query), self._requests[0])
        self._requests.remove(request)
        return request

    def _next_image(self, now: float) -> PosedImage | None:
        """The image that waits, if it has all that it needs; one that waits in vain is dropped.

        One that has waited out its time, as during a long prediction, gives way to the newest if that is complete.
        """
        if self._waiting is not None and self._newest is not None and now >= self._gives_up_at():
            if self._is_complete(self._newest):
                self._waiting, self._newest = self._newest, None
                self.images_superseded += 1
                self._waiting.replaced += 1
        while self._waiting is not None or self._newest is not None:
            if self._waiting is None:
                self._waiting, self._newest = self._newest, None
            waiting, gives_up = self._waiting, now >= self._gives_up_at()
            odometry = self._odometry.at(waiting.stamp)
            companions = self._companions_at(waiting.stamp)
            lacks = self._lacking(odometry, waiting.stamp)
            if lacks is None and (gives_up or not self._awaits_companion(companions, waiting.stamp)):
                self._waiting = None
                return self._posed(waiting, odometry, companions)
            if lacks is None or not (gives_up or lacks == "late"):
                return None
            self._waiting = None
            self._drop(lacks)
        return None

    def _drop(self, reason: str) -> None:
        self._drops.count(reason, DROP_LINES[reason])

    def _posed(self, waiting: _Waiting, odometry: OdometrySample, companions: dict[str, Any]) -> PosedImage:
        found = {name: message for name, message in companions.items() if message is not None}
        missing = tuple(name for name in companions if name not in found and self._is_published[name]())
        return PosedImage(
            image=waiting.image,
            camera_info=self._camera_info,
            odometry=odometry,
            companions=found,
            missing=missing,
            episode=self._episodes.episode,
            arrived=waiting.arrived,
            replaced=waiting.replaced,
        )

    def _is_complete(self, waiting: _Waiting) -> bool:
        lacks = self._lacking(self._odometry.at(waiting.stamp), waiting.stamp)
        return lacks is None and not self._awaits_companion(self._companions_at(waiting.stamp), waiting.stamp)

    def _companions_at(self, stamp: int) -> dict[str, Any]:
        return {name: buffer.near(stamp) for name, buffer in self._companions.items()}

    def _lacking(self, odometry: OdometrySample | None, stamp: int) -> str | None:
        """What keeps an image from being used; None: nothing does."""
        if odometry is None:
            return "late" if self._odometry.is_past(stamp) else "no odometry"
        return "no camera_info" if self._camera_info is None else None

    def _gives_up_at(self) -> float:
        return self._waiting.arrived + self._odometry_wait

    def _awaits_companion(self, companions: dict[str, Any], stamp: int) -> bool:
        return any(
            message is None and self._is_published[name]() and self._companions[name].may_still_come(stamp)
            for name, message in companions.items()
        )

    # ---- Jumps ----

    def _note_time(self, source: str, stamp: int, now: float) -> bool:
        """Whether this source's time jumped back; where that begins an episode, what is held from before is dropped."""
        before = self._episodes.episode
        jumped = self._episodes.jumped_back(source, stamp, now)
        if self._episodes.episode != before:
            self._drops.tell("time jump", TIME_LINE.format(self._episodes.episode))
            self._forget()
        return jumped

    def _has_restarted(self, sample: OdometrySample) -> bool:
        last = self._odometry.newest
        if last is None:
            return False
        if sample.frame_id != last.frame_id:
            return True
        distance = np.linalg.norm(sample.pose.position - last.pose.position)
        gap = abs(sample.stamp - last.stamp) * 1e-9
        return self._odometry_jump > 0 and distance > self._odometry_jump + TOP_SPEED * gap

    def _restart_odometry(self, stamp: int) -> None:
        """Forget odometry, and images from before it began anew. Time goes on: later ones only came before it."""
        self._odometry.clear()
        if self._newest is not None and self._newest.stamp < stamp:
            self._newest = None
        if self._waiting is not None and self._waiting.stamp < stamp:
            self._waiting = None

    def _forget(self) -> None:
        self._odometry.clear()
        for buffer in self._companions.values():
            buffer.clear()
        self._newest = self._waiting = None
