"""The objective, against PyTorch's own distributions."""
import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from placenet_ros.model.objective import Reconstruction, evidence_lower_bound, gaussian_kl


def test_gaussian_kl_is_that_of_torch_distributions():
    mean_q, mean_p = torch.randn(2, 50)
    std_q, std_p = torch.rand(2, 50) + 0.1
    expected = kl_divergence(Normal(mean_q, std_q), Normal(mean_p, std_p))
    torch.testing.assert_close(gaussian_kl(mean_q, std_q, mean_p, std_p), expected)


def test_elbo_is_log_likelihood_minus_kl_summed_over_pixels_and_layers():
    images, targets, kl = torch.rand(2, 3, 3, 16, 16), torch.rand(2, 3, 3, 16, 16), torch.rand(2, 3, 4)
    terms = evidence_lower_bound(Reconstruction(images, kl), targets, sigma=0.7)
    expected = Normal(images, 0.7).log_prob(targets).sum(dim=(2, 3, 4)) - kl.sum(dim=2)
    torch.testing.assert_close(terms.elbo, expected)
    torch.testing.assert_close(terms.bits_per_dimension, -(expected / (3 * 16 * 16) - math.log(256)) / math.log(2))


def test_a_perfect_image_at_sigma_0_7_and_64_pixels_costs_6909_nats():
    """Why the published loss looks stuck at 6.9k: the Gaussian's constant alone."""
    images = torch.rand(1, 1, 3, 64, 64)
    terms = evidence_lower_bound(Reconstruction(images, torch.zeros(1, 1, 12)), images, sigma=0.7)
    assert -terms.elbo.item() == pytest.approx(6909, abs=1)
