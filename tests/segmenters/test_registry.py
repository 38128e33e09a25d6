"""The segmenter's contract, and answers to those that break it."""

import json

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

import perturb
from perturb.cli.main import main
from perturb.segmenters.card import ABILITIES, Card, Figure
from perturb.segmenters.embedded import WEIGHTS
from perturb.segmenters.own_weights import ARCHITECTURES
from perturb.segmenters.registry import SEGMENTERS
from tests.analytic import Constant, dark_square

WEIGHTLESS = {"megabytes", "figures", "speed"}
"""What the card of a segmenter without weights may leave out."""


class Hostile(perturb.Segmenter):
    """Returns what it is told to."""

    def __init__(self, answer):
        super().__init__("hostile", classes=["a", "b"])
        self.answer = answer

    def logits(self, batch):
        return self.answer(batch)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x: (x[:, :2],), "returned a tuple, expected one tensor of logits"),
        (lambda x: {"out": x[:, :2]}, "returned a dict"),
        (lambda x: None, "returned a NoneType"),
        (lambda x: x[:, :2] * float("nan"), "not finite"),
        (lambda x: x[:, :2] / 0, "not finite"),
        (lambda x: x[:, :2, ::2, ::2], "returned 27 × 19 px for an image of 53 × 37 px.*Upsample"),
        (lambda x: x, r"returned shape \(1, 3, 37, 53\), expected logits \(N=1, K=2"),
        (lambda x: x[0, :2], "returned shape"),
        (lambda x: x[:, :2].argmax(1), "returned shape"),
        (lambda x: (x[:, :2] * 9).long(), "not finite numbers"),
    ],
)
def test_a_broken_contract_is_answered_in_words(answer, words):
    with pytest.raises(perturb.SegmenterError, match=words):
        perturb.explain(dark_square(), Hostile(answer), perturb.Target("a", region="all"), size=8, stride=8)


def test_five_lines_make_a_segmenter():
    class Mine(perturb.Segmenter):
        def logits(self, batch):
            return torch.cat([batch[:, :1], 1 - batch[:, :1]], 1)

    segmenter = Mine("mine", classes=["red", "other"])
    result = perturb.explain(dark_square(), segmenter, perturb.Target("red"), size=8, stride=8, fill="black")
    assert result.heatmap.max() > 0
    assert segmenter.palette.shape == (2, 3)


def test_any_torch_module_is_a_segmenter_and_normalises_inside():
    module = nn.Conv2d(3, 4, 1)
    segmenter = perturb.TorchSegmenter(module, classes=list("abcd"), mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1))
    batch = torch.rand(2, 3, 5, 7)
    by_hand = module(
        (batch - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / torch.tensor([0.2, 0.2, 0.1]).view(3, 1, 1)
    )
    assert_allclose(segmenter(batch).detach(), by_hand.detach(), atol=1e-5)
    assert segmenter.name == "Conv2d"
    assert not module.training
    other = perturb.TorchSegmenter(nn.Conv2d(3, 4, 1), classes=list("abcd"))
    assert segmenter.digest != other.digest


def test_class_names_must_differ():
    with pytest.raises(perturb.SegmenterError, match="class names that differ"):
        perturb.TorchSegmenter(nn.Conv2d(3, 2, 1), classes=["a", "a"])


def test_own_segmenters_are_offered_by_name():
    perturb.register("constant", lambda device: Constant(), "Always the same.")
    try:
        assert isinstance(perturb.load_segmenter("constant"), Constant)
        with pytest.raises(perturb.SegmenterError, match="already a segmenter 'constant'"):
            perturb.register("constant", lambda device: Constant())
    finally:
        del SEGMENTERS["constant"]


def test_the_embedded_default_loads_and_sees_a_street():
    segmenter = perturb.load_segmenter()
    image = perturb.sample()
    with torch.inference_mode():
        labels = segmenter(torch.tensor(image.pixels.transpose(2, 0, 1)[None].copy()))[0].argmax(0).numpy()
    known = image.truth != 255
    assert (labels == image.truth)[known].mean() > 0.9
    assert len(segmenter.palette) == len(np.unique(segmenter.palette, axis=0)) == 11
    assert len(segmenter.digest) == 32


@pytest.mark.parametrize("name", SEGMENTERS)
def test_every_segmenter_has_a_complete_card(name):
    card = SEGMENTERS[name].card()
    missing = {field for field, value in card.as_dict().items() if value is None or value in ("", ())}
    assert missing <= (WEIGHTLESS if card.parameters == 0 else set())
    assert set(card.abilities) <= set(ABILITIES)
    assert all(0 < figure.miou < 1 for figure in card.figures)
    json.dumps(SEGMENTERS[name].as_dict())


@pytest.mark.parametrize("name", [name for name in SEGMENTERS if name.startswith("streets")])
def test_the_cards_of_the_embedded_ones_say_what_their_files_hold(name):
    card, segmenter = SEGMENTERS[name].card(), perturb.load_segmenter(name, device="cpu")
    file = WEIGHTS / f"{name}.safetensors"
    architecture = ARCHITECTURES["streets-unet" if name == "streets-shortcut" else name]
    assert card.classes == segmenter.classes
    assert card.parameters == sum(weights.numel() for weights in architecture.make(len(card.classes)).parameters())
    assert card.megabytes * 1e6 == file.stat().st_size
    assert set(card.abilities) == {"logits", *segmenter.abilities}
    assert f"# {name}" in card.text
    assert f"{card.figures[0].miou:.3f}" in card.text, "the model card says the same"


def test_cards_are_optional_and_stand_in_the_list(capsys):
    facts = Card(architecture="a threshold", classes=("thing", "rest"), figures=(Figure(0.5, "nothing", "nobody"),))
    perturb.register("silent", lambda device: Constant())
    perturb.register("told", lambda device: Constant(), card=lambda: facts)
    try:
        assert SEGMENTERS["silent"].card() == Card()
        assert main(["list", "segmenters", "--json"]) == 0
        listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
        assert listed["told"]["classes"] == ["thing", "rest"]
        assert listed["told"]["figures"] == [{"miou": 0.5, "where": "nothing", "by": "nobody"}]
        assert listed["told"]["here"] is True
        assert listed["silent"]["parameters"] is None
    finally:
        del SEGMENTERS["silent"], SEGMENTERS["told"]
