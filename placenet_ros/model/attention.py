"""Attention over the observations, one for each modality (MODEL.md "Attention").

Queries come from the generation state at each place of the grid; keys and values from the observations' features,
which are made once for a scene and serve every layer and every query view. The softmax runs over all tokens of all
observations.

At each layer a scene is asked again by another hidden state. What does not depend on that state is worked out once for
all layers by `SceneAttention`: q k^T = (h W_q + b_q) k^T = h (W_q k^T) + b_q k^T, so that the keys take the queries'
weights into themselves, the values take gamma, and a layer costs two small products for all modalities together.

Shapes: b scenes, q query views of each, t tokens (observations x tokens of each), c `representation_channels`, d
    hidden channels, g grid size.
"""
from __future__ import annotations

from typing import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# With more tokens than this of a scene, the scores of all places would be the largest tensor of a layer.
MOST_TOKENS_SCORED_AT_ONCE = 1024


class ModalityAttention(nn.Module):
    """Scaled dot-product attention from the grid's places to one modality's tokens, weighted by gamma."""

    def __init__(self, representation_channels: int, hidden_channels: int, feature_channels: int,
                 weight: float) -> None:
        super().__init__()
        self.query = nn.Linear(hidden_channels, representation_channels)
        self.key = nn.Linear(feature_channels, representation_channels)
        self.value = nn.Linear(feature_channels, representation_channels)
        self.gamma = nn.Parameter(torch.tensor(weight))

    def keys_and_values(self, features: Tensor, tokens: int) -> tuple[Tensor, Tensor]:
        """Keys and values, each (b, t, c), of features (b, m, *, g, g), averaged to `tokens` patches of each."""
        b, m, channels = features.shape[:3]
        side = int(tokens ** 0.5)
        patches = F.adaptive_avg_pool2d(features.flatten(0, 1), side)
        by_token = patches.flatten(2).transpose(1, 2).reshape(b, m * tokens, channels)
        return self.key(by_token), self.value(by_token)

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

    def absorbed(self, keys: Tensor, values: Tensor, hold_weight: bool) -> tuple[Tensor, Tensor, Tensor]:
        """What makes scores and results of hidden states: weights (b, d, t), bias (b, 1, t), values (b, t, c).

        softmax(hidden @ weights + bias) @ values, over the places' last dimension, is what `forward` returns.
        """
        scale = keys.shape[-1] ** -0.5
        gamma = self.gamma.detach() if hold_weight else self.gamma
        scaled = (keys * scale).transpose(1, 2)
        return self.query.weight.t() @ scaled, self.query.bias @ scaled[:, None], values * gamma


class SceneAttention:
    """R plus what each modality's attention adds to it, for one scene representation and all layers.

    Args:
        attention: of each modality.
        keys, values: of the scene's modalities, (b, t, c) each.
        total: (b, q, c, g, g), R.
        hold_weight: let the gammas take no gradient.
    """

    def __init__(self, attention: Mapping[str, ModalityAttention], keys: Mapping[str, Tensor],
                 values: Mapping[str, Tensor], total: Tensor, hold_weight: bool) -> None:
        self.values = total.new_zeros(total.shape[0], 0, total.shape[2])  # b t c, times gamma; see `weights`
        self._total = total.movedim(2, -1).contiguous()  # b q g g c: laid out once for all layers
        self._tokens = [tokens.shape[1] for tokens in keys.values()]
        self.num_tokens = sum(self._tokens)
        modalities = [(attention[modality], keys[modality], values[modality], hold_weight) for modality in keys]
        self._apart = modalities if max(self._tokens, default=0) > MOST_TOKENS_SCORED_AT_ONCE else []
        if modalities and not self._apart:
            parts = zip(*(module.absorbed(*arguments) for module, *arguments in modalities))
            self._weights, self._bias, self.values = (
                torch.cat(part, dim=dim).to(total.dtype) for part, dim in zip(parts, (2, 2, 1)))

    def __call__(self, hidden: Tensor) -> Tensor:
        """The sum for generation states (b * q, d, g, g), the q views of a scene together: (b * q, c, g, g)."""
        total = self._total.flatten(0, 1).movedim(-1, 1)
        if self._apart:
            for module, *arguments in self._apart:
                total = total + module(hidden, *arguments).to(total.dtype)
        elif self.num_tokens:
            attended = torch.baddbmm(self._total.flatten(1, 3), self._softmax(hidden), self.values)
            total = attended.view_as(self._total).flatten(0, 1).movedim(-1, 1)
        return total

    def weights(self, hidden: Tensor) -> Tensor:
        """Of each of `values` at each place, (b * q, t, g, g): what attention adds to R is their sum, so weighted.

        Only while no modality has more than MOST_TOKENS_SCORED_AT_ONCE tokens.
        """
        n, _, g, _ = hidden.shape
        assert not self._apart, (
            f"weights are worked out for at most {MOST_TOKENS_SCORED_AT_ONCE} tokens of a modality, not for "
            f"{max(self._tokens)} tokens")
        if not self.num_tokens:
            return hidden.new_zeros(n, 0, g, g)
        return self._softmax(hidden).reshape(n, g, g, -1).movedim(-1, 1)

    def _softmax(self, hidden: Tensor) -> Tensor:
        """(b, q*g*g, t)."""
        places = hidden.movedim(1, -1).reshape(self._total.shape[0], -1, hidden.shape[1])  # b, q*g*g, d
        return _softmax_apart(torch.baddbmm(self._bias, places, self._weights), self._tokens)


def _softmax_apart(scores: Tensor, tokens: Sequence[int]) -> Tensor:
    """Softmax of scores (b, p, t), over each modality's tokens, one modality after another."""
    options = {"dim": -1, "dtype": scores.dtype}  # autocasting would write float32; sums are kept in that anyway
    if len(set(tokens)) == 1:
        return scores.unflatten(-1, (len(tokens), -1)).softmax(**options).flatten(-2)
    return torch.cat([part.softmax(**options) for part in scores.split(tokens, dim=-1)], dim=-1)
