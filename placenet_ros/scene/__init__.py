"""The scene representation built online from camera and poses. Knows nothing of ROS, files or devices."""
from placenet_ros.scene.memory import PredictedView, SceneMemory
from placenet_ros.scene.viewpoints import CameraPose

__all__ = ["CameraPose", "PredictedView", "SceneMemory"]
