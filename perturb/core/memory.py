"""Keep freed memory in the process during a run, so that the allocator can reuse it.

The C library returns large freed blocks to the system at once. The next tensor of that size then has all its pages
mapped and cleared again, which costs more than many of the operations that fill it. In a run of hundreds of equal
passes the blocks always have the same sizes.
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
"""Bytes: the library's own upper limit of what it keeps, and the size of a thread's heap."""
_USUAL_PAD, _USUAL_MAPS = 128 * 2**10, 65536


def _keep() -> Callable[[], object]:
    library = _library()
    if library is None:
        return lambda: None
    _set(library, _ALL, _HEAP, 0)

    def release() -> None:
        _set(library, _HEAP, _USUAL_PAD, _USUAL_MAPS)
        library.malloc_trim(0)

    return release


kept = Shared(_keep)
"""While any thread is inside, freed memory stays with the process; afterwards it is returned to the system.

Does nothing if the C library is not the GNU one.
"""


def _set(library: ctypes.CDLL, keep: int, pad: int, maps: int) -> None:
    """Set how many bytes are kept at the end of a heap, how many are requested in advance, and how many blocks may be
    mapped on their own."""
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
