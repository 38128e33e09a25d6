"""Replace the text between two marks of a document by new measurements."""

from __future__ import annotations

import re
from pathlib import Path


def put(path: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- /name -->`.

    Raises:
        ValueError: the document has no such marks.
    """
    document = path.read_text()
    marks = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL)
    if not marks.search(document):
        raise ValueError(f"{path} has no marks <!-- {name} --> and <!-- /{name} -->; put them where the text belongs.")
    path.write_text(marks.sub(lambda found: f"{found[1]}\n{text.strip()}\n\n{found[2]}", document, count=1))
