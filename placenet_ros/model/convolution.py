"""Convolutions of several inputs side by side, laid out as processors read them fastest.

Two things are easily lost where channels are concatenated: `torch.cat` gives up the channels_last layout if one part is
laid out otherwise, and on a GPU convolutions in bfloat16 run at 0.6 to 0.9 of their speed where the channels are no
multiple of 8 (PlaceNet's 426, 650, 263, 133 and 6 are none). Stored weights keep their shapes: zeros are added when
running.

Shapes: n pictures, h and w their height and width.
"""
from __future__ import annotations

from typing import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GPU_CHANNELS = 8  # tensor cores take channels of bfloat16 in groups of so many


def side_by_side(parts: Sequence[Tensor], multiple: int | None = None) -> Tensor:
    """Parts (n, *, h, w), as one tensor of the first one's type in channels_last, its channels filled up with zeros.

    multiple: of what the channels become; if not given, `GPU_CHANNELS` on a GPU and 1 elsewhere.
    """
    first = parts[0]
    multiple = multiple or (GPU_CHANNELS if first.is_cuda else 1)
    last = [part.to(first.dtype).movedim(1, -1) for part in parts]
    missing = -sum(part.shape[-1] for part in last) % multiple
    if missing:
        last.append(first.new_zeros(()).expand(*last[0].shape[:-1], missing))
    return torch.cat(last, dim=-1).movedim(-1, 1)


def convolved(convolution: nn.Conv2d, inputs: Tensor) -> Tensor:
    """`convolution` of the inputs of `side_by_side`, (n, *, h, w); channels beyond those it has weights for are zeros.
    """
    return convolved_at_once([convolution], inputs)[0]


def convolved_at_once(convolutions: Sequence[nn.Conv2d], inputs: Tensor, multiple: int | None = None) -> list[Tensor]:
    """Several convolutions, alike but for their output channels, of the same inputs; see `convolved`.

    multiple: of what the output channels become meanwhile, as in `side_by_side`.
    """
    first, channels = convolutions[0], [convolution.out_channels for convolution in convolutions]
    missing = inputs.shape[1] - first.in_channels
    superfluous = -sum(channels) % (multiple or (GPU_CHANNELS if inputs.is_cuda else 1))
    if len(convolutions) == 1 and not missing and not superfluous:
        return [first(inputs)]
    weight = torch.cat([convolution.weight.to(inputs.dtype) for convolution in convolutions])
    bias = torch.cat([convolution.bias.to(inputs.dtype) for convolution in convolutions])
    outputs = F.conv2d(inputs, F.pad(weight, (0, 0, 0, 0, 0, missing, 0, superfluous)), F.pad(bias, (0, superfluous)),
                       first.stride, first.padding)
    return list(outputs[:, :sum(channels)].split(channels, dim=1))


# (x, bias, inside, beside) -> ReLU(x + bias + inside) + beside, all (places, channels) but the bias (channels,); the
# last two may be None. See `finished`.
Finish = Callable[[Tensor, Tensor, "Tensor | None", "Tensor | None"], Tensor]


def rectified(convolution: nn.Conv2d, inputs: Tensor, finish: Finish | None, inside: Tensor | None = None,
              beside: Tensor | None = None) -> Tensor:
    """ReLU(`convolution` of `side_by_side` inputs + inside) + beside; both are as the result, (n, *, h, w), or None.

    finish: a compiled `finished`, for training on a GPU: adding a bias, its gradient and the ReLU otherwise read and
        write every activation five times. None: as processors without one do it fastest.
    """
    if finish is None:
        outputs = convolved(convolution, inputs)
        outputs = F.relu(outputs if inside is None else outputs + inside)
        return outputs if beside is None else outputs + beside
    weight, missing = convolution.weight, inputs.shape[1] - convolution.in_channels
    if missing:
        weight = F.pad(weight.to(inputs.dtype), (0, 0, 0, 0, 0, missing))
    outputs = F.conv2d(inputs, weight, None, convolution.stride, convolution.padding).movedim(1, -1)
    flat = [None if part is None else part.movedim(1, -1).flatten(0, 2) for part in (inside, beside)]
    return finish(outputs.flatten(0, 2), convolution.bias, *flat).view(outputs.shape).movedim(-1, 1)


def finished(x: Tensor, bias: Tensor, inside: Tensor | None, beside: Tensor | None) -> Tensor:
    """What `Finish` says, in the type of x."""
    x = x + bias.to(x.dtype)
    x = F.relu(x if inside is None else x + inside)
    return x if beside is None else x + beside
