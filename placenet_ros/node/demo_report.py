"""The node demo_report: asks for views while a bag replays, judges them by what the robot then saw, and draws them.

It reads the bag in advance, so that it knows where the robot will be. While the bag plays, it sends camera poses some
time ahead of the robot to `query_pose`, and now and then one where the robot never is. At the end it prints figures and
writes views.png, path.png and, last and only if all went well, report.json.
"""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path as FilePath

import numpy as np
import rospy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from placenet_ros.counted import counted
from placenet_ros.msg import ModelInfo, PlaceEmbedding
from placenet_ros.node import images
from placenet_ros.node.demo_pictures import HELD_SHOWN, ViewRow, Walk, draw_path, draw_views, rmse
from placenet_ros.node.frames import Frames
from placenet_ros.node.image_layout import ImageError
from placenet_ros.node.keeping_up import late_count, note_if_late
from placenet_ros.node.outputs import body_pose
from placenet_ros.node.recorded_walk import RecordedWalk, read_walk
from placenet_ros.node.replay import BagError
from placenet_ros.node.rigid_pose import PoseError, camera_pose
from placenet_ros.scene.camera import PinholeCamera
from placenet_ros.scene.viewpoints import CameraPose

AHEAD_SECONDS = 1.5  # how far in the robot's future the views are that it is asked for
ASK_EVERY_SECONDS = 0.75  # at most so often, and only once the last answer is in
FIRST_ASKED_SECONDS = 2.0  # after the start: something has been seen by then
LEAD_SECONDS = 1.0  # an answer that may rest on observations later than this before its moment came too late to count
MODEL_SECONDS = 120.0  # longest wait for the node to be ready
END_SECONDS = 0.1  # before the end of the bag: the clock's last message can be a little earlier
STILL_SECONDS = 5.0  # a clock that stands so long means that the bag is over
ANSWER_SECONDS = 15.0  # longest wait for the last answers
DIAGNOSTICS_TO_COME = 2  # after the end of the bag, so that all of it is counted
FEW_VIEWS = 10  # with fewer than these judged, the mean error says little
SHEET_ROWS_AHEAD = 5
SURROUNDINGS_EVERY = 3  # of the depth images: enough to draw walls
SURROUNDINGS_HEIGHT = (0.15, 2.0)  # metres above the floor: neither floor nor ceiling
# Views that the robot never had: (share of the bag, what is asked, metres to the left, metres up).
ELSEWHERE = ((0.35, "0.3 m to its left", 0.3, 0.0), (0.7, "0.4 m higher", 0.0, 0.4))
CLOCK_RESOLUTION_MS = 5  # of /clock at 200 Hz


class DemoError(Exception):
    """Why there is no report; one line."""


@dataclass(frozen=True)
class Query:
    """A view to ask for."""

    ask_at: float  # seconds, of the clock
    stamp: int  # of the pose it is relative to; answers carry `label`, which differs between queries
    label: int
    asked: str
    left: float = 0.0  # metres off the robot's camera
    up: float = 0.0

    @property
    def is_ahead(self) -> bool:
        """Whether the robot will be there, so that the truth is known."""
        return not (self.left or self.up)


@dataclass
class Answer:
    """What came back."""

    query: Query
    pose: CameraPose
    held: list[int] = field(default_factory=list)  # stamps of the observations when it came
    image: np.ndarray | None = None
    uncertainty: np.ndarray | None = None
    seconds: float = 0.0  # of the clock, when it came

    @property
    def has_come(self) -> bool:
        return self.image is not None and self.uncertainty is not None

    @property
    def is_complete(self) -> bool:
        return self.has_come and bool(self.held)

    @property
    def is_in_time(self) -> bool:
        """Whether it is a prediction: the robot had not been near that moment when it came."""
        return not self.query.is_ahead or self.query.stamp - self.held[-1] >= LEAD_SECONDS * 1e9


class QueryPlan:
    """What to ask for, and when: views of the robot's near future, and at their moments those from elsewhere."""

    def __init__(self, walk: RecordedWalk):
        self._walk = walk
        self._next_at = walk.start + FIRST_ASKED_SECONDS
        self._elsewhere = []
        for share, what, left, up in ELSEWHERE:
            at = walk.start + share * (walk.end - walk.start)
            stamp = walk.nearest_stamp(int(at * 1e9))
            self._elsewhere.append(Query(at, stamp, stamp + 1, what, left, up))

    def due(self, now: float) -> Query | None:
        """The query to ask now (seconds, of the clock), if it is time for one."""
        if now < self._next_at:
            return None
        if self._elsewhere and self._elsewhere[0].ask_at <= now:
            query = self._elsewhere.pop(0)
        elif now < self._walk.end - AHEAD_SECONDS:
            stamp = self._walk.nearest_stamp(int((now + AHEAD_SECONDS) * 1e9))
            query = Query(now, stamp, stamp, f"{AHEAD_SECONDS:g} s ahead")
        else:
            return None
        self._next_at = now + ASK_EVERY_SECONDS
        return query


class DemoReport:
    """Listens and asks while the bag plays; afterwards, figures and pictures."""

    def __init__(self, walk: RecordedWalk, model: ModelInfo, camera: PinholeCamera):
        self._walk, self._model, self._camera = walk, model, camera
        self._frames = Frames(())
        self._lock = threading.Lock()
        self._answers: dict[int, Answer] = {}
        self._last: Answer | None = None  # to the newest query
        self._asked_at = 0.0  # seconds, monotonic
        self._held: list[int] = []
        self._observations: dict[int, int] = {}  # place by stamp
        self._delays_ms: list[float] = []
        self._views = 0
        self._diagnostics: dict[str, str] = {}
        self._diagnostics_to_come = 0
        self._subscribers = [
            rospy.Subscriber("place_embedding", PlaceEmbedding, self._on_embedding, queue_size=50),
            rospy.Subscriber("observations", Path, self._on_observations, queue_size=50),
            rospy.Subscriber("predicted/image", Image, self._on_image, queue_size=50),
            rospy.Subscriber("predicted/uncertainty", Image, self._on_uncertainty, queue_size=50),
            rospy.Subscriber("/diagnostics", DiagnosticArray, self._on_diagnostics, queue_size=50),
        ]
        self._query = rospy.Publisher("query_pose", PoseStamped, queue_size=50)  # last: the bag waits for it

    # ---- While the bag plays ----

    def watch(self) -> None:
        """Ask until the bag is over and the answers are in."""
        plan, last, moved_at = QueryPlan(self._walk), 0.0, time.monotonic()
        while not rospy.is_shutdown() and rospy.get_time() < self._walk.end - END_SECONDS:
            now = rospy.get_time()
            if now != last:
                last, moved_at = now, time.monotonic()
            elif now and time.monotonic() - moved_at > STILL_SECONDS:
                break
            query = plan.due(now) if self._is_answered() else None
            if query is not None:
                self._ask(query)
            time.sleep(0.01)
        with self._lock:
            self._diagnostics_to_come = DIAGNOSTICS_TO_COME
        deadline = time.monotonic() + ANSWER_SECONDS
        while not rospy.is_shutdown() and time.monotonic() < deadline and not self._has_everything():
            time.sleep(0.05)

    def _ask(self, query: Query) -> None:
        odometry = self._walk.odometry.at(query.stamp)
        camera = self._pose_at(query.stamp)
        x, y, z = camera.position
        left = (-math.sin(camera.yaw) * query.left, math.cos(camera.yaw) * query.left)
        pose = CameraPose((x + left[0], y + left[1], z + query.up), camera.yaw, camera.pitch)
        with self._lock:
            self._answers[query.label] = self._last = Answer(query, pose)
        self._asked_at = time.monotonic()
        header = Header(stamp=rospy.Time(nsecs=query.label), frame_id=odometry.frame_id)
        self._query.publish(PoseStamped(header, body_pose(pose)))

    def _is_answered(self) -> bool:
        """Whether the last query's answer is in, or given up."""
        with self._lock:
            has_come = self._last is None or self._last.has_come
        return has_come or time.monotonic() - self._asked_at > ANSWER_SECONDS

    def _has_everything(self) -> bool:
        with self._lock:
            return self._diagnostics_to_come <= 0 and all(answer.is_complete for answer in self._answers.values())

    def _on_embedding(self, message: PlaceEmbedding) -> None:
        delay = rospy.get_time() - message.header.stamp.to_sec()
        with self._lock:
            self._delays_ms.append(1000 * delay)
            self._observations[message.header.stamp.to_nsec()] = message.place_id

    def _on_observations(self, message: Path) -> None:
        with self._lock:
            self._held = [pose.header.stamp.to_nsec() for pose in message.poses]

    def _on_image(self, message: Image) -> None:
        with self._lock:
            self._views += 1
            answer = self._answers.get(message.header.stamp.to_nsec())
            if answer is not None and answer.image is None:  # the node may predict the view at that stamp, too, later
                answer.image, answer.held, answer.seconds = images.colours(message), self._held, rospy.get_time()

    def _on_uncertainty(self, message: Image) -> None:
        with self._lock:
            answer = self._answers.get(message.header.stamp.to_nsec())
            if answer is not None and answer.uncertainty is None:
                answer.uncertainty = images.depth(message)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith("placenet_node"):
                with self._lock:
                    self._diagnostics = {value.key: value.value for value in status.values}
                    self._diagnostics_to_come -= 1

    # ---- Afterwards ----

    def figures(self) -> dict:
        """What report.json holds. Raises DemoError where nothing was published."""
        ahead = self._complete(is_ahead=True)
        if not self._delays_ms:
            raise DemoError("the node published no place embedding; see its output above")
        if not ahead:
            late = note_if_late(late_count(self._delays_ms), len(self._delays_ms))
            why = f"{late}; end what else runs, and run it again" if late else "see its output above"
            raise DemoError(f"the node answered no query in time with a predicted view; {why}")
        truths = [self._walk.rgb[answer.query.stamp] for answer in ahead]
        predicted = [rmse(answer.image, truth) for answer, truth in zip(ahead, truths)]
        latest = [rmse(self._walk.rgb[answer.held[-1]], truth) for answer, truth in zip(ahead, truths)]
        leads = [(answer.query.stamp - answer.held[-1]) * 1e-9 for answer in ahead]
        return {
            "bag_seconds": round(self._walk.end - self._walk.start, 2),
            "frames_seen": int(self._diagnostics.get("images received", 0)),
            "keyframes": len(self._observations),
            "places": len(set(self._observations.values())),
            "embeddings_published": len(self._delays_ms),
            "embeddings_late": late_count(self._delays_ms),
            "views_published": self._views,
            "queries_asked": len(self._answers),
            "queries_answered_in_time": len(ahead) + len(self._complete(is_ahead=False)),
            "delay_ms": {
                "median": round(float(np.median(self._delays_ms)), 1),
                "percentile_99": round(float(np.percentile(self._delays_ms, 99)), 1),
                "resolution": CLOCK_RESOLUTION_MS,
            },
            "rmse": {
                "views": len(ahead),
                "seconds_ahead": round(float(np.median(leads)), 2),
                "predicted": round(float(np.mean(predicted)), 2),
                "latest_observation": round(float(np.mean(latest)), 2),
            },
            "dropped": {key: int(n) for key, n in self._diagnostics.items() if key.startswith("dropped")},
            "model": {"name": self._model.model_name, "id": self._model.model_id},
        }

    def _complete(self, is_ahead: bool) -> list[Answer]:
        """Answers in time, of one kind."""
        answers = [answer for answer in self._answers.values() if answer.is_complete and answer.is_in_time]
        return [answer for answer in answers if answer.query.is_ahead == is_ahead]

    def draw(self, folder: FilePath) -> None:
        """Write views.png and path.png."""
        ahead, elsewhere = self._complete(is_ahead=True), self._complete(is_ahead=False)
        spread_over = np.linspace(0, len(ahead) - 1, min(SHEET_ROWS_AHEAD, len(ahead))).round().astype(int)
        shown = sorted([ahead[index] for index in spread_over] + elsewhere, key=lambda answer: answer.query.ask_at)
        draw_views([self._row(answer) for answer in shown], self._model.model_name, folder / "views.png")
        draw_path(self._drawn_walk(ahead, elsewhere), folder / "path.png")

    def _row(self, answer: Answer) -> ViewRow:
        chosen = np.unique(np.linspace(0, len(answer.held) - 1, HELD_SHOWN).round().astype(int))
        return ViewRow(
            seconds=answer.seconds - self._walk.start,
            num_held=len(answer.held),
            held=[self._walk.rgb[answer.held[index]] for index in chosen],
            asked=answer.query.asked,
            truth=self._walk.rgb[answer.query.stamp] if answer.query.is_ahead else None,
            predicted=answer.image,
            uncertainty=answer.uncertainty,
        )

    def _drawn_walk(self, ahead: list[Answer], elsewhere: list[Answer]) -> Walk:
        stamps = sorted(self._walk.rgb)
        poses = {stamp: self._pose_at(stamp) for stamp in stamps if self._walk.odometry.at(stamp) is not None}
        observations = [(poses[stamp], place) for stamp, place in sorted(self._observations.items())]
        origins: dict[int, CameraPose] = {}
        for pose, place in observations:
            origins.setdefault(place, pose)
        return Walk(
            path=np.array([pose.position[:2] for pose in poses.values()]),
            observations=observations,
            place_origins=[(pose, place) for place, pose in origins.items()],
            asked_ahead=[answer.pose for answer in ahead],
            asked_elsewhere=[answer.pose for answer in elsewhere],
            surroundings=self._surroundings(poses),
        )

    def _pose_at(self, stamp: int) -> CameraPose:
        frame = self._walk.camera_frame_id
        return camera_pose(self._frames.camera_frame(self._walk.odometry.at(stamp), frame), frame)

    def _surroundings(self, poses: dict[int, CameraPose]) -> np.ndarray:
        """x and y (n, 2) of what the depth camera saw between floor and ceiling."""
        camera, seen = self._camera, [np.zeros((0, 2))]
        v, u = np.mgrid[: camera.height, : camera.width]
        for stamp in sorted(set(poses) & set(self._walk.depth))[::SURROUNDINGS_EVERY]:
            depth = self._walk.depth[stamp]
            points = np.stack([(u - camera.cx) / camera.fx * depth, (v - camera.cy) / camera.fy * depth, depth], -1)
            matrix = poses[stamp].to_matrix()
            world = points[depth > 0] @ matrix[:3, :3].T + matrix[:3, 3]
            lowest, highest = SURROUNDINGS_HEIGHT
            seen.append(world[(world[:, 2] > lowest) & (world[:, 2] < highest), :2])
        return np.concatenate(seen)


def told(figures: dict, folder: FilePath) -> str:
    """The figures as the demonstration prints them."""
    delay, error = figures["delay_ms"], figures["rmse"]
    clocked = f"from image stamp to embedding (by /clock, to {delay['resolution']} ms)"
    compared = f"over {error['views']} views {error['seconds_ahead']:.1f} s ahead, by what the robot then saw"
    queries = f"{figures['queries_answered_in_time']} of them in time for {figures['queries_asked']} queries"
    late = note_if_late(figures["embeddings_late"], figures["embeddings_published"])
    few = f"fewer than {FEW_VIEWS} views could be judged, which says little: the machine is slow, or the bag short"
    lines = [
        ("frames seen", f"{figures['frames_seen']} in {figures['bag_seconds']:.0f} s, {figures['keyframes']} kept"),
        ("embeddings", f"{figures['embeddings_published']} published, of {counted(figures['places'], 'place')}"),
        ("views", f"{figures['views_published']} published, {queries}"),
        ("delay", f"median {delay['median']:.0f} ms, 99th percentile {delay['percentile_99']:.0f} ms, {clocked}"),
        ("prediction", f"RMSE {error['predicted']:.1f} of 255, {compared}"),
        ("for comparison", f"RMSE {error['latest_observation']:.1f} of 255, taking the latest observation instead"),
        *([("note", few)] if error["views"] < FEW_VIEWS else []),
        *([("note", late)] if late else []),
        ("pictures", f"{folder / 'views.png'}, {folder / 'path.png'}"),
    ]
    return "\n".join(f"  {name + ':':<18}{text}" for name, text in lines)


def ready_model() -> ModelInfo:
    """What is known of the model, once the node runs it. Raises DemoError."""
    try:
        return rospy.wait_for_message("model_info", ModelInfo, timeout=MODEL_SECONDS)
    except rospy.ROSException as error:
        raise DemoError(f"no model_info from the node within {MODEL_SECONDS:g} s; see its output above") from error


def report(bag: str, folder: FilePath) -> None:
    """Watch one replay and write the report. Raises DemoError, BagError, ImageError, PoseError."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "report.json").exists():
        (folder / "report.json").unlink()  # of an earlier run
    model = ready_model()
    camera = PinholeCamera.square(model.image_width, math.degrees(model.field_of_view))
    topics = {name: rospy.resolve_name(name) for name in ("image", "camera_info", "depth", "odom")}
    demo = DemoReport(read_walk(bag, topics, camera), model, camera)
    demo.watch()
    if rospy.is_shutdown():
        raise DemoError("ended before the bag was over")
    figures = demo.figures()
    demo.draw(folder)
    (folder / "report.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(told(figures, folder), flush=True)


def main() -> int:
    """Returns the exit status."""
    rospy.init_node("demo_report")
    try:
        report(rospy.get_param("~bag"), FilePath(rospy.get_param("~out")))
    except (DemoError, BagError, ImageError, PoseError) as error:
        print(f"error: demo: {error}", file=sys.stderr, flush=True)
        return 1
    return 0
