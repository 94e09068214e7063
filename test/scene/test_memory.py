"""SceneMemory: what it holds equals encoding the same observations afresh, at one encoding for each."""
import dataclasses

import numpy as np
import pytest
import torch

from placenet_ros.model import Observations, PlaceNet, PlaceNetConfig
from placenet_ros.model.modalities import class_colours, objects_picture
from placenet_ros.model.place_embedding import EMBEDDED_OBSERVATIONS
from placenet_ros.model.viewpoints import relative_viewpoints
from placenet_ros.scene.memory import SceneMemory
from placenet_ros.scene.viewpoints import CameraPose

SIZE = 32
CONFIG = PlaceNetConfig(image_size=SIZE, representation_channels=16, hidden_channels=8, canvas_channels=8, layers=2,
                        reprojection_channels=4, attention_tokens=16)
QUERY = CameraPose((1.0, 0.2, 0.6), 0.4, -0.1)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return PlaceNet(CONFIG).eval()


def observation(index):
    """rgb, pose, depth, objects; far from the origin, as odometry is after an hour."""
    random = np.random.default_rng(index)
    pose = CameraPose((1000.0 + 0.2 * index, -500.0 + random.normal(), 0.5), random.uniform(-3, 3), 0.1)
    return (random.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8), pose,
            random.uniform(0.5, 5.0, (SIZE, SIZE)).astype(np.float32),
            random.integers(0, 40, (SIZE, SIZE), dtype=np.uint8))


def unsure(model):
    """The same model, its samples far apart: those of an untrained one hardly differ."""
    torch.nn.init.constant_(model.prior_head.bias[CONFIG.latent_channels:], 5.0)
    return model


def seeing(model):
    memory = SceneMemory(model)
    for index in range(2):
        memory.add(*observation(index))
    return memory


@torch.inference_mode()
def launched(model, memory, **options):
    """What the model itself predicts from QUERY."""
    return model.predict_view(memory._representation(), memory._viewpoints(QUERY), **options)


def encoded_afresh(model, indices, anchor):
    """The same observations in one batch, by the model alone."""
    rgb, poses, depth, objects = zip(*(observation(index) for index in indices))
    absolute = torch.from_numpy(np.stack([pose.to_array() for pose in poses]))
    viewpoints = relative_viewpoints(absolute, torch.from_numpy(anchor.to_array()[:4]), CONFIG.position_scale).float()
    with torch.inference_mode():
        return model.encode(Observations(
            torch.from_numpy(np.stack(rgb)).movedim(-1, 1)[None] / 255.0, viewpoints[None],
            torch.from_numpy(np.stack(depth))[None, :, None],
            objects_picture(torch.from_numpy(np.stack(objects)), class_colours())[None]))


def assert_holds(memory, model, indices):
    """The memory's sums, tokens and points are those of `indices`, encoded afresh, to 1e-4 relative."""
    held, fresh = memory._representation(), encoded_afresh(model, indices, memory.anchor)
    pairs = [(held.total, fresh.total), (held.cloud.positions, fresh.cloud.positions),
             (held.cloud.pictures, fresh.cloud.pictures)]
    for modality in "rdo":
        pairs += [(held.keys[modality], fresh.keys[modality]), (held.values[modality], fresh.values[modality])]
    for one, other in pairs:
        assert one.shape == other.shape
        assert (one - other).norm() <= 1e-4 * other.norm()


def test_after_any_additions_and_evictions_it_equals_encoding_afresh(model):
    memory = SceneMemory(model, max_observations=4)
    for index in range(11):
        memory.add(*observation(index))
        assert_holds(memory, model, list(range(max(0, index - 3), index + 1)))
    new_anchor = CameraPose((1002.0, -501.0, 0.3), 1.0, 0.0)
    memory.reanchor(new_anchor)
    assert memory.anchor == new_anchor and memory.distance_from_anchor(new_anchor) == 0
    assert_holds(memory, model, [7, 8, 9, 10])
    memory.add(*observation(11))
    assert_holds(memory, model, [8, 9, 10, 11])
    memory.clear()
    assert len(memory) == 0 and memory.anchor is None
    memory.add(*observation(12))
    assert_holds(memory, model, [12])


def test_the_caller_says_which_leaves(model):
    memory = SceneMemory(model, max_observations=3)
    for index in range(3):
        memory.add(*observation(index), leaves=1)
    assert memory.is_full
    memory.add(*observation(3), leaves=1)
    assert_holds(memory, model, [0, 2, 3])


def test_an_anchor_is_prepared_one_observation_at_a_time_while_the_one_before_serves(model):
    memory, at_once = SceneMemory(model, max_observations=4), SceneMemory(model, max_observations=4)
    for index in range(4):
        memory.add(*observation(index))
    new_anchor = CameraPose((1002.0, -501.0, 0.3), 1.0, 0.0)
    memory.prepare_anchor(new_anchor)
    for _ in range(3):
        assert not memory.place_one()
        assert_holds(memory, model, [0, 1, 2, 3])
    memory.add(*observation(4), leaves=0)  # a placed one leaves, one that has to be placed comes
    assert_holds(memory, model, [1, 2, 3, 4])
    assert memory.anchor != new_anchor and memory.next_anchor == new_anchor
    assert not memory.place_one()
    assert memory.place_one()
    assert (memory.anchor, memory.next_anchor) == (new_anchor, None)
    assert_holds(memory, model, [1, 2, 3, 4])
    for index in range(1, 5):
        at_once.add(*observation(index))
    at_once.reanchor(new_anchor)
    one, other = (each._representation().total for each in (memory, at_once))
    assert (one - other).norm() <= 1e-4 * other.norm()
    with pytest.raises(ValueError, match="no anchor is prepared"):
        memory.place_one()


def test_an_anchor_that_is_prepared_for_anew_begins_from_the_start(model):
    memory = SceneMemory(model)
    for index in range(2):
        memory.add(*observation(index))
    memory.prepare_anchor(observation(5)[1])
    memory.place_one()
    memory.reanchor(observation(6)[1])
    assert memory.anchor == observation(6)[1]
    assert_holds(memory, model, [0, 1])
    memory.prepare_anchor(observation(5)[1])
    memory.clear()
    assert memory.next_anchor is None


def test_adding_costs_one_encoding_and_predicting_none(model, monkeypatch):
    pictures = []
    appearance = model.representation.appearance
    monkeypatch.setattr(model.representation, "appearance", lambda x: pictures.append(len(x)) or appearance(x))
    memory = SceneMemory(model, max_observations=5)
    for index in range(8):
        pictures.clear()
        memory.add(*observation(index))
        assert sum(pictures) == 3, "one picture for each modality"
    pictures.clear()
    memory.predict(observation(8)[1], samples=3)
    memory.embedding()
    memory.reanchor(observation(9)[1])
    assert pictures == []


def test_what_is_held_does_not_depend_on_where_the_world_has_its_origin(model):
    clouds = []
    for shift in (0.0, 5e5):  # metres: as UTM coordinates are
        memory = SceneMemory(model)
        for index in range(3):
            rgb, pose, depth, objects = observation(index)
            x, y, z = pose.position
            memory.add(rgb, CameraPose((x + shift, y - shift, z), pose.yaw, pose.pitch), depth, objects)
        clouds.append(memory._representation().cloud.positions)
    torch.testing.assert_close(clouds[0], clouds[1], rtol=0, atol=1e-4)


def test_the_embedding_has_norm_1_and_tells_scenes_apart(model):
    memory, other = SceneMemory(model), SceneMemory(model)
    memory.add(*observation(0))
    other.add(*observation(1))
    assert memory.embedding().shape == (CONFIG.representation_channels,)
    for one in (memory, other):
        assert np.linalg.norm(one.embedding()) == pytest.approx(1.0, abs=1e-6)
    assert not np.allclose(memory.embedding(), other.embedding())


def test_a_representation_without_direction_is_no_embedding(model):
    with torch.no_grad():
        model.representation.conv8.weight.zero_()
        model.representation.conv8.bias.zero_()
    memory = SceneMemory(model)
    memory.add(*observation(0))
    with pytest.raises(ValueError, match="no direction"):
        memory.embedding()


@pytest.mark.parametrize("samples", [0, 1, 2, 6])
def test_a_view_is_the_prior_s_mean_however_many_samples_are_drawn(model, samples):
    memory = seeing(unsure(model))
    expected = launched(model, memory, temperature=0.0)
    view = memory.predict(QUERY, samples)
    assert view.image.shape == (SIZE, SIZE, 3) and view.image.dtype == np.uint8
    exact = 255 * expected.images[0, 0].movedim(0, -1).numpy()
    assert np.abs(view.image - exact).max() < 0.51  # rounding
    assert (view.depth, view.class_ids) == (None, None)


def test_depth_and_classes_are_the_prior_s_means_too_where_the_model_predicts_them():
    torch.manual_seed(0)
    model = PlaceNet(dataclasses.replace(CONFIG, predict_depth=True, predicted_classes=5)).eval()
    memory = seeing(model)
    expected = launched(model, memory, temperature=0.0)
    view = memory.predict(QUERY, samples=3)
    np.testing.assert_allclose(view.depth, expected.depth[0, 0, 0].numpy(), rtol=1e-4)
    assert view.depth.dtype == np.float32 and view.class_ids.dtype == np.uint8
    assert (view.class_ids == expected.class_ids[0, 0].numpy()).mean() > 0.99


def test_the_uncertainty_is_the_deviation_of_samples(model):
    memory = seeing(model)
    view = memory.predict(QUERY, samples=5, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(CONFIG.layers, 5, CONFIG.latent_channels, CONFIG.grid_size, CONFIG.grid_size,
                        generator=torch.Generator().manual_seed(1))
    samples = [launched(model, memory, noise=noise[:, [index]]).images[0, 0].numpy() for index in range(5)]
    np.testing.assert_allclose(view.uncertainty, np.std(samples, axis=0).mean(axis=0), atol=1e-6)
    assert view.uncertainty.shape == (SIZE, SIZE) and view.uncertainty.dtype == np.float32
    assert view.uncertainty.max() > 0


def counted_views(model, monkeypatch):
    """How many views each prediction of the model is of, from now on."""
    views, predict = [], model.predict_view
    monkeypatch.setattr(model, "predict_view",
                        lambda *given, **options: views.append(given[1].shape[1]) or predict(*given, **options))
    return views


@pytest.mark.parametrize("samples", [0, 4])
def test_a_model_that_expects_its_errors_says_its_uncertainty_without_samples(monkeypatch, samples):
    torch.manual_seed(0)
    model = unsure(PlaceNet(dataclasses.replace(CONFIG, predict_error=True)).eval())
    torch.nn.init.normal_(model.image_head.error.weight, std=20.0)
    views = counted_views(model, monkeypatch)
    memory = seeing(model)
    uncertainty = memory.predict(QUERY, samples).uncertainty
    assert views == [1], "no extra view"
    expected = launched(model, memory, temperature=0.0).error[0, 0, 0].numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(uncertainty, np.minimum(2 ** 0.5 * expected, 1.0), rtol=1e-4)
    assert uncertainty.shape == (SIZE, SIZE) and uncertainty.dtype == np.float32


def test_an_uncertainty_is_no_more_than_1():
    torch.manual_seed(0)
    model = PlaceNet(dataclasses.replace(CONFIG, predict_error=True)).eval()
    torch.nn.init.constant_(model.image_head.error.bias, 9.0)
    assert (seeing(model).predict(QUERY).uncertainty == 1.0).all()


def test_only_who_asks_for_the_uncertainty_waits_for_samples(model, monkeypatch):
    views = counted_views(model, monkeypatch)
    memory = seeing(model)
    assert memory.predict(QUERY).uncertainty is None
    uncertainty = memory.predict(QUERY, samples=1).uncertainty
    assert uncertainty.shape == (SIZE, SIZE) and not uncertainty.any(), "one sample does not deviate"
    memory.predict(QUERY, samples=4)
    assert views == [1, 1, 5]
    with pytest.raises(ValueError, match="samples must be at least 0, not -1"):
        memory.predict(QUERY, samples=-1)


def test_observations_without_depth_or_objects_join_those_that_have_them(model):
    memory = SceneMemory(model)
    rgb, pose, depth, objects = observation(0)
    memory.add(rgb, pose)
    assert memory.predict(QUERY).image.shape == (SIZE, SIZE, 3)
    memory.add(*observation(1))
    depth_with_gaps = depth.copy()
    depth_with_gaps[:3] = np.nan
    memory.add(rgb, pose, depth_with_gaps)
    assert memory._representation().cloud.depth.gt(0).sum() == 2 * SIZE * SIZE - 3 * SIZE
    assert np.isfinite(memory.predict(QUERY, samples=2).uncertainty).all()


@pytest.mark.parametrize("fault, words", [
    ({"rgb": np.zeros((SIZE, SIZE), np.uint8)}, "rgb must be uint8 of shape"),
    ({"rgb": np.zeros((SIZE, SIZE, 3), np.float32)}, "rgb must be uint8"),
    ({"depth": np.zeros((SIZE, SIZE), np.uint16)}, "depth must be floating point"),
    ({"objects": np.zeros((SIZE, SIZE + 1), np.uint8)}, "objects must be uint8 of shape"),
    ({"covered": np.ones((SIZE, SIZE), np.uint8)}, "covered must be bool"),
])
def test_an_image_of_another_shape_or_type_is_refused_and_changes_nothing(model, fault, words):
    memory = SceneMemory(model)
    rgb, pose, depth, objects = observation(0)
    with pytest.raises(ValueError, match=words):
        memory.add(**dict({"rgb": rgb, "pose": pose, "depth": depth, "objects": objects}, **fault))
    assert len(memory) == 0 and memory.anchor is None


def test_asking_before_anything_was_seen_says_so(model):
    memory = SceneMemory(model)
    for ask in (memory.embedding, lambda: memory.predict(QUERY)):
        with pytest.raises(ValueError, match="nothing has been observed yet"):
            ask()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
def test_on_a_gpu_views_are_replayed_and_the_same_as_launched(model):
    said, view = [], {}
    memory = SceneMemory(unsure(model).cuda(), max_observations=3, warn=said.append)
    for index in range(8):
        memory.add(*observation(index))
        for samples in (0, 4):
            view[samples] = memory.predict(QUERY, samples)
    graphs = [form.graph for form in memory._captured._forms.values() if form.graph]
    assert not said and len(graphs) == 2, "with three observations, for the view alone and with samples"
    expected = launched(model, memory, temperature=0.0)
    exact = 255 * expected.images[0, 0].movedim(0, -1).cpu().numpy()
    for samples in (0, 4):
        assert np.abs(view[samples].image - exact).max() < 1.5  # a batch of another size is rounded otherwise
    assert view[4].uncertainty.max() > 0


def test_an_empty_copy_has_a_scene_of_its_own(model):
    memory = SceneMemory(model, max_observations=2)
    for index in range(2):
        memory.add(*observation(index))
    poses, anchor, view = memory.poses, memory.anchor, memory.predict(QUERY).image
    other = memory.empty_copy(observation(2)[1])
    assert (len(other), other.next_anchor, other.is_full) == (0, None, False)
    for index in range(3):
        other.add(*observation(index))
    assert other.is_full and other.anchor == observation(2)[1]
    assert (memory.poses, memory.anchor) == (poses, anchor)
    np.testing.assert_array_equal(memory.predict(QUERY).image, view)
    assert_holds(other, model, [1, 2])


def test_an_empty_copy_shares_only_what_belongs_to_no_scene(model):
    memory = seeing(model)
    memory.predict(QUERY)
    memory.prepare_anchor(observation(3)[1])
    given, copied = vars(memory), vars(memory.empty_copy(observation(2)[1]))
    shared = {name for name in given if copied[name] is given[name]}
    assert shared == {"_model", "_device", "_captured", "_palette", "_max_observations"}


def test_on_the_cpu_the_model_itself_predicts(model):
    assert SceneMemory(model)._captured is None


def test_what_happens_to_the_scene_during_a_view_changes_only_the_next_one(model):
    memory, expected, calls = seeing(model), seeing(model).predict(QUERY), []

    def happen():
        calls.append(len(memory))
        if len(calls) == 1:
            memory.add(*observation(2))
            memory.reanchor(observation(3)[1])
        else:
            memory.clear()

    np.testing.assert_array_equal(memory.predict(QUERY, between=happen).image, expected.image)
    assert calls == [2, 3] and len(memory) == 0, "once for each of the model's two layers"


@pytest.fixture
def with_head():
    torch.manual_seed(0)
    return PlaceNet(dataclasses.replace(CONFIG, embedding_channels=24)).eval()


def test_a_head_embeds_the_newest_observations_wherever_the_anchor_is_and_whatever_is_held(with_head):
    memory, small = SceneMemory(with_head), SceneMemory(with_head, max_observations=2)
    for index in range(EMBEDDED_OBSERVATIONS + 3):
        for each in (memory, small):
            each.add(*observation(index))
    embedding = memory.embedding()
    assert embedding.shape == (24,) and np.linalg.norm(embedding) == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(small.embedding(), embedding, atol=1e-6)
    fresh = SceneMemory(with_head)
    for index in range(3, EMBEDDED_OBSERVATIONS + 3):
        fresh.add(*observation(index))
    np.testing.assert_allclose(fresh.embedding(), embedding, atol=1e-6)
    memory.reanchor(CameraPose((1002.0, -501.0, 0.3), 1.0, 0.0))
    np.testing.assert_allclose(memory.embedding(), embedding, atol=1e-6)
    memory.clear()
    with pytest.raises(ValueError, match="nothing has been observed"):
        memory.embedding()


def test_what_is_seen_again_from_earlier_is_no_part_of_the_heads_embedding(with_head):
    memory = SceneMemory(with_head)
    memory.add(*observation(0))
    embedding = memory.embedding()
    memory.add(*observation(1), is_newest=False)
    assert np.array_equal(memory.embedding(), embedding) and len(memory) == 2


def test_a_head_embeds_what_has_no_depth(with_head):
    memory = SceneMemory(with_head)
    memory.add(*observation(0)[:2])
    blind = memory.embedding()
    memory.clear()
    memory.add(*observation(0)[:3])
    assert np.abs(memory.embedding() - blind).max() > 1e-3 and np.isfinite(blind).all()


def test_what_the_camera_does_not_see_is_never_reprojected_whether_its_depth_is_measured_or_estimated():
    torch.manual_seed(0)
    model = PlaceNet(dataclasses.replace(CONFIG, depth_estimation_channels=8)).eval()
    half = np.repeat((np.arange(SIZE) < SIZE // 2)[:, None], SIZE, axis=1)
    rgb, pose, depth, _ = observation(0)
    for measured in (depth, None):
        memory = SceneMemory(model)
        memory.add(rgb, pose, measured, covered=half)
        found = memory._representation().cloud.depth[0, 0, 0].numpy()
        np.testing.assert_array_equal(found > 0, half)
