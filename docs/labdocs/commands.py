"""Runs the command line as a user does, in this process: loading torch once for each call would take minutes."""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from typing import Any
from unittest.mock import patch


def run(arguments: tuple[str, ...]) -> tuple[int, str, str]:
    """Run `python -m perturb` with these arguments.

    Returns:
        Exit code, standard output, standard error.
    """
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings(), patch.object(sys, "argv", ["perturb"]):
        warnings.filterwarnings("ignore", message=".*found in sys.modules", category=RuntimeWarning)
        sys.argv += arguments
        try:
            runpy.run_module("perturb", run_name="__main__", alter_sys=True)
        except SystemExit as end:
            code = end.code
    return (code if isinstance(code, int) else int(code is not None)), out.getvalue(), err.getvalue()


@cache
def listed(what: str) -> tuple[dict[str, Any], ...]:
    """What `perturb list WHAT --json` prints."""
    code, out, err = run(("list", what, "--json"))
    if code:
        raise RuntimeError(f"'perturb list {what}' failed: {err}")
    return tuple(json.loads(out))


@cache
def help_of(*command: str) -> str:
    """What `perturb COMMAND --help` prints, 88 characters wide, as much as a page of the site shows."""
    with patch.dict(os.environ, {"COLUMNS": "88"}):
        code, out, err = run((*command, "--help"))
    if code:
        raise RuntimeError(f"'perturb {' '.join(command)} --help' failed: {err}")
    return out.replace("python -m perturb", "perturb")


def commands() -> list[str]:
    """The commands, in the order of the help."""
    return re.findall(r"^    ([a-z]+)(?: |$)", help_of(), flags=re.MULTILINE)


def command_line() -> str:
    """A section for each command, with its help."""
    return "\n\n".join(f"## `perturb {name}`\n\n```text\n{help_of(name).rstrip()}\n```" for name in commands())
