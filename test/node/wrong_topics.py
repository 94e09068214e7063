#!/usr/bin/env python3
"""Nodes whose inputs were given topics of other types: each is told in a line that says what to type."""

import rospy
import rostest
from geometry_msgs.msg import TransformStamped
from robot import NodeCase, wait_until
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

MESSAGES = 50


class TopicsReadTwice(NodeCase):
    """The node reads these topics already, as what they are, and rospy hands such messages to the others, too."""

    node_settings = {"others": {"odom": "/tf", "depth": "/robot/camera_info"}}

    def test_messages_of_another_type_are_counted_and_told_once(self):
        transforms = rospy.Publisher("/tf", TFMessage, queue_size=MESSAGES)
        for publisher in (transforms, self.robot.camera_info):
            wait_until(publisher.get_num_connections, f"nobody subscribes to {publisher.name}")
        for number in range(1, MESSAGES + 1):
            header = Header(stamp=rospy.Time(number), frame_id="odom")
            transform = TransformStamped(header=header, child_frame_id="base_link")
            transform.transform.rotation.w = 1.0
            transforms.publish(TFMessage([transform]))
        self.diagnostics.wait_for_count("dropped, odom: wrong type", MESSAGES)
        self.robot.see(0.0)
        self.diagnostics.wait_for_count("dropped, depth: wrong type", 1)
        lines = (
            "odom: /tf is tf2_msgs/TFMessage, odom needs nav_msgs/Odometry; start again with odom:=/THE/TOPIC, or with "
            "pose_source:=tf",
            "depth: /robot/camera_info is sensor_msgs/CameraInfo, depth needs sensor_msgs/Image; start again with "
            "depth:=/THE/TOPIC",
        )
        for line in lines:
            self.log.wait_for(lambda message, line=line: message.msg == line)
            self.assertEqual(self.warnings().count(line), 1)
        self.assertFalse([line for line in self.warnings() if "bad callback" in line])


if __name__ == "__main__":
    rospy.init_node("wrong_topics")
    rostest.rosrun("placenet_ros", "wrong_topics", TopicsReadTwice)
