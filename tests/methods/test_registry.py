"""Which page offers a method, what the base class guarantees, and a gradient method defined in a test on the command line."""

import json

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

import perturb
from perturb.cli.main import main
from perturb.methods.base import Request
from perturb.methods.masked import MaskedMethod
from perturb.methods.registry import methods_on
from tests.methods.toys import TOYS


@pytest.fixture(autouse=True)
def added(monkeypatch):
    for toy in TOYS:
        monkeypatch.setitem(perturb.METHODS, toy.name, toy)


def test_the_class_decides_on_which_page_a_method_is_offered():
    assert methods_on("occlusion")[0] == "occlusion"
    assert methods_on("perturbation")[:4] == ("feature-ablation", "lime", "kernel-shap", "rise")
    assert methods_on("perturbation")[-1] == "toy-quadrants"
    assert methods_on("inspect")[0] == "ablation-cam"
    assert methods_on("inspect")[-1] == "toy-gradient"
    everywhere = [name for page in ("occlusion", "perturbation", "inspect") for name in methods_on(page)]
    assert sorted(everywhere) == sorted(perturb.METHODS), "each method is on one page"


def test_a_method_that_hides_no_pixels_promises_no_masks():
    for name, method in perturb.METHODS.items():
        assert hasattr(method, "masks") == isinstance(method, MaskedMethod) == ("fill" in dir(method)), name


def slope(segmenter, image, frozen):
    """∂ mean logit / ∂ pixel, colours added up."""
    clean = torch.from_numpy(image.pixels.transpose(2, 0, 1).copy())[None].requires_grad_()
    mean_logit(segmenter, clean, frozen).backward()
    return clean.grad[0].sum(0).numpy()


def mean_logit(segmenter, batch, frozen):
    return segmenter(batch)[0, frozen.index][torch.from_numpy(frozen.region)].double().mean()


def test_the_command_line_explains_with_a_gradient_method(tmp_path, capsys):
    toy = TOYS[1]
    told = ("--target", "car", "--method", toy.name, "--max-side", "96", "--no-curves")
    photograph = perturb.images.samples.BUNDLED / "quiet-street.png"
    assert main(["explain", str(photograph), *told, "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    image, segmenter = perturb.load_image(photograph, max_side=96), perturb.load_segmenter()
    frozen = perturb.explain(image, segmenter, perturb.Target("car"), method=toy.name).frozen
    expected = slope(segmenter, image, frozen)
    heatmap = np.load(tmp_path / "out" / "heatmap.npy")
    assert_allclose(heatmap, expected.astype(np.float32), atol=1e-4 * np.ptp(expected))
    settings = {setting.name: setting.default for setting in toy.settings}
    assert record["forwards"] == 1 + toy.forwards(Request(image, segmenter, frozen, settings))
