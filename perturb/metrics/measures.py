"""Attribution maps as arrays: whether they fit, in which form they compare, and how alike two are."""

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
    "none": "The maps as they are, in units of the score. Only for maps that share a unit.",
    "max": "Each map divided by its largest magnitude: how strong a pixel is beside the strongest.",
    "l1": "Each map divided by the sum of its magnitudes: a pixel's share of the whole map.",
    "rank": "Each pixel's place in its map's order, from 0 (least) to 1 (most important); strength and unit are gone.",
}


def auc(fraction: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> float:
    """Area under a curve by the trapezoid over its exact fractions, both `(N,)`, fractions ascending from 0 to 1."""
    return float(np.trapezoid(values, fraction))


def check_map(heatmap: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """A map that belongs to a picture of `shape` (H, W), as float32.

    Raises:
        SettingError: another shape, or values that are not finite numbers.
    """
    values = np.asarray(heatmap)
    if values.shape != shape or values.dtype.kind not in "fiub":
        raise SettingError(
            f"The map does not fit the picture: got shape {values.shape} ({values.dtype}), expected numbers of shape "
            f"{shape}, height by width. Resize the map to the picture, or choose the picture it was made on."
        )
    if not np.isfinite(values).all():
        raise SettingError("The map holds values that are not finite numbers; expected finite ones. Replace NaN by 0.")
    return values.astype(np.float32)


def is_constant(heatmap: Map) -> bool:
    """Whether all values are equal, so that any order of the pixels is as good as any other."""
    return bool((heatmap == heatmap.flat[0]).all())


def top(heatmap: Map, count: int, seed: int = 0) -> Mask:
    """Exactly `count` pixels of the highest rank, bool `(H, W)`; ties are broken by a seeded draw."""
    return np.asarray(order_by(heatmap, seed) < count)


def normalise(heatmap: Map, how: str) -> Matrix:
    """A map in a form that compares with others.

    Args:
        heatmap: signed about 0, `(H, W)`.
        how: a name in `NORMALISATIONS`. `rank` gives equal values their mean place.

    Returns:
        float64 `(H, W)`: in the map's unit for `none`, in [−1, 1] for `max`, with magnitudes that add up to 1 for `l1`,
        in [0, 1] for `rank`. A map that is zero everywhere stays zero, but for `rank`, where all places are ½.

    Raises:
        SettingError: no such normalisation.
    """
    values = heatmap.astype(np.float64)
    if how == "rank":
        return np.asarray((ranks(values) - 1) / max(1, values.size - 1)).reshape(values.shape)
    scales = {"none": 1.0, "max": float(np.abs(values).max()), "l1": float(np.abs(values).sum())}
    if how not in scales:
        raise SettingError(f"There is no normalisation '{how}'; expected one of {', '.join(NORMALISATIONS)}.")
    return values / scales[how] if scales[how] > 0 else values


def top_overlap(maps: Sequence[Map], share: float = 0.1, seed: int = 0) -> Matrix:
    """Share of their top pixels that two maps have in common, of all pairs, float64 `(N, N)` in [0, 1].

    Args:
        maps: N maps `(H, W)`.
        share: of the picture that counts as top.
        seed: of the draw among ties.
    """
    count = max(1, int(share * maps[0].size))
    chosen = np.stack([top(m, count, seed).ravel() for m in maps]).astype(np.float64)
    return chosen @ chosen.T / count


def inverse_distance(a: Map, b: Map) -> float:
    """1 / (1 + Euclidean distance of the two maps, each scaled to [0, 1]); 1 for maps that differ in scale alone.

    A constant map is scaled to 0. Source: the agreement of CAM-NAS, with 1 added so that identical maps score 1.
    """
    return float(1 / (1 + np.linalg.norm(_unit(a) - _unit(b))))


def ssim(a: Map, b: Map) -> float | None:
    """Structural similarity of two maps `(H, W)`, each scaled to [0, 1]; None where one is constant, or under 7 pixels high
    or wide. Source: Wang et al. 2004, by scikit-image with its defaults (7 × 7 windows).
    """
    if is_constant(a) or is_constant(b) or min(a.shape) < 7:
        return None
    return float(structural_similarity(_unit(a), _unit(b), data_range=1.0))  # type: ignore[no-untyped-call]


def _unit(values: Map) -> npt.NDArray[np.float64]:
    low, high = float(values.min()), float(values.max())
    return (values.astype(np.float64) - low) / (high - low) if high > low else np.zeros(values.shape)
