"""The head for embeddings: what it is made of, what it does not depend on, and where it has no place."""
import pytest
import torch

from placenet_ros.model import Observations, PlaceNet, PlaceNetConfig
from placenet_ros.model.place_embedding import TOKEN_CHANNELS, PlaceEmbedding, look, look_size

CONFIG = PlaceNetConfig(image_size=32, representation_channels=16, hidden_channels=8, canvas_channels=8, layers=2,
                        reprojection_channels=4, embedding_channels=24)


@pytest.fixture
def head():
    torch.manual_seed(0)
    return PlaceEmbedding(look_size(16), 24).eval()


def tokens_and_viewpoints(count):
    torch.manual_seed(1)
    return torch.rand(count, TOKEN_CHANNELS), torch.randn(count, 7)


def test_an_embedding_has_norm_1_and_depends_on_every_observation_and_viewpoint(head):
    tokens, viewpoints = tokens_and_viewpoints(4)
    embedding = head(tokens, viewpoints)
    assert embedding.shape == (24,) and embedding.norm().item() == pytest.approx(1.0, abs=1e-6)
    for changed in range(4):
        for number in range(2):
            inputs = [tokens.clone(), viewpoints.clone()]
            inputs[number][changed] += 0.5
            assert (head(*inputs) - embedding).abs().max() > 1e-4


def test_the_order_of_the_earlier_observations_says_nothing_but_the_newest_is_another_than_they(head):
    tokens, viewpoints = tokens_and_viewpoints(5)
    shuffled = [2, 0, 3, 1, 4]
    torch.testing.assert_close(head(tokens[shuffled], viewpoints[shuffled]), head(tokens, viewpoints))
    newest = [0, 1, 2, 4, 3]
    assert (head(tokens[newest], viewpoints[newest]) - head(tokens, viewpoints)).abs().max() > 1e-3


def test_places_left_empty_in_a_batch_count_for_nothing(head):
    tokens, viewpoints = tokens_and_viewpoints(5)
    there = torch.tensor([False, False, True, True, True])
    torch.testing.assert_close(head(tokens, viewpoints, there), head(tokens[2:], viewpoints[2:]))


def test_the_look_tells_depth_that_is_missing_from_depth_that_is_nought():
    features, rgb = torch.rand(2, 16, 8, 8), torch.rand(2, 3, 32, 32)
    blind, nought = look(features, rgb, None), look(features, rgb, torch.zeros(2, 1, 32, 32))
    assert blind.shape == (2, look_size(16))
    assert (blind[:, -1] == 0).all() and (nought[:, -1] == 1).all()
    assert torch.equal(blind[:, :-1], nought[:, :-1])


def test_the_look_holds_mean_colours_of_8_by_8_parts():
    rgb = torch.rand(1, 3, 32, 32)
    colours = look(torch.rand(1, 16, 8, 8), rgb, None)[0, 16 * 16:][: 3 * 64].reshape(3, 8, 8)
    torch.testing.assert_close(colours[1, 2, 3], rgb[0, 1, 8:12, 12:16].mean())


def test_gradients_reach_every_weight_of_the_head(head):
    tokens, viewpoints = tokens_and_viewpoints(3)
    embedding = head(head.tokens(torch.rand(3, look_size(16))) + tokens, viewpoints)
    embedding[0].backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in head.parameters())


def test_predictions_do_not_depend_on_the_head():
    torch.manual_seed(0)
    model = PlaceNet(CONFIG).eval()
    bare = PlaceNet(PlaceNetConfig.from_dict(dict(CONFIG.to_dict(), embedding_channels=0))).eval()
    bare.load_state_dict({name: x for name, x in model.state_dict().items() if not name.startswith("place_embedding.")})
    observations = Observations(torch.rand(1, 2, 3, 32, 32), torch.randn(1, 2, 7))
    query = torch.randn(1, 1, 7)
    views = [each.predict(each.encode(observations), query, temperature=0.0) for each in (model, bare)]
    assert torch.equal(*views)


@pytest.mark.parametrize("changes, message", [
    ({"tower": "pyramid", "attention_tokens": 1}, "embedding_channels is 24, but tower 'pyramid'"),
    ({"embedding_channels": -1}, "embedding_channels must be 0 to 65536"),
])
def test_a_head_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        PlaceNetConfig.from_dict(dict(CONFIG.to_dict(), **changes))
