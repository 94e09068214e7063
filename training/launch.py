"""Starts training on this machine's GPUs, or its processor: what `training/run.sh` runs.

One process is this one; for `gpu=N` it starts anew, so that CUDA knows of no other GPU. Several are started by
torchrun, here within this process: so that what is wrong with the configuration is said once, before anything starts;
that a signal reaches every process of the training; and that its exit status is this command's.

    0       trained
    2       an error that the message on stderr says how to put right
    130     stopped by Ctrl-C, 143 by SIGTERM: once it makes steps, after saving a checkpoint to go on from
    137     several processes that did not end by two such signals, killed by the third
    other   the status of the process that failed first; 128 + n where signal n ended it
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous import RendezvousError
from torch.distributed.run import parse_args, run

from training import train
from training.configuration import REPOSITORY, UserError, help_text, parse, run_command, setting
from training.processes import check_share

CONFIGURATIONS = REPOSITORY / "config" / "training"
PASSED_ON = 2  # signals: the training ends in good order by the first, and where it is Ctrl-C at once by the second
TOGETHER_SECONDS = 1.0  # signals no farther apart are one


@dataclass(frozen=True)
class LaunchConfig:
    """How it is launched; all GPUs of this machine by default, the processor where there is none."""

    gpu: int | None = setting(None, "Number of the only GPU to use, as nvidia-smi counts them; null: all.")
    processes: int | None = setting(None, "Processes on this machine; null: one for each GPU, one without any.")
    nnodes: int = setting(1, "Machines that train together; run the same command on each.")
    rdzv: str | None = setting(None, "HOST:PORT where they meet: the first of the machines, and a free port of it.")
    print: bool = setting(False, "Print the command that would start training, and stop.")

    def __post_init__(self) -> None:
        for name in ("processes", "nnodes"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.gpu is not None and (self.processes is not None or self.nnodes > 1):
            raise ValueError("gpu= is one process on one machine: leave out processes= and nnodes=")
        if (self.nnodes > 1) != (self.rdzv is not None):
            raise ValueError("nnodes= (over 1) and rdzv=HOST:PORT need each other")


def main(argv: list[str]) -> None:
    if "--help" in argv or "-h" in argv:
        print("usage: training/run.sh [CONFIG] [key=value ...]\n")
        for config_class, folder in ((LaunchConfig, None), (train.TrainConfig, CONFIGURATIONS)):
            print(help_text(config_class, "", folder).split("\n", 2)[2] + "\n")
        return
    own = {field.name for field in fields(LaunchConfig)}
    is_own = [word.lstrip("-").split("=")[0] in own for word in argv]
    launch = parse(LaunchConfig, [word for word, mine in zip(argv, is_own, strict=True) if mine], "training.launch")
    words = [word for word, mine in zip(argv, is_own, strict=True) if not mine]
    config = parse(train.TrainConfig, words, "training.train", CONFIGURATIONS)
    if config.dry_run:
        return train.main(words)
    gpus = 0 if config.device == "cpu" else torch.cuda.device_count()
    count = process_count(launch, gpus, config.device)
    environment = environment_of(launch, gpus, count)
    check_share(config.scenes, count * launch.nnodes)
    if count * launch.nnodes == 1:
        command = [sys.executable, "-m", "training.train", *words]
    else:
        command = ["torchrun", *torchrun_arguments(launch, count, config.run), "-m", "training.train", *words]
    if launch.print:
        preloaded = {name: os.environ[name] for name in ("LD_PRELOAD",) if name in os.environ}
        shown = [f"{name}={value}" for name, value in (preloaded | environment).items()]
        print(shlex.join([*shown, *command]))
        return
    if count * launch.nnodes == 1 and launch.gpu is None:
        return train.main(words)
    train.check_beforehand(config)
    os.environ.update(environment)
    if command[0] == "torchrun":
        raise SystemExit(torchrun_status(command[1:], launch))
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends it; a KeyboardInterrupt would be forgotten on the way
    os.execv(sys.executable, command)


def process_count(launch: LaunchConfig, gpus: int, device: str) -> int:
    """Processes to start on this machine, which has so many GPUs for us. Raises UserError for more than those."""
    if launch.gpu is not None and not 0 <= launch.gpu < gpus:
        there = f"has {gpus}, numbered from 0" if gpus else "has none that can be used: check nvidia-smi"
        raise UserError(f"gpu={launch.gpu}: this machine {there}")
    if device == "cuda" and not gpus:
        raise UserError("device=cuda, but no GPU can be used here: check nvidia-smi, or set device=cpu")
    if launch.processes is not None and gpus and launch.processes > gpus:
        raise UserError(f"processes={launch.processes}: one for each GPU at most, and this machine has {gpus}")
    return 1 if launch.gpu is not None else launch.processes or max(1, gpus)


def environment_of(launch: LaunchConfig, gpus: int, count: int) -> dict[str, str]:
    """Variables for the processes: which GPU the only one sees, and how many threads each has."""
    if launch.gpu is not None:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        return {"CUDA_VISIBLE_DEVICES": seen.split(",")[launch.gpu] if seen else str(launch.gpu)}
    if count > 1 and "OMP_NUM_THREADS" not in os.environ:
        threads = 1 if gpus else max(1, len(os.sched_getaffinity(0)) // count)
        return {"OMP_NUM_THREADS": str(threads)}
    return {}


def torchrun_arguments(launch: LaunchConfig, count: int, name: str) -> list[str]:
    """torchrun's options: so many processes here; `name` is the same on all machines of a training."""
    if launch.nnodes == 1:
        return ["--standalone", f"--nproc-per-node={count}"]
    meeting = [f"--rdzv-endpoint={launch.rdzv}", f"--rdzv-id={name.replace(os.sep, '-')}"]
    return [f"--nnodes={launch.nnodes}", f"--nproc-per-node={count}", "--rdzv-backend=c10d", *meeting]


def torchrun_status(arguments: list[str], launch: LaunchConfig) -> int:
    """Run torchrun in this process; the exit status that the training ended with. Raises UserError."""
    logging.disable(logging.ERROR)  # torchrun's own report of what the training has said already
    asked = parse_args(arguments)
    # Torchrun's way, which is to end; the others are passed on, and what nohup has us ignore stays ignored.
    is_hangup_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    asked.signals_to_handle = "SIGQUIT" if is_hangup_ignored else "SIGHUP,SIGQUIT"
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = asked.signals_to_handle  # for a torch that has no such option
    pass_on = passing_on()
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as of a script's background job
            signal.signal(number, pass_on)
    try:
        with tempfile.TemporaryDirectory(prefix="torchrun-") as asked.log_dir:  # else it leaves one behind
            run(asked)
    except SignalException as error:
        return 128 + error.sigval
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            name = signal.Signals(-failure.exitcode).name
            print(f"error: process {rank} was ended by {name} on {os.uname().nodename}", file=sys.stderr)
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    except RendezvousError as error:
        raise UserError(f"the machines did not meet at rdzv={launch.rdzv}: {error}") from error
    return 0


def passing_on() -> Callable[[int, object], None]:
    """A handler that gives signals to the processes of the training, which end in good order; without any, this ends.

    Not torchrun's way, an exception wherever it happens to be: where that is passed over, the signal is lost. A process
    that waits for its GPU or for another hears none of them, so that the third is SIGKILL. Those that come together
    are one, as `timeout` sends one to its child and to the group.
    """
    received: list[float] = []  # when, monotonic

    def pass_on(number: int, _: object) -> None:
        now = time.monotonic()
        if not received or now - received[-1] > TOGETHER_SECONDS:
            received.append(now)
        processes = children()
        given = number if len(received) <= PASSED_ON else signal.SIGKILL
        for process in processes:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(process, given)
        if not processes:
            raise SystemExit(128 + number)

    return pass_on


def children() -> list[int]:
    """The processes that this one started, by their numbers."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            parent = stat.read_text().rpartition(")")[2].split()[1]
            found += [int(stat.parent.name)] if int(parent) == os.getpid() else []
    return found


if __name__ == "__main__":
    run_command(main)
