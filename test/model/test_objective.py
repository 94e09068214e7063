"""The objective, against PyTorch's own distributions."""
import math

import pytest
import torch
from torch.distributions import Laplace, Normal, kl_divergence

from placenet_ros.model import Observations, PlaceNet, PlaceNetConfig
from placenet_ros.model.objective import Reconstruction, error_log_likelihood, evidence_lower_bound, gaussian_kl

SIZE = 16
TELLING = PlaceNetConfig(image_size=SIZE, representation_channels=16, hidden_channels=16, canvas_channels=16, layers=2,
                         shared_core=True, reprojection_channels=8, close_gaps=True, copy_seen=True,
                         predict_error=True)


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


def test_an_expected_error_is_the_scale_of_a_laplace_distribution():
    images, targets = torch.rand(2, 3, 3, SIZE, SIZE) * 1.2 - 0.1, torch.rand(2, 3, 3, SIZE, SIZE)
    expected = torch.rand(6, 1, SIZE, SIZE) + 0.01
    said = Reconstruction(images, torch.zeros(2, 3, 1), error=expected)
    error = (images.clamp(0, 1) - targets).abs().mean(dim=2, keepdim=True)  # of the image that is shown
    pixels = Laplace(torch.zeros(()), expected.unflatten(0, (2, 3))).log_prob(error).sum(dim=(2, 3, 4))
    torch.testing.assert_close(error_log_likelihood(said, targets, slice(None)), pixels.mean(dim=1))
    torch.testing.assert_close(error_log_likelihood(said, targets, slice(2)), pixels[:, :2].mean(dim=1))


def one_scene():
    """Observations and query viewpoints of one scene, two of each."""
    generator = torch.Generator().manual_seed(0)
    place = torch.rand(1, 4, 3, generator=generator) * 0.3
    viewpoints = torch.cat([place, torch.tensor([1.0, 0.0, 1.0, 0.0]).expand(1, 4, 4)], dim=-1)
    rgb, depth, objects = (torch.rand(1, 2, k, SIZE, SIZE, generator=generator) for k in (3, 1, 3))
    return Observations(rgb, viewpoints[:, :2], 2 * depth + 0.5, objects), viewpoints[:, 2:]


def test_what_is_learned_of_errors_changes_nothing_that_is_painted():
    torch.manual_seed(0)
    model = PlaceNet(TELLING)
    torch.nn.init.normal_(model.image_head.error.weight)
    observations, viewpoints = one_scene()
    images = torch.rand(1, 2, 3, SIZE, SIZE)
    said = model(observations, viewpoints, images, predicted_queries=1)
    (-error_log_likelihood(said, images, slice(1)).mean()).backward()
    learning = {name for name, weight in model.named_parameters() if weight.grad is not None and weight.grad.any()}
    assert learning == {"image_head.error.weight", "image_head.error.bias"}


def test_a_network_learns_how_wrong_its_predictions_are():
    """Of views whose left half is always the same, and whose right half is noise, another one each time."""
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(0)
    model = PlaceNet(TELLING)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    observations, viewpoints = one_scene()
    half = SIZE // 2
    picture = torch.rand(1, 2, 3, 1, half, generator=generator).expand(-1, -1, -1, SIZE, -1)

    def views():
        return torch.cat([picture, torch.rand(1, 2, 3, SIZE, half, generator=generator)], dim=-1)

    for _ in range(200):
        images = views()
        said = model(observations, viewpoints, images, predicted_queries=1)
        nats = error_log_likelihood(said, images, slice(1)).mean()
        loss = -evidence_lower_bound(said, images, 0.2).elbo.mean() - nats
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        predicted = model.predict_view(model.encode(observations), viewpoints[:, :1], temperature=0.0)
        error = torch.stack([(predicted.images - views()[:, :1]).abs().mean(dim=2) for _ in range(20)]).mean(dim=0)
    (known, noise), (true_known, true_noise) = (
        (of[..., :half].mean().item(), of[..., half:].mean().item()) for of in (predicted.error.squeeze(2), error))
    assert true_noise > 0.2 and true_known < 0.05, "the noise cannot be learned, the rest can"
    assert 0.6 * true_noise < noise < 1.1 * true_noise
    assert 0.5 * true_known < known < 3 * true_known
    assert noise > 4 * known
