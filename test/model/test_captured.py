"""Replayed predictions. Where there is no GPU, a stand-in for the graph runs the recorded function again on the same
tensors, as a replay does, into the same result."""
import pytest
import torch

from placenet_ros.model import Observations, PlaceNet, PlaceNetConfig, captured
from placenet_ros.model.captured import CapturedPrediction

CONFIG = PlaceNetConfig(image_size=32, representation_channels=16, hidden_channels=8, canvas_channels=8, layers=2,
                        reprojection_channels=4)


class Recorder:
    def __init__(self):
        self.recorded = self.replayed = 0

    def __call__(self, function):
        self.recorded += 1
        result = torch.full_like(function(), float("nan"))

        def replay():
            self.replayed += 1
            return result.copy_(function())

        return replay


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture
def model():
    torch.manual_seed(0)
    return PlaceNet(CONFIG).eval()


def scene_and_query(model, seed, observations=3, depth=True, objects=True, queries=1):
    generator = torch.Generator().manual_seed(seed)
    viewpoints = torch.rand(1, observations + queries, 7, generator=generator)
    rgb, metres, classes = (torch.rand(1, observations, k, 32, 32, generator=generator) for k in (3, 1, 3))
    seen = Observations(rgb, viewpoints[:, queries:], metres + 0.5 if depth else None, classes if objects else None)
    device = next(model.parameters()).device
    moved = {name: tensor if tensor is None else tensor.to(device) for name, tensor in vars(seen).items()}
    return model.encode(Observations(**moved)), viewpoints[:, :queries].to(device)


def test_replays_are_the_model_s_own_predictions(model):
    recorder = Recorder()
    predict, views = CapturedPrediction(model, recorder), []
    for seed in range(5):
        scene, query = scene_and_query(model, seed)
        views.append(predict(scene, query, torch.Generator().manual_seed(seed)))
    assert recorder.recorded == 1 and recorder.replayed == 4, "recorded at the second use, replayed from then on"
    for seed, view in enumerate(views):  # all of them after the last replay: none is overwritten
        expected = model.predict(*scene_and_query(model, seed), torch.Generator().manual_seed(seed))
        assert torch.equal(view, expected)


@pytest.mark.parametrize("other", [{"observations": 4}, {"depth": False}, {"objects": False}, {"queries": 2}], ids=str)
def test_another_form_of_input_has_a_graph_of_its_own(model, other):
    recorder = Recorder()
    predict = CapturedPrediction(model, recorder)
    for seed, form in enumerate([{}, {}, other, other, {}, other]):
        scene, query = scene_and_query(model, seed, **form)
        expected = model.predict(scene, query, torch.Generator().manual_seed(seed))
        assert torch.equal(predict(scene, query, torch.Generator().manual_seed(seed)), expected)
    assert recorder.recorded == 2 and recorder.replayed == 4


def test_the_graph_not_used_for_longest_gives_way(model, monkeypatch):
    monkeypatch.setattr(captured, "MOST_GRAPHS", 2)
    recorder = Recorder()
    predict = CapturedPrediction(model, recorder)
    for observations in (1, 1, 2, 2, 1, 3, 3, 1, 2):  # 3 displaces 2, which is met anew at the end
        predict(*scene_and_query(model, 0, observations))
    assert recorder.recorded == 3 and recorder.replayed == 5


def test_on_the_cpu_there_is_nothing_to_replay(model):
    with pytest.raises(ValueError, match="on a GPU, not on 'cpu': call model.predict"):
        CapturedPrediction(model)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
def test_cuda_graphs_predict_what_the_model_does(model):
    model.cuda()
    predict = CapturedPrediction(model)
    for seed in range(4):
        scene, query = scene_and_query(model, seed)
        expected = model.predict(scene, query, torch.Generator("cuda").manual_seed(seed))
        view = predict(scene, query, torch.Generator("cuda").manual_seed(seed))
        torch.testing.assert_close(view, expected, rtol=0, atol=1e-4)
