"""PlaceNet: sizes and options, the sum over observations, prior and posterior."""
import dataclasses
from pathlib import Path

import pytest
import torch

from placenet_ros.model import Observations, PlaceNet, PlaceNetConfig, SceneRepresentation, evidence_lower_bound
from placenet_ros.model.attention import MOST_TOKENS_SCORED_AT_ONCE, SceneAttention
from placenet_ros.model.placenet import ImageHead

SMALL = PlaceNetConfig(image_size=32, representation_channels=16, hidden_channels=8, canvas_channels=8, layers=3,
                       reprojection_channels=4)
SHIPPED = Path(__file__).parents[2] / "weights" / "placenet-small"


def build(**changes):
    torch.manual_seed(0)
    return PlaceNet(dataclasses.replace(SMALL, **changes)).eval()


def observe(config, b=2, m=3, seed=1, depth=True, objects=True):
    generator = torch.Generator().manual_seed(seed)
    s = config.image_size
    viewpoints = torch.cat([torch.rand(b, m, 3, generator=generator) * 0.3,
                            torch.tensor([1.0, 0.0, 1.0, 0.0]).expand(b, m, 4)], dim=-1)
    return Observations(torch.rand(b, m, 3, s, s, generator=generator), viewpoints,
                        torch.rand(b, m, 1, s, s, generator=generator) * 3 + 0.5 if depth else None,
                        torch.rand(b, m, 3, s, s, generator=generator) if objects else None)


def query(config, b=2, q=2, seed=2):
    generator = torch.Generator().manual_seed(seed)
    viewpoints = torch.cat([torch.rand(b, q, 3, generator=generator) * 0.3,
                            torch.tensor([1.0, 0.0, 1.0, 0.0]).expand(b, q, 4)], dim=-1)
    return viewpoints, torch.rand(b, q, 3, config.image_size, config.image_size, generator=generator)


@pytest.mark.parametrize("changes", [
    {}, {"shared_core": True}, {"tower": "pyramid"}, {"tower": "pool"}, {"reprojection": False},
    {"attention": ""}, {"attention": "d"}, {"attention": "ro"}, {"attention_tokens": 16},
    {"image_size": 64, "attention_tokens": 256}, {"image_size": 128, "layers": 1}, {"close_gaps": True},
    {"close_gaps": True, "reprojection_objects": True}, {"close_gaps": True, "copy_seen": True},
    {"narrow_tower_channels": 6}, {"narrow_tower_channels": 6, "attention": "do", "tower": "pool"},
], ids=str)
def test_every_option_trains_and_predicts(changes):
    model = build(**changes)
    viewpoints, images = query(model.config)
    output = model(observe(model.config), viewpoints, images)
    assert output.images.shape == images.shape
    assert output.kl.shape == (2, 2, model.config.layers) and (output.kl >= 0).all()
    (-evidence_lower_bound(output, images, 0.7).elbo.mean()).backward()
    idle = [name for name, weight in model.named_parameters()
            if weight.grad is None and not name.startswith("attention")]
    assert not idle, "these weights take no part in the objective"
    for name, weight in model.attention.named_parameters():
        assert weight.grad is not None, name
    predicted = model.predict(model.encode(observe(model.config)), viewpoints)
    assert predicted.shape == images.shape and predicted.min() >= 0 and predicted.max() <= 1


def test_queries_may_learn_by_prediction_from_the_prior_instead():
    model = build()
    viewpoints, images = query(model.config, q=3)
    output = model(observe(model.config), viewpoints, images, predicted_queries=2)
    assert not output.kl[:, :2].any() and output.kl[:, 2].all()
    means = model.predict(model.encode(observe(model.config)), viewpoints, temperature=0.0)
    torch.testing.assert_close(output.images[:, :2].clamp(0, 1), means[:, :2], atol=1e-5, rtol=0)
    assert not torch.allclose(output.images[:, 2].clamp(0, 1), means[:, 2], atol=1e-5)


@pytest.mark.parametrize("tower", ["tower", "pyramid", "pool"])
def test_observations_encoded_apart_and_joined_equal_those_encoded_together(tower):
    model = build(tower=tower)
    observations = observe(model.config, m=4)
    parts = [Observations(*(field[:, k:k + 1] for field in (observations.rgb, observations.viewpoints,
                                                            observations.depth, observations.objects)))
             for k in range(4)]
    viewpoints, _ = query(model.config)
    together = model.predict(model.encode(observations), viewpoints, torch.Generator().manual_seed(3))
    apart = model.predict(SceneRepresentation.join([model.encode(part) for part in parts]), viewpoints,
                          torch.Generator().manual_seed(3))
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attention_tokens", [1, 16])
def test_the_order_of_the_observations_does_not_matter(attention_tokens):
    model = build(attention_tokens=attention_tokens)
    observations = observe(model.config, m=4)
    order = torch.tensor([2, 0, 3, 1])
    shuffled = Observations(observations.rgb[:, order], observations.viewpoints[:, order],
                            observations.depth[:, order], observations.objects[:, order])
    viewpoints, _ = query(model.config)
    one = model.predict(model.encode(observations), viewpoints, torch.Generator().manual_seed(3))
    other = model.predict(model.encode(shuffled), viewpoints, torch.Generator().manual_seed(3))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_attention_weighs_the_tokens_of_all_observations_by_one_softmax():
    """Against the formula written out: softmax(q k^T / sqrt(c)) v over every observation's token."""
    model = build(attention="r")
    attention, scene = model.attention["r"], model.encode(observe(model.config, b=1, m=3))
    hidden = 2000 * torch.randn(1, 8, 8, 8)
    q = hidden.flatten(2)[0].T @ attention.query.weight.T + attention.query.bias
    weights = torch.softmax(q @ scene.keys["r"][0].T / 16 ** 0.5, dim=-1)
    assert weights.shape == (64, 3) and weights.max() > 0.9, "large enough queries must choose"
    expected = 0.1 * (weights @ scene.values["r"][0]).T.reshape(1, 16, 8, 8)
    torch.testing.assert_close(attention(hidden, scene.keys["r"], scene.values["r"], False), expected)


def test_weights_of_more_tokens_than_are_scored_at_once_are_refused_with_both_numbers():
    model, tokens = build(attention="r"), torch.randn(1, MOST_TOKENS_SCORED_AT_ONCE + 1, 16)
    attention = SceneAttention(model.attention, {"r": tokens}, {"r": tokens}, torch.zeros(1, 1, 16, 8, 8), False)
    hidden = torch.randn(1, 8, 8, 8)
    assert attention(hidden).shape == (1, 16, 8, 8)
    with pytest.raises(AssertionError, match="at most 1024 tokens .* not for 1025"):
        attention.weights(hidden)


def test_a_prediction_looks_at_the_observations_not_at_the_truth():
    model = build()
    viewpoints, images = query(model.config)
    scene = model.encode(observe(model.config))
    other_scene = model.encode(observe(model.config, seed=9))

    def predict(scene):
        return model.predict(scene, viewpoints, torch.Generator().manual_seed(3))

    def reconstruct(images):
        return model.reconstruct(scene, viewpoints, images, torch.Generator().manual_seed(3))

    assert not torch.equal(predict(scene), predict(other_scene))
    assert not torch.equal(reconstruct(images), reconstruct(1 - images))
    assert torch.equal(predict(scene), predict(scene))


def test_a_colour_camera_alone_is_served_by_the_same_weights():
    model = build()
    viewpoints, _ = query(model.config)
    scene = model.encode(observe(model.config, depth=False, objects=False))
    assert scene.cloud is None and set(scene.keys) == {"r"}
    assert torch.isfinite(model.predict(scene, viewpoints)).all()


def test_gamma_stays_at_its_start_while_held():
    model = build()
    viewpoints, images = query(model.config)
    model(observe(model.config), viewpoints, images, hold_attention_weights=True).images.sum().backward()
    assert all(attention.gamma.grad is None for attention in model.attention.values())
    model(observe(model.config), viewpoints, images).images.sum().backward()
    assert all(attention.gamma.grad is not None for attention in model.attention.values())


@pytest.mark.parametrize("changes", [{}, {"reprojection": False}, {"close_gaps": True, "copy_seen": True}], ids=str)
def test_an_untrained_network_expects_the_same_error_everywhere(changes):
    model = build(predict_error=True, **changes)
    viewpoints, _ = query(model.config)
    for observations in (observe(model.config), observe(model.config, depth=False)):
        error = model.predict_view(model.encode(observations), viewpoints).error
        torch.testing.assert_close(error, torch.full((2, 2, 1, 32, 32), 0.1))


def test_an_expected_error_has_bounds_whatever_the_weights():
    model = build(predict_error=True)
    viewpoints, _ = query(model.config)
    for bias, least, greatest in ((-50.0, 0.0009, 0.001), (50.0, 0.99, 1.0)):
        torch.nn.init.constant_(model.image_head.error.bias, bias)
        error = model.predict_view(model.encode(observe(model.config)), viewpoints).error
        assert least < error.min() and error.max() <= greatest


def test_shipped_weights_predict_the_same_without_their_expected_error():
    shipped = PlaceNet.from_pretrained(SHIPPED)
    silent = PlaceNet(dataclasses.replace(shipped.config, predict_error=False)).eval()
    keys = silent.load_state_dict(shipped.state_dict(), strict=False)
    assert sorted(keys.unexpected_keys) == ["image_head.error.bias", "image_head.error.weight"]
    assert not keys.missing_keys
    viewpoints, _ = query(shipped.config, b=1, q=1)
    observations = observe(shipped.config, b=1, m=2)
    with torch.inference_mode():
        told, views = (model.predict_view(model.encode(observations), viewpoints, temperature=0.0)
                       for model in (shipped, silent))
    assert told.error is not None and views.error is None
    assert torch.equal(views.images, told.images)


def test_the_image_head_is_one_graph_to_the_compiler():
    """It is compiled in training; a GPU's kernels aside, this is what the compiler has to take."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    head = ImageHead(dataclasses.replace(SMALL, close_gaps=True, copy_seen=True, predict_depth=True,
                                         predicted_classes=5, predict_error=True))
    torch.nn.init.normal_(head.error.weight)
    canvas, seen = torch.randn(2, 8, 32, 32), torch.rand(2, 5, 32, 32)
    said = torch.compile(head.forward, fullgraph=True, backend="aot_eager")(canvas, seen)
    for one, other in zip(said, head(canvas, seen)):
        torch.testing.assert_close(one, other)
    said.error.sum().backward()
    assert head.error.weight.grad.any()
    assert head.mean.weight.grad is None or not head.mean.weight.grad.any()


def test_published_sizes_are_those_of_the_paper():
    with torch.device("meta"):
        model = PlaceNet(PlaceNetConfig(reprojection=False))
    inference, generation = model.inference_cores[0].cell.gates, model.generation_cores[0].cell.gates
    assert len(model.inference_cores) == len(model.generation_cores) == 12
    assert inference.weight.shape == (512, 650, 5, 5) and generation.weight.shape == (512, 394, 5, 5)
    with torch.device("meta"):
        shared = PlaceNet(PlaceNetConfig(reprojection=False, shared_core=True))
    millions = sum(weight.numel() for weight in shared.parameters()) / 1e6
    assert 16 < millions < 19


def test_a_narrow_tower_sees_depth_and_objects_and_no_colours():
    model, seen = build(narrow_tower_channels=6), []
    appearance = model.narrow_tower.appearance
    model.narrow_tower.appearance = lambda pictures: seen.append(pictures) or appearance(pictures)
    observations = observe(model.config)
    features = model.appearance(observations).features
    pictures = observations.pictures()
    assert torch.equal(seen[0], torch.cat([pictures["d"].flatten(0, 1), pictures["o"].flatten(0, 1)]))
    assert {name: x.shape[2] for name, x in features.items()} == {
        "r": model.config.representation_channels, "d": 6, "o": 6}


@pytest.mark.parametrize("changes, words", [
    ({"image_size": 60}, "multiple of 16"), ({"attention": "rx"}, "attention"), ({"attention": "rr"}, "at most once"),
    ({"attention_tokens": 4}, "attention_tokens"), ({"attention_tokens": 256}, "8 x 8 places"),
    ({"tower": "pool", "attention_tokens": 16}, "1 x 1 places"), ({"tower": "towr"}, "tower, pyramid, pool"),
    ({"narrow_tower_channels": 3}, "narrow_tower_channels must be even"),
    ({"narrow_tower_channels": 4, "attention": "r"}, "no effect with attention 'r'"),
    ({"layers": 0}, "layers"), ({"position_scale": 0.0}, "position_scale"),
])
def test_settings_that_cannot_work_are_named(changes, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(SMALL, **changes)


def test_an_unknown_setting_is_named_with_the_nearest():
    with pytest.raises(ValueError, match="'layrs'; did you mean 'layers'"):
        PlaceNetConfig.from_dict({"layrs": 3})
    with pytest.raises(ValueError, match="'layers' must be of type int"):
        PlaceNetConfig.from_dict({"layers": "3"})
