"""Depth estimated from colours: what it says, that it learns, and what a network without a depth camera makes of it."""
import pytest
import torch

from placenet_ros.model import Observations, PlaceNet, PlaceNetConfig
from placenet_ros.model.depth_estimation import DepthEstimate, DepthEstimator, depth_log_likelihood
from placenet_ros.model.objective import AuxiliaryTargets, auxiliary_log_likelihoods
from placenet_ros.model.viewpoints import relative_viewpoints

SIZE = 32
SMALL = {"image_size": SIZE, "representation_channels": 16, "hidden_channels": 8, "canvas_channels": 8, "layers": 2,
         "shared_core": True}


def test_an_untrained_estimate_is_2_metres_and_says_that_it_may_be_far_off():
    estimate = DepthEstimator(8)(torch.rand(3, 3, SIZE, SIZE))
    assert estimate.metres.shape == estimate.log_error.shape == (3, 1, SIZE, SIZE)
    torch.testing.assert_close(estimate.metres, torch.full_like(estimate.metres, 2.0))
    torch.testing.assert_close(estimate.log_error, torch.full_like(estimate.metres, 0.5))


@pytest.mark.parametrize("size", [16, 48, 64])
def test_any_image_size_of_a_network_goes(size):
    assert DepthEstimator(4)(torch.rand(1, 3, size, size)).metres.shape == (1, 1, size, size)


def test_the_likelihood_is_greatest_at_the_truth_and_0_where_none_was_measured():
    metres = torch.tensor([1.0, 2.0, 4.0, 0.0]).reshape(4, 1, 1, 1)
    estimate = DepthEstimate(torch.full((4, 1, 1, 1), 2.0).log(), torch.full((4, 1, 1, 1), 0.1))
    near, exact, far, unmeasured = depth_log_likelihood(estimate, metres).flatten()
    assert exact > near
    torch.testing.assert_close(near, far)  # twice and half as far are equally wrong
    laplace = torch.distributions.Laplace(estimate.log_metres[0], 0.1).log_prob(metres[0].log())
    torch.testing.assert_close(near, laplace.squeeze())
    assert unmeasured == 0


def test_it_learns_depth_that_shows_in_the_colours():
    torch.manual_seed(0)
    network = DepthEstimator(8)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    metres = 1 + 4 * torch.rand(16, 1, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    colours = (metres / 5).expand(-1, 3, -1, -1)

    def error():
        return (network(colours).log_metres - metres.log()).abs().mean().item()

    before = error()
    for _ in range(60):
        optimiser.zero_grad()
        (-depth_log_likelihood(network(colours), metres).mean()).backward()
        optimiser.step()
    assert error() < before / 3


def observations(depth):
    poses = torch.tensor([[[0.0, 0.0, 0.5, 0.0, 0.0], [0.3, 0.2, 0.5, 0.3, 0.0]]])
    torch.manual_seed(1)
    metres = torch.full((1, 2, 1, SIZE, SIZE), 2.0)
    return Observations(torch.rand(1, 2, 3, SIZE, SIZE), relative_viewpoints(poses, torch.zeros(4), 3.0),
                        metres if depth else None, torch.rand(1, 2, 3, SIZE, SIZE))


def test_without_depth_colours_are_carried_into_the_view_by_the_estimate():
    model = PlaceNet(PlaceNetConfig(**SMALL, depth_estimation_channels=4)).eval()
    estimated, measured = (model.encode(observations(depth)) for depth in (False, True))
    torch.testing.assert_close(estimated.cloud.positions, measured.cloud.positions)  # untrained, it says 2 m too
    assert estimated.cloud.log_error.min() > 0
    assert measured.cloud.log_error.max() == 0
    assert PlaceNet(PlaceNetConfig(**SMALL)).encode(observations(False)).cloud is None


def test_objects_are_carried_along():
    model = PlaceNet(PlaceNetConfig(**SMALL, reprojection_objects=True)).eval()
    seen = observations(True)
    torch.testing.assert_close(model.encode(seen).cloud.pictures[:, :, 3:], seen.objects)
    unknown = Observations(seen.rgb, seen.viewpoints, seen.depth)
    assert not model.encode(unknown).cloud.pictures[:, :, 3:].any()


def test_views_have_depth_and_classes_where_the_model_predicts_them():
    model = PlaceNet(PlaceNetConfig(**SMALL, predict_depth=True, predicted_classes=5)).eval()
    views = model.predict_view(model.encode(observations(True)), torch.zeros(1, 3, 7))
    assert views.images.shape == (1, 3, 3, SIZE, SIZE)
    assert views.depth.shape == (1, 3, 1, SIZE, SIZE)
    assert (views.depth > 0).all()
    assert views.class_ids.shape == (1, 3, SIZE, SIZE)
    assert 0 <= views.class_ids.min() and views.class_ids.max() < 5
    plain = PlaceNet(PlaceNetConfig(**SMALL)).eval()
    assert plain.predict_view(plain.encode(observations(True)), torch.zeros(1, 3, 7))[1:] == (None, None, None)


def test_at_temperature_0_the_prediction_is_the_same_every_time():
    torch.manual_seed(0)
    model = PlaceNet(PlaceNetConfig(**SMALL)).eval()
    scene, query = model.encode(observations(True)), torch.zeros(1, 1, 7)
    assert torch.equal(*(model.predict(scene, query, temperature=0.0) for _ in range(2)))
    assert not torch.equal(*(model.predict(scene, query) for _ in range(2)))


def test_depth_and_classes_teach_the_heads_and_the_estimator():
    model = PlaceNet(PlaceNetConfig(**SMALL, predict_depth=True, predicted_classes=5, depth_estimation_channels=4))
    batch, query = observations(False), torch.rand(1, 3, 7)
    reconstruction = model(batch, query, torch.rand(1, 3, 3, SIZE, SIZE))
    targets = AuxiliaryTargets(torch.full((1, 3, 1, SIZE, SIZE), 3.0), torch.full((1, 3, SIZE, SIZE), 4),
                               torch.full((1, 2, 1, SIZE, SIZE), 1.0))
    likelihoods = auxiliary_log_likelihoods(reconstruction, targets)
    assert {name: value.shape for name, value in likelihoods.items()} == {
        name: (1,) for name in ("depth", "observation_depth", "objects")}
    (-sum(value.mean() for value in likelihoods.values())).backward()
    for name, parameter in model.image_head.named_parameters():
        assert name.startswith("mean") or parameter.grad.any(), name
    assert all(parameter.grad is not None for parameter in model.depth_estimator.parameters())


def test_pixels_of_which_nothing_is_known_teach_nothing():
    model = PlaceNet(PlaceNetConfig(**SMALL, predict_depth=True, predicted_classes=5))
    reconstruction = model(observations(True), torch.rand(1, 3, 7), torch.rand(1, 3, 3, SIZE, SIZE))
    for class_id in (0, 5, 255):  # not known, or not told apart
        ids = torch.full((1, 3, SIZE, SIZE), class_id, dtype=torch.uint8)
        likelihoods = auxiliary_log_likelihoods(
            reconstruction, AuxiliaryTargets(torch.zeros(1, 3, 1, SIZE, SIZE), ids, None))
        assert {name: value.item() for name, value in likelihoods.items()} == {"depth": 0.0, "objects": 0.0}


def test_options_that_would_have_no_effect_are_refused():
    for option in ({"reprojection_objects": True}, {"close_gaps": True}, {"copy_seen": True},
                   {"depth_estimation_channels": 8}):
        with pytest.raises(ValueError, match="no effect without reprojection"):
            PlaceNetConfig(reprojection=False, **option)
    with pytest.raises(ValueError, match="predicted_classes must be 0 to 256"):
        PlaceNetConfig(predicted_classes=300)


def test_an_untrained_network_shows_what_was_seen_and_how_far_it_was():
    model = PlaceNet(PlaceNetConfig(**SMALL, close_gaps=True, copy_seen=True, predict_depth=True)).eval()
    both = observations(True)
    seen = Observations(both.rgb[:, :1], both.viewpoints[:, :1], both.depth[:, :1])
    with torch.no_grad():
        views = model.predict_view(model.encode(seen), seen.viewpoints)
    assert (views.images - seen.rgb).abs().mean() < 0.05
    torch.testing.assert_close(views.depth, seen.depth, atol=0.0, rtol=0.2)
