"""Attribution maps as arrays: validation, normalisation and similarity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

from perturb.core.errors import SettingError
from perturb.core.ranks import ranks
from perturb.perturbations.masks import order_by

Map = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]
Matrix = npt.NDArray[np.float64]

NORMALISATIONS = {
    "none": "The maps unchanged, in units of the score. Only for maps with the same unit.",
    "max": "Each map divided by its largest magnitude: the strength of a pixel relative to the strongest.",
    "l1": "Each map divided by the sum of its magnitudes: the share of a pixel in the whole map.",
    "rank": "The rank of each pixel in its map, from 0 (least) to 1 (most important); magnitude and unit are lost.",
}
"""The normalisations by name, each with an explanation for users."""


def auc(fraction: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> float:
    """Area under a curve by the trapezoidal rule.

    Args:
        fraction: float64 `(N,)`, ascending from 0 to 1.
        values: float64 `(N,)`, such as scores.
    """
    return float(np.trapezoid(values, fraction))


def check_map(heatmap: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Validate a map for an image of `shape` (H, W), and return it as float32.

    Raises:
        SettingError: the shape differs, or values are not finite numbers.
    """
    values = np.asarray(heatmap)
    if values.shape != shape or values.dtype.kind not in "fiub":
        raise SettingError(
            f"The map does not fit the image: got shape {values.shape} ({values.dtype}), expected numbers of shape "
            f"{shape}, height by width. Resize the map to the image, or choose the image that it explains."
        )
    if not np.isfinite(values).all():
        raise SettingError("The map contains NaN or infinite values; expected finite numbers. Replace NaN by 0.")
    return values.astype(np.float32)


def is_constant(heatmap: Map) -> bool:
    """Whether all values are equal, so that the map does not rank the pixels."""
    return bool((heatmap == heatmap.flat[0]).all())


def top(heatmap: Map, count: int, seed: int = 0) -> Mask:
    """The `count` pixels with the highest values, bool `(H, W)`; ties are broken by a seeded draw."""
    return np.asarray(order_by(heatmap, seed) < count)


def normalise(heatmap: Map, how: str) -> Matrix:
    """Normalise a map for comparison with others.

    Args:
        heatmap: `(H, W)`, signed, 0 meaning no effect.
        how: a name in `NORMALISATIONS`. With `rank`, equal values share their mean rank.

    Returns:
        float64 `(H, W)`: in the map's unit for `none`, in [−1, 1] for `max`, with magnitudes that add up to 1 for `l1`,
        in [0, 1] for `rank`. A map that is zero everywhere stays zero, except that `rank` gives ½ everywhere.

    Raises:
        SettingError: there is no such normalisation.
    """
    values = heatmap.astype(np.float64)
    if how == "rank":
        return np.asarray((ranks(values) - 1) / max(1, values.size - 1)).reshape(values.shape)
    scales = {"none": 1.0, "max": float(np.abs(values).max()), "l1": float(np.abs(values).sum())}
    if how not in scales:
        raise SettingError(f"There is no normalisation '{how}'; expected one of {', '.join(NORMALISATIONS)}.")
    return values / scales[how] if scales[how] > 0 else values


def top_overlap(maps: Sequence[Map], share: float = 0.1, seed: int = 0) -> Matrix:
    """Share of the top pixels that two maps have in common, for all pairs, float64 `(N, N)` in [0, 1].

    Args:
        maps: N maps `(H, W)`.
        share: share of the image that counts as top, in (0, 1].
        seed: of the draw among ties.
    """
    count = max(1, int(share * maps[0].size))
    chosen = np.stack([top(m, count, seed).ravel() for m in maps]).astype(np.float64)
    return chosen @ chosen.T / count


def inverse_distance(a: Map, b: Map) -> float:
    """1 / (1 + Euclidean distance of the two maps `(H, W)`, each scaled to [0, 1]); in (0, 1].

    Maps that differ only in scale and offset score 1. A constant map is scaled to 0. Source: the agreement of CAM-NAS,
    with 1 added so that identical maps score 1.
    """
    return float(1 / (1 + np.linalg.norm(_unit(a) - _unit(b))))


def ssim(a: Map, b: Map) -> float | None:
    """Structural similarity of two maps `(H, W)`, each scaled to [0, 1].

    None if one is constant, or if they are less than 7 pixels high or wide. Source: Wang et al. 2004, computed by
    scikit-image with its defaults (7 × 7 windows).
    """
    if is_constant(a) or is_constant(b) or min(a.shape) < 7:
        return None
    return float(structural_similarity(_unit(a), _unit(b), data_range=1.0))  # type: ignore[no-untyped-call]


def _unit(values: Map) -> npt.NDArray[np.float64]:
    low, high = float(values.min()), float(values.max())
    return (values.astype(np.float64) - low) / (high - low) if high > low else np.zeros(values.shape)
