"""What a PlaceNet is built from: sizes, options, and the camera that its weights know."""
from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from placenet_ros.model.modalities import MODALITIES

TOWERS = ("tower", "pyramid", "pool")
GRID_STRIDE = 4  # pixels of the image for one place of the representation's grid
TOKENS = (1, 16, 256)
# Far beyond any use; a damaged or foreign description is not to take hours or all memory before it is refused.
LARGEST = {"image_size": 1024, "layers": 100, "representation_channels": 65536, "hidden_channels": 65536,
           "canvas_channels": 65536, "latent_channels": 65536, "reprojection_channels": 65536}
LARGEST_OF_OPTIONS = {"narrow_tower_channels": 65536, "depth_estimation_channels": 1024, "predicted_classes": 256,
                      "embedding_channels": 65536}


def _setting(default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"help": meaning})


@dataclass(frozen=True)
class PlaceNetConfig:
    """Sizes and options of a PlaceNet (MODEL.md "Networks"); the defaults are the published sizes.

    Raises:
        ValueError: a setting that is out of range or does not go with another; the message names both.
    """

    image_size: int = _setting(64, "height and width of every image, pixels; a multiple of 16")
    field_of_view_degrees: float = _setting(60.0, "angle across the whole image of the pinhole camera, both ways")
    position_scale: float = _setting(3.0, "metres that one unit of a viewpoint's position stands for")
    tower: str = _setting("tower", "representation network: tower, pyramid or pool (GQN, Eslami et al. 2018)")
    representation_channels: int = _setting(256, "channels of the scene representation")
    narrow_tower_channels: int = _setting(0, "channels of a tower for depth and objects alone, which only attention "
                                             "reads; 0: they pass through the colours' tower, as published")
    hidden_channels: int = _setting(128, "channels of each ConvLSTM's hidden and cell state")
    canvas_channels: int = _setting(128, "channels of the canvas")
    latent_channels: int = _setting(3, "channels of the latent of each layer")
    layers: int = _setting(12, "layers: latents, each with an inference and a generation step")
    shared_core: bool = _setting(False, "one set of core weights for all layers instead of one for each")
    attention: str = _setting(MODALITIES, "modalities attended to: any of r (rgb), d (depth), o (objects); none is GQN")
    attention_tokens: int = _setting(1, "tokens of each observation and modality: 1, 16 or 256")
    attention_weight: float = _setting(0.1, "start of gamma, the learned weight of each modality's attention")
    reprojection: bool = _setting(True, "carry the observations' colours into the query's view by their depth")
    reprojection_channels: int = _setting(32, "channels of the reprojected picture at the grid, beside R in the cores")
    close_gaps: bool = _setting(False, "reproject surfaces instead of points: without gaps, colours between pixels")
    copy_seen: bool = _setting(False, "show what was seen as it was, as far as the network does not know better")
    reprojection_objects: bool = _setting(False, "carry the observations' objects into the query's view too")
    depth_estimation_channels: int = _setting(0, "finest channels of the network that estimates depth from colour "
                                                 "where observations come without; 0: none, they are not reprojected")
    predict_depth: bool = _setting(False, "predict the depth of the query's view beside its colours")
    predicted_classes: int = _setting(0, "object classes told apart in the query's view, ids 0 to one less; 0: none")
    predict_error: bool = _setting(False, "predict how wrong each pixel's colour is likely to be")
    embedding_channels: int = _setting(0, "numbers of a place's embedding by a head of its own, which "
                                          "training.train_embedding adds; 0: the representation's mean")

    def __post_init__(self) -> None:
        for name, most in LARGEST.items():
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be 1 to {most}, not {getattr(self, name)}")
        for name, most in LARGEST_OF_OPTIONS.items():
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be 0 to {most}, not {getattr(self, name)}")
        for name in ("close_gaps", "copy_seen", "reprojection_objects", "depth_estimation_channels"):
            if getattr(self, name) and not self.reprojection:
                raise ValueError(f"{name} is {getattr(self, name)}, but has no effect without reprojection")
        if self.image_size < 16 or self.image_size % 16:
            raise ValueError(f"image_size must be a multiple of 16 pixels, not {self.image_size}")
        if not 0.0 < self.field_of_view_degrees < 180.0:
            raise ValueError(f"field_of_view_degrees must lie between 0 and 180, not {self.field_of_view_degrees}")
        if not self.position_scale > 0.0:
            raise ValueError(f"position_scale must be over 0 metres, not {self.position_scale}")
        if self.tower not in TOWERS:
            raise ValueError("tower must be one of {}, not '{}'".format(", ".join(TOWERS), self.tower))
        for name in ("representation_channels", "narrow_tower_channels"):
            if getattr(self, name) % 2:
                raise ValueError(f"{name} must be even, not {getattr(self, name)}")
        if len(set(self.attention)) != len(self.attention) or set(self.attention) - set(MODALITIES):
            raise ValueError("attention must be made of the letters {}, each at most once, not '{}'".format(
                ", ".join(MODALITIES), self.attention))
        if self.narrow_tower_channels and not set(self.attention) - {"r"}:
            raise ValueError(f"narrow_tower_channels is {self.narrow_tower_channels}, but has no effect with attention "
                             f"'{self.attention}': only depth (d) and objects (o) pass through that tower")
        if self.embedding_channels and self.tower == "pyramid":
            raise ValueError(f"embedding_channels is {self.embedding_channels}, but tower 'pyramid' has no features "
                             "without a viewpoint, which the embedding is made of: choose tower or pool")
        if self.attention_tokens not in TOKENS:
            raise ValueError(f"attention_tokens must be one of {TOKENS}, not {self.attention_tokens}")
        if self.attention and self.attention_tokens > self.feature_size ** 2:
            raise ValueError(f"attention_tokens is {self.attention_tokens}, but tower '{self.tower}' at image_size "
                             f"{self.image_size} has only {self.feature_size} x {self.feature_size} places")

    @property
    def grid_size(self) -> int:
        """Height and width of the latents, the hidden states and the scene representation, in places."""
        return self.image_size // GRID_STRIDE

    @property
    def feature_size(self) -> int:
        """Height and width of an observation's features: the grid for 'tower', 1 for 'pyramid' and 'pool'."""
        return self.grid_size if self.tower == "tower" else 1

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PlaceNetConfig:
        """The configuration of a dictionary, as in a weights folder's JSON.

        Raises:
            ValueError: an unknown key (with the nearest known one), a value of another type or out of range.
        """
        known = {entry.name: type(entry.default) for entry in fields(cls)}
        for name, value in values.items():
            if name not in known:
                nearest = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean '{nearest[0]}'?" if nearest else ""
                raise ValueError(f"unknown model setting '{name}'{hint}")
            expected = known[name]
            if type(value) is not expected and not (expected is float and type(value) is int):
                raise ValueError(f"model setting '{name}' must be of type {expected.__name__}, not {value!r}")
        return cls(**values)
