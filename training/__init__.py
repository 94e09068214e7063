"""Offline: houses, data, training and evaluation. Needs no ROS; nothing here runs on a robot."""
