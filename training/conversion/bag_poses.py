"""Where a bag's camera was at an image's stamp: from odometry or TF, and from how the camera is mounted.

A `Track` holds the last seconds of one frame's motion in another, in pieces: where time or the robot jumps, or the
track is silent for too long, a new piece begins, and no pose is interpolated across. A `TransformTree` composes tracks
and fixed transforms; `OdometryPoses` and `TransformPoses` answer for a camera. Times are nanoseconds.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from placenet_ros.node.episodes import MIN_JUMP_SECONDS
from placenet_ros.node.rigid_pose import RigidPose

JUMP_SLACK = 0.1  # metres that a pose may be corrected by, at any speed
FASTEST_TURN, TURN_SLACK = 2 * math.pi, math.radians(15)  # radians/s that a robot turns at most; and as for metres
MOST_SAMPLES = 20_000  # of a piece, whatever a bag holds: 5 s at 4 kHz
MOST_FRAMES = 1000  # of TF: robots have a hundred
CHAIN_SHOWN = 10  # frames in an error

_piece_numbers = itertools.count()


class NoPoseError(ValueError):
    """No pose at a stamp; one line. `kind` names the reason in a few words."""

    def __init__(self, kind: str, line: str) -> None:
        super().__init__(line)
        self.kind = kind


class PieceId(NamedTuple):
    """A piece of a track, and why it began."""

    number: int
    reason: str


class Placed(NamedTuple):
    """A pose, and of which pieces it came: poses of other pieces are in no known relation to it."""

    pieces: tuple[PieceId, ...]
    pose: RigidPose


@dataclass(frozen=True)
class Limits:
    """What splits a track. longest_gap: seconds; fastest: metres per second; kept: seconds of each track in memory."""

    longest_gap: float
    fastest: float
    kept: float


@dataclass
class _Piece:
    """Motion without a jump: stamps rise."""

    id: PieceId
    stamps: deque[int] = field(default_factory=lambda: deque(maxlen=MOST_SAMPLES))
    times: deque[int] = field(default_factory=lambda: deque(maxlen=MOST_SAMPLES))  # when they were recorded
    poses: deque[RigidPose] = field(default_factory=lambda: deque(maxlen=MOST_SAMPLES))

    def add(self, stamp: int, time: int, pose: RigidPose) -> None:
        self.stamps.append(stamp)
        self.times.append(time)
        self.poses.append(pose)

    def forget_until(self, time: int) -> None:
        while self.times and self.times[0] < time:
            for samples in (self.stamps, self.times, self.poses):
                samples.popleft()


class Track:
    """Poses of one frame in another, of about the last `limits.kept` seconds."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pieces: deque[_Piece] = deque()

    def add(self, stamp: int, time: int, pose: RigidPose) -> None:
        """A pose of that stamp, recorded at that time. One that is a little older than the newest is ignored."""
        newest = self._pieces[-1] if self._pieces and self._pieces[-1].stamps else None
        if newest is not None and -MIN_JUMP_SECONDS * 1e9 <= stamp - newest.stamps[-1] <= 0:
            return
        reason = self._jump(newest, stamp, pose) if newest else "the first pose"
        if reason:
            self.split(reason)
        self._pieces[-1].add(stamp, time, pose)
        for piece in self._pieces:
            piece.forget_until(time - int(self._limits.kept * 1e9))
        while not self._pieces[0].stamps:
            self._pieces.popleft()

    def split(self, reason: str) -> None:
        """Begin a new piece."""
        self._pieces.append(_Piece(PieceId(next(_piece_numbers), reason)))

    def _jump(self, piece: _Piece, stamp: int, pose: RigidPose) -> str | None:
        seconds = (stamp - piece.stamps[-1]) * 1e-9
        if seconds < 0:
            return "time jumped back"
        if seconds > self._limits.longest_gap:
            return "poses silent for longer than longest_gap"
        last = piece.poses[-1]
        if math.dist(pose.position, last.position) > self._limits.fastest * seconds + JUMP_SLACK:
            return "the pose jumped (faster than fastest)"
        turned = 2 * math.acos(min(abs(float(pose.quaternion @ last.quaternion)), 1.0))
        return "the pose jumped (faster than fastest)" if turned > FASTEST_TURN * seconds + TURN_SLACK else None

    def at(self, stamp: int, time: int) -> Placed | None:
        """The pose at a stamp that was recorded at about that time; None where there is none on either side of it."""
        covering = [piece for piece in self._pieces if piece.stamps and piece.stamps[0] <= stamp <= piece.stamps[-1]]
        if not covering:
            return None
        piece = min(covering, key=lambda piece: max(piece.times[0] - time, time - piece.times[-1]))
        after = bisect.bisect_left(piece.stamps, stamp)
        pose = piece.poses[after]
        if piece.stamps[after] != stamp:
            start, end = piece.stamps[after - 1], piece.stamps[after]
            pose = piece.poses[after - 1].interpolated(pose, (stamp - start) / (end - start))
        return Placed((piece.id,), pose)


@dataclass
class _Link:
    """A frame's place in its parent: for good, or a track."""

    parent: str
    place: RigidPose | Track


class TransformTree:
    """The transforms of /tf and /tf_static."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._links: dict[str, _Link] = {}

    def add_fixed(self, parent: str, child: str, pose: RigidPose) -> None:
        """A transform that holds for good."""
        if child in self._links or len(self._links) < MOST_FRAMES:
            self._links[child] = _Link(parent, pose)

    def add(self, parent: str, child: str, stamp: int, time: int, pose: RigidPose) -> None:
        """A transform at a stamp. One that is known for good stays."""
        link = self._links.get(child)
        if link is not None and isinstance(link.place, RigidPose):
            return
        if link is None or link.parent != parent:
            if link is None and len(self._links) >= MOST_FRAMES:
                return
            link = self._links[child] = _Link(parent, Track(self._limits))
        link.place.add(stamp, time, pose)

    def is_fixed(self, ancestor: str, frame: str) -> bool:
        """Whether one frame's place in the other is known for good."""
        try:
            return all(isinstance(link.place, RigidPose) for link in self._chain(ancestor, frame))
        except NoPoseError:
            return False

    def pose(self, ancestor: str, frame: str, stamp: int, time: int) -> Placed:
        """Pose of a frame in an ancestor of it. Raises NoPoseError."""
        placed = Placed((), RigidPose.checked((0, 0, 0), (0, 0, 0, 1)))
        for link in self._chain(ancestor, frame):
            outer = link.place if isinstance(link.place, RigidPose) else link.place.at(stamp, time)
            if outer is None:
                raise NoPoseError("no transform", f"no transform to {link.parent} on both sides of the image's stamp")
            outer = outer if isinstance(outer, Placed) else Placed((), outer)
            placed = Placed(outer.pieces + placed.pieces, outer.pose @ placed.pose)
        return placed

    def _chain(self, ancestor: str, frame: str) -> list[_Link]:
        """The links from a frame up to its ancestor."""
        links, at = [], frame
        while at != ancestor:
            if at not in self._links or len(links) > len(self._links):
                raise NoPoseError("no chain", self._broken_chain(ancestor, frame))
            links.append(self._links[at])
            at = links[-1].parent
        return links

    def _broken_chain(self, ancestor: str, frame: str) -> str:
        names = [frame]
        while names[-1] in self._links and len(names) < CHAIN_SHOWN:
            names.append(self._links[names[-1]].parent)
        found = " -> ".join(names) if len(names) > 1 else f"nothing of {frame}"
        return (
            f"no transform from {frame or 'a camera without frame_id'} to {ancestor}: /tf and /tf_static know {found}; "
            "set base_to_camera=x,y,z,qx,qy,qz,qw, or world_frame= or base_frame= to a frame above"
        )


class OdometryPoses:
    """Poses of a camera in the frame of nav_msgs/Odometry.

    base_to_camera: the camera's frame in the odometry's child frame; None: `tree` knows. base_frame: that child frame
    where the odometry does not name it.
    """

    def __init__(self, limits: Limits, tree: TransformTree, base_to_camera: RigidPose | None, base_frame: str) -> None:
        self._track, self._tree = Track(limits), tree
        self._mount, self._base_frame = base_to_camera, base_frame
        self._frames: tuple[str, str] | None = None

    def add(self, message: Any, stamp: int, time: int) -> None:
        """A nav_msgs/Odometry. Raises PoseError."""
        frames = _plain(message.header.frame_id), _plain(message.child_frame_id)
        pose = RigidPose.from_message(message.pose.pose)
        if self._frames is not None and frames != self._frames:
            self._track.split("odometry's frames changed")
        self._frames = frames
        self._track.add(stamp, time, pose)

    def at(self, camera_frame: str, stamp: int, time: int) -> Placed:
        """Pose of the camera's frame at a stamp. Raises NoPoseError."""
        base = self._track.at(stamp, time)
        if base is None:
            raise NoPoseError("no odometry", "no odometry on both sides of the image's stamp, without a gap between")
        mount = self._mount and Placed((), self._mount)
        mount = mount or self._tree.pose(self._frames[1] or self._base_frame, camera_frame, stamp, time)
        return Placed(base.pieces + mount.pieces, base.pose @ mount.pose)


class TransformPoses:
    """Poses of a camera in a world's frame, all from TF; or to base_frame, where base_to_camera is given."""

    def __init__(
        self, tree: TransformTree, world_frame: str, base_to_camera: RigidPose | None, base_frame: str
    ) -> None:
        self._tree, self._world_frame = tree, world_frame
        self._mount, self._base_frame = base_to_camera, base_frame

    def at(self, camera_frame: str, stamp: int, time: int) -> Placed:
        """Pose of the camera's frame at a stamp. Raises NoPoseError."""
        if self._mount is None:
            return self._tree.pose(self._world_frame, camera_frame, stamp, time)
        base = self._tree.pose(self._world_frame, self._base_frame, stamp, time)
        return Placed(base.pieces, base.pose @ self._mount)


def transforms(message: Any) -> Sequence[tuple[str, str, int, RigidPose]]:
    """Parent, child, stamp and pose of each transform of a tf2_msgs/TFMessage. Raises PoseError."""
    return [
        (
            _plain(entry.header.frame_id),
            _plain(entry.child_frame_id),
            entry.header.stamp.sec * 1_000_000_000 + entry.header.stamp.nanosec,
            RigidPose.from_transform(entry.transform),
        )
        for entry in message.transforms
    ]


def _plain(frame_id: str) -> str:
    return frame_id.lstrip("/")  # some ROS 1 drivers still write the leading slash
