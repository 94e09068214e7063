"""SceneMemory: what it holds equals encoding the same observations afresh, at one encoding for each."""
import numpy as np
import pytest
import torch

from placenet_ros.model import Observations, PlaceNet, PlaceNetConfig
from placenet_ros.model.modalities import class_colours, objects_picture
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


def test_adding_costs_one_encoding_and_predicting_none(model, monkeypatch):
    pictures = []
    appearance = model.representation.appearance
    monkeypatch.setattr(model.representation, "appearance", lambda x: pictures.append(len(x)) or appearance(x))
    memory = SceneMemory(model, max_observations=5)
    for index in range(8):
        pictures.clear()
        memory.add(*observation(index))
        assert pictures == [1, 1, 1], "one picture for each modality"
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


def test_spread_is_the_deviation_of_samples_and_zero_for_one(model):
    memory = SceneMemory(model)
    memory.add(*observation(0))
    assert not memory.predict(observation(1)[1], samples=1).spread.any()
    view = memory.predict(observation(1)[1], samples=8)
    assert view.image.shape == (SIZE, SIZE, 3) and view.image.dtype == np.uint8
    assert view.spread.shape == (SIZE, SIZE) and view.spread.dtype == np.float32 and view.spread.max() > 0


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
    assert np.isfinite(memory.predict(QUERY, samples=2).spread).all()


@pytest.mark.parametrize("fault, words", [
    ({"rgb": np.zeros((SIZE, SIZE), np.uint8)}, "rgb must be uint8 of shape"),
    ({"rgb": np.zeros((SIZE, SIZE, 3), np.float32)}, "rgb must be uint8"),
    ({"depth": np.zeros((SIZE, SIZE), np.uint16)}, "depth must be floating point"),
    ({"objects": np.zeros((SIZE, SIZE + 1), np.uint8)}, "objects must be uint8 of shape"),
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
