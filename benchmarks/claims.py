"""Five claims of the literature as statistics of the measured pictures, defined before the numbers were looked at.

A statistic is a number for each picture, and a bar from which on it speaks for the claim. A table gives its median and on
how many pictures it clears the bar; over all pictures also the median's 95 % bootstrap interval. Relations between
pictures are Spearman's correlations, with a bootstrap interval over the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

COLOURS = ("black", "white", "grey", "mean")
FILLS = (*COLOURS, "blur", "soft")
SIZES = (48, 96)
LAYERS = ("encoder2", "decoder3")
SMALL, LARGE = SIZES

Cell = dict[str, Any]
Number = Callable[[Cell], float | None]


@dataclass(frozen=True)
class Statistic:
    """A row: what it is, the number of one picture, and the bar; `bar` says it in words for the table."""

    name: str
    number: Number
    bar: str
    clears: Callable[[float], bool]


@dataclass(frozen=True)
class Relation:
    """A row: Spearman's correlation of two numbers over the images."""

    name: str
    one: Number
    other: Number


def at(cell: Cell, fill: str, size: int, key: str) -> float:
    """A number of one occluder."""
    return float(cell["occluders"][f"{fill} {size}"][key])


def damage(cell: Cell, fill: str, size: int) -> float:
    """Pixels lost and gained, mean over the windows."""
    return at(cell, fill, size, "lost") + at(cell, fill, size, "gained")


def taken(cell: Cell, fill: str, size: int = SMALL) -> float:
    """Share, in [0, 1], of the hidden pixels outside the class that become predicted as the class."""
    return at(cell, fill, size, "gained_hidden") / at(cell, fill, size, "ground_hidden")


def flat(number: Callable[[Cell, str, int], float], size: int) -> Callable[[Cell], list[float]]:
    """A number under each flat colour."""
    return lambda cell: [number(cell, colour, size) for colour in COLOURS]


def ratio(one: float, other: float) -> float | None:
    """Their ratio, where there is one."""
    return one / other if other > 0 else None


def agreement(cell: Cell, one: str, other: str) -> float:
    """Spearman's correlation of two occluders' maps."""
    found = cell["agreement"]
    return float(found.get(f"{one} | {other}", found.get(f"{other} | {one}", np.nan)))


def _colours_agree(cell: Cell) -> float:
    pairs = [(a, b) for i, a in enumerate(COLOURS) for b in COLOURS[:i]]
    return float(np.mean([agreement(cell, f"{a} {SMALL}", f"{b} {SMALL}") for a, b in pairs]))


def _sizes_agree(cell: Cell) -> float:
    return float(np.mean([agreement(cell, f"{c} {SMALL}", f"{c} {LARGE}") for c in COLOURS]))


def _spread(cell: Cell) -> float | None:
    values = flat(damage, SMALL)(cell)
    return ratio(max(values), min(values))


def _auc_spread(cell: Cell) -> float:
    return float(np.ptp([cell["deletion_auc"][f"{colour} {SMALL}"] for colour in COLOURS]))


def _auc_by_size(cell: Cell) -> float:
    return abs(float(cell["deletion_auc"][f"grey {LARGE}"] - cell["deletion_auc"][f"grey {SMALL}"]))


def black_or_white(cell: Cell) -> float:
    """(black − white)/(black + white) of the damage: −1 to 1, above 0 where black harms more."""
    black, white = damage(cell, "black", SMALL), damage(cell, "white", SMALL)
    return (black - white) / (black + white)


def growth(cell: Cell) -> float:
    """How much more of the object the worst large window takes than the worst small one, of its area; flat colours."""
    return float(np.mean([at(cell, c, LARGE, "most_lost") - at(cell, c, SMALL, "most_lost") for c in COLOURS]))


def less(fill: str, than: Sequence[str], size: int, key: str) -> Number:
    """A fill's damage or mean |drop| as a part of that of other fills' mean."""

    def number(cell: Cell) -> float | None:
        values = [damage(cell, f, size) if key == "damage" else at(cell, f, size, key) for f in (fill, *than)]
        return ratio(values[0], float(np.mean(values[1:])))

    return number


def of_clean(key: str) -> Number:
    """A number of the small grey windows as a part of the clean score."""
    return lambda cell: at(cell, "grey", SMALL, key) / abs(cell["clean"])


def _score_range(cell: Cell) -> float:
    low, high = (at(cell, "grey", SMALL, key) for key in ("lowest_drop", "highest_drop"))
    return (high - low) / abs(float(cell["clean"]))


def _ranges(cell: Cell) -> float | None:
    ranges = [occluder["map_range"] for occluder in cell["occluders"].values()]
    return ratio(max(ranges), min(ranges))


def pixels(fill: str, place: str) -> Number:
    """The drop that a set of pixels costs, as a part of the clean score."""
    return lambda cell: cell["pixels"][fill][place]["drop"] / abs(cell["clean"])


def more(one: Number, other: Number) -> Number:
    """The difference of two numbers."""

    def number(cell: Cell) -> float | None:
        a, b = one(cell), other(cell)
        return None if a is None or b is None else a - b

    return number


def channel(layer: str, part: str, key: str = "drop") -> Number:
    """What silencing a channel in one part costs, mean over the channels; drops as a part of the clean score."""

    def number(cell: Cell) -> float:
        value = float(cell["activations"][layer][part][key])
        return value / abs(cell["clean"]) if key == "drop" else value

    return number


def _a_cell(layer: str, part: str) -> Number:
    def number(cell: Cell) -> float | None:
        found = cell["activations"][layer]
        inside = found["cells"]
        cells = inside if part == "foreground" else found["all_cells"] - inside
        return ratio(1000 * found[part]["drop"] / abs(cell["clean"]), cells)

    return number


def _window_pixel(key: str) -> Number:
    return lambda cell: 100_000 * at(cell, "grey", SMALL, key) / abs(cell["clean"])


def _positive(value: float) -> bool:
    return value > 0


CLAIMS: dict[str, tuple[Statistic | Relation, ...]] = {
    "1. Colour and size change the outcome": (
        Statistic("damage: worst ÷ mildest flat colour", _spread, "≥ 1.5", lambda v: v >= 1.5),
        Statistic("maps of two flat colours agree (Spearman)", _colours_agree, "< 0.9", lambda v: v < 0.9),
        Statistic("deletion AUC: worst − best flat colour", _auc_spread, "≥ 0.05", lambda v: v >= 0.05),
        Statistic("maps of the two sizes agree (Spearman)", _sizes_agree, "< 0.9", lambda v: v < 0.9),
        Statistic("deletion AUC: difference of the sizes, grey", _auc_by_size, "≥ 0.05", lambda v: v >= 0.05),
        Statistic("a window's damage grows with the colour's distance", lambda c: c["nearness"][str(SMALL)], "> 0", _positive),
        Relation("black against white ~ brightness of the picture", black_or_white, lambda c: c["brightness"]),
        Relation("more of the object lost to the larger window ~ object's share", growth, lambda c: c["share"]),
    ),
    "2. Gaussian fills disturb less than flat colours": tuple(
        Statistic(f"{name}, {key}, {size} px", less(fill, than, size, value), "< 1", lambda v: v < 1)
        for name, fill, than in (
            ("blur ÷ black, white, grey", "blur", COLOURS[:3]),
            ("blur ÷ mean colour", "blur", COLOURS[3:]),
            ("soft grey ÷ flat grey", "soft", ("grey",)),
        )
        for key, value in (("damage", "damage"), ("size of the drop", "drop"))
        for size in SIZES
    ),
    "3. Black can be taken for the object": (
        *(
            Statistic(f"hidden background called the object: {fill}", partial(taken, fill=fill), "> 0.01", lambda v: v > 0.01)
            for fill in FILLS
        ),
        Statistic(
            "black − the most of the other flat colours",
            lambda c: taken(c, "black") - max(taken(c, other) for other in COLOURS[1:]),
            "> 0",
            _positive,
        ),
        Statistic(
            "gained under black: the part below the occluder",
            lambda c: ratio(at(c, "black", SMALL, "gained_hidden"), at(c, "black", SMALL, "gained")),
            "> 0.5",
            lambda v: v > 0.5,
        ),
        Relation(
            "black − white ~ brightness of the object",
            lambda c: taken(c, "black") - taken(c, "white"),
            lambda c: c["object_brightness"],
        ),
    ),
    "4. Scores vary little": (
        Statistic("a window's drop ÷ clean score, median window", of_clean("median_drop"), "< 0.01", lambda v: v < 0.01),
        Statistic("range of the windows' scores ÷ clean score", _score_range, "< 0.5", lambda v: v < 0.5),
        Statistic("lowest IoU of any window", lambda c: at(c, "grey", SMALL, "lowest_iou"), "> 0.5", lambda v: v > 0.5),
        Statistic("range of the map: strongest ÷ weakest of the 12 occluders", _ranges, "≥ 2", lambda v: v >= 2),
    ),
    "5a. Foreground matters more: pixels": (
        Statistic("% of the score for 1,000 object pixels in a window", _window_pixel("object_pixel"), "> 0", _positive),
        Statistic("% of the score for 1,000 other pixels in a window", _window_pixel("ground_pixel"), "> 0", _positive),
        Statistic(
            "object − other", more(_window_pixel("object_pixel"), _window_pixel("ground_pixel")), "> 0", _positive
        ),
        *(
            Statistic(f"{fill}: drop ÷ clean score, set {words}", pixels(fill, place), "> 0", _positive)
            for fill in ("grey", "blur")
            for place, words in (("object", "in the object"), ("ring", "right around it"), ("ground", "anywhere else"))
        ),
        *(
            Statistic(f"{fill}: object − right around", more(pixels(fill, "object"), pixels(fill, "ring")), "> 0", _positive)
            for fill in ("grey", "blur")
        ),
        Statistic("blur: drop ÷ clean score, all of the object", pixels("blur", "whole object"), "> 0", _positive),
        Statistic("blur: drop ÷ clean score, all but the object", pixels("blur", "whole ground"), "> 0", _positive),
        Statistic(
            "object − all but it", more(pixels("blur", "whole object"), pixels("blur", "whole ground")), "> 0", _positive
        ),
    ),
    "5b. Foreground matters more: activations": tuple(
        statistic
        for layer in LAYERS
        for statistic in (
            Statistic(f"{layer}: drop ÷ clean score, channel inside", channel(layer, "foreground"), "> 0", _positive),
            Statistic(f"{layer}: drop ÷ clean score, channel outside", channel(layer, "background"), "> 0", _positive),
            Statistic(
                f"{layer}: inside − outside",
                more(channel(layer, "foreground"), channel(layer, "background")),
                "> 0",
                _positive,
            ),
            Statistic(
                f"{layer}: pixels lost, inside − outside",
                more(channel(layer, "foreground", "lost"), channel(layer, "background", "lost")),
                "> 0",
                _positive,
            ),
            Statistic(
                f"{layer}: ‰ of the score for each cell, inside − outside",
                more(_a_cell(layer, "foreground"), _a_cell(layer, "background")),
                "> 0",
                _positive,
            ),
        )
    ),
}  # fmt: skip
