"""How the demonstration judges a live drive: by where the robot really was."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from std_msgs.msg import Header
from test_demo_pictures import words_of

from placenet_ros.node import demo_drive
from placenet_ros.node.demo_drive import Keyframe, Recognition, figures, match_after, revisits, told
from placenet_ros.node.images import image_message
from placenet_ros.scene.viewpoints import CameraPose

AFTER = 10.0


def pose(x, y=0.0, degrees=0.0):
    return CameraPose((x, y, 0.8), math.radians(degrees), 0.0)


def keyframe(seconds, x, travelled, y=0.0, degrees=0.0):
    return Keyframe(seconds, pose(x, y, degrees), (1, 1), travelled)


DRIVE = [keyframe(0.0, 0.0, 0.0), keyframe(10.0, 5.0, 5.0), keyframe(20.0, 0.5, 9.5), keyframe(30.0, 0.6, 10.5)]


def recognition(now, then, similarity=0.9):
    return Recognition(now, then, 0.0, (1, 1), similarity)


@pytest.mark.parametrize(
    "now, is_right, is_near",
    [
        (pose(0.9), True, True),
        (pose(1.1), False, True),
        (pose(0.5, degrees=-29.0), True, True),
        (pose(0.5, degrees=31.0), False, True),
        (pose(0.5, degrees=345.0), True, True),
        (pose(0.0, y=2.1), False, False),
    ],
)
def test_match_is_judged_by_the_distance_and_turn_between_the_poses(now, is_right, is_near):
    found = recognition(Keyframe(1.0, now, (1, 2), 20.0), pose(0.0))
    assert (found.is_right, found.is_near) == (is_right, is_near)


def test_revisit_is_where_the_robot_was_enough_metres_of_travel_before():
    assert revisits(DRIVE, AFTER) == [DRIVE[3]]
    turned = [*DRIVE[:3], keyframe(30.0, 0.6, 10.5, degrees=90.0)]
    assert revisits(turned, AFTER) == []


@pytest.mark.parametrize("on_server, after", [({"/robot/placenet_node/match_after": 3.0}, 3.0), ({}, 10.0)])
def test_metres_of_travel_are_those_of_the_running_node(on_server, after, monkeypatch):
    monkeypatch.setattr(demo_drive.rospy, "resolve_name", lambda name: f"/robot/placenet_node/{name}")
    monkeypatch.setattr(demo_drive.rospy, "get_param", on_server.get)
    assert match_after() == after


def test_figures_count_right_near_and_wrong_matches():
    found = [recognition(DRIVE[3], pose(0.0)), recognition(DRIVE[2], pose(2.0)), recognition(DRIVE[1], pose(0.0))]
    counted = figures(DRIVE, found, AFTER)
    assert counted["matches"] == {"all": 3, "right": 1, "near": 1, "wrong": 1}
    assert (counted["revisits"], counted["revisits_matched_right"]) == (1, 1)
    assert figures(DRIVE, found[1:], AFTER)["revisits_matched_right"] == 0


def test_report_says_how_far_the_surest_match_is_off_and_why_there_is_none():
    counted = figures(DRIVE, [recognition(DRIVE[3], pose(3.0))], AFTER)
    text = told(counted, recognition(DRIVE[3], pose(3.0)), True, Path("out"))
    assert "1: 0 right, 0 more within 2 m, 1 wrong" in text
    assert "seen 30 s before: similarity 0.90, in truth 2.4 m and 0 degrees apart" in text
    nothing = figures(DRIVE, [], AFTER)
    assert "nothing was alike enough" in told(nothing, None, True, Path("out"))
    assert "do not say how alike" in told(nothing, None, False, Path("out"))


def test_a_drive_on_a_machine_that_did_not_keep_up_is_told():
    late = [replace(frame, delay_ms=300.0) for frame in DRIVE]
    assert "did not keep up: 4 of 4" in told(figures(late, [], AFTER), None, True, Path("out"))
    assert "did not keep up" not in told(figures(DRIVE, [], AFTER), None, True, Path("out"))


def test_picture_of_a_drive_names_the_surest_matchs_places_and_moments(tmp_path):
    surest = Recognition(DRIVE[3], pose(0.0), 0.0, (1, 4), 0.9)
    picture = image_message(Header(), np.zeros((24, 32, 3), np.uint8), "rgb8")
    drive = SimpleNamespace(keyframes=DRIVE, found=[surest], pictures={0.0: picture, 30.0: picture})
    words = words_of(lambda path: demo_drive.draw(drive, surest, path), tmp_path / "revisit.svg")
    for line in ["place 1, at 30 s", "place 4, at 0 s", "similarity 0.90; in truth", "0.6 m, 0 degrees apart"]:
        assert line in words
    drive.pictures.clear()  # as where the images did not come
    assert "place 4, at 0 s" not in words_of(lambda path: demo_drive.draw(drive, surest, path), tmp_path / "none.svg")
