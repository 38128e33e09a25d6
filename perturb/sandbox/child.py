"""Entry point of a confined process. The parent runs this file as a script; see `perturb.sandbox.process`.

    child.py ROOT MODULE SOCKET LIFELINE INCOMING OUTGOING MEMORY CPU_SECONDS

`MODULE` has `prepare()`, which does once everything that a task may do, so that nothing is imported or opened later, and
`TASKS`: functions by name, from JSON values and arrays to a JSON value and arrays.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
import threading
import types
from collections.abc import Mapping
from typing import Any


def answer_calls(root: str, module: str, *numbers: str) -> None:
    """Import the tasks, confine this process, and answer until the parent is gone."""
    # Without what the package imports: torch alone takes seconds and half a gigabyte.
    package = types.ModuleType("perturb")
    package.__path__ = [os.path.join(root, "perturb")]
    sys.modules["perturb"] = package
    sys.path.insert(0, root)
    from perturb.sandbox.confine import confine
    from perturb.sandbox.connection import Connection

    number, lifeline, incoming, outgoing, memory, cpu_seconds = map(int, numbers)
    connection = Connection(socket.socket(fileno=number), incoming, outgoing)
    tasks = importlib.import_module(module)
    tasks.prepare()
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    confine(memory, cpu_seconds)
    connection.send("ready")
    while True:
        (name, arguments), arrays = connection.receive()
        try:
            value, made = tasks.TASKS[name](*arguments, *arrays)
            connection.send({"value": value}, made)
        except MemoryError:
            connection.send({"error": "MemoryError"})
        except Exception as error:
            connection.send(_described(error))


def _described(error: Exception) -> Mapping[str, Any]:
    from perturb.core.errors import PerturbError

    known = isinstance(error, PerturbError)
    if isinstance(error.__cause__, MemoryError):
        return {"error": "MemoryError"}
    kind = type(error).__name__ if known else ""
    return {
        "error": kind,
        "text": str(error)[:4000],
        "more": {key: value for key, value in vars(error).items() if known},
    }


def _end_with(lifeline: int) -> None:
    """End this process when the parent closes its end of a pipe or dies, even in the middle of a task."""
    os.read(lifeline, 1)
    os._exit(0)


if __name__ == "__main__":
    answer_calls(*sys.argv[1:])
