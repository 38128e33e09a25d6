"""Memory that is used again in place of being mapped afresh.

The C library gives large freed pieces back to the system at once, and the next tensor of that size has every page of it
mapped and cleared again, which costs more than many operations that fill it. In a run of hundreds of equal passes the
pieces are always the same ones.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

# From malloc.h of the GNU C library.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_ALL = 2**31 - 1
_HEAP = 64 * 2**20
"""Bytes that the library itself would come to keep at most, and what it takes for a thread at once."""
_USUAL_PAD, _USUAL_MAPS = 128 * 2**10, 65536

_lock = threading.Lock()
_inside = 0


@contextmanager
def kept() -> Iterator[None]:
    """While any thread is inside, memory that is freed stays with the process; afterwards it is given back.

    Does nothing where the C library is not GNU's.
    """
    global _inside
    library = _library()
    if library is None:
        yield
        return
    with _lock:
        _inside += 1
        if _inside == 1:
            _set(library, _ALL, _HEAP, 0)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _set(library, _HEAP, _USUAL_PAD, _USUAL_MAPS)
                library.malloc_trim(0)


def _set(library: ctypes.CDLL, keep: int, pad: int, maps: int) -> None:
    """Bytes kept at the end of a heap, bytes taken beyond what is asked for, and pieces that may be mapped by themselves."""
    for option, value in ((_TRIM_THRESHOLD, keep), (_TOP_PAD, pad), (_MMAP_MAX, maps)):
        library.mallopt(option, value)


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL("libc.so.6")
        _ = library.mallopt, library.malloc_trim
    except (OSError, AttributeError):
        return None
    return library
