#!/usr/bin/env python3
"""One node through all that goes wrong with time and with its inputs: it lives, serves the next good image with its
stamp, counts what it cannot use, and says so in a line or two.
"""

import itertools
import re
import tempfile
import time
from collections import Counter

import numpy as np
import rospy
import rostest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from placenet_ros.msg import ModelInfo, PlaceEmbedding
from placenet_ros.srv import PredictView
from robot import (
    CAMERA,
    CAMERA_FRAME,
    PATIENCE,
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
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage

from placenet_ros.node.images import camera_info_message
from placenet_ros.scene.camera import PinholeCamera

NODE = "/placenet_node"
SILENCE_SECONDS = 1.0
BEHIND = "behind this computer's time"  # stamps of tests are of long ago
SILENCE = re.compile("nothing arrives on|nothing on .* its publisher went|nobody publishes")
VGA, ULTRA_HD = CAMERA.resized(640, 480), CAMERA.resized(3840, 2160)
NARROW = [PinholeCamera(64, 48, focal, focal, 31.5, 23.5) for focal in (60.0, 80.0)]
NARROW = [PinholeCamera(64, 48, focal, focal, 31.5, 23.5) for focal in (60.0, 80.0)]
ACCEPTED_DELAY = 5.0  # seconds: only what piles up takes longer, however busy the machine is


class Faults(WeightsCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.robot = Robot()
        cls.robot.depth.unregister()  # images would wait for it
        cls.image = rospy.Publisher("/robot/image", Image, queue_size=100)
        cls.log = Log()
        cls.addClassCleanup(cls.log.close)
        settings = {"silence_warning": SILENCE_SECONDS, "predict_rate": 0.0, "max_observations": 3}
        cls.process = start_node(output=cls.log.file, weights=cls.weights, **settings)
        cls.addClassCleanup(end, cls.process)
        Collected(f"{NODE}/model_info", ModelInfo).wait_for()
        cls.embeddings = Collected(f"{NODE}/place_embedding", PlaceEmbedding)
        cls.diagnostics = Diagnostics("placenet_node")
        cls.predict_view = rospy.ServiceProxy(f"{NODE}/predict_view", PredictView)
        cls.reset = rospy.ServiceProxy(f"{NODE}/reset", Trigger)
        for publisher in (cls.image, cls.robot.camera_info, cls.robot.odometry, cls.robot.query):
            wait_until(publisher.get_num_connections, f"nobody subscribes to {publisher.name}")
        cls.receipts = Receipts(NODE)

    def setUp(self):
        self.robot.drive(0.0, seconds=10.0)  # away from what the test before did
        self.assertTrue(self.reset().success)
        self.served(0.0)
        self.assertTrue(self.reset().success)
        self.log.mark()

    def tearDown(self):
        self.assertIsNone(self.process.poll(), "the node ended")

    counted: Counter = Counter()  # by all tests before

    # ---- What is published, and what must come of it ----

    def take_picture(self, stamp, camera=CAMERA, encoding="rgb8", frame_id=CAMERA_FRAME):
        pixels = {"mono8": 1, "bgra8": 4}.get(encoding, 3)
        array = np.zeros((camera.height, camera.width, pixels), np.uint8)
        self.image.publish(image_message(Header(stamp=stamp, frame_id=frame_id), array, encoding))

    def tell_camera(self, camera=CAMERA):
        self.receipts.publish(self.robot.camera_info, camera_info_message(Header(), camera))

    def see(self, x, **picture):
        stamp = self.robot.drive(x)
        self.take_picture(stamp, **picture)
        return stamp

    def served(self, x, camera=CAMERA, **picture):
        """The embedding of a good image at x."""
        self.tell_camera(camera)
        return self.embedding_at(self.see(x, camera=camera, **picture))

    def embedding_at(self, stamp):
        return self.embeddings.wait_for(lambda message: message.header.stamp == stamp)

    def assert_dropped(self, **expected):
        """That so much, and no more, was counted since this was last asked; _ stands for what a name cannot have."""
        deadline = time.monotonic() + PATIENCE
        before, found = self.counted, None
        while found != before + Counter(expected):
            found = type(self).counted = dropped(self.diagnostics.next())
            self.assertLess(time.monotonic(), deadline, f"counted {found - before}, expected {expected}")

    def assert_told(self, *lines, times=1):
        """That the node said each of these lines, in this test or, less than a minute ago, before it; none more than so
        many times in this test, and in it nothing else."""
        for line in lines:
            wait_until(lambda line=line: self.log.says(line), f"expected {line!r}: {self.log.lines()}")
        found = self.log.lines()
        for line in lines:
            self.assertLessEqual(sum(line in said for said in found), times, found)
        others = [said for said in found if not any(line in said for line in lines)]
        self.assertEqual(others, [])

    # ---- Time ----

    def test_time_that_skips_ahead_keeps_the_scene_and_stalls_nothing(self):
        first = self.served(0.0)
        self.robot.seconds += 100.0  # as a bag that is started again further on
        after = self.served(0.3)
        self.assertEqual((after.episode_id, after.num_observations), (first.episode_id, 2))
        self.assert_dropped()
        self.assert_told()

    def test_image_from_the_middle_of_a_skip_is_late(self):
        self.served(0.0)
        skipped = self.robot.stamp() + rospy.Duration(50.0)
        self.robot.seconds += 100.0
        self.receipts.publish(self.robot.odometry, odometry(self.robot.stamp(), 0.0))
        self.take_picture(skipped)
        self.assert_dropped(late=1)
        self.served(0.3)
        self.assert_told("too late to be placed")

    def test_each_time_that_jumps_back_is_told_once(self):
        first = self.served(0.0)
        for jump in range(1, 4):
            self.robot.seconds -= 5.0
            self.assertEqual(self.served(0.1).episode_id, first.episode_id + jump)
        self.assert_dropped()
        self.assert_told(*(f"begins again: episode {first.episode_id + jump} begins" for jump in range(1, 4)))

    def test_transforms_from_before_a_jump_do_not_flood_the_log(self):
        transforms = rospy.Publisher("/tf", TFMessage, queue_size=100)
        wait_until(transforms.get_num_connections, "nobody subscribes to /tf")
        self.served(0.0)
        for jump in range(2):
            self.robot.seconds -= 60.0 * jump  # by more than TF keeps
            for _ in range(50):
                self.robot.seconds += 0.02
                transforms.publish(TFMessage([base_in_odometry(self.robot.stamp())]))
                self.robot.publish_odometry(0.1 * jump)
            time.sleep(0.2)
        self.served(0.1)
        self.assert_told("time jumped back")

    def test_messages_without_a_stamp_are_counted_and_begin_no_episode(self):
        first = self.served(0.0)
        for _ in range(3):
            self.receipts.publish(self.robot.odometry, odometry(rospy.Time(0), 0.0))
            self.receipts.publish(self.image, image_message(Header(frame_id=CAMERA_FRAME), picture(0)))
        self.assertEqual(self.served(0.3).episode_id, first.episode_id)
        self.assert_dropped(image_no_stamp=3, odom_no_stamp=3)
        self.assert_told("an image came without a stamp", "odometry came without a stamp")

    # ---- Odometry ----

    def test_odometry_that_returns_to_its_origin_begins_one_episode(self):
        for x in (0.0, 0.6, 1.2, 1.8):
            before = self.served(x)
        self.assertEqual(before.num_observations, 3)
        after = self.served(0.0)
        self.assertEqual((after.episode_id, after.num_observations), (before.episode_id + 1, 1))
        self.assertEqual(self.served(0.3).episode_id, after.episode_id)
        self.assert_dropped()
        self.assert_told("odometry restarted")

    def test_odometry_in_another_frame_begins_one_episode(self):
        before = self.served(0.0)
        for seconds in (0.05, 0.2):
            self.robot.seconds += seconds
            self.receipts.publish(self.robot.odometry, odometry(self.robot.stamp(), 0.0, frame_id="map"))
        stamp = self.robot.stamp() - rospy.Duration(0.1)
        self.take_picture(stamp)
        after = self.embedding_at(stamp)
        self.assertEqual((after.episode_id, after.header.frame_id), (before.episode_id + 1, "map"))
        self.assertEqual(self.served(0.1).episode_id, after.episode_id + 1)
        self.assert_told("odometry restarted", times=2)

    def test_odometry_of_no_numbers_is_counted_and_told_once_for_each_kind(self):
        for x in (float("nan"), float("inf"), 1e300):
            self.receipts.publish(self.robot.odometry, odometry(self.robot.stamp(), x))
        for orientation in ((0.0, 0.0, 0.0, 0.0), (0.0, float("nan"), 0.0, 1.0)):
            self.receipts.publish(self.robot.odometry, odometry(self.robot.stamp(), 0.0, orientation))
        self.served(0.0)
        self.assert_dropped(odom_bad_pose=5)
        self.assert_told("not finite", "from the origin", "norm 0")

    def test_covariance_of_any_numbers_is_passed_on(self):
        for value in (1e308, float("inf"), -1.0):
            for seconds in (0.05, 0.2):
                self.robot.seconds += seconds
                message = odometry(self.robot.stamp(), 0.0)
                message.pose.covariance = [value] * 36
                self.receipts.publish(self.robot.odometry, message)
            self.reset()
            stamp = self.robot.stamp() - rospy.Duration(0.1)
            self.take_picture(stamp)
            self.assertEqual(set(self.embedding_at(stamp).pose.covariance), {value})
        self.assert_dropped()

    # ---- Topics that come and go ----

    def test_image_topic_that_stops_is_told_once_and_may_return(self):
        self.served(0.0)
        self.log.mark()
        self.stand(3 * SILENCE_SECONDS)
        self.assertIn("silent: image", self.diagnostics.next()["summary"])
        self.assert_told_of_silence(
            r"image: nothing arrives on /robot/image for 1 s though it has a publisher, and [1-9]\d* messages? before"
        )
        self.served(0.3)
        self.assertNotIn("image", self.diagnostics.next()["summary"])
        self.assert_dropped()

    def stand(self, seconds):
        """Publish odometry alone."""
        for _ in range(round(10 * seconds)):
            self.robot.drive(0.0)
            time.sleep(0.1)

    def assert_told_of_silence(self, line):
        found = [said for said in self.log.lines_of_silence() if not re.search("(odom|depth|objects): ", said)]
        self.assertEqual(len(found), 1, found)
        self.assertRegex(found[0], line)

    def test_publisher_that_goes_is_told_once_and_may_return(self):
        self.served(0.0)
        for publisher in (self.robot.image, self.image):
            publisher.unregister()
        self.log.mark()
        self.stand(3 * SILENCE_SECONDS)
        self.assert_told_of_silence(
            r"image: nothing on /robot/image for 1 s: [1-9]\d* messages? came, then its publisher went"
        )
        type(self).image = rospy.Publisher("/robot/image", Image, queue_size=100)
        wait_until(self.image.get_num_connections, "the node does not come back to its topic")
        self.served(0.3)
        self.assert_dropped()

    # ---- Cameras ----

    def test_resolution_and_encoding_may_change_with_the_camera_info(self):
        for step, (camera, encoding) in enumerate(((VGA, "bgr8"), (CAMERA, "mono8"), (VGA, "bgra8"), (CAMERA, "rgb8"))):
            self.served(0.3 * step, camera, encoding=encoding)
        self.assert_dropped()
        self.assert_told()

    def test_image_that_the_camera_info_does_not_describe_is_counted(self):
        self.served(0.0)
        self.see(0.3, camera=VGA)  # before its camera_info
        self.assert_dropped(image_bad_size=1)
        self.served(0.3, VGA)
        self.tell_camera(CAMERA)
        self.see(0.6, camera=VGA)  # after that of the next images
        self.assert_dropped(image_bad_size=1)
        self.served(0.6)
        self.assert_told("640 x 480 pixels, but camera_info describes 64 x 48")

    def test_camera_info_of_no_camera_is_counted_and_a_good_one_makes_up_for_it(self):
        nothing, not_finite = CameraInfo(), camera_info_message(Header(), CAMERA)
        not_finite.P = [float("nan")] * 12
        for step, info in enumerate((nothing, not_finite)):
            self.receipts.publish(self.robot.camera_info, info)
            self.see(0.3 * step)
            self.assert_dropped(image_bad_camera_info=1)
        self.served(0.6)
        self.assert_told("found 0 x 0 pixels", "found focal lengths nan")

    def test_cameras_that_take_turns_are_warned_of_once(self):
        for step in range(20):
            self.served(0.3 * step, NARROW[step % 2])
        self.assert_dropped()
        self.assertLessEqual(len(self.log.lines()), 2)

    def test_wrong_layouts_at_a_cameras_rate_are_all_counted_and_told_in_a_few_lines(self):
        stamp, sizes = self.robot.drive(0.0), itertools.count(1)
        for encoding in ("bayer_rggb8", "yuv422", "", "r\x00gb8"):
            for _ in range(5):
                self.receipts.publish(self.image, self.layout(stamp, encoding=encoding))
        for _ in range(20):
            self.receipts.publish(self.image, self.layout(stamp, step=next(sizes)))
            self.receipts.publish(self.image, self.layout(stamp, width=10_000 + next(sizes)))
            self.receipts.publish(self.image, self.layout(stamp, height=10_000 + next(sizes)))
        for size in ({"width": 0}, {"height": 0}):
            self.receipts.publish(self.image, self.layout(stamp, **size))
        self.served(0.0)
        self.assert_dropped(image_bad_encoding=20, image_bad_size=62)
        self.assertLessEqual(len(self.log.lines()), 8, self.log.lines())

    def layout(self, stamp, **fields):
        message = image_message(Header(stamp=stamp, frame_id=CAMERA_FRAME), picture(0))
        for name, value in fields.items():
            setattr(message, name, value)
        return message

    def test_image_without_a_frame_is_counted(self):
        self.see(0.0, frame_id="")
        self.assert_dropped(no_transform=1)
        self.see(0.3, frame_id="nowhere")
        self.assert_dropped(no_transform=1)
        self.served(0.6)
        self.assert_told("image's frame_id is empty", "from 'nowhere' to 'base_link'")

    def test_odometry_without_frames_is_served_where_the_camera_is_known(self):
        for seconds in (0.05, 0.2):
            self.robot.seconds += seconds
            self.receipts.publish(self.robot.odometry, odometry(self.robot.stamp(), 0.0, child_frame_id=""))
        self.take_picture(self.robot.stamp() - rospy.Duration(0.1))
        self.assert_dropped(no_transform=1)
        self.served(0.3)
        self.assert_told("child_frame_id is empty")

    # ---- Much at once ----

    def test_burst_of_images_leaves_the_newest_served(self):
        self.served(0.0)
        stamps = []
        for step in range(50):  # within the two seconds of odometry that are kept
            self.robot.seconds += 0.02
            self.robot.publish_odometry(0.3 * step)
            stamps.append(self.robot.stamp())
        for stamp in stamps:
            self.take_picture(stamp)
        self.embedding_at(stamps[-1])
        self.assert_dropped()
        self.assert_told()

    def test_camera_of_100_hz_is_followed_without_falling_behind(self):
        self.tell_camera(VGA)
        for step in range(300):
            self.see(0.02 * step, camera=VGA)
            time.sleep(0.01)
        begun = time.monotonic()
        self.served(6.3, VGA)
        self.assertLess(time.monotonic() - begun, ACCEPTED_DELAY)
        self.assert_dropped()

    def test_images_of_4k_are_served(self):
        delays = []
        self.tell_camera(ULTRA_HD)
        for step in range(5):
            stamp = self.robot.drive(0.3 * step)
            begun = time.monotonic()
            self.take_picture(stamp, camera=ULTRA_HD)
            self.embedding_at(stamp)
            delays.append(time.monotonic() - begun)
        print(f"4K: {[round(1000 * delay) for delay in delays]} ms from publishing to the embedding")
        self.assertLess(min(delays), ACCEPTED_DELAY)
        self.assert_dropped()

    # ---- Queries and diagnostics ----

    def test_query_by_topic_that_cannot_be_answered_is_counted(self):
        self.served(0.0)
        for _ in range(5):
            for query in (query_pose(float("nan")), query_pose(0.0, frame_id="nowhere"), query_pose(0.0, frame_id="")):
                self.receipts.publish(self.robot.query, query)
                self.predict_view(query_pose(0.0))  # served after it
        self.assert_dropped(queries_refused=15)
        self.assert_told("not finite", "'nowhere' to 'odom'", "query's frame_id is empty")

    def test_node_has_at_most_three_statuses(self):
        found = Collected("/diagnostics", DiagnosticArray).wait_for()
        self.assertLessEqual(len([status for status in found.status if "placenet_node" in status.name]), 3)


def dropped(values):
    """What diagnostics count as dropped, by reason."""
    counts = {re.sub(r"\W+", "_", key): value for key, value in values.items()}
    prefix = "dropped_"
    return Counter({key[len(prefix) :]: int(n) for key, n in counts.items() if key.startswith(prefix)})


class Log:
    """What a node prints, in a file, so that no flood holds it up."""

    def __init__(self):
        self.file = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115
        self._begin = 0

    def mark(self):
        self._begin = self.file.seek(0, 2)

    def lines(self):
        """Since the mark; those about silence, which a busy machine makes of any pause, and BEHIND not among them."""
        return [line for line in self._lines(self._begin) if not SILENCE.search(line) and BEHIND not in line]

    def says(self, line):
        """Whether it did, ever."""
        return any(line in said for said in self._lines(0))

    def lines_of_silence(self):
        return [line for line in self._lines(self._begin) if SILENCE.search(line)]

    def _lines(self, begin):
        with open(f"/proc/self/fd/{self.file.fileno()}") as file:
            file.seek(begin)
            return file.read().splitlines()

    def close(self):
        self.file.close()


def odometry(stamp, x, orientation=(0.0, 0.0, 0.0, 1.0), frame_id="odom", child_frame_id="base_link"):
    message = Odometry(header=Header(stamp=stamp, frame_id=frame_id), child_frame_id=child_frame_id)
    message.pose.pose.position.x = x
    turn = message.pose.pose.orientation
    turn.x, turn.y, turn.z, turn.w = orientation
    return message


def base_in_odometry(stamp):
    transform = TransformStamped(header=Header(stamp=stamp, frame_id="odom"), child_frame_id="base_link")
    transform.transform.rotation.w = 1.0
    return transform


if __name__ == "__main__":
    rospy.init_node("faults")
    rostest.rosrun("placenet_ros", "faults", Faults)
