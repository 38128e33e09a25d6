"""Whether the ranking of the methods depends on the fill: deletion and insertion under two fills.

The fills are Gaussian blur, the default of the curves, and noisy linear imputation (Rong et al. 2022, ROAD). Neither
leaves flat areas, whose edges and colour a segmenter can take for an object. They err in different ways: blur keeps the
colours of what it hides and removes detail everywhere; imputation leaves no trace of what it hides, but restores
scattered pixels almost perfectly from their neighbours.

The images of ROAD are those of deletion and insertion under imputation, so no forward passes are added. MoRF hides the
most relevant 10, 20, … 90 %, as deletion does. LeRF hides the least relevant, which is insertion in reverse. Both ends,
the clean image and everything hidden, are the same for all maps. With m for the mean of a map over the nine levels and e
for the score with everything hidden, the area of 10 steps is (½ + 9·m + ½·e)/10. The ranks by MoRF and LeRF are therefore
the ranks by the areas under the curves.
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
"""The metric under each of `FILLS`, by order of hiding."""
FEWEST = 3
"""Smallest number of methods for a rank correlation; that of two is always 1 or −1."""
LOW = 0.5
"""Rank correlations below this are mentioned as low."""


@dataclass(frozen=True)
class FillRanks:
    """The methods ranked by one order of hiding under two fills.

    Attributes:
        order: `deletion` or `insertion`.
        metrics: names of the metrics, in the order of `FILLS`.
        values: the metric under each fill, by method.
        ranks: the rank under each fill, by method, 1 for the best; equal values share the better rank.
        best: under each fill, the methods within `SMALLEST_GAP` of the best value, best first.
        rho: Spearman's rank correlation of the two rankings, in [−1, 1]; None for fewer than three methods, or if all
            values under a fill are equal.
        flat: the fills under which hiding hardly lowers the score, so that their ranking is meaningless.
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
        """Whether no method is among the best under both fills; False if a ranking is meaningless."""
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
            sentence = (
                f"Which map is best by {self.order} depends on the fill: {first[0]} under {FILL_TITLES['blur']} "
                f"(rank {other[0]} under {FILL_TITLES['linear']}), {first[1]} under {FILL_TITLES['linear']} (rank {other[1]} "
                f"under {FILL_TITLES['blur']})"
            )
            return f"{sentence}; {correlation}." if correlation else f"{sentence}."
        both = [name for name in self.best[0] if name in self.best[1]]
        sentence = (
            f"By {self.order}, both fills rank {' and '.join(both)} first or within {SMALLEST_GAP:g} of the first"
        )
        if not correlation:
            return f"{sentence}."
        more = ", but they rank the others differently" if self.rho is not None and self.rho < LOW else ""
        return f"{sentence}{more}; {correlation}."


def fill_ranks(
    methods: Sequence[tuple[str, Mapping[str, float | None]]],
    ranks: Callable[[str], Mapping[str, int]],
    informative: Callable[[str], bool],
) -> tuple[FillRanks, ...]:
    """Rank the methods of a comparison under both fills, by deletion and by insertion.

    Args:
        methods: name of each method, and its values by metric, None where undefined.
        ranks: gives the rank of each method on a metric, see `Faithfulness.ranks`.
        informative: whether a metric can distinguish the maps, see `Faithfulness.informative`.

    Returns:
        One entry for each order of hiding for which both metrics were computed; none for fewer than two methods.
    """
    names = [name for name, _ in methods]
    if len(names) < 2:
        return ()
    rankings = []
    for order, metrics in ORDERS.items():
        known = [[own.get(metric) for metric in metrics] for _, own in methods]
        values = np.array([[np.nan if value is None else value for value in row] for row in known], dtype=np.float64)
        if np.isnan(values).any():
            continue
        places = [ranks(metric) for metric in metrics]
        first, second = (_best(names, values[:, index], metric) for index, metric in enumerate(metrics))
        rankings.append(
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
    return tuple(rankings)


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
