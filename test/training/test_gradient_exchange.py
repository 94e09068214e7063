"""What processes exchange: the sum of their gradients, in float32 or rounded to bfloat16 and no worse than that."""

import datetime
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import pytest
import torch
import torch.distributed
from torch import nn

from training import gradient_exchange
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


def backward(parameters, rank):
    """Give the parameters the process's gradients."""
    sum((parameter * share).sum() for parameter, share in zip(parameters, shares(rank), strict=False)).backward()


def exchange_shares(rank):
    """What each process does: exchange its gradients, and again without one of them."""
    results = {}
    for exchanged in EXCHANGED:
        ours = parameters()
        exchange = GradientExchange(ours, exchanged)
        exchange.sum_over_processes(partial(backward, ours, rank))
        results[exchanged] = [parameter.grad for parameter in ours]
        for parameter in ours:
            parameter.grad = None
        backward(ours, rank)
        exchange.sum_over_processes()
        results[f"{exchanged}, afterwards"] = [parameter.grad for parameter in ours]
        for parameter in ours:
            parameter.grad = None
        exchange.sum_over_processes(partial(backward, ours[:-1], rank))
        results[f"{exchanged}, without the last"] = [parameter.grad for parameter in ours]
    return results


@pytest.fixture(scope="module")
def exchanged():
    """Each process's results; threads stand in for processes, and talk through gloo as those do."""
    store, of_thread = torch.distributed.HashStore(), threading.local()

    def joined(rank):
        of_thread.group = torch.distributed.ProcessGroupGloo(store, rank, COUNT, datetime.timedelta(seconds=60))
        return exchange_shares(rank)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(COUNT) as threads:
        patch.setattr(torch.distributed, "all_reduce", lambda tensor, async_op: of_thread.group.allreduce([tensor]))
        patch.setattr(gradient_exchange, "LARGE", 1000)  # the first by itself, the others together
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
def test_exchanging_during_the_backward_pass_changes_nothing(exchanged, kind):
    for of_one in exchanged:
        meanwhile, afterwards = of_one[kind], of_one[f"{kind}, afterwards"]
        assert all(torch.equal(one, other) for one, other in zip(meanwhile, afterwards, strict=True))


@pytest.mark.parametrize("kind", EXCHANGED)
def test_a_parameter_without_gradient_has_none_and_the_others_their_sum(exchanged, kind):
    for of_one in exchanged:
        *others, last = of_one[f"{kind}, without the last"]
        assert last is None
        for got, sum_ in zip(others, of_one[kind], strict=False):
            torch.testing.assert_close(got, sum_, rtol=1e-6 if kind == "float32" else 2e-2, atol=0)


def test_a_large_gradient_is_exchanged_before_the_backward_pass_ends(monkeypatch):
    def backward_pass():
        for parameter in (ours[0], ours[2], ours[1]):
            parameter.sum().backward()
            happened.append("passed")

    ours, happened = parameters(), []
    monkeypatch.setattr(gradient_exchange, "LARGE", 1000)
    work = SimpleNamespace(wait=lambda: happened.append("waited"))
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor, async_op: happened.append(len(tensor)) or work)
    GradientExchange(ours, "float32").sum_over_processes(backward_pass)
    assert happened == [10000, "passed", "passed", "passed", 8 * 4 * 9 + 7, "waited", "waited"]
    ours[0].sum().backward()
    assert happened[-1] == "waited", "only while it is told to"
