"""Attention over the observations, one for each modality (MODEL.md "Attention").

Queries come from the generation state at each place of the grid; keys and values from the observations' features,
which are made once for a scene and serve every layer and every query view. The softmax runs over all tokens of all
observations.

Shapes: b scenes, q query views of each, t tokens (observations x tokens of each), c `representation_channels`, d
    hidden channels, g grid size.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ModalityAttention(nn.Module):
    """Scaled dot-product attention from the grid's places to one modality's tokens, weighted by gamma."""

    def __init__(self, representation_channels: int, hidden_channels: int, weight: float) -> None:
        super().__init__()
        self.query = nn.Linear(hidden_channels, representation_channels)
        self.key = nn.Linear(representation_channels, representation_channels)
        self.value = nn.Linear(representation_channels, representation_channels)
        self.gamma = nn.Parameter(torch.tensor(weight))

    def keys_and_values(self, features_bmcgg: Tensor, tokens: int) -> tuple[Tensor, Tensor]:
        """Keys and values, each (b, t, c), of features (b, m, c, g, g), averaged to `tokens` patches of each."""
        b, m, c = features_bmcgg.shape[:3]
        side = int(tokens ** 0.5)
        patches = F.adaptive_avg_pool2d(features_bmcgg.flatten(0, 1), side)
        tokens_btc = patches.flatten(2).transpose(1, 2).reshape(b, m * tokens, c)
        return self.key(tokens_btc), self.value(tokens_btc)

    def forward(self, hidden: Tensor, keys: Tensor, values: Tensor, hold_weight: bool) -> Tensor:
        """gamma times what each place attends to.

        Args:
            hidden: (b * q, d, g, g) generation state, the q views of a scene together.
            keys, values: (b, t, c) of `keys_and_values`.
            hold_weight: let gamma take no gradient (while sigma is still being annealed).

        Returns:
            (b * q, c, g, g).
        """
        n, _, g, _ = hidden.shape
        places = hidden.flatten(2).transpose(1, 2).reshape(keys.shape[0], -1, hidden.shape[1])  # b, q*g*g, d
        attended = F.scaled_dot_product_attention(self.query(places)[:, None], keys[:, None], values[:, None])
        gamma = self.gamma.detach() if hold_weight else self.gamma
        return gamma * attended.reshape(n, g * g, -1).transpose(1, 2).unflatten(2, (g, g))
