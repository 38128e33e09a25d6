"""The command line: `perturb explain …`, `study …`, `evaluate …`, `lab …` and `list …`, or `python -m perturb …`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from perturb.cli import evaluate, explain, lab, listing, study
from perturb.cli.arguments import Parser
from perturb.core.errors import PerturbError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code: 0 for success, 2 for a user error, 130 for an interrupt."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except PerturbError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(str(stop) or "stopped; nothing was written", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    description = "Attribution maps for semantic segmenters, and tests of whether they are faithful."
    parser = Parser(prog=_program(), description=description, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (explain, study, evaluate, lab, listing):
        command.add(commands)
    return parser


def _program() -> str:
    """The name by which the program was started, for its messages."""
    return "perturb" if Path(sys.argv[0]).stem == "perturb" else "python -m perturb"
