"""The services ~save_map and ~load_map.

The worker only copies what it holds: the work on the disk is done in the service's own thread.
"""

from __future__ import annotations

import threading
from typing import Any, Callable

import rospy

from placenet_ros.counted import counted
from placenet_ros.node.map_file import MapError, map_path, read_map, write_map
from placenet_ros.node.request import Request, RequestError
from placenet_ros.srv import MapFile, MapFileRequest, MapFileResponse


class MapServices:
    """Both services, offered from when it is made.

    ask: hands a request to the worker and waits for its answer; raises RequestError.
    """

    def __init__(self, ask: Callable[[Request], Any]):
        self._ask = ask
        self._lock = threading.Lock()  # one file at a time
        self._services = [
            rospy.Service("~save_map", MapFile, lambda asked: self._serve(self._save, asked)),
            rospy.Service("~load_map", MapFile, lambda asked: self._serve(self._load, asked)),
        ]

    def _serve(self, work: Callable[[str], str], asked: MapFileRequest) -> MapFileResponse:
        try:
            with self._lock:
                message = work(asked.path)
        except (MapError, RequestError) as refusal:
            return MapFileResponse(success=False, message=str(refusal))
        rospy.loginfo(message)
        return MapFileResponse(success=True, message=message)

    def _save(self, text: str) -> str:
        path = map_path(text)
        places, model_id = self._ask(Request(lambda tasks: tasks.map_to_save()))
        write_map(path, places, model_id)
        return f"{path}: saved {counted(len(places.ids), 'place')}"

    def _load(self, text: str) -> str:
        path = map_path(text)
        places, model_id = read_map(path)
        found = self._ask(Request(lambda tasks: tasks.add_map(places, model_id, str(path))))
        if found.known and found.known == len(places.ids):
            return f"{path}: nothing to load: there already: {counted(found.known, 'place')}"
        missing = len(places.ids) - found.known - found.added
        known = f"; there already: {counted(found.known, 'other')}" if found.known else ""
        room = f"; ~max_places has no room for {missing} more, visited before them" if missing else ""
        return f"{path}: loaded {counted(found.added, 'place')}, episodes from {found.first_episode} on{known}{room}"
