"""The protocol of place recognition on descriptors whose recall is known, its descriptors, and the command."""

import json

import numpy as np
import pytest
import torch

import training.evaluate
from placenet_ros.model import PlaceNet, PlaceNetConfig
from training.configuration import UserError
from training.recognition.comparison import RecognitionConfig, answered, descriptors_of, figures, recognise
from training.recognition.descriptors import (
    OrbWords,
    embeddings,
    online_embeddings,
    picture_descriptors,
    random_descriptors,
    without_head,
)
from training.recognition.protocol import (
    LEVELS,
    Asked,
    Described,
    Matches,
    advantage,
    figures_of,
    match,
    precision_recall,
    threshold_of,
)
from training.recognition.revisits import RevisitConfig, RevisitMaker, difference, make_revisits, pose_gaps
from training.recognition.telling import table
from training.trajectory import Trajectory

MODEL = PlaceNetConfig(image_size=32, representation_channels=16, hidden_channels=8, canvas_channels=8, layers=1,
                       shared_core=True, reprojection_channels=8, embedding_channels=12)  # fmt: skip
WALKS = RevisitConfig(frames=24)


def poses_of(frames, seed=0):
    draws = np.random.default_rng(seed)
    low, high = [0, 0, 0.5, -np.pi, 0], [6, 6, 1.5, np.pi, 0]
    return draws.uniform(low, high, (frames, 5)).astype(np.float32)


def asked_and_known(houses=3, frames=40):
    """Queries at the very poses of the map, in another order, and descriptors that say which they are."""
    asked, described = [], []
    for house in range(houses):
        mapped, order = poses_of(frames, house), np.random.default_rng(house).permutation(frames)
        names = np.eye(houses * frames, dtype=np.float32)[house * frames :][:frames]
        asked.append(Asked(mapped, mapped[order]))
        described.append(Described(names, names[order]))
    return asked, described


@pytest.mark.parametrize("search", ["same house", "all houses"])
def test_a_descriptor_that_knows_its_place_is_always_right(search):
    found = figures_of(match(*asked_and_known(), search))
    for level in LEVELS:
        row = found[level.name]
        assert all(row[name] == {"mean": 1.0, "low": 1.0, "high": 1.0} for name in row), level
        assert {"recall@1", "recall@5", "recall@10", "possible", "average_precision", "certain_recall"} == set(row)


def test_random_descriptors_are_right_by_chance():
    asked = [Asked(poses_of(200, house), poses_of(200, 100 + house)) for house in range(6)]
    draws = np.random.default_rng(0)
    described = [Described(draws.normal(size=(200, 64)), draws.normal(size=(200, 64))) for _ in asked]
    found, gaps = figures_of(match(asked, described, "same house")), [pose_gaps(a.queried, a.mapped) for a in asked]
    for level in LEVELS[2:]:
        near = [(gap.metres <= level.metres) & (gap.degrees <= level.degrees) for gap in gaps]
        chance = np.mean(near)
        assert found[level.name]["recall@1"]["mean"] == pytest.approx(chance, abs=0.03)
        assert found[level.name]["possible"]["mean"] == pytest.approx(np.mean([each.any(axis=1) for each in near]))
        assert found[level.name]["average_precision"]["mean"] < 2 * chance + 0.05
    elsewhere = figures_of(match(asked, described, "all houses"))[LEVELS[3].name]["recall@1"]["mean"]
    assert elsewhere < 0.5 * found[LEVELS[3].name]["recall@1"]["mean"], "most frames are of another house"


def test_a_hit_is_near_over_the_floor_and_looks_the_same_way():
    mapped = np.array([[0.0, 0.0, 0.2, 0.0, 0.0]])
    near = [[0.2, 0.0, 1.5, 0.1, -0.3], [0.4, 0.0, 0.2, -0.4, 0.0], [0.0, 0.9, 0.2, 2 * np.pi + 0.4, 0.0],
            [0.0, 1.9, 0.2, np.pi, 0.0], [2.1, 0.0, 0.2, 0.0, 0.0]]  # fmt: skip
    one = np.ones((1, 1), np.float32)
    matches = match([Asked(mapped, np.array(near))], [Described(one, one.repeat(5, 0))], "same house")
    assert matches.possible.sum(axis=1).tolist() == [4, 3, 2, 1, 0]
    assert np.array_equal(matches.hits[:, 0], matches.possible)


def test_recall_counts_a_hit_among_the_first_answers():
    mapped = np.zeros((12, 5))
    mapped[:, 0] = 10.0 * np.arange(12)
    similar = np.linspace(1.0, 0.5, 12, dtype=np.float32)[:, None]
    queries = np.zeros((3, 5))
    queries[:, 0] = 0.0, 40.0, 90.0  # the first, fifth and tenth most similar
    matches = match([Asked(mapped, queries)], [Described(similar, np.ones((3, 1), np.float32))], "same house")
    assert matches.hits[:, :, 0].tolist() == [[True, True, True], [False, True, True], [False, False, True]]


def test_what_is_believed_from_a_similarity_on_and_what_that_is_worth():
    similarity = np.array([0.9, 0.5, 0.8, 0.7, 0.6])
    right = np.array([True, True, True, False, True])
    possible = np.array([True, True, True, True, True])
    curve = precision_recall(similarity, right, possible)
    assert curve.thresholds.tolist() == [0.9, 0.8, 0.7, 0.6, 0.5]
    np.testing.assert_allclose(curve.precision, [1, 1, 2 / 3, 3 / 4, 4 / 5])
    np.testing.assert_allclose(curve.recall, [0.2, 0.4, 0.4, 0.6, 0.8])
    assert threshold_of(similarity, right, possible, 1.0)[:1] == (0.8,)
    assert threshold_of(similarity, right, possible, 0.8) == (0.5, 0.8, 0.8)
    assert threshold_of(similarity, ~right & False, possible, 0.5) is None


def test_what_is_equally_similar_is_believed_at_once_whatever_its_order():
    similarity, possible = np.array([0.9, 0.8, 0.8, 0.7]), np.ones(4, bool)
    for right in (np.array([True, True, False, True]), np.array([True, False, True, True])):
        curve = precision_recall(similarity, right, possible)
        assert curve.thresholds.tolist() == [0.9, 0.8, 0.7]
        np.testing.assert_allclose(curve.precision, [1, 2 / 3, 3 / 4])
        np.testing.assert_allclose(curve.recall, [1 / 4, 2 / 4, 3 / 4])
        assert threshold_of(similarity, right, possible, 0.9) == (0.9, 1.0, 0.25)
        hits = np.broadcast_to(right[:, None, None], (4, 3, 4))
        row = figures_of(Matches(similarity, hits, np.ones((4, 4), bool), np.zeros(4, np.int64)))[LEVELS[0].name]
        assert row["certain_recall"]["mean"] == pytest.approx(1 / 4)
        assert row["average_precision"]["mean"] == pytest.approx((1 + 2 / 3 + 3 / 4) / 4)


def test_certain_recall_ends_at_the_first_mistake_and_average_precision_is_the_area():
    frames = np.zeros((5, 5))
    frames[:, 0] = 10.0 * np.arange(5)
    mapped = np.eye(5, dtype=np.float32)
    queried = np.diag([0.9, 0.8, 0.7, 0.6, 0.5]).astype(np.float32)[[0, 1, 3, 3, 4]]  # the third takes 2 for 3
    queried[2, 3] = 0.7
    row = figures_of(match([Asked(frames, frames)], [Described(mapped, queried)], "same house"))[LEVELS[0].name]
    assert row["certain_recall"]["mean"] == pytest.approx(2 / 5)
    assert row["average_precision"]["mean"] == pytest.approx((1 + 1 + 3 / 4 + 4 / 5) / 5)


def test_the_advantage_is_of_the_same_queries_over_houses_in_pairs():
    asked, known = asked_and_known()
    half = [Described(one.mapped, np.concatenate([one.queried[:20], one.queried[20:] * 0])) for one in known]
    better, worse = match(asked, known, "same house"), match(asked, half, "same house")
    gain = advantage(better, worse)[LEVELS[0].name]
    expected = 1.0 - worse.hits[:, 0, 0].mean()
    assert gain["mean"] == pytest.approx(expected) and gain["low"] > 0.3
    assert advantage(better, better)[LEVELS[0].name] == {"mean": 0.0, "low": 0.0, "high": 0.0}


# ---- Walks and descriptors -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def revisit():
    return next(make_revisits([7], 1, RevisitMaker(WALKS, MODEL.image_size)))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return PlaceNet(MODEL).eval()


def test_the_two_walks_through_a_house_differ_in_way_and_camera(revisit):
    assert revisit.seed == 7 and len(revisit.mapped.poses) == len(revisit.queried.poses) == 24
    apart = difference([revisit])
    assert apart["height_metres"] > 0.05 and apart["tilt_degrees"] > 0.5 and apart["start_metres"] > 0.5
    assert apart["nearest_metres"] > 0.0
    same = difference([revisit._replace(queried=revisit.mapped)])
    assert set(same.values()) == {0.0}


def test_embeddings_of_a_walk_are_those_of_the_scene_memory(model, revisit):
    for walk in (revisit.mapped, revisit.queried._replace(depth=None)):
        found = embeddings(model, walk)
        assert found.shape == (24, 12)
        np.testing.assert_allclose(found, online_embeddings(model, walk), atol=1e-5)
    short = revisit.mapped._replace(**{name: getattr(revisit.mapped, name)[:3] for name in ("poses", "rgb", "depth")})
    np.testing.assert_allclose(embeddings(model, short), embeddings(model, revisit.mapped)[:3], atol=1e-5)
    plain = without_head(model)
    np.testing.assert_array_equal(embeddings(plain, revisit.mapped), online_embeddings(plain, revisit.mapped))
    assert embeddings(plain, revisit.mapped).shape == (24, 16) and model.place_embedding is not None


def test_descriptors_have_norm_1_and_know_a_picture_again(revisit):
    for describe in (picture_descriptors, OrbWords([revisit.mapped])):
        rows = describe(revisit.mapped)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
        again = describe(revisit.mapped._replace(poses=revisit.queried.poses, name="elsewhere"))
        assert np.array_equal(rows, again), "of the picture alone"
    assert not np.array_equal(random_descriptors(revisit.mapped), random_descriptors(revisit.queried))
    assert np.array_equal(random_descriptors(revisit.mapped), random_descriptors(revisit.mapped))


def test_orb_words_find_a_shifted_picture():
    draws = np.random.default_rng(0)
    pictures = np.kron(draws.integers(0, 256, (6, 16, 16, 3)), np.ones((1, 6, 6, 1))).astype(np.uint8)
    trajectory = Trajectory(poses_of(6), pictures[:, 8:72, 8:72], None, None, "a")
    shifted = trajectory._replace(rgb=pictures[:, 12:76, 8:72])
    words = OrbWords([trajectory])
    assert (words(shifted) @ words(trajectory).T).argmax(axis=1).tolist() == list(range(6))


def test_pictures_too_small_for_a_feature_are_all_alike(revisit):
    tiny = revisit.mapped._replace(rgb=revisit.mapped.rgb[:, :16, :16])
    assert np.ptp(OrbWords([tiny])(tiny), axis=0).max() == 0.0


# ---- All together ----------------------------------------------------------------------------------------------------


def test_all_rows_are_asked_the_same_in_both_groups_and_told(model):
    recognised = recognise(model, RecognitionConfig(houses=2, query_every=6, revisit=WALKS), processes=1)
    told = figures(recognised)
    rows = {"this network", "this network, colour alone", "its mean representation", "untrained network"}
    rows |= {"8 x 8 colours", "ORB words", "random"}
    for group in ("unseen", "seen"):
        assert set(told[group]["same house"]) == set(told[group]["all houses"]) == rows
        assert told[group]["houses"] == 2 and told[group]["queries"] == 8
        assert set(told[group]["advantage"]["same house"]) == {"8 x 8 colours", "ORB words"}
    text = table(told)
    assert text.count("this network ") == text.count("this network, colour alone") == 4
    assert text.count("(possible)") == 4
    assert "places recognised in 2 unseen houses, 8 queries; walks differ by" in text
    json.dumps(told)


def test_the_command_writes_what_was_recognised(model, tmp_path, capsys):
    model.save_pretrained(tmp_path / "weights", {})
    asked = ["evaluation.queries=2", "evaluation.observations=3", "houses=1", "walk.frames=20", "device=cpu"]
    few = ["recognition.houses=1", "recognition.query_every=8", "recognition.revisit.frames=24"]
    training.evaluate.main([str(tmp_path / "weights"), *asked, *few, f"output={tmp_path / 'out'}"])
    record = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert record["recognition"]["unseen"]["queries"] == 3
    text = (tmp_path / "out" / "table.txt").read_text()
    assert table(record["recognition"]) in text and table(record["recognition"]) in capsys.readouterr().out
    assert (tmp_path / "out" / "place_recognition.png").stat().st_size > 1000


@pytest.mark.parametrize("words, message", [
    (["recognition.houses=-1"], "houses must be 0 to"),
    (["recognition.query_every=0"], "query_every must be at least 1"),
    (["recognition.revisit.frames=301"], "frames must be within 1 and 300"),
])  # fmt: skip
def test_a_mistaken_setting_is_refused(words, message):
    with pytest.raises(UserError, match=message):
        training.evaluate.main(["weights", *words])


def test_a_network_is_asked_from_colour_alone_too(model, revisit):
    rows = descriptors_of(model, OrbWords([revisit.mapped]))
    colour_alone = rows["this network, colour alone"](revisit.mapped)
    assert np.array_equal(colour_alone, rows["this network"](revisit.mapped._replace(depth=None, objects=None)))
    assert not np.allclose(colour_alone, rows["this network"](revisit.mapped), atol=1e-3)


def test_a_network_without_a_head_is_asked_by_its_mean_alone(model, revisit):
    rows = descriptors_of(without_head(model), OrbWords([revisit.mapped]))
    assert not {"its mean representation", "this network, colour alone"} & set(rows)
    found = answered({"this network": rows["this network"]}, [revisit], 4)
    assert found.houses == 1 and len(found.matches["same house"]["this network"].similarity) == 6
