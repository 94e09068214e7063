"""DeepMind's GQN data sets: TFRecords of all seven, as the `tfrecord` package writes them, to shards."""

import io
import struct

import numpy as np
import pytest
import simplejpeg
import torch
from tfrecord import TFRecordWriter

from placenet_ros.model.viewpoints import relative_viewpoints
from training.configuration import UserError
from training.conversion.gqn import LARGEST_RECORD, SETS, DamagedRecord, GqnFiles, read_record
from training.convert import main as convert
from training.data.dataset import ShardSet
from training.trajectory import Skipped

SCENES = 3  # of each file


def picture(number, view, pixels):
    """A picture that tells scene and view: one colour, and one-pixel stripes that alias when pixels are left out."""
    image = np.full((pixels, pixels, 3), 40 + 10 * number, np.uint8)
    image[: pixels // 2] = 60 + view % 100
    image[pixels // 2 :, 1::2, 2] = 255
    image[pixels // 2 :, ::2, 2] = 0
    return image


def cameras(number, views):
    view = np.arange(views)
    return np.stack([number + 0.1 * view, -view * 0.2, 0.5 + 0 * view, 0.3 * view - 3, 0.01 * view - 0.5 * (view > 99)])


def scene(number, set_name):
    views, pixels = SETS[set_name]
    images = [picture(number, view, pixels) for view in range(views)]
    frames = [simplejpeg.encode_jpeg(image, 95, "RGB", "444", False) for image in images]
    poses = cameras(number, views).T.copy()
    poses[:, 4] = np.clip(poses[:, 4], -1.5, 1.5)
    return {"frames": (frames, "byte"), "cameras": (poses.reshape(-1).tolist(), "float")}


def write_file(path, numbers, set_name):
    writer = TFRecordWriter(str(path))
    for number in numbers:
        writer.write(scene(number, set_name))
    writer.close()


def write_set(folder, set_name, files=2):
    folder.mkdir()
    for file in range(files):
        write_file(folder / f"{file + 1}-of-{files}.tfrecord", range(file * SCENES, (file + 1) * SCENES), set_name)


def test_a_set_becomes_shards_with_every_scene_of_every_file_once(tmp_path):
    write_set(tmp_path / "jaco", "jaco")
    convert(["gqn", str(tmp_path / "jaco"), str(tmp_path / "out"), "set=jaco", "processes=1"])
    data = ShardSet(tmp_path / "out")
    assert data.description.modalities == ("rgb",) and data.description.field_of_view_degrees is None
    # A known fault: the first scene of a file in the place of the last of the one before.
    assert len(data) == 2 * SCENES
    for number in range(2 * SCENES):
        read = data.read(number)
        assert np.allclose(read.poses, np.float32(cameras(number, 11).T))
        assert abs(int(read.rgb[3, 40, 0, 0]) - (40 + 10 * number)) <= 3


@pytest.mark.parametrize("set_name", SETS)
def test_frames_of_each_set_are_resized_without_aliasing(tmp_path, set_name):
    write_file(tmp_path / "1-of-1.tfrecord", [4], set_name)
    (trajectory,) = GqnFiles(tmp_path, set_name, 64, False)("1-of-1.tfrecord")
    views, pixels = SETS[set_name]
    assert len(trajectory.rgb) == len(trajectory.poses) == views
    if pixels == 64:
        assert trajectory.rgb == scene(4, set_name)["frames"][0]  # byte for byte
        return
    for image in trajectory.rgb:
        assert image.shape == (64, 64, 3)
        blue = image[40:, :, 2].astype(float)  # of stripes of 0 and 255
        assert abs(blue.mean() - 127.5) < 4 and blue.max() < (140 if pixels == 128 else 215)


def test_viewpoints_of_its_cameras_have_cosines_first(tmp_path):
    write_file(tmp_path / "1-of-1.tfrecord", [0], "jaco")
    (trajectory,) = GqnFiles(tmp_path, "jaco", 64, False)("1-of-1.tfrecord")
    viewpoints = relative_viewpoints(torch.from_numpy(trajectory.poses), torch.zeros(11, 4), position_scale=1.0)
    x, y, z, yaw, pitch = cameras(0, 11)
    expected = np.stack([x, y, z, np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)], axis=1)
    assert np.allclose(viewpoints, expected, atol=1e-6)


def test_damaged_records_are_named_or_skipped(tmp_path):
    path = tmp_path / "1-of-1.tfrecord"
    write_file(path, range(3), "jaco")
    whole = path.read_bytes()
    length = 16 + struct.unpack("<Q", whole[:8])[0]  # of the first record

    def read(content, skip):
        path.write_bytes(content)
        return list(GqnFiles(tmp_path, "jaco", 64, skip)(path.name))

    in_the_middle = bytearray(whole)
    in_the_middle[length + 1000] ^= 1
    in_its_length = bytearray(whole)
    in_its_length[length : length + 8] = struct.pack("<Q", 2**60)
    for content, kept in ((in_the_middle, 2), (in_its_length, 1), (whole[:-5], 2), (whole[: length + 7], 1)):
        with pytest.raises(UserError, match=r"1-of-1.tfrecord: scene [12]: "):
            read(bytes(content), skip=False)
        items = read(bytes(content), skip=True)
        assert sum(not isinstance(item, Skipped) for item in items) == kept and len(items) == kept + 1


def test_a_record_that_claims_a_huge_length_with_a_valid_checksum_is_refused():
    for claimed in (LARGEST_RECORD + 1, 1000):
        head = struct.pack("<Q", claimed)
        with pytest.raises(DamagedRecord, match="bytes"):
            read_record(io.BytesIO(head + TFRecordWriter.masked_crc(head) + b"x" * 50), 62)


@pytest.mark.parametrize(
    "words, named",
    [
        (["set=jaco"], "expected 11 frames and 55 camera numbers, as jaco has, found 15 and 75: is set= right"),
        ([], "set= must say which data set it is"),
        (["set=shepard_metzler_5_parts"], r"expected files 1 to 3, 1 missing \(2\)"),
        (["set=jaco", "image_size=5000"], "image_size must be 1 to 1024 pixels, not 5000"),
        (["set=jaco", "field_of_view=-5"], "field_of_view_degrees must be over 0"),
    ],
)
def test_a_wrong_set_or_a_missing_file_is_named(tmp_path, words, named):
    write_set(tmp_path / "metzler", "shepard_metzler_7_parts", files=1 if words == ["set=jaco"] else 3)
    (tmp_path / "metzler" / "2-of-3.tfrecord").unlink(missing_ok=True)
    with pytest.raises(UserError, match=named):
        convert(["gqn", str(tmp_path / "metzler"), str(tmp_path / "out"), *words, "processes=1"])


def test_a_file_number_that_no_set_has_is_named(tmp_path):
    (tmp_path / "1-of-0.tfrecord").touch()
    with pytest.raises(UserError, match="expected files 1 to at most 10000000, found 0 as the last's number"):
        convert(["gqn", str(tmp_path), str(tmp_path / "out"), "set=jaco"])
    (tmp_path / f"{10**20}.pt").touch()
    with pytest.raises(UserError, match=f"expected files 0 to at most 10000000, found {10**20} as the last's number"):
        convert(["published", str(tmp_path), str(tmp_path / "out")])
