"""Memory that is used again in place of being mapped afresh.

The C library gives large freed pieces back to the system at once, and the next tensor of that size has every page of it
mapped and cleared again, which costs more than many operations that fill it. In a run of hundreds of equal passes the
pieces are always the same ones.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import lru_cache

from perturb.core.shared import Shared

# From malloc.h of the GNU C library.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_ALL = 2**31 - 1
_HEAP = 64 * 2**20
"""Bytes that the library itself would come to keep at most, and what it takes for a thread at once."""
_USUAL_PAD, _USUAL_MAPS = 128 * 2**10, 65536


def _keep() -> Callable[[], object]:
    library = _library()
    if library is None:
        return lambda: None
    _set(library, _ALL, _HEAP, 0)

    def give_back() -> None:
        _set(library, _HEAP, _USUAL_PAD, _USUAL_MAPS)
        library.malloc_trim(0)

    return give_back


kept = Shared(_keep)
"""While any thread is inside, memory that is freed stays with the process; afterwards it is given back. Does nothing where the
C library is not GNU's."""


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
