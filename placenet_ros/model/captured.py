"""CUDA graphs: work that is recorded once and replayed. On a GPU a view has some hundred kernels of a few microseconds
each, and Python takes longer to launch them than the GPU to run them.

    predict = CapturedPrediction(model)
    views = predict(scene, query_viewpoints, noise)   # as model.predict_view(scene, query_viewpoints, noise=noise)

A graph has fixed shapes, so there is one for each number of observations, of queries and set of modalities. Such a form
is launched at its first uses: a robot that drives on meets most of them once or twice, and recording one takes as long
as launching it some ten times. On the CPU there is nothing to gain, and `CapturedPrediction` refuses it.
"""
from __future__ import annotations

import warnings
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Callable, NamedTuple, TypeVar

import torch
from torch import Tensor

from placenet_ros.model.placenet import PlaceNet, PredictedViews, SceneRepresentation

LAUNCHED_FIRST = 3  # uses of a form before it is recorded
MOST_FORMS = 16  # remembered; a graph holds its scene once more, some 0.2 MiB for each observation of 64 x 64
WARM_UPS = 3  # runs on the recording's stream, in which libraries choose algorithms and allocate
Result = TypeVar("Result")


def recorded(work: Callable[[], Result], stream: torch.cuda.Stream, pool: Any) -> Callable[[], Result]:
    """What repeats `work`, which is recorded and not done, and returns its result, each time in the same place.

    Args:
        work: only launches kernels; run before, on that stream, so that nothing in it waits or is set up any more.
        stream: to record on, not the default one. A replay runs on the current stream.
        pool: of `torch.cuda.graph_pool_handle`. Graphs that share one must not run at once; apart from results, each
            leaves nothing in it.

    Raises:
        RuntimeError: it cannot be recorded; torch.OutOfMemoryError where memory did not suffice.
    """
    graph = torch.cuda.CUDAGraph()
    try:
        # thread_local: other threads, such as one that moves data, may go on allocating meanwhile.
        with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
            result = work()
    except RuntimeError as error:
        raise (error.__context__ or error) from None  # the cause: ending the recording fails, too

    def replay() -> Result:
        graph.replay()
        return result

    return replay


def first_line(error: BaseException) -> str:
    """An error's class and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


class _Graph(NamedTuple):
    inputs: list[Tensor]  # what the graph reads: new values are copied here
    replay: Callable[[], PredictedViews]  # runs it; its result is overwritten by the next run of any graph


@dataclass
class _Form:
    """A form of input."""

    uses: int = 0
    graph: _Graph | None = None


class CapturedPrediction:
    """`model.predict_view`, replayed. Where recording fails, that is said once, and no more is recorded.

    Args:
        model: on a GPU, in eval mode. Its weights may change in place between calls, but may not be moved or cast.
        warn: is told, in one line, when recording fails.
        record: makes a function's replay from the function; by CUDA graphs if it is not given.

    Raises:
        ValueError: the model is on the CPU.
    """

    def __init__(self, model: PlaceNet, warn: Callable[[str], None] = warnings.warn,
                 record: Callable[[Callable], Callable] | None = None) -> None:
        device = next(model.parameters()).device
        if record is None and device.type != "cuda":
            raise ValueError(f"CUDA graphs need a model on a GPU, not on '{device}': call model.predict_view")
        self._model, self._warn = model, warn
        self._record = record or _CudaRecorder(device)
        self._failed = False
        self._forms: OrderedDict[tuple, _Form] = OrderedDict()  # the oldest use comes first

    @torch.inference_mode()
    def __call__(self, scene: SceneRepresentation, query_viewpoints: Tensor, noise: Tensor) -> PredictedViews:
        """Views at (b, q, 7), from the prior sampled with noise (l, b * q, latent channels, g, g)."""
        inputs = [query_viewpoints, noise, *_tensors(scene)]
        form = self._met((*scene.keys, scene.cloud is None, *((tensor.shape, tensor.dtype) for tensor in inputs)))
        if form.graph is None and form.uses > LAUNCHED_FIRST and not self._failed:
            form.graph = self._recorded(scene, inputs)
        if form.graph is None:
            return self._model.predict_view(scene, query_viewpoints, noise=noise)
        for held, tensor in zip(form.graph.inputs, inputs):
            held.copy_(tensor)
        return PredictedViews(*(None if result is None else result.clone() for result in form.graph.replay()))

    def _met(self, key: tuple) -> _Form:
        """The form of that key, used once more; the one not used for longest gives way."""
        form = self._forms[key] = self._forms.pop(key, None) or _Form()
        form.uses += 1
        if len(self._forms) > MOST_FORMS:
            self._forms.popitem(last=False)
        return form

    def _recorded(self, scene: SceneRepresentation, inputs: list[Tensor]) -> _Graph | None:
        held = [tensor.clone() for tensor in inputs]
        viewpoints, noise, held_scene = held[0], held[1], _rebuilt(scene, held[2:])
        try:
            return _Graph(held, self._record(lambda: self._model.predict_view(held_scene, viewpoints, noise=noise)))
        except RuntimeError as error:
            self._failed = True
            self._warn("predicting without CUDA graphs, several times slower: "
                       f"recording one failed: {first_line(error)}")
            return None


class _CudaRecorder:
    """Records functions as CUDA graphs, which share memory: their results are valid until the next one runs."""

    def __init__(self, device: torch.device) -> None:
        self._stream, self._pool = torch.cuda.Stream(device), torch.cuda.graph_pool_handle()

    def __call__(self, function: Callable[[], Result]) -> Callable[[], Result]:
        here = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UPS):
                function()
        here.wait_stream(self._stream)
        return recorded(function, self._stream, self._pool)


def _tensors(scene: SceneRepresentation) -> list[Tensor]:
    return [scene.total, *scene.keys.values(), *scene.values.values(), *(scene.cloud or ())]


def _rebuilt(like: SceneRepresentation, tensors: list[Tensor]) -> SceneRepresentation:
    """A scene of the form of `like` from its `_tensors`."""
    rest = iter(tensors)
    total, keys = next(rest), {modality: next(rest) for modality in like.keys}
    values = {modality: next(rest) for modality in like.values}
    return SceneRepresentation(total, keys, values, None if like.cloud is None else type(like.cloud)(*rest))
