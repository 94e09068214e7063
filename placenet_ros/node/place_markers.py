"""What RViz shows of the places: their extents and names, and a line from the robot to the best match.

Markers stay in RViz until they are replaced: only what changed is sent again.
"""

from __future__ import annotations

from typing import Iterable

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from placenet_ros.node.images import fresh_header
from placenet_ros.scene.place_index import Match, Place
from placenet_ros.scene.viewpoints import CameraPose

SMALLEST_EXTENT = 0.2  # metres: a place of one keyframe, too, is to be seen
TEXT_METRES = 0.3
LINE_METRES = 0.06
PLACE_COLOUR = ColorRGBA(0.2, 0.5, 0.9, 0.25)
HERE_COLOUR = ColorRGBA(0.2, 0.8, 0.3, 0.35)  # of the place that the robot is in
TEXT_COLOUR = ColorRGBA(1.0, 1.0, 1.0, 1.0)
MATCH_COLOUR = ColorRGBA(1.0, 0.3, 0.1, 1.0)


class PlaceMarkers:
    """Remembers what RViz has been told."""

    def __init__(self) -> None:
        self._drawn: dict[Place, tuple] = {}  # what decides on a place's looks
        self._numbers: dict[Place, int] = {}  # of their markers
        self._next_number = 0

    def update(
        self, header: Header, places: Iterable[Place], here: tuple[int, int], pose: CameraPose, match: Match | None
    ) -> MarkerArray:
        """The change since the last call.

        header: stamp and frame of all poses. places: those whose poses are in it. here: episode and place that the
        robot is in; pose: of its camera. match: where the line ends; None: there is none.
        """
        wanted = {place: _looks(place, here) for place in places}
        markers = [marker for place in set(self._drawn) - set(wanted) for marker in self._deleted(header, place)]
        for place, looks in wanted.items():
            if self._drawn.get(place) != looks:
                markers += self._place(header, place, *looks[-2:])
        self._drawn = wanted
        return MarkerArray([*markers, _match_line(header, pose, match)])

    def update_all(self, header: Header, *rest) -> MarkerArray:
        """The same for somebody who has been told nothing yet."""
        self._drawn, self._numbers = {}, {}
        delete_all = Marker(header=fresh_header(header), action=Marker.DELETEALL)
        return MarkerArray([delete_all, *self.update(header, *rest).markers])

    def _deleted(self, header: Header, place: Place) -> list[Marker]:
        number = self._numbers.pop(place)
        return [
            Marker(header=fresh_header(header), ns=namespace, id=number, action=Marker.DELETE)
            for namespace in ("places", "place ids")
        ]

    def _place(self, header: Header, place: Place, is_here: bool, is_of_episode: bool) -> list[Marker]:
        if place not in self._numbers:
            self._numbers[place] = self._next_number
            self._next_number = (self._next_number + 1) % 2**31
        number = self._numbers[place]
        middle = (place.lowest + place.highest) / 2
        size = np.maximum(place.highest - place.lowest, SMALLEST_EXTENT)
        box = _marker(header, "places", number, Marker.CUBE, HERE_COLOUR if is_here else PLACE_COLOUR)
        box.pose.position, box.scale = Point(*middle), Vector3(*size)
        text = _marker(header, "place ids", number, Marker.TEXT_VIEW_FACING, TEXT_COLOUR)
        text.pose.position, text.scale.z = Point(*middle[:2], middle[2] + size[2] / 2 + TEXT_METRES), TEXT_METRES
        text.text = str(place.place_id) if is_of_episode else f"{place.episode_id}.{place.place_id}"
        return [box, text]


def _looks(place: Place, here: tuple[int, int]) -> tuple:
    """Its extent, whether the robot is in it, and whether it is of this episode."""
    is_here = (place.episode_id, place.place_id) == here
    return (*place.lowest, *place.highest, is_here, place.episode_id == here[0])


def _match_line(header: Header, pose: CameraPose, match: Match | None) -> Marker:
    line = _marker(header, "match", 0, Marker.LINE_LIST, MATCH_COLOUR)
    if match is None:
        line.action = Marker.DELETE
    else:
        line.scale.x = LINE_METRES
        line.points = [Point(*pose.position), Point(*match.pose.position)]
    return line


def _marker(header: Header, namespace: str, number: int, kind: int, colour: ColorRGBA) -> Marker:
    pose = Pose(orientation=Quaternion(w=1.0))
    return Marker(header=fresh_header(header), ns=namespace, id=number, type=kind, pose=pose, color=colour)
