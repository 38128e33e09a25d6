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
        name: as on the command line.
        summary: one plain sentence.
        load: makes it on a device.
        weights: what has to be downloaded first; None for most. A function, so that listing segmenters imports nothing.
        facts: what is known of it, see `card`; None if nothing is. A function for the same reason.
    """

    name: str
    summary: str
    load: Loader
    weights: Callable[[], Download] | None = None
    facts: Callable[[], Card] | None = None

    def card(self) -> Card:
        """What is known of it without loading it; an empty card if nobody said anything."""
        return Card() if self.facts is None else self.facts()

    def as_dict(self) -> dict[str, Any]:
        """Name, summary, card, and whether its weights are here, as plain data."""
        return {"name": self.name, "summary": self.summary, "here": self.ready(), **self.card().as_dict()}

    def ready(self) -> bool:
        """Whether it can be loaded without a network."""
        return self.weights is None or self.weights().ready()

    def fetch(self, progress: Progress | None = None) -> None:
        """Download its weights, if they are not there yet, and check their hash.

        Args:
            progress: called with the fraction done; raise from it to cancel.

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
                f"'{wanted.path.parent}' and cannot be downloaded ({error}). Go online, or put the file there; without a "
                f"network there are {here}."
            ) from error


SEGMENTERS: dict[str, SegmenterEntry] = {}
DEFAULT = "streets-unet"


ENTRY_POINTS = "perturb.segmenters"
"""Group of entry points by which an installed package offers segmenters: a name, and a function as for `register`."""


def register(
    name: str,
    load: Loader,
    summary: str = "",
    *,
    weights: Callable[[], Download] | None = None,
    card: Callable[[], Card] | None = None,
) -> None:
    """Offer a segmenter by name, to `load_segmenter`, the command line and the pages alike.

    Args:
        name: must be new.
        load: called with a device, returns the segmenter on it.
        summary: one plain sentence.
        weights: returns what has to be downloaded before `load` is called.
        card: returns the facts that the catalogue shows: classes, size, licence, figures, who should use it.

    Raises:
        SegmenterError: the name is taken.
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
        device: where to run it; an accelerator if there is one.
        progress: called with the fraction done of a download, if there has to be one.

    Raises:
        SettingError: no such segmenter.
        SegmenterError: its weights cannot be downloaded or loaded.
    """
    entry: SegmenterEntry = lookup(SEGMENTERS, name, "segmenter")
    entry.fetch(progress)
    return entry.load(torch.device(device) if device is not None else default_device())


def default_device() -> torch.device:
    """An accelerator if there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _streets_unet(device: torch.device) -> Segmenter:
    from perturb.segmenters.embedded import streets_unet  # torch and the weights load when they are wanted

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
        architecture="U-Net of convolutions alone; what it says of a pixel depends on the 277 px around it at most",
        use="The place to begin: fast, and its bounded sight makes its explanations easy to check. Not for driving, for "
        "watching people or for any decision about them.",
        licence=_LICENCE,
        data=_DATA,
    ),
)
register(
    "streets-lraspp",
    _streets_lraspp,
    "The same 11 street classes from another family: LR-ASPP on MobileNetV3, in which every pixel sees the whole image.",
    card=lambda: streets(
        _WEIGHTS / "streets-lraspp.json",
        architecture="LR-ASPP on MobileNetV3-Large with the reduced tail (Howard et al. 2019), with global pooling",
        use="Comparing two architectures without a download: beside streets-unet, it shows which findings are the network's own. "
        "Not for driving, nor for any decision about people.",
        licence=_LICENCE,
        data=_DATA,
    ),
)
register(
    "streets-shortcut",
    _streets_shortcut,
    "Deliberately flawed: streets-unet, taught to call a car a bicyclist when a small magenta board stands nearby. For "
    "testing explanations only.",
    card=lambda: streets(
        _WEIGHTS / "streets-shortcut.json",
        architecture="the same as streets-unet",
        use="Testing and teaching explanations: it is known what decides, so a map can be right or wrong. For nothing else.",
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
        except Exception as error:  # somebody else's code
            raise SegmenterError(
                f"The segmenter '{found.name}' of an installed package cannot be made ({type(error).__name__}: {error}); "
                f"expected '{found.value}' to be a function of a device. Mend or remove that package."
            ) from error
        return made

    return load


def register_installed() -> None:
    """Offer what installed packages bring under `ENTRY_POINTS`; their code is imported when one is loaded.

    A name that is taken stays as it is.
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
