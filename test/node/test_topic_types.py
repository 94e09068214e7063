"""What is told of topics of another type names both types and what to type."""

from placenet_ros.node.topic_types import wrong_type_line


def test_topic_of_another_type_is_told_with_both_and_transforms_in_place_of_odometry_with_how_to_use_them():
    line = "odom: /x is sensor_msgs/Image, odom needs nav_msgs/Odometry; start again with odom:=/THE/TOPIC"
    assert wrong_type_line("odom", "/x", "sensor_msgs/Image", "nav_msgs/Odometry") == line
    line = wrong_type_line("odom", "/tf", "tf2_msgs/TFMessage", "nav_msgs/Odometry")
    assert line.endswith("; start again with odom:=/THE/TOPIC, or with pose_source:=tf")
