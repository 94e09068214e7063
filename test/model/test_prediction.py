"""Views predicted by cores made ready for it, beside the same views layer by layer."""
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from placenet_ros.model import Observations, PlaceNet, PlaceNetConfig
from placenet_ros.model.inference import ready_for_inference
from placenet_ros.model.prediction import OwnCoresPrediction, SharedCorePrediction

CPU = torch.device("cpu")
SHIPPED = Path(__file__).parents[2] / "weights" / "placenet-small"
SIZES = dict(image_size=32, representation_channels=16, hidden_channels=8, canvas_channels=12, layers=3,
             reprojection_channels=4, attention_weight=1.0, shared_core=True)
HEADS = dict(close_gaps=True, copy_seen=True, reprojection_objects=True, depth_estimation_channels=8,
             predict_depth=True, predicted_classes=5, predict_error=True)


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.inference_mode():
        yield


def ready(**changes):
    torch.manual_seed(0)
    return ready_for_inference(PlaceNet(PlaceNetConfig(**{**SIZES, **changes})), CPU, torch.float32)


def asked(model, scenes=1, observations=4, queries=1, depth=True, objects=True):
    """A scene representation, query viewpoints, and noise."""
    config, size = model.config, model.config.image_size
    rgb, metres, classes = (torch.rand(scenes, observations, k, size, size) for k in (3, 1, 3))
    level = torch.tensor([1.0, 0.0, 1.0, 0.0]).expand(scenes, observations + queries, 4)
    viewpoints = torch.cat([torch.rand(scenes, observations + queries, 3) * 0.2, level], dim=-1)
    seen = Observations(rgb, viewpoints[:, queries:], metres + 0.5 if depth else None, classes if objects else None)
    noise = torch.randn(config.layers, scenes * queries, config.latent_channels, config.grid_size, config.grid_size)
    return model.encode(seen), viewpoints[:, :queries], noise


def varied(scene):
    """The scene with tokens that differ as those of untrained towers do not, so that places attend to different ones.
    """
    return replace(scene, keys={modality: 3 * torch.randn_like(keys) for modality, keys in scene.keys.items()},
                   values={modality: torch.randn_like(values) for modality, values in scene.values.items()})


def layer_by_layer(model, *asked_for, **options):
    prediction, model.prediction = model.prediction, None
    try:
        return model.predict_view(*asked_for, **options)
    finally:
        model.prediction = prediction


def assert_same(model, scene, query, noise, tolerance=1e-5):
    assert model.prediction is not None
    views = model.predict_view(scene, query, noise=noise)
    others = layer_by_layer(model, scene, query, noise=noise)
    for name, view, other in zip(views._fields, views, others):
        assert (view is None) == (other is None), name
        if view is not None and view.is_floating_point():
            assert (view - other).abs().max() < tolerance, name
    if views.class_ids is not None:
        assert (views.class_ids == others.class_ids).float().mean() > 0.999  # rounding may decide between two
    return views


@pytest.mark.parametrize("shared_core", [True, False])
@pytest.mark.parametrize("observations", [1, 20])  # 3 and 60 tokens beside 16 channels
@pytest.mark.parametrize("depth, objects", [(True, True), (True, False), (False, True), (False, False)])
def test_it_predicts_what_the_layers_do_from_every_set_of_modalities(depth, objects, observations, shared_core):
    model = ready(shared_core=shared_core, **HEADS)
    scene, query, noise = asked(model, observations=observations, depth=depth, objects=objects)
    assert_same(model, varied(scene), query, noise)


@pytest.mark.parametrize("changes", [
    {}, {"attention": ""}, {"attention": "r"}, {"reprojection": False}, {"reprojection": False, "attention": ""},
    {"attention_tokens": 16}, {"tower": "pool"}, {"layers": 1}, {"predict_depth": True},
], ids=str)
@pytest.mark.parametrize("shared_core", [True, False])
@pytest.mark.parametrize("scenes, queries", [(1, 1), (1, 3), (2, 1), (2, 3)])
def test_it_predicts_what_the_layers_do_with_every_option(scenes, queries, shared_core, changes):
    model = ready(shared_core=shared_core, **changes)
    scene, query, noise = asked(model, scenes=scenes, queries=queries)
    assert_same(model, varied(scene), query, noise)


@pytest.mark.parametrize("observations", [1, 5, 20])
def test_the_shipped_weights_predict_the_same_picture(observations):
    model = ready_for_inference(PlaceNet.from_pretrained(SHIPPED), CPU, torch.float32)
    torch.manual_seed(0)
    views = assert_same(model, *asked(model, observations=observations, queries=2), tolerance=1e-4)
    assert views.images.std() > 0.05, "a picture, not a plain colour"


@pytest.mark.parametrize("shared_core", [True, False])
def test_what_cannot_wait_is_done_after_each_layer(shared_core):
    model, layers = ready(shared_core=shared_core), []
    scene, query, noise = asked(model)
    model.predict_view(scene, query, noise=noise, between=lambda: layers.append(1))
    assert len(layers) == model.config.layers


@pytest.mark.parametrize("shared_core", [True, False])
def test_it_draws_the_same_noise_and_takes_the_same_temperature(shared_core):
    model = ready(shared_core=shared_core)
    scene, query, _ = asked(model)
    drawn = [predict(scene, query, torch.Generator().manual_seed(3), 0.5)
             for predict in (model.predict_view, lambda *arguments: layer_by_layer(model, *arguments))]
    assert (drawn[0].images - drawn[1].images).abs().max() < 1e-5


def assert_predicts_with_its_weights(model, asked_for):
    """As a model does that was never made ready."""
    scene, query, noise = asked_for
    fresh = PlaceNet(model.config).eval()
    fresh.load_state_dict(model.state_dict())
    expected = fresh.predict(scene, query, noise=noise)
    assert (model.predict(scene, query, noise=noise) - expected).abs().max() < 1e-5


def other_weights(model):
    """Of the same names and shapes."""
    return {name: weight + 0.1 * torch.randn_like(weight) for name, weight in model.state_dict().items()}


@pytest.mark.parametrize("shared_core", [True, False])
def test_weights_loaded_after_it_was_made_ready_are_those_it_predicts_with(shared_core):
    model = ready(shared_core=shared_core)
    asked_for = asked(model)
    before = model.predict(*asked_for[:2], noise=asked_for[2])
    model.load_state_dict(other_weights(model))
    assert_predicts_with_its_weights(model, asked_for)
    assert (model.predict(*asked_for[:2], noise=asked_for[2]) - before).abs().max() > 1e-3
    assert_same(ready_for_inference(model, CPU, torch.float32), *asked_for)


@pytest.mark.parametrize("afterwards", [
    lambda model: model.train(), lambda model: model.requires_grad_(True),
    lambda model: model.requires_grad_(True).train().eval().requires_grad_(False),
], ids=["train", "requires_grad_", "and made ready to predict by hand"])
def test_a_model_that_is_trained_again_predicts_with_what_it_learns(afterwards):
    model = ready()
    asked_for = asked(model)
    afterwards(model)
    for weight in model.parameters():
        weight += 0.1 * torch.randn_like(weight)
    assert_predicts_with_its_weights(model, asked_for)


def test_a_model_that_is_moved_or_cast_predicts_with_the_weights_it_has_then():
    model = ready()
    asked_for = asked(model)
    model.to(torch.bfloat16).float()  # rounded
    for weight in model.parameters():
        weight *= 1.5
    assert_predicts_with_its_weights(model, asked_for)
    model = ready().to(torch.float64)
    assert model.prediction is None


@pytest.mark.parametrize("shared_core", [True, False])
def test_a_model_that_stays_as_it_is_stays_ready(shared_core):
    model = ready(shared_core=shared_core).eval().requires_grad_(False)
    assert model.prediction is not None


@pytest.mark.parametrize("prediction, shared_core, other_core", [
    (SharedCorePrediction, True, "must have a shared core"),
    (OwnCoresPrediction, False, "must have cores of their own"),
])
def test_what_it_cannot_predict_with_is_told_when_it_is_made(prediction, shared_core, other_core):
    def model(shared):
        return PlaceNet(PlaceNetConfig(**{**SIZES, "shared_core": shared}))

    for unfit, words in ((model(not shared_core), other_core), (model(shared_core).bfloat16(), "not .*bfloat16"),
                         (model(shared_core).to("meta"), "on the CPU .*meta")):
        with pytest.raises(AssertionError, match=words):
            prediction(unfit)


@pytest.mark.parametrize("shared_core", [True, False])
def test_bfloat16_predicts_layer_by_layer(shared_core):
    model = ready(shared_core=shared_core)
    assert ready_for_inference(model, CPU, torch.bfloat16).prediction is None
