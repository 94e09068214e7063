"""A folder of images and a CSV of their poses to shards, in one command."""

import cv2
import numpy as np
import pytest
from PIL import Image

from training.configuration import UserError
from training.convert import main as convert
from training.data.dataset import ShardSet

WIDTH, HEIGHT, FIELD_OF_VIEW = 320, 240, 90.0
HEADER = "file,x,y,z,yaw,pitch,depth,objects,trajectory"
FOCAL = WIDTH / 2  # of 90 degrees


def view_of_a_marked_wall():
    """Colours, depth and ids of a wall 2 m ahead: a square of 40 degrees across in the middle, striped outside."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    tangents = np.maximum(abs(columns - WIDTH / 2), abs(rows - HEIGHT / 2)) / FOCAL
    inside = tangents < np.tan(np.radians(20))
    rgb = np.where(inside[..., None], np.uint8([250, 10, 10]), np.uint8([0, 0, 0]))
    rgb[~inside & (columns.astype(int) % 2 == 0)] = 255
    depth = np.where(inside, 2000, 3000).astype(np.uint16)
    return rgb, depth, np.where(inside, 7, 3).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Six pictures of two trajectories, of JPEG and PNG, with depth and objects."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rgb, depth, objects = view_of_a_marked_wall()
    rows = [HEADER]
    for number in range(6):
        file = f"{number}.{'jpg' if number % 2 else 'png'}"
        Image.fromarray(rgb).save(folder / file, quality=98, subsampling=0)
        cv2.imwrite(str(folder / f"{number}-depth.png"), depth)
        cv2.imwrite(str(folder / f"{number}-objects.png"), objects)
        walk = "kitchen" if number < 4 else "hall"
        rows.append(f"{file},{number},-1.5,0.6,{30 * number},-5,{number}-depth.png,{number}-objects.png,{walk}")
    (folder / "poses.csv").write_text("\n".join(rows) + "\n")
    return folder


def command(folder, tmp_path, *words):
    return ["images", str(folder), str(tmp_path / "out"), f"field_of_view={FIELD_OF_VIEW:g}", "processes=1", *words]


def test_pictures_and_poses_become_trajectories_of_one_field_of_view(folder, tmp_path):
    convert(command(folder, tmp_path, "angles=degrees"))
    data = ShardSet(tmp_path / "out")
    assert data.description.field_of_view_degrees == 60.0 and list(data.lengths) == [4, 2]
    frames = data.read(1)
    expected = [[4, -1.5, 0.6, np.radians(120), np.radians(-5)], [5, -1.5, 0.6, np.radians(150), np.radians(-5)]]
    assert np.allclose(frames.poses, expected, atol=1e-6)
    tangents = abs(np.arange(64) + 0.5 - 32) / 32 * np.tan(np.radians(30))
    half = int((tangents < np.tan(np.radians(20))).sum()) // 2  # pixels from the middle to the square's edge
    for rgb, depth, objects in zip(frames.rgb, frames.depth, frames.objects, strict=True):
        inside = slice(32 - half + 1, 32 + half - 1)
        assert abs(rgb[inside, inside].astype(int) - [250, 10, 10]).max() < 12
        assert (depth[inside, inside] == 2000).all() and (objects[inside, inside] == 7).all()
        outside = np.ones((64, 64), bool)
        outside[32 - half - 1 : 32 + half + 1, 32 - half - 1 : 32 + half + 1] = False
        assert set(np.unique(depth[outside])) == {3000} and set(np.unique(objects[outside])) == {3}
        # stripes of a pixel's width become grey, not stripes
        assert abs(rgb[outside].astype(int) - 127).mean() < 25
    assert (tmp_path / "out" / "paths.png").stat().st_size > 1000


def test_a_view_that_the_pictures_do_not_cover_is_warned_of(folder, tmp_path, capsys):
    convert(command(folder, tmp_path, "angles=degrees", "field_of_view=70"))
    told = capsys.readouterr().err
    assert "70.0 x 55.4 degrees" in told and "view=55" in told


@pytest.mark.parametrize(
    "row, named",
    [
        ("9.png,0,0,0,0,0,0-depth.png,0-objects.png,hall", "file: no file '9.png'"),
        ("../x.png,0,0,0,0,0,0-depth.png,0-objects.png,hall", "expected a file below the folder"),
        ("0.png,zero,0,0,0,0,0-depth.png,0-objects.png,hall", "x: expected a number, found 'zero'"),
        ("0.png,nan,0,0,0,0,0-depth.png,0-objects.png,hall", "x: expected a number"),
        ("0.png,0,0,0,0,95,0-depth.png,0-objects.png,hall", "set angles=degrees or angles=radians"),
        ("0.png,0,0,0,0,0,0-depth.png", "as many cells as the header"),
        ("0.png,0,0,0,0,0,,0-objects.png,hall", "depth: empty; a column"),
        ("cut.png,0,0,0,0,0,0-depth.png,0-objects.png,hall", "cut.png: a damaged PNG file"),
        ("0.png,0,0,0,0,0,1.jpg,0-objects.png,hall", "1.jpg: expected a PNG"),
        ("0.png,0,0,0,0,0,small.png,0-objects.png,hall", "small.png: not of the colour picture's size"),
        ("0.png,0,0,0,0,0,0-depth.png,0.png,hall", "0.png: expected one channel"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line_or_skipped(folder, tmp_path, row, named, capsys):
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:300])
    cv2.imwrite(str(folder / "small.png"), np.zeros((24, 32), np.uint16))
    rows = (folder / "poses.csv").read_text().splitlines()
    (folder / "poses.csv").write_text("\n".join([*rows[:3], row, *rows[3:]]) + "\n")
    words = command(folder, tmp_path, "angles=degrees")
    with pytest.raises(UserError, match=f"poses.csv:4: .*{named}"):
        convert(words)
    convert([*words, "skip_damaged=true"])
    assert list(ShardSet(tmp_path / "out").lengths) == [4, 2]
    assert "poses.csv:4" in capsys.readouterr().err


def test_what_must_be_given_is_asked_for(folder, tmp_path):
    with pytest.raises(UserError, match="field_of_view= must be given"):
        convert(["images", str(folder), str(tmp_path / "out")])
    with pytest.raises(UserError, match="other.csv: no such file: write one with the columns file,x,y,z,yaw,pitch"):
        convert(command(folder, tmp_path, f"poses={folder}/other.csv"))
    (folder / "poses.csv").write_text("file,x,y,z,heading\n")
    with pytest.raises(UserError, match="poses.csv:1: expected a header of .* found file,x,y,z,heading"):
        convert(command(folder, tmp_path))
