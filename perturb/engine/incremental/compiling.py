"""Compile the innermost loops with numba on first use. Machine code is cached on disk next to the source.

Modules with such loops are imported where they are used, because importing numba takes half a second. Compiling takes
some seconds once per installation; `python -m perturb.engine.warm_up` does it in advance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    # Sums may be reordered; values that are not finite are preserved.
    "fastmath": {"reassoc", "contract", "nsz"},
}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of arrays and numbers to machine code that releases the GIL. Indices are not checked."""
    try:
        made: Callable[..., Any] = njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # no writable place for the cache
        made = njit(**_OPTIONS)(function)
    return made
