"""A model made ready to predict on a device: in the precision that is fastest there, its weights cast once.

Training casts weights at each step (autocasting), because the optimiser changes them in float32. Prediction does not
change them: they are cast here, once, and laid out as the convolutions read them. In float32 on a processor, a model is
made to predict by prediction.py. On processors with instructions for bfloat16, bfloat16 was compared with float32 layer
by layer only, not with prediction.py.
"""
from __future__ import annotations

from pathlib import Path

import torch

from placenet_ros.model.placenet import PlaceNet
from placenet_ros.model.prediction import OwnCoresPrediction, SharedCorePrediction

PROCESSOR = Path("/proc/cpuinfo")  # Linux; what it does not say is taken for missing
# Without one of these instructions bfloat16 is converted to float32 and back at each step, slower than float32 itself.
BFLOAT16_INSTRUCTIONS = {"avx512_bf16", "amx_bf16"}


def inference_precision(device: torch.device) -> torch.dtype:
    """The floating-point type in which the networks predict fastest on a device: bfloat16 where its processor has
    instructions for it, else float32."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            major, _ = torch.cuda.get_device_capability()
        return torch.bfloat16 if major >= 8 else torch.float32  # Ampere and later
    return torch.bfloat16 if BFLOAT16_INSTRUCTIONS & _processor_flags(PROCESSOR) else torch.float32


def ready_for_inference(model: PlaceNet, device: torch.device, precision: torch.dtype | None = None) -> PlaceNet:
    """The same model, changed: on `device`, in eval mode, without gradients, its weights in `precision`.

    It stays ready while its weights do: where they are loaded, moved, cast or trained again, it predicts layer by layer
    until it is made ready again.

    Args:
        model: its weights in any precision.
        device: "cpu" or "cuda".
        precision: float32 or bfloat16; without one, `inference_precision(device)`.
    """
    precision = precision or inference_precision(device)
    model = model.to(device, precision, memory_format=torch.channels_last).eval().requires_grad_(False)
    model.prediction = None
    if device.type == "cpu" and precision == torch.float32:
        model.prediction = (SharedCorePrediction if model.config.shared_core else OwnCoresPrediction)(model)
    return model


def _processor_flags(description: Path) -> set[str]:
    """What the first processor can do, as the kernel lists it; nothing where there is no such list."""
    if not description.exists():
        return set()
    for line in description.read_text().splitlines():
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return set()
