"""What is known of a segmenter before it is loaded: its card, as data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ABILITIES = {
    "logits": "scores of every class at every pixel",
    "layers": "its inner maps can be read and silenced",
    "gradients": "how the score changes with each pixel can be worked out backwards",
    "weights": "its weights can be drawn anew, to test explanations",
}
"""What a segmenter may be able to do; "logits" is what makes it one."""
TORCH = tuple(ABILITIES)
"""Of any network that is a torch module."""


@dataclass(frozen=True)
class Figure:
    """How good a segmenter is, measured on some images.

    Attributes:
        miou: intersection over union, the mean over the classes, in [0, 1].
        where: the images, in words.
        by: who measured it.
    """

    miou: float
    where: str
    by: str


@dataclass(frozen=True)
class Card:
    """Facts about a segmenter, for people who choose one. Everything may be left out; what is not said is unknown.

    Attributes:
        architecture: in words.
        classes: their names, in the order of the logits.
        parameters: trained numbers, as published.
        megabytes: of the file of weights.
        input: what images it takes, in words.
        abilities: of `ABILITIES`.
        data: what it was trained on.
        licence: of its code and its weights, in words.
        figures: how good it is.
        use: who should use it, and for what not.
        speed: measured or published, in words.
        text: a longer model card in Markdown; empty for none.
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
    """The card of an embedded segmenter: what `python -m training` measured, and what only people can say.

    Args:
        record: the figures beside the weights (`weights/NAME.json`); the model card stands beside it as `NAME.md`.
        architecture, use, licence, data: as in `Card`.
    """
    facts = json.loads(record.read_text(encoding="utf-8"))
    measured = (
        ("miou_camvid_val", f"CamVid val, {facts['camvid_val_frames']} photographs of streets"),
        ("miou_scenes", f"{facts['unseen_scenes']} drawn streets with seeds of their own"),
    )
    # One image at a time is what a visitor waits for.
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
