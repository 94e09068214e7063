"""How much of a batch fits into a GPU's memory, found by trying."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import torch
from torch import nn


def scenes_that_fit(attempt: Callable[[int], None], most: int, model: nn.Module) -> int:
    """The greatest number of scenes, 0 to `most`, that `attempt` gets through; by bisection.

    attempt: computes the gradient of so many scenes. The model's gradients are dropped after each.
    """
    fewest, most = 0, max(0, most)
    while fewest < most:
        middle = (fewest + most + 1) // 2
        if _fits(attempt, middle):
            fewest = middle
        else:
            most = middle - 1
        model.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
    return fewest


def _fits(attempt: Callable[[int], None], scenes: int) -> bool:
    try:
        attempt(scenes)
    except torch.OutOfMemoryError as error:
        traceback.clear_frames(error.__traceback__)
        return False
    return True
