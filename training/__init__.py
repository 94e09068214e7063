"""Offline: houses, data, training and evaluation. Needs no ROS; nothing here runs on a robot."""

from training.interruption import end_at_ctrl_c_while_importing

end_at_ctrl_c_while_importing()  # first of all: what a command imports next takes seconds
