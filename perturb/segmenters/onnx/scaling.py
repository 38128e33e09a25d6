"""Input scaling of a network: value range, mean and standard deviation, and channel order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from perturb.core.errors import SegmenterError

Scale = Literal["imagenet", "unit", "symmetric", "bytes", "centred"]
Order = Literal["RGB", "BGR", "grey"]

SCALES = {
    "imagenet": "ImageNet: minus the mean (0.485, 0.456, 0.406), divided by (0.229, 0.224, 0.225)",
    "unit": "as they are, in [0, 1]",
    "symmetric": "in [−1, 1]",
    "bytes": "in [0, 255]",
    "centred": "(x − 128) / 256 of x in [0, 255]: in [−0.5, 0.5]",
}
"""Presets of value range, mean and standard deviation, applied to images in [0, 1]."""
ORDERS = {"RGB": "red, green, blue", "BGR": "blue, green, red", "grey": "one channel, luminance"}
LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue, ITU-R BT.601, as in Pillow and OpenCV."""
BYTES_FROM = 2.0
"""A mean or standard deviation above this implies values in 0 … 255."""


@dataclass(frozen=True)
class Scaling:
    """The input is (x · full − mean) / std, for x in [0, 1].

    Attributes:
        full: value of white before the mean is subtracted: 1.0 or 255.0.
        mean, std: one number for all channels, or one for each in the network's order; std is above 0.
    """

    full: float
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def reversed(self) -> Scaling:
        """The same for channels in reverse order."""
        return Scaling(self.full, self.mean[::-1], self.std[::-1])

    def __str__(self) -> str:
        values = f"values x in 0 … {self.full:g}"
        if self.mean == (0.0,) and self.std == (1.0,):
            return values
        above = "x" if self.mean == (0.0,) else f"(x − {_words(self.mean)})"
        return f"{above if self.std == (1.0,) else f'{above} / {_words(self.std)}'} of {values}"


PRESETS: dict[str, Scaling] = {
    "imagenet": Scaling(1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "unit": Scaling(1.0),
    "symmetric": Scaling(1.0, (0.5,), (0.5,)),
    "bytes": Scaling(255.0),
    "centred": Scaling(255.0, (128.0,), (256.0,)),
}
"""The scalings of `SCALES`; values for three channels are in RGB order."""


def preset(scale: str, order: str) -> Scaling:
    """A preset for a network with this channel order."""
    found = PRESETS[scale]
    return found.reversed() if order == "BGR" else found


def scaling_of(scale: str, mean: tuple[float, ...], std: tuple[float, ...], order: str) -> Scaling:
    """The scaling given by the fields of a spec: a preset, or its range with another mean and standard deviation."""
    if not mean and not std:
        return preset(scale, order)
    return Scaling(PRESETS[scale].full, mean or (0.0,), std or (1.0,))


def settle(given: Mapping[str, Any], order: str, name: str) -> tuple[str, tuple[float, ...], tuple[float, ...]]:
    """Normalise given values of `scale`, `mean` and `std`, so that the same scaling always has the same spec.

    A mean or std above 2 implies values in 0 … 255, unless `scale` is given as `unit` or `bytes`.

    Args:
        given: some of `scale`, `mean` and `std`; the latter as numbers, sequences of numbers, or comma-separated text.
        order: channel order of the network; `grey` has one channel.
        name: name of the network in messages.

    Returns:
        The name of a preset, with empty mean and std; or `unit` or `bytes`, with mean and std in the network's order.

    Raises:
        SegmenterError: the values are not numbers, their count does not match the channels, std is not above 0, or a
            scale is given that has its own mean and std.
    """
    scale = given.get("scale", "")
    count = 1 if order == "grey" else 3
    if "mean" not in given and "std" not in given:
        if scale not in fitting(order):
            raise SegmenterError(
                f"'scale={scale}' has numbers for 3 channels, and '{name}' takes 1; expected one of "
                f"{', '.join(fitting(order))}, or a mean and std of one number."
            )
        return scale, (), ()
    if scale not in ("", "unit", "bytes"):
        raise SegmenterError(
            f"'scale={scale}' has a mean and std of its own; leave it out beside others, or give 'unit' or 'bytes' for "
            "their range."
        )
    mean = numbers("mean", given.get("mean", 0), count, name)
    std = numbers("std", given.get("std", 1), count, name)
    if not min(std) > 0:
        raise SegmenterError(f"'std' must be above 0: got {_words(std)}. The input is divided by it.")
    large = any(abs(value) > BYTES_FROM for value in (*mean, *std))
    full = PRESETS[scale].full if scale else 255.0 if large else 1.0
    asked = Scaling(full, mean, std)
    for known in fitting(order):
        if preset(known, order) == asked:
            return known, (), ()
    return ("bytes" if full > 1 else "unit"), mean, std


def fitting(order: str) -> tuple[str, ...]:
    """The presets for the number of channels of this order."""
    return tuple(scale for scale, made in PRESETS.items() if order != "grey" or len(made.mean) == 1)


def numbers(field: str, value: Any, count: int, name: str) -> tuple[float, ...]:
    """Parse one number, or one for each of `count` channels. Equal numbers are reduced to one.

    Raises:
        SegmenterError: the value has another form.
    """
    parts: Iterable[Any]
    if isinstance(value, str):
        parts = value.strip().strip("[]()").replace(";", ",").split(",")
    else:
        parts = value if isinstance(value, Iterable) else (value,)
    try:
        found = tuple(float(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        found = ()
    # The network computes in float32, so larger values cannot be meant.
    if not found or not all(math.isfinite(number) and abs(number) < 1e30 for number in found):
        raise SegmenterError(
            f"'{field}' must be one number or one for each channel, separated by commas: got '{str(value)[:60]}'."
        )
    if len(found) not in (1, count):
        raise SegmenterError(
            f"'{field}' has {len(found)} numbers, and '{name}' takes {count} channel{'s' * (count > 1)}; expected "
            f"{'one number' if count == 1 else f'1 or {count} numbers, in the order of its channels'}."
        )
    return found[:1] if len(set(found)) == 1 else found


def text_of(numbers: tuple[float, ...]) -> str:
    """Numbers as comma-separated text, exactly: `0.485,0.456,0.406`."""
    return ",".join(repr(number).removesuffix(".0") for number in numbers)


def _words(numbers: tuple[float, ...]) -> str:
    text = ", ".join(f"{number:g}" for number in numbers)
    return text if len(numbers) == 1 and numbers[0] >= 0 else f"({text})"
