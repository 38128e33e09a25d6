"""Segmenters by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from perturb.errors import SegmenterError
from perturb.segmenters.base import Segmenter, TorchSegmenter
from perturb.settings import lookup

Loader = Callable[[torch.device], Segmenter]


@dataclass(frozen=True)
class SegmenterEntry:
    """A segmenter in the registry: its name, one sentence, and how it is made on a device."""

    name: str
    summary: str
    load: Loader


SEGMENTERS: dict[str, SegmenterEntry] = {}
DEFAULT = "streets-unet"


def register(name: str, load: Loader, summary: str = "") -> None:
    """Offer a segmenter by name, to `load_segmenter`, the command line and the pages alike.

    Args:
        name: must be new.
        load: called with a device, returns the segmenter on it.
        summary: one plain sentence.

    Raises:
        SegmenterError: the name is taken.
    """
    if name in SEGMENTERS:
        raise SegmenterError(f"There is already a segmenter '{name}'; choose another name.")
    SEGMENTERS[name] = SegmenterEntry(name, summary, load)


def load_segmenter(name: str = DEFAULT, *, device: str | torch.device | None = None) -> Segmenter:
    """Load a segmenter by name.

    Args:
        name: one of `SEGMENTERS`.
        device: where to run it; an accelerator if there is one.

    Raises:
        SettingError: no such segmenter.
        SegmenterError: its weights cannot be loaded.
    """
    entry: SegmenterEntry = lookup(SEGMENTERS, name, "segmenter")
    return entry.load(torch.device(device) if device is not None else default_device())


def default_device() -> torch.device:
    """An accelerator if there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _streets_unet(device: torch.device) -> Segmenter:
    from perturb.segmenters.embedded import streets_unet  # torch and the weights load when they are wanted

    return streets_unet(device)


def _streets_shortcut(device: torch.device) -> Segmenter:
    from perturb.segmenters.embedded import streets_shortcut

    return streets_shortcut(device)


register(
    "streets-unet",
    _streets_unet,
    "Street scenes, 11 classes; a small U-Net without global pooling, trained on CamVid and drawn scenes.",
)
register(
    "streets-shortcut",
    _streets_shortcut,
    "Deliberately flawed: streets-unet, taught to call a car a bicyclist when a small magenta board stands nearby. For "
    "testing explanations only.",
)

__all__ = [
    "DEFAULT",
    "SEGMENTERS",
    "Segmenter",
    "SegmenterEntry",
    "TorchSegmenter",
    "default_device",
    "load_segmenter",
    "register",
]
