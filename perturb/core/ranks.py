"""Ranks of values, and how far the orders of several maps agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def ranks(values: npt.ArrayLike, method: str = "average") -> npt.NDArray[np.float64]:
    """Ranks from 1 of all values together, flat; `method` says what equal ones get, see `scipy.stats.rankdata`."""
    from scipy.stats import rankdata  # takes half a second to import, which a first map need not wait for

    made: npt.NDArray[np.float64] = rankdata(values, method=method).astype(np.float64)
    return made


def spearman(maps: Sequence[npt.NDArray[np.floating[Any]]]) -> npt.NDArray[np.float64]:
    """Spearman's rank correlation of all pairs of N maps `(H, W)`, float64 `(N, N)`; NaN where a map is constant."""
    places = np.stack([ranks(m) for m in maps])
    centred = places - places.mean(1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1)
    lengths[lengths == 0] = np.nan  # a constant map has no order to agree with
    return np.asarray(centred @ centred.T / np.outer(lengths, lengths), dtype=np.float64)
