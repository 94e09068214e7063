"""How processes that train together sum their gradients: all in one tensor, in float32 or in half the bytes.

    exchange = GradientExchange(parameters, "bfloat16")
    exchange.take_gradients()           # after the backward pass, recorded with it
    exchange.sum_over_processes()       # not recorded; each parameter.grad now holds the sum

One tensor is exchanged at once, and graphs find it in its place. Whoever wants the mean divides the loss by the number
of processes before the backward pass: that takes no pass over the gradients, and no sum can be greater than what a
process alone could have had, so that it overflows nowhere.

In bfloat16 each process's share is rounded once, and the sum once at each addition, of n - 1 for n processes: the error
of a value is at most n times 2^-8 of the mean of its magnitudes, where float32's is n times 2^-24. Adam's moments, the
norm that is clipped, and the weights stay in float32. float32 is the default because what half the bytes save, which
`python -m benchmarks.scaling` tells, has not been measured yet.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.distributed
from torch import Tensor, nn

Exchanged = Literal["float32", "bfloat16"]


class GradientExchange:
    """Sums the gradients of these parameters, float32 and all on one device, over the processes of torch.distributed.

    exchanged: what goes from process to process.
    """

    def __init__(self, parameters: list[nn.Parameter], exchanged: Exchanged) -> None:
        self._parameters = parameters
        self._summed = _flat_like(parameters, torch.float32)
        self._sent = self._summed if exchanged == "float32" else _flat_like(parameters, torch.bfloat16)

    def take_gradients(self) -> None:
        """Move the gradients to where they are summed. A parameter without one has none afterwards."""
        with_gradient = [parameter.grad is not None for parameter in self._parameters]
        taken = [view for view, there in zip(self._sent.views, with_gradient, strict=True) if there]
        torch._foreach_copy_(taken, [parameter.grad for parameter in self._parameters if parameter.grad is not None])
        left = [view for view, there in zip(self._sent.views, with_gradient, strict=True) if not there]
        if left:  # what they held would be summed up again at each step
            torch._foreach_zero_(left)
        for parameter, view, there in zip(self._parameters, self._summed.views, with_gradient, strict=True):
            if there:
                parameter.grad = view

    def sum_over_processes(self) -> None:
        """Sum what was taken; all processes must call it together."""
        torch.distributed.all_reduce(self._sent.flat)
        if self._sent is not self._summed:
            self._summed.flat.copy_(self._sent.flat)


class _Flat(NamedTuple):
    """One tensor that holds something for all parameters."""

    flat: Tensor
    views: list[Tensor]  # of it, one for each parameter, laid out as that


def _flat_like(parameters: list[nn.Parameter], kind: torch.dtype) -> _Flat:
    sizes = [parameter.numel() for parameter in parameters]
    flat = torch.zeros(sum(sizes), dtype=kind, device=parameters[0].device)
    offsets = np.cumsum([0, *sizes[:-1]]).tolist()
    views = [flat.as_strided(p.size(), p.stride(), offset) for p, offset in zip(parameters, offsets, strict=True)]
    return _Flat(flat, views)
