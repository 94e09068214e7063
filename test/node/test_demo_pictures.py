"""What the demonstration's pictures show: their parts by the pixels of a PNG, their words by those of an SVG."""

import math
import re

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from placenet_ros.node import demo_pictures
from placenet_ros.node.demo_pictures import (
    JUDGEMENT_COLOURS,
    PLACE_COLOURS,
    DrawnMatch,
    DrivenPose,
    MatchedPair,
    ViewRow,
    Walk,
    draw_drive,
    draw_path,
    draw_views,
)
from placenet_ros.scene.viewpoints import CameraPose

MAGENTA, CYAN, YELLOW = (255, 0, 255), (0, 255, 255), (255, 255, 0)  # no colour of any drawing
ALMOST = 2  # of 255: rounding


def pose(x, y=0.0, degrees=0.0):
    return CameraPose((x, y, 0.8), math.radians(degrees), 0.0)


def plain(colour):
    """A picture of nothing but that colour."""
    return np.full((24, 32, 3), colour, np.uint8)


def where(picture, colour):
    """Rows and columns of the pixels that have a colour, (2, n); colour: as matplotlib or a picture has it."""
    rgb = np.multiply(to_rgb(colour), 255) if isinstance(colour, str) else np.array(colour)
    return np.array(np.nonzero((np.abs(picture - rgb) <= ALMOST).all(-1)))


def count(picture, colour):
    return where(picture, colour).shape[1]


def picture_of(draw, path):
    """What `draw` writes to a PNG: (height, width, 3) floats, 0..255."""
    draw(path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"), dtype=float)


def words_of(draw, path):
    """What `draw` writes into an SVG, line by line."""
    with matplotlib.rc_context({"svg.fonttype": "none"}):  # text as text
        draw(path)
    return re.findall(r"<text[^>]*>(.*?)</text>", path.read_text(), re.DOTALL)


SUREST = DrawnMatch(pose(0.5, 1.0), pose(0.0), 30.0, 0.0, "right")
ANOTHER = DrawnMatch(pose(4.0, 2.0), pose(0.0), 20.0, 0.0, "wrong")
JUDGEMENTS = {"right": "it is right", "near": "it is nearly right", "wrong": "it is wrong"}
LEGEND = ["keyframes, coloured by place, and headings", *JUDGEMENTS.values()]


def drive(path, matches=(SUREST, ANOTHER), has_pair=True):
    pair = MatchedPair(SUREST, plain(MAGENTA), plain(CYAN), "at 30 s", "at 0 s", "similarity 0.9")
    keyframes = [(0.0, pose(0.0), 1), (10.0, pose(4.0), 1), (20.0, pose(4.0, 2.0), 2), (30.0, pose(0.5, 1.0), 2)]
    driven = [DrivenPose(*keyframe) for keyframe in keyframes]
    draw_drive(driven, matches, JUDGEMENTS, pair if has_pair else None, path)


def test_drive_shows_map_times_legend_and_the_surest_matchs_two_pictures(tmp_path):
    picture = picture_of(drive, tmp_path / "revisit.png")
    assert picture.shape == (1150, 1200, 3)
    plan, right, times, legend = picture[:770, :770], picture[:770, 770:], picture[770:1050], picture[1050:]
    for part in (plan, times):
        assert all(count(part, colour) > 100 for colour in PLACE_COLOURS[:2])
        assert count(part, JUDGEMENT_COLOURS["wrong"]) > 100  # a line, and an arc
    assert all(count(legend, colour) > 100 for colour in JUDGEMENT_COLOURS.values())
    now, then = where(right, MAGENTA), where(right, CYAN)
    assert now.shape[1] > 50_000 and then.shape[1] > 50_000
    assert now[0].max() < then[0].min()  # one above the other
    assert count(picture, MAGENTA) + count(picture, CYAN) == now.shape[1] + then.shape[1]


def test_drive_says_what_its_parts_are(tmp_path):
    words = words_of(drive, tmp_path / "revisit.svg")
    titles = ["A live drive from above,", "The surest match:", "at 30 s", "is taken for", "at 0 s", "similarity 0.9"]
    for line in [*titles, *LEGEND, "the surest match", "seconds after the start"]:
        assert line in words


def test_drive_without_a_match_says_so_and_shows_no_pictures(tmp_path):
    picture = picture_of(lambda path: drive(path, [], has_pair=False), tmp_path / "revisit.png")
    assert count(picture, MAGENTA) == count(picture, CYAN) == 0
    assert count(picture[:1050], JUDGEMENT_COLOURS["wrong"]) == count(picture[:1050], JUDGEMENT_COLOURS["right"]) == 0
    words = words_of(lambda path: drive(path, [], has_pair=False), tmp_path / "revisit.svg")
    assert "nothing was known again" in words and "the surest match" not in words
    assert set(LEGEND) <= set(words)


def view_row(truth, uncertainty):
    held = [plain(MAGENTA)[:, :24]] * 2
    return ViewRow(12.0, 2, held, "1.5 s ahead", truth, plain(CYAN)[:, :24], np.full((24, 24), uncertainty))


def views(path):
    draw_views([view_row(plain(YELLOW)[:, :24], 0.1), view_row(None, 0.4)], "tiny", path)


def test_views_show_what_was_held_seen_predicted_and_unsure_in_each_row(tmp_path):
    picture = picture_of(views, tmp_path / "views.png")
    truth, predicted = where(picture, YELLOW), where(picture, CYAN)
    assert truth[0].min() == predicted[0].min() and truth[0].max() < predicted[0].max()  # of the first row alone
    assert where(picture, MAGENTA)[1].max() < truth[1].min() and truth[1].max() < predicted[1].min()
    size = truth.shape[1]
    assert size > 10_000
    for colour, cells in {MAGENTA: 4, CYAN: 2}.items():
        assert count(picture, colour) == pytest.approx(cells * size, rel=0.05)
    magma = matplotlib.colormaps["magma"]
    for uncertainty in (0.1, 0.4):  # of the highest, 0.4
        shade = tuple(np.multiply(magma(uncertainty / 0.4)[:3], 255))
        assert count(picture, shade) == pytest.approx(size, rel=0.05)
    words = words_of(views, tmp_path / "views.svg")
    expected = ["Views predicted by tiny while the robot drives", "some of the views seen so far", "predicted"]
    expected += ["at 12 s, 2 held", "1.5 s ahead", "RMSE 208 of 255", "never here", "(white: 0.4)"]
    for line in expected:
        assert line in words


ELSEWHERE = (pose(1.0, 2.0),)


def path_from_above(path, elsewhere=ELSEWHERE):
    observations = [(pose(0.0), 1), (pose(2.0, 0.5, 90.0), 2)]
    along = np.array([[0.0, 0.0], [2.0, 0.5]])
    draw_path(Walk(along, observations, observations, [pose(1.0, 0.5)], elsewhere, np.zeros((5, 2)) - 1.0), path)


def test_path_shows_places_and_queries_and_says_what_they_are(tmp_path):
    picture = picture_of(path_from_above, tmp_path / "path.png")
    assert min(picture.shape[:2]) > 500
    assert all(count(picture, colour) > 100 for colour in (*PLACE_COLOURS[:2], "crimson"))
    queried = "views predicted where it never was"
    expected = ["The robot's path and its places, from above", "a place begins", queried]
    expected += ["observations, coloured by place", "views predicted before it was there", "path of the camera"]
    words = words_of(path_from_above, tmp_path / "path.svg")
    for line in [*expected, "walls and furniture (by depth)"]:
        assert line in words
    picture = picture_of(lambda path: path_from_above(path, ()), tmp_path / "path.png")
    assert count(picture, "crimson") == 0
    assert queried not in words_of(lambda path: path_from_above(path, ()), tmp_path / "path.svg")


def test_a_place_is_named_where_the_names_of_others_leave_room():
    poses, named = [pose(0.3 * step) for step in range(6)], [pose(-5.0), pose(0.1)]
    assert demo_pictures._pose_for_name(poses, []) == poses[0]
    assert demo_pictures._pose_for_name(poses, named) == poses[4]
    assert demo_pictures._pose_for_name(poses[:2], named) == poses[1], "no room: as far as can be"


def test_colours_of_places_are_not_those_of_judgements():
    shades = [to_rgb(colour) for colour in JUDGEMENT_COLOURS.values()]
    assert min(np.linalg.norm(np.subtract(to_rgb(place), shade)) for place in PLACE_COLOURS for shade in shades) > 0.3
