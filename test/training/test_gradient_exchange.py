"""What processes exchange: the sum of their gradients, in float32 or rounded to bfloat16 and no worse than that."""

import datetime
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.distributed
from torch import nn

from training.gradient_exchange import GradientExchange

COUNT = 4
EXCHANGED = ("float32", "bfloat16")


def parameters():
    shapes = (200, 50), (8, 4, 3, 3), (7,)
    return [nn.Parameter(torch.zeros(shape).contiguous(memory_format=layout(shape))) for shape in shapes]


def layout(shape):
    return torch.channels_last if len(shape) == 4 else torch.contiguous_format


def shares(rank):
    """A process's gradients, of all magnitudes; one value of their sum is close to the greatest that there is."""
    generator = torch.Generator().manual_seed(rank)
    found = []
    for parameter in parameters():
        size = parameter.shape
        values = torch.randn(size, generator=generator) * 10.0 ** torch.randint(-6, 4, size, generator=generator)
        found.append(values.contiguous(memory_format=layout(size)))
    found[0][0, 0] = 3e38 / COUNT
    return found


def exchange_shares(rank):
    """What each process does: exchange its gradients, and again without one of them."""
    results = {}
    for exchanged in EXCHANGED:
        ours = parameters()
        exchange = GradientExchange(ours, exchanged)
        for parameter, share in zip(ours, shares(rank), strict=True):
            parameter.grad = share
        exchange.take_gradients()
        exchange.sum_over_processes()
        last = ours[-1].grad
        results[exchanged] = [parameter.grad.clone() for parameter in ours]
        ours[-1].grad = None
        exchange.take_gradients()
        exchange.sum_over_processes()
        results[f"{exchanged}, without the last"] = [ours[-1].grad is None, last]
    return results


@pytest.fixture(scope="module")
def exchanged():
    """Each process's results; threads stand in for processes, and talk through gloo as those do."""
    store, of_thread = torch.distributed.HashStore(), threading.local()

    def joined(rank):
        of_thread.group = torch.distributed.ProcessGroupGloo(store, rank, COUNT, datetime.timedelta(seconds=60))
        return exchange_shares(rank)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(COUNT) as threads:
        patch.setattr(torch.distributed, "all_reduce", lambda tensor: of_thread.group.allreduce([tensor]).wait())
        return list(threads.map(joined, range(COUNT)))


@pytest.mark.parametrize("kind, roundoff", [("float32", 2**-24), ("bfloat16", 2**-8)])
def test_all_processes_get_the_sum_within_the_roundings_of_what_is_exchanged(exchanged, kind, roundoff):
    of_all = [torch.stack(of_one).double() for of_one in zip(*(shares(rank) for rank in range(COUNT)), strict=True)]
    for number, each in enumerate(of_all):
        got = exchanged[0][kind][number]
        assert got.dtype == torch.float32 and got.stride() == parameters()[number].stride()
        assert ((got - each.sum(0)).abs() <= 1.05 * COUNT * roundoff * each.abs().sum(0)).all()
        assert torch.equal(got, got.bfloat16().float()) == (kind == "bfloat16"), "half the bytes were exchanged, or not"
        assert all(torch.equal(got, of_one[kind][number]) for of_one in exchanged)


@pytest.mark.parametrize("kind", EXCHANGED)
def test_a_parameter_without_gradient_has_none_and_what_it_had_is_not_summed_again(exchanged, kind):
    for of_one in exchanged:
        has_none, before = of_one[f"{kind}, without the last"]
        assert has_none and not before.any()
