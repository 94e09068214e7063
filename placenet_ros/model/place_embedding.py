"""The head that makes the embedding of a place: observations in, a direction out; like places have like directions.

Each observation becomes a token at once, from what does not depend on its viewpoint: its look. The embedding is the
newest observation's token, turned, and added to it what is made of the mean, over it and some before it, of what each
token and its viewpoint say together: PlaceNet's own sum over observations, as seen by the newest. It knows no anchor,
so it does not change when scenes are placed anew, and depends on the heading: a room seen from its other end is another
place.

`training.train_embedding` trains it; the rest of the network stays as it is.

Shapes: `...` is any batch, m observations (the newest last), t token channels, s image size, g grid size.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from placenet_ros.model.modalities import DEPTH_RANGE_M
from placenet_ros.model.viewpoints import VIEWPOINT_SIZE

EMBEDDED_OBSERVATIONS = 8  # that an embedding is made of, at most
FEATURE_PARTS = 4  # along each side of the features whose means make the look
PICTURE_PARTS = 8  # along each side of the picture and of the depth
COLOUR_NUMBERS, DEPTH_NUMBERS = 3 * PICTURE_PARTS ** 2, PICTURE_PARTS ** 2
TOKEN_CHANNELS = 256


def look_size(feature_channels: int) -> int:
    """Numbers of a look."""
    return feature_channels * FEATURE_PARTS ** 2 + COLOUR_NUMBERS + DEPTH_NUMBERS + 1


def look(features: Tensor, rgb: Tensor, depth: Tensor | None) -> Tensor:
    """What an observation looks like, whatever its viewpoint.

    Args:
        features: (..., c, g, g), the tower's of its colours, before the viewpoint joins them.
        rgb: (..., 3, s, s) in [0, 1].
        depth: (..., 1, s, s), metres, 0 where none was measured; None: nowhere.

    Returns:
        (..., `look_size(c)`), float32: means of the features, the colours and the depth over parts of the picture, and
        1 where there is depth, else 0 as all depth.
    """
    if depth is None:
        near = rgb.new_zeros(*rgb.shape[:-3], DEPTH_NUMBERS + 1)
    else:
        near = _parts((depth / DEPTH_RANGE_M).clamp(0.0, 1.0), PICTURE_PARTS)
        near = torch.cat([near, torch.ones_like(near[..., :1])], dim=-1)
    seen = [_parts(features.float(), FEATURE_PARTS), _parts(rgb.float(), PICTURE_PARTS)]
    return torch.cat([*seen, near.float()], dim=-1)


def _parts(maps: Tensor, parts: int) -> Tensor:
    """(..., c, h, w) -> (..., c * parts * parts): means over parts of the picture."""
    batch = maps.shape[:-3]
    return F.adaptive_avg_pool2d(maps.reshape(-1, *maps.shape[-3:]), parts).reshape(*batch, -1)


class PlaceEmbedding(nn.Module):
    """looks: numbers that a token is made of. channels: of the embedding."""

    def __init__(self, looks: int, channels: int) -> None:
        super().__init__()
        self.token = nn.Linear(looks, TOKEN_CHANNELS)
        self.placed = nn.Linear(TOKEN_CHANNELS + VIEWPOINT_SIZE, TOKEN_CHANNELS)
        self.around = nn.Linear(TOKEN_CHANNELS, TOKEN_CHANNELS)
        self.newest = nn.Linear(TOKEN_CHANNELS, TOKEN_CHANNELS, bias=False)
        self.beside = nn.Linear(TOKEN_CHANNELS, channels)
        self.direct = nn.Linear(TOKEN_CHANNELS, channels, bias=False)

    def tokens(self, looks: Tensor) -> Tensor:
        """(..., `looks`) -> (..., t)."""
        return self.token(looks.to(self.token.weight.dtype))

    def forward(self, tokens: Tensor, viewpoints: Tensor, there: Tensor | None = None) -> Tensor:
        """Embeddings (..., channels), float32 of norm 1.

        Args:
            tokens: (..., m, t), the newest last.
            viewpoints: (..., m, 7), relative to the newest one's position and yaw.
            there: (..., m) bool, which of them are; the newest is. None: all.
        """
        placed = F.relu(self.placed(torch.cat([tokens, viewpoints.to(tokens.dtype)], dim=-1)))
        if there is None:
            around = placed.mean(dim=-2)
        else:
            share = there.to(placed.dtype)[..., None]
            around = (placed * share).sum(dim=-2) / share.sum(dim=-2)
        mixed = F.relu(self.around(around) + self.newest(tokens[..., -1, :]))
        return F.normalize((self.direct(tokens[..., -1, :]) + self.beside(mixed)).float(), dim=-1)
