"""What is told of a topic that is not what an input needs names what there is and what to type."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from xmlrpc.server import SimpleXMLRPCServer

import pytest

from placenet_ros.node.topic_types import published_types, unfit_topic_line, wrong_type_line

RAW, COMPRESSED, ODOMETRY = "sensor_msgs/Image", "sensor_msgs/CompressedImage", "nav_msgs/Odometry"
CAMERA = {"/camera/image": RAW, "/camera/image/compressed": COMPRESSED}
DEPTH = {"/camera/depth": RAW, "/camera/depth/compressedDepth": COMPRESSED}


def test_topic_of_another_type_is_told_with_both_and_transforms_in_place_of_odometry_with_how_to_use_them():
    line = "odom: /x is sensor_msgs/Image, odom needs nav_msgs/Odometry; start again with odom:=/THE/TOPIC"
    assert wrong_type_line("odom", "/x", RAW, ODOMETRY) == line
    assert unfit_topic_line("odom", "/x", ODOMETRY, {"/x": RAW}) == line
    line = wrong_type_line("odom", "/tf", "tf2_msgs/TFMessage", ODOMETRY)
    assert line.endswith("; start again with odom:=/THE/TOPIC, or with pose_source:=tf")


def test_topic_like_which_nothing_is_published_has_no_line():
    for name, needed in (("odom", ODOMETRY), ("image", RAW), ("image", COMPRESSED)):
        assert unfit_topic_line(name, "/nothing", needed, CAMERA) is None
    assert unfit_topic_line("image", "/compressed", RAW, {"": RAW}) is None
    assert unfit_topic_line("image", "/x/compressed", COMPRESSED, {"/x": ODOMETRY}) is None


def test_topic_that_is_published_but_cannot_be_reached_is_told_as_that():
    line = unfit_topic_line("odom", "/odom", ODOMETRY, {"/odom": ODOMETRY})
    assert line.startswith("odom: /odom is published, but nothing comes from there: ")


@pytest.mark.parametrize(
    "name, topic, needed, types, settings",
    [
        ("image", "/camera/image/compressed", RAW, CAMERA, "image:=/camera/image image_transport:=compressed"),
        ("image", "/camera/image/compressed/compressed", COMPRESSED, CAMERA, "image:=/camera/image"),
        ("depth", "/camera/depth/compressedDepth", RAW, DEPTH, "depth:=/camera/depth depth_transport:=compressed"),
        ("objects", "/camera/image/compressed", RAW, CAMERA, "objects:=/camera/image depth_transport:=compressed"),
        ("image", "/camera/image", RAW, {"/camera/image/compressed": COMPRESSED}, "image_transport:=compressed"),
        ("image", "/camera/image/compressed", COMPRESSED, {"/camera/image": RAW}, "image_transport:=raw"),
        ("depth", "/camera/depth/compressedDepth", COMPRESSED, {"/camera/depth": RAW}, "depth_transport:=raw"),
        ("depth", "/camera/image/compressed", RAW, CAMERA, "depth:=/THE/TOPIC"),
        ("image", "/camera/depth", RAW, {"/camera/depth": ODOMETRY}, "image:=/THE/TOPIC"),
    ],
)
def test_images_that_come_by_the_other_transport_are_told_with_the_settings_for_it(
    name, topic, needed, types, settings
):
    line = unfit_topic_line(name, topic, needed, types)
    assert line.endswith(f"; start again with {settings}")
    assert ("nobody publishes" in line) == (topic not in types)


@pytest.fixture
def serve():
    """Starts a server of HTTP in a thread; returns its address."""
    servers = []

    def start(server):
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://localhost:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def master(answer):
    server = SimpleXMLRPCServer(("localhost", 0), logRequests=False)
    server.register_function(lambda caller, below: answer, "getPublishedTopics")
    return server


class Rubbish(BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<no xml")

    def log_message(self, *_):
        pass


def test_types_are_those_that_the_master_tells(serve):
    assert published_types(serve(master([1, "", [["/tf", "tf2_msgs/TFMessage"]]])), "/node") == {
        "/tf": "tf2_msgs/TFMessage"
    }


@pytest.mark.parametrize("answer", [[1, "", 7], [1], [1, "", ["/tf"]], [0, "no", 0], "no"])
def test_master_that_answers_something_else_does_no_harm(serve, answer):
    assert published_types(serve(master(answer)), "/node") == {}


def test_master_that_is_gone_or_answers_rubbish_or_nothing_does_no_harm(serve):
    assert published_types(serve(HTTPServer(("localhost", 0), Rubbish)), "/node") == {}
    with socket.create_server(("localhost", 0)) as silent:
        address = f"http://localhost:{silent.getsockname()[1]}"
        begun = time.monotonic()
        assert published_types(address, "/node") == {}
        assert time.monotonic() - begun < 20.0
    assert published_types(address, "/node") == {}
