"""Convolutions by Winograd's products."""
import pytest
import torch
import torch.nn.functional as F

from placenet_ros.model.winograd import WinogradConvolution


@pytest.mark.parametrize("n, size", [(1, 4), (1, 16), (3, 12)])
def test_its_results_are_those_of_a_convolution(n, size):
    torch.manual_seed(0)
    pictures, weight = torch.randn(n, 7, size, size), torch.randn(6, 7, 5, 5) / 13  # results of about 1
    winograd = WinogradConvolution(size)
    outputs = winograd.outputs(winograd.inputs(pictures) @ winograd.weights(weight), n)
    expected = F.conv2d(pictures.double(), weight.double(), padding=2)
    assert (outputs - expected).abs().max() < 3e-5
    assert outputs.is_contiguous(memory_format=torch.channels_last)


def test_a_size_that_tiles_do_not_fill_is_refused():
    with pytest.raises(ValueError, match="multiple of 4, not 10"):
        WinogradConvolution(10)
