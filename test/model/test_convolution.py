"""Convolutions of inputs side by side: filling up the channels changes no result."""
import pytest
import torch

from placenet_ros.model.convolution import convolved, convolved_at_once, side_by_side


@pytest.mark.parametrize("multiple", [1, 8])
def test_filled_up_channels_change_neither_results_nor_gradients(multiple):
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(9, 4, 5, padding=2)
    parts = [torch.randn(2, 3, 6, 6, requires_grad=True), torch.randn(2, 6, 6, 6, requires_grad=True)]
    inputs = side_by_side(parts, multiple)
    assert inputs.shape[1] == (16 if multiple == 8 else 9)
    results = [convolved(convolution, inputs), convolution(torch.cat(parts, dim=1))]
    wanted = [*parts, convolution.weight, convolution.bias]
    gradients = [torch.autograd.grad(result.square().sum(), wanted) for result in results]
    torch.testing.assert_close(*results)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("multiple", [1, 8])
def test_convolutions_at_once_are_those_one_by_one(multiple):
    torch.manual_seed(0)
    convolutions = [torch.nn.Conv2d(6, channels, 3, padding=1) for channels in (3, 2)]
    inputs = side_by_side([torch.randn(2, 6, 5, 5, requires_grad=True)], 8)
    results = [convolved_at_once(convolutions, inputs, multiple), [one(inputs[:, :6]) for one in convolutions]]
    wanted = [inputs, *(weight for one in convolutions for weight in one.parameters())]
    gradients = [torch.autograd.grad(sum(part.square().sum() for part in parts), wanted) for parts in results]
    torch.testing.assert_close(*results)
    torch.testing.assert_close(*gradients)


def test_the_layout_stays_channels_last_whatever_the_parts_have():
    contiguous, last = torch.randn(2, 3, 4, 5), torch.randn(2, 6, 4, 5).to(memory_format=torch.channels_last)
    for parts in ([contiguous, last], [last, contiguous], [last, torch.randn(2, 7, 1, 1).expand(-1, -1, 4, 5)]):
        joined = side_by_side(parts)
        assert joined.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(joined, torch.cat(parts, dim=1))


def test_parts_take_the_type_of_the_first():
    joined = side_by_side([torch.ones(1, 1, 2, 2, dtype=torch.bfloat16), torch.ones(1, 1, 2, 2)])
    assert joined.dtype == torch.bfloat16
