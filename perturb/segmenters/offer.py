"""The segmenter and the images that the operator of a server offers to the visitors of the app; see `perturb lab`."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from perturb.core.errors import SettingError
from perturb.segmenters.factory import is_factory, search_working_directory
from perturb.segmenters.named import load_named
from perturb.segmenters.registry import DEFAULT, SEGMENTERS, register

VARIABLE = "PERTURB_LAB"
"""The environment variable that passes the offer to the app. Only the person who starts the server can set it."""


@dataclass(frozen=True)
class Offer:
    """The segmenter and the images that the app offers to its visitors.

    Attributes:
        segmenter: a registered name, path of an ONNX file, or `module:factory`.
        onnx: settings that an ONNX file does not contain itself, by the fields of `OnnxSpec`.
        classes: class names of an ONNX file, in the order of its channels.
        images: folder of images; empty for none.
        truth: folder of their ground truth, PNG files of the same stem; empty if they are in the folder of the images.
        ignore_index: class indices of the ground truth whose pixels have no class.
    """

    segmenter: str = DEFAULT
    onnx: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    images: str = ""
    truth: str = ""
    ignore_index: tuple[int, ...] = ()

    def as_variable(self) -> str:
        """The value of `VARIABLE`."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_variable(text: str) -> Offer:
        """The offer in a value of `VARIABLE`; an empty one is the default.

        Raises:
            SettingError: the value was not written by `perturb lab`.
        """
        known: dict[str, Any] = {}
        try:
            found = json.loads(text or "{}")
            known = {each.name: found.pop(each.name) for each in fields(Offer) if each.name in found}
            known |= {name: tuple(known[name]) for name in ("classes", "ignore_index") if name in known}
        except (ValueError, TypeError, AttributeError, RecursionError):
            found = None
        if found != {}:
            raise SettingError(
                f"The environment variable {VARIABLE} does not contain the settings of `perturb lab`: got "
                f"{text[:80]!r}. Unset it, and start the app with `perturb lab`."
            )
        return Offer(**known)


_OFFERED: dict[str, str] = {}
"""Names of the segmenters that were registered here, by the offer they come from."""
_REGISTERING = threading.Lock()


def offer_segmenter(offer: Offer) -> str:
    """Register the offered segmenter, so that every page lists it.

    Returns:
        Its name.

    Raises:
        PerturbError: it cannot be loaded, or another segmenter has its name.
    """
    key = offer.as_variable()
    with _REGISTERING:  # several visitors may arrive at the same time
        if key not in _OFFERED and offer.segmenter in SEGMENTERS:
            _OFFERED[key] = offer.segmenter
        elif key not in _OFFERED:
            if is_factory(offer.segmenter):
                search_working_directory()
            segmenter = load_named(offer.segmenter, onnx=offer.onnx, classes=offer.classes)
            count = len(segmenter.classes)
            register(segmenter.name, lambda device: segmenter, f"Given when this lab was started; {count} classes.")
            _OFFERED[key] = segmenter.name
        return _OFFERED[key]
