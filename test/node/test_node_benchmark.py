"""The benchmark of the node: what it plays and counts, and two minutes of it, in which nothing may be lost or grow.

No times are asserted: the machine may be busy.
"""

import itertools
import json
import math
import subprocess
import sys
from io import BytesIO
from types import SimpleNamespace

import pytest
import rosbag
from nav_msgs.msg import Odometry

from benchmarks.bag_player import Restamped, played
from benchmarks.node import (
    IMAGE,
    Keyframes,
    Measured,
    NodeBenchmark,
    Sample,
    bag_to_play,
    figures,
    keyframes,
    sent_poses,
)
from placenet_ros.node.keyframes import KeyframeGate
from placenet_ros.node.parameters import NodeParameters
from placenet_ros.scene.viewpoints import CameraPose
from training.configuration import REPOSITORY, UserError
from training.make_bag import CameraConfig, make_bag

TOPICS = ["/tf_static", "/tf", "/odom", IMAGE]
MOST_GROWTH = 150.0  # MiB in two minutes, once the first observations are held; generous


@pytest.fixture(scope="module")
def small_bag(tmp_path_factory):
    path = tmp_path_factory.mktemp("bag") / "drive.bag"
    make_bag(path, 5, 10.0, CameraConfig(64, 48, 10.0), returns=True)
    return str(path)


def test_a_message_is_published_as_it_lies_in_the_bag_but_for_its_stamp(small_bag):
    with rosbag.Bag(small_bag) as bag:
        _, original, _ = next(bag.read_messages("/odom"))
        _, raw, _ = next(bag.read_messages("/odom", raw=True))
    written = BytesIO()
    Restamped(raw[1], 1_800_000_000_123_456_789, 4).serialize(written)
    found = Odometry().deserialize(written.getvalue())
    assert found.header.stamp.to_nsec() == 1_800_000_000_123_456_789
    found.header.stamp = original.header.stamp
    assert str(found) == str(original)


def test_the_bag_begins_again_at_its_end_without_a_gap_or_a_jump(small_bag):
    with rosbag.Bag(small_bag) as bag:
        moments = list(itertools.takewhile(lambda moment: moment.offset < 21e9, played(bag, TOPICS)))
    by_topic = {topic: [moment for moment in moments if moment.topic == topic] for topic in TOPICS}
    assert len(by_topic["/tf_static"]) == 1
    for topic, period in (("/odom", 20_000_000), (IMAGE, 100_000_000)):
        offsets = [moment.offset for moment in by_topic[topic]]
        assert {b - a for a, b in zip(offsets, offsets[1:])} == {period}
    poses = [Odometry().deserialize(moment.data).pose.pose.position for moment in by_topic["/odom"]]
    assert max(math.hypot(b.x - a.x, b.y - a.y) for a, b in zip(poses, poses[1:])) <= 0.5 * 0.02 + 1e-9


def test_poses_of_what_was_sent_go_on_from_round_to_round(small_bag):
    sent = list(sent_poses(small_bag, 1_000, 250))
    assert [stamp for stamp, _ in sent[:2]] == [10_001_000, 110_001_000]
    assert sent[100][0] == 10_010_001_000 and sent[100][1] == sent[0][1]
    steps = [a.distance_to(b) for (_, a), (_, b) in zip(sent, sent[1:])]
    assert max(steps) <= 0.5 * 0.1 + 0.1 * 0.8 * 0.1 + 1e-3  # the camera is ahead of the base, which turns


def test_an_image_that_was_due_and_not_encoded_is_counted():
    poses = [(stamp, CameraPose((0.1 * stamp, 0.0, 0.0), 0.0, 0.0)) for stamp in range(7)]  # due: 0, 2, 4, 6

    def counted(*encoded):
        return keyframes(iter(poses), KeyframeGate(0.19, 1.0, 0.0), set(encoded))

    assert counted(0, 2, 4, 6) == Keyframes(due=4, encoded=4, not_due=0)
    assert counted(0, 3, 5) == Keyframes(due=4, encoded=3, not_due=0)  # 2 was passed over
    assert counted(0, 1, 3, 5) == Keyframes(due=3, encoded=3, not_due=1)


def test_views_from_before_and_after_the_bag_count_for_no_rate(small_bag):
    second, start = 1_000_000_000, 1_000_000_000_000
    views = list(range(start - second, start + 33 * second, second // 2))  # for a second before, and three after
    listener = SimpleNamespace(embeddings=[], views=views, diagnostics={})
    samples = [Sample(start + number * second, 1, {"node": 0.0}) for number in range(31)]
    player = {"start": start, "images": {IMAGE: 0}, "late_ms": {}}
    measured = Measured(player, listener, NodeParameters(), samples)
    found = figures(NodeBenchmark(minutes=0.5), small_bag, measured)
    assert [row["views_per_second"] for row in found["rows"]] == [2.0] * len(found["rows"])
    assert found["views_per_second"] == 2.0


@pytest.fixture(scope="module")
def one_way_bag(tmp_path_factory):
    path = tmp_path_factory.mktemp("bag") / "one_way.bag"
    make_bag(path, 5, 6.0, CameraConfig(64, 48, 10.0))
    return str(path)


def copied(bag, path, change):
    """A bag with other messages: change takes topic and message, and returns which to write, None for none."""
    with rosbag.Bag(bag) as original, rosbag.Bag(str(path), "w") as copy:
        for topic, message, time in original.read_messages():
            written = change(topic, message)
            if written is not None:
                copy.write(*written, time)
    return str(path)


def without(*topics):
    return lambda topic, message: None if topic in topics else (topic, message)


def renamed(topic, message):
    return topic.replace("/camera/", "/front/"), message


def mounted_elsewhere(topic, message):
    if topic == "/tf_static":
        message.transforms[0].child_frame_id = "laser"
    return topic, message


def test_a_bag_that_loops_is_played(small_bag):
    assert bag_to_play(NodeBenchmark(bag=small_bag), None) == small_bag


@pytest.mark.parametrize(
    "change, complaint",
    [
        (without("/odom"), r"lacks /odom \(nav_msgs/Odometry\); it has /camera/aligned"),
        (without("/tf_static", "/tf"), "lacks /tf_static .*, /tf "),
        (without("/camera/color/camera_info"), "lacks /camera/color/camera_info"),
        (renamed, "lacks /camera/color/camera_info .*; it has /front/aligned"),
        (lambda topic, message: None, "it has no messages at all"),
        (mounted_elsewhere, "/tf_static does not begin with the transform from base_link to camera_color"),
    ],
)
def test_a_bag_that_lacks_something_is_refused_in_one_line(small_bag, tmp_path, change, complaint):
    bag = copied(small_bag, tmp_path / "other.bag", change)
    with pytest.raises(UserError, match=complaint) as error:
        bag_to_play(NodeBenchmark(bag=bag), tmp_path)
    assert "\n" not in str(error.value) and "python -m training.make_bag" in str(error.value)


def test_a_bag_whose_robot_does_not_return_is_refused(one_way_bag, tmp_path):
    with pytest.raises(UserError, match=r"the robot is \d\.\d\d m and \d+ degrees from where it began"):
        bag_to_play(NodeBenchmark(bag=one_way_bag), tmp_path)


def test_a_bag_with_images_from_after_its_odometry_is_refused(small_bag, tmp_path):
    numbers = itertools.count()

    def odometry_at_first(topic, message):
        return None if topic == "/odom" and next(numbers) > 2 else (topic, message)

    bag = copied(small_bag, tmp_path / "short.bag", odometry_at_first)
    with pytest.raises(UserError, match="images from before or after"):
        bag_to_play(NodeBenchmark(bag=bag), tmp_path)


@pytest.mark.parametrize("content, complaint", [(None, "no such bag"), (b"text", "not a bag"), (b"", "not a bag")])
def test_what_is_no_bag_ends_with_one_line_and_a_status(tmp_path, content, complaint):
    path = tmp_path / "some.bag"
    if content is not None:
        path.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.node", f"bag={path}"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and complaint in done.stderr


@pytest.fixture(scope="module")
def two_minutes(tmp_path_factory):
    """Figures and lines of the benchmark of two minutes."""
    result = tmp_path_factory.mktemp("benchmark") / "node.json"
    words = ["minutes=2", "bag_seconds=20", f"json={result}"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.node", *words], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(result.read_text()), done.stdout.splitlines()


def test_two_minutes_of_a_camera_are_served_and_every_count_agrees(two_minutes):
    found, _ = two_minutes
    diagnostics, counted = found["diagnostics"], found["keyframes"]
    assert found["images"][IMAGE] == 3600
    assert 0 < int(diagnostics["images received"]) <= 3600
    encoded = sum(row["observations"] for row in found["rows"])
    assert 0 < counted["encoded"] <= counted["due"] and counted["not_due"] == 0
    assert encoded == counted["encoded"] == int(diagnostics["keyframes"])
    assert found["views_per_second"] > 0
    assert [line for line in found["log"] if "[WARN]" not in line] == []


def test_two_minutes_of_a_camera_fill_no_memory(two_minutes):
    rows = two_minutes[0]["rows"]
    assert rows[-1]["memory_mib"] - rows[1]["memory_mib"] < MOST_GROWTH


def test_what_is_printed_says_all_of_it(two_minutes):
    found, lines = two_minutes
    assert len([line for line in lines if line.startswith("| ")]) == 2 + len(found["rows"]) + 1
    assert any(line.startswith(f"keyframes: {found['keyframes']['due']} due") for line in lines)
