#!/usr/bin/env python3
"""replay.launch: a bag that loops begins one episode each time round, and a bag that lacks something is not played."""

import subprocess
from pathlib import Path

import cv2
import rosbag
import rospy
import rostest
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from placenet_ros.msg import PlaceEmbedding
from robot import (
    CAMERA,
    CAMERA_FRAME,
    PATIENCE,
    Collected,
    Diagnostics,
    WeightsCase,
    camera_on_robot,
    end,
    image_message,
    picture,
)
from rosgraph_msgs.msg import Log
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header, String
from tf2_msgs.msg import TFMessage

from placenet_ros.node.images import camera_info_message

START = 1_700_000_000.0
SECONDS = 3.0
MIDDLE = START + SECONDS / 2
TIMES_ROUND = 3
LOOPING = 120.0  # seconds until a test gives up: the node starts, and the bag is played several times


def write_bag(path, is_compressed=False):
    """A robot that drives 1.5 m in three seconds. is_compressed: its images are, and TF takes odometry's place."""
    with rosbag.Bag(str(path), "w") as bag:
        at = rospy.Time.from_sec(START)
        static = TFMessage([camera_on_robot()])
        bag.write("/tf_static", static, at, connection_header=latched(static))
        for step in range(int(SECONDS * 50)):
            at = rospy.Time.from_sec(START + step / 50)
            odometry = Odometry(header=Header(stamp=at, frame_id="odom"), child_frame_id="base_link")
            odometry.pose.pose.position.x = step / 100
            odometry.pose.pose.orientation.w = 1.0
            if is_compressed:
                bag.write("/tf", TFMessage([base_in_odom(odometry)]), at)
            else:
                bag.write("/odom", odometry, at)
            if step % 5 == 0:
                header = Header(stamp=at, frame_id=CAMERA_FRAME)
                bag.write("/camera/color/camera_info", camera_info_message(header, CAMERA), at)
                if is_compressed:
                    jpeg = cv2.imencode(".jpg", picture(step))[1].tobytes()
                    message = CompressedImage(header, "rgb8; jpeg compressed bgr8", jpeg)
                    bag.write("/camera/color/image_raw/compressed", message, at)
                else:
                    bag.write("/camera/color/image_raw", image_message(header, picture(step)), at)
    return path


def base_in_odom(odometry):
    """The same pose as a transform."""
    transform = TransformStamped(header=odometry.header, child_frame_id=odometry.child_frame_id)
    transform.transform.translation.x = odometry.pose.pose.position.x
    transform.transform.rotation = odometry.pose.pose.orientation
    return transform


def latched(message):
    return {
        "topic": "/tf_static",
        "type": message._type,
        "md5sum": message._md5sum,
        "message_definition": message._full_text,
        "latching": "1",
        "callerid": "/bag",
    }


def replay(*arguments):
    """Start replay.launch, on this test's master."""
    command = ["roslaunch", "--skip-log-check", "placenet_ros", "replay.launch", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class Replaying(WeightsCase):
    def replayed(self, *arguments):
        process = replay(*arguments)
        self.addCleanup(end, process)
        return process

    def test_bag_of_compressed_images_and_poses_by_tf_is_played_looped_as_well(self):
        bag = write_bag(self.folder / "compressed.bag", is_compressed=True)
        self.assert_is_not_played(bag, "try image_transport:=compressed pose_source:=tf")
        embeddings = Collected("/placenet_node/place_embedding", PlaceEmbedding)
        how = ("image_transport:=compressed", "pose_source:=tf", "loop:=true")
        process = self.replayed(f"bag:={bag}", f"weights:={self.weights}", *how)
        embeddings.wait_for(lambda message: message.episode_id == 3, seconds=LOOPING)
        end(process)
        for episode in (1, 2):
            stamps = [m.header.stamp.to_sec() for m in embeddings.messages if m.episode_id == episode]
            self.assertLess(stamps[0], MIDDLE)
            self.assertGreater(stamps[-1], MIDDLE)
        at = embeddings.messages[0]
        self.assertAlmostEqual(at.pose.pose.position.x, (at.header.stamp.to_sec() - START) / 2, places=3)

    def test_bag_that_loops_begins_one_episode_each_time_round(self):
        bag = write_bag(self.folder / "short walk.bag")
        embeddings = Collected("/placenet_node/place_embedding", PlaceEmbedding)
        process = self.replayed(f"bag:={bag}", f"weights:={self.weights}", "loop:=true")
        embeddings.wait_for(lambda message: message.episode_id == TIMES_ROUND + 1, seconds=LOOPING)
        end(process)
        found = [(message.episode_id, message.header.stamp) for message in embeddings.messages]
        self.assertEqual(found, sorted(found))
        for episode in range(1, TIMES_ROUND + 1):
            stamps = [stamp.to_sec() for number, stamp in found if number == episode]
            self.assertLess(stamps[0], MIDDLE)
            self.assertGreater(stamps[-1], MIDDLE)

    def test_end_of_a_bag_is_told_as_what_it_is(self):
        bag, log = write_bag(self.folder / "ends.bag"), Collected("/rosout", Log)
        self.addCleanup(log.close)
        config = self.folder / "config.yaml"
        config.write_text("silence_warning: 2.0\n")  # shorter than the bag
        how = (f"config:={config}", "end_with_bag:=false", "depth:=/camera/depth/imag_raw", "objects:=none")
        process = self.replayed(f"bag:={bag}", f"weights:={self.weights}", *how)
        log.wait_for(lambda message: "time stands still: the bag is over" in message.msg, seconds=LOOPING)
        diagnostics = Diagnostics("placenet_node")
        self.assertEqual({diagnostics.next()["summary"] for _ in range(2)}, {"time stands still"})
        notes = [line for line in end(process).splitlines() if line.startswith("note: ")]
        self.assertEqual(len(notes), 2, notes)
        self.assertIn("no images on /camera/depth/imag_raw: played without depth", notes[0])
        self.assertIn("no images on /none: played without objects", notes[1])
        told = [message.msg for message in log.messages if message.name == "/placenet_node"]
        self.assertEqual(sum("time stands still" in line for line in told), 1, told)
        self.assertRegex("".join(told), r"messages so far: /camera/color/image_raw [1-9]\d*, ")
        self.assertFalse([line for line in told if "nobody publishes" in line or "nothing" in line], told)

    def assert_is_not_played(self, bag, *lines):
        process = self.replayed(f"bag:={bag}", f"weights:={self.weights}")
        output, _ = process.communicate(timeout=PATIENCE)
        self.assertNotEqual(process.returncode, 0)
        told = [line for line in output.splitlines() if line.startswith("error: ")]
        self.assertEqual(len(told), 1, output)
        for line in lines:
            self.assertIn(line, told[0])
        self.assertNotIn("started with pid", output)

    def test_bag_without_the_expected_topics_is_not_played(self):
        path = self.folder / "other.bag"
        with rosbag.Bag(str(path), "w") as bag:
            at = rospy.Time.from_sec(START)
            bag.write("/odom", Odometry(), at)
            bag.write("/camera/color/image_raw", String("no image"), at)
        lacks = "the bag lacks /camera/color/image_raw (sensor_msgs/Image) for image, "
        lacks += "/camera/color/camera_info (sensor_msgs/CameraInfo) for camera_info"
        has = "it has /camera/color/image_raw (std_msgs/String); "
        self.assert_is_not_played(path, str(path), lacks, has)

    def test_bag_that_is_missing_or_damaged_is_not_played(self):
        self.assert_is_not_played("/nowhere.bag", "/nowhere.bag: no such bag")
        self.assert_is_not_played("walk.bag", f"give the whole path, {Path.cwd()}/walk.bag")
        damaged = self.folder / "damaged.bag"
        damaged.write_bytes(write_bag(self.folder / "whole.bag").read_bytes()[:5000])
        self.assert_is_not_played(damaged, f"{damaged}: no index", "rosbag reindex")
        nonsense = self.folder / "nonsense.bag"
        nonsense.write_bytes(b"no bag at all" * 100)
        self.assert_is_not_played(nonsense, f"{nonsense}: not a bag")


if __name__ == "__main__":
    rospy.init_node("replaying")
    rostest.rosrun("placenet_ros", "replaying", Replaying)
