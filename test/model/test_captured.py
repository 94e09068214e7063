"""Replayed predictions. Where there is no GPU, a stand-in for the graph runs the recorded function again on the same
tensors, as a replay does, into the same results."""
import pytest
import torch

from placenet_ros.model import Observations, PlaceNet, PlaceNetConfig, captured
from placenet_ros.model.captured import LAUNCHED_FIRST, CapturedPrediction
from placenet_ros.model.placenet import PredictedViews

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
CONFIG = PlaceNetConfig(image_size=32, representation_channels=16, hidden_channels=8, canvas_channels=8, layers=2,
                        reprojection_channels=4, predict_depth=True, predicted_classes=5, predict_error=True)


class Recorder:
    def __init__(self):
        self.recorded = self.replayed = 0

    def __call__(self, function):
        self.recorded += 1
        results = PredictedViews(*(torch.zeros_like(result) for result in function()))

        def replay():
            self.replayed += 1
            for result, new in zip(results, function()):
                result.copy_(new)
            return results

        return replay


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture
def model():
    torch.manual_seed(0)
    return PlaceNet(CONFIG).eval()


def asked(model, seed, observations=3, depth=True, objects=True, queries=1):
    """A scene, query viewpoints and noise: what a prediction takes."""
    generator = torch.Generator().manual_seed(seed)
    viewpoints = torch.rand(1, observations + queries, 7, generator=generator)
    rgb, metres, classes = (torch.rand(1, observations, k, 32, 32, generator=generator) for k in (3, 1, 3))
    seen = Observations(rgb, viewpoints[:, queries:], metres + 0.5 if depth else None, classes if objects else None)
    device = next(model.parameters()).device
    moved = {name: tensor if tensor is None else tensor.to(device) for name, tensor in vars(seen).items()}
    noise = torch.randn(CONFIG.layers, queries, CONFIG.latent_channels, 8, 8, generator=generator)
    return model.encode(Observations(**moved)), viewpoints[:, :queries].to(device), noise.to(device)


def expected(model, scene, query, noise):
    return model.predict_view(scene, query, noise=noise)


def assert_equal(views, others, tolerance=0.0):
    for one, other in zip(views, others):
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance)


def test_replays_are_the_model_s_own_predictions(model):
    recorder, uses = Recorder(), LAUNCHED_FIRST + 3
    predict = CapturedPrediction(model, record=recorder)
    views = [predict(*asked(model, seed)) for seed in range(uses)]
    assert (recorder.recorded, recorder.replayed) == (1, 3), "launched at first, then recorded and replayed"
    for seed, view in enumerate(views):  # all of them after the last replay: none is overwritten
        assert_equal(view, expected(model, *asked(model, seed)))


@pytest.mark.parametrize("other", [{"observations": 4}, {"depth": False}, {"objects": False}, {"queries": 2}], ids=str)
def test_another_form_of_input_has_a_graph_of_its_own(model, other):
    recorder = Recorder()
    predict = CapturedPrediction(model, record=recorder)
    for seed, form in enumerate([{}, other] * (LAUNCHED_FIRST + 2)):
        inputs = asked(model, seed, **form)
        assert_equal(predict(*inputs), expected(model, *inputs))
    assert (recorder.recorded, recorder.replayed) == (2, 4)


def test_a_form_that_is_met_now_and_then_is_not_recorded(model):
    recorder = Recorder()
    predict = CapturedPrediction(model, record=recorder)
    for observations in (1, 2, 3) * LAUNCHED_FIRST:
        predict(*asked(model, 0, observations))
    assert recorder.recorded == 0


def test_the_form_not_used_for_longest_gives_way(model, monkeypatch):
    monkeypatch.setattr(captured, "MOST_FORMS", 2)
    monkeypatch.setattr(captured, "LAUNCHED_FIRST", 1)
    recorder = Recorder()
    predict = CapturedPrediction(model, record=recorder)
    for observations in (1, 1, 2, 2, 1, 3, 3, 1, 2):  # 3 displaces 2, which is met anew at the end
        predict(*asked(model, 0, observations))
    assert (recorder.recorded, recorder.replayed) == (3, 5)


def test_where_recording_fails_that_is_said_once_and_the_model_predicts_itself(model):
    def record(_):
        raise RuntimeError("CUDA error: operation not permitted\nwhen stream is capturing")

    said = []
    predict = CapturedPrediction(model, said.append, record)
    for observations in (2, 3) * (LAUNCHED_FIRST + 2):
        inputs = asked(model, 0, observations)
        assert_equal(predict(*inputs), expected(model, *inputs))
    assert said == ["predicting without CUDA graphs, several times slower: recording one failed: "
                    "RuntimeError: CUDA error: operation not permitted"]


class EndlessRecording:
    """Stands in for torch.cuda.graph: what fails inside makes ending the recording fail, too."""

    def __init__(self, *_, **__):
        pass

    def __enter__(self):
        pass

    def __exit__(self, kind, *_):
        if kind:
            raise RuntimeError("operation failed due to a previous error during capture")


@pytest.mark.parametrize("cause", [RuntimeError("no such kernel"), torch.OutOfMemoryError("too much")], ids=repr)
def test_what_could_not_be_recorded_says_its_cause(monkeypatch, cause):
    def work():
        raise cause

    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: None)
    monkeypatch.setattr(torch.cuda, "graph", EndlessRecording)
    with pytest.raises(type(cause), match=str(cause)) as raised:
        captured.recorded(work, None, None)
    assert raised.value is cause


def test_on_the_cpu_there_is_nothing_to_replay(model):
    with pytest.raises(ValueError, match="on a GPU, not on 'cpu': call model.predict_view"):
        CapturedPrediction(model)


@on_a_gpu
def test_cuda_graphs_predict_what_the_model_does(model):
    model.cuda()
    said = []
    predict = CapturedPrediction(model, said.append)
    for seed in range(LAUNCHED_FIRST + 3):
        for observations in (2, 3):  # graphs that share their memory
            inputs = asked(model, seed, observations)
            assert_equal(predict(*inputs), expected(model, *inputs), tolerance=1e-4)
    assert not said and all(form.graph for form in predict._forms.values())


@on_a_gpu
def test_what_a_cuda_graph_cannot_hold_is_predicted_without_one(model, monkeypatch):
    model.cuda()
    launched, said = model.predict_view, []

    def waiting(*inputs, **options):
        torch.cuda.current_stream().synchronize()  # not permitted while recording
        return launched(*inputs, **options)

    monkeypatch.setattr(model, "predict_view", waiting)
    predict = CapturedPrediction(model, said.append)
    for seed in range(LAUNCHED_FIRST + 3):
        inputs = asked(model, seed)
        assert_equal(predict(*inputs), launched(inputs[0], inputs[1], noise=inputs[2]), tolerance=1e-4)
    assert len(said) == 1 and "recording one failed" in said[0] and "\n" not in said[0]


@on_a_gpu
def test_recorded_work_on_a_gpu_is_not_done_until_it_is_replayed():
    numbers = torch.full((3,), -2.0, device="cuda")
    assert (numbers.add_(2) * 2).tolist() == [0, 0, 0]  # loads the kernels
    doubled = captured.recorded(lambda: numbers.add_(1) * 2, torch.cuda.Stream(), torch.cuda.graph_pool_handle())
    assert numbers.tolist() == [0, 0, 0]
    assert [doubled().tolist() for _ in range(2)] == [[2, 2, 2], [4, 4, 4]]
