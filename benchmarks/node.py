"""How fast the node is, and whether it stays so: `python -m benchmarks.node [minutes=30] [json=FILE] [--help]`.

A camera of 640 x 480 pixels at 30 Hz with depth, odometry at 50 Hz and TF: a bag (`benchmarks.bag_player` plays it in
a process of its own), made here unless one is given, of a robot that drives there and back through a house, on and on.
The node is started by its launch file on a master of its own; this process listens to what it publishes. Printed:

- for each sixth of the time: observations, the delay from an image's stamp until its embedding is heard, predicted
  views each second, the node's memory and its processor time;
- keyframes that were due, by the poses sent and the node's own gate, and those encoded; where an image that was due is
  passed over, the next one is due;
- steps of the delay, as the node's diagnostics have them, of the last 200 observations;
- what was sent, received and dropped; processor time of each process; how memory grows; warnings and errors logged.

The wall clock stamps and is read everywhere: what the player is late counts as delay.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import xmlrpc.client
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rosbag
import rosgraph
import rospy
from diagnostic_msgs.msg import DiagnosticArray
from placenet_ros.msg import ModelInfo, PlaceEmbedding
from sensor_msgs.msg import Image

from benchmarks.bag_player import ODOMETRY, STATIC_TF, TF, bag_times, percentiles
from placenet_ros.node.keyframes import KeyframeGate
from placenet_ros.node.odometry import OdometryBuffer, OdometrySample
from placenet_ros.node.parameters import NodeParameters
from placenet_ros.node.replay import IMAGE as IMAGE_TYPE
from placenet_ros.node.replay import MESSAGE_TYPES, TRANSFORM_TYPE, BagError, opened_bag
from placenet_ros.node.rigid_pose import PoseError, RigidPose, camera_pose
from placenet_ros.scene.viewpoints import CameraPose
from training.configuration import REPOSITORY, UserError, parse, run_command, setting
from training.make_bag import CameraConfig, make_bag

NODE = "/placenet_node"
IMAGE, CAMERA_INFO = "/camera/color/image_raw", "/camera/color/camera_info"
DEPTH, OBJECTS = "/camera/aligned_depth_to_color/image_raw", "/camera/objects/image_raw"
TOPIC_TYPES = {STATIC_TF: TRANSFORM_TYPE, TF: TRANSFORM_TYPE, ODOMETRY: MESSAGE_TYPES["odom"]}
TOPIC_TYPES.update({CAMERA_INFO: MESSAGE_TYPES["camera_info"]}, **dict.fromkeys((IMAGE, DEPTH, OBJECTS), IMAGE_TYPE))
CAMERA = CameraConfig(width=640, height=480, rate=30.0)
SEED = 10_000_000
ROWS = 6  # of the table: five minutes each in half an hour
LOADING_SECONDS = 180.0  # longest wait for the model
ENDING_SECONDS = 30.0
SAMPLING_SECONDS = 1.0
LOOP_METRES, LOOP_DEGREES = 0.1, 5.0  # farthest from where the bag begins that the robot is at its end
MEBIBYTE = 2**20
LOG_LINE = re.compile(r"\[(WARN|ERROR|FATAL)\]")
COLOURS_OF_A_TERMINAL = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class NodeBenchmark:
    """Measure the node on a robot's camera: delays, views, memory and processor time."""

    minutes: float = setting(30.0, "How long to play, minutes.")
    bag: str = setting("", "A bag like those of training.make_bag there_and_back=true; without one it is made.")
    bag_seconds: float = setting(60.0, "Length of the bag that is made, seconds; 1.8 MB for each of its images.")
    depth: bool = setting(True, "Whether the robot has a depth camera.")
    objects: bool = setting(False, "Whether it has images of class ids.")
    predict_rate: float = setting(10.0, "Views asked for each second, ~predict_rate; 0: nobody listens to them.")
    uncertainty: bool = setting(False, "Whether somebody listens to the views' uncertainty.")
    weights: str = setting("placenet-small", "The node's ~weights.")
    config: str = setting("", "The node's YAML file; without one config/placenet.yaml.")
    json: str = setting("", "File to write every figure to.")

    def __post_init__(self):
        if not 0.5 <= self.minutes <= 10_000:  # each of the ROWS has some samples
            raise ValueError(f"minutes must be within 0.5 and 10,000, found {self.minutes:g}")
        if not 0 <= self.predict_rate <= 100:
            raise ValueError(f"predict_rate must be within 0 and 100, found {self.predict_rate:g}")

    @property
    def topics(self) -> list[str]:
        """What is played."""
        topics = [STATIC_TF, TF, ODOMETRY, CAMERA_INFO, IMAGE]
        return topics + [DEPTH] * self.depth + [OBJECTS] * self.objects


# ---- Processes


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("", 0))
        return taken.getsockname()[1]


def environment(folder: Path, port: int) -> dict[str, str]:
    """Of every process: a master of their own, logs in the folder."""
    own = dict(os.environ, ROS_MASTER_URI=f"http://localhost:{port}", ROS_HOSTNAME="localhost", ROS_HOME=str(folder))
    own.pop("ROS_IP", None)
    return own


@contextlib.contextmanager
def running(command: Sequence[str], **how: Any) -> Iterator[subprocess.Popen]:
    """A process that ends with the block."""
    process = subprocess.Popen(command, **how)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def launch_command(config: NodeBenchmark, port: int) -> list[str]:
    arguments = {
        "image": IMAGE,
        "depth": DEPTH,
        "objects": OBJECTS,
        "odom": ODOMETRY,
        "weights": config.weights,
        "predict_rate": config.predict_rate,
    }
    if config.config:
        arguments["config"] = Path(config.config).absolute()
    words = [f"{name}:={value}" for name, value in arguments.items()]
    return ["roslaunch", f"--port={port}", "placenet_ros", "placenet.launch", *words]


def process_ids(roslaunch: int) -> dict[str, int]:
    """By name, of all that take part but the player."""
    master = rosgraph.Master("/benchmark")
    ids = {"roslaunch": roslaunch, "master": master.getPid(), "listener": os.getpid()}
    for name, node in (("node", NODE), ("rosout", "/rosout")):
        ids[name] = xmlrpc.client.ServerProxy(master.lookupNode(node)).getPid("/benchmark")[2]
    return ids


def processor_seconds(process_id: int) -> float:
    """That a process has used so far, its threads' together."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(process_id: int) -> int:
    return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Sample(NamedTuple):
    """Of one moment: nanoseconds; the node's memory, bytes; processor seconds by process."""

    time: int
    memory: int
    processor: dict[str, float]


def sample(ids: dict[str, int]) -> Sample:
    return Sample(time.time_ns(), resident_bytes(ids["node"]), {name: processor_seconds(i) for name, i in ids.items()})


# ---- What is heard


class Listener:
    """Hears what the node publishes, at the least cost: notes when it came."""

    def __init__(self, config: NodeBenchmark):
        self.embeddings: list[tuple[int, int]] = []  # stamp and arrival, nanoseconds
        self.views: list[int] = []  # arrivals, nanoseconds
        self.diagnostics: dict[str, str] = {}  # the newest
        self.is_loaded = threading.Event()
        rospy.Subscriber(f"{NODE}/model_info", ModelInfo, lambda _: self.is_loaded.set())
        rospy.Subscriber(f"{NODE}/place_embedding", PlaceEmbedding, self._on_embedding, tcp_nodelay=True)
        rospy.Subscriber("/diagnostics", DiagnosticArray, self._on_diagnostics)
        if config.predict_rate:
            rospy.Subscriber(f"{NODE}/predicted/image", Image, lambda _: self.views.append(time.time_ns()))
        if config.uncertainty:
            rospy.Subscriber(f"{NODE}/predicted/uncertainty", Image, lambda _: None)

    def _on_embedding(self, message: PlaceEmbedding) -> None:
        self.embeddings.append((message.header.stamp.to_nsec(), time.time_ns()))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(NODE[1:]):
                self.diagnostics.update((entry.key, entry.value) for entry in status.values)


# ---- Keyframes that are due


def sent_poses(path: str, start: int, images: int) -> Iterator[tuple[int, CameraPose]]:
    """Stamp and camera pose of each image sent, as the node works it out from what the bag has."""
    with rosbag.Bag(path) as bag:
        begin, period = bag_times(bag)
        mount = next(bag.read_messages(STATIC_TF)).message.transforms[0]
        camera, odometry = RigidPose.from_transform(mount.transform), OdometryBuffer(period * 1e-9 + 1.0, sys.maxsize)
        for _, message, _ in bag.read_messages(ODOMETRY):
            stamp, pose = message.header.stamp.to_nsec(), RigidPose.from_message(message.pose.pose)
            odometry.add(OdometrySample(stamp, pose, message.header.frame_id, message.child_frame_id, ()))
        taken = [time.to_nsec() for _, _, time in bag.read_messages(CAMERA_INFO, raw=True)]
        poses = [camera_pose(odometry.at(stamp).pose @ camera, mount.child_frame_id) for stamp in taken]
    for number in range(images):
        rounds, within = divmod(number, len(taken))
        yield start + rounds * period + taken[within] - begin, poses[within]


class Keyframes(NamedTuple):
    """How many images were due to be encoded, how many of them were, and how many were that were not due."""

    due: int
    encoded: int
    not_due: int


def keyframes(poses: Iterator[tuple[int, CameraPose]], gate: KeyframeGate, encoded: set[int]) -> Keyframes:
    """poses: of all images, by stamp. gate: as the node's. encoded: stamps."""
    due = done = not_due = 0
    for stamp, pose in poses:
        opens, was_encoded = gate.opens(pose, stamp), stamp in encoded
        due, done, not_due = due + opens, done + (opens and was_encoded), not_due + (was_encoded and not opens)
        if was_encoded:
            gate.passed(pose, stamp)
    return Keyframes(due, done, not_due)


# ---- Measuring


@dataclass
class Measured:
    """All that was seen."""

    player: dict
    listener: Listener
    parameters: NodeParameters
    samples: list[Sample] = field(default_factory=list)
    log: list[str] = field(default_factory=list)


def measure(config: NodeBenchmark, bag: str, folder: Path) -> Measured:
    """Run everything."""
    port, log = free_port(), folder / "roslaunch.log"
    own = environment(folder, port)
    os.environ.update(own)
    with open(log, "w") as output, running(
        launch_command(config, port), env=own, stdout=output, stderr=subprocess.STDOUT
    ) as roslaunch:
        wait_for_master(roslaunch, log)
        rospy.init_node("benchmark", disable_signals=True)
        listener = Listener(config)
        if not listener.is_loaded.wait(LOADING_SECONDS):
            raise UserError(f"the node did not load within {LOADING_SECONDS:g} s: {last_lines(log)}")
        parameters = NodeParameters.from_dictionary(rospy.get_param(NODE))
        ids = process_ids(roslaunch.pid)
        command = [sys.executable, "-m", "benchmarks.bag_player", bag, str(60 * config.minutes), *config.topics]
        with running(command, env=own, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as player:
            samples = sampled_until_the_end(player, dict(ids, player=player.pid), roslaunch, log)
            said = player.stdout.read()
        if player.returncode:
            raise UserError(f"the bag could not be played to its end (status {player.returncode}): see above")
        time.sleep(2 * SAMPLING_SECONDS)  # for diagnostics of the last second
    lines = [COLOURS_OF_A_TERMINAL.sub("", line) for line in log.read_text(errors="replace").splitlines()]
    return Measured(json.loads(said), listener, parameters, samples, [line for line in lines if LOG_LINE.search(line)])


def wait_for_master(roslaunch: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + ENDING_SECONDS
    while not rosgraph.is_master_online():
        if roslaunch.poll() is not None or time.monotonic() > deadline:
            raise UserError(f"roslaunch did not start: {last_lines(log)}")
        time.sleep(0.1)


def sampled_until_the_end(
    player: subprocess.Popen, ids: dict[str, int], roslaunch: subprocess.Popen, log: Path
) -> list[Sample]:
    """Samples of all the time that the player lives. Raises UserError where the node ends before."""
    samples = []
    while player.poll() is None:
        if roslaunch.poll() is not None:
            raise UserError(f"the node ended too early: {last_lines(log)}")
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # one of them is just ending
            samples.append(sample(ids))
        with contextlib.suppress(subprocess.TimeoutExpired):
            player.wait(SAMPLING_SECONDS)
    return samples


def last_lines(log: Path) -> str:
    lines = COLOURS_OF_A_TERMINAL.sub("", log.read_text(errors="replace")).split("\n")
    return " | ".join([line.strip() for line in lines if line.strip()][-5:])


# ---- Figures


def figures(config: NodeBenchmark, bag: str, measured: Measured) -> dict[str, Any]:
    """Every figure, as plain JSON values."""
    player, listener, parameters = measured.player, measured.listener, measured.parameters
    start, end = player["start"], player["start"] + int(60e9 * config.minutes)
    encoded = {stamp for stamp, _ in listener.embeddings if stamp >= start}
    gate = KeyframeGate(parameters.keyframe_distance, parameters.keyframe_angle, parameters.keyframe_period)
    counted = keyframes(sent_poses(bag, start, player["images"][IMAGE]), gate, encoded)
    played = [sample for sample in measured.samples if start <= sample.time <= end]
    edges = np.linspace(start, end, ROWS + 1)
    delays = [(stamp, (arrival - stamp) * 1e-6) for stamp, arrival in listener.embeddings if stamp >= start]
    return {
        "machine": machine(),
        "config": {name: value for name, value in vars(config).items() if name not in ("bag", "json")},
        "images": player["images"],
        "player_late_ms": player["late_ms"],
        "keyframes": counted._asdict(),
        "delay_ms": percentiles([delay for _, delay in delays]),
        "views_per_second": sum(start <= view < end for view in listener.views) / (60 * config.minutes),
        "rows": [row(low, high, delays, listener.views, played) for low, high in zip(edges, edges[1:])],
        "memory_mib_per_hour": slope(played[len(played) // ROWS :]),
        "processor": {
            name: (played[-1].processor[name] - played[0].processor[name]) / seconds_between(played)
            for name in played[0].processor
        },
        "diagnostics": listener.diagnostics,
        "log": measured.log,
    }


def row(
    low: float, high: float, delays: list[tuple[int, float]], views: list[int], samples: list[Sample]
) -> dict[str, Any]:
    """Of what has its stamp, or came, within these times."""
    here = [delay for stamp, delay in delays if low <= stamp < high]
    some = [sample for sample in samples if low <= sample.time < high]
    return {
        "observations": len(here),
        "delay_ms": percentiles(here),
        "views_per_second": sum(low <= view < high for view in views) / ((high - low) * 1e-9),
        "memory_mib": some[-1].memory / MEBIBYTE,
        "node_processor": (some[-1].processor["node"] - some[0].processor["node"]) / max(seconds_between(some), 1e-9),
    }


def seconds_between(samples: list[Sample]) -> float:
    return (samples[-1].time - samples[0].time) * 1e-9


def slope(samples: list[Sample]) -> float:
    """How the node's memory grows, MiB for each hour, by least squares."""
    hours = (np.array([sample.time for sample in samples]) - samples[0].time) / 3.6e12
    return float(np.polyfit(hours, np.array([sample.memory for sample in samples]) / MEBIBYTE, 1)[0])


def machine() -> str:
    description = Path("/proc/cpuinfo").read_text()
    found = re.search(r"^model name\s*:\s*(.*)$", description, re.MULTILINE)
    return f"{found.group(1) if found else platform.machine()}, {len(os.sched_getaffinity(0))} cores"


def report(found: dict[str, Any], load: float) -> Iterator[str]:
    """The lines printed."""
    config, diagnostics, counted = found["config"], found["diagnostics"], found["keyframes"]
    yield f"{found['machine']}, load average {load:.1f} at the start; {config['weights']}, {config['minutes']:g} min"
    yield ""
    yield "| minutes | observations | delay: median | 90 % | 99 % | longest | views/s | memory | processor |"
    yield "| --- " * 9 + "|"
    step = config["minutes"] / ROWS
    for number, entry in enumerate(found["rows"]):
        name = f"{clock(number * step)} to {clock((number + 1) * step)}"
        yield table_row(name, entry["observations"], entry["delay_ms"], entry["views_per_second"],
                        f"{entry['memory_mib']:.0f} MiB", f"{100 * entry['node_processor']:.0f} %")  # fmt: skip
    total = sum(entry["observations"] for entry in found["rows"])
    grows = f"{found['memory_mib_per_hour']:+.1f} MiB/h"
    yield table_row("all", total, found["delay_ms"], found["views_per_second"], grows,
                    f"{100 * found['processor']['node']:.0f} %")  # fmt: skip
    yield ""
    yield f"keyframes: {counted['due']} due, {counted['encoded']} of them encoded; {counted['not_due']} others encoded"
    sent = ", ".join(f"{count} of {topic}" for topic, count in found["images"].items())
    late = found["player_late_ms"]
    yield f"sent: {sent}; {late['median']:.1f} ms after the stamp, 99 % {late['99']:.1f}, longest {late['longest']:.1f}"
    yield "processor: " + ", ".join(f"{name} {100 * share:.0f} %" for name, share in found["processor"].items())
    yield "the node's diagnostics at the end: " + "; ".join(f"{key}: {value}" for key, value in diagnostics.items())
    yield f"warnings and errors logged: {len(found['log'])}"
    yield from found["log"]


def clock(minutes: float) -> str:
    return f"{int(minutes)}:{round(60 * minutes) % 60:02}"


def table_row(name: str, observations: int, delay: dict[str, float], views: float, memory: str, load: str) -> str:
    times = [f"{delay[key]:.0f} ms" if delay else "" for key in ("median", "90", "99", "longest")]
    return "| " + " | ".join([name, str(observations), *times, f"{views:.1f}", memory, load]) + " |"


def bag_to_play(config: NodeBenchmark, folder: Path) -> str:
    """Raises UserError where there is none that can be played again and again."""
    if config.bag:
        path = str(Path(config.bag).absolute())
        fault = fault_of(path, config.topics)
        if fault:
            raise UserError(f"bag={config.bag}: {fault}; make one: python -m training.make_bag drive.bag "
                            "there_and_back=true camera.width=640 camera.height=480 camera.rate=30")  # fmt: skip
        return path
    made = folder / "drive.bag"
    print(f"making a bag of {config.bag_seconds:g} s ...", file=sys.stderr)
    make_bag(made, SEED, config.bag_seconds, CAMERA, returns=True)
    return str(made)


def fault_of(path: str, topics: Sequence[str]) -> str:
    """Why a bag cannot be played again and again, its topics as they are named here; empty: it can."""
    try:
        with opened_bag(path) as bag:
            found = {name: topic.msg_type for name, topic in bag.get_type_and_topic_info().topics.items()}
            missing = [topic for topic in topics if found.get(topic) != TOPIC_TYPES[topic]]
            if missing:
                has = ", ".join(f"{topic} ({kind})" for topic, kind in sorted(found.items())) or "no messages at all"
                return f"lacks {', '.join(f'{topic} ({TOPIC_TYPES[topic]})' for topic in missing)}; it has {has}"
            return fault_of_frames(bag) or fault_of_loop(bag)
    except (BagError, PoseError, rosbag.ROSBagException) as error:
        return " ".join(str(error).split()).removeprefix(f"{path}: ")


def fault_of_frames(bag: rosbag.Bag) -> str:
    """Whether the first transform that never changes is the camera's on the robot; empty: it is."""
    odometry = next(bag.read_messages(ODOMETRY)).message
    camera = next(bag.read_messages(IMAGE)).message
    mounts = next(bag.read_messages(STATIC_TF)).message.transforms
    found = [(mount.header.frame_id, mount.child_frame_id) for mount in mounts[:1]]
    expected = odometry.child_frame_id, camera.header.frame_id
    return "" if found == [expected] else f"{STATIC_TF} does not begin with the transform from {' to '.join(expected)}"


def fault_of_loop(bag: rosbag.Bag) -> str:
    """Whether the robot ends where it begins, and the images are from the time between; empty: they are."""
    messages = [message for _, message, _ in bag.read_messages(ODOMETRY)]
    first, last = (RigidPose.from_message(messages[end].pose.pose) for end in (0, -1))
    metres = math.dist(first.position, last.position)
    degrees = math.degrees(2 * math.acos(min(abs(float(first.quaternion @ last.quaternion)), 1.0)))
    if metres > LOOP_METRES or degrees > LOOP_DEGREES:
        return (f"cannot be played again at its end: there the robot is {metres:.2f} m and {degrees:.0f} degrees from "
                f"where it began, more than {LOOP_METRES:g} m or {LOOP_DEGREES:g} degrees")  # fmt: skip
    begin, period = bag_times(bag)
    since = max(begin, messages[0].header.stamp.to_nsec())
    until = min(begin + period, messages[-1].header.stamp.to_nsec())
    taken = [time.to_nsec() for _, _, time in bag.read_messages(CAMERA_INFO, raw=True)]
    if not all(since <= time < until for time in taken):
        return f"cannot be played again at its end: it has images from before or after its {ODOMETRY}"
    if bag.get_message_count(IMAGE) != len(taken):
        return f"has {bag.get_message_count(IMAGE)} of {IMAGE} and {len(taken)} of {CAMERA_INFO}, not one for each"
    return ""


def main(argv: list[str]) -> None:
    """Print the figures."""
    config = parse(NodeBenchmark, argv, program="benchmarks.node")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("benchmarks.node: told to end"))  # and end what it started
    with tempfile.TemporaryDirectory(prefix="placenet-benchmark-") as folder:
        bag, load = bag_to_play(config, Path(folder)), os.getloadavg()[0]
        found = figures(config, bag, measure(config, bag, Path(folder)))
    if config.json:
        Path(config.json).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print("\n".join(report(found, load)))


if __name__ == "__main__":
    run_command(main)
