"""Nodes that are told to end at an awkward moment of their start: `starting_nodes.py KIND __name:=NAME`."""

import logging
import os
import signal
import sys
import time

signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))  # as nodes/placenet_node does

import rospy  # noqa: E402

from placenet_ros.node.parameters import ParameterError  # noqa: E402
from placenet_ros.node.running import run_node  # noqa: E402

TELLING_SECONDS = 0.5  # longer than ROS's shutdown takes


def fails_once_told_to_end(failed):
    rospy.on_shutdown(lambda: time.sleep(TELLING_SECONDS))  # so long the log is open, however busy the machine is
    os.kill(os.getpid(), signal.SIGTERM)
    wait_for_shutdown()
    raise ParameterError("parameter ~late cannot be")


def fails_as_it_is_told_to_end(failed):
    def tell_slowly(record):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(TELLING_SECONDS)
        return True

    logging.getLogger("rosout").addFilter(tell_slowly)
    raise ParameterError("parameter ~late cannot be")


def publishes_once_told_to_end(failed):
    publisher = rospy.Publisher("~something", rospy.AnyMsg, queue_size=1)
    os.kill(os.getpid(), signal.SIGTERM)
    wait_for_shutdown()
    publisher.unregister()
    publisher.publish(rospy.AnyMsg())


def starts_for_ever(failed):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(3600.0)


def wait_for_shutdown():
    while not rospy.core.is_shutdown_requested():
        time.sleep(0.001)


KINDS = [fails_once_told_to_end, fails_as_it_is_told_to_end, publishes_once_told_to_end, starts_for_ever]

if __name__ == "__main__":
    make_node = {kind.__name__: kind for kind in KINDS}[sys.argv[1]]
    run_node("awkward", make_node, told_in_one_line=ParameterError)
