#!/usr/bin/env python3
"""A node whose camera sends compressed images, with weights that predict depth and objects; and a pause."""

import cv2
import numpy as np
import rospy
import rostest
from robot import (
    CAMERA,
    CAMERA_FRAME,
    IMAGE_SIZE,
    FreshSceneCase,
    Robot,
    picture,
    query_pose,
    wait_until,
)
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from placenet_ros.node.images import camera_info_message

AHEAD = 1.0  # seconds


class CompressingRobot(Robot):
    """Sends its pictures as image_transport compresses them, without loss, and nothing raw."""

    depth_format = "16UC1; compressedDepth"

    def __init__(self, seconds=1000.0):
        super().__init__(seconds)
        self.compressed = {
            name: rospy.Publisher(f"/robot/{topic}", CompressedImage, queue_size=10)
            for name, topic in (
                ("image", "image/compressed"),
                ("depth", "depth/compressedDepth"),
                ("objects", "objects/compressed"),
            )
        }

    def wait_for_node(self):
        for publisher in (*self.compressed.values(), self.camera_info, self.odometry, self.query):
            wait_until(publisher.get_num_connections, f"nobody subscribes to {publisher.name}")

    def take_picture(self, stamp, seed=0, data=None, depth=2000):
        """data: in place of the colour image's."""
        header = Header(stamp=stamp, frame_id=CAMERA_FRAME)
        self.camera_info.publish(camera_info_message(header, CAMERA))
        shape = (CAMERA.height, CAMERA.width)
        self.send("depth", header, self.depth_format, bytes(12) + png(np.full(shape, depth, np.uint16)))
        self.send("objects", header, "mono8; png compressed ", png(np.full(shape, 7, np.uint8)))
        data = png(picture(seed)[..., ::-1]) if data is None else data
        self.send("image", header, "rgb8; png compressed bgr8", data)

    def send(self, name, header, form, data):
        self.compressed[name].publish(CompressedImage(header, form, data))


def png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


class Compressed(FreshSceneCase):
    robot_kind = CompressingRobot
    node_settings = {"image_transport": "compressed", "predict_rate": 5.0, "predict_ahead": AHEAD}
    weights_settings = {"predict_depth": True, "predicted_classes": 40}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pause = rospy.ServiceProxy(f"/{cls.name}/pause", SetBool)

    def test_compressed_images_are_observed_with_their_depth_and_objects(self):
        before = self.diagnostics.next()
        first = self.see_and_wait(0.0, seed=1)
        counts = self.diagnostics.next()
        for key in ("dropped, no depth", "dropped, no objects"):
            self.assertEqual(counts.get(key), before.get(key), counts)
        self.reset()
        other = self.see_and_wait(0.0, seed=2)
        self.assertEqual((first.num_observations, other.num_observations), (1, 1))
        self.assertGreater(np.abs(np.subtract(first.data, other.data)).max(), 1e-4)
        # Depth is what the view from elsewhere is made of.
        views = []
        for depth in (1500, 4000):
            self.reset()
            self.see_and_wait(0.0, seed=1, depth=depth)
            views.append(np.frombuffer(self.predict_view(query_pose(0.5)).image.data, np.uint8).astype(int))
        self.assertGreater(np.abs(views[0] - views[1]).mean(), 0.1)

    def test_compressed_images_that_cannot_be_used_are_counted_and_the_next_good_one_is_served(self):
        before = self.diagnostics.next()
        whole = png(picture(0))
        claims_much = whole[:16] + b"\0\0\xff\xff" * 2 + whole[24:]
        damaged = whole[:100] + bytes(1000) + whole[1100:]
        for step, (data, reason) in enumerate(
            ((whole[:-100], "truncated"), (b"no image" * 99, "bad encoding"), (claims_much, "bad size")), start=1
        ):
            self.robot.see(0.4 * step, data=data)
            key = f"dropped, image: {reason}"
            self.diagnostics.wait_for_count(key, int(before.get(key, 0)) + 1)
        self.robot.see(2.0, data=damaged)
        self.diagnostics.wait_for_count("dropped, image: not decoded", 1)
        self.see_and_wait(2.4)
        told = [line for line in self.warnings() if "compressed image" in line]
        self.assertTrue(told and all("\n" not in line and "/robot/image/compressed: " in line for line in told), told)

    def test_compressed_depth_that_does_not_say_its_encoding_is_counted_and_the_image_observed_without(self):
        reasons = ("dropped, depth: bad encoding", "dropped, no depth")
        before = self.diagnostics.next()
        self.robot.depth_format = "compressedDepth png"
        self.addCleanup(delattr, self.robot, "depth_format")
        self.see_and_wait(0.0)
        for reason in reasons:
            self.diagnostics.wait_for_count(reason, int(before.get(reason, 0)) + 1)
        told = [line for line in self.warnings() if "does not say what its numbers mean" in line]
        self.assertTrue(told and "/robot/depth/compressedDepth: " in told[0], self.warnings())

    def test_weights_that_predict_depth_and_objects_show_them_where_somebody_listens(self):
        self.assertEqual(self.model.predictions, ["rgb", "depth", "objects"])
        self.see_and_wait(0.0)
        depth, objects = self.listen("predicted/depth", Image), self.listen("predicted/objects", Image)
        info = self.listen("predicted/camera_info", CameraInfo)
        self.robot.query.publish(query_pose(0.5, label=78.0))
        for collected, encoding in ((depth, "32FC1"), (objects, "mono8")):
            found = collected.wait_for(lambda message: message.header.stamp == rospy.Time(78))
            self.assertEqual(found.encoding, encoding)
            self.assertEqual((found.width, found.height, found.header.frame_id), (IMAGE_SIZE, IMAGE_SIZE, "odom"))
        info.wait_for(lambda message: message.header.stamp == rospy.Time(78) and message.width == IMAGE_SIZE)
        answered = self.predict_view(query_pose(0.5, label=79.0))
        metres = np.frombuffer(answered.depth.data, np.float32)
        self.assertTrue(metres.size == IMAGE_SIZE**2 and (metres > 0).all(), metres)
        self.assertTrue((np.frombuffer(answered.objects.data, np.uint8) < 40).all())
        self.assertEqual(answered.objects.header.stamp, rospy.Time(79))

    def test_view_ahead_has_the_stamp_of_the_time_that_it_is_for(self):
        self.see_and_wait(0.0)
        for tenth in range(5):
            self.robot.seconds += 0.1
            self.robot.publish_odometry(0.05 * tenth)
        image = self.listen("predicted/image", Image)
        self.robot.seconds += 0.1
        self.robot.publish_odometry(0.25)
        ahead = self.robot.stamp() + rospy.Duration.from_sec(AHEAD)
        found = image.wait_for(lambda message: message.header.stamp == ahead)
        self.assertEqual(found.header.frame_id, CAMERA_FRAME)
        seen = np.frombuffer(found.data, np.uint8).astype(int)

        def from_pose(x):
            return np.frombuffer(self.predict_view(query_pose(x)).image.data, np.uint8).astype(int)

        there, here = np.abs(seen - from_pose(0.75)).mean(), np.abs(seen - from_pose(0.25)).mean()
        self.assertLess(there, 1.0)
        self.assertGreater(here, there)

    def test_paused_node_observes_nothing_and_still_answers(self):
        before = self.see_and_wait(0.0)
        self.addCleanup(self.pause, False)
        self.assertEqual(self.pause(True).message, "paused: no image becomes an observation")
        for step in range(1, 4):
            self.robot.see(0.5 * step)
        self.assertTrue(self.predict_view(query_pose(0.5)).success)
        wait_until(lambda: self.diagnostics.next()["summary"] == "paused", "diagnostics do not say paused")
        self.assertEqual(int(self.diagnostics.next()["observations"]), before.num_observations)
        self.assertTrue(self.pause(False).success)
        after = self.see_and_wait(2.0)
        self.assertEqual(after.num_observations, before.num_observations + 1)
        wait_until(lambda: " held" in self.diagnostics.next()["summary"], "diagnostics still say paused")
        for line in ("~reset: episode ", "~pause: paused: no image", "~pause: goes on: images"):
            self.log.wait_for(lambda message, line=line: line in message.msg)


if __name__ == "__main__":
    rospy.init_node("compressed_inputs")
    rostest.rosrun("placenet_ros", "compressed_inputs", Compressed)
