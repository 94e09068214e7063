"""RViz's configuration and the launch file that opens it."""

import re
from pathlib import Path

import pytest
import rosbag
import rospy
import yaml
from roslaunch.config import ROSLaunchConfig
from roslaunch.xmlloader import XmlLoader
from sensor_msgs.msg import CameraInfo, CompressedImage
from tf2_msgs.msg import TFMessage

from training.make_bag import CameraConfig, make_bag

ROOT = Path(__file__).parents[2]
INPUTS = {"/image", "/odom"}  # remapped by view.launch as those of the node are


def displays():
    return yaml.safe_load((ROOT / "rviz" / "placenet.rviz").read_text())["Visualization Manager"]["Displays"]


def topics_of(display):
    return {value for key, value in display.items() if key.endswith("Topic")}


def published():
    """The node's private topics, as its code names them."""
    code = "\n".join(path.read_text() for path in (ROOT / "placenet_ros" / "node").glob("*.py"))
    return {f"/placenet_node/{name}" for name in re.findall(r'Publisher\(\s*"~([^"]+)"', code)}


def loaded(*words):
    """What view.launch would start, and with which parameters."""
    config = ROSLaunchConfig()
    XmlLoader().load(str(ROOT / "launch" / "view.launch"), config, argv=list(words), verbose=False)
    return config


def launched(*words):
    """{name: node} of what view.launch would start."""
    return {node.name: node for node in loaded(*words).nodes}


def test_rviz_shows_topics_that_there_are():
    topics = set().union(*map(topics_of, displays()))
    assert topics - published() == INPUTS
    assert {"/placenet_node/predicted/image", "/placenet_node/observations", "/placenet_node/places"} <= topics


def test_rviz_shows_nothing_for_which_samples_are_drawn():
    assert not any("uncertainty" in topic for display in displays() for topic in topics_of(display))


@pytest.mark.parametrize(
    "words, nodes",
    [
        ((), {"rviz", "placenet_node"}),
        (("node:=false",), {"rviz"}),
        (("house:=true",), {"rviz", "placenet_node", "house_robot"}),
    ],
)
def test_the_launch_file_starts_what_it_is_asked_for(words, nodes):
    assert set(launched(*words)) == nodes


@pytest.mark.parametrize("words, nodes", [((), {"placenet_node"}), (("node:=false",), set())])
def test_the_launch_file_replays_a_bag(tmp_path, words, nodes):
    make_bag(tmp_path / "drive.bag", 5, 1.0, CameraConfig(32, 32))
    assert set(launched(f"bag:={tmp_path}/drive.bag", *words)) == {"rviz", "replay_bag", *nodes}


def test_rviz_gets_the_robots_topics():
    nodes = launched("image:=/front/image_raw", "odom:=/wheels/odom")
    for node in nodes.values():
        assert {("image", "/front/image_raw"), ("odom", "/wheels/odom")} <= set(map(tuple, node.remap_args))


FORMS = {"image_transport": "compressed", "depth_transport": "raw", "pose_source": "tf", "odom_frame": "map",
         "base_frame": "base_footprint"}  # fmt: skip


@pytest.mark.parametrize("is_bag", [False, True])
def test_node_and_replay_take_the_forms_that_inputs_have(tmp_path, is_bag):
    words = [f"{name}:={value}" for name, value in FORMS.items()]
    if is_bag:
        walk = write_compressed_walk(tmp_path / "walk.bag")
        words.append(f"bag:={walk}")
    config = loaded(*words)
    assert {name: config.params[f"/placenet_node/{name}"].value for name in FORMS} == FORMS
    (rviz,) = [node for node in config.nodes if node.name == "rviz"]
    assert rviz.args.endswith("-f 'map'")


def write_compressed_walk(path):
    """A bag with one message of each topic that a robot with compressed images and TF has."""
    messages = {"/camera/color/image_raw/compressed": CompressedImage(), "/tf": TFMessage()}
    with rosbag.Bag(str(path), "w") as bag:
        for topic, message in {**messages, "/camera/color/camera_info": CameraInfo()}.items():
            bag.write(topic, message, rospy.Time(100))
    return path
