"""Model cards: facts about a segmenter that are known before it is loaded."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ABILITIES = {
    "logits": "scores of every class at every pixel",
    "layers": "activations of its layers can be read and ablated",
    "gradients": "gradients of the score by backpropagation",
    "weights": "its weights can be randomized, to test explanations",
}
"""Abilities of segmenters, with a description; every segmenter has "logits"."""
TORCH = tuple(ABILITIES)
"""Abilities of any torch module."""


@dataclass(frozen=True)
class Figure:
    """The measured quality of a segmenter.

    Attributes:
        miou: mean intersection over union over the classes, in [0, 1].
        where: description of the images.
        by: who measured it.
    """

    miou: float
    where: str
    by: str


@dataclass(frozen=True)
class Card:
    """Facts about a segmenter, for choosing one. All are optional; an omitted fact is unknown.

    Attributes:
        architecture: description.
        classes: class names, in the order of the logits.
        parameters: number of trained parameters, as published.
        megabytes: size of the weights file, MB.
        input: description of the input.
        abilities: keys of `ABILITIES`.
        data: training data.
        licence: licences of the code and the weights.
        figures: measured quality.
        use: intended use, and uses to avoid.
        speed: measured or published, with its unit.
        text: a longer model card in Markdown; may be empty.
    """

    architecture: str = ""
    classes: tuple[str, ...] = ()
    parameters: int | None = None
    megabytes: float | None = None
    input: str = ""
    abilities: tuple[str, ...] = ("logits",)
    data: str = ""
    licence: str = ""
    figures: tuple[Figure, ...] = ()
    use: str = ""
    speed: str = ""
    text: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain data, without the long text."""
        return {name: value for name, value in asdict(self).items() if name != "text"}


def streets(record: Path, *, architecture: str, use: str, licence: str, data: str) -> Card:
    """The card of an embedded segmenter: figures measured by `python -m training`, and facts given here.

    Args:
        record: the measured figures (`weights/NAME.json`); the model card is in the same folder as `NAME.md`.
        architecture, use, licence, data: as in `Card`.
    """
    facts = json.loads(record.read_text(encoding="utf-8"))
    measured = (
        ("miou_camvid_val", f"CamVid val, {facts['camvid_val_frames']} photographs of streets"),
        ("miou_scenes", f"{facts['unseen_scenes']} drawn streets with seeds of their own"),
    )
    # Users of the app wait for one image at a time.
    milliseconds = facts["milliseconds_per_picture_360x480"]["batch 1"]
    text = record.with_suffix(".md")
    return Card(
        architecture=architecture,
        classes=tuple(facts["classes"]),
        parameters=facts["parameters"],
        megabytes=facts["bytes"] / 1e6,
        input="RGB of any size",
        abilities=TORCH,
        data=data,
        licence=licence,
        figures=tuple(Figure(facts[key], where, "this project") for key, where in measured if key in facts),
        use=use,
        speed=f"{milliseconds:g} ms for 480 × 360 px on {facts['machine']}",
        text=text.read_text(encoding="utf-8") if text.exists() else "",
    )
