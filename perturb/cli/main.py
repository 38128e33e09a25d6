"""The command line: `python -m perturb explain …`, `study …`, `evaluate …` and `list …`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from perturb.cli import evaluate, explain, listing, study
from perturb.cli.arguments import Parser
from perturb.core.errors import PerturbError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code: 0, 2 for a user's mistake, 130 for an interrupt."""
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
    parser = Parser(prog="python -m perturb", description="What does a segmenter need to see?", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (explain, study, evaluate, listing):
        command.add(commands)
    return parser
