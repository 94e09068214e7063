"""Predictions that need no learning: what a network must beat to be worth its name.

Each takes the observations of b scenes and the viewpoints (b, q, 7) of q queries. A network that has not been trained
is a baseline too; `training.evaluate` adds it.

Shapes: b scenes, m observations, q queries, s image size.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from placenet_ros.model import Observations, PlaceNetConfig
from placenet_ros.model.modalities import class_colours
from placenet_ros.model.reprojection import Reprojection, draw_points, point_cloud
from placenet_ros.model.viewpoints import camera_axes

METRES_FOR_A_RADIAN = 2.0  # turning the camera by one radian, a field of view, changes the image about as much as 2 m
CLASSES = 256  # that a uint8 can tell


class Prediction(NamedTuple):
    """What is said of query views; None for what is not predicted."""

    images: Tensor  # b q 3 s s, [0, 1]
    depth: Tensor | None = None  # b q 1 s s, metres along the optical axis, 0 = none
    class_ids: Tensor | None = None  # b q s s, int64
    spread: Tensor | None = None  # b q 1 s s, on 0..255: how far samples of each pixel differ, see `training.evaluate`
    error: Tensor | None = None  # b q 1 s s, on 0..255: absolute error to expect of each pixel


# From the observations of b scenes and viewpoints (b, q, 7); None where it cannot predict from such observations.
Predictor = Callable[[Observations, Tensor], "Prediction | None"]


def mean_image(observations: Observations, query_viewpoints: Tensor, config: PlaceNetConfig) -> Tensor:
    """The mean of the observations' images, whatever the query: (b, q, 3, s, s) in [0, 1]."""
    return observations.rgb.mean(dim=1, keepdim=True).expand(-1, query_viewpoints.shape[1], -1, -1, -1)


def pose_distances(viewpoints: Tensor, query_viewpoints: Tensor, config: PlaceNetConfig) -> Tensor:
    """How far each query's view is from each observation's, (b, q, m).

    Metres between the cameras plus METRES_FOR_A_RADIAN times the angle between their optical axes.
    """
    offsets = query_viewpoints[:, :, None, :3] - viewpoints[:, None, :, :3]
    metres_bqm = config.position_scale * offsets.norm(dim=-1)
    query_axes, axes = camera_axes(query_viewpoints)[2], camera_axes(viewpoints)[2]
    cosines_bqm = query_axes @ axes.transpose(1, 2)
    return metres_bqm + METRES_FOR_A_RADIAN * cosines_bqm.clamp(-1.0, 1.0).acos()


def nearest_image(observations: Observations, query_viewpoints: Tensor, config: PlaceNetConfig) -> Tensor:
    """The image of the observation whose pose is nearest to the query's: (b, q, 3, s, s) in [0, 1]."""
    nearest_bq = pose_distances(observations.viewpoints, query_viewpoints, config).argmin(dim=2)
    scenes = torch.arange(nearest_bq.shape[0], device=nearest_bq.device)
    return observations.rgb[scenes[:, None], nearest_bq]


def reprojected_image(observations: Observations, query_viewpoints: Tensor, config: PlaceNetConfig) -> Tensor:
    """The observations' pixels moved into the query by their depth; holes in the observations' mean colour.

    (b, q, 3, s, s) in [0, 1]. Observations must have depth.
    """
    seen = _reprojected(observations.rgb, observations, query_viewpoints, config)
    mean_colour = observations.rgb.mean(dim=(1, 3, 4))[:, None, :, None, None]
    return torch.where(seen.mask > 0, seen.colour, mean_colour)


def mean_depth(observations: Observations, query_viewpoints: Tensor, config: PlaceNetConfig) -> Tensor:
    """The mean of all depth that was measured in a scene, everywhere: (b, q, 1, s, s), metres."""
    depth = observations.depth
    mean_b = depth.sum(dim=(1, 2, 3, 4)) / (depth > 0).sum(dim=(1, 2, 3, 4)).clamp(min=1)
    return mean_b[:, None, None, None, None].expand(-1, query_viewpoints.shape[1], *depth.shape[2:])


def reprojected_depth(observations: Observations, query_viewpoints: Tensor, config: PlaceNetConfig) -> Tensor:
    """The observations' points as far as they are from the query's camera; holes at the mean depth. Metres."""
    seen = _reprojected(observations.rgb, observations, query_viewpoints, config)
    return torch.where(seen.mask > 0, seen.depth, mean_depth(observations, query_viewpoints, config))


def commonest_class(observations: Observations, query_viewpoints: Tensor, config: PlaceNetConfig) -> Tensor:
    """The class that most of a scene's pixels have, everywhere: (b, q, s, s), int64."""
    ids = class_ids_of(observations.objects).flatten(1)
    counts = torch.zeros(len(ids), CLASSES, dtype=torch.int64, device=ids.device)
    counts.scatter_add_(1, ids, torch.ones_like(ids))
    counts[:, 0] = 0  # nothing known
    size = config.image_size
    return counts.argmax(dim=1)[:, None, None, None].expand(-1, query_viewpoints.shape[1], size, size)


def reprojected_classes(observations: Observations, query_viewpoints: Tensor, config: PlaceNetConfig) -> Tensor:
    """The observations' classes moved into the query by their depth; holes in the commonest. (b, q, s, s), int64."""
    seen = _reprojected(observations.objects, observations, query_viewpoints, config)
    ids = class_ids_of(seen.colour)
    return torch.where(seen.mask[:, :, 0] > 0, ids, commonest_class(observations, query_viewpoints, config))


def class_ids_of(pictures: Tensor) -> Tensor:
    """Class ids (..., h, w), int64, of pictures (..., 3, h, w) painted by `class_colours`; 0 for any other colour."""
    keys, ids = _colour_keys(pictures.device)
    wanted = _colour_key(pictures.movedim(-3, -1))
    place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where(keys[place] == wanted, ids[place], torch.zeros_like(wanted))


def baseline_predictors(config: PlaceNetConfig) -> dict[str, Predictor]:
    """Each baseline by its name; depth and classes are predicted where the observations have them."""

    def mean(observations: Observations, viewpoints: Tensor) -> Prediction:
        return Prediction(
            mean_image(observations, viewpoints, config),
            None if observations.depth is None else mean_depth(observations, viewpoints, config),
            None if observations.objects is None else commonest_class(observations, viewpoints, config),
        )

    def nearest(observations: Observations, viewpoints: Tensor) -> Prediction:
        return Prediction(nearest_image(observations, viewpoints, config))

    def reprojection(observations: Observations, viewpoints: Tensor) -> Prediction | None:
        if observations.depth is None:
            return None
        return Prediction(
            reprojected_image(observations, viewpoints, config),
            reprojected_depth(observations, viewpoints, config),
            None if observations.objects is None else reprojected_classes(observations, viewpoints, config),
        )

    return {"mean image": mean, "nearest image": nearest, "reprojection": reprojection}


def _reprojected(
    pictures: Tensor, observations: Observations, query_viewpoints: Tensor, config: PlaceNetConfig
) -> Reprojection:
    """Pictures (b, m, 3, s, s) of the observations, in the queries' views."""
    scale, field_of_view = config.position_scale, config.field_of_view_degrees
    cloud = point_cloud(pictures, observations.depth, observations.viewpoints, scale, field_of_view)
    return draw_points(cloud, query_viewpoints, scale, field_of_view)


def _colour_key(colours: Tensor) -> Tensor:
    """A number for each colour (..., 3) in [0, 1], to a thousandth."""
    red, green, blue = (1000 * colours).round().long().unbind(-1)
    return (red * 1001 + green) * 1001 + blue


@lru_cache(maxsize=4)
def _colour_keys(device: torch.device) -> tuple[Tensor, Tensor]:
    """The keys of the classes' colours, ascending, and the class of each."""
    return _colour_key(class_colours().to(device)).sort()
