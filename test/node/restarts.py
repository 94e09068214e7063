#!/usr/bin/env python3
"""Nodes that are asked while they load, whose topics start after them, that run beside each other, and that are killed
and start again while a bag plays.
"""

import signal
import subprocess
import tempfile
import time
from pathlib import Path

import rospy
import rostest
from nav_msgs.msg import Odometry
from placenet_ros.msg import ModelInfo, PlaceEmbedding
from placenet_ros.srv import PredictView
from replaying import write_bag
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
from std_srvs.srv import SetBool, Trigger

from placenet_ros.node.images import camera_info_message
from placenet_ros.node.inbox import MAX_QUERIES


class Restarts(WeightsCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.robot = Robot()

    def started(self, name, **settings):
        """A node, and a file of what it prints."""
        log = tempfile.NamedTemporaryFile(mode="w+")  # noqa: SIM115
        self.addCleanup(log.close)
        process = start_node(name, output=log, weights=self.weights, predict_rate=0.0, **settings)
        self.addCleanup(end, process)
        return process, Path(log.name)

    def embeddings(self, node):
        collected = Collected(f"{node}/place_embedding", PlaceEmbedding)
        self.addCleanup(collected.close)
        return collected

    def serve(self, x, *embeddings):
        """Let the robot see a good image at x; what each of these says of it."""
        stamp = self.robot.see(x)
        return [each.wait_for(lambda message: message.header.stamp == stamp) for each in embeddings]

    def test_queries_while_the_model_loads_are_refused_with_one_line_and_counted(self):
        process, log = self.started("asked", service_timeout=0.2)
        diagnostics, embeddings = Diagnostics("asked"), self.embeddings("/asked")
        rospy.wait_for_service("/asked/predict_view", timeout=PATIENCE)
        ask = rospy.ServiceProxy("/asked/predict_view", PredictView)
        refused = ask(query_pose(0.0))
        self.assertFalse(refused.success)
        self.assertIn("no answer within 0.2 s: the model is still loading; ask again when", refused.message)
        self.assertIn(f"loading {self.weights.name} ...", log.read_text())
        wait_until(self.robot.query.get_num_connections, "nobody subscribes to queries")
        receipts = Receipts("/asked")
        for _ in range(MAX_QUERIES + 5):
            receipts.publish(self.robot.query, query_pose(0.0))
        diagnostics.wait_for_count("dropped, queries refused", MAX_QUERIES + 5)
        self.robot.wait_for_node()
        self.serve(0.3, embeddings)
        wait_until(lambda: ask(query_pose(0.0)).success, "no query is answered")  # 0.2 s may be short on a busy machine
        self.assertEqual(diagnostics.next()["dropped, queries refused"], str(MAX_QUERIES + 5))
        lines = [line for line in log.read_text().splitlines() if "WARN" in line]
        self.assertLessEqual(len([line for line in lines if "quer" in line]), 2, lines)
        self.assertIsNone(process.poll())

    def test_topics_that_start_after_the_node_are_served_camera_info_last(self):
        _, log = self.started("early", namespace="/late", silence_warning=1.0)
        embeddings, diagnostics = self.embeddings("/early"), Diagnostics("early")
        wait_until(lambda: "odom: nobody publishes /late/odom" in log.read_text(), "silence is not told")
        topics = {"image": Image, "odom": Odometry, "camera_info": CameraInfo}
        publishers = {name: rospy.Publisher(f"/late/{name}", kind, queue_size=10) for name, kind in topics.items()}
        for publisher in publishers.values():
            wait_until(publisher.get_num_connections, f"nobody subscribes to {publisher.name}")
        receipts = Receipts("/early")

        def see(seconds):
            for stamp in (seconds, seconds + 0.1):
                header = Header(stamp=rospy.Time.from_sec(stamp), frame_id="odom")
                odometry = Odometry(header=header, child_frame_id="base_link")
                odometry.pose.pose.orientation.w = 1.0
                receipts.publish(publishers["odom"], odometry)
            header = Header(stamp=rospy.Time.from_sec(seconds + 0.05), frame_id=CAMERA_FRAME)
            receipts.publish(publishers["image"], image_message(header, picture(0)))
            return header.stamp

        for count in (1, 2, 3):
            see(1000.0 + count)
            diagnostics.wait_for_count("dropped, no camera_info", count)
        receipts.publish(publishers["camera_info"], camera_info_message(Header(), CAMERA))
        stamp = see(1010.0)
        embeddings.wait_for(lambda message: message.header.stamp == stamp)
        lines = log.read_text().splitlines()
        self.assertEqual(sum("without any camera_info" in line for line in lines), 1, lines)
        self.assertEqual(sum("camera_info: nobody publishes" in line for line in lines), 1, lines)

    def test_stamps_ahead_of_this_computers_time_are_told_by_how_much(self):
        self.addCleanup(setattr, self.robot, "seconds", self.robot.seconds)
        self.robot.seconds = time.time() + 60.0
        _, log = self.started("behind")
        embeddings, diagnostics = self.embeddings("/behind"), Diagnostics("behind")
        self.robot.wait_for_node()
        self.serve(0.0, embeddings)
        wait_until(lambda: "ahead of this computer's time" in log.read_text(), "clocks that differ are not told")
        found = diagnostics.next()
        self.assertTrue(10_000 < -float(found["stamp to arrival, median ms"]) < 61_000, found)
        self.assertIn("clocks differ", found["stamps ahead of this node's time, ms"])

    def test_stamps_far_behind_this_computers_time_are_told_once_as_of_a_bag_without_its_time(self):
        _, log = self.started("forgetful")
        embeddings, diagnostics = self.embeddings("/forgetful"), Diagnostics("forgetful")
        self.robot.wait_for_node()
        self.serve(0.0, embeddings)
        wait_until(lambda: "behind this computer's time: of a bag?" in log.read_text(), "old stamps are not told")
        self.assertIn("days (a bag without /use_sim_time", diagnostics.next()["stamps behind this node's time"])
        diagnostics.next()
        self.assertEqual(log.read_text().count("behind this computer's time"), 1)

    def test_keyframes_that_give_way_to_newer_images_are_counted_as_missed(self):
        self.started("slow", odometry_wait=PATIENCE, odometry_buffer=60.0)
        embeddings, diagnostics = self.embeddings("/slow"), Diagnostics("slow")
        self.robot.wait_for_node()
        self.serve(0.0, embeddings)
        begun = self.robot.seconds
        self.addCleanup(setattr, self.robot, "seconds", begun + 10.0)
        for step in range(1, 6):  # they wait for odometry
            self.robot.take_picture(rospy.Time.from_sec(begun + step))
            diagnostics.wait_for_count("images received", 1 + step)
        for step in range(1, 7):
            self.robot.seconds = begun + step + 0.5
            self.robot.publish_odometry(0.5 * step)
        embeddings.wait_for(lambda message: message.header.stamp == rospy.Time.from_sec(begun + 5))
        self.assertEqual(diagnostics.next()["images replaced by newer ones"], "3")
        found = diagnostics.next()
        self.assertEqual((found["keyframes"], found["keyframes missed"]), ("3", "3"))
        self.assertIn("3 keyframes missed in 10 s", found["summary"])
        self.assertTrue(rospy.ServiceProxy("/slow/pause", SetBool)(True).success)
        summary = diagnostics.next()["summary"]
        self.assertIn("paused", summary)
        self.assertNotIn("missed", summary)

    def test_two_nodes_in_two_namespaces_serve_one_robot_apart(self):
        names = ("front", "rear")
        processes = [self.started("placenet_node", _ns=f"/{name}")[0] for name in names]
        front, rear = (self.embeddings(f"/{name}/placenet_node") for name in names)
        counts = [Diagnostics(f"{name}/placenet_node") for name in names]
        for name in names:
            Collected(f"/{name}/placenet_node/model_info", ModelInfo).wait_for()
        for publisher in (self.robot.image, self.robot.camera_info, self.robot.odometry, self.robot.depth):
            wait_until(lambda each=publisher: each.get_num_connections() >= 2, f"{publisher.name} has no two listeners")
        first = self.serve(0.0, front, rear)
        self.assertEqual([message.episode_id for message in first], [1, 1])
        self.assertTrue(rospy.ServiceProxy("/front/placenet_node/reset", Trigger)().success)
        after = self.serve(0.3, front, rear)
        self.assertEqual([(message.episode_id, message.num_observations) for message in after], [(2, 1), (1, 2)])
        self.robot.see(0.6, encoding="bayer_rggb8")
        for each in counts:
            each.wait_for_count("dropped, image: bad encoding", 1)
        processes[0].kill()
        processes[0].wait()
        self.assertEqual(self.serve(0.6, rear)[0].num_observations, 3)

    def test_node_that_is_killed_while_a_bag_plays_serves_again_when_it_is_back(self):
        bag = write_bag(self.folder / "walk.bag")
        robot = {"/camera/color/image_raw": "image", "/camera/color/camera_info": "camera_info", "/odom": "odom"}
        remapped = [f"{topic}:=/bag/{name}" for topic, name in robot.items()]
        player = subprocess.Popen(["rosbag", "play", "--quiet", "--loop", str(bag), *remapped])
        self.addCleanup(player.wait)
        self.addCleanup(player.send_signal, signal.SIGINT)
        for _ in range(2):
            process, _ = self.started("killed", namespace="/bag")
            model, embeddings = Collected("/killed/model_info", ModelInfo), self.embeddings("/killed")
            self.assertEqual(model.wait_for().model_name, "tiny")
            first = embeddings.wait_for()
            self.assertEqual(first.num_observations, 1)  # nothing of the one before
            embeddings.wait_for(lambda message, first=first: message.episode_id > first.episode_id)  # the bag looped
            process.kill()
            process.wait()
            model.close()
            embeddings.close()
        self.assertIsNone(player.poll())


if __name__ == "__main__":
    rospy.init_node("restarts")
    rostest.rosrun("placenet_ros", "restarts", Restarts)
