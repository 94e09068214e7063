"""Data sets on a disk: written whole by any number of processes, read frame by frame, damage named."""

import itertools
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch

from training.configuration import UserError
from training.data.__main__ import main as data_command
from training.data.dataset import ShardSet
from training.data.manifest import MANIFEST
from training.data.sampling import SamplingConfig
from training.data.scenes import StepScenes, scene_stream
from training.data.shards import DamagedError, Description, Shard, decode_png, encode, write_shard
from training.data.writing import write_dataset
from training.trajectory import Skipped, Trajectory

SIZE, FRAMES = 16, 12
DESCRIPTION = Description(SIZE, 60.0, class_names=("nothing", "wall"), source={"made": "for a test"})
CONFIG = SamplingConfig(window=8, fewest_observations=2, most_observations=4, queries=2)


def trajectory(number, frames=FRAMES):
    """Colours change slowly from pixel to pixel, as in a picture; depth and classes are anything."""
    random = np.random.default_rng(number)
    ramp = np.linspace(0, 35, SIZE)
    rgb = random.integers(0, 180, (frames, 1, 1, 3)) + ramp[:, None, None] + ramp[:, None]
    return Trajectory(
        poses=random.normal(size=(frames, 5)).astype(np.float32),
        rgb=rgb.astype(np.uint8),
        depth=random.integers(0, 65536, (frames, SIZE, SIZE)).astype(np.uint16),
        objects=random.integers(0, 256, (frames, SIZE, SIZE)).astype(np.uint8),
        name=f"house {number}",
    )


def two_each(unit):
    """Two trajectories of a unit, and now and then something that cannot be used."""
    yield trajectory(2 * unit)
    yield trajectory(2 * unit + 1)
    if unit % 4 == 3:
        yield Skipped(f"unit {unit}, third", "it rained")


def slow(unit):
    time.sleep(0.3)
    yield from two_each(unit)


def second_fails(unit):
    yield trajectory(unit)
    if unit == 1:
        raise UserError("unit 1: no such thing")


def ends_its_process(unit):
    yield trajectory(unit)
    os._exit(9)


def write(out, units=8, convert=two_each, processes=1, **more):
    return write_dataset(out, DESCRIPTION, range(units), convert, 2, processes, **more)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A data set of 16 trajectories in 4 shards, written by one process; not to be changed."""
    folder = tmp_path_factory.mktemp("data") / "whole"
    write(folder)
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    """The same, to be damaged."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for name, content in contents(whole).items():
        (folder / name).write_bytes(content)
    return folder


# Writing and reading back


def test_what_was_written_is_read_back_frame_by_frame(whole):
    data = ShardSet(whole)
    assert len(data) == 16 and (data.lengths == FRAMES).all()
    for index in (0, 5, 15):
        expected, chosen = trajectory(index), np.array([7, 0, 11])
        frames = data.read(index, chosen)
        assert np.array_equal(frames.depth, expected.depth[chosen])
        assert np.array_equal(frames.objects, expected.objects[chosen])
        assert np.array_equal(frames.poses, expected.poses[chosen])
        assert np.abs(frames.rgb.astype(int) - expected.rgb[chosen]).max() <= 8  # JPEG
        shard, row = data.shard(index)
        assert shard.name(row) == f"house {index}"
    for index, frames in ((16, [0]), (-1, [0]), (0, [12]), (0, [-1])):
        with pytest.raises(IndexError, match="expected"):
            data.read(index, frames)


def test_a_shard_says_what_its_numbers_mean(whole):
    with pa.memory_map(str(whole / "shard-00000.arrow")) as file:
        about = json.loads(pa.ipc.open_file(file).schema.metadata[b"placenet"])
    assert about["format_version"] == 1 and about["field_of_view_degrees"] == 60.0 and about["image_size"] == SIZE
    assert about["class_names"] == ["nothing", "wall"] and about["class_colours"][0] == [0, 0, 0]
    assert about["depth_scale_metres"] == 0.001 and about["source"] == {"made": "for a test"}
    assert set(about["codecs"]) == {"rgb", "depth", "objects"} and "yaw" in about["pose"]


def test_jpegs_of_the_right_size_are_kept_as_they_are(tmp_path):
    numbers = [encode(trajectory(1), DESCRIPTION).column("rgb")[i].as_py() for i in range(FRAMES)]
    kept = encode(trajectory(1)._replace(rgb=numbers), DESCRIPTION).column("rgb")
    assert [kept[i].as_py() for i in range(FRAMES)] == numbers
    colour = Trajectory(trajectory(1).poses, numbers, None, None, "one")
    with pytest.raises(ValueError, match="rgb of 16 x 16 pixels, expected 24 x 24"):
        encode(colour, Description(24, 60.0, ("rgb",)))


def test_a_source_without_depth_gives_frames_without_depth(tmp_path):
    description = Description(SIZE, None, ("rgb",))
    colour = trajectory(0)._replace(depth=None, objects=None)
    write_shard(tmp_path / "shard", description, [colour])
    with Shard(tmp_path / "shard") as shard:
        frames = shard.read(0, np.arange(3))
        assert frames.depth is None and frames.objects is None and frames.rgb.shape == (3, SIZE, SIZE, 3)
        assert shard.description == description
    for wrong in (colour, trajectory(0)._replace(objects=None)):
        with pytest.raises(ValueError, match="the data set has .*, the trajectory has none"):
            encode(wrong, DESCRIPTION)


# The same bytes, however they come about


def test_several_processes_write_what_one_writes(whole, tmp_path):
    summary = write(tmp_path / "two", processes=2)
    assert contents(tmp_path / "two") == contents(whole)
    assert summary.trajectories == 16 and summary.frames == 16 * FRAMES and summary.skipped == 2


def test_parts_written_by_themselves_equal_one_run(whole, tmp_path):
    first = write(tmp_path / "parts", part=(1, 3))
    assert first.missing == 2 and first.trajectories == 8  # shards 0 and 3 of 0..3
    with pytest.raises(UserError, match="not complete"):
        ShardSet(tmp_path / "parts")
    for machine in (2, 3):
        write(tmp_path / f"machine {machine}", part=(machine, 3))
        for shard in (tmp_path / f"machine {machine}").glob("*.arrow"):
            shard.rename(tmp_path / "parts" / shard.name)
    write(tmp_path / "parts")
    assert contents(tmp_path / "parts") == contents(whole)


def test_killed_and_started_again_it_completes_the_same_bytes(whole, tmp_path):
    out = tmp_path / "killed"
    script = f"import test_shards as t; t.write(t.Path({str(out)!r}), convert=t.slow, processes=2)"
    writer = subprocess.Popen(
        [sys.executable, "-c", f"if __name__ == '__main__': {script}"], cwd=Path(__file__).parent, env=environment()
    )
    deadline = time.monotonic() + 60
    while not list(out.glob("shard-*.arrow")) and time.monotonic() < deadline:
        time.sleep(0.02)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    kept = {name: content for name, content in contents(out).items() if name.startswith("shard-")}
    assert 1 <= len(kept) < 4
    while list(out.glob(".shard-*.part")) and any(is_running(path) for path in out.glob(".shard-*.part")):
        time.sleep(0.02)  # its processes end with it
        assert time.monotonic() < deadline
    write(out)
    assert contents(out) == contents(whole)


def is_running(partial):
    return Path(f"/proc/{partial.name.split('.')[-2]}").exists()


def environment():
    root = Path(__file__).parents[2]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}


def test_a_folder_that_holds_another_data_set_is_left_as_it_is(whole, copy):
    before = contents(copy)
    with pytest.raises(UserError, match=r"another data set \(.*units: 8 there, 9 asked for"):
        write(copy, units=9)
    with pytest.raises(UserError, match="split: train there, unseen asked for"):
        write(copy, split="unseen")
    other = replace(DESCRIPTION, source={"made": "for a test", "walk": {"look": "around"}})
    with pytest.raises(UserError, match=r"another data set \(source.walk.look: none there, around asked for\)"):
        write_dataset(copy, other, range(8), two_each, 2, 1)
    assert contents(copy) == before


# What goes wrong while writing


def test_a_source_that_fails_ends_the_command_or_is_counted(tmp_path):
    with pytest.raises(UserError, match="unit 1: no such thing"):
        write(tmp_path / "ends", units=4, convert=second_fails, processes=2)
    assert not list((tmp_path / "ends").glob(".*"))
    summary = write(tmp_path / "goes on", units=4, convert=second_fails, skip_damaged=True)
    assert summary.skipped == 1 and summary.trajectories == 4
    manifest = json.loads((tmp_path / "goes on" / MANIFEST).read_text())
    assert manifest["skipped"] == [["1", "unit 1: no such thing"]]


def test_a_full_disk_leaves_complete_shards_and_says_how_to_go_on(tmp_path):
    room = resource.getrlimit(resource.RLIMIT_FSIZE)
    write(tmp_path, part=(1, 4))
    complete = {name: content for name, content in contents(tmp_path).items() if name.startswith("shard")}
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, room[1]))  # bytes: no further shard fits; the processes inherit it
    try:
        with pytest.raises(UserError, match=r"complete stay \(1 of 4\); the same command goes on .* room"):
            write(tmp_path, processes=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, room)
    left = contents(tmp_path)
    assert {name: content for name, content in left.items() if "shard" in name} == complete
    assert write(tmp_path).missing == 0


def test_a_process_that_dies_ends_the_command_with_a_line(tmp_path):
    with pytest.raises(UserError, match=r"a process ended by itself.*complete stay \(0 of 4\)"):
        write(tmp_path, convert=ends_its_process, processes=2)


# Damage


def damage(path, wanted, replacement):
    """Overwrite the last place in a file where `wanted` stands (the schema is there twice; the last one is read)."""
    content = path.read_bytes()
    at = content.rindex(wanted)
    path.write_bytes(content[:at] + replacement + content[at + len(replacement) :])


def encoded(number, column, frame):
    return encode(trajectory(number), DESCRIPTION).column(column)[frame].as_py()


@pytest.mark.parametrize("column", ["rgb", "depth", "objects"])
def test_a_damaged_picture_is_named_with_file_and_row(copy, column):
    path, picture = copy / "shard-00001.arrow", encoded(6, column, 4)
    damage(path, picture, b"\0" * 30)
    data = ShardSet(copy)
    data.read(6, np.array([3, 5]))
    with pytest.raises(DamagedError, match=rf"{path}: trajectory 2, frame 4, {column}: "):
        data.read(6, np.array([3, 4]))


def test_a_truncated_picture_is_damaged_and_not_grey(copy):
    path, picture = copy / "shard-00001.arrow", encoded(6, "rgb", 4)
    half = len(picture) // 2
    damage(path, picture, picture[:half] + bytes(len(picture) - half))
    with pytest.raises(DamagedError, match="trajectory 2, frame 4, rgb"):
        ShardSet(copy).read(6)


def test_a_pose_that_is_not_finite_is_damage(copy):
    poses = trajectory(6).poses
    damage(copy / "shard-00001.arrow", poses.tobytes()[:40], np.full(10, np.nan, "<f4").tobytes())
    with pytest.raises(DamagedError, match="trajectory 2, frame 0: a pose that is not finite"):
        ShardSet(copy).read(6)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "no whole shard"),
        (lambda path: path.write_bytes(b""), "cannot be read|no whole shard"),
        (lambda path: path.write_bytes(b"ARROW1" + bytes(5000)), "no whole shard"),
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: damage(path, b'"format_version": 1', b'"format_version": 7'), "format version 7"),
        (lambda path: damage(path, b"for a test", b"by someone"), "of another data set"),
    ],
)
def test_a_damaged_file_is_named(copy, harm, message):
    path = copy / "shard-00002.arrow"
    harm(path)
    with pytest.raises(DamagedError, match=f"{re.escape(str(path))}.*({message})"):
        ShardSet(copy).read(8)


def test_a_shard_that_was_not_finished_is_none(tmp_path):
    path = tmp_path / "shard"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, DESCRIPTION.schema) as writer:
        writer.write_batch(encode(trajectory(0), DESCRIPTION), {"name": "one"})
    with pytest.raises(DamagedError, match="it was not finished"):
        Shard(path)


def test_offsets_that_lead_out_of_the_file_are_refused(copy):
    path = copy / "shard-00000.arrow"
    with Shard(path) as shard:
        offsets = np.frombuffer(shard.encoded(0).column("rgb").buffers()[1], "<i4")[: FRAMES + 1].tobytes()
    damage(path, offsets, np.array([0, 2**30], "<i4").tobytes())
    with pytest.raises(DamagedError, match="trajectory 0"):
        ShardSet(copy).read(0)


def test_a_picture_that_claims_to_be_huge_is_refused_before_it_is_decoded(monkeypatch):
    png = bytearray(cv2.imencode(".png", np.zeros((SIZE, SIZE), np.uint8))[1].tobytes())
    png[16:20] = (30_000).to_bytes(4, "big")
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(ValueError, match="no PNG of 16 x 16"):
        decode_png(bytes(png), SIZE, np.dtype(np.uint8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: manifest["shards"][0].update(file="../shard-00000.arrow"), "cannot be called"),
        (lambda manifest: manifest["shards"][0].update(lengths=[12, -1]), "lengths"),
        (lambda manifest: manifest.update(version=9), "version 9"),
        (lambda manifest: manifest.pop("shards"), "no key 'shards'"),
        (lambda manifest: manifest["description"].update(image_size=10**9), "image_size"),
        (lambda manifest: manifest["shards"][0].update(lengths=[1 << 70]), "under 2147483648"),
        (lambda manifest: manifest["shards"][0].update(bytes=float("inf")), "infinity"),
        (lambda manifest: manifest.update(shards=[]), "complete without any trajectory"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(copy, change, message):
    manifest = json.loads((copy / MANIFEST).read_text())
    change(manifest)
    (copy / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(DamagedError, match=f"{MANIFEST}: no manifest .*{message}"):
        ShardSet(copy)


def test_a_manifest_that_promises_longer_trajectories_is_found_out(copy):
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["shards"][0]["lengths"][0] = 100
    (copy / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(DamagedError, match="trajectory 0: has 12 frames; there is no frame 99"):
        ShardSet(copy).read(0, np.array([99]))


def test_training_goes_on_without_damaged_trajectories_if_asked_to(copy, capsys):
    (copy / "shard-00002.arrow").unlink()
    careful = StepScenes(ShardSet(copy), CONFIG, 16, seed=0)
    with pytest.raises(DamagedError, match=r"shard-00002.*; skip_damaged=true goes on without it"):
        careful[0]
    tolerant = StepScenes(ShardSet(copy, skip_damaged=True), CONFIG, 16, seed=0)
    _, frames = tolerant[0]
    assert frames.rgb.shape[0] == 16 and tolerant.source.damaged >= 4
    assert "shard-00002.arrow: cannot be read" in capsys.readouterr().err
    for path in copy.glob("*.arrow"):
        path.unlink()
    with pytest.raises(DamagedError, match="20 trajectories in a row"):
        StepScenes(ShardSet(copy, skip_damaged=True), CONFIG, 16, seed=0)[0]


# Scenes from it


def test_worker_processes_give_the_scenes_of_one_process_from_any_step_on(whole):
    scenes = StepScenes(ShardSet(whole), CONFIG, 6, seed=3)
    alone = list(itertools.islice(scene_stream(scenes, 4, workers=0), 5))
    stream = scene_stream(scenes, 4, workers=2)
    for draw, frames in alone:
        other_draw, other_frames = next(stream)
        assert all(np.array_equal(a, b) for a, b in zip(draw, other_draw, strict=True))
        assert all(torch.equal(a, b) for a, b in zip(frames, other_frames, strict=True))


def test_a_stream_that_ends_while_its_workers_are_busy_ends_quietly(whole):
    script = (
        "import test_shards as t\n"
        "if __name__ == '__main__':\n"
        f"    stream = t.scene_stream(t.StepScenes(t.ShardSet({str(whole)!r}), t.CONFIG, 500, 0), 0, workers=2)\n"
        "    next(stream)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parent,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and "terminate called" not in done.stderr, done.stderr


def test_trajectories_too_short_for_a_scene_are_left_out(tmp_path):
    write_dataset(tmp_path, DESCRIPTION, [4, 12, 5, 30], of_length, 4, 1)
    data = ShardSet(tmp_path, fewest_frames=6)
    assert data.lengths.tolist() == [12, 30] and data.left_out == 2
    assert np.array_equal(data.read(1, np.array([29])).poses, trajectory(30, 30).poses[29:])
    with pytest.raises(UserError, match="none of its trajectories has 31 frames"):
        ShardSet(tmp_path, fewest_frames=31)


def of_length(frames):
    yield trajectory(frames, frames)


# The command


def test_check_prints_statistics_and_draws_a_contact_sheet(whole, tmp_path, capsys):
    data_command(["check", str(whole), f"sheet={tmp_path / 'sheet.png'}", "processes=1"])
    printed = capsys.readouterr().out
    assert "16 trajectories, 192 frames, split 'train'" in printed
    assert "field of view 60 degrees, rgb, depth, objects" in printed
    assert "every SHA-256 agrees, every frame decodes" in printed
    colours = np.concatenate([trajectory(index).rgb.reshape(-1, 3) for index in range(16)]).mean(axis=0)
    found = [float(number) for number in re.search(r"mean (\d+), (\d+), (\d+)", printed).groups()]
    assert np.abs(colours - found).max() <= 1.0
    assert cv2.imread(str(tmp_path / "sheet.png")).std() > 10


def test_check_names_every_damage_and_fails(copy, tmp_path, capsys):
    damage(copy / "shard-00001.arrow", encoded(6, "rgb", 4), b"\0" * 30)
    (copy / "shard-00003.arrow").unlink()
    with pytest.raises(UserError, match="files or trajectories that are damaged: 3"):
        data_command(["check", str(copy), f"sheet={tmp_path / 'sheet.png'}"])
    printed = capsys.readouterr().err
    assert "shard-00001.arrow: its SHA-256 is not the one in manifest.json" in printed
    assert "shard-00001.arrow: trajectory 2, frame 4, rgb" in printed
    assert "shard-00003.arrow: cannot be read" in printed
