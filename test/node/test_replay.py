"""Bags that are damaged, and replays that cannot be."""

import sys

import pytest
import rosbag
import rosgraph
import rospy
from nav_msgs.msg import Odometry
from std_msgs.msg import Header

from placenet_ros.node import replay
from placenet_ros.node.images import camera_info_message
from placenet_ros.node.recorded_walk import read_walk
from placenet_ros.node.replay import BagError
from placenet_ros.scene.camera import PinholeCamera

MODEL = PinholeCamera.square(16, 60.0)
TOPICS = {"image": "/image", "camera_info": "/camera_info", "odom": "/odom", "depth": "/depth"}


def test_bag_damaged_behind_an_intact_index_is_one_line(tmp_path):
    path = tmp_path / "walk.bag"
    with rosbag.Bag(str(path), "w", chunk_threshold=2000, compression="bz2") as bag:
        for step in range(100):
            at = rospy.Time(100 + step)
            bag.write("/camera_info", camera_info_message(Header(stamp=at), MODEL), at)
            odometry = Odometry(header=Header(stamp=at))
            odometry.pose.pose.orientation.w = 1.0
            bag.write("/odom", odometry, at)
    data = bytearray(path.read_bytes())
    middle = data.index(b"BZh", len(data) // 3)
    data[middle : middle + 20] = b"\xa5" * 20
    path.write_bytes(data)
    with pytest.raises(BagError, match="walk.bag: damaged: ") as error:
        read_walk(str(path), TOPICS, MODEL)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("command", [["check", "b.bag", "odom=/odom"], ["play", "b.bag"]])
@pytest.mark.parametrize("rate", ["0", "-1", "nan", "fast"])
def test_rate_that_cannot_be_is_refused_before_anything_starts(monkeypatch, capsys, command, rate):
    monkeypatch.setattr(sys, "argv", ["replay_bag", *command, f"--rate={rate}"])
    assert replay.main() == 1
    assert capsys.readouterr().err.startswith("error: rate must be a number above 0")


@pytest.mark.parametrize("error, told", [(KeyboardInterrupt, ""), (ConnectionRefusedError, "error: not played")])
def test_wait_that_is_cut_short_ends_without_a_traceback(monkeypatch, capsys, error, told):
    def fail(*_):
        raise error

    monkeypatch.setattr(rosgraph.Master, "getPublishedTopics", fail)
    monkeypatch.setattr(sys, "argv", ["replay_bag", "play", "b.bag", "--after", "/ready"])
    assert replay.main() != 0
    found = capsys.readouterr().err
    assert found.startswith(told) and found.count("\n") == bool(told)
