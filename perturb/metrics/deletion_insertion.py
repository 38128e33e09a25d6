"""Areas under the deletion and insertion curves of a map, and of random orders."""

from __future__ import annotations

from collections.abc import Sequence

from perturb.metrics.base import MapScores, Metric, MetricInput, Stream
from perturb.metrics.curves import FILL, Curve, CurveMasks, Order, random_orders
from perturb.metrics.verdict import SMALLEST_GAP, falls
from perturb.perturbations.masks import Masks
from perturb.targets.readings import Readings

FILL_ASSUMPTION = "The segmenter behaves sensibly on filled images. An unnatural fill measures its own effect."


class MapCurves(Stream):
    """Images of the deletion and insertion curves of a map."""

    fill = FILL

    def parts(self, rank: Order, seed: int) -> Sequence[Masks]:  # noqa: ARG002 — nothing is drawn
        self._points = CurveMasks(rank)
        return (self._points,)

    def curves(self, readings: Readings, clean: Readings) -> dict[str, Curve]:
        return self._points.curves(readings, clean)


class RandomCurves(MapCurves):
    """Images of the deletion and insertion curves of random orders, the same for every map."""

    def parts(self, rank: Order, seed: int) -> Sequence[Masks]:
        self._points = CurveMasks(None, random_orders(rank.shape, seed))
        return (self._points,)


class CurveArea(Metric):
    """Area under a curve of `CurveMasks.curves`.

    Args:
        kind: `deletion` or `insertion`.
        iou: whether to use the IoU instead of the score.
    """

    group = "curves"
    assumptions = f"{FILL_ASSUMPTION} The fill is the blurred image."
    gamed = "A map that only marks where the fill itself does harm, such as edges, scores well."
    cost = "39 for deletion and insertion together"
    citation = "Petsiuk et al. 2018 (RISE), sec. 3.3, over the exact fraction of pixels"
    streams = (MapCurves,)
    margin = SMALLEST_GAP

    def __init__(self, kind: str, *, iou: bool = False) -> None:
        action, self.better = ("hidden", "lower") if kind == "deletion" else ("restored", "higher")
        self.curve, self.iou = kind, iou
        self.name = f"{kind}_iou_auc" if iou else f"{kind}_auc"
        self.title = f"{kind.capitalize()} AUC{' (IoU)' if iou else ''}"
        what = "IoU with the clean mask" if iou else "score"
        self.summary = f"Area under the {what} as pixels are {action}, the most important first."
        if iou:
            self.formula, self.range = f"∫ IoU d(fraction {action}), trapezoid", "0 to 1"
            return
        moves = "fall" if kind == "deletion" else "rise"
        self.summary += f" A faithful map makes the score {moves} early."
        self.formula = f"∫ S(x')/S(x) d(fraction {action}), mean probability, trapezoid"
        self.range = "0 to about 1"

    def value(self, given: MetricInput) -> float:
        curve = given.curves[self.curve]
        return curve.iou_auc if self.iou else curve.auc

    def informative(self, maps: Sequence[MapScores]) -> bool:
        """Whether the score falls along a curve of any map; for the IoU, the score and the IoU must fall."""
        curves = [each.curves["deletion"] for each in maps if "deletion" in each.curves]
        # Reversed, an insertion curve starts at the clean image, as a deletion curve does.
        curves += [each.curves["insertion"].backwards() for each in maps if "insertion" in each.curves]
        if self.iou and not any(falls(curve.iou[0], "iou") for curve in curves):
            return False
        return any(falls(curve.score[0]) for curve in curves)


class RandomCurveArea(CurveArea):
    """Area under the curve of random orders, averaged over the draws.

    Args:
        kind: `deletion` or `insertion`.
    """

    cost = "58 for three random orders, deletion and insertion together"
    streams = (RandomCurves,)

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.better, self.curve = "control", f"random_{kind}"
        self.name, self.title = f"random_{kind}_auc", f"Random {kind} AUC"
        expected = "lower" if kind == "deletion" else "higher"
        self.summary = f"The {kind} AUC of random orders, averaged over several draws. A useful map is {expected}."
        self.formula = f"{kind} AUC of a random permutation"
