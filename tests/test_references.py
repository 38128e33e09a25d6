"""References to `perturb.…` in backticks resolve by import, in docstrings, comments and Markdown."""

import importlib
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
REFERENCE = re.compile(r"`(perturb(?:\.\w+)+)(?=[`(])")
HISTORY = {"CHANGELOG.md"}
"""Files that name what existed earlier."""


def resolves(name):
    """Whether a dotted name is a module, or an attribute of one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part) and part not in getattr(found, "__annotations__", {}):
                return False
            found = getattr(found, part, None)
        return True
    return False


def references():
    """Every reference in tracked Python and Markdown files, with the files that hold it."""
    listed = subprocess.run(["git", "ls-files", "*.py", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    found = {}
    for path in listed.stdout.split():
        if path in HISTORY or not (ROOT / path).exists():
            continue
        for name in REFERENCE.findall((ROOT / path).read_text(encoding="utf-8")):
            found.setdefault(name, []).append(path)
    return found


def test_every_reference_to_a_name_of_the_library_resolves():
    found = references()
    assert len(found) > 30
    assert {name: paths for name, paths in found.items() if not resolves(name)} == {}


def test_names_that_do_not_exist_do_not_resolve():
    assert resolves("perturb.images.image.Image.pixels")
    assert not resolves("perturb.images.image.Image.texels")
    assert not resolves("perturb.no_such_module.name")
