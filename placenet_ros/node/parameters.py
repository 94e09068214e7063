"""A node's private parameters as a frozen dataclass, checked once, before any work: how, and those of placenet_node.

Knows nothing of ROS. Units and meanings are where the user edits the values: in a YAML file in config/, which has the
same names and defaults.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from placenet_ros.counted import counted
from placenet_ros.node.rigid_pose import PoseError, RigidPose

AnyParameters = TypeVar("AnyParameters", bound="Parameters")

KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", tuple: "a list of numbers"}
LARGEST_SCENE = 1000  # observations: a prediction already reads them for seconds, and their encodings fill gigabytes
LONGEST_LOOK_AHEAD = 10.0  # seconds: nobody goes on as they do for longer
LONGEST_TIMEOUT = 86_400.0  # seconds: a day; Python can wait for some centuries at most
MOST_PLACES = 10_000  # their embeddings already take 160 MB where each has 128 numbers
MOST_MATCHES = 100
MOST_SAMPLES = 64  # a batch of one prediction: more would not change their deviation by a grey level, and take seconds


class ParameterError(ValueError):
    """A parameter that is unknown, of another type or out of range; one line."""


def at_least(minimum: float, default: Any, maximum: float = math.inf) -> Any:
    """A number with its default and its range, ends included."""
    return dataclasses.field(default=default, metadata={"minimum": minimum, "maximum": maximum})


def one_of(default: str, *others: str) -> Any:
    """Text with its default and what else it may be."""
    return dataclasses.field(default=default, metadata={"choices": (default, *others)})


@dataclass(frozen=True)
class Parameters:
    """What every node's parameters have. explained_in: the YAML file, for messages.

    Raises ParameterError for a number outside its range, and a text that is none of its choices.
    """

    explained_in: ClassVar[str]

    def __post_init__(self):
        for entry in dataclasses.fields(self):
            minimum, value = entry.metadata.get("minimum"), getattr(self, entry.name)
            if minimum is not None and not minimum <= value < math.inf:
                raise ParameterError(f"parameter ~{entry.name} must be at least {minimum:g}, found {value}")
            if minimum is not None and value > entry.metadata["maximum"]:
                maximum = entry.metadata["maximum"]
                raise ParameterError(f"parameter ~{entry.name} must be at most {maximum:g}, found {value}")
            choices = entry.metadata.get("choices", (value,))
            if value not in choices:
                raise ParameterError(f"parameter ~{entry.name} must be one of {', '.join(choices)}, found '{value}'")

    @classmethod
    def from_dictionary(cls: type[AnyParameters], values: dict[str, Any]) -> AnyParameters:
        """The parameters of a dictionary, defaults elsewhere.

        Raises ParameterError: an unknown name (with the nearest known one), a value of another type or out of range.
        """
        defaults = {entry.name: entry.default for entry in dataclasses.fields(cls)}
        for name in values:
            if name not in defaults:
                nearest = difflib.get_close_matches(name, defaults, n=1, cutoff=0.0)[0]
                raise ParameterError(
                    f"unknown parameter ~{name}; the nearest is ~{nearest} (all are explained in {cls.explained_in})"
                )
        return cls(**{name: _as_kind(name, value, type(defaults[name])) for name, value in values.items()})


@dataclass(frozen=True)
class NodeParameters(Parameters):
    """Every private parameter of placenet_node. Raises ParameterError for a value out of range."""

    explained_in: ClassVar[str] = "config/placenet.yaml"

    # Model
    weights: str = "placenet-small"
    device: str = "cpu"
    threads: int = at_least(0, 0)
    # Scene
    max_observations: int = at_least(1, 20, LARGEST_SCENE)
    keyframe_distance: float = at_least(0.0, 0.2)
    keyframe_angle: float = at_least(0.0, 0.26)
    keyframe_period: float = at_least(0.0, 0.0)
    anchor_range: float = at_least(0.1, 3.0)
    archive_megabytes: float = at_least(0.0, 200.0, 100_000.0)
    odometry_trust: float = at_least(0.0, 100.0)
    reset_on_time_jump: bool = True
    odometry_jump: float = at_least(0.0, 1.0)
    # Places
    match_similarity: float = at_least(0.0, 0.0, 1.0)
    match_after: float = at_least(0.0, 10.0)
    max_matches: int = at_least(1, 5, MOST_MATCHES)
    max_places: int = at_least(1, 2000, MOST_PLACES)
    map_frames_agree: bool = False
    # Inputs
    image_transport: str = one_of("raw", "compressed")
    depth_transport: str = one_of("as_image", "raw", "compressed")
    pose_source: str = one_of("odom", "tf")
    odom_frame: str = "odom"
    base_frame: str = "base_link"
    input_is_rectified: bool = True
    base_to_camera: tuple[float, ...] = ()
    odometry_buffer: float = at_least(0.1, 2.0)
    odometry_wait: float = at_least(0.0, 0.2)
    join_tolerance: float = at_least(0.0, 0.02)
    silence_warning: float = at_least(0.1, 5.0)
    depth_and_objects_expected: bool = True
    # Outputs
    predict_rate: float = at_least(0.0, 1.0)
    predict_ahead: float = at_least(0.0, 0.0, LONGEST_LOOK_AHEAD)
    prediction_samples: int = at_least(1, 4, MOST_SAMPLES)
    service_timeout: float = at_least(0.1, 5.0, LONGEST_TIMEOUT)

    def __post_init__(self):
        super().__post_init__()
        if len(self.base_to_camera) not in (0, 7):
            raise ParameterError(
                "parameter ~base_to_camera must be [x, y, z, qx, qy, qz, qw] or [] (then TF is asked), "
                f"found {counted(len(self.base_to_camera), 'number')}"
            )
        if not (self.odom_frame.strip("/") and self.base_frame.strip("/")):
            raise ParameterError("parameters ~odom_frame and ~base_frame must be names of frames, found an empty one")
        if self.base_to_camera:
            try:
                RigidPose.checked(self.base_to_camera[:3], self.base_to_camera[3:])
            except PoseError as error:
                raise ParameterError(f"parameter ~base_to_camera: {error}") from error

    @property
    def transform(self) -> tuple[str, str] | None:
        """The frames between which TF is asked for the robot's pose: odometry's and the robot's; None: it is not."""
        return (self.odom_frame, self.base_frame) if self.pose_source == "tf" else None

    @property
    def compressed_inputs(self) -> tuple[str, ...]:
        """Which of image, depth and objects come compressed."""
        depth_transport = self.image_transport if self.depth_transport == "as_image" else self.depth_transport
        transports = {"image": self.image_transport, "depth": depth_transport, "objects": depth_transport}
        return tuple(name for name, transport in transports.items() if transport == "compressed")


def _as_kind(name: str, value: Any, kind: type) -> Any:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is float and is_number:
        return float(value)
    if kind is int and is_number and isinstance(value, int):
        return value
    if kind in (bool, str) and isinstance(value, kind):
        return value
    if kind is tuple and isinstance(value, (list, tuple)):
        return tuple(_as_kind(name, number, float) for number in value)
    raise ParameterError(f"parameter ~{name} must be {KINDS[kind]}, found {value!r}")
