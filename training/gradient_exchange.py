"""How processes that train together sum their gradients: in float32 or half the bytes, while the backward pass goes on.

    exchange = GradientExchange(parameters, "bfloat16")
    exchange.sum_over_processes(loss.backward)  # each parameter.grad now holds the sum

A large gradient is exchanged by itself as soon as the backward pass has made it, beside the work on those before it;
the many small ones together at the end. All of it can be recorded in a CUDA graph. Whoever wants the mean divides the
loss by the number of processes before the backward pass: that takes no pass over the gradients, and no sum can be
greater than what a process alone could have had, so that it overflows nowhere.

In bfloat16 each process's share is rounded once, and the sum once at each addition, of n - 1 for n processes: the error
of a value is at most n times 2^-8 of the mean of its magnitudes, where float32's is n times 2^-24. Adam's moments, the
norm that is clipped, and the weights stay in float32. What the half bytes save, `python -m benchmarks.scaling` tells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
import torch.distributed
from torch import Tensor, nn

Exchanged = Literal["float32", "bfloat16"]
LARGE = 2**18  # values: such a gradient is exchanged by itself; with 2**20, two H200 hid 1.4 % less of a step


class GradientExchange:
    """Sums the gradients of these parameters, float32 and all on one device, over the processes of torch.distributed.

    exchanged: what goes from process to process.
    """

    def __init__(self, parameters: list[nn.Parameter], exchanged: Exchanged) -> None:
        self._type = getattr(torch, exchanged)
        self._large = [parameter for parameter in parameters if parameter.numel() >= LARGE]
        self._small = [parameter for parameter in parameters if parameter.numel() < LARGE]

    def sum_over_processes(self, backward: Callable[[], object] = lambda: None) -> None:
        """Do the backward pass and sum its gradients, with those that the parameters had before.

        All processes must call it together, and the same parameters must get gradients, in the same order, in each of
        them: their networks are to be alike, and compiled alike. A parameter without a gradient keeps none. Where the
        backward pass raises, the other processes wait for this one until it ends.
        """
        begun: list[_Sum] = []
        hooks = [
            parameter.register_post_accumulate_grad_hook(lambda made: begun.append(self._begin([made.grad])))
            for parameter in self._large
        ]
        try:
            backward()
        finally:
            for hook in hooks:
                hook.remove()
        going = {id(sum_.gradients[0]) for sum_ in begun}
        for parameter in self._large:
            if parameter.grad is not None and id(parameter.grad) not in going:
                begun.append(self._begin([parameter.grad]))
        small = [parameter.grad for parameter in self._small if parameter.grad is not None]
        if small:
            begun.append(self._begin(small))
        for sum_ in begun:
            sum_.work.wait()  # on a GPU, what is launched from here on does
            if sum_.sent.data_ptr() != sum_.gradients[0].data_ptr():
                sums = sum_.sent.split([gradient.numel() for gradient in sum_.gradients])
                torch._foreach_copy_([_in_memory(gradient) for gradient in sum_.gradients], list(sums))

    def _begin(self, gradients: list[Tensor]) -> _Sum:
        flat = [_in_memory(gradient).to(self._type) for gradient in gradients]
        sent = flat[0] if len(flat) == 1 else torch.cat(flat)
        return _Sum(gradients, sent, torch.distributed.all_reduce(sent, async_op=True))


class _Sum(NamedTuple):
    """An exchange under way."""

    gradients: list[Tensor]
    sent: Tensor  # all of them, one after the other; the only one's own memory where its type is the one exchanged
    work: Any  # torch.distributed.Work


def _in_memory(gradient: Tensor) -> Tensor:
    """A gradient's values in the order in which they lie in memory: the same in all processes, as it is laid out like
    its parameter."""
    return gradient.as_strided((gradient.numel(),), (1,))
