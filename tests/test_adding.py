"""The how-to pages "Add a …" are followed to the letter, in a copy; everything then offers what was added."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import perturb

ROOT = Path(__file__).parents[1]
ADDED = {"methods": "halves", "fills": "mirror", "metrics": "left_share", "segmenters": "brightness"}
FILE = re.compile(r"`(perturb/[\w/]+\.py)`[^\n]*:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CHANGE = re.compile(r"`(perturb/[\w/]+\.py)`[^\n]*:\n\n```diff\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def page(kind):
    return (ROOT / "docs" / "how-to" / f"add_a_{kind[:-1]}.md").read_text(encoding="utf-8")


def write_file(kind, copy):
    """Write the one file of a page."""
    ((path, text),) = FILE.findall(page(kind))
    assert not (copy / path).exists()
    (copy / path).write_text(text, encoding="utf-8")


def register(kind, copy):
    """Make the one change of a page: its import and its entry."""
    ((path, change),) = CHANGE.findall(page(kind))
    text = (copy / path).read_text(encoding="utf-8")
    for hunk in change.split("@@\n"):
        old, new = (
            "".join(line[1:] for line in hunk.splitlines(keepends=True) if line[0] in kept) for kept in (" -", " +")
        )
        assert text.count(old) == 1, f"{path} has no such place:\n{old}"
        text = text.replace(old, new)
    (copy / path).write_text(text, encoding="utf-8")
    assert sum(line.startswith("+") for line in change.splitlines()) == 2


def ask(copy, *arguments):
    """Run `added.py` in the copy."""
    environment = os.environ | {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", str(ROOT / "tests" / "added.py"), *arguments]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy with the files of the pages, not registered yet."""
    made = tmp_path_factory.mktemp("copy")
    for folder in ("perturb", "pages", "docs", ".streamlit"):
        shutil.copytree(ROOT / folder, made / folder, ignore=shutil.ignore_patterns("__pycache__", "_build"))
    for file in ("streamlit_app.py", "pyproject.toml"):
        shutil.copy(ROOT / file, made / file)
    for kind in ADDED:
        write_file(kind, made)
    return made


@pytest.fixture(scope="module")
def found(copy, tmp_path_factory):
    """What the copy offers once everything is registered."""
    before = ask(copy)["listed"]
    for kind, name in ADDED.items():
        assert name not in before[kind], "a file alone registers nothing"
        register(kind, copy)
    return ask(copy, str(tmp_path_factory.mktemp("out")))


@pytest.fixture(scope="module")
def drops():
    """The drop without each half: the score is the mean brightness, so it is what the half loses, over all pixels."""
    bright = perturb.sample("quiet-street").pixels.astype(np.float64).mean(2)
    height, width = bright.shape
    mirrored = bright[:, ::-1]

    def of(loss):
        left, right = loss[:, : width // 2].sum(), loss[:, width // 2 :].sum()
        top, bottom = loss[: height // 2].sum(), loss[height // 2 :].sum()
        return {"vertical": (left / loss.size, right / loss.size), "horizontal": (top / loss.size, bottom / loss.size)}

    return {"black": of(bright), "mirror": of(bright - mirrored)}


@pytest.mark.parametrize(("kind", "name"), ADDED.items())
def test_the_command_line_lists_what_was_added(found, kind, name):
    assert found["listed"][kind].count(name) == 1


@pytest.mark.parametrize(("kind", "name"), ADDED.items())
def test_the_documentation_names_what_was_added(found, kind, name):
    text = found["documented"][kind]
    assert f"`{name}`" in text
    heading = {"methods": "## Halves", "metrics": "### Share on the left", "segmenters": "## `brightness`"}.get(kind)
    assert heading is None or heading in text.splitlines()


@pytest.mark.parametrize("fill", ["black", "mirror"])
@pytest.mark.parametrize("cut", ["vertical", "horizontal"])
def test_the_command_line_explains_by_what_was_added(found, drops, fill, cut):
    made = found["command line"]
    assert made[f"{fill}-{cut}"] == pytest.approx(drops[fill][cut], abs=1e-6)
    assert made[f"{fill}-{cut} values"] <= 2


def test_the_metric_that_was_added_is_measured(found, drops):
    left, right = drops["black"]["vertical"]
    assert found["compared"] == pytest.approx(left / (left + right), abs=1e-5)
    # An evaluation explains the pixels that the segmenter calls bright. All of them have the same gradient, and grey
    # takes from each what it has above one half.
    bright = perturb.sample("quiet-street").pixels.astype(np.float64).mean(2)
    region, middle = bright >= 0.5, bright.shape[1] // 2
    evaluated = found["command line"]["evaluated"]
    assert evaluated["saliency"] == pytest.approx(region[:, :middle].sum() / region.sum(), abs=1e-4)
    loss = np.where(region, bright - 0.5, 0)
    assert evaluated["halves"] == pytest.approx(loss[:, :middle].sum() / loss.sum(), abs=1e-4)
    assert set(evaluated) > {"halves", "saliency"}, "the controls are measured, too"


def test_the_pages_offer_what_was_added(found, drops):
    pages = found["pages"]
    assert pages["method"][0].count("halves") == pages["sidebar"][0].count("brightness") == 1
    assert pages["method"][1] == "halves"
    assert pages["fill"][0].count("mirror") == 1
    assert pages["fill"][1] == "mirror"
    assert pages["cut"] == ["vertical", "horizontal"]
    assert pages["sidebar"][1] == "brightness"
    left, right = drops["mirror"]["vertical"]
    low, high = sorted((left, right))
    assert f"Raw range: −{-low:.3g} to +{high:.3g} " in pages["perturbation"]
    assert "Each half of the image is hidden alone" in pages["perturbation"]
    assert "--method halves" in pages["line"]
    assert "fill=mirror" in pages["line"]
    assert "brightness" in pages["catalogue"].splitlines()
    assert "Testing explanations: what decides is known." in pages["catalogue"]
    assert "brightness" in pages["catalogue table"]
    (card,) = (text for label, text in pages["cards"].items() if label.startswith("Share on the left"))
    assert "`left_share`" in card
