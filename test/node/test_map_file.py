"""A map's file: whole or not at all, and nothing that is not one is read."""

import errno
import json
import os
import resource
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from placenet_ros.node import map_file
from placenet_ros.node.map_file import DESCRIPTION, MapError, map_path, read_map, write_map
from placenet_ros.node.stamps import LATEST_STAMP
from placenet_ros.scene.place_index import PlaceMap

MODEL = "0123456789ab"


@pytest.fixture
def places():
    random = np.random.default_rng(0)
    embeddings = random.normal(size=(5, 16)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return PlaceMap(
        embeddings,
        random.normal(size=(5, 5)),
        np.arange(5, dtype=np.int64) * 1_000_000_000,
        np.array([0, 0, 1, 1, 2]),
        np.array([(1, 1), (1, 2), (3, 1)]),
        np.array([[(-1.0, -1.0, 0.0), (1.0, 2.0, 0.8)]] * 3),
        ["odom", "odom", "map"],
    )


@pytest.fixture
def path(tmp_path, places):
    write_map(tmp_path / "flat.map", places, MODEL)
    return tmp_path / "flat.map"


def told(read):
    with pytest.raises(MapError) as refusal:
        read()
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def rewritten(path, places, **changes):
    """The same file with another description, its digest right."""
    tensors = {name: np.ascontiguousarray(getattr(places, name)) for name in map_file.TENSORS}
    description = {"format": 1, "model_id": MODEL, "frame_ids": places.frame_ids}
    description.update({"sha256": map_file._digest(tensors)}, **changes)
    path.write_bytes(save(tensors, {DESCRIPTION: json.dumps(description)}))
    return path


def test_map_comes_back_as_it_was(path, places):
    found, model_id = read_map(path)
    assert model_id == MODEL and found.frame_ids == places.frame_ids
    for name in map_file.TENSORS:
        np.testing.assert_array_equal(getattr(found, name), getattr(places, name), err_msg=name)


def test_map_without_places_comes_back(tmp_path, places):
    empty = PlaceMap(*(array[:0] for array in places[:-1]), [])
    write_map(tmp_path / "empty", empty, MODEL)
    assert len(read_map(tmp_path / "empty")[0].ids) == 0


def test_map_that_is_not_there_is_told_with_what_to_do(tmp_path):
    line = told(lambda: read_map(tmp_path / "nothere.map"))
    assert line.endswith(": not loaded: No such file or directory; give the path of a file that ~save_map wrote")


def test_map_cut_short_anywhere_is_refused(path):
    data = path.read_bytes()
    for size in [*range(0, 600, 7), *range(600, len(data), 97), len(data) - 1]:
        path.write_bytes(data[:size])
        assert str(path) in told(lambda: read_map(path))


def test_map_with_any_byte_changed_is_refused_or_unchanged(path, places):
    """Bytes of the header may be changed without harm (a blank, a case in JSON); then all values must be the same."""
    data = path.read_bytes()
    header = 8 + struct.unpack("<Q", data[:8])[0]
    refused = 0
    for position in [*range(0, header, 5), *range(header, len(data), 11)]:
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x11]) + data[position + 1 :])
        try:
            found, _ = read_map(path)
        except MapError as refusal:
            assert "\n" not in str(refusal)
            refused += 1
            continue
        assert position < header
        for name in map_file.TENSORS:
            np.testing.assert_array_equal(getattr(found, name), getattr(places, name), err_msg=name)
    assert refused > 100


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 100, b"\x80\x04K\x01.", b"{}", os.urandom(4096), struct.pack("<Q", 2**62) + b"{}", save({})],
    ids=["empty", "zeros", "pickle", "json", "random", "a header beyond the file", "safetensors of something else"],
)
def test_foreign_file_is_refused_and_not_overwritten(tmp_path, places, content):
    path = tmp_path / "foreign"
    path.write_bytes(content)
    assert "no map" in told(lambda: read_map(path))
    assert "the file there is no map" in told(lambda: write_map(path, places, MODEL))
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"format": 2}, "format 2, this version reads 1"),
        ({"model_id": 7}, "no model_id"),
        ({"frame_ids": ["odom"]}, "frame_ids"),
        ({"frame_ids": None}, "frame_ids"),
        ({"frame_ids": ["odom", "odom", 3]}, "frame_ids"),
        ({"sha256": "0" * 64}, "SHA-256"),
    ],
)
def test_description_that_does_not_fit_is_refused(path, places, changes, complaint):
    assert complaint in told(lambda: read_map(rewritten(path, places, **changes)))


@pytest.mark.parametrize(
    "change, complaint",
    [
        ({"embeddings": np.full((5, 16), np.nan, np.float32)}, "norm"),
        ({"embeddings": np.ones((5, 16), np.float32)}, "norm"),
        ({"embeddings": np.ones((4, 16), np.float32)}, "F64 [5, 5]"),
        ({"embeddings": np.ones((5, 16))}, "embeddings is F64"),
        ({"embeddings": np.ones(5, np.float32)}, "embeddings is F32 [5]"),
        ({"poses": np.full((5, 5), np.inf)}, "a pose"),
        ({"poses": np.full((5, 5), 1e9)}, "a pose"),
        ({"poses": np.ones((5, 6))}, "poses is F64 [5, 6]"),
        ({"stamps": np.full(5, -1)}, "stamp"),
        ({"stamps": np.full(5, 2**32 * 1_000_000_000)}, "stamp"),
        ({"stamps": np.full(5, LATEST_STAMP + 1)}, "stamp"),
        ({"owners": np.array([0, 0, 1, 1, 3])}, "descriptor"),
        ({"owners": np.array([0, 0, 1, 1, -1])}, "descriptor"),
        ({"owners": np.zeros(5, np.int64)}, "descriptor"),
        ({"ids": np.array([(1, 1), (1, 1), (3, 1)])}, "the same id"),
        ({"ids": np.array([(0, 1), (1, 2), (3, 1)])}, "out of range"),
        ({"ids": np.array([(1, 1), (1, 2), (3, 2**40)])}, "out of range"),
        ({"extents": np.array([[(1.0, 0.0, 0.0), (0.0, 0.0, 0.0)]] * 3)}, "inside out"),
        ({"extents": np.full((3, 2, 3), np.nan)}, "a pose"),
    ],
)
def test_values_that_cannot_be_are_refused(path, places, change, complaint):
    assert complaint in told(lambda: read_map(rewritten(path, places._replace(**change))))


def test_map_is_replaced_by_a_newer_one(path, places):
    write_map(path, places, "another model")
    assert read_map(path)[1] == "another model"
    assert os.listdir(path.parent) == [path.name]


def test_disk_that_is_full_leaves_the_old_map_and_nothing_else(path, places):
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # bytes of a file: the kernel refuses more
    try:
        complaint = told(lambda: write_map(path, places, "another model"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.strerror(errno.EFBIG) in complaint
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_places_to_write_to_that_are_none_are_one_line(tmp_path, places):
    (tmp_path / "file").write_text("text")
    os.mkfifo(tmp_path / "pipe")
    for path in ("/nowhere/at/all", "/proc/map", tmp_path, tmp_path / "file" / "map", tmp_path / "pipe", "/dev/full"):
        assert str(path) in told(lambda path=path: write_map(Path(path), places, MODEL))
        assert str(path) in told(lambda path=path: read_map(Path(path)))
    assert "folder" in told(lambda: write_map(tmp_path / ("x" * 300), places, MODEL))


def test_path_is_whole_or_refused(monkeypatch):
    monkeypatch.setenv("HOME", "/home/robot")
    assert map_path("~/flat.map") == Path("/home/robot/flat.map")
    assert map_path("/maps/flat.map") == Path("/maps/flat.map")
    for text in ("", "flat.map", "./flat.map", "~nobody-of-that-name/flat.map", "/maps/\0flat.map"):
        assert "is no whole path" in told(lambda text=text: map_path(text))
