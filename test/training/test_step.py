"""One step of training: the same weights however it is executed, for any number of processes, and none from NaN."""

import copy
import weakref
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from torch._dynamo.testing import CompileCounter

from placenet_ros.model import Observations, PlaceNet, PlaceNetConfig, evidence_lower_bound
from placenet_ros.model.reprojection import point_cloud, reproject
from training import gradient_exchange
from training import step as step_module
from training.data.sampling import Batch
from training.nested import form_of, mapped, tensors_of
from training.objective import placenet_objective
from training.step import (
    ExecutionConfig,
    Now,
    Objective,
    TrainingStep,
    for_any_observations,
    latent_noise,
)

CPU = torch.device("cpu")
GPU = torch.device("cuda")
SMALL = PlaceNetConfig(
    image_size=16,
    representation_channels=16,
    hidden_channels=8,
    canvas_channels=8,
    layers=2,
    reprojection_channels=4,
)
PLAIN = ExecutionConfig(compile="none", graph="no")
NOW = Now(learning_rate=1e-2, sigma=0.7, annealing=False, average_step=0.25)
SCENES, QUERIES = 4, 2


def small_model():
    torch.manual_seed(0)
    return PlaceNet(SMALL).to(memory_format=torch.channels_last).train()


def batch_of(seed, observations=3, depth=True, scenes=SCENES):
    generator = torch.Generator().manual_seed(seed)
    size = SMALL.image_size

    def viewpoints(count):
        place = torch.rand(scenes, count, 3, generator=generator) * 0.3
        return torch.cat([place, torch.tensor([1.0, 0.0, 1.0, 0.0]).expand(scenes, count, 4)], dim=-1)

    seen = Observations(
        torch.rand(scenes, observations, 3, size, size, generator=generator),
        viewpoints(observations),
        torch.rand(scenes, observations, 1, size, size, generator=generator) * 3 + 0.5 if depth else None,
        torch.rand(scenes, observations, 3, size, size, generator=generator),
    )
    return Batch(seen, viewpoints(QUERIES), torch.rand(scenes, QUERIES, 3, size, size, generator=generator))


def noise_of(number, samples=SCENES * QUERIES, rows=slice(None)):
    return latent_noise(SMALL, samples, 5, number, CPU, rows)


def trained(execution=PLAIN, steps=4, device=CPU, observations=(3,), **options):
    """A step class after some steps of it, with its model and average."""
    model = small_model().to(device)
    average = copy.deepcopy(model).requires_grad_(False)
    settings = {"bf16": False, "clip_gradient": 1e4, "average": average} | options
    step = TrainingStep(model, placenet_objective, execution, device, **settings)
    for number in range(steps):
        batch = mapped(batch_of(number, observations[number % len(observations)]), lambda tensor: tensor.to(device))
        step(batch, noise_of(number).to(device), NOW)
    return step, model, average


def weights(model):
    return torch.cat([parameter.detach().cpu().flatten() for parameter in model.parameters()])


def assert_equal_weights(model, other):
    assert torch.equal(weights(model), weights(other))


def assert_same_training(model, other):
    """Equal but for rounding: Adam makes much of it where a gradient is next to nothing."""
    apart, moved = weights(model) - weights(other), weights(other) - weights(small_model())
    assert apart.norm() < 0.01 * moved.norm()
    assert moved.abs().max() > NOW.learning_rate


def test_a_step_equals_the_objective_adam_and_averaging_written_out():
    step, model, average = trained(clip_gradient=50.0)
    plain = small_model()
    plain_average = copy.deepcopy(plain)
    optimiser = torch.optim.Adam(plain.parameters(), lr=NOW.learning_rate)
    losses, norms = [], []
    for number in range(4):
        batch = batch_of(number)
        output = plain(batch.observations, batch.query_viewpoints, batch.query_images, False, noise_of(number))
        loss = -evidence_lower_bound(output, batch.query_images, NOW.sigma).elbo.mean()
        optimiser.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(plain.parameters(), 50.0).item())
        optimiser.step()
        losses.append(loss.item())
        with torch.no_grad():
            for slow, fast in zip(plain_average.parameters(), plain.parameters(), strict=True):
                slow.lerp_(fast, NOW.average_step)
    assert max(norms) > 50.0, "nothing was clipped"
    assert_same_training(model, plain)
    assert_same_training(average, plain_average)
    figures = step.figures()
    assert figures["loss"] == pytest.approx(sum(losses) / 4, rel=1e-5)
    assert figures["gradient_norm"] == pytest.approx(sum(norms) / 4, rel=1e-3)


def test_figures_are_means_since_they_were_asked_for_last():
    step, model, _ = trained(steps=3)
    first = step.figures()
    step(batch_of(3), noise_of(3), NOW)
    alone = step.figures()
    both, _, _ = trained(steps=4)
    assert both.figures()["kl"] == pytest.approx((3 * first["kl"] + alone["kl"]) / 4, rel=1e-5)
    layers = [alone[f"kl_of_layer/{layer}"] for layer in range(SMALL.layers)]
    assert sum(layers) == pytest.approx(alone["kl"], rel=1e-5)


def test_figures_that_only_some_batches_have_are_means_over_those():
    model = small_model()

    def objective(network, batch, noise, sigma, annealing):
        result = placenet_objective(network, batch, noise, sigma, annealing)
        extra = {} if batch.observations.depth is None else {"depth": batch.observations.depth.mean()}
        return result._replace(figures=result.figures | extra)

    step = TrainingStep(model, objective, PLAIN, CPU, bf16=False, clip_gradient=1e4)
    for number, depth in enumerate((True, False, False)):
        step(batch_of(number, depth=depth), noise_of(number), NOW)
    assert step.figures()["depth"] == pytest.approx(batch_of(0).observations.depth.mean().item(), rel=1e-5)


def test_a_batch_with_nan_changes_nothing_and_is_counted():
    step, model, _ = trained(steps=2)
    step.figures()
    before = copy.deepcopy(model)
    moments = copy.deepcopy(step.optimiser_state())
    broken = batch_of(9)
    broken.query_images[0, 0, 0, 0, 0] = float("nan")
    for number in (2, 3):
        step(broken, noise_of(number), NOW)
    assert_equal_weights(model, before)
    assert torch.equal(step.optimiser_state()["state"][0]["exp_avg"], moments["state"][0]["exp_avg"])
    step(batch_of(4), noise_of(4), NOW)
    figures = step.figures()
    assert figures["unusable_steps"] == 2 and figures["unusable_in_a_row"] == 2
    assert 0 < figures["loss"] < float("inf")
    assert step.figures()["unusable_steps"] == 0


def test_noise_is_a_function_of_seed_and_step_and_processes_get_their_rows_of_it():
    whole = noise_of(3)
    assert whole.shape == (SMALL.layers, 8, SMALL.latent_channels, 4, 4)
    assert torch.equal(whole, noise_of(3)) and not torch.equal(whole, noise_of(4))
    assert torch.equal(torch.cat([noise_of(3, rows=slice(0, 4)), noise_of(3, rows=slice(4, 8))], dim=1), whole)
    assert abs(whole.mean()) < 0.2 and 0.8 < whole.std() < 1.2


def test_the_noise_that_is_given_is_what_the_latents_are_sampled_with():
    model, batch = small_model(), batch_of(0)
    arguments = (batch.observations, batch.query_viewpoints, batch.query_images, False)
    torch.manual_seed(1)
    one, other = model(*arguments, noise_of(0)), model(*arguments, noise_of(1))
    torch.manual_seed(2)
    assert torch.equal(model(*arguments, noise_of(0)).images, one.images)
    assert not torch.equal(one.images, other.images)


def test_an_optimiser_loaded_from_a_checkpoint_goes_on_as_if_it_had_not_stopped(tmp_path):
    step, model, _ = trained(steps=2)
    torch.save({"model": model.state_dict(), "optimiser": step.optimiser_state()}, tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    resumed_model = small_model()
    resumed_model.load_state_dict(state["model"])
    resumed = TrainingStep(resumed_model, placenet_objective, PLAIN, CPU, bf16=False, clip_gradient=1e4)
    for group in state["optimiser"]["param_groups"]:  # as written on a GPU
        group.update(capturable=True, fused=True)
    resumed.load_optimiser(state["optimiser"])
    assert not resumed.optimiser.param_groups[0]["capturable"]
    for one in (step, resumed):
        one(batch_of(2), noise_of(2), NOW)
    assert_equal_weights(model, resumed_model)


@pytest.mark.parametrize("depth", [True, False])
def test_every_weight_learns_in_bf16(depth):
    """Autocasting keeps the copies that it makes of weights: one made where no gradient is wanted must not stay."""
    config = replace(SMALL, depth_estimation_channels=8)
    torch.manual_seed(0)
    model = PlaceNet(config)
    before = [parameter.detach().clone() for parameter in model.depth_estimator.parameters()]

    def objective(network, batch, noise, sigma, annealing):
        result = network(batch.observations, batch.query_viewpoints, batch.query_images, annealing, noise)
        return Objective(result.images.square().mean() + result.observation_depth.log_metres.square().mean(), {})

    step = TrainingStep(model, objective, PLAIN, CPU, bf16=True, clip_gradient=1e4)
    for number in range(3):  # the estimator's last layer begins at 0, and holds back the gradient of the others
        step(batch_of(number, depth=depth), noise_of(number), NOW)
    moved = [not torch.equal(a, b) for a, b in zip(before, model.depth_estimator.parameters(), strict=True)]
    assert all(moved)


def test_a_graph_without_a_gpu_is_refused():
    with pytest.raises(ValueError, match="graph=yes needs device=cuda, not cpu"):
        ExecutionConfig(graph="yes").on(CPU)
    assert ExecutionConfig().on(CPU) == PLAIN
    assert ExecutionConfig().on(GPU) == ExecutionConfig(compile="blocks", graph="yes")


# ---- Compiled --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compile", ["blocks", "whole"])
def test_a_compiled_step_equals_a_launched_one(compile):
    """With a compiler that makes nothing faster: what is compiled, and that all of it can be, is the same."""
    torch._dynamo.reset()
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step_module, "say", said.append)
        patch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
        _, model, _ = trained(replace(PLAIN, compile=compile), observations=(3, 2))
    _, plain, _ = trained(observations=(3, 2))
    assert not said
    assert_same_training(model, plain)


def test_reprojection_is_compiled_once_for_one_observation_and_once_for_any_more(monkeypatch):
    torch._dynamo.reset()
    counter = CompileCounter()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=counter))
    project = for_any_observations(reproject)
    camera = SMALL.position_scale, SMALL.field_of_view_degrees
    for observations in (3, 4, 5, 1, QUERIES, SCENES, 7):
        seen = batch_of(observations, observations).observations
        cloud = point_cloud(seen.rgb, seen.depth, seen.viewpoints, *camera)
        viewpoints = batch_of(0, observations=observations + QUERIES).observations.viewpoints[:, :QUERIES]  # strided
        pairs = zip(project(cloud, viewpoints, *camera), reproject(cloud, viewpoints, *camera), strict=True)
        for drawn, expected in pairs:
            assert torch.equal(drawn, expected)
    assert counter.frame_count == 2


def test_algorithms_are_tried_in_the_first_step_with_a_number_of_query_views_alone(monkeypatch):
    tried = []

    def objective(*arguments):
        tried.append(torch.backends.cudnn.benchmark)
        return placenet_objective(*arguments)

    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    step = TrainingStep(small_model(), objective, PLAIN, CPU, False, 1e4)
    for number, (scenes, observations) in enumerate([(SCENES, 3), (SCENES, 3), (SCENES, 2), (2, 3), (SCENES, 3)]):
        step(batch_of(number, observations, scenes=scenes), noise_of(number, scenes * QUERIES), NOW)
        assert torch.backends.cudnn.benchmark is False, "as it was before the step"
    assert tried == [True, False, False, True, False]


def test_training_goes_on_without_a_compiler_that_fails(capsys, monkeypatch):
    def failing(function, **options):
        def call(*arguments):
            raise RuntimeError("no compiler\nlong story")

        return call

    monkeypatch.setattr(torch, "compile", failing)
    step, model, _ = trained(replace(PLAIN, compile="blocks"))
    _, plain, _ = trained()
    assert step.execution == PLAIN
    assert capsys.readouterr().err == "training without torch.compile, which failed: RuntimeError: no compiler\n"
    assert_equal_weights(model, plain)


# ---- Recorded, on a stand-in for CUDA graphs -------------------------------------------------------------------------


@pytest.fixture
def recorder(monkeypatch):
    """Recordings that replay by doing the work again on the inputs they hold; counts them."""
    made = []

    def recorded(work, stream, pool):
        made.append(work)
        return work

    monkeypatch.setattr(step_module, "recorded", recorded)
    stream = SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    monkeypatch.setattr(ExecutionConfig, "on", lambda self, device: self)
    return made


GRAPHS = replace(PLAIN, graph="yes")


def test_recorded_steps_equal_launched_ones_whatever_comes_between(recorder):
    observations = (3, 2, 3, 4, 2, 3)
    step, model, average = trained(GRAPHS, steps=14, observations=observations)
    assert step.execution == GRAPHS
    _, plain, plain_average = trained(steps=14, observations=observations)
    assert len(recorder) == 2, "4 observations came twice only, 2 and 3 often"
    assert_equal_weights(model, plain)
    assert_equal_weights(average, plain_average)


def test_a_step_that_cannot_be_recorded_is_launched_and_that_is_said_once(recorder, monkeypatch, capsys):
    def failing(work, stream, pool):
        raise RuntimeError("operation not permitted")

    monkeypatch.setattr(step_module, "recorded", failing)
    step, model, _ = trained(GRAPHS, steps=6)
    _, plain, _ = trained(steps=6)
    assert step.execution == PLAIN
    assert capsys.readouterr().err == (
        "training without CUDA graphs, recording one failed: RuntimeError: operation not permitted\n"
    )
    assert_equal_weights(model, plain)


def test_no_memory_left_for_a_graph_is_no_reason_to_go_on_without(recorder, monkeypatch):
    def failing(work, stream, pool):
        raise torch.OutOfMemoryError("tried to allocate")

    monkeypatch.setattr(step_module, "recorded", failing)
    with pytest.raises(torch.OutOfMemoryError):
        trained(GRAPHS, steps=6)


def test_the_number_of_graphs_is_bounded_and_those_long_unused_give_way(recorder, monkeypatch):
    monkeypatch.setattr(step_module, "MOST_GRAPHS", 1)
    monkeypatch.setattr(step_module, "UNUSED_STEPS", 4)
    _, model, _ = trained(GRAPHS, steps=5, observations=(3,))
    assert len(recorder) == 1
    recorder.clear()
    observations = (3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2)
    trained(GRAPHS, steps=7, observations=observations)
    assert len(recorder) == 1, "3 observations were used 3 steps ago"
    recorder.clear()
    _, model, _ = trained(GRAPHS, steps=12, observations=observations)
    _, plain, _ = trained(steps=12, observations=observations)
    assert len(recorder) == 2
    assert_equal_weights(model, plain)


def test_steps_that_are_given_up_are_recorded_nowhere_and_those_that_follow_anew(recorder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    step, _, _ = trained(GRAPHS, steps=5, observations=(3,))
    recording = weakref.ref(recorder.pop())
    assert recording() is not None
    step.release()
    assert recording() is None
    batch, noise = batch_of(0), noise_of(0)
    for _ in range(3):
        step(batch, noise, NOW)
    assert len(recorder) == 1


def test_forms_differ_by_what_is_there_and_its_size():
    batch = batch_of(0)
    assert form_of(batch) == form_of(batch_of(1))
    assert len({form_of(batch), form_of(batch_of(0, depth=False)), form_of(batch_of(0, observations=2))}) == 3
    assert len(tensors_of(batch)) == 6 and len(tensors_of(batch_of(0, depth=False))) == 5


# ---- Processes -------------------------------------------------------------------------------------------------------


def share_of_training(rank, rendezvous, folder, steps):
    """What one of two processes does, with either way of exchanging gradients."""
    torch.set_num_threads(1)
    gradient_exchange.LARGE = 1000  # the cores' gradients are, while the backward pass goes on
    torch.distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=2)
    for exchange in ("float32", "bfloat16"):
        torch.save(trained_on_share(rank, exchange, steps), folder / f"{exchange}-{rank}.pt")
    compiler = torch.compile

    def failing_in_the_second(function, **options):
        return fails if rank else compiler(function, backend="aot_eager", **options)

    def fails(*arguments):
        raise RuntimeError("no compiler")

    torch.compile = failing_in_the_second
    torch.save(trained_on_share(rank, "float32", steps, compile="blocks"), folder / f"no-compiler-{rank}.pt")
    torch.distributed.destroy_process_group()


def trained_on_share(rank, exchange, steps, compile="none"):
    """What a process has in the end; it drops depth now and then, so that some weights get no gradient."""
    model = small_model()
    execution = replace(PLAIN, exchange=exchange, compile=compile)
    step = TrainingStep(model, placenet_objective, execution, CPU, bf16=False, clip_gradient=50.0, processes=2)
    half = SCENES // 2
    rows = slice(rank * half, (rank + 1) * half)
    queries = slice(rows.start * QUERIES, rows.stop * QUERIES)
    for number in range(steps):
        batch = mapped(batch_of(number, depth=number % 2 == 0), lambda tensor: tensor[rows])
        step(batch, noise_of(number, rows=queries), NOW)
    return {"model": model.state_dict(), "figures": step.figures(), "compile": step.execution.compile}


@pytest.fixture(scope="module")
def of_two(tmp_path_factory):
    """What each of two processes has in the end, by what they exchange."""
    folder = tmp_path_factory.mktemp("two")
    arguments = (f"file://{folder / 'rendezvous'}", folder, 4)
    torch.multiprocessing.start_processes(share_of_training, arguments, nprocs=2, start_method="spawn")
    return {
        exchange: [torch.load(folder / f"{exchange}-{rank}.pt", weights_only=True) for rank in range(2)]
        for exchange in ("float32", "bfloat16", "no-compiler")
    }


def test_two_processes_with_half_the_batch_each_equal_one(of_two):
    first, second = of_two["float32"]
    model = small_model()
    step = TrainingStep(model, placenet_objective, PLAIN, CPU, bf16=False, clip_gradient=50.0)
    for number in range(4):
        step(batch_of(number, depth=number % 2 == 0), noise_of(number), NOW)
    assert_same_training(with_weights(first), model)
    assert_equal_weights(with_weights(first), with_weights(second))
    assert first["figures"] == second["figures"]
    figures = step.figures()
    assert first["figures"]["loss"] == pytest.approx(figures["loss"], rel=1e-5)
    assert first["figures"]["gradient_norm"] == pytest.approx(figures["gradient_norm"], rel=1e-3)


def test_where_compiling_fails_in_one_process_all_go_on_without(of_two):
    first, second = of_two["no-compiler"]
    assert first["compile"] == second["compile"] == "none"
    assert_equal_weights(with_weights(first), with_weights(second))
    assert_equal_weights(with_weights(first), with_weights(of_two["float32"][0]))


def test_gradients_exchanged_in_bfloat16_change_the_weights_by_their_rounding(of_two):
    first, second = (with_weights(result) for result in of_two["bfloat16"])
    assert_equal_weights(first, second)
    full = with_weights(of_two["float32"][0])
    apart, moved = weights(first) - weights(full), weights(full) - weights(small_model())
    assert 0 < apart.norm() < 0.05 * moved.norm()
    figures = [of_two[exchange][0]["figures"] for exchange in ("float32", "bfloat16")]
    assert figures[0]["gradient_norm"] == pytest.approx(figures[1]["gradient_norm"], rel=2**-8)


def with_weights(result):
    model = small_model()
    model.load_state_dict(result["model"])
    return model


def test_a_way_of_exchanging_gradients_has_no_effect_on_one_process_and_that_is_said(capsys):
    _, model, _ = trained(replace(PLAIN, exchange="bfloat16"), steps=1)
    said = capsys.readouterr().err
    assert said == "exchange=bfloat16 has no effect: a process that trains alone exchanges no gradients\n"
    assert_equal_weights(model, trained(steps=1)[1])


# ---- On a GPU --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
@pytest.mark.parametrize("compile", ["none", "blocks"])
def test_cuda_graphs_equal_launched_steps(compile):
    observations = (3, 2)
    _, model, _ = trained(ExecutionConfig(compile, "yes"), 10, GPU, observations)
    _, plain, _ = trained(ExecutionConfig("none", "no"), 10, GPU, observations)
    assert_same_training(model, plain)
