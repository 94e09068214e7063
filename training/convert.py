"""Data of others to shards, and shards to House files: `python -m training.convert published SRC OUT key=value ...`.

One sub-command for each kind of source; the modules of `training.conversion` do the work and declare the settings.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import NamedTuple

from placenet_ros.counted import counted
from training.configuration import UserError, parse, run_command


class SubCommand(NamedTuple):
    """Where a sub-command's configuration class and function are, and the line that lists it."""

    module: str
    config_class: str
    function: str
    sentence: str


SUB_COMMANDS = {
    "published": SubCommand(
        "training.conversion.published", "PublishedImport", "import_published", "the authors' House .pt files to shards"
    ),
    "export": SubCommand(
        "training.conversion.export", "HouseExport", "export_houses", "shards to House .pt files, for the authors' code"
    ),
    "gqn": SubCommand("training.conversion.gqn", "GqnImport", "import_gqn", "DeepMind's GQN TFRecords to shards"),
    "images": SubCommand(
        "training.conversion.images", "ImagesImport", "import_images", "a folder of images and a CSV of poses to shards"
    ),
    "bag": SubCommand("training.conversion.bags", "BagImport", "import_bag", "a robot's ROS 1 bag to shards"),
}


def overview() -> str:
    """What `--help` prints without a sub-command."""
    width = max(map(len, SUB_COMMANDS))
    lines = [f"  {name:<{width}}  {command.sentence}" for name, command in SUB_COMMANDS.items()]
    return "\n".join(
        [
            f"usage: python -m training.convert {'|'.join(SUB_COMMANDS)} ... [key=value ...]",
            "",
            *lines,
            "",
            "python -m training.convert COMMAND --help lists what a command takes",
        ]
    )


def main(argv: list[str]) -> None:
    """The command."""
    if not argv or argv[0] in ("-h", "--help"):
        print(overview())
        return
    name, *rest = argv
    if name not in SUB_COMMANDS:
        raise UserError(f"no command '{name}': expected one of {', '.join(SUB_COMMANDS)}")
    command = SUB_COMMANDS[name]
    module = import_module(command.module)  # only the one asked for: some bring libraries that others do not need
    config = parse(getattr(module, command.config_class), rest, program=f"training.convert {name}")
    summary = getattr(module, command.function)(config)
    print(f"{config.out}: {_shown(summary)}", file=sys.stderr)


def _shown(summary: int | tuple) -> str:
    if isinstance(summary, int):
        return counted(summary, "file")
    return (
        f"{counted(summary.trajectories, 'trajectory', 'trajectories')}, {counted(summary.frames, 'frame')}, "
        f"{summary.bytes / 1e6:.1f} MB, {counted(summary.skipped, 'part')} skipped, {summary.seconds:.1f} s"
    )


if __name__ == "__main__":
    run_command(main)
