"""Which stamps are times. Stamps are whole nanoseconds, 0: none."""

# A minute before the end of the times that ROS's messages can carry, in 2106 (their seconds have 32 bits). TF ends the
# process over a later stamp. The minute leaves room for stamps that are looked ahead and for rounding.
LATEST_STAMP = (2**32 - 60) * 1_000_000_000
