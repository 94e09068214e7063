"""Bags that are damaged, and replays that cannot be."""

import os
import subprocess
import sys

import pytest
import rosbag
import rosgraph
import rospy
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from placenet_ros.node import replay
from placenet_ros.node.images import camera_info_message
from placenet_ros.node.recorded_walk import read_walk
from placenet_ros.node.replay import BagError, check_bag, missing_companions
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


def bag_with(folder, messages):
    """The path of a bag with one message of each topic."""
    path = folder / "some.bag"
    with rosbag.Bag(str(path), "w") as bag:
        for topic, message in messages.items():
            bag.write(topic, message, rospy.Time(100))
    return str(path)


CAMERA_AND_ODOMETRY = {"/cam/image_raw": Image(), "/cam/camera_info": CameraInfo(), "/robot/odom": Odometry()}


@pytest.mark.parametrize(
    "wrong, lacks, advice",
    [
        ({"image": "/cam/imag_raw"}, "/cam/imag_raw (sensor_msgs/Image) for image", "try image:=/cam/image_raw"),
        ({"odom": "/odom"}, "/odom (nav_msgs/Odometry) for odom", "try odom:=/robot/odom"),
        ({"camera_info": "/camera_info"}, "for camera_info", "try camera_info:=/cam/camera_info"),
    ],
)
def test_topic_that_is_misspelt_is_named_with_those_of_its_type(tmp_path, wrong, lacks, advice):
    path = bag_with(tmp_path, {**CAMERA_AND_ODOMETRY, "/tf": TFMessage()})
    topics = {"image": "/cam/image_raw", "camera_info": "/cam/camera_info", "odom": "/robot/odom"}
    assert check_bag(path, topics) == 0.0
    with pytest.raises(BagError) as refused:
        check_bag(path, {**topics, **wrong})
    meant = advice.split(":=")[1]
    assert lacks in str(refused.value)
    assert str(refused.value).endswith(f"it has {meant} ({CAMERA_AND_ODOMETRY[meant]._type}); {advice}")


@pytest.mark.parametrize(
    "topic, transport, advice",
    [
        ("/cam/image_raw", "raw", "try image_transport:=compressed"),
        ("/cam/imag_raw", "raw", "try image:=/cam/image_raw image_transport:=compressed"),
        ("/cam/imag_raw", "compressed", "try image:=/cam/image_raw"),
        ("/rear/raw", "raw", "try image:=/rear/image"),
        ("/rear/image", "compressed", "try image_transport:=raw"),
    ],
)
def test_images_by_the_other_transport_or_on_another_topic_are_advised(tmp_path, topic, transport, advice):
    has = {"/cam/image_raw/compressed": CompressedImage(), "/cam/depth/compressedDepth": CompressedImage()}
    with pytest.raises(BagError) as refused:
        check_bag(bag_with(tmp_path, {**has, "/rear/image": Image()}), {"image": topic}, transport)
    assert str(refused.value).endswith(advice)


def test_depth_is_not_advised_for_colours(tmp_path):
    depth = {"/cam/imag_rawe": Image(encoding="16UC1"), "/rear/raw/compressed": CompressedImage(format="16UC1; png")}
    with pytest.raises(BagError) as refused:
        check_bag(bag_with(tmp_path, depth), {"image": "/cam/imag_raw"})
    assert str(refused.value).endswith("; nothing in it serves as image: record that as well")
    has_both = {**depth, "/front/rgb": Image(encoding="rgb8")}
    with pytest.raises(BagError, match="; try image:=/front/rgb$"):
        check_bag(bag_with(tmp_path, has_both), {"image": "/cam/imag_raw"})


def test_images_that_the_node_can_go_without_are_named_where_the_bag_lacks_them(tmp_path):
    path = bag_with(tmp_path, {**CAMERA_AND_ODOMETRY, "/depth/image_raw": Image()})
    topics = {"image": "/cam/image_raw", "depth": "/depth/imag_raw", "objects": "/objects"}
    depth, objects = missing_companions(path, topics, "raw", "configured")
    assert depth.endswith(
        "some.bag: no images on /depth/imag_raw: played without depth; other images in it: /depth/image_raw; "
        "perhaps depth:=/depth/image_raw"
    )
    assert "no images on /objects: played without objects" in objects
    topics["depth"] = "/depth/image_raw"
    (line,) = missing_companions(path, topics, "raw", "raw")
    assert line.endswith("played without objects")  # and no other image could be meant
    assert "without depth" in missing_companions(path, topics, "raw", "compressed")[0]


def test_what_is_advised_for_depth_is_not_advised_for_objects_too(tmp_path):
    path = bag_with(tmp_path, {**CAMERA_AND_ODOMETRY, "/front/depth": Image()})
    topics = {"image": "/cam/image_raw", "depth": "/camera/depth", "objects": "/camera/objects"}
    depth, objects = missing_companions(path, topics, "raw", "as_image")
    assert depth.endswith("perhaps depth:=/front/depth") and objects.endswith("played without objects")


def test_bag_without_any_calibration_is_to_be_recorded_with_it(tmp_path):
    path = bag_with(tmp_path, {"/cam/image_raw": Image()})
    with pytest.raises(BagError) as refused:
        check_bag(path, {"image": "/cam/imag_raw", "camera_info": "/cam/camera_info"})
    advice = "try image:=/cam/image_raw; nothing in it serves as camera_info: record that as well"
    assert str(refused.value).endswith(advice)


def test_program_of_the_package_is_found_once_by_rosrun(tmp_path):
    words = ["rosrun", "placenet_ros", "replay_bag", "check", "/nowhere.bag", "image=/image"]
    done = subprocess.run(words, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "error: /nowhere.bag: no such bag; give the path of a .bag file\n")


def test_compressed_depth_is_looked_for_as_the_node_does(tmp_path):
    path = bag_with(tmp_path, {"/depth/compressedDepth": CompressedImage(), "/objects/compressed": CompressedImage()})
    topics = {"image": "/cam", "depth": "/depth", "objects": "/objects"}
    assert missing_companions(path, topics, "compressed", "as_image") == []
    assert missing_companions(path, topics, "raw", "configured") == []
    assert len(missing_companions(path, topics, "compressed", "raw")) == 2
    topics["depth"] = "/deep"
    assert missing_companions(path, topics, "compressed", "as_image")[0].endswith("perhaps depth:=/depth")


@pytest.mark.parametrize("command", ["check", "play"])
def test_home_folder_in_a_bags_path_is_expanded(tmp_path, monkeypatch, capsys, command):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["replay_bag", command, "~/x.bag", *(["odom=odom"] if command == "check" else [])])
    assert replay.main() == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}/x.bag: no such bag")
    bag_with(tmp_path, CAMERA_AND_ODOMETRY)
    assert check_bag("~/some.bag", {"odom": "/robot/odom"}) == 0.0


@pytest.mark.parametrize("command", [["check", "b.bag", "odom=/odom"], ["play", "b.bag"]])
@pytest.mark.parametrize("rate", ["0", "-1", "nan", "fast"])
def test_rate_that_cannot_be_is_refused_before_anything_starts(monkeypatch, capsys, command, rate):
    monkeypatch.setattr(sys, "argv", ["replay_bag", *command, f"--rate={rate}"])
    assert replay.main() == 1
    assert capsys.readouterr().err.startswith("error: rate must be a number above 0")


@pytest.mark.parametrize("error, told", [(KeyboardInterrupt, ""), (ConnectionRefusedError, "error: not played")])
def test_wait_that_is_cut_short_ends_without_a_traceback(tmp_path, monkeypatch, capsys, error, told):
    def fail(*_):
        raise error

    monkeypatch.setattr(rosgraph.Master, "getPublishedTopics", fail)
    monkeypatch.setattr(sys, "argv", ["replay_bag", "play", bag_with(tmp_path, {}), "--after", "/ready"])
    assert replay.main() != 0
    found = capsys.readouterr().err
    assert found.startswith(told) and found.count("\n") == bool(told)


@pytest.mark.parametrize("ends, loop, notes", [("true", "false", 1), ("true", "true", 0), ("false", "false", 0)])
def test_red_end_of_roslaunch_is_announced_where_the_bag_ends_it(tmp_path, monkeypatch, capsys, ends, loop, notes):
    became = []
    monkeypatch.setattr(os, "execvp", lambda program, words: became.append(words))
    words = ["play", bag_with(tmp_path, {}), f"--ends={ends}", f"--loop={loop}"]
    monkeypatch.setattr(sys, "argv", ["replay_bag", *words])
    assert replay.main() == 0
    assert became[0][:2] == ["rosbag", "play"]
    assert capsys.readouterr().out.count("REQUIRED") == notes
