"""Versions in a result: those of every package that computed a part of it, and of no other."""

import builtins
import re
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import numpy as np
import pytest

import perturb
from perturb.core.versions import STACK, versions
from perturb.perturbations.segments import SEGMENT_SETTINGS
from tests.analytic import DarkIsObject, dark_square

ROOT = Path(__file__).parents[2]
WATCHED = ("captum", "lime", "scikit-image", "scikit-learn")


@pytest.fixture
def imported(monkeypatch):
    """The watched packages that code of the engine imports where it uses them, whether they were imported before or not."""
    found = set()
    real, owners = builtins.__import__, packages_distributions()

    def record(name, scope=None, *rest):
        if str((scope or {}).get("__name__", "")).startswith("perturb."):
            found.update(set(owners.get(name.partition(".")[0], ())) & set(WATCHED))
        return real(name, scope, *rest)

    monkeypatch.setattr(builtins, "__import__", record)
    return found


def recorded(result):
    return set(result.as_dict()["versions"]) - set(STACK) - {"perturbation-lab", "python"}


@pytest.mark.parametrize("method", perturb.METHODS.values(), ids=lambda method: method.name)
def test_a_result_records_the_packages_that_its_method_used(method, imported, request):
    small = {
        "occlusion": {"size": 40, "stride": 40},
        "rise": {"masks": 10},
        "lime": {"count": 4, "samples": 20},
        "kernel-shap": {"count": 4, "samples": 20},
        "feature-ablation": {"count": 4},
        "ablation-cam": {"layer": "context"},
    }
    # An image of another size for each method: segments that are in the cache are not found again.
    image = perturb.load_image(perturb.sample("quiet-street").pixels[:, : 300 + len(request.node.name)], max_side=90)
    result = perturb.explain(
        image,
        perturb.load_segmenter(),
        perturb.Target("car", region="all"),
        method=method.name,
        **small.get(method.name, {}),
    )
    assert recorded(result) == imported
    assert {name: result.as_dict()["versions"][name] for name in imported} == {n: version(n) for n in imported}


@pytest.mark.parametrize(
    "kind", [name for name, _ in next(s for s in SEGMENT_SETTINGS if s.name == "segments").choices]
)
def test_segments_from_a_package_are_recorded_and_a_grid_is_nobodys(kind, imported):
    square = dark_square(height=44 + len(kind))  # of another size each: what is in the cache is not found again
    square = square.with_truth((square.pixels[:, :, 0] < 0.5).astype(np.uint8))
    result = perturb.explain(
        square, DarkIsObject(), perturb.Target("object"), method="feature-ablation", segments=kind, smallest=1
    )
    assert recorded(result) == imported == (set() if kind == "grid" else {"scikit-image"})


def test_what_is_not_installed_is_left_out():
    found = versions(["captum", "no-such-distribution"])
    assert found["captum"] == version("captum")
    assert "no-such-distribution" not in found


def test_the_version_is_written_once():
    """`perturb.__version__`, the packaging and the record of a result say the same; only one file holds the number."""
    assert re.fullmatch(r"\d+\.\d+\.\d+", perturb.__version__)
    assert versions()["perturbation-lab"] == perturb.__version__
    packaging = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in packaging["project"]
    source = ROOT / packaging["tool"]["hatch"]["version"]["path"]
    assert f'__version__ = "{perturb.__version__}"' in source.read_text()
    others = [p for p in ROOT.glob("perturb/**/*.py") if p != source and perturb.__version__ in p.read_text()]
    assert not others
