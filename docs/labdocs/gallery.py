"""The gallery of worked examples: an image, a sentence and a link that opens the lab with everything set.

`gallery/examples.toml` is the list; `make screenshots` makes the images from the very links.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

FOLDER = Path(__file__).resolve().parents[1] / "gallery"


@dataclass(frozen=True)
class Example:
    """One example.

    Attributes:
        name: of its image file, without the ending.
        section: the heading under which it stands.
        title: a few words.
        text: a sentence or two: what is asked, and what the image shows.
        alt: what is on the image, for those who cannot see it.
        page: of the lab.
        query: the settings in the address, by name.
        first, last: texts on the page between which the image is cut out.
        until: a text that appears last, if that is another one.
    """

    name: str
    section: str
    title: str
    text: str
    alt: str
    page: str
    query: dict[str, str]
    first: str
    last: str
    until: str = ""

    @property
    def image(self) -> Path:
        """Where the image is kept."""
        return FOLDER / f"{self.name}.webp"

    def link(self, lab: str) -> str:
        """The address that opens it.

        Args:
            lab: address of the lab, without a slash at its end.
        """
        return f"{lab}/{self.page}?{urlencode(self.query)}"


def examples() -> list[Example]:
    """The examples in their order."""
    with (FOLDER / "examples.toml").open("rb") as file:
        return [Example(**entry) for entry in tomllib.load(file)["example"]]


def gallery(lab: str) -> str:
    """All examples, section by section."""
    parts, section = [], ""
    for example in examples():
        if example.section != section:
            section = example.section
            parts.append(f"## {section}")
        parts += [
            f"### {example.title}",
            f"[![{example.alt}](gallery/{example.image.name})]({example.link(lab)})",
            f"{example.text} [Open it in the lab]({example.link(lab)}).",
        ]
    return "\n\n".join(parts)
