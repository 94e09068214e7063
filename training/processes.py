"""The processes that train together, one for each GPU: who is who, what they agree on, what stops them.

torchrun starts them and tells each its number (its "rank") in the environment; without torchrun there is one alone, and
everything here is done at once. Rank 0 alone prints, writes and evaluates. Two groups: gradients go through NCCL
between GPUs and gloo between CPUs; what the processes tell each other goes through gloo, which waits without spinning,
without a GPU, and for as long as an evaluation takes.

When a process ends before its time, so do the others. They notice at the end of their step, when gloo's connection to
it breaks, whether NCCL notices or not; and torchrun, which looks ten times a second, sends SIGTERM to those of its
machine and after 30 s SIGKILL: also to one that can do nothing but wait for its GPU, where an exchange never ends. For
a process that hangs, and for a machine that goes away without closing its connections, there is NCCL's watchdog, which
ends its process after GRADIENT_TIMEOUT (torchrun sets TORCH_NCCL_ASYNC_ERROR_HANDLING=1).
"""

from __future__ import annotations

import datetime
import os
import signal
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed
from torch import Tensor

from placenet_ros.counted import counted
from training.configuration import UserError
from training.device import chosen_device

GRADIENT_TIMEOUT = datetime.timedelta(minutes=30)  # one process may compile, or wait for a slow disk, as long
AGREEMENT_TIMEOUT = datetime.timedelta(hours=4)  # rank 0 may evaluate as long
# What their messages say of a process that went away:
LOST_BY_GLOO = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Timed out waiting")
LOST_BY_NCCL = ("remote process exit", "closed by remote peer", "application crash on rank")


@dataclass(frozen=True)
class Processes:
    """This process among those that train together."""

    device: torch.device
    rank: int = 0
    count: int = 1
    count_here: int = 1  # on this machine
    _talk: Any = None  # torch's group for what is said on the CPU; None where there is one process

    @property
    def first(self) -> bool:
        """Whether this is the one that prints, writes and evaluates."""
        return self.rank == 0

    @property
    def cores(self) -> int:
        """The processor cores that this process may use, of those of its machine."""
        return max(1, len(os.sched_getaffinity(0)) // self.count_here)

    def share(self, scenes: int) -> slice:
        """This process's rows of so many scenes. Raises UserError where they cannot be shared equally."""
        check_share(scenes, self.count)
        each = scenes // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def agreed(self, value: Any) -> Any:
        """What rank 0 says; the others' values do not count."""
        if self.count == 1:
            return value
        said = [value]
        torch.distributed.broadcast_object_list(said, src=0, group=self._talk)
        return said[0]

    def greatest(self, *values: float) -> list[float]:
        """The greatest of all processes' values, for each of them."""
        if self.count == 1:
            return list(values)
        told = torch.tensor(values, dtype=torch.float64)
        torch.distributed.all_reduce(told, torch.distributed.ReduceOp.MAX, group=self._talk)
        return told.tolist()

    def all_of(self, value: Any) -> list[Any]:
        """Every process's value, by rank."""
        if self.count == 1:
            return [value]
        told = [None] * self.count
        torch.distributed.all_gather_object(told, value, group=self._talk)
        return told

    def give(self, tensor: Tensor, source: int) -> None:
        """Fill a contiguous tensor of all processes, on the CPU or the GPU, with that of rank `source`."""
        if self.count > 1 and tensor.numel():
            group = self._talk if tensor.device.type == "cpu" else None
            torch.distributed.broadcast(tensor.view(torch.uint8), source, group=group)  # NCCL has no int16

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            torch.distributed.barrier(group=self._talk)

    def end(self) -> None:
        """Leave the group: all are through. (Not after an error: others may wait for this one until they are told.)"""
        if self.count > 1:
            torch.distributed.destroy_process_group()


def check_share(scenes: int, processes: int) -> None:
    """Raises UserError where so many scenes cannot be shared equally."""
    if scenes % processes:
        raise UserError(
            f"scenes ({scenes}) are those of all processes together and must be a multiple of their number "
            f"({processes}): set scenes={max(1, round(scenes / processes)) * processes}"
        )


def begin_processes(device: str) -> Processes:
    """Join the processes that torchrun started, or be alone. Raises UserError where the device is not there.

    device: "auto", "cpu" or "cuda"; process number i of a machine takes its GPU number i.
    """
    chosen, count = chosen_device(device), int(os.environ.get("WORLD_SIZE", 1))
    if count == 1:
        return Processes(chosen)
    try:
        rank, number, here = (int(os.environ[name]) for name in ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    except KeyError as missing:
        raise UserError(
            f"WORLD_SIZE={count} is set, but not {missing.args[0]}: start with training/run.sh, or unset WORLD_SIZE"
        ) from None
    gpu = chosen.type == "cuda"
    if gpu:
        gpus = torch.cuda.device_count()
        if number >= gpus:
            raise UserError(f"{here} processes on a machine with {counted(gpus, 'GPU')}: one for each at most")
        chosen = torch.device("cuda", number)
        torch.cuda.set_device(chosen)
    torch.distributed.init_process_group(
        "nccl" if gpu else "gloo", timeout=GRADIENT_TIMEOUT, device_id=chosen if gpu else None
    )
    talk = torch.distributed.new_group(backend="gloo", timeout=AGREEMENT_TIMEOUT)
    return Processes(chosen, rank, count, here, talk)


def is_lost_process(error: Exception) -> bool:
    """Whether an exception says that another process went away; torch tells it by no type of its own."""
    if isinstance(error, torch.distributed.DistBackendError):
        return any(words in str(error) for words in LOST_BY_NCCL)
    return "gloo/transport" in str(error) and any(words in str(error) for words in LOST_BY_GLOO)


class StopSignals:
    """SIGTERM and Ctrl-C, while this is entered: noted, so that the loop can end in good order.

    received: the signal's number, 0 for none. A second Ctrl-C interrupts at once.
    """

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopSignals:
        heeded = [n for n in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(n) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._note) for number in heeded}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: object) -> None:
        self.received = number
        if signal.SIGINT in self._before:
            signal.signal(signal.SIGINT, signal.default_int_handler)
