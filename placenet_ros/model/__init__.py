"""PlaceNet in PyTorch: networks, attention, objective terms, weights in and out. Knows nothing of ROS or of data."""
from placenet_ros.model.config import PlaceNetConfig
from placenet_ros.model.objective import EvidenceLowerBound, Reconstruction, evidence_lower_bound
from placenet_ros.model.placenet import Observations, PlaceNet, SceneRepresentation
from placenet_ros.model.published import PublishedConfig, PublishedPlaceNet, load_published
from placenet_ros.model.weights import WeightsError

__all__ = ["EvidenceLowerBound", "Observations", "PlaceNet", "PlaceNetConfig", "PublishedConfig",
           "PublishedPlaceNet", "Reconstruction", "SceneRepresentation", "WeightsError", "evidence_lower_bound",
           "load_published"]
