"""The node demo_drive: watches a robot drive live through a house, and judges which places it was told to know again.

The simulated robot's odometry is exact, so that the distance between two poses is the true one. At the end it prints
figures and writes revisit.png and, last and only if all went well, drive.json.
"""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

import rospy
from geometry_msgs.msg import Pose
from sensor_msgs.msg import Image

from placenet_ros.counted import counted
from placenet_ros.msg import PlaceEmbedding, PlaceMatches
from placenet_ros.node import images
from placenet_ros.node.demo_pictures import DrawnMatch, DrivenPose, MatchedPair, draw_drive
from placenet_ros.node.demo_report import DemoError, ready_model
from placenet_ros.node.image_layout import ImageError
from placenet_ros.node.keeping_up import late_count, note_if_late
from placenet_ros.node.parameters import NodeParameters
from placenet_ros.node.rigid_pose import PoseError, RigidPose, camera_pose
from placenet_ros.scene.viewpoints import CameraPose

RIGHT_METRES, RIGHT_DEGREES = 1.0, 30.0  # a match of two poses no farther apart is right,
NEAR_METRES = 2.0  # of two no farther apart than this, whatever way they look, nearly so; any other is wrong
FIRST_SECONDS = 60.0  # longest wait for the first embedding
PICTURES_KEPT = 50  # of the newest images, 5 s, until the embedding of one of them comes


@dataclass(frozen=True)
class Keyframe:
    """Where the robot was told to be."""

    seconds: float  # of its stamp
    pose: CameraPose
    place: tuple[int, int]  # episode, place
    travelled: float  # metres since the first one
    delay_ms: float = 0.0  # from its stamp until it was told


@dataclass(frozen=True)
class Recognition:
    """The best match of one keyframe."""

    now: Keyframe
    then: CameraPose
    then_seconds: float
    then_place: tuple[int, int]
    similarity: float

    @property
    def metres(self) -> float:
        return self.now.pose.distance_to(self.then)

    @property
    def degrees(self) -> float:
        return _degrees(self.now.pose, self.then)

    @property
    def is_right(self) -> bool:
        return self.metres <= RIGHT_METRES and self.degrees <= RIGHT_DEGREES

    @property
    def is_near(self) -> bool:
        return self.metres <= NEAR_METRES

    @property
    def judgement(self) -> str:
        return "right" if self.is_right else "near" if self.is_near else "wrong"


def _degrees(a: CameraPose, b: CameraPose) -> float:
    return math.degrees(abs(math.remainder(a.yaw - b.yaw, 2 * math.pi)))


def revisits(keyframes: Sequence[Keyframe], after: float) -> list[Keyframe]:
    """Those where the robot was before, within what counts as right, at least so many metres of travel ago."""
    return [
        now
        for now in keyframes
        if any(
            now.travelled - then.travelled >= after
            and now.pose.distance_to(then.pose) <= RIGHT_METRES
            and _degrees(now.pose, then.pose) <= RIGHT_DEGREES
            for then in keyframes
        )
    ]


def figures(keyframes: Sequence[Keyframe], found: Sequence[Recognition], after: float) -> dict:
    """What drive.json holds."""
    back = revisits(keyframes, after)
    stamps = {keyframe.seconds for keyframe in back}
    right = sum(recognition.is_right for recognition in found)
    near = sum(recognition.is_near and not recognition.is_right for recognition in found)
    return {
        "seconds": round(keyframes[-1].seconds - keyframes[0].seconds, 1),
        "metres": round(keyframes[-1].travelled, 1),
        "keyframes": len(keyframes),
        "keyframes_late": late_count([keyframe.delay_ms for keyframe in keyframes]),
        "places": len({keyframe.place for keyframe in keyframes}),
        "revisits": len(back),
        "revisits_matched_right": sum(r.is_right and r.now.seconds in stamps for r in found),
        "matches": {"all": len(found), "right": right, "near": near, "wrong": len(found) - right - near},
    }


class Drive:
    """Collects what the node says while the robot drives."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.keyframes: list[Keyframe] = []
        self.found: list[Recognition] = []
        self.hears_matches = False
        self._newest: deque[Image] = deque(maxlen=PICTURES_KEPT)
        self._stamps: set[float] = set()  # seconds, of keyframes
        self.pictures: dict[float, Image] = {}  # by seconds of the stamp; of keyframes
        self._frame_id = ""
        self._matches: list[PlaceMatches] = []
        self._subscribers = [
            rospy.Subscriber("image", Image, self._on_image, queue_size=10, buff_size=2**24),
            rospy.Subscriber("place_embedding", PlaceEmbedding, self._on_embedding, queue_size=50),
            rospy.Subscriber("place_matches", PlaceMatches, self._on_matches, queue_size=50),
        ]

    def watch(self, seconds: float) -> None:
        """For so long after the first keyframe. Raises DemoError where none comes, or the node ends."""
        deadline = time.monotonic() + FIRST_SECONDS
        while not self.keyframes and not rospy.is_shutdown():
            if time.monotonic() > deadline:
                raise DemoError(f"no place embedding within {FIRST_SECONDS:g} s; see the output above")
            time.sleep(0.05)
        end = time.monotonic() + seconds
        while time.monotonic() < end and not rospy.is_shutdown():
            time.sleep(0.05)
        if rospy.is_shutdown():
            raise DemoError("ended before the drive was over")
        with self._lock:
            self._judge()

    def _judge(self) -> None:
        """Match each answer with its keyframe."""
        at = {keyframe.seconds: keyframe for keyframe in self.keyframes}
        self.hears_matches = bool(self._matches)
        for message in self._matches:
            now = at.get(message.header.stamp.to_sec())
            if now is not None and message.matches:
                best = message.matches[0]
                then = _camera_pose(best.pose, self._frame_id)
                then_place = best.episode_id, best.place_id
                self.found.append(Recognition(now, then, best.stamp.to_sec(), then_place, best.similarity))

    def _on_image(self, message: Image) -> None:
        with self._lock:
            self._newest.append(message)
            self._keep_pictures()

    def _on_embedding(self, message: PlaceEmbedding) -> None:
        seconds, pose = message.header.stamp.to_sec(), _camera_pose(message.pose.pose, message.child_frame_id)
        delay_ms = 1000 * (rospy.get_time() - seconds)
        with self._lock:
            last = self.keyframes[-1] if self.keyframes else None
            travelled = 0.0 if last is None else last.travelled + last.pose.distance_to(pose)
            self._frame_id = message.child_frame_id
            place = message.episode_id, message.place_id
            self.keyframes.append(Keyframe(seconds, pose, place, travelled, delay_ms))
            self._stamps.add(seconds)
            self._keep_pictures()

    def _keep_pictures(self) -> None:
        """Those of keyframes; an image and its embedding come in any order."""
        stamped = {message.header.stamp.to_sec(): message for message in self._newest}
        self.pictures.update({seconds: stamped[seconds] for seconds in self._stamps & set(stamped)})

    def _on_matches(self, message: PlaceMatches) -> None:
        with self._lock:
            self._matches.append(message)


def _camera_pose(pose: Pose, frame_id: str) -> CameraPose:
    return camera_pose(RigidPose.from_message(pose), frame_id)


def told(measured: dict, surest: Recognition | None, hears_matches: bool, folder: Path) -> str:
    """What the demonstration prints. measured: of `figures`. surest: the match of the greatest similarity."""
    matches = measured["matches"]
    drive = f"{measured['seconds']:.0f} s, {measured['metres']:.0f} m live, {measured['keyframes']} keyframes"
    back = f"{measured['revisits']} keyframes within {RIGHT_METRES:g} m and {RIGHT_DEGREES:g} degrees of an earlier one"
    judged = f"{matches['right']} right, {matches['near']} more within {NEAR_METRES:g} m, {matches['wrong']} wrong"
    lines = [("drive", f"{drive}, {counted(measured['places'], 'place')}")]
    lines += [("revisits", f"{back}; {measured['revisits_matched_right']} of them recognised")]
    if not hears_matches:
        lines.append(("matches", "none: these weights do not say how alike two embeddings of one place are"))
    elif surest is None:
        lines.append(("matches", "none: nothing was alike enough"))
    else:
        name = f"place {surest.now.place[1]} is place {surest.then_place[1]}, seen {_ago(surest):.0f} s before"
        truth = f"in truth {surest.metres:.1f} m and {surest.degrees:.0f} degrees apart"
        lines += [("matches", f"{matches['all']}: {judged}")]
        lines += [("the surest", f"{name}: similarity {surest.similarity:.2f}, {truth}")]
    late = note_if_late(measured["keyframes_late"], measured["keyframes"])
    lines += [("note", late)] if late else []
    lines.append(("picture", str(folder / "revisit.png")))
    return "\n".join(f"  {name + ':':<18}{text}" for name, text in lines)


def _ago(recognition: Recognition) -> float:
    return recognition.now.seconds - recognition.then_seconds


def match_after() -> float:
    """The running node's ~match_after, metres; its default where nobody set it."""
    node = rospy.resolve_name("model_info").rpartition("/")[0]
    return rospy.get_param(f"{node}/match_after", NodeParameters().match_after)


def draw(drive: Drive, surest: Recognition | None, path: Path) -> None:
    """Write revisit.png."""
    start = drive.keyframes[0].seconds
    matches = {found.now.seconds: _drawn_match(found, start) for found in drive.found}
    pair = None
    if surest is not None and {surest.now.seconds, surest.then_seconds} <= set(drive.pictures):
        pair = MatchedPair(
            matches[surest.now.seconds],
            images.colours(drive.pictures[surest.now.seconds]),
            images.colours(drive.pictures[surest.then_seconds]),
            f"place {surest.now.place[1]}, at {surest.now.seconds - start:.0f} s",
            f"place {surest.then_place[1]}, at {surest.then_seconds - start:.0f} s",
            f"similarity {surest.similarity:.2f}; in truth\n{surest.metres:.1f} m, {surest.degrees:.0f} degrees apart",
        )
    keyframes = [DrivenPose(frame.seconds - start, frame.pose, frame.place[1]) for frame in drive.keyframes]
    judgements = {
        "right": f"match is right: within {RIGHT_METRES:g} m and {RIGHT_DEGREES:g} degrees",
        "near": f"match is nearly right: within {NEAR_METRES:g} m",
        "wrong": "match is wrong",
    }
    draw_drive(keyframes, list(matches.values()), judgements, pair, path)


def _drawn_match(found: Recognition, start: float) -> DrawnMatch:
    """start: seconds, of the first keyframe."""
    return DrawnMatch(
        found.now.pose, found.then, found.now.seconds - start, found.then_seconds - start, found.judgement
    )


def report(seconds: float, folder: Path) -> None:
    """Watch one drive and write the report. Raises DemoError, ImageError, PoseError."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "drive.json").exists():
        (folder / "drive.json").unlink()  # of an earlier run
    model = ready_model()
    drive = Drive()
    drive.watch(seconds)
    surest = max(drive.found, key=lambda found: found.similarity, default=None)
    measured = figures(drive.keyframes, drive.found, match_after())
    measured["model"] = {"name": model.model_name, "id": model.model_id}
    draw(drive, surest, folder / "revisit.png")
    (folder / "drive.json").write_text(json.dumps(measured, indent=2) + "\n")
    print(told(measured, surest, drive.hears_matches, folder), flush=True)


def main() -> int:
    """Returns the exit status."""
    rospy.init_node("demo_drive")
    try:
        report(rospy.get_param("~seconds"), Path(rospy.get_param("~out")))
    except (DemoError, ImageError, PoseError) as error:
        print(f"error: demo: {error}", file=sys.stderr, flush=True)
        return 1
    return 0
