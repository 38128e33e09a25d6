"""Load an ONNX file into onnxruntime."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np

from perturb.core.errors import SegmenterError
from perturb.segmenters.onnx.checks import HOW, first_line
from perturb.segmenters.onnx.runtime import onnxruntime

LOADED = 3
"""Number of networks that stay loaded; the least recently used one is unloaded first."""
TYPES = {"FLOAT": np.float32, "FLOAT16": np.float16, "DOUBLE": np.float64, "UINT8": np.uint8}


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
    except Exception as error:  # onnxruntime raises several kinds of errors, all caused by the file
        check_for_memory(error, name)
        raise SegmenterError(f"onnxruntime cannot load '{name}': {first_line(error)}. {HOW}") from error


def check_for_memory(error: Exception, name: str) -> None:
    """Say it in words if onnxruntime failed because memory ran out.

    Raises:
        SegmenterError: it did. Its cause is a `MemoryError`.
    """
    if isinstance(error, MemoryError) or "bad_alloc" in str(error) or "Failed to allocate memory" in str(error):
        raise SegmenterError(
            f"'{name}' needs more memory than is available. Use a smaller image, or export a smaller network."
        ) from MemoryError(str(error))


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
