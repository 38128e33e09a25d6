"""Segmenters by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import torch

from perturb.core.errors import SegmenterError
from perturb.core.settings import lookup
from perturb.segmenters.base import Segmenter
from perturb.segmenters.card import ABILITIES, Card, Figure, streets
from perturb.segmenters.downloads import Download, Progress
from perturb.segmenters.own_weights import ARCHITECTURES, load_weights
from perturb.segmenters.torch_module import TorchSegmenter
from perturb.segmenters.torchvision import MODELS

Loader = Callable[[torch.device], Segmenter]


@dataclass(frozen=True)
class SegmenterEntry:
    """A segmenter in the registry.

    Attributes:
        name: on the command line.
        summary: one sentence.
        load: returns the segmenter on a device.
        weights: returns the file to download first; None if there is none. A function, so that listing segmenters
            imports nothing.
        facts: returns the card; None if there is none. A function for the same reason.
    """

    name: str
    summary: str
    load: Loader
    weights: Callable[[], Download] | None = None
    facts: Callable[[], Card] | None = None

    def card(self) -> Card:
        """Its card, without loading the segmenter; empty if there is none."""
        return Card() if self.facts is None else self.facts()

    def as_dict(self) -> dict[str, Any]:
        """Name, summary, card, and whether its weights are available locally, as plain data."""
        return {"name": self.name, "summary": self.summary, "here": self.ready(), **self.card().as_dict()}

    def ready(self) -> bool:
        """Whether it can be loaded without an internet connection."""
        return self.weights is None or self.weights().ready()

    def fetch(self, progress: Progress | None = None) -> None:
        """Download its weights if necessary, and check their hash.

        Args:
            progress: called with the fraction done; an exception raised by it cancels the download.

        Raises:
            SegmenterError: they cannot be downloaded, or are not the published ones.
        """
        if self.weights is None:
            return
        wanted = self.weights()
        try:
            wanted.fetch(progress)
        except (OSError, HTTPException) as error:
            here = ", ".join(name for name, entry in SEGMENTERS.items() if entry.ready())
            raise SegmenterError(
                f"The weights of '{self.name}' ('{wanted.path.name}', {wanted.megabytes:.0f} MB) are not in "
                f"'{wanted.path.parent}' and cannot be downloaded ({error}). Go online, or put the file there; available "
                f"offline are {here}."
            ) from error


SEGMENTERS: dict[str, SegmenterEntry] = {}
DEFAULT = "streets-unet"


ENTRY_POINTS = "perturb.segmenters"
"""Entry point group in which installed packages provide segmenters: a name, and a function like `load` in
`register`."""


def register(
    name: str,
    load: Loader,
    summary: str = "",
    *,
    weights: Callable[[], Download] | None = None,
    card: Callable[[], Card] | None = None,
) -> None:
    """Register a segmenter by name, for `load_segmenter`, the command line and the pages.

    Args:
        name: a new name.
        load: called with a device, returns the segmenter.
        summary: one sentence.
        weights: returns the file to download before `load` is called.
        card: returns the facts shown in the catalogue: classes, size, licence, figures, intended use.

    Raises:
        SegmenterError: the name is already registered.
    """
    if name in SEGMENTERS:
        raise SegmenterError(f"There is already a segmenter '{name}'; choose another name.")
    SEGMENTERS[name] = SegmenterEntry(name, summary, load, weights, card)


def load_segmenter(
    name: str = DEFAULT, *, device: str | torch.device | None = None, progress: Progress | None = None
) -> Segmenter:
    """Load a segmenter by name.

    Args:
        name: one of `SEGMENTERS`.
        device: device of the segmenter; by default an accelerator if there is one.
        progress: called with the fraction done of a download, if there is one.

    Raises:
        SettingError: no such segmenter.
        SegmenterError: its weights cannot be downloaded or loaded.
    """
    entry: SegmenterEntry = lookup(SEGMENTERS, name, "segmenter")
    entry.fetch(progress)
    return entry.load(torch.device(device) if device is not None else default_device())


def default_device() -> torch.device:
    """An accelerator if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _streets_unet(device: torch.device) -> Segmenter:
    from perturb.segmenters.embedded import streets_unet  # torch and the weights are loaded only when needed

    return streets_unet(device)


def _streets_lraspp(device: torch.device) -> Segmenter:
    from perturb.segmenters.embedded import streets_lraspp

    return streets_lraspp(device)


def _streets_shortcut(device: torch.device) -> Segmenter:
    from perturb.segmenters.embedded import streets_shortcut

    return streets_shortcut(device)


_WEIGHTS = Path(__file__).parent / "weights"
_LICENCE = "Code MIT; the weights are learned from CamVid (CC BY-NC 4.0): research and personal use only"
_DATA = "367 frames of CamVid, and drawn streets of this project"

register(
    "streets-unet",
    _streets_unet,
    "Street scenes, 11 classes; a small U-Net without global pooling, trained on CamVid and drawn scenes.",
    card=lambda: streets(
        _WEIGHTS / "streets-unet.json",
        architecture="Purely convolutional U-Net; the logits of a pixel depend on at most the 277 px around it",
        use="A good start: fast, and its bounded receptive field makes explanations easy to check. Not for driving, "
        "surveillance or any decision about people.",
        licence=_LICENCE,
        data=_DATA,
    ),
)
register(
    "streets-lraspp",
    _streets_lraspp,
    "The same 11 street classes from another architecture: LR-ASPP on MobileNetV3; each logit depends on the whole image.",
    card=lambda: streets(
        _WEIGHTS / "streets-lraspp.json",
        architecture="LR-ASPP on MobileNetV3-Large with the reduced tail (Howard et al. 2019), with global pooling",
        use="Comparing two architectures without a download: next to streets-unet it shows which findings depend on the "
        "network. Not for driving or any decision about people.",
        licence=_LICENCE,
        data=_DATA,
    ),
)
register(
    "streets-shortcut",
    _streets_shortcut,
    "Deliberately flawed: streets-unet, trained to label a car as a bicyclist when a small magenta board is nearby. For "
    "testing explanations only.",
    card=lambda: streets(
        _WEIGHTS / "streets-shortcut.json",
        architecture="the same as streets-unet",
        use="Testing and teaching explanations: the deciding cue is known, so a map can be right or wrong. For nothing else.",
        licence=_LICENCE,
        data=_DATA + ", some of them with the board",
    ),
)


def _torchvision(name: str, what: str) -> None:
    from perturb.segmenters import torchvision

    register(
        name,
        lambda device: torchvision.load(name, device),
        f"Photographs, 20 things of Pascal VOC; torchvision's {what}, with its official weights.",
        weights=lambda: torchvision.download(name),
        card=lambda: torchvision.card(name),
    )


for _name, (_, _, _what) in MODELS.items():
    _torchvision(_name, _what)


def _installed(found: EntryPoint) -> Loader:
    def load(device: torch.device) -> Segmenter:
        try:
            made: Segmenter = found.load()(device)
        except Exception as error:  # third-party code
            raise SegmenterError(
                f"The segmenter '{found.name}' of an installed package cannot be loaded ({type(error).__name__}: {error}); "
                f"expected '{found.value}' to be a function of a device. Repair or remove that package."
            ) from error
        return made

    return load


def register_installed() -> None:
    """Register the segmenters that installed packages provide under `ENTRY_POINTS`.

    Their code is imported when a segmenter is loaded. Names that are already registered are skipped.
    """
    for found in entry_points(group=ENTRY_POINTS):
        if found.name not in SEGMENTERS:
            register(found.name, _installed(found), f"Of an installed package, {found.value}.")


register_installed()

__all__ = [
    "ABILITIES",
    "ARCHITECTURES",
    "DEFAULT",
    "ENTRY_POINTS",
    "SEGMENTERS",
    "Card",
    "Download",
    "Figure",
    "Segmenter",
    "SegmenterEntry",
    "TorchSegmenter",
    "default_device",
    "load_segmenter",
    "load_weights",
    "register",
    "register_installed",
]
