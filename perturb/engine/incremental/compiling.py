"""How the innermost loops are compiled: by numba, when first used; what it makes is kept on disk beside the source.

Modules with such loops are imported where they are used, because numba takes half a second to import. Compiling takes some
seconds, once for each installation; `python -m perturb.engine.warm_up` does it ahead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

_TOLD: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    # Sums in any order; what is not finite stays so.
    "fastmath": {"reassoc", "contract", "nsz"},
}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of arrays and numbers as machine code, which holds no interpreter lock. Indices are not checked."""
    try:
        made: Callable[..., Any] = njit(cache=True, **_TOLD)(function)
    except RuntimeError:  # there is no place to keep it: all is read-only
        made = njit(**_TOLD)(function)
    return made
