"""training/run.sh: what it launches, and that several processes learn what one learns."""

import json
import os
import shutil
import socket
import subprocess
import sys

import pytest
import torch
from round_room import round_room
from small_run import SAMPLES, SCRIPT, SMALL, assert_same_weights, rooms_on_disk, run_sh, start_sh, train_here
from torch.distributed import DistBackendError

import training.launch
from placenet_ros.model import PlaceNetConfig
from training.configuration import UserError
from training.data.dataset import ShardSet
from training.data.sampling import SamplingConfig, assemble
from training.data.scenes import StepScenes, scene_stream
from training.data.trajectories import TrajectorySet
from training.nested import tensors_of
from training.processes import GRADIENT_TIMEOUT, Processes, begin_processes, is_lost_process
from training.step import latent_noise

CPU = torch.device("cpu")

# ---- How it is launched ----------------------------------------------------------------------------------------------


@pytest.fixture
def gpus(monkeypatch):
    """A machine with four GPUs, as far as one can tell without using them."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)


@pytest.mark.parametrize(
    "words, launched",
    [
        ("scenes=8", "OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node=4 -m training.train scenes=8"),
        ("gpu=2", "CUDA_VISIBLE_DEVICES=2 PYTHON -m training.train"),
        ("processes=1", "PYTHON -m training.train"),
        (
            "nnodes=2 rdzv=first:29400 scenes=8 run=runs/far",
            "OMP_NUM_THREADS=1 torchrun --nnodes=2 --nproc-per-node=4 --rdzv-backend=c10d "
            "--rdzv-endpoint=first:29400 --rdzv-id=runs-far -m training.train scenes=8 run=runs/far",
        ),
        ("device=cpu", "PYTHON -m training.train device=cpu"),
    ],
)
def test_what_is_launched(words, launched, gpus, capsys, monkeypatch):
    monkeypatch.setattr("sys.executable", "PYTHON")
    training.launch.main(["print=true", *words.split()])
    assert capsys.readouterr().out.strip() == launched


def test_gpu_numbers_are_those_that_this_shell_may_use(gpus, capsys, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    training.launch.main(["--print", "gpu=2"])
    assert capsys.readouterr().out.startswith("CUDA_VISIBLE_DEVICES=6 ")


@pytest.mark.parametrize(
    "words, message",
    [
        ("smoke schedule.sampls=3", "unknown key 'schedule.sampls'; the nearest is 'schedule.samples'"),
        ("device=cpu processes=5", r"scenes \(12\) .* multiple of their number \(5\): set scenes=10"),
        ("gpu=4", "gpu=4: this machine has 4, numbered from 0"),
        ("processes=8", "processes=8: one for each GPU at most, and this machine has 4"),
        ("gpu=0 processes=2", "gpu= is one process on one machine"),
        ("nnodes=2", r"nnodes= \(over 1\) and rdzv=HOST:PORT need each other"),
        ("data.train=no/such", "no/such: no data set"),
    ],
)
def test_a_mistake_is_said_before_anything_starts(words, message, gpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "execv", None)
    with pytest.raises(UserError, match=message):
        training.launch.main(words.split())
    assert list(tmp_path.iterdir()) == []


def test_help_and_dry_run_look_for_no_gpu_and_leave_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for function in ("device_count", "is_available", "init"):
        monkeypatch.setattr(torch.cuda, function, None)
    training.launch.main(["--help"])
    shown = capsys.readouterr().out
    assert "\n  gpu " in shown and "\n  schedule.learning_rate " in shown
    training.launch.main(["smoke", "--dry-run", "processes=2"])
    assert "samples a step" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_each_process_has_the_gpu_of_its_number_and_gradients_go_through_nccl(monkeypatch):
    """As far as it goes without a GPU: up to joining the group."""
    joined = []
    for name, value in {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: joined.append(str(device)))
    monkeypatch.setattr(
        torch.distributed,
        "init_process_group",
        lambda backend, **also: joined.append((backend, str(also["device_id"]))),
    )
    monkeypatch.setattr(torch.distributed, "new_group", lambda backend, **_: joined.append(backend))
    processes = begin_processes("auto")
    assert joined == ["cuda:1", ("nccl", "cuda:1"), "gloo"]
    assert (processes.rank, processes.count, processes.count_here) == (5, 8, 4)
    assert processes.share(32) == slice(20, 24) and not processes.first
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="4 processes on a machine with 1 GPU:"):
        begin_processes("auto")
    monkeypatch.delenv("RANK")
    with pytest.raises(UserError, match="WORLD_SIZE=8 is set, but not RANK: start with training/run.sh"):
        begin_processes("auto")


def test_the_command_for_two_gpus_comes_to_two_processes_that_join_with_nccl(tmp_path):
    """As far as it goes without GPUs: through the script and torchrun up to where each joins the group.

    That a rank which fails takes the others with it, also one that waits for a GPU, is NCCL's watchdog's business, by
    TORCH_NCCL_ASYNC_ERROR_HANDLING, and torchrun's, which does not wait longer than 30 s for any.
    """
    (tmp_path / "sitecustomize.py").write_text(TWO_GPUS)
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "JOINED": str(tmp_path / "joined-")}
    for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "TORCH_NCCL_ASYNC_ERROR_HANDLING"):
        environment.pop(name, None)
    done = run_sh("smoke", f"run={tmp_path / 'run'}", env=environment)
    assert done.returncode == 0, done.stderr
    for rank in range(2):
        assert json.loads((tmp_path / f"joined-{rank}").read_text()) == {
            "arguments": ["nccl"],
            "timeout": GRADIENT_TIMEOUT.total_seconds(),
            "device_id": f"cuda:{rank}",
            "device": f"cuda:{rank}",
            "world": "2",
            "threads": "1",
            "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
        }


TWO_GPUS = """
import json, os, sys

def joined(*arguments, timeout, device_id):
    rank, environment = os.environ["RANK"], os.environ
    told = {
        "arguments": arguments, "timeout": timeout.total_seconds(), "device_id": str(device_id), "device": device[0],
        "world": environment["WORLD_SIZE"], "threads": environment["OMP_NUM_THREADS"],
        "TORCH_NCCL_ASYNC_ERROR_HANDLING": environment["TORCH_NCCL_ASYNC_ERROR_HANDLING"],
    }
    with open(environment["JOINED"] + rank, "w") as file:
        json.dump(told, file)
    os._exit(0)

if {"training.launch", "training.train"} & set(sys.orig_argv):
    import torch, torch.distributed
    device = []
    torch.cuda.is_available, torch.cuda.device_count = lambda: True, lambda: 2
    torch.cuda.set_device = lambda chosen: device.append(str(chosen))
    torch.distributed.init_process_group = joined
"""


def test_the_script_runs_in_any_folder_with_jemalloc_where_it_is_installed(tmp_path):
    """Any library stands in for it, found by a stand-in for ldconfig."""
    library, ldconfig = tmp_path / "libjemalloc.so.2", tmp_path / "ldconfig"
    libm = subprocess.run(["/bin/sh", "-c", "ls /lib/*-linux-gnu/libm.so.6"], capture_output=True, text=True)
    shutil.copy(libm.stdout.split()[0], library)
    ldconfig.write_text(f"#!/bin/sh\necho '\tlibjemalloc.so.2 (libc6) => {library}'\n")
    ldconfig.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LD_PRELOAD")}
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "__init__.py").write_text("raise SystemExit('not ours')\n")
    found = run_sh("smoke", "device=cpu", "--print", env=environment, cwd=tmp_path)
    assert found.stdout.startswith(f"LD_PRELOAD={library} "), found.stderr
    assert found.stdout.endswith("-m training.train smoke device=cpu\n")
    ldconfig.write_text("#!/bin/sh\n")
    absent = run_sh("smok", "device=cpu", "--print", env=environment, cwd=tmp_path)
    assert absent.returncode == 2 and absent.stderr.startswith("error: no configuration 'smok'")
    assert absent.stderr.count("\n") == 1, "it says nothing of what is not installed"


def test_another_package_called_training_does_not_take_the_place_of_ours(tmp_path):
    """Where Python is too old to pass it over, that is said; any Python stands in for an old one."""
    for folder in ("ours/training", "theirs/training", "bin"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "__init__.py").touch()
    script, python = tmp_path / "ours" / "training" / "run.sh", tmp_path / "bin" / "python3"
    shutil.copy(SCRIPT, script)
    (script.parent / "launch.py").write_text("print('ours')\n")
    python.write_text(f'#!/bin/sh\nunset PYTHONSAFEPATH\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    environment = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"}
    for folder in ("theirs", "ours", "bin"):
        where = {"env": environment, "cwd": tmp_path / folder, "capture_output": True, "text": True}
        started = subprocess.run([script], **where)
        if folder == "theirs":
            assert started.returncode == 2 and started.stderr.count("\n") == 1
            assert f"error: a package called training here ({tmp_path / folder}) hides PlaceNet's" in started.stderr
        else:
            assert started.stdout == "ours\n", started.stderr


# ---- Several processes -----------------------------------------------------------------------------------------------


def test_two_processes_learn_what_one_learns_and_share_the_rendering_of_houses(tmp_path):
    words = [*SMALL, "houses.train=3", "houses.unseen=1", "houses.walk.frames=15"]
    train_here(*words, f"run={tmp_path / 'one'}")
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    done = run_sh(*words, "processes=2", f"run={tmp_path / 'two'}", env=environment)
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "temporary").glob("torch*")), "nothing of torchrun's is left behind"
    assert_same_weights(tmp_path / "one", tmp_path / "two", tolerance=1e-5)
    assert done.stderr.count(f"\n{SAMPLES} samples") == 1, "one process alone speaks"
    losses = [last_figures(tmp_path / run)["loss"] for run in ("one", "two")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def last_figures(run):
    lines = [json.loads(line) for line in open(run / "metrics.jsonl")]
    return [line for line in lines if "loss" in line][-1]


@pytest.mark.parametrize("source", ["memory", "shards"])
@pytest.mark.parametrize("count", [2, 4])
def test_several_processes_are_given_what_one_is_given_in_the_same_order_bit_for_bit(count, source, tmp_path):
    """Batches and noise of the first steps, over the border of an epoch; rank after rank they are those of one."""
    if source == "shards":
        rooms_on_disk(tmp_path)
    data = ShardSet(tmp_path) if source == "shards" else TrajectorySet.of([round_room(seed) for seed in range(6)])
    config = SamplingConfig(window=12, fewest_observations=2, most_observations=4, queries=2, drop_depth=0.5)
    alone = given_to(Processes(CPU), data, config)
    together = [given_to(Processes(CPU, rank, count), data, config) for rank in range(count)]
    for step, whole in enumerate(alone):
        parts = zip(*(of_one[step] for of_one in together), strict=True)
        for tensor, of_all in zip(whole, parts, strict=True):
            scenes = 1 if tensor is whole[-1] else 0  # noise: l, scenes and queries, ...
            assert torch.equal(torch.cat(of_all, dim=scenes), tensor)
    assert not torch.equal(alone[0][0], alone[1][0])


def given_to(processes, data, config, scenes=8, steps=4):
    """The tensors of each step's batch, then its noise, as one process asks for them."""
    rows = processes.share(scenes)
    stream = scene_stream(StepScenes(data, config, scenes, 0, rows), 0, 0)
    batches = [tensors_of(assemble(*next(stream), 1.0, CPU)) for _ in range(steps)]
    samples = slice(rows.start * config.queries, rows.stop * config.queries)
    noises = [latent_noise(PlaceNetConfig(), scenes * config.queries, 0, step, CPU, samples) for step in range(steps)]
    return [[*batch, noise] for batch, noise in zip(batches, noises, strict=True)]


def test_two_machines_with_two_processes_each_learn_what_one_learns(tmp_path):
    """Both are this one: two commands, as on two. What there is to say of the data is said once."""
    words = [*SMALL, rooms_on_disk(tmp_path / "data", short=1)[0], rooms_on_disk(tmp_path / "other")[1]]
    train_here(*words, f"run={tmp_path / 'one'}")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    asked = [*words, "processes=2", "nnodes=2", f"rdzv=localhost:{port}", f"run={tmp_path / 'four'}"]
    machines = [start_sh(*asked) for _ in range(2)]
    said = [machine.communicate(timeout=600)[1] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], said
    assert "".join(said).count("left out") == "".join(said).count("left out: 1 trajectory of under 6 frames") == 1
    assert_same_weights(tmp_path / "one", tmp_path / "four", tolerance=1e-5)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="NCCL needs two GPUs")
def test_training_on_two_gpus_comes_to_its_end(tmp_path):
    """Though NCCL's part of its steps is recorded: the same form of input comes ten times."""
    rooms = rooms_on_disk(tmp_path / "data")
    alike = ["sampling.fewest_observations=2", "sampling.most_observations=2", "sampling.drop_depth=0"]
    words = [*SMALL, *rooms, *alike, "device=cuda", "schedule.samples=80", "execution.compile=none"]
    done = run_sh(*words, "processes=2", f"run={tmp_path / 'run'}")
    assert done.returncode == 0 and "without CUDA graphs" not in done.stderr, done.stderr
    assert (tmp_path / "run" / "evaluation.json").exists()


AT = "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:561] "


@pytest.mark.parametrize(
    "error, lost",
    [
        (RuntimeError(AT + "Connection closed by peer [127.0.0.1]:9096. This is typically caused by a remote"), True),
        (RuntimeError(AT + "Read error [127.0.0.1]:9096: Connection reset by peer"), True),
        (RuntimeError(AT + "Timed out waiting 8000ms for recv operation to complete"), True),
        (RuntimeError("[enforce fail at /pytorch/third_party/gloo/gloo/types.h:43] size >= 0"), False),
        (RuntimeError(AT + "op.preamble.length <= op.nbytes. 64 vs 16"), False),
        (RuntimeError("result type Float can't be cast to the desired output type Bool"), False),
        (DistBackendError("ncclRemoteError: A call failed possibly due to a network error or a remote process exiting "
                          "prematurely."), True),
        (DistBackendError("ncclUnhandledCudaError: Call to CUDA function failed."), False),
    ],
)  # fmt: skip
def test_a_lost_process_is_told_from_what_else_goes_wrong(error, lost):
    assert is_lost_process(error) == lost


def test_a_network_that_gloo_cannot_use_is_no_lost_process(monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "nosuch")
    with pytest.raises(RuntimeError, match="gloo.*nosuch") as refused:
        torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    assert not is_lost_process(refused.value)
