"""What to tell of a topic whose messages are of another type than an input needs. Knows nothing of ROS."""

from __future__ import annotations

TRANSFORM_TYPE = "tf2_msgs/TFMessage"


def wrong_type_line(name: str, topic: str, found: str, needed: str) -> str:
    """found: the topic's type. needed: the input's."""
    by_transform = ", or with pose_source:=tf" if name == "odom" and found == TRANSFORM_TYPE else ""
    return f"{name}: {topic} is {found}, {name} needs {needed}; start again with {name}:=/THE/TOPIC{by_transform}"
