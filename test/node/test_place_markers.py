"""What RViz is told of places: what changed, and what is gone."""

import numpy as np
import pytest
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from placenet_ros.node.place_markers import PlaceMarkers
from placenet_ros.scene.place_index import Match, Place
from placenet_ros.scene.viewpoints import CameraPose

HEADER = Header(frame_id="odom")
HERE = CameraPose((0.0, 0.0, 0.8), 0.0, 0.0)


@pytest.fixture
def places():
    return [Place(1, number, "odom", np.zeros(3), np.array([number, 1.0, 0.0])) for number in (1, 2, 3)]


def told(update, kind="places"):
    """Actions of the markers of one kind, and their ids."""
    return [(marker.action, marker.id) for marker in update.markers if marker.ns == kind]


def test_only_what_changed_is_sent(places):
    markers = PlaceMarkers()
    assert len(told(markers.update(HEADER, places, (1, 3), HERE, None))) == 3
    assert told(markers.update(HEADER, places, (1, 3), HERE, None)) == []
    places[1].highest = np.array([2.0, 5.0, 0.0])
    [(action, number)] = told(markers.update(HEADER, places, (1, 3), HERE, None))
    assert (action, number) == (Marker.ADD, 1)


def test_place_that_is_gone_is_deleted_with_its_name_and_its_number_is_not_given_again(places):
    markers = PlaceMarkers()
    markers.update(HEADER, places, (1, 3), HERE, None)
    update = markers.update(HEADER, places[1:], (1, 3), HERE, None)
    assert told(update) == told(update, "place ids") == [(Marker.DELETE, 0)]
    new = Place(1, 4, "odom", np.zeros(3), np.ones(3))
    assert (Marker.ADD, 3) in told(markers.update(HEADER, [*places[1:], new], (1, 4), HERE, None))


def test_places_of_another_episode_are_named_by_it_from_its_end_on(places):
    markers = PlaceMarkers()
    markers.update(HEADER, places, (1, 3), HERE, None)
    update = markers.update(HEADER, places, (2, 1), HERE, None)
    assert [m.text for m in update.markers if m.ns == "place ids"] == ["1.1", "1.2", "1.3"]


def test_somebody_who_begins_to_listen_is_told_everything(places):
    markers = PlaceMarkers()
    markers.update(HEADER, places, (1, 3), HERE, None)
    update = markers.update_all(HEADER, places, (1, 3), HERE, None)
    assert update.markers[0].action == Marker.DELETEALL
    assert len(told(update)) == 3


def test_line_leads_to_the_best_match_and_goes_with_it(places):
    markers = PlaceMarkers()
    match = Match(places[0], 0.9, 1, CameraPose((4.0, 5.0, 0.8), 0.0, 0.0))
    line = markers.update(HEADER, places, (1, 3), HERE, match).markers[-1]
    assert [(p.x, p.y) for p in line.points] == [(0.0, 0.0), (4.0, 5.0)]
    assert told(markers.update(HEADER, places, (1, 3), HERE, None), "match") == [(Marker.DELETE, 0)]
