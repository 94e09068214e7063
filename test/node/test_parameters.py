"""Parameters of placenet_node."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from placenet_ros.node.parameters import NodeParameters, ParameterError

CONFIG = Path(__file__).resolve().parents[2] / "config" / "placenet.yaml"


def test_yaml_file_has_every_parameter_with_its_default():
    values = yaml.safe_load(CONFIG.read_text())
    assert list(values) == [entry.name for entry in dataclasses.fields(NodeParameters)]
    assert NodeParameters.from_dictionary(values) == NodeParameters()


def test_yaml_file_explains_every_parameter():
    lines = CONFIG.read_text().splitlines()
    for number, line in enumerate(lines):
        if line and not line.startswith("#"):
            assert lines[number - 1].startswith("# "), f"no comment above {line}"


def test_unknown_parameter_is_an_error_that_names_the_nearest():
    with pytest.raises(ParameterError, match="unknown parameter ~keyframe_distanc; the nearest is ~keyframe_distance"):
        NodeParameters.from_dictionary({"keyframe_distanc": 0.5})


def test_whole_numbers_do_for_numbers():
    assert NodeParameters.from_dictionary({"anchor_range": 3}).anchor_range == 3.0


@pytest.mark.parametrize(
    "values, complaint",
    [
        ({"max_observations": 0}, "~max_observations must be at least 1, found 0"),
        ({"max_observations": 1001}, "~max_observations must be at most 1000, found 1001"),
        ({"prediction_samples": 65}, "~prediction_samples must be at most 64, found 65"),
        ({"max_observations": 2.5}, "~max_observations must be a whole number, found 2.5"),
        ({"threads": True}, "~threads must be a whole number, found True"),
        ({"odometry_wait": "long"}, "~odometry_wait must be a number, found 'long'"),
        ({"odometry_wait": float("nan")}, "~odometry_wait must be at least 0, found nan"),
        ({"odometry_wait": float("inf")}, "~odometry_wait must be at least 0, found inf"),
        ({"input_is_rectified": 1}, "~input_is_rectified must be true or false, found 1"),
        ({"base_to_camera": [1.0, 2.0]}, "~base_to_camera must be .* found 2 numbers"),
        ({"base_to_camera": [0.0] * 7}, "~base_to_camera: .* norm 0"),
        ({"weights": 3}, "~weights must be text, found 3"),
        ({"image_transport": "theora"}, "~image_transport must be one of raw, compressed, found 'theora'"),
        ({"pose_source": "TF"}, "~pose_source must be one of odom, tf, found 'TF'"),
        ({"base_frame": "/"}, "~odom_frame and ~base_frame must be names of frames"),
        ({"predict_ahead": 11.0}, "~predict_ahead must be at most 10, found 11"),
        ({"service_timeout": 1e10}, "~service_timeout must be at most 86400, found"),
    ],
)
def test_impossible_values_are_errors_that_say_what_was_expected(values, complaint):
    with pytest.raises(ParameterError, match=complaint):
        NodeParameters.from_dictionary(values)


@pytest.mark.parametrize(
    "image, depth, compressed",
    [
        ("raw", "as_image", ()),
        ("compressed", "as_image", ("image", "depth", "objects")),
        ("compressed", "raw", ("image",)),
        ("raw", "compressed", ("depth", "objects")),
    ],
)
def test_depth_and_objects_come_as_the_image_does_unless_said_otherwise(image, depth, compressed):
    found = NodeParameters(image_transport=image, depth_transport=depth)
    assert found.compressed_inputs == compressed
