"""The ROS layer of PlaceNet, the only place that imports rospy; `placenet_node.py` is its table of contents."""
