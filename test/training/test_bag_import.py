"""`python -m training.convert bag`: real bags, most of them the demonstration's with its messages edited."""

import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag1 import Reader, Writer

from placenet_ros.node.image_layout import ImageError
from training.configuration import UserError, parse
from training.conversion import bag_images
from training.conversion.bag_file import TYPES, nanoseconds
from training.conversion.bags import BagImport, convert_bag, find_topics, import_bag, opened_bag
from training.data.dataset import ShardSet
from training.houses.pictures import HousePictures
from training.make_bag import IMAGE_OFFSET, START, CameraConfig, from_start, make_bag, plan_drive
from training.trajectory import Trajectory

REPOSITORY = Path(__file__).resolve().parents[2]
SEED, SECONDS = 10_000_009, 12.0
IMAGE, DEPTH = "/camera/color/image_raw", "/camera/aligned_depth_to_color/image_raw"
OBJECTS, CAMERA_INFO = "/camera/objects/image_raw", "/camera/color/camera_info"
HUGE_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0\0\xff\xff" * 2 + bytes(9) + b"\0\0\0\0IEND\xaeB`\x82"
PICTURES = (IMAGE, DEPTH, OBJECTS, CAMERA_INFO)
IMAGE_PERIOD = CameraConfig().period


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """The demonstration's bag: 12 s, 120 images."""
    path = tmp_path_factory.mktemp("bags") / "drive.bag"
    make_bag(path, SEED, SECONDS)
    return path


@pytest.fixture(scope="module")
def drive():
    return plan_drive(SEED, SECONDS)


@pytest.fixture(scope="module")
def imported(bag):
    """The one trajectory of the bag as it is."""
    trajectories, dropped = converted(bag)
    assert len(trajectories) == 1 and dropped == []
    return trajectories[0]


def configured(path, *settings):
    return parse(BagImport, [str(path), str(Path(path).parent / "unused"), *settings], "training.convert bag")


def converted(path, *settings):
    """The trajectories of a bag, and the lines on what was dropped."""
    config = configured(path, *settings)
    with opened_bag(path) as opened:
        topics = find_topics(opened, config)
    items = list(convert_bag(str(path), config, topics.modalities))
    trajectories = [item for item in items if isinstance(item, Trajectory)]
    return trajectories, [item.reason for item in items if not isinstance(item, Trajectory)]


def edited(source, target, edit):
    """A copy of a bag; edit(topic, time, message) gives the (topic, time, message, type) to write instead.

    Times are nanoseconds after the bag's first message.
    """
    with Reader(source) as reader, Writer(target) as writer:
        connections = {}
        for connection, time, data in reader.messages():
            message = TYPES.deserialize_ros1(data, connection.msgtype)
            for topic, new_time, new, kind in edit(connection.topic, time - START, message, connection.msgtype):
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=TYPES)
                writer.write(connections[topic], START + new_time, TYPES.serialize_ros1(new, kind))
    return target


def moved_in_time(message, shift):
    """The message with the stamp of its header moved by so many nanoseconds; of a TFMessage, its first transform's."""
    if hasattr(message, "transforms"):
        return replace(message, transforms=[moved_in_time(entry, shift) for entry in message.transforms])
    seconds, rest = divmod(nanoseconds(message.header.stamp) + shift, 1_000_000_000)
    stamp = TYPES.types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=rest)
    return replace(message, header=replace(message.header, stamp=stamp))


def times_of_images():
    return np.arange(IMAGE_OFFSET, int(SECONDS * 1e9), IMAGE_PERIOD)


def true_poses(drive, times):
    """Poses (n, 5) of the drive's camera in its odometry's frame."""
    poses = drive.camera_poses(times)
    poses[:, [0, 1, 3]] = from_start(poses[:, [0, 1, 3]], drive.base_poses([0])[0])
    return poses


def in_house(drive, poses):
    """Poses (n, 5) in the odometry's frame, as poses in the house."""
    x, y, heading = drive.base_poses([0])[0]
    house = np.array(poses, np.float64)
    house[:, 0] = x + np.cos(heading) * poses[:, 0] - np.sin(heading) * poses[:, 1]
    house[:, 1] = y + np.sin(heading) * poses[:, 0] + np.cos(heading) * poses[:, 1]
    house[:, 3] += heading
    return house


def pictures_at(drive, poses, width=64, height=64, field_of_view=60.0):
    with HousePictures(width, height, field_of_view) as camera:
        camera.load(drive.house)
        return camera.take(in_house(drive, poses))


def angle(radians):
    return np.abs((np.asarray(radians) + np.pi) % (2 * np.pi) - np.pi)


def nearest_images(drive, poses):
    """Which of the bag's images each pose is of; the pose must be that image's within 2 mm and a tenth of a degree."""
    truth = true_poses(drive, times_of_images())
    numbers = [int(np.argmin(np.abs(truth[:, :3] - pose[:3]).sum(1) + angle(truth[:, 3] - pose[3]))) for pose in poses]
    assert np.abs(truth[numbers, :3] - poses[:, :3]).max() < 0.002
    assert angle(truth[numbers, 3:] - poses[:, 3:]).max() < np.radians(0.1)
    return numbers


def assert_same_views(trajectory, drive):
    """Its pictures are those that the data set's camera would have taken at its poses."""
    rendered = pictures_at(drive, trajectory.poses)
    colour = np.abs(trajectory.rgb.astype(int) - rendered.rgb)
    assert np.median(colour) <= 2 and colour.mean() < 5, (np.median(colour), colour.mean())
    depth = np.abs(trajectory.depth / 1000 - rendered.depth)
    assert (depth < 0.02).mean() > 0.9, (depth < 0.02).mean()
    assert (trajectory.objects == rendered.objects).mean() > 0.95, (trajectory.objects == rendered.objects).mean()


def assert_equal(one, other):
    for name in ("poses", "rgb", "depth", "objects"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


# ---- What comes of a bag ---------------------------------------------------------------------------------------------


def test_a_bag_becomes_the_views_and_poses_of_its_keyframes(imported, drive):
    numbers = nearest_images(drive, imported.poses)
    truth, expected = true_poses(drive, times_of_images()), [0]
    for number, pose in enumerate(truth):
        moved = np.linalg.norm(pose[:3] - truth[expected[-1], :3])
        turned = angle(pose[3] - truth[expected[-1], 3]) * np.cos(pose[4])
        if moved >= 0.2 or turned >= np.radians(15):
            expected.append(number)
    assert len(expected) > 20 and numbers == expected
    assert_same_views(imported, drive)


def test_the_command_writes_a_data_set_that_is_read_back_where_there_is_no_ros(bag, imported, tmp_path):
    ros = ["rospy", "roslib", "rosbag", "genpy", "cv_bridge", "sensor_msgs", "nav_msgs", "tf2_ros"]
    command = f"import sys; sys.modules.update(dict.fromkeys({ros})); import runpy; runpy.run_module('training.convert'"
    done = subprocess.run(
        [sys.executable, "-c", f"{command}, run_name='__main__')", "bag", str(bag), str(tmp_path / "set")],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"120 images, {len(imported.poses)} keyframes, 1 trajectory" in done.stderr
    data = ShardSet(tmp_path / "set")
    assert data.description.modalities == ("rgb", "depth", "objects") and data.description.field_of_view_degrees == 60
    frames = data.read(0)
    np.testing.assert_array_equal(frames.poses, imported.poses)
    np.testing.assert_array_equal(frames.depth, imported.depth)
    assert (tmp_path / "set" / "paths.png").exists()
    assert len(data) == 1 and np.abs(frames.rgb.astype(int) - imported.rgb).mean() < 5  # JPEG


def test_tf_gives_the_poses_that_odometry_gives(bag, imported, tmp_path):
    def without_odometry(topic, time, message, kind):
        return [(topic, time, message, kind)] * (topic != "/odom")

    path = edited(bag, tmp_path / "a.bag", without_odometry)
    (trajectory,), _ = converted(path, "pose_source=tf", "world_frame=odom")
    assert_equal(trajectory, imported)


def test_the_cameras_mounting_comes_from_moving_transforms_or_from_a_setting(bag, imported, tmp_path):
    mount = []

    def mounted_by_tf(topic, time, message, kind):
        if topic != "/tf_static":
            again = [moved_in_time(entry, time) for entry in mount] if topic == "/odom" else []
            return [(topic, time, message, kind), *(("/tf", time, entry, "tf2_msgs/msg/TFMessage") for entry in again)]
        mount.append(message)
        return []

    (trajectory,), _ = converted(edited(bag, tmp_path / "a.bag", mounted_by_tf))
    np.testing.assert_allclose(trajectory.poses, imported.poses, atol=1e-6)
    place = mount[0].transforms[0].transform
    at, turn = place.translation, place.rotation
    numbers = ",".join(map(repr, (at.x, at.y, at.z, turn.x, turn.y, turn.z, turn.w)))

    def without_tf(topic, time, message, kind):
        return [(topic, time, message, kind)] * ("tf" not in topic)

    path = edited(bag, tmp_path / "b.bag", without_tf)
    (trajectory,), _ = converted(path, f"base_to_camera={numbers}")
    assert_equal(trajectory, imported)
    with pytest.raises(UserError, match="no transform from camera_color_optical_frame to base_link: .* base_to_camera"):
        converted(path)


def as_compressed(topic, time, message, kind):
    """Images as image_transport compresses them, without loss."""
    if topic not in (IMAGE, DEPTH):
        return [(topic, time, message, kind)]
    if topic == IMAGE:
        pixels = message.data.reshape(message.height, message.width, 3)[..., ::-1]
        name, head = "rgb8; png compressed bgr8", b""
    else:
        pixels = message.data.view("<u2").reshape(message.height, message.width)
        name, head = "16UC1; compressedDepth", bytes(12)
    data = np.frombuffer(head + cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes(), np.uint8)
    compressed = TYPES.types["sensor_msgs/msg/CompressedImage"](header=message.header, format=name, data=data)
    suffix = "/compressed" if topic == IMAGE else "/compressedDepth"
    return [(topic + suffix, time, compressed, "sensor_msgs/msg/CompressedImage")]


def as_others_write_it(topic, time, message, kind):
    """Rows with padding, blue first; depth in big-endian metres with NaN for none."""
    if topic == IMAGE:
        rows = message.data.reshape(message.height, message.width, 3)[..., ::-1].reshape(message.height, -1)
        padded = np.pad(rows, ((0, 0), (0, 10)), constant_values=77)
        message = replace(message, encoding="bgr8", step=padded.shape[1], data=padded.reshape(-1))
    elif topic == DEPTH:
        metres = message.data.view("<u2").astype(">f4") / np.float32(1000)
        metres[metres == 0] = np.nan
        data = metres.astype(">f4").view(np.uint8)
        message = replace(message, encoding="32FC1", is_bigendian=1, step=4 * message.width, data=data)
    return [("/front" + topic if topic in PICTURES else topic, time, message, kind)]


@pytest.mark.parametrize("edit", [as_compressed, as_others_write_it])
def test_other_encodings_and_topics_of_the_same_pixels_give_the_same_pictures(bag, imported, tmp_path, edit):
    settings = [] if edit is as_compressed else [f"objects=/front{OBJECTS}"]
    (trajectory,), dropped = converted(edited(bag, tmp_path / "a.bag", edit), *settings)
    assert_equal(trajectory, imported)
    assert dropped == []


def compressed(name, data):
    header = TYPES.types["std_msgs/msg/Header"](0, TYPES.types["builtin_interfaces/msg/Time"](0, 0), "camera")
    kind = TYPES.types["sensor_msgs/msg/CompressedImage"]
    return kind(header=header, format=name, data=np.frombuffer(data, np.uint8))


def test_compressed_depth_in_metres_is_read_back_to_its_quantisation():
    """As compressed_depth_image_transport writes 32FC1: 16 bits of the inverse, best near the camera."""
    metres = np.linspace(0.3, 9.0, 64 * 48, dtype=np.float32).reshape(48, 64)
    metres[:4] = 0
    scale, farthest = 100.0 * 101.0, 10.0
    offset = 1 - scale / farthest
    quantised = np.where(metres > 0, scale / np.maximum(metres, 0.1) + offset, 0).astype(np.uint16)
    data = struct.pack("<iff", 0, scale, offset) + cv2.imencode(".png", quantised)[1].tobytes()
    found = bag_images.millimetres(bag_images.depth(compressed("32FC1; compressedDepth png", data))) / 1000
    assert (found[:4] == 0).all() and (np.abs(found - metres)[4:] < 0.0005 + metres[4:] ** 2 / scale).all()


@pytest.mark.parametrize(
    ("read", "name", "data", "complaint"),
    [
        ("depth", "16UC1; compressedDepth rvl", bytes(100), "compressedDepth rvl' is not supported"),
        ("colours", "jpeg", b"\xff\xd8\xff" + bytes(100), "damaged"),
        ("colours", "h264", bytes(100), "neither a JPEG nor a PNG"),
        ("colours", "png", HUGE_PNG, "claims 65535 x 65535 pixels"),
        ("labels", "jpeg", b"\xff\xd8\xff" + bytes(100), "compressed class ids must be a PNG"),
    ],
)
def test_compressed_images_that_cannot_be_used_are_named_before_they_are_decoded(read, name, data, complaint):
    with pytest.raises(ImageError, match=complaint):
        getattr(bag_images, read)(compressed(name, data))


def test_depth_is_taken_unnamed_only_if_it_is_aligned_to_the_image_and_the_only_one(bag, tmp_path):
    def found(edit, name):
        path = edited(bag, tmp_path / name, short(edit))
        with opened_bag(path) as opened:
            return find_topics(opened, configured(path)).depth

    def of_its_own_camera(topic, time, message, kind):
        if topic == DEPTH:
            message = replace(message, header=replace(message.header, frame_id="camera_depth_optical_frame"))
        return [(topic.replace("aligned_depth_to_color", "depth"), time, message, kind)]

    def in_two(topic, time, message, kind):
        copies = ("/near", "/far") if topic == DEPTH else (topic,)
        return [(copy, time, message, kind) for copy in copies]

    assert found(of_its_own_camera, "a.bag") is None
    with pytest.raises(UserError, match="several topics could be depth: set depth= to one of /far, /near, or depth=n"):
        found(in_two, "b.bag")


# ---- Breaks ----------------------------------------------------------------------------------------------------------

GAP, BACK, RESET = (3_000_000_000, 4_500_000_000), 7_000_000_000, 9_500_000_000  # nanoseconds after the start


def test_gaps_jumps_of_time_and_resets_of_odometry_split_the_trajectory(bag, drive, tmp_path, capsys):
    """Odometry is silent for 1.5 s; then all stamps jump back by 100 s; then odometry begins again at the origin."""

    def broken(topic, time, message, kind):
        if topic == "/odom" and GAP[0] <= time < GAP[1]:
            return []
        if topic == "/odom" and time >= RESET:
            message = from_the_reset(message)
        if topic != "/tf_static" and time >= BACK:
            message = moved_in_time(message, -100_000_000_000)
        return [(topic, time, message, kind)]

    start = from_start(drive.base_poses([RESET]), drive.base_poses([0])[0])[0]

    def from_the_reset(message):
        pose = message.pose.pose
        heading = 2 * np.arctan2(pose.orientation.z, pose.orientation.w)
        x, y, heading = from_start(np.array([[pose.position.x, pose.position.y, heading]]), start)[0]
        turned = replace(pose.orientation, z=np.sin(heading / 2), w=np.cos(heading / 2))
        pose = replace(pose, position=replace(pose.position, x=float(x), y=float(y)), orientation=turned)
        return replace(message, pose=replace(message.pose, pose=pose))

    path = edited(bag, tmp_path / "a.bag", broken)
    pieces, dropped = converted(path, "shortest=1")
    numbers = [nearest_images(drive, piece.poses) for piece in pieces[:3]]
    for piece in pieces[:3]:
        assert_same_views(piece, drive)
    images = times_of_images()
    last, first = images[numbers[0][-1]], images[numbers[1][0]]
    assert len(pieces) == 4 and last < GAP[0] and GAP[1] <= first < GAP[1] + 1.5 * IMAGE_PERIOD
    assert images[numbers[1][-1]] < BACK <= images[numbers[2][0]] < BACK + 1.5 * IMAGE_PERIOD
    assert np.abs(pieces[3].poses[0, :2]).max() < 0.2 < np.abs(start[:2]).max()  # of the new origin
    assert dropped == ["15 x image: no odometry on both sides of the image's stamp, without a gap between"]
    line = capsys.readouterr().err
    for reason in ("poses silent for longer than longest_gap (1)", "time jumped back (1)", "the pose jumped"):
        assert reason in line
    pieces, dropped = converted(path, "shortest=7")
    assert all(len(piece.poses) >= 7 for piece in pieces) and 0 < len(pieces) < 4
    assert any("keyframe of a trajectory with fewer than shortest=7 frames" in line for line in dropped)


def test_a_recording_whose_clock_began_again_is_read_as_it_was_recorded(bag, imported, drive, tmp_path):
    """As of a simulation that was reset: stamps and times of recording both repeat. Sorted by time, they would mix."""

    def again(topic, time, message, kind):
        back = 5_000_000_000 if time >= BACK else 0
        message = moved_in_time(message, -back) if back else message
        return [(topic, time - back, message, kind)]

    pieces, dropped = converted(edited(bag, tmp_path / "a.bag", again), "shortest=1")
    numbers = [nearest_images(drive, piece.poses) for piece in pieces]
    assert len(pieces) == 2 and np.diff(np.concatenate(numbers)).min() > 0
    assert len(dropped) <= 1  # the last image before the jump has no odometry after it
    np.testing.assert_array_equal(pieces[0].rgb, imported.rgb[: len(pieces[0].rgb)])


def test_images_that_stay_away_split_and_a_long_drive_is_cut(bag, imported, tmp_path):
    def without_images(topic, time, message, kind):
        return [] if topic in PICTURES and GAP[0] <= time < GAP[1] else [(topic, time, message, kind)]

    def with_broken_images(topic, time, message, kind):
        if topic == IMAGE and GAP[0] <= time < GAP[1]:
            message = replace(message, data=message.data[:1000])
        return [(topic, time, message, kind)]

    for edit in (without_images, with_broken_images):
        pieces, _ = converted(edited(bag, tmp_path / f"{edit.__name__}.bag", edit), "shortest=1")
        assert len(pieces) == 2
    pieces, _ = converted(bag, "shortest=1", "longest=10")
    assert [len(piece.poses) for piece in pieces[:2]] == [10, 10]
    np.testing.assert_array_equal(pieces[0].rgb, imported.rgb[:10])


def test_images_without_depth_of_their_stamp_are_not_used(bag, drive, tmp_path):
    """Depth of every other image is missing; of the others it is 15 ms late, which is near enough."""

    def late(topic, time, message, kind):
        if topic == DEPTH and (time - IMAGE_OFFSET) // IMAGE_PERIOD % 2:
            return []
        message = moved_in_time(message, 15_000_000) if topic == DEPTH else message
        return [(topic, time, message, kind)]

    path = edited(bag, tmp_path / "a.bag", late)
    (trajectory,), dropped = converted(path, "shortest=1")
    assert all(number % 2 == 0 for number in nearest_images(drive, trajectory.poses))
    assert_same_views(trajectory, drive)
    assert len(dropped) == 1 and f"no depth on {DEPTH} within join_tolerance=0.02 s" in dropped[0]
    (trajectory,), dropped = converted(path, "depth=none")
    assert trajectory.depth is None and dropped == []
    with pytest.raises(UserError, match="no trajectory of 20 frames .* no depth on"):
        converted(path, "join_tolerance=0.01")


# ---- Cameras ---------------------------------------------------------------------------------------------------------

DISTORTION = (-0.25, 0.06, 0.001, -0.0005, 0.0)


def test_a_distorted_camera_is_rectified_by_its_calibration(bag, drive, tmp_path):
    """What a lens makes of pictures of 94 x 77 degrees, taken at the bag's own poses."""
    grid = np.stack(np.meshgrid(np.arange(640), np.arange(480)), -1).reshape(-1, 1, 2).astype(np.float32)
    intrinsics = np.array([[300.0, 0, 319.5], [0, 300.0, 239.5], [0, 0, 1]])
    ideal = cv2.undistortPoints(grid, intrinsics, np.array(DISTORTION), P=intrinsics).reshape(480, 640, 2)
    # rendered wider than the lens sees, with the same focal length
    columns, rows = 1200, 900
    maps = np.float32(ideal[..., 0] + (columns - 640) / 2), np.float32(ideal[..., 1] + (rows - 480) / 2)
    assert maps[0].min() > 0 and maps[0].max() < columns - 1 and maps[1].min() > 0 and maps[1].max() < rows - 1
    angle_of_view = 2 * np.degrees(np.arctan(columns / 2 / 300.0))

    times = times_of_images()[:30:3]
    pictures = pictures_at(drive, true_poses(drive, times), columns, rows, angle_of_view)
    depth = np.round(pictures.depth * 1000).astype("<u2")
    taken = {
        int(time): {
            IMAGE: cv2.remap(pictures.rgb[number], *maps, cv2.INTER_LINEAR),
            DEPTH: cv2.remap(depth[number], *maps, cv2.INTER_NEAREST),
            OBJECTS: cv2.remap(pictures.objects[number], *maps, cv2.INTER_NEAREST),
        }
        for number, time in enumerate(times)
    }

    def through_a_lens(topic, time, message, kind):
        if topic not in PICTURES:
            return [(topic, time, message, kind)]
        if time not in taken:
            return []
        size = {"width": 640, "height": 480}
        if topic == CAMERA_INFO:
            message = replace(message, **size, D=np.array(DISTORTION), K=intrinsics.reshape(-1))
            return [(topic, time, message, kind)]
        pixels = taken[time][topic]
        message = replace(message, **size, step=pixels.nbytes // 480, data=pixels.reshape(-1).view(np.uint8))
        return [(topic, time, message, kind)]

    path = edited(bag, tmp_path / "a.bag", through_a_lens)
    (trajectory,), _ = converted(path, "shortest=1")
    assert len(trajectory.poses) >= 5
    assert_same_views(trajectory, drive)

    def renamed(topic, time, message, kind):
        return [(topic.replace("color/image_raw", "color/image_rect"), time, message, kind)]

    rectified = edited(path, tmp_path / "b.bag", renamed)
    for source, settings in ((path, ["input_is_rectified=true"]), (rectified, [])):
        (wrong,), _ = converted(source, "shortest=1", *settings)
        assert np.abs(wrong.rgb.astype(int) - trajectory.rgb).mean() > 5


def test_a_field_of_view_stands_in_for_camera_info_and_a_narrow_camera_is_padded(bag, imported, tmp_path, capsys):
    def without_calibration(topic, time, message, kind):
        return [(topic, time, message, kind)] * (topic != CAMERA_INFO)

    path = edited(bag, tmp_path / "a.bag", without_calibration)
    (trajectory,), _ = converted(path, f"field_of_view={2 * np.degrees(np.arctan(160 / 200))}")
    assert_equal(trajectory, imported)
    assert "warning" not in capsys.readouterr().err
    (trajectory,), _ = converted(path, "field_of_view=60")
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert len(warnings) == 1 and "sees 60 x 47 degrees, the data set's pictures 60 both ways: 25 %" in warnings[0]
    assert (trajectory.depth[:, :8] == 0).all() and (trajectory.depth[:, 8:56] > 0).mean() > 0.9
    with pytest.raises(UserError, match="no camera_info: set field_of_view="):
        converted(path)


def test_a_rolled_camera_is_not_used(bag):
    """Mounted on its side: turned by 90 degrees about its line of sight."""
    with pytest.raises(UserError, match="dropped: 120 x image: the camera is rolled by more than largest_roll=5 deg"):
        converted(bag, "base_to_camera=0.1,0,0.7,0,0.7071,0,0.7071")


# ---- What cannot be used ---------------------------------------------------------------------------------------------


def only(*topics):
    def edit(topic, time, message, kind):
        return [(topic, time, message, kind)] * (topic in topics)

    return edit


def twice(name):
    def edit(topic, time, message, kind):
        copies = (topic.replace("color", side) for side in ("left", "right")) if topic == name else (topic,)
        return [(copy, time, message, kind) for copy in copies]

    return edit


def as_bayer(topic, time, message, kind):
    if topic == IMAGE:
        message = replace(message, encoding="bayer_rggb8", step=message.width, data=message.data[::3])
    return [(topic, time, message, kind)]


@pytest.mark.parametrize(
    ("edit", "settings", "complaint"),
    [
        (only("/odom", "/tf"), (), "no image topic: .*found /odom .nav_msgs/Odometry."),
        (only("/odom", DEPTH), (), "no image topic: .*found images of other kinds: .*16UC1"),
        (only(IMAGE, CAMERA_INFO, "/tf", "/tf_static"), (), "no odometry .*set pose_source=tf world_frame=FRAME"),
        (only(IMAGE, CAMERA_INFO), (), "no odometry .*: record it; found /camera/color/camera_info"),
        (only(IMAGE, CAMERA_INFO, "/odom"), ("pose_source=tf",), "no /tf for pose_source=tf"),
        (
            only(IMAGE, CAMERA_INFO, "/tf"),
            ("pose_source=tf",),
            "from camera_color_optical_frame to odom: .* nothing of",
        ),
        (None, ("pose_source=tf", "world_frame=map"), "know camera_color_optical_frame -> base_link -> odom; set"),
        (twice(IMAGE), (), f"several topics could be image: set image= to one of {IMAGE.replace('color', 'left')}, "),
        (None, ("odom=/wheels",), "odom=/wheels: expected a topic with messages of nav_msgs/Odometry, found"),
        (None, ("image=/odom",), "image=/odom: expected a topic with messages of sensor_msgs/Image or"),
        (as_bayer, ("image=" + IMAGE,), r"encoding 'bayer_rggb8' is not supported"),
        (None, (f"objects={DEPTH}",), "120 x image: a class id is above 255"),
        (None, ("class_names=wall,floor",), "holds class id .*, but there are 2 class names"),
        (None, ("base_to_camera=1,2,3",), "base_to_camera must be x,y,z,qx,qy,qz,qw"),
        (None, ("image_size=0",), "image_size must be 1 to 1024 pixels, found 0"),
        (None, ("shortest=400",), "expected 1 <= shortest <= longest"),
    ],
)
def test_what_is_missing_or_ambiguous_is_named_in_one_line(bag, tmp_path, edit, settings, complaint):
    path = bag if edit is None else edited(bag, tmp_path / "a.bag", short(edit))
    with pytest.raises(UserError, match=complaint) as error:
        converted(path, *settings)
    assert "\n" not in str(error.value)


def short(edit):
    """Only the first second."""
    return lambda topic, time, message, kind: edit(topic, time, message, kind) if time < 1_000_000_000 else []


def test_files_that_are_no_whole_ros1_bag_are_named(bag, tmp_path):
    content = bag.read_bytes()
    (tmp_path / "text.bag").write_text("no bag\n")
    (tmp_path / "empty.bag").write_bytes(b"")
    (tmp_path / "cut.bag").write_bytes(content[: len(content) // 2])
    (tmp_path / "sqlite.bag").write_bytes(b"SQLite format 3\0" + bytes(100))
    (tmp_path / "ros2").mkdir()
    (tmp_path / "ros2" / "metadata.yaml").write_text("rosbag2_bagfile_information: {}\n")
    complaints = {
        "missing.bag": "no such bag",
        "text.bag": "expected a ROS 1 bag",
        "empty.bag": "the file is empty",
        "cut.bag": "rosbag reindex cut.bag",
        "sqlite.bag": "found a ROS 2 bag: convert it with rosbags-convert",
        "ros2": "found a ROS 2 bag: convert it with rosbags-convert",
    }
    for name, complaint in complaints.items():
        with pytest.raises(UserError, match=complaint) as error:
            import_bag(configured(tmp_path / name))
        assert name in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "unused").exists()


def test_damage_inside_a_bag_is_counted_or_named(bag, tmp_path):
    """Images that are cut off, poses that are not finite, and a chunk whose records are overwritten."""

    def damaged(topic, time, message, kind):
        if topic == IMAGE and time > 8_000_000_000:
            message = replace(message, data=message.data[:1000])
        if topic == "/odom" and time == 1_000_000_000:
            pose = message.pose.pose
            nowhere = replace(pose, position=replace(pose.position, x=float("nan")))
            message = replace(message, pose=replace(message.pose, pose=nowhere))
        return [(topic, time, message, kind)]

    path = edited(bag, tmp_path / "a.bag", damaged)
    _, dropped = converted(path, "shortest=1")
    assert any("1000 bytes of data are fewer" in line for line in dropped)
    assert "1 x a message on /odom: the pose is not finite" in " ".join(dropped)
    content = bytearray(bag.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2_000_000] = b"\xff" * 2_000_000
    (tmp_path / "b.bag").write_bytes(content)
    with pytest.raises(UserError, match="b.bag: (damaged after|the bag has no index)"):
        converted(tmp_path / "b.bag")


def test_a_folder_of_bags_is_one_data_set_and_a_failure_leaves_the_folder_free(bag, imported, tmp_path):
    bags, out = tmp_path / "bags", tmp_path / "set"
    bags.mkdir()
    (bags / "1.bag").symlink_to(bag)
    (bags / "0.bag").write_bytes(bag.read_bytes()[:100_000])
    edited(bag, bags / "2.bag", short(lambda *message: [message]))

    def run(source, *settings):
        return import_bag(parse(BagImport, [str(source), str(out), "processes=1", *settings], "training.convert bag"))

    with pytest.raises(
        UserError, match="2.bag: no trajectory of 20 frames .* in 10 images; dropped: . x keyframe of a"
    ):
        run(bags / "2.bag")
    summary = run(bags, "skip_damaged=true")
    assert summary.trajectories == 1 and summary.skipped == 2
    np.testing.assert_array_equal(ShardSet(out).read(0).poses, imported.poses)
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="found a folder without any"):
        run(tmp_path / "none")
    with pytest.raises(UserError, match="0.bag: the bag has no index or is cut off"):
        run(bags)
