"""Predictions replayed as CUDA graphs: on a GPU a view has some hundred kernels of a few microseconds each, and Python
takes longer to launch them than the GPU to run them.

    predict = CapturedPrediction(model)
    view = predict(scene, query_viewpoints)   # as model.predict(scene, query_viewpoints)

A graph has fixed shapes, so there is one for each number of observations, of queries and set of modalities, recorded at
the second use of such a form. On the CPU there is nothing to gain, and `CapturedPrediction` refuses it.
"""
from __future__ import annotations

from collections import OrderedDict
from typing import Callable, NamedTuple

import torch
from torch import Tensor

from placenet_ros.model.placenet import PlaceNet, SceneRepresentation

MOST_GRAPHS = 32  # one for each number of observations that a robot holds, and some more
WARM_UPS = 3  # runs before recording, in which libraries choose algorithms and allocate
Recorder = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]  # a function's replay, from the function


class _Graph(NamedTuple):
    inputs: list[Tensor]  # what the graph reads: new values are copied here
    replay: Callable[[], Tensor]  # runs it; its result is overwritten by the next run of any graph


class CapturedPrediction:
    """`model.predict`, replayed.

    Args:
        model: on a GPU, in eval mode. Its weights may change in place between calls, but may not be moved or cast.
        record: makes a function's replay from the function; by CUDA graphs if it is not given.

    Raises:
        ValueError: the model is on the CPU.
    """

    def __init__(self, model: PlaceNet, record: Recorder | None = None) -> None:
        device = next(model.parameters()).device
        if record is None and device.type != "cuda":
            raise ValueError(f"CUDA graphs need a model on a GPU, not on '{device}': call model.predict")
        self._model, self._device = model, device
        self._record = record or _CudaRecorder(device)
        self._graphs: OrderedDict[tuple, _Graph | None] = OrderedDict()  # None: met once; the oldest use comes first

    @torch.inference_mode()
    def __call__(self, scene: SceneRepresentation, query_viewpoints: Tensor,
                 generator: torch.Generator | None = None) -> Tensor:
        """One sample from the prior of each view at (b, q, 7) -> (b, q, 3, s, s) in [0, 1]."""
        config, (b, q) = self._model.config, query_viewpoints.shape[:2]
        noise = torch.randn(config.layers, b * q, config.latent_channels, config.grid_size, config.grid_size,
                            generator=generator, device=self._device)
        inputs = [query_viewpoints, noise, *_tensors(scene)]
        form = (*scene.keys, scene.cloud is None, *((tensor.shape, tensor.dtype) for tensor in inputs))
        if form not in self._graphs:
            self._remember(form, None)
            return self._model.predict(scene, query_viewpoints, noise=noise)
        graph = self._graphs[form] or self._recorded(scene, inputs)
        self._remember(form, graph)
        for held, tensor in zip(graph.inputs, inputs):
            held.copy_(tensor)
        return graph.replay().clone()

    def _recorded(self, scene: SceneRepresentation, inputs: list[Tensor]) -> _Graph:
        held = [tensor.clone() for tensor in inputs]
        viewpoints, noise, held_scene = held[0], held[1], _rebuilt(scene, held[2:])
        return _Graph(held, self._record(lambda: self._model.predict(held_scene, viewpoints, noise=noise)))

    def _remember(self, form: tuple, graph: _Graph | None) -> None:
        self._graphs[form] = graph
        self._graphs.move_to_end(form)
        if len(self._graphs) > MOST_GRAPHS:
            self._graphs.popitem(last=False)


class _CudaRecorder:
    """Records functions as CUDA graphs, which share memory: their results are valid until the next one runs."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._memory = torch.cuda.graph_pool_handle()

    def __call__(self, function: Callable[[], Tensor]) -> Callable[[], Tensor]:
        with torch.cuda.device(self._device):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UPS):
                    function()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._memory):
                result = function()

        def replay() -> Tensor:
            graph.replay()
            return result

        return replay


def _tensors(scene: SceneRepresentation) -> list[Tensor]:
    return [scene.total, *scene.keys.values(), *scene.values.values(), *(scene.cloud or ())]


def _rebuilt(like: SceneRepresentation, tensors: list[Tensor]) -> SceneRepresentation:
    """A scene of the form of `like` from its `_tensors`."""
    rest = iter(tensors)
    total, keys = next(rest), {modality: next(rest) for modality in like.keys}
    values = {modality: next(rest) for modality in like.values}
    return SceneRepresentation(total, keys, values, None if like.cloud is None else type(like.cloud)(*rest))
