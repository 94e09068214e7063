"""Which stamps are times. Stamps are whole nanoseconds, 0: none."""

# A minute before the end of the times that ROS's messages can carry, in 2106 (their seconds have 32 bits): those a
# little ahead of it can be sent, too, and none is rounded beyond it, over which TF would end the process.
LATEST_STAMP = (2**32 - 60) * 1_000_000_000
