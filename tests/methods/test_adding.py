"""A method is one class and one entry in METHODS; the library and the command line read the rest from the class."""

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
    assert methods_on("occlusion") == ("occlusion",)
    assert methods_on("perturbation") == ("feature-ablation", "lime", "kernel-shap", "rise", "toy-quadrants")
    assert methods_on("inspect")[0] == "ablation-cam"
    assert methods_on("inspect")[-1] == "toy-gradient"
    everywhere = [name for page in ("occlusion", "perturbation", "inspect") for name in methods_on(page)]
    assert sorted(everywhere) == sorted(perturb.METHODS), "each method is on one page"


def test_a_method_that_hides_no_pixels_promises_no_masks():
    for name, method in perturb.METHODS.items():
        assert hasattr(method, "masks") == isinstance(method, MaskedMethod) == ("fill" in dir(method)), name


def test_the_command_line_lists_it(capsys):
    assert main(["list", "methods"]) == 0
    listed = capsys.readouterr().out
    for toy in TOYS:
        assert f"{toy.name} " in listed
        assert toy.summary in listed


def quarters(segmenter, image, frozen):
    """The drop of the mean logit with each quarter grey."""
    clean = torch.from_numpy(image.pixels.transpose(2, 0, 1).copy())[None]
    middle, centre = image.height // 2, image.width // 2
    heatmap = np.zeros((image.height, image.width))
    for rows in (slice(0, middle), slice(middle, None)):
        for columns in (slice(0, centre), slice(centre, None)):
            hidden = clean.clone()
            hidden[:, :, rows, columns] = 0.5
            drop = mean_logit(segmenter, clean, frozen) - mean_logit(segmenter, hidden, frozen)
            heatmap[rows, columns] = drop.item()
    return heatmap


def slope(segmenter, image, frozen):
    """∂ mean logit / ∂ pixel, colours added up."""
    clean = torch.from_numpy(image.pixels.transpose(2, 0, 1).copy())[None].requires_grad_()
    mean_logit(segmenter, clean, frozen).backward()
    return clean.grad[0].sum(0).numpy()


def mean_logit(segmenter, batch, frozen):
    return segmenter(batch)[0, frozen.index][torch.from_numpy(frozen.region)].double().mean()


@pytest.mark.parametrize(("toy", "oracle"), [(TOYS[0], quarters), (TOYS[1], slope)])
def test_the_command_line_explains_with_it(toy, oracle, tmp_path, capsys):
    told = ("--target", "car", "--method", toy.name, "--max-side", "96", "--no-curves")
    photograph = perturb.images.samples.BUNDLED / "quiet-street.png"
    assert main(["explain", str(photograph), *told, "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    image, segmenter = perturb.load_image(photograph, max_side=96), perturb.load_segmenter()
    frozen = perturb.explain(image, segmenter, perturb.Target("car"), method=toy.name).frozen
    expected = oracle(segmenter, image, frozen)
    heatmap = np.load(tmp_path / "out" / "heatmap.npy")
    assert_allclose(heatmap, expected.astype(np.float32), atol=1e-4 * np.ptp(expected))
    settings = {setting.name: setting.default for setting in toy.settings}
    assert record["forwards"] == 1 + toy.forwards(Request(image, segmenter, frozen, settings))
