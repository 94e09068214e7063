"""What to tell of a topic that is not what an input needs, and what to type: by the types of what is published.

`published_types` asks the ROS master for them; the lines know nothing of ROS.
"""

from __future__ import annotations

import http.client
import xmlrpc.client
from typing import Any
from xml.parsers.expat import ExpatError

from placenet_ros.node.compressed_images import COMPRESSED_SUFFIXES

IMAGE_TYPE, COMPRESSED_TYPE = "sensor_msgs/Image", "sensor_msgs/CompressedImage"
TRANSFORM_TYPE = "tf2_msgs/TFMessage"
TRANSPORT_SETTINGS = {"image": "image_transport", "depth": "depth_transport", "objects": "depth_transport"}
MASTER_SECONDS = 1.0  # for an answer: whoever asks has other things to do


def wrong_type_line(name: str, topic: str, found: str, needed: str, settings: str = "") -> str:
    """found: the topic's type. needed: the input's. settings: what to start again with, where that is known."""
    by_transform = ", or with pose_source:=tf" if name == "odom" and found == TRANSFORM_TYPE else ""
    settings = settings or f"{name}:=/THE/TOPIC{by_transform}"
    return f"{name}: {topic} is {found}, {name} needs {needed}; start again with {settings}"


def unfit_topic_line(name: str, topic: str, needed: str, types: dict[str, str]) -> str | None:
    """What to tell of an input to which nothing came though something is published that may be meant for it.

    topic: the input's, of compressed images with their suffix. needed: the type of its messages. types: of all that is
    published, by topic. None: nothing like it is.
    """
    found = types.get(topic)
    if found == needed:
        return (
            f"{name}: {topic} is published, but nothing comes from there: its node was killed, or ROS_IP or "
            f"ROS_HOSTNAME of one of the computers is not right; try: rostopic hz {topic}"
        )
    other, settings = _by_transport(name, topic, needed, types)
    if found is not None:
        return wrong_type_line(name, topic, found, needed, settings)
    if settings:
        return f"{name}: nobody publishes {topic}, but {other} is {types[other]}; start again with {settings}"
    return None


def _by_transport(name: str, topic: str, needed: str, types: dict[str, str]) -> tuple[str, str]:
    """The topic on which image_transport has these images, and the settings for it; both empty: there is none."""
    if name not in COMPRESSED_SUFFIXES:
        return "", ""
    suffix, is_compressed = COMPRESSED_SUFFIXES[name], needed == COMPRESSED_TYPE
    named = _without(suffix, topic) if is_compressed else topic
    base = _without(suffix, named)
    # Who named a compressed topic means that one; who named the images' topic has but the other transport to choose.
    for transport, where, kind in (("compressed", base + suffix, COMPRESSED_TYPE), ("raw", base, IMAGE_TYPE)):
        if types.get(where) == kind:
            settings = [f"{name}:={base}"] if base != named else []
            if kind != needed:
                settings.append(f"{TRANSPORT_SETTINGS[name]}:={transport}")
            return where, " ".join(settings)
    return "", ""


def _without(suffix: str, topic: str) -> str:
    return topic[: -len(suffix)] if topic.endswith(suffix) and topic != suffix else topic


def published_types(master_uri: str, caller: str) -> dict[str, str]:
    """Type by topic of all that is published, as the master says; empty where it says nothing of use in time.

    caller: the node's name.
    """
    master = xmlrpc.client.ServerProxy(master_uri, _ImpatientTransport())
    try:
        _, _, found = master.getPublishedTopics(caller, "")
        return {str(topic): str(kind) for topic, kind in found}
    except (OSError, xmlrpc.client.Error, http.client.HTTPException, ExpatError, ValueError, TypeError):
        return {}  # then less can be told: no more depends on it


class _ImpatientTransport(xmlrpc.client.Transport):
    """Gives up after MASTER_SECONDS without an answer."""

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = MASTER_SECONDS
        return connection
