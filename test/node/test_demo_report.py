"""When the demonstration asks for views, and what it says where it could judge few."""

from pathlib import Path

import pytest

from placenet_ros.node.demo_report import ASK_EVERY_SECONDS, ELSEWHERE, QueryPlan, told
from placenet_ros.node.keeping_up import late_count
from placenet_ros.node.odometry import OdometryBuffer
from placenet_ros.node.recorded_walk import RecordedWalk

START, SECONDS = 100.0, 20.0


@pytest.fixture
def walk():
    rgb = {int((START + frame / 10) * 1e9): None for frame in range(int(SECONDS * 10) + 1)}
    return RecordedWalk(OdometryBuffer(1.0), rgb, {}, "camera", START, START + SECONDS)


def asked(plan, step):
    times = [START + count * step for count in range(int(SECONDS / step) + 1)]
    return [(now, query) for now, query in ((now, plan.due(now)) for now in times) if query is not None]


def test_views_are_asked_for_ahead_of_the_robot_and_not_too_often(walk):
    found = asked(QueryPlan(walk), 0.01)
    times = [now for now, _ in found]
    assert min(later - now for now, later in zip(times, times[1:])) >= ASK_EVERY_SECONDS - 1e-6
    assert sum(not query.is_ahead for _, query in found) == len(ELSEWHERE)
    assert len({query.label for _, query in found}) == len(found) > 20


def test_view_asked_for_late_is_still_one_ahead_of_the_robot(walk):
    for now, query in asked(QueryPlan(walk), 3.0):
        if query.is_ahead:
            assert query.stamp * 1e-9 - now == pytest.approx(1.5, abs=0.06)


def figures(views=10, embeddings=100, late=0):
    counts = ("frames_seen", "keyframes", "places", "views_published", "queries_asked", "queries_answered_in_time")
    found = dict.fromkeys((*counts, "bag_seconds"), 1)
    found.update(embeddings_published=embeddings, embeddings_late=late)
    found["delay_ms"] = {"median": 1.0, "percentile_99": 2.0, "resolution": 5}
    found["rmse"] = {"views": views, "seconds_ahead": 1.5, "predicted": 20.0, "latest_observation": 30.0}
    return found


@pytest.mark.parametrize("views, is_noted", [(9, True), (10, False)])
def test_few_judged_views_are_told(views, is_noted):
    assert ("fewer than 10 views could be judged" in told(figures(views=views), Path("out"))) == is_noted


@pytest.mark.parametrize("late, is_noted", [(5, False), (6, True)])
def test_a_machine_that_did_not_keep_up_is_told(late, is_noted):
    text = told(figures(late=late), Path("out"))
    assert (f"did not keep up: {late} of 100 embeddings came over 250 ms after their image" in text) == is_noted


def test_embeddings_later_than_a_quarter_of_a_second_are_counted():
    assert late_count([30.0, 249.0, 251.0, 2000.0]) == 2
