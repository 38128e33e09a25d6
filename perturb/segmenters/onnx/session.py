"""Load an ONNX file into onnxruntime; an untrusted file first in a separate process.

The static checks (`perturb.segmenters.onnx.checks`) cannot exclude everything: a few bytes can expand to gigabytes
while they are parsed, optimised or run. So an untrusted file is loaded and run once in a process with limits on memory
and time. A malicious file can only crash that process.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np

from perturb.core.errors import SegmenterError
from perturb.segmenters.onnx.checks import HOW, first_line
from perturb.segmenters.onnx.runtime import import_packages, onnxruntime
from perturb.segmenters.onnx.spec import read_spec

MEMORY = 4_000_000_000
"""Memory limit of loading and one run, in bytes."""
SECONDS = 60
"""Limit of their CPU time, in seconds."""
LOADED = 3
"""Number of networks that stay loaded; the least recently used one is unloaded first."""
TYPES = {"FLOAT": np.float32, "FLOAT16": np.float16, "DOUBLE": np.float64, "UINT8": np.uint8}

_ONE_AT_A_TIME = threading.Lock()
_ROOT = Path(__file__).resolve().parents[3]
_OTHER = """
import sys, types
sys.modules["perturb"] = types.ModuleType("perturb")  # without what it imports: torch alone takes seconds
sys.modules["perturb"].__path__ = ["perturb"]
from perturb.segmenters.onnx.session import try_out
height, width, name, memory = sys.argv[1:]
sys.exit(try_out(int(height), int(width), name, int(memory)))
"""


def open_session(data: bytes, name: str, threads: int) -> onnxruntime.InferenceSession:
    """Load a network on the CPU.

    Raises:
        SegmenterError: onnxruntime cannot load it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin while they wait for work take CPU time from everything else.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The arena never frees the memory of the largest batch, and the memory pattern is planned for one shape.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = 4  # errors are raised anyway
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except MemoryError as error:
        raise SegmenterError(f"'{name}' needs more memory than is available. Export a smaller network.") from error
    except Exception as error:  # onnxruntime raises several kinds of errors, all caused by the file
        raise SegmenterError(f"onnxruntime cannot load '{name}': {first_line(error)}. {HOW}") from error


SESSIONS: OrderedDict[str, onnxruntime.InferenceSession] = OrderedDict()
"""The loaded networks by the digest of their file, the least recently used one first."""
_LOADING = threading.Lock()


def shared_session(digest: str, data: bytes, name: str, threads: int) -> onnxruntime.InferenceSession:
    """The session of a file, shared by all its users; at most `LOADED` sessions exist at a time.

    Args:
        digest: digest of the file.
        data, name, threads: as in `open_session`, with its errors.
    """
    with _LOADING:
        if digest not in SESSIONS:
            while len(SESSIONS) >= LOADED:
                SESSIONS.popitem(last=False)
            SESSIONS[digest] = open_session(data, name, threads)
        SESSIONS.move_to_end(digest)
        return SESSIONS[digest]


def rehearse(data: bytes, height: int, width: int, name: str = "the file", *, memory: int = MEMORY) -> float | None:
    """Check a file, load it and run it once, in a separate process.

    A failed run is not an error: the graph may need an image of another size.

    Args:
        data: bytes of the file.
        height, width: size of the image to run it on, unless the graph has a fixed size.
        name: name of the file in messages.
        memory: memory limit in bytes.

    Returns:
        Duration of the run on one thread, in seconds; None if it failed.

    Raises:
        SegmenterError: the file is rejected, exceeded the limits on memory or time, or crashed the process.
    """
    command = [sys.executable, "-c", _OTHER, str(height), str(width), name, str(memory)]
    try:
        with _ONE_AT_A_TIME:
            done = subprocess.run(command, input=data, capture_output=True, cwd=_ROOT, timeout=4 * SECONDS, check=False)
        code, words = done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired:
        code, words = 1, ""
    if code == 2:
        raise SegmenterError(words)
    if code != 0:
        raise SegmenterError(
            f"'{name}' could not be loaded and run once within {memory / 1e9:g} GB of memory and {SECONDS} s of CPU "
            "time; it was not loaded here. Export a smaller network, or one for a smaller image."
        )
    return float(words) if words else None


def try_out(height: int, width: int, name: str, memory: int) -> int:
    """Entry point of the separate process.

    It writes to stdout the duration of the run in seconds, nothing if the run failed, or why the file is rejected.

    Returns:
        Exit status: 0 on success or if only the run failed, 1 if memory ran out, 2 if the file is rejected.
    """
    try:
        import_packages()  # before the limits are set, which are for the file alone
        if sys.platform != "win32":  # Windows has no such limits
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        data = sys.stdin.buffer.read()
        graph = read_spec(data, name)
        session = open_session(data, name, 1)
        sides = graph.spec.size or (height, width)
        shape = (1, graph.colours, *sides) if graph.spec.layout == "NCHW" else (1, *sides, graph.colours)
        began = time.perf_counter()
        session.run([graph.spec.output], {graph.spec.input: np.zeros(shape, dtype=TYPES[graph.dtype])})
        sys.stdout.write(f"{time.perf_counter() - began:.6f}")
    except MemoryError:
        return 1
    except SegmenterError as error:
        sys.stdout.buffer.write(str(error).encode())
        return 1 if _short_of_memory(error) else 2
    except Exception as error:
        return 1 if _short_of_memory(error) else 0
    return 0


def _short_of_memory(error: Exception) -> bool:
    return isinstance(error.__cause__, MemoryError) or "alloc" in str(error).lower()
