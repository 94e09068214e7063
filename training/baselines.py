"""Predictions that need no learning: what a network must beat to be worth its name.

Each takes the observations of b scenes and the viewpoints (b, q, 7) of q queries, and returns images (b, q, 3, s, s)
in [0, 1]. A network that has not been trained is a baseline too; `training.evaluate` adds it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from placenet_ros.model import Observations, PlaceNetConfig
from placenet_ros.model.reprojection import point_cloud, reproject
from placenet_ros.model.viewpoints import camera_axes

METRES_FOR_A_RADIAN = 2.0  # turning the camera by one radian, a field of view, changes the image about as much as 2 m


def mean_image(observations: Observations, query_viewpoints: Tensor, config: PlaceNetConfig) -> Tensor:
    """The mean of the observations' images, whatever the query."""
    return observations.rgb.mean(dim=1, keepdim=True).expand(-1, query_viewpoints.shape[1], -1, -1, -1)


def nearest_image(observations: Observations, query_viewpoints: Tensor, config: PlaceNetConfig) -> Tensor:
    """The image of the observation whose pose is nearest to the query's.

    Distance is metres between the cameras plus METRES_FOR_A_RADIAN times the angle between their optical axes.
    """
    offsets = query_viewpoints[:, :, None, :3] - observations.viewpoints[:, None, :, :3]
    metres_bqm = config.position_scale * offsets.norm(dim=-1)
    query_axes, axes = camera_axes(query_viewpoints)[2], camera_axes(observations.viewpoints)[2]
    cosines_bqm = query_axes @ axes.transpose(1, 2)
    nearest_bq = (metres_bqm + METRES_FOR_A_RADIAN * cosines_bqm.clamp(-1.0, 1.0).acos()).argmin(dim=2)
    scenes = torch.arange(nearest_bq.shape[0], device=nearest_bq.device)
    return observations.rgb[scenes[:, None], nearest_bq]


def reprojected_image(observations: Observations, query_viewpoints: Tensor, config: PlaceNetConfig) -> Tensor:
    """The observations' pixels moved into the query by their depth; holes in the observations' mean colour."""
    scale, field_of_view = config.position_scale, config.field_of_view_degrees
    cloud = point_cloud(observations.rgb, observations.depth, observations.viewpoints, scale, field_of_view)
    seen = reproject(cloud, query_viewpoints, config.image_size, scale, field_of_view)
    mean_colour = observations.rgb.mean(dim=(1, 3, 4))[:, None, :, None, None]
    return torch.where(seen.mask > 0, seen.colour, mean_colour)


BASELINES = {"mean image": mean_image, "nearest image": nearest_image, "reprojection": reprojected_image}
