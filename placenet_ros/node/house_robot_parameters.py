"""Parameters of house_robot_node. Units and meanings are in config/house_robot.yaml, which has the same names and
defaults. Knows nothing of ROS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from placenet_ros.node.parameters import ParameterError, Parameters, at_least, one_of

LARGEST_SIDE = 1920  # pixels: what cameras of robots have; in software such a picture takes half a second
FASTEST_CAMERA = 50.0  # pictures per second: as often as odometry comes


@dataclass(frozen=True)
class RobotParameters(Parameters):
    """Every private parameter of house_robot_node. Raises ParameterError for a value out of range."""

    explained_in: ClassVar[str] = "config/house_robot.yaml"

    # House
    seed: int = at_least(0, 10_000_000)
    plan: str = ""
    scene: str = ""
    scene_up: str = one_of("auto", "x", "y", "z")
    scene_scale: float = at_least(1e-6, 1.0)
    # Motion
    drive: str = one_of("auto", "path", "cmd_vel")
    path_speed: float = at_least(0.01, 0.5, 2.0)
    path_turn_rate: float = at_least(0.01, 0.8, 6.0)
    max_speed: float = at_least(0.01, 0.7, 2.0)
    max_turn_rate: float = at_least(0.01, 1.5, 6.0)
    acceleration: float = at_least(0.01, 1.0)
    turn_acceleration: float = at_least(0.01, 3.0)
    command_timeout: float = at_least(0.05, 0.5)
    odometry_noise: float = at_least(0.0, 0.0, 1.0)
    # Camera
    image_rate: float = at_least(0.1, 10.0, FASTEST_CAMERA)
    image_width: int = at_least(16, 320, LARGEST_SIDE)
    image_height: int = at_least(16, 240, LARGEST_SIDE)
    field_of_view: float = at_least(0.1, 1.35, 2.8)
    camera_height: float = at_least(0.1, 0.8, 1.8)
    camera_pitch: float = at_least(-1.2, -0.07, 1.2)

    def __post_init__(self):
        super().__post_init__()
        if self.plan and self.scene:
            raise ParameterError("parameters ~plan and ~scene are both given: give the one that the robot is to be in")
