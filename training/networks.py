"""Which network a configuration, or a folder of weights, names: ours, or the authors' as a baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from placenet_ros.model import PlaceNet, PlaceNetConfig
from placenet_ros.model.weights import read_architecture
from training.published_network import ARCHITECTURE, PublishedNetwork, published_config

Arithmetic = Literal["placenet", "published"]
Network = PlaceNet | PublishedNetwork
NETWORKS: dict[str, type[PlaceNet] | type[PublishedNetwork]] = {"placenet": PlaceNet, "published": PublishedNetwork}


def check_arithmetic(arithmetic: Arithmetic, config: PlaceNetConfig) -> None:
    """Raises ValueError where a network's configuration asks for what it cannot have."""
    if arithmetic == "published":
        published_config(config)


def build_network(arithmetic: Arithmetic, config: PlaceNetConfig) -> Network:
    """A network with new weights. Raises ValueError where the configuration does not go with the arithmetic."""
    return NETWORKS[arithmetic](config)


def read_network(path: str | Path) -> Network:
    """The network of a weights folder, on the CPU, in eval mode. Raises WeightsError."""
    published = read_architecture(path) == ARCHITECTURE
    return (PublishedNetwork if published else PlaceNet).from_pretrained(path)


def poses_of(network: Network) -> Literal["scene", "box"]:
    """The form of poses (sampling.poses) that a network from `read_network` was trained with."""
    return network.about.get("configuration", {}).get("sampling", {}).get("poses", "scene")
