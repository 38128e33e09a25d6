"""A card for each metric: what the number means, and what it does not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Better = Literal["lower", "higher", "read", "control"]
Group = Literal["curves", "road", "subject", "localisation", "concentration", "errors", "cost"]


@dataclass(frozen=True)
class Metric:
    """What a number says about a map.

    Attributes:
        name: as in tables, records and on the command line.
        title: for people.
        group: what is computed together: numbers of one group share their forward passes.
        better: the direction of a better map; `read` for a property that is neither good nor bad; `control` for a value
            to compare with.
        summary: what it measures, in one plain sentence.
        formula: how it is computed.
        range: which values it takes.
        assumptions: what must hold for it to mean that.
        gamed: how a bad map can look good on it.
        cost: forward passes for one map, in words.
        citation: where it comes from.
    """

    name: str
    title: str
    group: Group
    better: Better
    summary: str
    formula: str
    range: str
    assumptions: str
    gamed: str
    cost: str
    citation: str

    @property
    def arrow(self) -> str:
        """↓, ↑, or nothing for what is not ranked."""
        return {"lower": "↓", "higher": "↑"}.get(self.better, "")

    def as_dict(self) -> dict[str, Any]:
        """The card as plain data, for JSON."""
        return {**asdict(self), "arrow": self.arrow}


_RISE = "Petsiuk et al. 2018 (RISE), sec. 3.3, over the exact fraction of pixels"
_ROAD = "Rong et al. 2022 (ROAD), sec. 4"
_KEEP = "Chattopadhay et al. 2018 (Grad-CAM++), sec. 4.1, with the masks of the map's highest ranks"
_CURVE_COST = "half of 39: deletion and insertion share them and their ends"
_OFF = "The filled picture is one the segmenter can judge; a strange fill measures the strangeness."
_SHARP = "A map that only finds where the fill itself does harm, edges for instance, scores well."


def _curve(name: str, title: str, better: Better, summary: str, formula: str, range_: str = "0 to about 1") -> Metric:
    return Metric(
        name, title, "curves", better, summary, formula, range_, f"{_OFF} Hidden with the blurred picture.",
        _SHARP, _CURVE_COST, _RISE,
    )  # fmt: skip


def _road(name: str, title: str, better: Better, summary: str, formula: str, range_: str = "0 to about 1") -> Metric:
    return Metric(
        name, title, "road", better, summary, formula, range_,
        "Imputed pixels carry no hint of where pixels were hidden; a smooth surface with a little noise nearly does that.",
        "A map of scattered points is imputed almost perfectly from their neighbours: MoRF then looks bad for a true map.",
        "9 an order", _ROAD,
    )  # fmt: skip


def _keep(side: str, fill: str, kind: str) -> Metric:
    rise = kind == "increase"
    better: Better = "higher" if rise == (side == "b") else "lower"
    word = "rises above" if rise else "drops below"
    kept = "With the background hidden" if side == "b" else "With the map's subject hidden"
    gamed = (
        "On one picture the increase is all or nothing, and noise can decide it."
        if rise
        else "A segmenter that sees the class in the fill itself never drops."
    )
    flat = (
        "Scattered flat pixels destroy any picture: a random map scores high." if fill == "flat" and side == "s" else ""
    )
    with_what = "the picture's mean colour" if fill == "flat" else "noisy linear imputation"
    return Metric(
        f"{kind}_{side}_{fill}",
        f"% {kind} {side}, {fill}",
        "subject",
        better,
        f"{kept}, {'how often' if rise else 'by how many percent'} the probability {word} the clean one.",
        "100 · [Y < O]" if rise else "100 · max(0, Y − O) / Y",
        "0 or 100 on one picture, a share in % over many" if rise else "0 to 100 %",
        f"{_OFF} Hidden with {with_what}; the subject is the fixed share of the picture that the map ranks highest.",
        f"{gamed} {flat}".strip(),
        "1",
        _KEEP,
    )


def _place(name: str, title: str, summary: str, formula: str, gamed: str, citation: str) -> Metric:
    return Metric(
        name, title, "localisation", "higher", summary, formula, "0 to 1",
        "The segmenter should look at the object itself. One that rightly uses context, or a shortcut, is scored down.",
        gamed, "none", citation,
    )  # fmt: skip


def _shape(name: str, title: str, summary: str, formula: str, range_: str, gamed: str, citation: str) -> Metric:
    return Metric(
        name, title, "concentration", "read", summary, formula, range_,
        "None: it describes the map, not its truth.", gamed, "none", citation,
    )  # fmt: skip


_BOX = "Wang et al. 2020 (Score-CAM), sec. 4.3, on exact pixel masks"
_ONE_POINT = "One lucky pixel decides it. A map that marks any object in the middle of the picture scores well."

_ALL: tuple[Metric, ...] = (
    _curve(
        "deletion_auc", "Deletion AUC", "lower",
        "Area under the score while the most important pixels are hidden first. A true map makes the score fall at once.",
        "∫ S(x')/S(x) d(fraction hidden), mean probability, trapezoid",
    ),
    _curve(
        "insertion_auc", "Insertion AUC", "higher",
        "Area under the score while the most important pixels are restored first. A true map makes the score rise at once.",
        "∫ S(x')/S(x) d(fraction restored), mean probability, trapezoid",
    ),
    _curve(
        "random_deletion_auc", "Random deletion AUC", "control",
        "The deletion AUC of pixels in random order, mean of several draws. A map that is no lower says nothing.",
        "deletion AUC of a random permutation",
    ),
    _curve(
        "random_insertion_auc", "Random insertion AUC", "control",
        "The insertion AUC of pixels in random order, mean of several draws. A map that is no higher says nothing.",
        "insertion AUC of a random permutation",
    ),
    _curve(
        "deletion_iou_auc", "Deletion AUC (IoU)", "lower",
        "Area under the IoU with the clean mask while the most important pixels are hidden first.",
        "∫ IoU d(fraction hidden), trapezoid", "0 to 1",
    ),
    _curve(
        "insertion_iou_auc", "Insertion AUC (IoU)", "higher",
        "Area under the IoU with the clean mask while the most important pixels are restored first.",
        "∫ IoU d(fraction restored), trapezoid", "0 to 1",
    ),
    _road(
        "road_morf", "ROAD MoRF", "lower",
        "Mean score when the most relevant 10 to 90 % are replaced by an imputation from their surroundings.",
        "mean of S(x')/S(x) at 10, 20, … 90 %, most relevant first",
    ),
    _road(
        "road_lerf", "ROAD LeRF", "higher",
        "Mean score when the least relevant 10 to 90 % are replaced by an imputation from their surroundings.",
        "mean of S(x')/S(x) at 10, 20, … 90 %, least relevant first",
    ),
    _road(
        "road_combined", "ROAD combined", "higher",
        "Half the distance between the two ROAD orders: a random map scores 0, a reversed one below.",
        "mean of (LeRF − MoRF)/2 over 10, 20, … 90 %", "−0.5 to about 0.5",
    ),
    *(_keep(side, fill, kind) for fill in ("flat", "linear") for side in ("b", "s") for kind in ("increase", "drop")),
    _place(
        "map_iou", "IoU of the map",
        "Overlap of the map's highest-ranked pixels, as many as the object has, with the object.",
        "|top ∩ M| / |top ∪ M| with |top| = |M|; M the true mask, else the explained region",
        "A plain copy of the segmentation scores 1 and explains nothing.", _BOX,
    ),
    _place(
        "pointing_15", "Pointing game (15 px)",
        "1 if the map's maximum lies within 15 pixels of the region, else 0.",
        "1[distance(argmax, R) ≤ 15 px]", _ONE_POINT, "Zhang et al. 2018 (Excitation backprop), sec. 4.1",
    ),
    _place(
        "pointing_0", "Pointing game (0 px)",
        "1 if the map's maximum lies inside the region, else 0.",
        "1[argmax ∈ R]", _ONE_POINT, "Zhang et al. 2018, without the margin",
    ),
    _shape(
        "gini", "Gini", "How unequally the map's magnitude is spread: 0 evenly, towards 1 on a few pixels.",
        "Gini coefficient of |map|", "0 to 1", "One loud pixel raises it.", "Chalasani et al. 2020, sec. 4 (sparseness)",
    ),
    _shape(
        "entropy", "Entropy", "How widely the map's magnitude is spread: 1 evenly, towards 0 on a few pixels.",
        "−Σ p ln p / ln(H·W) with p = |map| / Σ |map|", "0 to 1", "A faint haze everywhere raises it.",
        "Shannon 1948, divided by its maximum",
    ),
    _shape(
        "half_area", "Half-mass area", "The smallest share of the picture that holds half of the map's magnitude.",
        "min n/(H·W) with Σ of the n largest |map| ≥ ½ Σ |map|", "above 0 to 0.5",
        "Large segments raise it, whatever they mean.", "ours: the median of the Lorenz curve (Lorenz 1905)",
    ),
    _shape(
        "total_variation", "Noise (total variation)",
        "How much neighbouring pixels of the map differ, with the map scaled to a range of 1.",
        "Σ (|Δx| + |Δy|) / ((max − min) · H·W)", "0 to 2", "Blurring the map lowers it and makes no map truer.",
        "Rudin et al. 1992, anisotropic",
    ),
    Metric(
        "error_share", "Share on errors", "errors", "read",
        "How much of the map's magnitude lies on pixels that the segmenter gets wrong.",
        "Σ |map| over {A ≠ truth} / Σ |map|; compare with the share of wrong pixels", "0 to 1",
        "Ground truth is there and right. A high share speaks about the segmenter's error, not the method's.",
        "A map spread evenly has the share of wrong pixels itself.", "none", "ours: the map read where the prediction is wrong",
    ),
    Metric(
        "forwards", "Forward passes", "cost", "read", "Pictures the segmenter was run on to make the map.",
        "counted", "1 or more; a control takes none", "A partial pass from a layer on counts as one, a backward pass too.",
        "Fewer passes are cheaper, not truer.", "none", "ours: counted by the engine",
    ),
    Metric(
        "seconds", "Seconds", "cost", "read", "Wall time of the map, on the machine that made it.",
        "measured", "0 or more", "An otherwise idle machine.", "Depends on the machine.", "none", "ours: measured on the run",
    ),
)  # fmt: skip

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
"""All metrics by name. A number without a card is not shown."""
