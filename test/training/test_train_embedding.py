"""Training a head for the embedding of places: what it learns, what it leaves alone, and what it notes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import training.train_embedding
from placenet_ros.model import PlaceNet, PlaceNetConfig
from placenet_ros.model.place_embedding import PlaceEmbedding
from training.configuration import UserError
from training.train_embedding import (
    DEPTH_CHANNELS,
    House,
    TrainEmbeddingConfig,
    Walk,
    contrast_loss,
    drawn_contrast,
    principal_components,
    trained_head,
)

MODEL = PlaceNetConfig(image_size=32, representation_channels=16, hidden_channels=8, canvas_channels=8, layers=1,
                       shared_core=True, reprojection_channels=8)  # fmt: skip
ASKED = ["houses=3", "held_out=1", "houses_per_step=2", "frames_per_house=4", "steps=3", "components=24", "channels=12",
         "revisit.frames=60", "processes=1", "device=cpu", "precision=0.1"]  # fmt: skip
LOOKS = 16 * 16 + 3 * 64 + DEPTH_CHANNELS


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    PlaceNet(MODEL).save_pretrained(tmp_path / "weights", {"samples": 12}, half_precision=True)
    return tmp_path / "weights"


def made_houses(count=6, frames=40):
    """Houses in whose walks a look is that of its place in some directions, of the walk in others, stronger ones."""
    draws = np.random.default_rng(0)
    of_place, of_walk = draws.normal(size=(2, 8, LOOKS - DEPTH_CHANNELS))
    houses = []
    for _ in range(count):
        places, walks = draws.normal(size=(frames, 8)), []
        for _ in range(2):
            looks = places @ of_place + 1.5 * draws.normal(size=(1, 8)) @ of_walk
            looks += 0.5 * draws.normal(size=looks.shape)
            depth = np.concatenate([draws.uniform(size=(frames, DEPTH_CHANNELS - 1)), np.ones((frames, 1))], axis=1)
            poses = np.zeros((frames, 5))
            poses[:, 0] = 2.0 * np.arange(frames)
            walks.append(Walk(np.concatenate([looks, depth], axis=1).astype(np.float16), poses))
        houses.append(House(tuple(walks), np.stack([np.arange(frames)] * 2, axis=1)))
    return houses


def asked(**settings):
    return TrainEmbeddingConfig("w", "o", channels=12, houses=6, houses_per_step=4, frames_per_house=8, components=64,
                                **settings)  # fmt: skip


def recall(head, house):
    """Share of the second walk's frames for which the most similar of the first is the right one."""
    looks = [torch.from_numpy(walk.looks.astype(np.float32))[:, None] for walk in house.walks]
    with torch.no_grad():
        first, second = (head(head.tokens(one), torch.zeros(len(one), 1, 7)) for one in looks)
    return ((second @ first.T).argmax(dim=1) == torch.arange(len(first))).float().mean().item()


def test_it_learns_what_places_have_in_common_and_walks_have_not():
    *houses, new = made_houses(7)
    model = PlaceNet(MODEL)
    start, learned = (trained_head(model, houses, asked(steps=steps, dropout=0.0)) for steps in (0, 60))
    torch.manual_seed(0)
    blank = recall(PlaceEmbedding(LOOKS, 12), new)
    assert recall(start, new) > blank + 0.15 and recall(learned, new) > blank + 0.3


@pytest.mark.parametrize("steps", [1, 10])
def test_few_steps_are_steps_too(steps):
    head = trained_head(PlaceNet(MODEL), made_houses(), asked(steps=steps))
    assert all(weight.isfinite().all() for weight in head.parameters())


def test_training_is_the_same_every_time():
    houses = made_houses()
    heads = (trained_head(PlaceNet(MODEL), houses, asked(steps=4, seed=seed)) for seed in (0, 0, 1))
    one, same, other = (head.state_dict() for head in heads)
    assert all(torch.equal(x, same[name]) for name, x in one.items())
    assert not torch.equal(one["placed.weight"], other["placed.weight"])


def test_a_layer_of_components_says_the_same_of_the_looks_themselves():
    houses = made_houses(2)
    looks = houses[0].walks[0].looks.copy()
    looks[::2, -DEPTH_CHANNELS:] = 0.0  # frames without depth
    components = principal_components(houses, 64)
    layer = torch.nn.Linear(64 + DEPTH_CHANNELS, 5)
    with torch.no_grad():
        expected = layer(torch.from_numpy(components.of(looks)))
        weight, bias = components.unfolded(layer.weight, layer.bias)
        found = torch.nn.functional.linear(torch.from_numpy(looks.astype(np.float32)), weight, bias)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_frames_of_one_place_are_drawn_together_and_what_is_between_counts_as_neither():
    houses = made_houses()
    houses = [house._replace(walks=tuple(walk._replace(poses=0.4 * walk.poses) for walk in house.walks))
              for house in houses]  # fmt: skip  # 0.8 m from frame to frame: too far for one place, too near for two
    drawn = drawn_contrast(houses, asked(), 3.0, step=0)
    assert drawn.looks.shape == (32, 8, LOOKS) and drawn.there[:, -1].all()
    assert drawn.same.any(dim=1).all() and not (drawn.same & drawn.other).any()
    assert (~drawn.same & ~drawn.other).sum() > 32, "those between, besides each frame itself"
    blind = (drawn.looks[..., -1] == 0).all(dim=1)
    assert 0 < blind.sum() < 32 and (drawn.looks[blind][..., -DEPTH_CHANNELS:] == 0).all()
    again = drawn_contrast(houses, asked(), 3.0, step=0)
    assert torch.equal(drawn.looks, again.looks)
    assert not torch.equal(drawn.looks, drawn_contrast(houses, asked(), 3.0, step=1).looks)


def test_the_loss_falls_where_the_same_places_are_alike_and_leaves_out_what_is_neither():
    same = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=torch.bool)
    other = torch.tensor([[0, 0, 1], [0, 0, 1], [1, 1, 0]], dtype=torch.bool)
    alike = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), dim=1)
    unlike = alike[[0, 2, 1]]
    assert contrast_loss(alike, same, other, 0.1) < 0.01 < 1.0 < contrast_loss(unlike, same, other, 0.1)
    assert contrast_loss(unlike, same, other & False, 0.1) == 0.0


@pytest.fixture
def trained(weights, tmp_path):
    training.train_embedding.main([str(weights), str(tmp_path / "out"), *ASKED])
    return tmp_path / "out"


def test_the_command_adds_a_head_and_leaves_the_rest_as_it_is_bit_for_bit(weights, trained, tmp_path):
    before, after = PlaceNet.from_pretrained(weights), PlaceNet.from_pretrained(trained)
    assert after.config == replace(MODEL, embedding_channels=12) and after.place_embedding is not None
    for name, tensor in before.state_dict().items():
        assert torch.equal(tensor, after.state_dict()[name]), name
    assert after.about["samples"] == 12 and after.about["model_id"] != before.about["model_id"]
    recognition = after.about["recognition"]
    assert recognition["house_seeds"] == {"train": "0..2", "held_out": "9999999..9999999"}
    assert recognition["command"].startswith(f"python -m training.train_embedding {weights}")
    if recognition["threshold"] is not None:
        assert -1 <= recognition["threshold"] <= 1 and recognition["precision"] >= 0.1
    training.train_embedding.main([str(trained), str(tmp_path / "again"), *ASKED])  # in place of the head it has
    again = PlaceNet.from_pretrained(tmp_path / "again")
    assert all(torch.equal(x, again.state_dict()[name]) for name, x in after.state_dict().items())


@pytest.mark.parametrize("words, message", [
    (["no/weights", "out"], "no weights here"),
    (["w", "out", "houses=4"], r"houses \(4\) must be at least houses_per_step \(8\)"),
    (["w", "out", "frames_per_house=3"], "frames_per_house must be even"),
    (["w", "out", "houses=9999999"], "must be 10,000,000 together at most"),
    (["w", "out", "dropout=1"], "dropout must be 0 to under 1"),
    (["w", "out", "channels=1"], "channels must be at least 2"),
    (["w", "out", "temperature=0"], "temperature must be over 0"),
    (["w", "out", "weight_decay=-1"], "weight_decay must not be negative"),
])  # fmt: skip
def test_a_mistaken_command_is_refused(words, message):
    with pytest.raises(UserError, match=message):
        training.train_embedding.main(words)


def test_a_network_that_can_have_no_head_is_named(tmp_path):
    PlaceNet(replace(MODEL, tower="pyramid")).save_pretrained(tmp_path / "weights", {})
    with pytest.raises(UserError, match="tower 'pyramid'"):
        training.train_embedding.main([str(tmp_path / "weights"), str(tmp_path / "out"), *ASKED])
