"""The bag that `python -m training.make_bag` writes, read with ROS's own tools."""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import rosbag
from cv_bridge import CvBridge

from training import make_bag as make_bag_module
from training.configuration import UserError
from training.houses import CLASS_NAMES
from training.make_bag import make_bag, plan_drive

REPOSITORY = Path(__file__).resolve().parents[2]
COLOUR, DEPTH, OBJECTS = (
    "/camera/color/image_raw",
    "/camera/aligned_depth_to_color/image_raw",
    "/camera/objects/image_raw",
)
CALIBRATION = "/camera/color/camera_info"


def command(*arguments):
    """Run the command as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "training.make_bag", *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp("bag") / "drive.bag"
    done = command(path, "seed=10000009", "seconds=4")
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def messages(bag):
    """{topic: [(time of the bag, message)]}."""
    found = defaultdict(list)
    with rosbag.Bag(str(bag)) as opened:
        for topic, message, time in opened.read_messages():
            found[topic].append((time, message))
    return found


def test_a_bag_has_the_topics_of_a_robot_with_a_depth_camera_at_their_rates(messages):
    counts = {topic: len(entries) for topic, entries in messages.items()}
    pictures = dict.fromkeys((COLOUR, CALIBRATION, DEPTH, OBJECTS), 40)
    assert counts == {**pictures, "/odom": 201, "/tf": 201, "/tf_static": 1}
    for topic, period in ((COLOUR, 100_000_000), ("/odom", 20_000_000)):
        stamps = [message.header.stamp.to_nsec() for _, message in messages[topic]]
        assert set(np.diff(stamps)) == {period}
        assert stamps == [time.to_nsec() for time, _ in messages[topic]]
    assert messages["/odom"][0][0] < messages[COLOUR][0][0] and messages[COLOUR][-1][0] < messages["/odom"][-1][0]


def test_the_last_line_says_path_seconds_messages_and_size(tmp_path):
    path = tmp_path / "a.bag"
    done = command(path, "seed=5", "seconds=1")
    with rosbag.Bag(str(path)) as opened:
        messages = opened.get_message_count()
    said = f"{path}: 1 s through house 5, {messages} messages, {path.stat().st_size / 1e6:.1f} MB, "
    assert done.stdout.startswith(said) and done.stdout.count("\n") == 1
    assert done.stderr == "10 of 10 pictures, 5 of some 5 MB\n"


def test_progress_is_rewritten_on_a_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    make_bag(tmp_path / "a.bag", 5, 0.4)
    assert capsys.readouterr().err.startswith("1 of 4 pictures, 0 of some 2 MB\r2 of 4 pictures, 1 of some 2 MB\r")


def test_messages_are_in_the_order_of_their_times(bag):
    with rosbag.Bag(str(bag)) as opened:
        times = [time.to_nsec() for _, _, time in opened.read_messages(raw=True)]
        offsets = [entry.time.to_nsec() for entry in opened._get_entries()]
    assert times == sorted(times) and offsets == sorted(offsets)


def test_pictures_of_one_moment_share_stamp_and_frame_and_open_with_cv_bridge(messages):
    bridge = CvBridge()
    for colour, depth, objects, calibration in zip(
        *(messages[t] for t in (COLOUR, DEPTH, OBJECTS, CALIBRATION)), strict=True
    ):
        headers = [message.header for _, message in (colour, depth, objects, calibration)]
        assert len({(header.stamp.to_nsec(), header.frame_id) for header in headers}) == 1
        assert headers[0].frame_id == "camera_color_optical_frame"
        assert bridge.imgmsg_to_cv2(colour[1], "bgr8").shape == (240, 320, 3) and colour[1].encoding == "rgb8"
        millimetres = bridge.imgmsg_to_cv2(depth[1], "passthrough")
        assert millimetres.shape == (240, 320) and millimetres.dtype == np.uint16 and depth[1].encoding == "16UC1"
        classes = bridge.imgmsg_to_cv2(objects[1], "mono8")
        assert classes.shape == (240, 320) and classes.max() < len(CLASS_NAMES)
    assert messages[CALIBRATION][0][1].K == (200.0, 0.0, 159.5, 0.0, 200.0, 119.5, 0.0, 0.0, 1.0)


def rotation(quaternion):
    """The matrix of a geometry_msgs/Quaternion."""
    x, y, z, w = quaternion.x, quaternion.y, quaternion.z, quaternion.w
    assert x * x + y * y + z * z + w * w == pytest.approx(1.0)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def matrix(translation, quaternion):
    """A 4 x 4 transformation."""
    transformation = np.eye(4)
    transformation[:3, :3] = rotation(quaternion)
    transformation[:3, 3] = translation.x, translation.y, translation.z
    return transformation


def camera_at(messages, stamp):
    """odom from the camera's optical frame at a picture's stamp: between two transforms, then the camera's mount."""
    base = [m.transforms[0] for _, m in messages["/tf"]]
    before = [t for t in base if t.header.stamp.to_sec() <= stamp][-1]
    after = [t for t in base if t.header.stamp.to_sec() > stamp][0]
    assert before.header.frame_id == "odom" and before.child_frame_id == "base_link"
    mount = messages["/tf_static"][0][1].transforms[0]
    assert mount.header.frame_id == "base_link" and mount.child_frame_id == "camera_color_optical_frame"
    mounted = matrix(mount.transform.translation, mount.transform.rotation)
    ends = [matrix(t.transform.translation, t.transform.rotation) for t in (before, after)]
    middle = (ends[0] + ends[1]) / 2  # pictures are taken midway, and the base turns by less than a degree between
    return middle @ mounted


def depth_of(messages, number):
    """Depth in metres (240, 320)."""
    return CvBridge().imgmsg_to_cv2(messages[DEPTH][number][1], "passthrough") / 1000.0


def test_depth_carried_to_another_camera_by_the_transforms_agrees_with_what_that_camera_sees(messages):
    for first, second in ((0, 10), (5, 15), (12, 22), (30, 38)):  # turning by 45 degrees, later driving
        depths = [depth_of(messages, number) for number in (first, second)]
        cameras = [camera_at(messages, messages[DEPTH][number][1].header.stamp.to_sec()) for number in (first, second)]
        row, column = np.mgrid[0:240:3, 0:320:3]
        z = depths[0][row, column]
        points = np.stack([(column - 159.5) / 200 * z, (row - 119.5) / 200 * z, z, np.ones_like(z)], axis=-1)
        carried = points.reshape(-1, 4) @ (np.linalg.inv(cameras[1]) @ cameras[0]).T
        carried = carried[carried[:, 2] > 0.1]
        u = np.round(carried[:, 0] / carried[:, 2] * 200 + 159.5).astype(int)
        v = np.round(carried[:, 1] / carried[:, 2] * 200 + 119.5).astype(int)
        seen = (u >= 0) & (u < 320) & (v >= 0) & (v < 240)
        behind = carried[seen, 2] - depths[1][v[seen], u[seen]]
        hidden = behind > 0.03  # by furniture that is nearer to the other camera
        assert seen.sum() > 1000 and hidden.mean() < 0.1
        assert np.mean(np.abs(behind[~hidden]) < 0.03) > 0.97, (first, second)


def test_the_robot_starts_at_the_origin_and_its_odometry_agrees_with_its_transforms(messages):
    first = messages["/odom"][0][1]
    assert (first.header.frame_id, first.child_frame_id) == ("odom", "base_link")
    assert (first.pose.pose.position.x, first.pose.pose.position.y, first.pose.pose.orientation.w) == (0.0, 0.0, 1.0)
    positions = []
    for (_, odometry), (_, transforms) in zip(messages["/odom"], messages["/tf"], strict=True):
        transform = transforms.transforms[0]
        position, translation = odometry.pose.pose.position, transform.transform.translation
        assert transform.header.stamp == odometry.header.stamp
        assert (position.x, position.y, position.z) == (translation.x, translation.y, translation.z)
        assert (rotation(odometry.pose.pose.orientation) == rotation(transform.transform.rotation)).all()
        positions.append((position.x, position.y))
    speeds = np.hypot(*np.diff(positions, axis=0).T) / 0.02
    assert speeds.max() <= 0.5 + 1e-6
    assert max(abs(m.twist.twist.angular.z) for _, m in messages["/odom"]) <= 0.8 + 1e-6
    assert max(m.twist.twist.linear.x for _, m in messages["/odom"]) == pytest.approx(speeds.max(), abs=0.01)


def test_the_cameras_mount_is_latched(bag):
    with rosbag.Bag(str(bag)) as opened:
        latched = {
            connection.topic for connection in opened._get_connections() if connection.header.get("latching") == b"1"
        }
    assert latched == {"/tf_static"}


def test_the_same_arguments_give_the_same_bag(tmp_path):
    for name in ("a.bag", "b.bag"):
        make_bag(tmp_path / name, 5, 0.5)
    assert (tmp_path / "a.bag").read_bytes() == (tmp_path / "b.bag").read_bytes()


def test_the_camera_can_have_another_size_and_rate(tmp_path):
    words = ("seconds=1", "seed=5", "camera.width=96", "camera.height=64", "camera.rate=30")
    done = command(tmp_path / "a.bag", *words)
    assert done.returncode == 0, done.stderr
    with rosbag.Bag(str(tmp_path / "a.bag")) as opened:
        pictures = [message for _, message, _ in opened.read_messages(COLOUR)]
        calibration = next(message for _, message, _ in opened.read_messages(CALIBRATION))
    assert len(pictures) == 30 and {(m.width, m.height) for m in pictures} == {(96, 64)}
    assert set(np.diff([m.header.stamp.to_nsec() for m in pictures])) == {33_333_333}
    assert (calibration.width, calibration.height) == (96, 64)
    assert calibration.K == (60.0, 0.0, 47.5, 0.0, 60.0, 31.5, 0.0, 0.0, 1.0)


def test_a_drive_there_and_back_ends_as_it_began():
    drive = plan_drive(5, 20.0, returns=True)
    poses = drive.base_poses(np.linspace(0, 20e9, 1001))
    start, end = poses[0], poses[-1]
    np.testing.assert_allclose(end, start + (0, 0, 2 * np.pi), atol=1e-6)
    assert np.hypot(*np.diff(poses[:, :2], axis=0).T).max() <= 0.5 * 0.02 + 1e-9
    assert abs(np.diff(poses[:, 2])).max() <= 0.8 * 0.02 + 1e-9
    assert np.hypot(*(poses[500, :2] - start[:2])) > 1.0
    assert np.hypot(*(poses[500:, :2] - poses[200, :2]).T).min() < 0.02  # the same way back


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("missing/a.bag",), "missing/a.bag cannot be written: No such file or directory"),
        (("a.bag", "sed=3"), "unknown key 'sed'; the nearest is 'seed'"),
        (("a.bag", "seconds=-1"), "seconds must be within 0.1 and 3600, found -1"),
        (("a.bag", "seed=-1"), "seed must not be negative, found -1"),
        (("a.bag", "there_and_back=true", "seconds=9"), "at least 10 for a drive there and back, found 9"),
        (("a.bag", "camera.rate=60"), "rate must be within 0.1 and 50, found 60"),
        (("a.bag", "camera.width=8"), "width and height must be within 16 and 4096, found 8 x 240"),
        ((".",), "cannot be written: it is a folder"),
    ],
)
def test_what_cannot_be_done_ends_in_one_line_and_leaves_nothing(tmp_path, arguments, complaint):
    done = command(tmp_path / arguments[0], *arguments[1:])
    assert done.returncode == 2 and complaint in done.stderr and done.stderr.count("\n") == 1
    assert list(tmp_path.rglob("*.bag*")) == []


def test_a_full_disk_leaves_the_bag_that_was_there(tmp_path, monkeypatch):
    bag = tmp_path / "a.bag"
    bag.write_bytes(b"an earlier bag")

    def run_out_of_space(writer, drive, camera, duration):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(make_bag_module, "write_messages", run_out_of_space)
    with pytest.raises(UserError, match="No space left on device"):
        make_bag(bag, 5, 0.5)
    assert bag.read_bytes() == b"an earlier bag" and list(tmp_path.iterdir()) == [bag]
