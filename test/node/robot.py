"""What the rostests share: a robot on topics, a node in a process of its own with tiny weights, and messages collected.

Time is the robot's own, in stamps alone: nothing here waits for a rate.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from collections import Counter
from pathlib import Path
from xmlrpc.client import ServerProxy

import numpy as np
import rosgraph
import rospy
import tf2_ros
import torch
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TransformStamped
from nav_msgs.msg import Odometry
from placenet_ros.msg import ModelInfo, PlaceEmbedding
from placenet_ros.srv import PredictView
from rosgraph_msgs.msg import Log
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from placenet_ros.model import PlaceNet, PlaceNetConfig
from placenet_ros.node.images import camera_info_message
from placenet_ros.scene.camera import PinholeCamera

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 30.0  # seconds until a test gives up; generous, since machines may be busy
CAMERA = PinholeCamera(64, 48, 40.0, 40.0, 31.5, 23.5)  # 77 x 62 degrees
TOPICS = ("image", "depth", "objects", "camera_info", "odom", "query_pose")
CAMERA_HEIGHT = 0.8
CAMERA_FRAME = "camera_color_optical_frame"
IMAGE_SIZE = 32  # of the tiny weights


def save_tiny_weights(folder, **settings):
    """Random weights of the smallest network; its predictions differ with the pose, and hardly by chance.

    settings: further ones of its PlaceNetConfig.
    """
    torch.manual_seed(0)
    sizes = {"representation_channels": 16, "hidden_channels": 8, "canvas_channels": 8, "layers": 2}
    model = PlaceNet(PlaceNetConfig(image_size=IMAGE_SIZE, shared_core=True, **sizes, **settings))
    with torch.no_grad():
        model.prior_head.bias[model.config.latent_channels :] = -10.0  # a small standard deviation
        model.image_head.mean.weight *= 30.0  # more contrast
    figures = {"3": {"this network": {"rmse": {"mean": 60.0}}}}
    model.save_pretrained(folder, {"name": "tiny", "evaluation": {"queries": 8, "figures": figures}})
    return folder


def picture(seed, width=CAMERA.width, height=CAMERA.height):
    """Colours (height, width, 3) that differ from those of other seeds."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def wait_until(condition, complaint, seconds=PATIENCE):
    """AssertionError with the complaint where the condition does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.002)


class Collected:
    """The messages of one topic."""

    def __init__(self, topic, kind):
        self.messages = []
        self._arrived = threading.Condition()
        self._subscriber = rospy.Subscriber(topic, kind, self._on_message, queue_size=100)

    def wait_until_connected(self):
        """So that nothing published from now on is missed."""
        wait_until(self._subscriber.get_num_connections, f"nobody publishes {self._subscriber.name}")
        return self

    def _on_message(self, message):
        with self._arrived:
            self.messages.append(message)
            self._arrived.notify_all()

    def wait_for(self, wanted=lambda message: True, after=0, seconds=PATIENCE):
        """The first message for which `wanted` holds, `after` so many; AssertionError where none comes."""
        with self._arrived:
            found = self._arrived.wait_for(lambda: [m for m in self.messages[after:] if wanted(m)], seconds)
            assert found, f"nothing like that arrived on {self._subscriber.name}; {len(self.messages)} others did"
            return found[0]

    def close(self):
        self._subscriber.unregister()


class Robot:
    """Publishes odometry, TF and pictures on /robot/...; `seconds` is its clock."""

    def __init__(self, seconds=1000.0):
        self.seconds = seconds
        self.image = rospy.Publisher("/robot/image", Image, queue_size=10)
        self.depth = rospy.Publisher("/robot/depth", Image, queue_size=10)
        self.camera_info = rospy.Publisher("/robot/camera_info", CameraInfo, queue_size=10)
        self.odometry = rospy.Publisher("/robot/odom", Odometry, queue_size=100)
        self.query = rospy.Publisher("/robot/query_pose", PoseStamped, queue_size=10)
        self._static = tf2_ros.StaticTransformBroadcaster()
        self._static.sendTransform([camera_on_robot(), door_in_house()])

    def wait_for_node(self):
        """Until the node is connected to everything."""
        for publisher in (self.image, self.depth, self.camera_info, self.odometry, self.query):
            wait_until(publisher.get_num_connections, f"nobody subscribes to {publisher.name}")

    def stamp(self):
        return rospy.Time.from_sec(self.seconds)

    def drive(self, x, seconds=0.2):
        """Be at x metres for a while, a moment later; returns the stamp in the middle."""
        self.seconds += 0.05
        self.publish_odometry(x)
        self.seconds += seconds / 2
        middle = self.stamp()
        self.seconds += seconds / 2
        self.publish_odometry(x)
        return middle

    def publish_odometry(self, x, orientation=(0.0, 0.0, 0.0, 1.0)):
        message = Odometry(header=Header(stamp=self.stamp(), frame_id="odom"), child_frame_id="base_link")
        message.pose.pose.position.x = x
        turn = message.pose.pose.orientation
        turn.x, turn.y, turn.z, turn.w = orientation
        self.odometry.publish(message)

    def see(self, x, seed=0, **layout):
        """Drive to x and take a picture there; returns its stamp. layout: see `image_message`."""
        stamp = self.drive(x)
        self.take_picture(stamp, seed, **layout)
        return stamp

    def take_picture(self, stamp, seed=0, colours=None, **layout):
        """Publish an image with its depth and camera_info, wherever the robot is. colours: instead of the seed's."""
        header = Header(stamp=stamp, frame_id=CAMERA_FRAME)
        self.camera_info.publish(camera_info_message(header, CAMERA))
        metres = np.full((CAMERA.height, CAMERA.width, 1), 2000, "<u2")
        self.depth.publish(image_message(header, metres, encoding="16UC1"))
        self.image.publish(image_message(header, picture(seed) if colours is None else colours, **layout))


def image_message(header, array, encoding="rgb8", padding=0):
    """An image of an array (height, width, channels), with `padding` bytes of rubbish behind each row."""
    height, width = array.shape[:2]
    rows = np.frombuffer(array.tobytes(), np.uint8).reshape(height, -1)
    rows = np.hstack([rows, np.full((height, padding), 77, np.uint8)])
    return Image(header, height, width, encoding, 0, rows.shape[1], rows.tobytes())


def query_pose(x, y=0.0, yaw=0.0, label=0.0, frame_id="odom"):
    """Of a camera with body axes; label: seconds of its stamp."""
    pose = PoseStamped(header=Header(stamp=rospy.Time.from_sec(label), frame_id=frame_id))
    pose.pose.position.x, pose.pose.position.y, pose.pose.position.z = x, y, CAMERA_HEIGHT
    pose.pose.orientation.z, pose.pose.orientation.w = np.sin(yaw / 2), np.cos(yaw / 2)
    return pose


def camera_on_robot():
    """Camera above the robot's base, looking ahead."""
    transform = TransformStamped(header=Header(frame_id="base_link"), child_frame_id=CAMERA_FRAME)
    transform.transform.translation.z = CAMERA_HEIGHT
    turn = transform.transform.rotation
    turn.x, turn.y, turn.z, turn.w = -0.5, 0.5, -0.5, 0.5
    return transform


def door_in_house():
    """A frame that stands in the house: 2 m along x, looking to the left."""
    transform = TransformStamped(header=Header(frame_id="odom"), child_frame_id="door")
    transform.transform.translation.x = 2.0
    transform.transform.rotation.z = transform.transform.rotation.w = np.sqrt(0.5)
    return transform


class Receipts:
    """How many messages a node has read, as ROS counts them in the node: its callbacks got the earlier ones.

    Only the newest of several that come at once is read from a topic with a queue of one: who waits for each message
    to be read loses none.
    """

    def __init__(self, node):
        self._proxy = ServerProxy(rosgraph.Master(rospy.get_name()).lookupNode(node))

    def publish(self, publisher, message):
        """Publish, and wait until the node has read it."""
        self.publish_all((publisher, message))

    def publish_all(self, *messages):
        """The same of several pairs of publisher and message at once."""
        wanted = self._read()
        for publisher, message in messages:
            wanted[publisher.resolved_name] += 1
            publisher.publish(message)
        wait_until(lambda: not wanted - self._read(), f"not read: {[publisher.name for publisher, _ in messages]}")

    def _read(self):
        """Messages by topic."""
        _, _, (_, subscribers, _) = self._proxy.getBusStats(rospy.get_name())
        return Counter({topic: sum(read for _, _, read, *_ in connections) for topic, connections in subscribers})


class Diagnostics:
    """What the node says of itself: the values of its status by their keys."""

    def __init__(self, node):
        self._node = node
        self._collected = Collected("/diagnostics", DiagnosticArray)

    def next(self):
        """Of the next status to come."""
        arrived = len(self._collected.messages)
        return self._values(self._collected.wait_for(self._values, after=arrived))

    def wait_for_count(self, key, count):
        """Until the value of the key is that number."""
        self._collected.wait_for(lambda message: int(self._values(message).get(key, 0)) == count)

    def _values(self, message):
        for status in message.status:
            if status.name == f"{self._node}: scene":
                return {"summary": status.message, **{entry.key: entry.value for entry in status.values}}
        return {}


@contextlib.contextmanager
def running_node(weights, name="placenet_node", **parameters):
    """A placenet_node in a process of its own, on the robot's topics; what it printed is shown where a test fails."""
    process = start_node(name, weights=weights, **parameters)
    try:
        yield process
    except BaseException:
        print(end(process))
        raise
    end(process)


def start_node(name="placenet_node", namespace="/robot", output=subprocess.PIPE, without=(), others=(), **parameters):
    """Start it, on the topics of a namespace but some, and return at once. output: where what it prints goes.

    others: pairs of an input and the topic that it has instead.
    """
    named = {**{topic: f"{namespace}/{topic}" for topic in TOPICS if topic not in without}, **dict(others)}
    topics = [f"{input_name}:={topic}" for input_name, topic in named.items()]
    settings = [f"_{key}:={value}" for key, value in parameters.items()]
    command = [sys.executable, str(REPOSITORY / "nodes" / "placenet_node"), f"__name:={name}", *topics, *settings]
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, text=True, env=environment)


def end(process):
    """Ask a process to end, and kill it where it does not; returns what it printed."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=PATIENCE)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0]


def temporary_folder():
    return tempfile.TemporaryDirectory(prefix="placenet-test-")


class WeightsCase(unittest.TestCase):
    """Tests with a folder, and tiny weights in it."""

    weights_settings = {}

    @classmethod
    def setUpClass(cls):
        folder = temporary_folder()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        cls.weights = save_tiny_weights(cls.folder / "tiny", **cls.weights_settings)


class NodeCase(WeightsCase):
    """A node that serves all tests of a class."""

    name, robot_kind, node_settings = "placenet_node", Robot, {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.log = Collected("/rosout", Log)
        cls.addClassCleanup(cls.log.close)
        cls.robot = cls.robot_kind()
        node = running_node(cls.weights, cls.name, prediction_samples=2, **cls.node_settings)
        node.__enter__()
        cls.addClassCleanup(node.__exit__, None, None, None)
        cls.model = Collected(f"/{cls.name}/model_info", ModelInfo).wait_for()
        cls.diagnostics = Diagnostics(cls.name)
        cls.embeddings = Collected(f"/{cls.name}/place_embedding", PlaceEmbedding)
        cls.predict_view = rospy.ServiceProxy(f"/{cls.name}/predict_view", PredictView)

    def embedding_at(self, stamp):
        return self.embeddings.wait_for(lambda message: message.header.stamp == stamp)

    def listen(self, topic, kind):
        collected = Collected(f"/{self.name}/{topic}", kind).wait_until_connected()
        self.addCleanup(collected.close)
        return collected

    def warnings(self):
        return [m.msg for m in self.log.messages if m.name == f"/{self.name}" and m.level >= Log.WARN]


class FreshSceneCase(NodeCase):
    """A node whose scene is empty at the start of each test."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.reset = rospy.ServiceProxy(f"/{cls.name}/reset", Trigger)
        cls.robot.wait_for_node()

    def setUp(self):
        self.robot.drive(0.0, seconds=10.0)  # away from what the test before did
        self.assertTrue(self.reset().success)

    def see_and_wait(self, x, seed=0, **layout):
        return self.embedding_at(self.robot.see(x, seed, **layout))
