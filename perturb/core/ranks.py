"""Ranks, and the rank correlation of maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def ranks(values: npt.ArrayLike, method: str = "average") -> npt.NDArray[np.float64]:
    """Ranks of all values, from 1, flattened; `method` ranks ties as in `scipy.stats.rankdata`."""
    from scipy.stats import rankdata  # takes half a second to import, which would delay the first map

    result: npt.NDArray[np.float64] = rankdata(values, method=method).astype(np.float64)
    return result


def spearman(maps: Sequence[npt.NDArray[np.floating[Any]]]) -> npt.NDArray[np.float64]:
    """Spearman's rank correlation of all pairs of N maps `(H, W)`: float64 `(N, N)`, NaN for constant maps."""
    places = np.stack([ranks(m) for m in maps])
    centred = places - places.mean(1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1)
    lengths[lengths == 0] = np.nan  # a constant map has no order
    return np.asarray(centred @ centred.T / np.outer(lengths, lengths), dtype=np.float64)
