"""Tasks for `test_process`: what a hostile file might make native code do."""

import ctypes
import os
import signal
import socket
import time

import numpy as np

from perturb.core.errors import ImageError, LabelError


def echo(value, *arrays):
    return value, list(arrays)


def allocate(blocks):
    return len([np.ones(10_000_000, dtype=np.uint8) for _ in range(blocks)]), []


def sleep(seconds):
    time.sleep(seconds)
    return seconds, []


def spin():
    while True:
        pass


def crash(number):
    signal.raise_signal(signal.SIGSEGV) if number is None else ctypes.string_at(number)


def abort():
    os.abort()


def refuse(values):
    if values:
        raise LabelError("no classes", tuple(values), 0.5)
    raise ImageError("no image")


def fail():
    raise RuntimeError("broken code")


def escape():
    """Names of the ways out of the process that worked."""
    ways = {
        "read a file": lambda: open("/etc/hostname").close(),
        "write a file": lambda: open("/tmp/perturb-escaped", "w").close(),
        "list a folder": lambda: os.listdir("/"),
        "open a socket": lambda: socket.socket().close(),
        "fork": os.fork,
        "start a program": lambda: os.execv("/bin/true", ["true"]),
        "signal its parent": lambda: os.kill(os.getppid(), 0),
        "remove a file": lambda: os.remove("/tmp/perturb-escaped"),
    }
    worked = []
    for name, way in ways.items():
        try:
            way()
        except OSError:
            continue
        worked.append(name)
    return worked, []


def environment():
    return dict(os.environ), []


def forge(kind):
    """Write to the parent past the protocol, as an attacker in this process would."""
    import gc

    from perturb.sandbox.connection import Connection

    (channel,) = (each for each in gc.get_objects() if isinstance(each, Connection))
    messages = {
        "no JSON": b"\xff\xfe",
        "deep": b"[" * 100_000,
        "array elsewhere": b'[{"value": 1}, [["<f8", [1000000000], 0]]]',
        "negative array": b'[{"value": 1}, [["<f8", [-1], 0]]]',
        "object array": b'[{"value": 1}, [["|O", [1], 0]]]',
        "array of an array": b'[{"value": 1}, [["<f8", [[1]], 0]]]',
        "no answer": b"[5, []]",
        "unknown error": b'[{"error": "SystemExit", "text": "0"}, []]',
        "wrong values": b'[{"error": "LabelError", "text": "x", "more": {"values": "x", "share": []}}, []]',
    }
    if kind == "endless":
        channel._socket.sendall((1 << 60).to_bytes(8, "little"))
    else:
        text = messages[kind]
        channel._socket.sendall(len(text).to_bytes(8, "little") + text)
    time.sleep(60)


TASKS = {
    name: globals()[name]
    for name in (
        "echo", "allocate", "sleep", "spin", "crash", "abort", "refuse", "fail", "escape", "environment", "forge",
    )
}  # fmt: skip


def prepare():
    """Nothing is imported later."""
