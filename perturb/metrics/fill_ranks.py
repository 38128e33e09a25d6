"""Does the ranking of the methods depend on what hides the pixels? Deletion and insertion under two fills.

The fills are Gaussian blur, the default of the curves, and noisy linear imputation (Rong et al. 2022, ROAD). Neither cuts
flat holes, whose edges and colour a segmenter can take for an object. They err in different directions: blur leaves the
colours of what it hides and destroys detail everywhere alike; imputation leaves no trace of what it hides, but restores
scattered pixels almost perfectly from their neighbours.

ROAD's images are those of deletion and insertion under imputation, so no forward passes are added. MoRF hides the most
relevant 10, 20, … 90 % as deletion does, and LeRF hides the least relevant, which is insertion read backwards. Both ends,
the clean image and everything hidden, are the same for all maps, so that with m for a map's mean over the nine levels and
e for the score with everything hidden the area of 10 steps is (½ + 9·m + ½·e)/10: the ranks by MoRF and LeRF are the ranks
by the areas under the curves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from perturb.core.ranks import spearman
from perturb.metrics.registry import METRICS
from perturb.metrics.verdict import FALL, SMALLEST_GAP

FILLS = ("blur", "linear")
FILL_TITLES = {"blur": "Gaussian blur", "linear": "noisy linear imputation"}
ORDERS = {"deletion": ("deletion_auc", "road_morf"), "insertion": ("insertion_auc", "road_lerf")}
"""By order of hiding, the metric under each of `FILLS`."""
FEWEST = 3
"""Methods from which on a rank correlation is given: that of two is 1 or −1."""
LOW = 0.5
"""A rank correlation under this is called out."""


@dataclass(frozen=True)
class FillRanks:
    """The methods ranked by one order of hiding under two fills.

    Attributes:
        order: `deletion` or `insertion`.
        metrics: names of the metrics, in the order of `FILLS`.
        values: by method, the metric under each fill.
        ranks: by method, its rank under each fill, 1 for the best; equal values share the better rank.
        best: under each fill, the methods within `SMALLEST_GAP` of the best value, best first.
        rho: Spearman's rank correlation of the two rankings, from −1 to 1; None for fewer than three methods, or where all
            values under a fill are equal.
        flat: the fills under which hiding hardly lowers the score, so that their ranking says nothing.
    """

    order: str
    metrics: tuple[str, str]
    values: dict[str, tuple[float, float]]
    ranks: dict[str, tuple[int, int]]
    best: tuple[tuple[str, ...], tuple[str, ...]]
    rho: float | None
    flat: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether no method is among the best under both fills; False where a ranking says nothing."""
        return not self.flat and not set(self.best[0]) & set(self.best[1])

    @property
    def statement(self) -> str:
        """Whether the fills agree, in a sentence or two."""
        if self.flat:
            fills = " and ".join(FILL_TITLES[fill] for fill in self.flat)
            return (
                f"Cannot tell by {self.order}: under {fills} hiding lowers the score by less than {FALL:.0%} of its clean "
                "value, so the ranking says nothing."
            )
        correlation = (
            "" if self.rho is None else f"rank correlation ρ = {_signed(self.rho)} over {len(self.ranks)} methods"
        )
        if self.differs:
            first = (self.best[0][0], self.best[1][0])
            other = (self.ranks[first[0]][1], self.ranks[first[1]][0])
            said = (
                f"Which map is best by {self.order} depends on what hides the pixels: {first[0]} under {FILL_TITLES['blur']} "
                f"(rank {other[0]} under {FILL_TITLES['linear']}), {first[1]} under {FILL_TITLES['linear']} (rank {other[1]} "
                f"under {FILL_TITLES['blur']})"
            )
            return f"{said}; {correlation}." if correlation else f"{said}."
        both = [name for name in self.best[0] if name in self.best[1]]
        said = f"By {self.order}, both fills put {' and '.join(both)} first or within {SMALLEST_GAP:g} of it"
        if not correlation:
            return f"{said}."
        more = ", but they rank the others differently" if self.rho is not None and self.rho < LOW else ""
        return f"{said}{more}; {correlation}."


def fill_ranks(
    methods: Sequence[tuple[str, Mapping[str, float | None]]],
    ranks: Callable[[str], Mapping[str, int]],
    informative: Callable[[str], bool],
) -> tuple[FillRanks, ...]:
    """Rank the methods of a comparison under both fills, by deletion and by insertion.

    Args:
        methods: name and values by metric of each, None for n/a.
        ranks: the rank of each method on a metric, see `Faithfulness.ranks`.
        informative: whether a metric can tell maps apart, see `Faithfulness.informative`.

    Returns:
        One entry for each order of hiding whose two metrics were measured; none for fewer than two methods.
    """
    names = [name for name, _ in methods]
    if len(names) < 2:
        return ()
    found = []
    for order, metrics in ORDERS.items():
        known = [[own.get(metric) for metric in metrics] for _, own in methods]
        values = np.array([[np.nan if value is None else value for value in row] for row in known], dtype=np.float64)
        if np.isnan(values).any():
            continue
        places = [ranks(metric) for metric in metrics]
        first, second = (_best(names, values[:, index], metric) for index, metric in enumerate(metrics))
        found.append(
            FillRanks(
                order,
                metrics,
                {name: (float(a), float(b)) for name, (a, b) in zip(names, values, strict=True)},
                {name: (places[0][name], places[1][name]) for name in names},
                (first, second),
                _correlation(values),
                tuple(fill for fill, metric in zip(FILLS, metrics, strict=True) if not informative(metric)),
            )
        )
    return tuple(found)


def _best(names: list[str], values: np.ndarray[tuple[int], np.dtype[np.float64]], metric: str) -> tuple[str, ...]:
    cost = values if METRICS[metric].better == "lower" else -values
    order = np.argsort(cost, kind="stable")
    return tuple(names[index] for index in order if cost[index] - cost.min() <= SMALLEST_GAP)


def _correlation(values: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float | None:
    if len(values) < FEWEST:
        return None
    rho = float(spearman(list(values.T))[0, 1])
    return rho if np.isfinite(rho) else None


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
