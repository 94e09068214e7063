#!/usr/bin/env python3
"""A node that has the robot's pose from TF, and no depth: where it is, when localisation jumps, and what it says."""

import numpy as np
import rospy
import rostest
from geometry_msgs.msg import TransformStamped
from robot import (
    CAMERA,
    CAMERA_FRAME,
    CAMERA_HEIGHT,
    NodeCase,
    Robot,
    image_message,
    picture,
    query_pose,
    wait_until,
)
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from placenet_ros.node.images import camera_info_message

CORRECTION = 5.0  # metres that localisation jumps


class TransformedRobot(Robot):
    """Tells its pose by TF alone: base_link in odom, and odom in map as localisation has it; no depth either."""

    def __init__(self, seconds=1000.0):
        super().__init__(seconds)
        for unused in (self.depth, self.odometry):
            unused.unregister()
        self.transforms = rospy.Publisher("/tf", TFMessage, queue_size=100)
        self.localised_at = 0.0  # x of odom in map

    def publish_odometry(self, x, orientation=(0.0, 0.0, 0.0, 1.0)):
        self.localise()
        self.send("odom", "base_link", x)

    def localise(self, ahead=0.1):
        """Valid for a moment to come, as that of AMCL is."""
        self.send("map", "odom", self.localised_at, ahead)

    def send(self, parent, child, x, ahead=0.0):
        header = Header(stamp=self.stamp() + rospy.Duration.from_sec(ahead), frame_id=parent)
        transform = TransformStamped(header=header, child_frame_id=child)
        transform.transform.translation.x = x
        transform.transform.rotation.w = 1.0
        self.transforms.publish(TFMessage([transform]))

    def move(self, start, end, seconds=0.4):
        """Drive evenly; returns the stamp in the middle, between two poses."""
        begun = self.seconds + 0.05
        self.seconds = begun
        self.localise(ahead=0.0)
        for x in np.linspace(start, end, 4):
            self.publish_odometry(x)
            self.seconds += seconds / 3
        self.seconds = begun + seconds
        return rospy.Time.from_sec(begun + seconds / 2)

    def take_picture(self, stamp, seed=0, **layout):
        header = Header(stamp=stamp, frame_id=CAMERA_FRAME)
        self.camera_info.publish(camera_info_message(header, CAMERA))
        self.image.publish(image_message(header, picture(seed), **layout))


class ByTransforms(NodeCase):
    robot_kind = TransformedRobot
    node_settings = {"pose_source": "tf", "odom_frame": "map", "silence_warning": 1.0, "without": ("depth", "objects")}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for publisher in (cls.robot.image, cls.robot.camera_info, cls.robot.transforms):
            wait_until(publisher.get_num_connections, f"nobody subscribes to {publisher.name}")

    def setUp(self):
        self.robot.seconds += 10.0

    def see(self, start, end, **how):
        stamp = self.robot.move(start, end)
        self.robot.take_picture(stamp, **how)
        return self.embedding_at(stamp)

    def position(self, embedding):
        at = embedding.pose.pose.position
        return at.x, at.y, at.z

    def test_1_silence_names_the_transform(self):
        line = "TF: no transform from base_link to map, or no newer one; try: rosrun tf2_tools echo.py map base_link"
        self.log.wait_for(lambda message: message.name == f"/{self.name}" and line in message.msg)
        self.assertFalse([line for line in self.warnings() if line.startswith("odom: ")])

    def test_pose_is_interpolated_at_the_images_stamp(self):
        self.robot.localised_at = 1.0
        found = self.see(0.2, 0.6)  # a pose at 0.33 and one at 0.47
        self.assertEqual(found.header.frame_id, "map")
        np.testing.assert_allclose(self.position(found), (1.4, 0.0, CAMERA_HEIGHT), atol=1e-6)
        self.assertEqual(set(found.pose.covariance), {0.0})

    def test_nothing_is_extrapolated(self):
        self.see(0.0, 0.4)
        before = int(self.diagnostics.next().get("dropped, no odometry", 0))
        self.robot.take_picture(self.robot.stamp() + rospy.Duration.from_sec(0.05))  # odom in map is known there
        self.diagnostics.wait_for_count("dropped, no odometry", before + 1)

    def test_transform_whose_stamp_is_no_time_is_left_out(self):
        before = self.see(0.0, 0.4)
        beyond = TransformStamped(header=Header(frame_id="odom"), child_frame_id="base_link")
        beyond.header.stamp.secs, beyond.header.stamp.nsecs = 2**32 - 1, 2**32 - 1
        beyond.transform.rotation.w = 1.0
        self.robot.transforms.publish(TFMessage([beyond]))
        after = self.see(1.0, 1.4)
        self.assertEqual((after.episode_id, after.num_observations), (before.episode_id, before.num_observations + 1))

    def test_localisation_that_jumps_begins_one_episode(self):
        before = self.see(0.0, 0.4)
        self.robot.localised_at += CORRECTION
        for step in range(50):  # a second at 50 Hz; localisation at 10 Hz
            self.robot.seconds += 0.02
            if step % 5 == 0:
                self.robot.localise()
            self.robot.send("odom", "base_link", 0.4 + 0.01 * step)
        after = self.see(1.0, 1.4)
        self.assertEqual((after.episode_id, after.num_observations), (before.episode_id + 1, 1))
        np.testing.assert_allclose(self.position(after)[0], self.robot.localised_at + 1.2, atol=1e-6)

    def test_small_correction_of_localisation_begins_no_episode(self):
        before = self.see(0.0, 0.4)
        self.robot.localised_at += 0.3
        after = self.see(0.6, 1.0)
        self.assertEqual(after.episode_id, before.episode_id)

    def test_time_that_jumps_back_begins_one_episode(self):
        before = self.see(0.0, 0.4)
        self.robot.seconds -= 8.0
        after = self.see(0.0, 0.4)
        self.assertEqual((after.episode_id, after.num_observations), (before.episode_id + 1, 1))
        self.assertEqual(self.see(0.6, 1.0).episode_id, after.episode_id)

    def test_robot_with_a_colour_camera_alone_is_served_without_complaints(self):
        before = self.see(0.0, 0.4)
        self.assertEqual(self.see(1.0, 1.4).num_observations, before.num_observations + 1)
        answered = self.predict_view(query_pose(0.5, frame_id="map"))
        self.assertTrue(answered.success, answered.message)
        self.assertEqual((len(answered.depth.data), len(answered.objects.data)), (0, 0))
        self.assertEqual(self.model.predictions, ["rgb"])
        self.assertFalse([line for line in self.warnings() if "depth" in line or "objects" in line])


if __name__ == "__main__":
    rospy.init_node("tf_poses")
    rostest.rosrun("placenet_ros", "tf_poses", ByTransforms)
