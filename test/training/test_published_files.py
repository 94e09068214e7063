"""The authors' House files: read without running anything in them, converted to shards, and written for their code."""

import collections
import io
import os
import pickle
import subprocess
import sys
import types
import zipfile

import cv2
import numpy as np
import pytest
import simplejpeg
import torch
from PIL import Image
from ring_walk import ring_poses, ring_trajectory, write_rings

from training.configuration import REPOSITORY, UserError
from training.conversion.house_poses import TO_Z_UP, YawConfig, fit_yaw
from training.conversion.object_palette import ColourCount
from training.conversion.published import PublishedImport, survey
from training.conversion.scene_pickle import RefusedFile, read_scene
from training.convert import main as convert
from training.data.dataset import ShardSet
from training.houses.classes import CLASS_NAMES

FRAMES = 40
FORMS = {"legacy": False, "zip": True}


@pytest.fixture
def authors_scene(monkeypatch):
    """Their class, as their own code pickles it: `authors_scene(module)`."""

    def in_module(name):
        module = types.ModuleType(name)
        module.Scene = collections.namedtuple("Scene", "image_r image_d image_o poses", module=name)
        monkeypatch.setitem(sys.modules, name, module)
        return module.Scene

    return in_module


def jpeg(picture):
    return simplejpeg.encode_jpeg(np.ascontiguousarray(picture), 92, "RGB", "444", False)


def png(picture):
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def y_up(poses):
    """Our poses as a House file has them: y up, metres in 0 to 100."""
    return np.concatenate([poses[:, :3] @ TO_Z_UP["y"] + [50.0, 0.0, 50.0], poses[:, 3:]], axis=1)


COLOURS = np.array([[0, 0, 0], [255, 0, 0], [0, 200, 30], [20, 20, 240]], np.uint8)  # of a foreign palette


def house_scene(number, encode=png):
    """Encoded images and poses of a file, its objects painted in four colours of its own."""
    walk = ring_trajectory(number, FRAMES)
    grey = np.repeat((walk.depth / 10_000 * 255).round().astype(np.uint8)[..., None], 3, axis=-1)
    return [
        [jpeg(picture) for picture in walk.rgb],
        [encode(picture) for picture in grey],
        [encode(COLOURS[ids]) for ids in walk.objects % 4],
        y_up(walk.poses)[None].astype(np.float32),
    ]


def save(path, scene, zipped=False):
    path.parent.mkdir(exist_ok=True)
    torch.save(scene, path, _use_new_zipfile_serialization=zipped)


@pytest.fixture
def house_files(tmp_path, authors_scene):
    """A folder of three files."""
    folder = tmp_path / "train"
    for number in range(3):
        save(folder / f"{number}.pt", authors_scene("data_loader")(*house_scene(number)), zipped=number == 1)
    return folder


# ---- Reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("module", ["data_loader", "__main__"])
def test_both_names_and_both_forms_of_a_scene_are_read(tmp_path, authors_scene, monkeypatch, module, form):
    if module == "__main__":
        scene_class = collections.namedtuple("Scene", "image_r image_d image_o poses", module=module)
        monkeypatch.setattr(sys.modules["__main__"], "Scene", scene_class, raising=False)
    else:
        scene_class = authors_scene(module)
    written = house_scene(0)
    written[0][3] = b""  # an image truncated to nothing
    save(tmp_path / "0.pt", scene_class(*written), FORMS[form])
    read = read_scene(tmp_path / "0.pt")
    assert [list(read.image_r), list(read.image_d), list(read.image_o)] == written[:3]
    assert np.array_equal(read.poses, written[3][0])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("poses", [np.zeros((1, 3, 5)), [np.ones((3, 5), ">f4")], np.ones((2, 3, 5), order="F")])
def test_poses_are_the_first_element_in_every_protocol(tmp_path, authors_scene, protocol, poses):
    scene = authors_scene("data_loader")([b"x"] * 3, [], [], poses)
    torch.save(scene, tmp_path / "0.pt", pickle_protocol=protocol)
    assert np.array_equal(read_scene(tmp_path / "0.pt").poses, poses[0])


class Runs:
    """Pickled as a call, as an attacker's pickle would be."""

    def __init__(self, function, *arguments, state=None):
        self.call = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.call


class SetsState:
    def __setstate__(self, state):
        os.system(state)

    def __getstate__(self):
        return "true"


def hostile(trace):
    """Pickles that would leave the file `trace`, or that hold what no House file holds; and what the error names."""
    shell = f"touch {trace}"
    nested = Runs(eval, f"__import__('os').system('{shell}')")
    raw = {
        "by its name in parts": b"\x80\x04\x8c\x08builtins\x8c\x0bgetattr.exec\x93.",
        "attributes of a class": b"\x80\x02cdata_loader\nScene\n(N}X\x05\x00\x00\x00countK\x01st\x85b.",
        "a call of what a call gave": b"\x80\x02c__builtin__\ngetattr\ncposix\nsystem\nX\x04\x00\x00\x00call\x86R)R.",
        "operation OBJ": b"\x80\x02(cdata_loader\nScene\no.",
        "operation INST": b"(S'" + shell.encode() + b"'\niposix\nsystem\n.",
        "a huge memo": b"\x80\x02Nr\xff\xff\xff\xff.",
        "many empty lists": b"\x80\x02" + b"]" * 3_000_000 + b".",
        "an unfinished text": b"\x80\x02X\xff\xff\xff\x7fabc.",
        "a call of a list": b"\x80\x02])R.",
    }
    cases = {
        "posix.system": Runs(os.system, shell),
        "eval": Runs(eval, f"__import__('os').system('{shell}')"),
        "getattr": Runs(getattr, nested, "real"),
        "Popen": Runs(subprocess.Popen, ["touch", str(trace)]),
        "SetsState": SetsState(),
        "numpy array of type": np.array([nested], dtype=object),
        "refused": [np.zeros((1, 1, 5)), nested],
        "_codecs.encode": Runs(__import__("_codecs").encode, "touch", "rot13"),
    }
    return cases, raw


@pytest.mark.parametrize("where", ["whole file", "poses", "image", "object state"])
def test_a_pickle_that_would_run_code_is_refused_by_name_and_leaves_no_trace(tmp_path, authors_scene, where):
    trace = tmp_path / "trace"
    scene_class = authors_scene("data_loader")
    for name, case in hostile(trace)[0].items():
        content = {
            "whole file": case,
            "poses": scene_class([], [], [], case),
            "image": scene_class([b"x", case], [], [], np.zeros((1, 1, 5))),
            "object state": Runs(np.dtype, "f4", state=case),
        }[where]
        for form, zipped in FORMS.items():
            path = tmp_path / f"{form}.pt"
            save(path, content, zipped)
            with pytest.raises(RefusedFile) as refusal:
                read_scene(path)
            assert "refused" in str(refusal.value) and "\n" not in str(refusal.value)
            if name in ("posix.system", "eval", "getattr", "Popen", "SetsState"):
                assert name in str(refusal.value)
            assert not trace.exists()


def test_operations_that_no_house_file_has_are_refused_within_bounds(tmp_path):
    trace = tmp_path / "trace"
    header = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}))
    for name, content in hostile(trace)[1].items():
        (tmp_path / "0.pt").write_bytes(header + content)
        with pytest.raises(RefusedFile) as refusal:
            read_scene(tmp_path / "0.pt")
        named = {
            "attributes of a class": "a state for",
            "operation OBJ": "operation OBJ",
            "many empty lists": "500000 operations",
        }.get(name, "")
        assert named in str(refusal.value), name
    assert not trace.exists()


def test_tensors_bombs_and_damage_are_named(tmp_path, authors_scene):
    path = tmp_path / "0.pt"
    scene_class = authors_scene("data_loader")
    save(path, scene_class([b"x"], [], [], [torch.zeros(1, 5)]), zipped=True)
    with pytest.raises(RefusedFile, match="torch"):
        read_scene(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50_000_000))
    with pytest.raises(RefusedFile, match="compressed"):
        read_scene(path)
    for zipped in FORMS.values():
        save(path, scene_class(*house_scene(0)), zipped)
        whole = path.read_bytes()
        for size in (0, 1, 10, 200, len(whole) // 2, len(whole) - 2000):
            path.write_bytes(whole[:size])
            with pytest.raises(RefusedFile, match="damaged"):
                read_scene(path)


def test_a_damaged_array_is_refused(tmp_path, authors_scene):
    buffer = io.BytesIO()
    torch.save(authors_scene("data_loader")([b"x"], [], [], np.zeros((1, 1, 5))), buffer, pickle_protocol=4)
    content = buffer.getvalue()
    shape = pickle.dumps((1, 1, 5), 4)[-6:-2]
    assert content.count(shape) == 1
    with zipfile.ZipFile(buffer) as archive:
        pickled = archive.read("archive/data.pkl").replace(shape, shape.replace(b"\x05", b"\x06"))
    with zipfile.ZipFile(tmp_path / "0.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
    with pytest.raises(RefusedFile, match="shape"):
        read_scene(tmp_path / "0.pt")


# ---- To shards -------------------------------------------------------------------------------------------------------


def test_house_files_become_shards(house_files, tmp_path, capsys):
    convert(["published", str(house_files), str(tmp_path / "out"), "processes=1"])
    data = ShardSet(tmp_path / "out")
    assert list(data.lengths) == [FRAMES] * 3
    assert data.description.class_names == ("nothing", "class 1", "class 2", "class 3")
    for number in range(3):
        walk, read = ring_trajectory(number, FRAMES), data.read(number)
        shard, row = data.shard(number)
        assert shard.encoded(row).column("rgb").to_pylist() == [jpeg(picture) for picture in walk.rgb]
        assert np.abs(read.depth.astype(int) - walk.depth).max() <= 10_000 / 255 / 2 + 1
        assert (read.depth[:, :4] == 0).all()
        by_colour = np.array([0, 3, 1, 2])  # numbered in the order of their values: green, blue, red
        assert np.array_equal(read.objects, by_colour[walk.objects % 4])
        assert np.allclose(read.poses[:, :3] - walk.poses[:, :3], [50, -50, 0], atol=1e-4)
        assert np.allclose(np.exp(1j * read.poses[:, 3]), np.exp(1j * walk.poses[:, 3]), atol=1e-4)
        assert np.allclose(read.poses[:, 4], walk.poses[:, 4])
    assert "yaw: sign +1, offset 0 degrees" in capsys.readouterr().err
    files, _ = survey(PublishedImport(str(house_files), ""), ["0.pt", "1.pt", "2.pt"])
    for drawn, stored in zip(files.read("1.pt", [3, 30]), data.read(1, np.array([3, 30])), strict=True):
        assert np.array_equal(drawn, stored)  # frames can be read from the files themselves, too
    assert Image.open(tmp_path / "out" / "paths.png").size[0] > 300


def test_damaged_and_missing_files_are_named_or_skipped_and_a_damaged_picture_costs_its_frame(
    house_files, tmp_path, authors_scene, capsys
):
    scene_class = authors_scene("data_loader")
    scene = house_scene(1)
    scene[0][5] = scene[0][5][:-2]  # without its end
    scene[1][7] = scene[1][7][:100]
    save(house_files / "1.pt", scene_class(*scene))
    command = ["published", str(house_files), str(tmp_path / "out"), "processes=1"]
    faults = {
        "6.pt: expected .* 3 rgb images and 40 poses": lambda path: save(
            path, scene_class([b"x"] * 3, *house_scene(0)[1:])
        ),
        "5.pt: damaged": lambda path: path.write_bytes(b"no torch file"),
        "4.pt: refused: posix.getcwd": lambda path: save(path, Runs(os.getcwd)),
    }
    for named, spoil in faults.items():
        for number in range(3, 7):
            save(house_files / f"{number}.pt", scene_class(*house_scene(number)))
        spoil(house_files / named[:4])
        with pytest.raises(UserError, match=named):
            convert(command)
    for named, spoil in faults.items():
        spoil(house_files / named[:4])
    (house_files / "2.pt").unlink()
    with pytest.raises(UserError, match=r"1 missing \(2\)"):
        convert(command)
    convert([*command, "skip_damaged=true"])
    data = ShardSet(tmp_path / "out")
    assert list(data.lengths) == [FRAMES, FRAMES - 2, FRAMES]  # 0, 1 and 3
    kept = [frame for frame in range(FRAMES) if frame not in (5, 7)]
    assert np.allclose(data.read(1).poses[:, 0] - 50, ring_poses(FRAMES)[kept, 0], atol=1e-4)
    told = capsys.readouterr().err
    assert "1.pt: 2 of 40 frames are damaged, first 5" in told
    assert all(f"skipped: {number}.pt" in told for number in (4, 5, 6))


def test_normalised_positions_are_asked_for_then_made_metres(house_files, tmp_path, authors_scene):
    for number in range(3):
        scene = house_scene(number)
        scene[3][..., :3] = scene[3][..., :3] / 50 - 1
        save(house_files / f"{number}.pt", authors_scene("data_loader")(*scene))
    command = ["published", str(house_files), str(tmp_path / "out"), "processes=1"]
    with pytest.raises(UserError, match="positions=normalised or positions=metres"):
        convert(command)
    convert([*command, "positions=normalised"])
    poses = ShardSet(tmp_path / "out").read(0).poses
    assert np.allclose(poses[:, :3] - ring_poses(FRAMES)[:, :3], [50, -50, 0], atol=1e-4)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("offset", [0, 90, 180, 270])
def test_the_way_yaw_is_counted_is_found_from_the_motion(sign, offset):
    poses = ring_poses(60)
    poses[:, 3] = sign * (poses[:, 3] - np.radians(offset))
    fit = fit_yaw([poses], "z", YawConfig())
    assert (fit.sign, fit.offset_degrees) == (sign, offset) and fit.agreement > 0.99


def test_yaw_that_the_motion_does_not_tell_is_asked_for():
    straight = ring_poses(60)
    straight[:, 0], straight[:, 1], straight[:, 3] = np.arange(60) * 0.2, 0.0, 0.0
    around = ring_poses(60)
    around[:, 3] = np.arange(60) * 2.4
    for poses in (straight, around):
        with pytest.raises(UserError, match="yaw.sign= and yaw.offset="):
            fit_yaw([poses], "z", YawConfig())
    assert fit_yaw([around], "z", YawConfig("-1", 90.0))[:2] == (-1, 90.0)


def test_classes_of_lossy_pictures_are_found(authors_scene):
    pictures = ring_trajectory(0, FRAMES).objects % 4
    lossy = np.stack([simplejpeg.decode_jpeg(jpeg(COLOURS[ids])) for ids in pictures])
    count = ColourCount()
    count.add(lossy, lossy=True)
    palette = count.palette()
    found = np.stack([palette.class_ids(picture) for picture in lossy])
    expected = np.array([0, 3, 1, 2])[pictures]
    assert len(palette.class_names) == 4
    assert (found == expected).mean() > 0.97


# ---- And back --------------------------------------------------------------------------------------------------------

AUTHORS_LOADER = """
import collections, io, os, sys
import numpy as np, torch
from PIL import Image
Scene = collections.namedtuple("Scene", ["image_r", "image_d", "image_o", "poses"])

def images(frames):
    return np.stack([np.array(Image.open(io.BytesIO(frame)), dtype="u1") for frame in frames])

def load(folder, number):
    with open(os.path.join(folder, f"{number}.pt"), "rb") as file:
        scene = torch.load(file, weights_only=False)
    assert type(scene) is Scene
    pictures = np.stack([images(scene.image_r), images(scene.image_d), images(scene.image_o)])
    return scene.poses[0], pictures
"""
AUTHORS_CHECK = """
import os, sys
import numpy as np, torch
import data_loader
folder = sys.argv[1]
for number in range(len(os.listdir(folder))):
    poses, pictures = data_loader.load(folder, number)
    tensor = torch.FloatTensor(pictures).permute(0, 1, 4, 2, 3) / 255
    assert tensor.shape == (3, 40, 3, 64, 64), tensor.shape
    assert isinstance(poses, np.ndarray) and torch.FloatTensor(poses).shape == (40, 5)
    assert poses[:, :3].min() >= 0 and poses[:, :3].max() <= 100 and np.allclose(poses[:, 1], 0.8)
    print(number)
"""


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """A data set of three trajectories."""
    folder = tmp_path_factory.mktemp("shards")
    write_rings(folder, 3)
    return folder


def test_exported_files_are_read_by_a_loader_like_the_authors_and_come_back_equal(shards, tmp_path, capsys):
    convert(["export", str(shards), str(tmp_path / "house")])
    assert "authors' have 300" in capsys.readouterr().err
    (tmp_path / "data_loader.py").write_text(AUTHORS_LOADER)
    (tmp_path / "check.py").write_text(AUTHORS_CHECK)
    done = subprocess.run(
        [sys.executable, "check.py", "house"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONPATH=""),
    )
    assert done.stdout.split() == ["0", "1", "2"], done.stderr
    convert(["published", str(tmp_path / "house"), str(tmp_path / "again"), "processes=1"])
    before, after = ShardSet(shards), ShardSet(tmp_path / "again")
    assert after.description.class_names == CLASS_NAMES
    for index in range(3):
        old, new = before.read(index), after.read(index)
        jpegs = [shard.encoded(row).column("rgb") for shard, row in (before.shard(index), after.shard(index))]
        assert jpegs[0].equals(jpegs[1])
        assert np.array_equal(old.objects, new.objects)
        assert np.array_equal(old.depth == 0, new.depth == 0)
        step = 10_000 / 255
        measured = old.depth > step
        assert np.abs(new.depth.astype(int) - np.minimum(old.depth, 10_000))[measured].max() <= step / 2 + 1
        assert np.allclose(new.poses - old.poses, [50, -50, 0, 0, 0], atol=1e-4)


def test_nothing_that_their_loader_would_count_is_in_the_folder(shards, tmp_path):
    house = tmp_path / "house"
    house.mkdir()
    (house / ".1.pt.part").write_bytes(b"left by a command that was killed")
    convert(["export", str(shards), str(house)])
    assert sorted(path.name for path in house.iterdir()) == ["0.pt", "1.pt", "2.pt"]
    (house / "3.pt").write_bytes(b"another")
    with pytest.raises(UserError, match="holds 3.pt"):
        convert(["export", str(shards), str(house)])


def test_convert_lists_its_commands():
    done = subprocess.run(
        [sys.executable, "-m", "training.convert"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    for name in ("published", "export", "gqn", "images"):
        assert f"\n  {name}" in done.stdout
    with pytest.raises(UserError, match="no command 'publish': expected one of published"):
        convert(["publish"])
