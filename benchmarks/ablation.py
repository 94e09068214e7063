"""What each part of PlaceNet is worth: `python -m benchmarks.ablation [rows=a,b,...] [samples=N] [out=DIR]`.

Trains each row, a configuration with some settings changed, on the same houses, made once, for the same number of
samples (or, with `minutes=`, the same time), and asks all the same queries of houses never seen: with depth and
objects, and from colour alone. A row is `python -m training.train BASE settings...` and nothing else.

    OUT/runs/ROW/      the run: configuration, checkpoints, figures, weights (training/train.py)
    OUT/ROW.json       what came of it, written when the row is done
    OUT/table.md       the rows done so far, for docs/results.md (benchmarks/ablation_table.py)

The same command again goes on: rows that are done are kept, the one that was interrupted resumes. A row that fails is
named, and the next begins.
"""

from __future__ import annotations

import gc
import json
import shlex
import statistics
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from benchmarks.ablation_table import table
from placenet_ros.atomic_file import write_whole
from training.configuration import (
    REPOSITORY,
    UserError,
    differing_keys,
    parse,
    run_command,
    section,
    setting,
)
from training.data.trajectories import HousesConfig, TrajectorySet, render_houses
from training.device import chosen_device
from training.evaluate import EvaluationConfig
from training.houses import CLASS_NAMES, TrajectoryMaker
from training.networks import read_network
from training.train import TrainConfig, check_run, train

NEVER = 10**15  # samples: more than any run sees
CHECKPOINTS = 4  # of a row


class Row(NamedTuple):
    """A run of the ablation: `training.train` with the words of `settings` after the base's name."""

    base: str  # in config/training
    settings: str
    sentence: str  # what it shows


NO_REPROJECTION = (
    "model.reprojection=false model.close_gaps=false model.copy_seen=false model.reprojection_objects=false "
    "model.depth_estimation_channels=0"
)
NO_ATTENTION = "model.attention= model.narrow_tower_channels=0"
NO_HEADS = "model.predict_depth=false model.predicted_classes=0 model.predict_error=false"
RECONSTRUCTED = "objective.predicted_queries=0"
PUBLISHED_ARITHMETIC = (
    f"arithmetic=published {NO_REPROJECTION} {NO_HEADS} {RECONSTRUCTED} model.representation_channels=256 "
    "model.narrow_tower_channels=0 model.attention_tokens=1 sampling.poses=box model.position_scale=50"
)
ROWS = {
    "base": Row("placenet-small", "", "placenet-small as it is"),
    "another-seed": Row("placenet-small", "seed=1", "the same by chance: what smaller differences say nothing"),
    "no-reprojection": Row("placenet-small", NO_REPROJECTION, "without reprojected observations"),
    "close-gaps": Row("placenet-small", "model.close_gaps=true", "surfaces reprojected, not points"),
    "leave-gaps": Row("placenet-small", "model.close_gaps=false", "points reprojected, not surfaces"),
    "copy-seen": Row("placenet-small", "model.copy_seen=true", "what was seen is shown as it was"),
    "no-copy": Row("placenet-small", "model.copy_seen=false", "the network paints what was seen, too"),
    "objects-reprojected": Row("placenet-small", "model.reprojection_objects=true", "objects reprojected, too"),
    "no-objects-reprojected": Row("placenet-small", "model.reprojection_objects=false", "only colours reprojected"),
    "depth-estimate": Row(
        "placenet-small", "model.depth_estimation_channels=16", "depth estimated by a network of 16 channels"
    ),
    "no-depth-estimate": Row(
        "placenet-small", "model.depth_estimation_channels=0", "nothing reprojected where there is no depth camera"
    ),
    "no-attention": Row("placenet-small", NO_ATTENTION, "without attention, with reprojection"),
    "one-tower": Row(
        "placenet-small", "model.narrow_tower_channels=0", "depth and objects pass through the colours' tower, too"
    ),
    "tokens-1": Row("placenet-small", "model.attention_tokens=1", "one token of attention for each observation"),
    "tokens-16": Row("placenet-small", "model.attention_tokens=16", "16 tokens of attention for each observation"),
    "box": Row("placenet-small", "sampling.poses=box model.position_scale=50", "poses in the published box of 100 m"),
    "reconstructed": Row("placenet-small", RECONSTRUCTED, "no query is predicted from the prior's means in training"),
    "predicted-1": Row("placenet-small", "objective.predicted_queries=1", "one query of a scene is predicted so"),
    "one-query": Row(
        "placenet-small",
        f"sampling.queries=1 scenes=256 {RECONSTRUCTED}",
        "one query of a scene, four times the scenes; to be compared with reconstructed",
    ),
    "no-dropping": Row(
        "placenet-small", "sampling.drop_depth=0 sampling.drop_objects=0", "depth and objects always there"
    ),
    "drop-tenth": Row("placenet-small", "sampling.drop_depth=0.1", "every tenth batch without depth"),
    "drop-half": Row("placenet-small", "sampling.drop_depth=0.5", "every second batch without depth"),
    "heads": Row(
        "placenet-small",
        f"model.predict_depth=true model.predicted_classes={len(CLASS_NAMES)}",
        "depth and objects told",
    ),
    "no-heads": Row("placenet-small", NO_HEADS, "colour alone is told"),
    "no-error": Row("placenet-small", "model.predict_error=false", "how wrong colours are is not told"),
    "sigma-0.7": Row("placenet-small", "schedule.final_sigma=0.7", "the published final sigma"),
    "sigma-0.2": Row("placenet-small", "schedule.final_sigma=0.2", "a lower final sigma"),
    "kl-0.1": Row("placenet-small", "objective.kl_weight=0.1", "a tenth of the KL's weight"),
    "own-cores": Row("placenet-small", "model.shared_core=false", "each layer with cores of its own"),
    "gqn-small": Row(
        "placenet-small",
        f"{NO_ATTENTION} {NO_REPROJECTION} {NO_HEADS} {RECONSTRUCTED}",
        "neither attention nor reprojection: a GQN of this size",
    ),
    "published-small": Row("placenet-small", PUBLISHED_ARITHMETIC, "the published arithmetic and poses at this size"),
    "placenet": Row("placenet", "", "the full network"),
    "published": Row("published", "", "the authors' model and schedule"),
    "published-colour": Row("published", "model.attention=r", "the same without depth and objects, for colour alone"),
    "gqn": Row("gqn", "", "GQN and its schedule"),
}
SMALL_ROWS = tuple(name for name, row in ROWS.items() if row.base == "placenet-small")


@dataclass(frozen=True)
class AblationConfig:
    """Train rows of an ablation on the same houses and compare them. To go on, run the same command again."""

    rows: tuple[str, ...] = setting(
        SMALL_ROWS, "Rows by name, in their order; those of the small network if not given."
    )
    out: str = setting("runs/ablation", "Folder for the runs and what comes of them.")
    samples: int = setting(400_000, "Samples that each row learns from.")
    minutes: float | None = setting(None, "Minutes of training for each row instead of samples.")
    also: tuple[str, ...] = setting((), "More settings of every row, as key=value, separated by commas.")
    seed: int = setting(0, "Seed of the rows.")
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "Where to compute; auto: the GPU if there is one.")
    houses: HousesConfig = section(HousesConfig)
    evaluation: EvaluationConfig = section(lambda: EvaluationConfig(inputs=("colour+depth+objects", "colour")))

    def __post_init__(self) -> None:
        for name in self.rows:
            if name not in ROWS:
                raise ValueError(f"no row '{name}': they are {', '.join(ROWS)}")
        if len(set(self.rows)) < len(self.rows) or not self.rows:
            raise ValueError(f"rows must be named once each, and at least one, not {', '.join(self.rows) or 'none'}")
        if self.samples < 1:
            raise ValueError(f"samples must be at least 1, not {self.samples}")


class HousesMadeOnce:
    """`render_houses` that makes the same houses once and lends them to every row."""

    def __init__(self) -> None:
        self._made: dict[tuple, TrajectorySet] = {}

    def __call__(
        self, first_seed: int, houses: int, maker: TrajectoryMaker, place: torch.device, cores: int | None = None
    ) -> TrajectorySet:
        key = (first_seed, houses, maker)  # they stay where they were first put
        if key not in self._made:
            self._made[key] = render_houses(first_seed, houses, maker, place, cores)
        return self._made[key]


# ---- Rows ------------------------------------------------------------------------------------------------------------


def row_words(name: str, config: AblationConfig) -> list[str]:
    """What to say to training.train, but for lengths, houses and questions, which all rows share."""
    return [ROWS[name].base, *ROWS[name].settings.split(), *config.also]


def row_config(name: str, config: AblationConfig) -> TrainConfig:
    """The configuration of a row. Raises UserError, naming the row, where its settings do not go together."""
    try:
        row = parse(TrainConfig, row_words(name, config), "training.train", REPOSITORY / "config" / "training")
        schedule = replace(row.schedule, samples=config.samples)
        if config.minutes is not None:
            schedule = replace(row.schedule, samples=NEVER, minutes=config.minutes)
        return replace(
            row,
            run=str(Path(config.out) / "runs" / name),
            seed=row.seed + config.seed,
            device=config.device,
            houses=config.houses,
            evaluation=config.evaluation,
            schedule=schedule,
            log_every=max(1, config.samples // 20),
            evaluate_every=NEVER,
            checkpoint_every=max(1, config.samples // CHECKPOINTS),
            keep_checkpoints=1,
        )
    except (UserError, ValueError) as error:
        raise UserError(f"row {name}: {error}") from error


def check_rows(configs: dict[str, TrainConfig]) -> None:
    """Raises UserError where rows would not be asked the same queries, or a row's folder holds another run."""
    windows = {name: config.sampling.window for name, config in configs.items()}
    if len(set(windows.values())) > 1:
        shown = ", ".join(f"{name} {window}" for name, window in windows.items())
        raise UserError(f"rows of different sampling.window have different queries ({shown}): set it with also=")
    for config in configs.values():
        check_run(config)


def distinct(configs: dict[str, TrainConfig]) -> dict[str, TrainConfig]:
    """Without rows that change nothing: of a configuration that a row before them has."""
    kept: dict[str, TrainConfig] = {}
    for name, config in configs.items():
        twin = next((other for other in kept if not differing_keys(kept[other], config)), None)
        if twin is None:
            kept[name] = config
        else:
            print(f"row {name} is left out: it is the same as {twin}", file=sys.stderr)
    return kept


def run_row(name: str, config: TrainConfig, command: str, houses: HousesMadeOnce) -> dict[str, Any]:
    """Train a row, or what is left of it, and say what came of it."""
    train(config, command, houses)
    run = Path(config.run)
    network = read_network(run / "weights")
    return {
        "row": name,
        "shows": ROWS[name].sentence,
        "command": command,
        "device": network.about["device"],
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "samples": network.about["samples"],
        "seconds": 60 * network.about["training_minutes"],
        "samples_per_second": samples_per_second(run / "metrics.jsonl"),
        "figures": json.loads((run / "evaluation.json").read_text(encoding="utf-8")),
    }


def samples_per_second(metrics: Path) -> float:
    """The median of what a run logged: without its slow start."""
    lines = map(json.loads, metrics.read_text(encoding="utf-8").splitlines())
    return statistics.median(line["samples_per_second"] for line in lines if "samples_per_second" in line)


# ---- The command -----------------------------------------------------------------------------------------------------


def main(argv: list[str]) -> None:
    config = parse(AblationConfig, argv, program="benchmarks.ablation")
    chosen_device(config.device)
    configs = distinct({name: row_config(name, config) for name in config.rows})
    check_rows(configs)
    out, houses, done, failed = Path(config.out), HousesMadeOnce(), [], []
    out.mkdir(parents=True, exist_ok=True)
    for number, (name, row) in enumerate(configs.items(), 1):
        result = out / f"{name}.json"
        if result.exists():
            print(f"row {number} of {len(configs)}, {name}: done before", file=sys.stderr, flush=True)
        else:
            print(f"row {number} of {len(configs)}, {name}: {ROWS[name].sentence}", file=sys.stderr, flush=True)
            command = shlex.join(["python", "-m", "training.train", *row_words(name, config)])
            try:
                outcome = run_row(name, row, command, houses)
            except (UserError, RuntimeError) as error:  # out of memory, too; the other rows are worth having
                print(f"error: row {name}: {error}", file=sys.stderr, flush=True)
                failed.append(name)
                continue
            finally:
                release_memory()
            write_whole(result, (json.dumps(outcome, indent=2) + "\n").encode())
        done.append(json.loads(result.read_text(encoding="utf-8")))
        write_whole(out / "table.md", table(done).encode())
    if done:
        print(table(done))
    if failed:
        raise UserError(f"rows that failed: {', '.join(failed)}; the same command tries them again")


def release_memory() -> None:
    """Give back what a row took: its compiled blocks and the GPU's memory."""
    torch.compiler.reset()
    gc.collect()
    torch.cuda.empty_cache()


if __name__ == "__main__":
    run_command(main)
