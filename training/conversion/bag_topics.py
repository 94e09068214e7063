"""Which topics of a bag are the camera's and the robot's: those that are named, else those of the demonstration's bag
(`training.make_bag`), else those that are the only ones of their kind."""

from __future__ import annotations

from typing import Any, NamedTuple

from placenet_ros.node.compressed_images import encoding_of, is_compressed
from placenet_ros.node.image_layout import COLOUR_ENCODINGS, LABEL_ENCODINGS
from training.configuration import UserError
from training.conversion.bag_file import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, ODOMETRY, TOPICS_SHOWN, TRANSFORMS, Bag
from training.conversion.bag_images import is_compressed_depth

DEMO_IMAGE = "/camera/color/image_raw"
DEMO_DEPTH = "/camera/aligned_depth_to_color/image_raw"
DEMO_OBJECTS = "/camera/objects/image_raw"
DEMO_ODOMETRY = "/odom"
NO_TOPIC = "none"  # what a setting says to leave an optional topic out
COMPRESSED_SUFFIXES = ("/compressed", "/compressedDepth")  # of image_transport
FIXED_SUFFIX = "tf_static"


class Topics(NamedTuple):
    """None: there is none, or it is not needed."""

    image: str
    camera_info: str | None
    depth: str | None
    objects: str | None
    odom: str | None

    @property
    def modalities(self) -> tuple[str, ...]:
        """What of each frame there is."""
        return ("rgb", *(name for name in ("depth", "objects") if getattr(self, name)))

    @property
    def has_rectified_image(self) -> bool:
        """Whether the image's name says so, by the convention of image_proc: image_rect, image_rect_color."""
        return "rect" in _uncompressed(self.image).rsplit("/", 1)[-1]


def find_topics(bag: Bag, config: Any) -> Topics:
    """The topics that `bags.BagImport` asks for. Raises UserError: missing, of another type, or not the only one."""
    image = _image(bag, config.image)
    camera_info = None if config.field_of_view else _camera_info(bag, config.camera_info, image)
    depth = _depth(bag, config.depth, image)
    objects = _objects(bag, config.objects)
    return Topics(image, camera_info, depth, objects, _odometry(bag, config))


def transform_topics(bag: Bag) -> tuple[list[str], list[str]]:
    """The topics of fixed and of other transforms."""
    topics = bag.topics_of(*TRANSFORMS)
    return (
        [topic for topic in topics if topic.endswith(FIXED_SUFFIX)],
        [topic for topic in topics if not topic.endswith(FIXED_SUFFIX)],
    )


def _image(bag: Bag, wanted: str | None) -> str:
    if wanted:
        return _given(bag, "image", wanted, (IMAGE, COMPRESSED_IMAGE))
    topics = bag.topics_of(IMAGE, COMPRESSED_IMAGE)
    for demo in (DEMO_IMAGE, DEMO_IMAGE + COMPRESSED_SUFFIXES[0]):
        if demo in topics:
            return demo
    kinds = {topic: _pixel_kind(bag.first(topic)) for topic in topics if topic != DEMO_OBJECTS}
    colour = _without_compressed_copies([topic for topic, kind in kinds.items() if kind == "colour"])
    grey = _without_compressed_copies([topic for topic, kind in kinds.items() if kind == "grey"])
    candidates = colour or grey
    if not candidates:
        others = [f"{topic} ({encoding_of(bag.first(topic))})" for topic in topics]
        found = f"images of other kinds: {', '.join(others)}" if others else bag.listed()
        raise UserError(
            f"{bag.path}: no image topic: expected sensor_msgs/Image ({', '.join(COLOUR_ENCODINGS)}) or "
            f"CompressedImage, found {found}"
        )
    return _only(bag, "image", candidates)


def _camera_info(bag: Bag, wanted: str | None, image: str) -> str:
    if wanted:
        return _given(bag, "camera_info", wanted, (CAMERA_INFO,))
    candidates = bag.topics_of(CAMERA_INFO)
    beside = _uncompressed(image).rsplit("/", 1)[0] + "/camera_info"  # by the convention of image_transport
    if beside in candidates:
        return beside
    if not candidates:
        raise UserError(
            f"{bag.path}: no camera_info: set field_of_view= to the degrees across the width of {image}, if its "
            "lens does not distort"
        )
    return _only(bag, "camera_info", candidates)


def _depth(bag: Bag, wanted: str | None, image: str) -> str | None:
    if wanted == NO_TOPIC:
        return None
    if wanted:
        return _given(bag, "depth", wanted, (IMAGE, COMPRESSED_IMAGE))
    topics = bag.topics_of(IMAGE, COMPRESSED_IMAGE)
    if DEMO_DEPTH in topics:
        return DEMO_DEPTH
    colour, candidates = bag.first(image), []
    for topic in topics:
        message = bag.first(topic)
        if _pixel_kind(message) == "depth" and _is_aligned(message, colour):
            candidates.append(topic)
    candidates = _without_compressed_copies(candidates)
    return _only(bag, "depth", candidates, f", or depth={NO_TOPIC}") if candidates else None


def _objects(bag: Bag, wanted: str | None) -> str | None:
    if wanted == NO_TOPIC:
        return None
    if wanted:
        return _given(bag, "objects", wanted, (IMAGE, COMPRESSED_IMAGE))
    return DEMO_OBJECTS if DEMO_OBJECTS in bag.topics_of(IMAGE) else None


def _odometry(bag: Bag, config: Any) -> str | None:
    if config.pose_source == "tf":
        if not bag.topics_of(*TRANSFORMS):
            raise UserError(f"{bag.path}: no /tf for pose_source=tf, found {bag.listed()}")
        return None
    if config.odom:
        return _given(bag, "odom", config.odom, (ODOMETRY,))
    candidates = bag.topics_of(ODOMETRY)
    if DEMO_ODOMETRY in candidates:
        return DEMO_ODOMETRY
    if not candidates:
        hint = "set pose_source=tf world_frame=FRAME" if transform_topics(bag)[1] else "record it"
        raise UserError(f"{bag.path}: no odometry (nav_msgs/Odometry): {hint}; found {bag.listed()}")
    return _only(bag, "odom", candidates)


def _given(bag: Bag, setting: str, wanted: str, kinds: tuple[str, ...]) -> str:
    """The topic that a setting names, or its compressed copy, where only that was recorded."""
    topics = bag.topics_of(*kinds)
    for name in (wanted, "/" + wanted):
        for suffix in ("", *COMPRESSED_SUFFIXES):
            if name + suffix in topics:
                return name + suffix
    names = " or ".join(kind.replace("/msg/", "/") for kind in kinds)
    raise UserError(f"{bag.path}: {setting}={wanted}: expected a topic with messages of {names}, found {bag.listed()}")


def _only(bag: Bag, setting: str, candidates: list[str], alternative: str = "") -> str:
    if len(candidates) > 1:
        listed = ", ".join(candidates[:TOPICS_SHOWN])
        raise UserError(
            f"{bag.path}: several topics could be {setting}: set {setting}= to one of {listed}{alternative}"
        )
    return candidates[0]


def _pixel_kind(message: Any) -> str | None:
    """What the pixels of an image are: "colour", "grey" or "depth"; None for what is not supported."""
    encoding = encoding_of(message)
    if is_compressed_depth(message) or encoding in ("16UC1", "32FC1"):
        return "depth"
    if encoding in LABEL_ENCODINGS:
        return "grey"
    return "colour" if is_compressed(message) or encoding in COLOUR_ENCODINGS else None


def _is_aligned(depth: Any, image: Any) -> bool:
    """Whether depth was measured, or computed, for the image's own pixels."""
    if depth.header.frame_id != image.header.frame_id:
        return False
    if is_compressed(depth) or is_compressed(image):
        return True
    return (depth.width, depth.height) == (image.width, image.height)


def _uncompressed(topic: str) -> str:
    for suffix in COMPRESSED_SUFFIXES:
        topic = topic.removesuffix(suffix)
    return topic


def _without_compressed_copies(topics: list[str]) -> list[str]:
    return [topic for topic in topics if _uncompressed(topic) == topic or _uncompressed(topic) not in topics]
