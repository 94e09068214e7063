"""Which device a command computes on."""

from __future__ import annotations

import torch

from training.configuration import UserError


def chosen_device(wish: str) -> torch.device:
    """The device of a setting "auto", "cpu" or "cuda". Raises UserError where a GPU is asked for and there is none."""
    if wish == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda, but no GPU can be used here: check nvidia-smi, or set device=cpu")
    return torch.device("cuda" if wish != "cpu" and torch.cuda.is_available() else "cpu")
