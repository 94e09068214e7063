#!/usr/bin/env python3
"""A robot that sends thousands of messages, many of them faulty, at random: each is counted as what it is, and each
good image between them is served. Prints what was sent and what diagnostics count.

    rostest --text --pkgdir $PWD test/node/soak.test messages:=10000 seed:=1
"""

import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import cv2
import numpy as np
import rospy
import rostest
from geometry_msgs.msg import Quaternion
from nav_msgs.msg import Odometry
from placenet_ros.msg import ModelInfo, PlaceEmbedding
from placenet_ros.srv import PredictView
from robot import (
    CAMERA,
    CAMERA_FRAME,
    Collected,
    Diagnostics,
    Receipts,
    Robot,
    WeightsCase,
    end,
    image_message,
    picture,
    query_pose,
    start_node,
    wait_until,
)
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import Header

from placenet_ros.node.drops import LINES_PER_REASON, REPEAT_SECONDS
from placenet_ros.node.images import camera_info_message

NODE = "/placenet_node"
STEP = 0.3  # metres between two images: each good one becomes an observation
MOST_FAULTS = 3  # between two good images
HUGE = [1e308, float("nan"), float("inf"), -1.0]
NO_NUMBERS = [float("nan"), float("inf"), -float("inf"), 1e300]
OTHER_ENCODINGS = ["bayer_rggb8", "yuv422", "32FC3", "", "rgb", "\N{SNOWMAN}", "x" * 500]


class FaultyRobot(Robot):
    """A robot whose every message the node has read before the next. expected: what the node should count, and keep.

    compressed: whether its images are JPEG. ask: the service ~predict_view.
    """

    def __init__(self, random, compressed, receipts, embeddings, diagnostics, ask):
        super().__init__()
        self._random, self._receipts, self._embeddings = random, receipts, embeddings
        self._diagnostics, self._ask = diagnostics, ask
        self._compressed = compressed
        if compressed:
            self.image = rospy.Publisher("/robot/image/compressed", CompressedImage, queue_size=10)
        self._x, self._direction, self._origin, self._frame_id = 0.0, 1, 0.0, "odom"
        self._covariance = 0.0
        self.sent, self.dropped = Counter(), Counter()  # by kind; by reason
        self.counted_as = defaultdict(set)  # reasons, by kind
        self.images, self.served, self.episode = 0, 0, 1

    def wait_for_node(self):
        for publisher in (self.image, self.depth, self.camera_info, self.odometry, self.query):
            wait_until(publisher.get_num_connections, f"nobody subscribes to {publisher.name}")

    # ---- Good messages ----

    def good(self):
        """An image that must be served: with its stamp, in the episode that is on."""
        stamp = self._arrive()
        self._take(stamp)
        self._is_served(stamp)

    def _is_served(self, stamp):
        found = self._embeddings.wait_for_stamp(stamp)
        assert found.episode_id == self.episode, (found.episode_id, self.episode)
        self.served += 1
        self._x += STEP * self._direction
        if not 0 < self._x < 8 * STEP:
            self._direction = -self._direction

    def _arrive(self):
        """Odometry to where the next image is taken; its stamp."""
        self.seconds += 0.05
        begin = self._odometry()
        self.seconds += 0.1
        middle = self.stamp()
        self.seconds += 0.1
        self._receipts.publish_all((self.odometry, begin), (self.odometry, self._odometry()))
        return middle

    def _odometry(self, **changes):
        message = Odometry(header=Header(stamp=self.stamp(), frame_id=self._frame_id), child_frame_id="base_link")
        message.pose.pose.position.x = self._origin + self._x
        message.pose.pose.orientation.w = 1.0
        message.pose.covariance = [self._covariance] * 36
        return message

    def _take(self, stamp, camera=CAMERA, frame_id=CAMERA_FRAME, info=None, depth=True):
        header = Header(stamp=stamp, frame_id=frame_id)
        told = camera_info_message(header, CAMERA) if info is None else info
        messages = [(self.camera_info, told)]
        if depth:
            messages.append((self.depth, depth_message(stamp)))
        self._receipts.publish_all(*messages)
        self._send(self._image(header, camera))

    def _send(self, image, is_well_formed=True):
        self.images += is_well_formed
        self._receipts.publish(self.image, image)

    def _image(self, header, camera=CAMERA):
        array = picture(int(self._random.integers(1000)), camera.width, camera.height)
        if not self._compressed:
            return image_message(header, array, padding=int(self._random.choice([0, 0, 3, 16])))
        return CompressedImage(header, "rgb8; jpeg compressed bgr8", cv2.imencode(".jpg", array)[1].tobytes())

    # ---- Faults: each sends one faulty message, and returns the reasons that it is counted for ----

    def image_of_another_encoding(self):
        image = self._image(Header(stamp=self._arrive(), frame_id=CAMERA_FRAME))
        if self._compressed:
            image.data = self._random.bytes(int(self._random.integers(0, 5000)))
        else:
            image.encoding = self._choice(OTHER_ENCODINGS)
        self._send(image, is_well_formed=False)
        return ["image: bad encoding"]

    def image_that_is_cut_off(self):
        image = self._image(Header(stamp=self._arrive(), frame_id=CAMERA_FRAME))
        least = 3 if self._compressed else 0  # so much says that it is a JPEG
        image.data = image.data[: int(self._random.integers(least, len(image.data) - 16))]
        self._send(image, is_well_formed=False)
        return ["image: truncated" if self._compressed else "image: bad size"]

    def image_of_impossible_size(self):
        image = self._image(Header(stamp=self._arrive(), frame_id=CAMERA_FRAME))
        if self._compressed:
            header = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + self._random.bytes(8).replace(b"\x00", b"\x01")
            image.data = header + b"\x00\x00\x00\x00IEND\xaeB`\x82"
        else:
            field = self._choice(["step", "width", "height"])
            setattr(image, field, self._choice([0, 1] if field == "step" else [0, 100_000, 2**32 - 1]))
        self._send(image, is_well_formed=False)
        return ["image: bad size"]

    def image_without_a_stamp(self):
        self._send(self._image(Header(frame_id=CAMERA_FRAME)))
        return ["image: no stamp"]

    def image_of_another_resolution(self):
        self._take(self._arrive(), camera=CAMERA.resized(*self._choice([(32, 24), (128, 96), (64, 64), (1, 1)])))
        self._wait_for_worker()
        return ["image: bad size"]

    def image_without_a_frame(self):
        self._take(self._arrive(), frame_id=self._choice(["", "nowhere", "/"]))
        self._wait_for_worker()
        return ["no transform"]

    def image_ahead_of_odometry(self):
        self._take(self._arrive() + rospy.Duration(0.3))
        self.seconds += 0.3
        self._diagnostics.wait_for_count("dropped, no odometry", self.dropped["no odometry"] + 1)
        return ["no odometry"]

    def image_that_is_late(self):
        stamp = self._arrive()
        self.seconds += 3.0
        self._arrive()
        self._take(stamp)
        self._wait_for_worker()
        return ["late"]

    def camera_info_of_no_camera(self):
        info = CameraInfo()
        if self._random.random() < 0.5:
            info = camera_info_message(Header(), CAMERA)
            info.P = [self._choice(NO_NUMBERS)] * 12
        self._take(self._arrive(), info=info)
        self._wait_for_worker()
        return ["image: bad camera_info"]

    def odometry_of_no_pose(self):
        message = self._odometry()
        if self._random.random() < 0.3:
            message.pose.pose.orientation = Quaternion()
        else:
            message.pose.pose.position.y = self._choice(NO_NUMBERS)
        self._receipts.publish(self.odometry, message)
        return ["odom: bad pose"]

    def odometry_without_a_stamp(self):
        message = self._odometry()
        message.header.stamp = rospy.Time(0)
        self._receipts.publish(self.odometry, message)
        return ["odom: no stamp"]

    def odometry_of_huge_covariance(self):
        self._covariance = self._choice(HUGE)
        self.good()
        self._covariance = 0.0
        return []

    def depth_of_another_encoding(self):
        stamp = self._arrive()
        depth = depth_message(stamp)
        depth.encoding = self._choice(["rgb8", "16SC1", ""])
        self._receipts.publish(self.depth, depth)
        self._take(stamp, depth=False)
        self._is_served(stamp)
        return ["depth: bad encoding", "no depth"]

    def depth_that_is_cut_off(self):
        stamp = self._arrive()
        depth = depth_message(stamp)
        depth.data = depth.data[: int(self._random.integers(0, len(depth.data) - 1))]
        self._receipts.publish(self.depth, depth)
        self._take(stamp, depth=False)
        self._is_served(stamp)
        return ["depth: bad size", "no depth"]

    def depth_of_another_resolution(self):
        stamp = self._arrive()
        self._receipts.publish(self.depth, depth_message(stamp, CAMERA.resized(32, 24)))
        self._take(stamp, depth=False)
        self._is_served(stamp)
        return ["depth: bad size"]

    def depth_that_is_missing(self):
        stamp = self._arrive()
        self._take(stamp, depth=False)
        self._is_served(stamp)
        return ["no depth"]

    def query_that_is_no_pose(self):
        query = query_pose(self._choice(NO_NUMBERS), frame_id=self._frame_id)
        if self._random.random() < 0.5:
            query = query_pose(0.0, frame_id=self._choice(["", "nowhere"]))
        self._receipts.publish(self.query, query)
        self._wait_for_worker()
        return ["queries refused"]

    def time_that_jumps_back(self):
        self.seconds -= self._random.uniform(5.0, 90.0)
        self.episode += 1
        self.good()
        return []

    def time_that_skips_ahead(self):
        self.seconds += self._random.uniform(5.0, 90.0)
        self.good()
        return []

    def odometry_that_restarts(self):
        self._origin += self._choice([-5.0, 5.0])
        self.episode += 1
        self.good()
        return []

    def odometry_in_another_frame(self):
        self._frame_id = "map" if self._frame_id == "odom" else "odom"
        self.episode += 1
        self.good()
        return []

    def inject(self):
        """One of them."""
        kind = self._choice(FAULTS)
        reasons = getattr(self, kind)()
        self.sent[kind] += 1
        self.dropped.update(reasons)
        self.counted_as[kind].update(reasons)

    def _choice(self, values):
        return values[int(self._random.integers(len(values)))]

    def _wait_for_worker(self):
        """Until it has taken the image that came last: of two requests, one comes after it."""
        nowhere = query_pose(float("nan"))
        for _ in range(2):
            self._ask(nowhere)


FAULTY = ("image_", "camera_info_", "odometry_", "depth_", "query_", "time_")
FAULTS = [name for name in vars(FaultyRobot) if name.startswith(FAULTY)]


class Newest:
    """The newest message of ~place_embedding."""

    def __init__(self):
        self._message = None
        self._subscriber = rospy.Subscriber(f"{NODE}/place_embedding", PlaceEmbedding, self._on_message)

    def _on_message(self, message):
        self._message = message

    def wait_for_stamp(self, stamp):
        wait_until(lambda: self._message and self._message.header.stamp == stamp, f"no embedding of {stamp}")
        return self._message


class Soak(WeightsCase):
    def test_raw_images(self):
        self.soak(compressed=False)

    def test_compressed_images(self):
        self.soak(compressed=True)

    def soak(self, compressed):
        messages, seed = rospy.get_param("~messages", 500), rospy.get_param("~seed", 1)
        log = tempfile.NamedTemporaryFile(mode="w+")  # noqa: SIM115
        self.addCleanup(log.close)
        process = start_node(
            output=log,
            weights=self.weights,
            predict_rate=0.0,
            image_transport="compressed" if compressed else "raw",
            depth_transport="raw",
            max_observations=4,
        )
        self.addCleanup(end, process)
        diagnostics, embeddings = Diagnostics("placenet_node"), Newest()
        Collected(f"{NODE}/model_info", ModelInfo).wait_for()
        ask = rospy.ServiceProxy(f"{NODE}/predict_view", PredictView, persistent=True)
        random = np.random.default_rng(seed)
        robot = FaultyRobot(random, compressed, Receipts(NODE), embeddings, diagnostics, ask)
        robot.wait_for_node()

        begun = time.monotonic()
        robot.good()
        while sum(robot.sent.values()) + robot.served < messages:
            for _ in range(int(random.integers(1, MOST_FAULTS + 1))):
                robot.inject()
            robot.good()
        minutes = (time.monotonic() - begun) / 60

        diagnostics.wait_for_count("keyframes", robot.served)
        found = diagnostics.next()
        lines = Path(log.name).read_text().splitlines()
        counted = Counter({key[len("dropped, ") :]: int(n) for key, n in found.items() if key.startswith("dropped, ")})
        print(table(robot, counted, found, minutes, lines), flush=True)
        self.assertIsNone(process.poll())
        self.assertEqual(counted, robot.dropped)
        self.assertEqual(int(found["episode"]), robot.episode)
        self.assertEqual(int(found["images received"]), robot.images)
        self.assertEqual(int(found["images replaced by newer ones"]), 0)
        reasons = len(robot.dropped) + 3  # time that jumps, odometry that restarts, stamps of long ago
        self.assertLessEqual(len(lines), LINES_PER_REASON * reasons * (60 * minutes / REPEAT_SECONDS + 1))


def depth_message(stamp, camera=CAMERA):
    metres = np.full((camera.height, camera.width, 1), 2000, "<u2")
    return image_message(Header(stamp=stamp, frame_id=CAMERA_FRAME), metres, "16UC1")


def table(robot, counted, found, minutes, lines):
    rows = ["| fault | sent | counted as |", "| --- | --- | --- |"]
    for kind in FAULTS:
        reasons = ", ".join(sorted(robot.counted_as[kind])) or "nothing: served"
        rows.append(f"| {kind.replace('_', ' ')} | {robot.sent[kind]} | {reasons} |")
    rows += ["", "| reason | sent | counted |", "| --- | --- | --- |"]
    for reason in sorted(robot.dropped | counted):
        rows.append(f"| {reason} | {robot.dropped[reason]} | {counted[reason]} |")
    rows.append(f"| episodes | {robot.episode} | {found['episode']} |")
    rows.append(f"| good images | {robot.served} | {found['keyframes']} |")
    return "\n".join(rows + [f"\n{minutes:.1f} minutes, {len(lines)} lines in the node's log"])


if __name__ == "__main__":
    rospy.init_node("soak")
    rostest.rosrun("placenet_ros", "soak", Soak)
