"""Commands on data sets: `python -m training.data check DATA`."""

from __future__ import annotations

from training.configuration import UserError, parse, run_command
from training.data.check import CheckConfig, check

USAGE = "usage: python -m training.data check DATA [key=value ...]; python -m training.data check --help lists the keys"


def main(argv: list[str]) -> None:
    """The command."""
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE)
    elif argv[0] == "check":
        check(parse(CheckConfig, argv[1:], program="training.data check"))
    else:
        raise UserError(f"no command '{argv[0]}': {USAGE}")


if __name__ == "__main__":
    run_command(main)
