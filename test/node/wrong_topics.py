#!/usr/bin/env python3
"""A node whose inputs were given topics of other types: each is told in a line that says what to type."""

import rospy
import rostest
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from robot import NodeCase, Robot, wait_until
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

MESSAGES = 50


class MisunderstoodRobot(Robot):
    """Has topics that are not of the type that their names, or where they are used, lead to expect."""

    def __init__(self, seconds=1000.0):
        super().__init__(seconds)
        self.transforms = rospy.Publisher("/tf", TFMessage, queue_size=MESSAGES)
        self.unfit = [
            rospy.Publisher("/camera/image/compressed", CompressedImage, queue_size=1),
            rospy.Publisher("/camera/camera_info", Odometry, queue_size=1),
        ]


class WrongTopics(NodeCase):
    robot_kind = MisunderstoodRobot
    node_settings = {
        "silence_warning": 1.0,
        "depth_transport": "compressed",
        "others": {"image": "/camera/image/compressed", "camera_info": "/camera/camera_info", "odom": "/tf"},
    }

    def test_messages_of_another_type_are_counted_and_told_without_a_flood(self):
        """The node reads TF already, as what it is: rospy hands those messages to odom's subscriber, too."""
        wait_until(self.robot.transforms.get_num_connections, "nobody subscribes to /tf")
        for number in range(1, MESSAGES + 1):
            header = Header(stamp=rospy.Time(number), frame_id="odom")
            transform = TransformStamped(header=header, child_frame_id="base_link")
            transform.transform.rotation.w = 1.0
            self.robot.transforms.publish(TFMessage([transform]))
        self.diagnostics.wait_for_count("dropped, odom: wrong type", MESSAGES)
        line = (
            "odom: /tf is tf2_msgs/TFMessage, odom needs nav_msgs/Odometry; start again with odom:=/THE/TOPIC, or with "
            "pose_source:=tf"
        )
        self.log.wait_for(lambda message: message.msg == line)
        self.assertLessEqual(self.warnings().count(line), 2)  # as what is dropped, and as what is silent
        self.assertFalse([line for line in self.warnings() if "bad callback" in line])

    def test_topics_that_are_published_with_another_type_or_transport_are_told_with_what_to_type(self):
        for line in (
            "camera_info: /camera/camera_info is nav_msgs/Odometry, camera_info needs sensor_msgs/CameraInfo; start "
            "again with camera_info:=/THE/TOPIC",
            "image: /camera/image/compressed is sensor_msgs/CompressedImage, image needs sensor_msgs/Image; start "
            "again with image:=/camera/image image_transport:=compressed",
            "depth: nobody publishes /robot/depth/compressedDepth, but /robot/depth is sensor_msgs/Image; start again "
            "with depth_transport:=raw",
            "objects: nobody publishes /robot/objects/compressed, and views are predicted without objects; see "
            "`rostopic list` for what there is, and start again with objects:=/THE/TOPIC (without /compressed)",
        ):
            self.log.wait_for(lambda message, line=line: message.msg == line)


if __name__ == "__main__":
    rospy.init_node("wrong_topics")
    rostest.rosrun("placenet_ros", "wrong_topics", WrongTopics)
