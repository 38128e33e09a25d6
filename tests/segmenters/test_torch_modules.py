"""Torch modules as they come: one logit, sizes that must be multiples, padding of their own, channels that do not fit."""

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from torch.nn import functional

import perturb
from perturb.engine import runner
from perturb.images.image import to_tensor
from perturb.segmenters.layers import stretch
from tests.analytic import picture


@pytest.fixture(autouse=True)
def always_incremental(monkeypatch):
    """These networks are so small that whole passes would be chosen for their cost."""
    monkeypatch.setattr("perturb.engine.incremental.passes.dearer", lambda *_: "")


class Crack(nn.Module):
    """One logit, at half the size and enlarged."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 1, 1)

    def forward(self, x):
        x = self.last(torch.relu(self.first(x)))
        return functional.interpolate(x, scale_factor=2, mode="bilinear")


class Pair(nn.Module):
    """The same with the logits of both classes written out."""

    def __init__(self, module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x):
        z = self.module(x)
        return torch.cat([z * 0, z], 1)


def crack():
    torch.manual_seed(1)
    module = Crack()
    nn.init.normal_(module.last.weight)
    nn.init.constant_(module.last.bias, -0.05)
    return module


@pytest.mark.parametrize("score", ["logit", "probability", "iou"])
@pytest.mark.parametrize(
    "asked",
    [
        {"size": 8, "stride": 5},
        {"size": 8, "stride": 5, "plain": True},
        {"method": "ablation-cam", "layer": "first"},
        {"method": "saliency"},
        {"method": "grad-cam", "layer": "first"},
    ],
)
def test_one_logit_is_a_sigmoid_of_two_classes(score, asked):
    if score == "iou" and asked.get("method") in ("saliency", "grad-cam"):
        pytest.skip("an IoU has no gradient")
    image, one = picture(32, 40), perturb.TorchSegmenter(crack(), classes=["crack"])
    assert one.classes == ("background", "crack")
    assert len(one.palette) == 2
    two = perturb.TorchSegmenter(Pair(crack()), classes=["background", "crack"])
    target = perturb.Target("crack", region="all", score=score)
    got = perturb.explain(image, one, target, **asked)
    layer = {"layer": f"module.{asked['layer']}"} if "layer" in asked else {}
    expected = perturb.explain(image, two, target, **(asked | layer | {"plain": True}))
    assert_allclose(got.heatmap, expected.heatmap, atol=1e-5 * max(float(np.ptp(expected.heatmap)), 1e-3))
    assert_allclose(got.readings.score, expected.readings.score, atol=1e-5)
    assert 0 < got.frozen.clean.mean() < 1, "neither nothing nor everything is the class"
    if asked.get("method", "occlusion") in ("occlusion", "ablation-cam") and "plain" not in asked:
        assert got.execution.passes == "incremental"
    if score == "probability":
        with torch.inference_mode():
            by_hand = torch.sigmoid(one.module(to_tensor(image, one.device)[None]).double()).mean()
        assert_allclose(got.clean.score[0], by_hand, atol=1e-6)


def test_both_names_may_be_given_and_a_name_must_not_hide_a_second_channel():
    both = perturb.TorchSegmenter(crack(), classes=["sound", "crack"])
    assert both(torch.rand(1, 3, 8, 8)).shape == (1, 2, 8, 8)
    many = perturb.TorchSegmenter(nn.Conv2d(3, 3, 1), classes=["crack"])
    with pytest.raises(perturb.SegmenterError, match=r"returned shape \(1, 3, 8, 8\), expected logits"):
        many(torch.rand(1, 3, 8, 8))
    red = np.array([[255, 0, 0]], np.uint8)
    assert_array_equal(
        perturb.TorchSegmenter(crack(), classes=["crack"], palette=red).palette, [[128] * 3, [255, 0, 0]]
    )
    assert_array_equal(perturb.TorchSegmenter(crack(), classes=["sound", "crack"], palette=red).palette, red)
    assert perturb.TorchSegmenter(crack(), classes=["background"]).classes == ("other", "background")


class Halving(nn.Module):
    """Halves twice and joins with skips: other sizes than multiples of 4 do not fit together."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (
            nn.Conv2d(3, 6, 3, 1, 1),
            nn.Conv2d(6, 6, 3, 2, 1),
            nn.Conv2d(6, 6, 3, 2, 1),
        )
        self.head = nn.Conv2d(6, 3, 1)

    def forward(self, x):
        x = torch.relu(self.first(x))
        y = torch.relu(self.second(x))
        z = functional.interpolate(torch.relu(self.third(y)), scale_factor=2.0, mode="bilinear") + y
        return self.head(functional.interpolate(z, scale_factor=2.0, mode="bilinear") + x)


def halving(**options):
    torch.manual_seed(2)
    module = Halving()
    with torch.no_grad():
        for name, weight in module.named_parameters():
            weight.mul_(3 if name.endswith("weight") else 0)  # as small as they are drawn, the signal would fade
    return perturb.TorchSegmenter(module, classes=["a", "b", "c"], mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.2), **options)


def by_hand(segmenter, image, multiple):
    """Padded by numpy, run by the bare module, cropped."""
    height, width = image.pixels.shape[:2]
    pixels = np.pad(image.pixels, ((0, -height % multiple), (0, -width % multiple), (0, 0)), mode="edge")
    given = torch.from_numpy((pixels - [0.4, 0.5, 0.6]) / [0.2, 0.3, 0.2]).float().permute(2, 0, 1)[None]
    with torch.inference_mode():
        return segmenter.module(given)[..., :height, :width]


@pytest.mark.parametrize("declared", [{}, {"pads_to": 4}])
@pytest.mark.parametrize("size", [(33, 41), (30, 28), (32, 40), (1, 3)])
def test_a_module_that_needs_multiples_is_padded(size, declared):
    segmenter, image = halving(**declared), picture(*size)
    got = runner.clean_logits(image, segmenter)[None]
    assert_allclose(got, by_hand(segmenter, image, 4), atol=1e-5)


@pytest.mark.parametrize(
    "method", [{"size": 8, "stride": 6, "fill": "white"}, {"method": "ablation-cam", "layer": "second"}]
)
def test_padded_passes_are_incremental_too(method):
    segmenter, image = halving(), picture(33, 41)
    target = perturb.Target("b", region="box:5,5,30,25", score="logit")
    got = perturb.explain(image, segmenter, target, **method)
    expected = perturb.explain(image, segmenter, target, plain=True, **method)
    assert got.execution.passes == "incremental"
    assert np.ptp(expected.readings.score) > 0.01
    assert_allclose(got.readings.score, expected.readings.score, atol=1e-5)
    assert_allclose(got.heatmap, expected.heatmap, atol=1e-4 * np.ptp(expected.heatmap))
    assert {layer.name: layer.shape for layer in segmenter.layers(image)}["second"] == (6, 18, 22)


class Padding(nn.Module):
    """Pads by itself, on every side, and says nothing of it."""

    def __init__(self, left: int, top: int, multiple: int) -> None:
        super().__init__()
        self.left, self.top, self.multiple = left, top, multiple
        # Its border is reflected by the same function, which is no padding of the image.
        self.first = nn.Conv2d(3, 5, 3, 1, 1, padding_mode="reflect")
        self.pool, self.head = nn.AvgPool2d(4), nn.Conv2d(5, 3, 1)

    def forward(self, x):
        height, width = x.shape[2:]
        right, below = -(width + self.left) % self.multiple, -(height + self.top) % self.multiple
        x = functional.pad(x / 2, (self.left, right, self.top, below), mode="replicate")
        x = functional.interpolate(self.head(self.pool(self.first(x))), scale_factor=4, mode="bilinear")
        return x[..., self.top : self.top + height, self.left : self.left + width]


@pytest.mark.parametrize(("left", "top", "multiple"), [(0, 0, 4), (8, 4, 4), (3, 0, 32), (0, 0, 1)])
def test_padding_that_is_not_declared_does_not_shift_the_maps(left, top, multiple):
    torch.manual_seed(0)
    module, image = Padding(left, top, multiple), picture(36, 44)
    segmenter = perturb.TorchSegmenter(module, classes=["a", "b", "c"])
    high, wide = -(-(36 + top) // multiple) * multiple, -(-(44 + left) // multiple) * multiple
    assert segmenter.frame(36, 44) == (top, left, high, wide)
    # Logits are channels of a layer, enlarged and cropped as its maps should be.
    with torch.inference_mode():
        logits = segmenter(to_tensor(image, segmenter.device)[None])[0]
    cells = segmenter.activations(image, "head")
    for channel in range(3):
        assert_allclose(stretch(segmenter, torch.from_numpy(cells[channel]), 36, 44), logits[channel], atol=1e-6)
    # The same network in a segmenter that need not pad, on the image padded by hand.
    whole = np.pad(image.pixels, ((top, high - 36 - top), (left, wide - 44 - left), (0, 0)), mode="edge")
    bare = perturb.TorchSegmenter(Padding(0, 0, 1), classes=["a", "b", "c"])
    bare.module.load_state_dict(module.state_dict())
    for name in ("ablation-cam", "grad-cam"):
        small = perturb.explain(
            image, segmenter, perturb.Target("a", region="box:9,9,20,20"), method=name, layer="first"
        )
        box = f"box:{9 + left},{9 + top},{20 + left},{20 + top}"
        large = perturb.explain(
            perturb.images.image.image_from_pixels(whole, name="padded"),
            bare,
            perturb.Target("a", region=box),
            method=name,
            layer="first",
        )
        expected = large.heatmap[top : top + 36, left : left + 44]
        assert_allclose(small.heatmap, expected, atol=1e-4 * np.ptp(expected))


@pytest.mark.parametrize(("kind", "needs"), [(smp.FPN, 32), (smp.DeepLabV3Plus, 16), (smp.Unet, 1)])
def test_networks_of_segmentation_models_pytorch_take_any_size(kind, needs):
    torch.manual_seed(0)
    module = kind("mobilenet_v2", encoder_weights=None, classes=1)
    segmenter = perturb.TorchSegmenter(module, classes=["crack"])
    image = picture(70, 100)
    got = runner.clean_logits(image, segmenter)
    padded = np.pad(image.pixels, ((0, -70 % needs), (0, -100 % needs), (0, 0)), mode="edge")
    with torch.inference_mode():
        expected = module(torch.from_numpy(padded).permute(2, 0, 1)[None])[0, 0, :70, :100]
    assert_array_equal(got[0], 0)
    assert_allclose(got[1], expected, atol=1e-5)
    result = perturb.explain(image, segmenter, perturb.Target("crack", region="all"), size=50, stride=50)
    assert np.isfinite(result.heatmap).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: perturb.TorchSegmenter(nn.Conv2d(1, 2, 1), classes=["a", "b"]), "expected input.* to have 1 channels"),
        (lambda: perturb.TorchSegmenter(nn.Conv2d(4, 2, 1), classes=["a", "b"]), "number of input channels"),
        (lambda: perturb.TorchSegmenter(nn.Conv2d(3, 4, 1), classes=["a", "b"]), r"returned shape \(1, 4, 9, 11\)"),
        (lambda: perturb.TorchSegmenter(nn.Conv2d(3, 2, 1), classes=["a", "b"], mean=(0.5,)), "mean .* has 1 values, expected 3"),
        (lambda: perturb.TorchSegmenter(nn.Conv2d(3, 2, 1), classes=["a", "b"], std=(1, 1, 1, 1)), "std .* has 4 values"),
        (lambda: perturb.TorchSegmenter(nn.Conv2d(3, 2, 1, 4), classes=["a", "b"]), "returned 3 × 3 px for an image of 11 × 9"),
    ],
)  # fmt: skip
def test_channels_that_do_not_fit_are_said_in_a_sentence(make, message):
    with pytest.raises(perturb.SegmenterError, match=message):
        perturb.explain(picture(9, 11), make(), perturb.Target("a", region="all"))
