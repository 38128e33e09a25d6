"""The registry of fills, and their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from perturb.core.settings import Setting, Value, lookup
from perturb.images.image import Image
from perturb.perturbations.fills.base import Fill, FillSpec
from perturb.perturbations.fills.blur import BLUR
from perturb.perturbations.fills.flat import ANY, BLACK, GREY, MEAN, WHITE
from perturb.perturbations.fills.linear import LINEAR
from perturb.perturbations.fills.noise import NOISE
from perturb.perturbations.fills.soft import SOFT
from perturb.perturbations.fills.telea import TELEA
from perturb.perturbations.fills.window_mean import WINDOW_MEAN

FILLS: dict[str, FillSpec] = {
    spec.name: spec
    for spec in (GREY, BLACK, WHITE, ANY, MEAN, WINDOW_MEAN, SOFT, BLUR, NOISE, LINEAR, TELEA)
}  # fmt: skip


def _settings() -> tuple[Setting, ...]:
    """The choice of a fill, then each fill's settings, shown only where a fill that reads them is chosen."""
    readers: dict[str, tuple[Setting, tuple[str, ...]]] = {}
    for spec in FILLS.values():
        for setting in spec.settings:
            readers[setting.name] = (setting, (*readers.get(setting.name, (setting, ()))[1], spec.name))
    return tuple(replace(setting, only=("fill", names)) for setting, names in readers.values())


FILL_SETTINGS: tuple[Setting, ...] = (
    Setting(
        "fill",
        "choice",
        "grey",
        "What replaces hidden pixels. Flat colours can be mistaken for objects; blur and imputation disturb less. "
        "The soft edge is for windows and segments: scattered pixels are all edge, and only partly hidden.",
        choices=tuple((spec.name, spec.title) for spec in FILLS.values()),
    ),
    *_settings(),
)
"""The settings of fills, shared by all methods, so that a fill works the same everywhere."""


def make_fill(image: Image, settings: Mapping[str, Value], seed: int) -> Fill:
    """The fill chosen by checked settings.

    Args:
        image: the clean image.
        settings: with those of `FILL_SETTINGS`.
        seed: seed of random fills.

    Raises:
        SettingError: no such fill.
    """
    spec: FillSpec = lookup(FILLS, str(settings["fill"]), "fill")
    return spec.make(image, settings, seed)
