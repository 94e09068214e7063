"""One step of training: loss, gradients, Adam, the weights' average and sums of figures, all without waiting.

    step = TrainingStep(model, placenet_objective, ExecutionConfig(), device, bf16=True, clip_gradient=1e4, average=ema)
    step.load_optimiser(state["optimiser"])                      # when resuming
    noise = latent_noise(model.config, samples, seed, number, device)
    step(batch, noise, Now(learning_rate=5e-4, sigma=0.7, annealing=False, average_step=1e-3))
    step.figures()                                               # means since the last time: waits for the device

How the step is executed (`ExecutionConfig`) changes its speed, and its result by no more than rounding: launched by
Python, with blocks compiled, replayed as CUDA graphs. A step at batch 36 has some thousand kernels of 10 to 30
microseconds, so Python's launches alone take longer than the GPU. All that varies from step to step comes in tensors:
learning rate, sigma and the noise of the latents. What changes the kernels themselves, which is the number of
observations, the modalities present and whether gamma is held, has a graph of its own, recorded at its third use.

Several processes: each takes its rows of the batch and of the noise; gradients are averaged here, during the backward
pass and recorded with it (training/gradient_exchange.py). So `TrainingStep` needs no DistributedDataParallel, whose
hooks a graph could record only with eleven rounds of warm-up, and which refuses batches that leave a modality's weights
without a gradient. One that is wrapped in it works, too (`processes=1` then), but not as graphs.

Shapes: b scenes, q queries of each, n = b * q, l layers.
"""

from __future__ import annotations

import itertools
import sys
import warnings
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from placenet_ros.model import placenet, published
from placenet_ros.model.captured import first_line, recorded
from placenet_ros.model.convolution import finished
from placenet_ros.model.depth_estimation import DepthEstimator
from placenet_ros.model.representation import Tower
from placenet_ros.model.reprojection import PointCloud
from training.configuration import setting
from training.data.sampling import Batch
from training.gradient_exchange import Exchanged, GradientExchange
from training.nested import form_of, mapped, tensors_of
from training.objective import Objective, ObjectiveFunction

LAUNCHED_FIRST = 2  # uses of a form of input before it is recorded: compiling, choosing algorithms, Adam's moments
MOST_GRAPHS = 64  # each takes some MiB beside the memory that all share
UNUSED_STEPS = 2000  # a graph that was not replayed for so long gives way to a new one


def for_fixed_sizes(function: Callable) -> Callable:
    """Compiled for inputs whose sizes do not change."""
    return torch.compile(function, fullgraph=True, dynamic=False)


def for_any_sizes(function: Callable) -> Callable:
    """Compiled once for inputs of any sizes."""
    return torch.compile(function, fullgraph=True, dynamic=True)


def for_any_observations(function: Callable) -> Callable:
    """`reproject` or `draw_points`, compiled once for one observation and once for any more.

    Other sizes count as fixed until they change: to reason about every one takes the compiler five times as long.
    """
    projection = torch.compile(function, fullgraph=True)

    def project(cloud: PointCloud, query_viewpoints: Tensor, *camera: float) -> Any:
        for tensor in cloud:
            torch._dynamo.maybe_mark_dynamic(tensor, 1)  # `torch.compiler` has none that allows for a single one
        return projection(cloud, query_viewpoints.contiguous(), *camera)

    return project


class Block(NamedTuple):
    """A function of the network that a compiled one can stand in for."""

    owner: type[nn.Module]
    name: str
    compiler: Callable[[Callable], Callable]
    function: Callable | None = None  # what to compile; None: what the owner has there


BLOCKS = (
    Block(placenet.PlaceNet, "reconstruct_layer", for_fixed_sizes),
    Block(placenet.ImageHead, "forward", for_fixed_sizes),
    Block(published.InferenceCore, "forward", for_fixed_sizes),
    Block(published.GenerationCore, "forward", for_fixed_sizes),
    Block(Tower, "finish", for_any_sizes, finished),
    Block(DepthEstimator, "finish", for_any_sizes, finished),
    Block(placenet.PlaceNet, "project", for_any_observations),
)


@dataclass(frozen=True)
class ExecutionConfig:
    """How a step of training is executed; its result differs by rounding at most."""

    compile: Literal["auto", "none", "blocks", "whole"] = setting(
        "auto",
        "What torch.compile makes kernels of: layers, image head, reprojection and what follows convolutions; or "
        "forward and loss whole (minutes for each number of observations); auto: blocks on a GPU.",
        may_change=True,
    )
    graph: Literal["auto", "yes", "no"] = setting(
        "auto", "Replay steps as CUDA graphs instead of launching each kernel; auto: on a GPU.", may_change=True
    )
    exchange: Exchanged = setting(
        "float32",
        "What gradients are summed in by several processes; bfloat16: half the bytes, rounded to 8 bits.",
        may_change=True,
    )

    def on(self, device: torch.device) -> ExecutionConfig:
        """The same with every `auto` decided. Raises ValueError where a graph is asked for without a GPU."""
        gpu = device.type == "cuda"
        if self.graph == "yes" and not gpu:
            raise ValueError(f"graph=yes needs device=cuda, not {device.type}: set graph=no or graph=auto")
        return replace(
            self,
            compile=("blocks" if gpu else "none") if self.compile == "auto" else self.compile,
            graph=("yes" if gpu else "no") if self.graph == "auto" else self.graph,
        )


# ---- Noise -----------------------------------------------------------------------------------------------------------


def latent_seed(seed: int, step: int) -> int:
    """Seed of the latents of a step."""
    return int(np.random.SeedSequence((seed, step)).generate_state(1)[0])


def latent_noise(
    config: placenet.PlaceNetConfig | published.PublishedConfig,
    samples: int,
    seed: int,
    step: int,
    device: torch.device,
    rows: slice = slice(None),
) -> Tensor:
    """Standard normal noise (l, n, latent channels, g, g) of a step of `samples` query views; `rows` of these.

    Drawn for all samples and then cut, so that it is the same however many processes share them.
    """
    generator = torch.Generator(device).manual_seed(latent_seed(seed, step))
    shape = (config.layers, samples, config.latent_channels, config.grid_size, config.grid_size)
    return torch.randn(shape, generator=generator, device=device)[:, rows]


# ---- The step --------------------------------------------------------------------------------------------------------


class Now(NamedTuple):
    """What a step takes from the schedule."""

    learning_rate: float
    sigma: float  # standard deviation of a pixel
    annealing: bool  # sigma still falls: gamma is held
    average_step: float  # how far the average moves towards the weights; 0: it stays


class TrainingStep:
    """Trains `network` in place, one batch a call.

    A step whose gradient is not finite, in any process, changes nothing; `figures` counts it.

    network: the model, or a DistributedDataParallel of it.
    objective: what to lower.
    clip_gradient: greatest norm of the gradient; beyond, it is scaled down.
    average: a copy of the model that follows its weights, or None.
    processes: of torch.distributed that train together, where this class is to average their gradients.
    """

    def __init__(
        self,
        network: nn.Module,
        objective: ObjectiveFunction,
        execution: ExecutionConfig,
        device: torch.device,
        bf16: bool,
        clip_gradient: float,
        average: nn.Module | None = None,
        processes: int = 1,
    ) -> None:
        self.device, self._execution = device, execution.on(device)
        self._network, self._objective = network, objective
        self._bf16, self._clip_gradient, self._processes = bf16, clip_gradient, processes
        self._model = network.module if isinstance(network, DistributedDataParallel) else network
        self._parameters = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        self._averaged = [] if average is None else list(average.parameters())
        self._rate = torch.zeros((), device=device)
        warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")  # launched first
        self.optimiser = torch.optim.Adam(self._parameters, **self._device_settings())
        self._exchange = GradientExchange(self._parameters, execution.exchange) if processes > 1 else None
        if self._exchange is None and execution.exchange != "float32":
            say(f"exchange={execution.exchange} has no effect: a process that trains alone exchanges no gradients")
        self._sums: dict[tuple[str, ...], Tensor] = {}  # names of figures -> 2 k: sums, numbers of usable steps
        self._unusable = torch.zeros(3, device=device)  # steps, of these in a row up to now, most in a row
        self._graphs = None
        if self._execution.graph == "yes" and isinstance(network, DistributedDataParallel):
            say("training without CUDA graphs: DistributedDataParallel cannot be recorded; give processes= instead")
        elif self._execution.graph == "yes":
            self._graphs = StepGraphs(device)
        self._evaluate = self._evaluated
        self._unproven = self._execution.compile != "none"  # nothing compiled has run yet
        self._views_searched: set[int] = set()  # numbers of query views n that a step was made with
        self._launched: list[tuple[nn.Module, str, Callable]] = []  # functions that compiled ones stand in for
        self._compile()

    def __call__(self, batch: Batch, noise: Tensor, now: Now) -> None:
        """Learn from a batch (b, q) with noise (l, n, *, g, g), all on the device."""
        self._set_learning_rate(now.learning_rate)
        inputs = (batch, noise, torch.full((), now.sigma, device=self.device))
        if self._graphs is not None:
            inputs = self._graphs.placed(inputs)
        with self._algorithms_for(views=noise.shape[1]):
            if self._unproven:
                self._first_gradients(inputs, now.annealing)
                self._update()
                self._unproven = False
            elif self._graphs is not None:
                self._graphs.run(self._whole, inputs, now.annealing)
            else:
                self._whole(inputs, now.annealing)
        if self._averaged and now.average_step:
            with torch.no_grad():
                torch._foreach_lerp_(self._averaged, self._parameters, now.average_step)

    def release(self) -> None:
        """Give up the recorded steps; whoever leaves torch.distributed does so first.

        NCCL destroys no communicator that a CUDA graph refers to: `destroy_process_group` waits for the graph's end, if
        need be for ever ("Process Hang" in NVIDIA's guide to CUDA graphs). Steps may follow, launched anew.
        """
        if self._graphs is not None:
            torch.cuda.synchronize(self.device)
            self._graphs.release()

    @property
    def execution(self) -> ExecutionConfig:
        """How steps are executed: as asked for, or what was left when that failed."""
        graphs = "yes" if self._graphs is not None and not self._graphs.failed else "no"
        return replace(self._execution, graph=graphs)

    def figures(self) -> dict[str, float]:
        """Means over the usable steps since the last call, `gradient_norm` among them, over all processes.

        Also `unusable_steps`, whose gradient was not finite, and `unusable_in_a_row`, the most of them in a row. Waits
        for the device; all processes must call it together.
        """
        if self._processes > 1:
            for sums in self._sums.values():
                torch.distributed.all_reduce(sums)
        totals: dict[str, list[float]] = {}
        for names, sums in self._sums.items():
            for name, total, steps in zip(names, *sums.tolist(), strict=True):
                before = totals.get(name, (0.0, 0.0))
                totals[name] = [before[0] + total, before[1] + steps]
            sums.zero_()
        unusable, _, in_a_row = self._unusable.tolist()
        self._unusable[0] = self._unusable[2] = 0
        means = {name: total / steps if steps else float("nan") for name, (total, steps) in totals.items()}
        return means | {"unusable_steps": unusable, "unusable_in_a_row": in_a_row}

    def load_optimiser(self, state: dict[str, Any]) -> None:
        """Take the optimiser's state from a checkpoint, whatever device it was made on."""
        self.optimiser.load_state_dict(state)
        for group in self.optimiser.param_groups:
            group.update(self._device_settings())

    def optimiser_state(self) -> dict[str, Any]:
        """What `load_optimiser` takes, of plain numbers and tensors."""
        state = self.optimiser.state_dict()
        return {**state, "param_groups": [group | {"lr": float(group["lr"])} for group in state["param_groups"]]}

    # ---- What a step consists of; on a GPU, these are recorded, so nothing in them may wait for it.

    def _whole(self, inputs: tuple, annealing: bool) -> None:
        self._gradients(inputs, annealing)
        self._update()

    def _gradients(self, inputs: tuple, annealing: bool) -> None:
        """Leave the gradient in the parameters, and the batch's figures."""
        self.optimiser.zero_grad(set_to_none=True)  # what a recording that failed may have left
        result = self._evaluate(inputs, annealing)
        self._batch_figures = {name: value.detach().float() for name, value in result.figures.items()}
        loss = result.loss / self._processes  # so that the processes' sum is the mean
        if self._exchange is None or self._unproven:
            loss.backward()
        else:
            self._exchange.sum_over_processes(loss.backward)

    def _evaluated(self, inputs: tuple, annealing: bool) -> Objective:
        return self._objective(self._in_precision, *inputs, annealing)

    def _in_precision(self, *arguments: Any, **options: Any) -> Any:
        """The network. Weights are cast once: this context's cache holds them until it ends, also while recording."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            return self._network(*arguments, **options)

    @torch.no_grad()
    def _update(self) -> None:
        """Clip the gradient, change the weights, note figures; nothing but a count where it is not finite."""
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        usable = torch.isfinite(norm)
        # What GradScaler gives to the fused kernel: it divides the gradient by one, and leaves all as it is for the
        # other. So clipping needs no pass over the gradient, and skipping a step no question to the device.
        self.optimiser.grad_scale = (norm / self._clip_gradient).clamp(min=1.0)
        self.optimiser.found_inf = (~usable).float()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)  # gives its memory back, to the next graph too
        self._note(self._batch_figures | {"gradient_norm": norm}, usable)

    def _note(self, figures: dict[str, Tensor], usable: Tensor) -> None:
        values = torch.stack(list(figures.values()))
        values = torch.stack([torch.where(usable, values, 0.0), usable.float().expand_as(values)])
        names = tuple(figures)
        if names not in self._sums:  # never while recording: the same form of input was launched before
            self._sums[names] = torch.zeros_like(values)
        self._sums[names] += values
        total, in_a_row, most = self._unusable.unbind()
        total += ~usable
        in_a_row.copy_((in_a_row + 1) * ~usable)
        torch.maximum(most, in_a_row, out=most)

    # ---- How it is executed

    def _compile(self) -> None:
        """What `execution.compile` names. Compiling itself happens at the first use."""
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, MOST_GRAPHS)
        for block in BLOCKS if self._execution.compile == "blocks" else ():
            for owner in self._modules((block.owner,)):
                launched = getattr(owner, block.name)
                self._launched.append((owner, block.name, launched))
                setattr(owner, block.name, block.compiler(block.function or launched))
        if self._execution.compile == "whole":
            self._evaluate = torch.compile(self._evaluated, dynamic=False)

    def _first_gradients(self, inputs: tuple, annealing: bool) -> None:
        """Gradients of the first step: where compiling fails, say so and go on without. No weight has changed yet.

        Processes that exchange gradients all go on without where it fails in one: compiled networks make their
        gradients in another order.
        """
        failure = None
        try:
            self._gradients(inputs, annealing)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # what a compiler and its backends raise has no common class
            failure = first_line(error)
        if self._in_any_process(failure is not None):
            say(f"training without torch.compile, which failed: {failure or 'in another process'}")
            self._execution = replace(self._execution, compile="none")
            self._evaluate = self._evaluated
            for owner, name, function in self._launched:
                setattr(owner, name, function)
            self._gradients(inputs, annealing)
        if self._exchange is not None:
            self._exchange.sum_over_processes()

    def _in_any_process(self, here: bool) -> bool:
        if self._exchange is None:
            return here
        anywhere = torch.tensor(float(here), device=self.device)
        torch.distributed.all_reduce(anywhere, torch.distributed.ReduceOp.MAX)
        return bool(anywhere)

    def _modules(self, kinds: tuple[type, ...]) -> list[nn.Module]:
        return [module for module in self._model.modules() if isinstance(module, kinds)]

    def _device_settings(self) -> dict[str, Any]:
        """Adam's settings that belong to the device: on a GPU, what a recorded step reads must lie there."""
        if self.device.type == "cuda":
            return {"lr": self._rate, "capturable": True, "fused": True}
        return {"capturable": False, "fused": True}

    @contextmanager
    def _algorithms_for(self, views: int) -> Iterator[None]:
        """Let cuDNN try its algorithms in the first step with so many query views, and choose them by rule afterwards.

        Most of a step are the query views' convolutions, which are the same in every form of input. Those of
        observations change with the number of these: to try for each number takes a minute in all, and gains 1 %.
        """
        before = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = views not in self._views_searched
        self._views_searched.add(views)
        try:
            yield
        finally:
            torch.backends.cudnn.benchmark = before

    def _set_learning_rate(self, rate: float) -> None:
        if self.device.type == "cuda":
            self._rate.fill_(rate)
        else:
            for group in self.optimiser.param_groups:
                group["lr"] = rate


# ---- CUDA graphs -----------------------------------------------------------------------------------------------------


@dataclass
class _Recording:
    """A recorded step."""

    replay: Callable[[], None]
    last_use: int = 0


class StepGraphs:
    """Runs a step on a GPU as a recorded graph, one for each form of input.

    A form is launched as it is at its first uses, on the stream that it will be recorded on: then all is warm, and no
    step is done twice. All graphs share one pool of memory: they never run at once, and leave nothing in it. Where
    recording fails, that is said once, and everything is launched from then on.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream, self._pool = torch.cuda.Stream(device), torch.cuda.graph_pool_handle()
        self._recordings: dict[Hashable, _Recording] = {}
        self._uses: dict[Hashable, int] = {}
        self._places: dict[Hashable, tuple] = {}  # of each form: tensors for its inputs
        self._storage: dict[Hashable, Tensor] = {}  # by place among the inputs and type: what forms share
        self.failed, self._runs = False, 0  # whether recording failed

    def placed(self, inputs: tuple) -> tuple:
        """The inputs, copied to where those of their form always are. Valid until the next are."""
        form = form_of(inputs)
        if form not in self._places:
            numbers = itertools.count()
            self._places[form] = mapped(inputs, lambda tensor: self._place(next(numbers), tensor))
        torch._foreach_copy_(tensors_of(self._places[form]), tensors_of(inputs))
        return self._places[form]

    def run(self, step: Callable[..., None], inputs: tuple, *choices: Hashable) -> None:
        """Do `step(inputs, *choices)`.

        inputs: as `placed`. The step may only change tensors, and only read those that are always in the same place.
        """
        self._runs += 1
        key = (form_of(inputs), choices)
        work = partial(step, inputs, *choices)
        if key in self._recordings or self._record(key, work):
            self._recordings[key].last_use = self._runs
            self._recordings[key].replay()
        else:
            self._launch(work)

    def release(self) -> None:
        """Destroy all recordings: none may be running."""
        self._recordings.clear()
        self._uses.clear()

    def _launch(self, work: Callable[[], None]) -> None:
        here = torch.cuda.current_stream()
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            work()
        here.wait_stream(self._stream)

    def _record(self, key: Hashable, work: Callable[[], None]) -> bool:
        """Record a form of input if it is time to; returns whether it was."""
        self._uses[key] = self._uses.get(key, 0) + 1
        if self.failed or self._uses[key] <= LAUNCHED_FIRST or not self._has_room():
            return False
        try:
            replay = recorded(work, self._stream, self._pool)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            say(f"training without CUDA graphs, recording one failed: {first_line(error)}")
            self.failed = True
            return False
        self._recordings[key] = _Recording(replay)
        return True

    def _has_room(self) -> bool:
        if len(self._recordings) < MOST_GRAPHS:
            return True
        oldest = min(self._recordings, key=lambda key: self._recordings[key].last_use)
        if self._runs - self._recordings[oldest].last_use < UNUSED_STEPS:
            return False
        del self._recordings[oldest], self._uses[oldest]
        return True

    def _place(self, place: int, tensor: Tensor) -> Tensor:
        slot = (place, tensor.dtype)
        if slot not in self._storage or self._storage[slot].numel() < tensor.numel():
            self._storage[slot] = torch.empty(tensor.numel(), dtype=tensor.dtype, device=tensor.device)
        dense = torch.empty_like(tensor, device="meta").stride()
        return self._storage[slot].as_strided(tensor.size(), dense)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
