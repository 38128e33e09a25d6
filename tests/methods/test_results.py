"""What a result says about itself: its record, its units, how 16 bits agree with 32, and its remarks, worked out again."""

import json
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import label
from scipy.stats import spearmanr
from torch import nn

import perturb
from perturb.core.settings import check_settings
from perturb.images.image import digest_of, image_from_pixels
from perturb.methods.ablation_cam import weights
from perturb.methods.base import Request
from perturb.methods.explain import check_run, masks_and_fill
from perturb.methods.gradient import path_facts
from perturb.methods.occlusion import windows
from perturb.methods.registry import METHODS
from perturb.targets.readings import Readings
from tests.analytic import Additive, Constant, DarkIsObject, dark_square, picture

CLASSES = ["a", "b", "c"]
ALL = perturb.Target("b", region="all")


def network(*, zero=False, middle=6):
    torch.manual_seed(4)
    module = nn.Sequential(nn.Conv2d(3, middle, 3, padding=1), nn.ReLU(), nn.Conv2d(middle, 3, 1)).eval()
    if zero:
        nn.init.zeros_(module[2].weight)
    return perturb.TorchSegmenter(module, classes=CLASSES)


# --- The record ---


def test_the_record_holds_all_that_was_asked_and_found():
    truth = np.zeros((37, 53), np.uint8)
    truth[10:20, 15:30] = 1
    truth[0] = 9
    image = image_from_pixels(dark_square().pixels, name="square").with_truth(
        truth, classes=["background", "object"], ignore_index=9
    )
    result = perturb.explain(image, DarkIsObject(), perturb.Target("object"), size=37, stride=37, fill="white", seed=7)
    record = json.loads(json.dumps(result.as_dict()))
    assert record.pop("versions")["torch"] == version("torch")
    assert 0 <= record.pop("seconds") < 60
    assert record.pop("target") == result.frozen.as_dict()
    # The square has the logit 9 and is 0.1 bright: white makes it 0. The window over it hides all of it.
    assert record == {
        "image": {
            "name": "square",
            "digest": image.digest,
            "truth": digest_of(np.where(truth == 9, 255, truth).astype(np.uint8)),
            "ignore_index": [9],
            "width": 53,
            "height": 37,
            "notes": [],
        },
        "segmenter": {"name": "dark", "digest": "", "classes": ["background", "object"], "device": "cpu"},
        "method": "occlusion",
        "settings": check_settings(
            METHODS["occlusion"].settings, {"size": 37, "stride": 37, "fill": "white"}, "occlusion"
        ),
        "seed": 7,
        "clean": {"score": pytest.approx(9, abs=1e-5), "iou": 1.0},
        "heatmap": {
            "unit": "logit",
            "min": pytest.approx(0, abs=1e-5),
            "max": pytest.approx(9, abs=1e-5),
            "neutral": 0.0,
            "signed": True,
        },
        "forwards": 3,
        "execution": {"passes": "whole", "reason": result.execution.reason},
        "facts": {},
        "notes": [],
    }
    bare = perturb.explain(dark_square(), DarkIsObject(), perturb.Target("object"), size=37, stride=37).as_dict()
    assert bare["image"]["truth"] is None
    assert "ignore_index" not in bare["image"]


def test_the_record_tells_the_digest_of_the_network_and_the_libraries_of_the_map():
    segmenter = network()
    result = perturb.explain(
        dark_square(), segmenter, ALL, method="lime", segments="slic", count=4, smallest=1, samples=20
    )
    record = result.as_dict()
    assert record["segmenter"]["digest"] == segmenter.digest != ""
    assert result.libraries[:2] == ("lime", "scikit-learn")
    assert {"lime", "scikit-learn", "scikit-image"} <= set(record["versions"])
    assert "captum" not in record["versions"]
    assert "captum" in perturb.explain(picture(12, 16), segmenter, ALL, method="saliency").as_dict()["versions"]


def test_what_is_printed_names_the_map_and_its_range():
    weights = np.zeros((6, 8, 3))
    weights[0, 0] = 2
    image = image_from_pixels(np.ones((6, 8, 3), np.float32), name="white")
    result = perturb.explain(image, Additive(weights), perturb.Target("thing"), size=1, stride=1, fill="black")
    assert repr(result) == (
        "<Attribution: occlusion for 'thing' on 'white' by 'additive', map from +0 to +6 drop in logit, 49 passes, whole>"
    )


# --- Units ---


@pytest.mark.parametrize("score", ["logit", "probability", "iou"])
def test_drops_are_in_units_of_the_score_and_counts_in_pixels(score):
    target = perturb.Target("object", score=score)
    result = perturb.explain(dark_square(), DarkIsObject(), target, size=16, stride=16)
    expected = {"logit": "drop in logit", "probability": "drop in probability", "iou": "drop in IoU"}[score]
    for unit in (result.unit, result.raw_unit):
        assert (unit(), unit("score")) == (expected, expected)
        assert (unit("lost"), unit("gained")) == ("pixels lost", "pixels gained")
    assert result.as_dict()["heatmap"]["unit"] == score
    assert result.signed()
    assert not result.signed("lost")
    assert_array_equal(result.centred, result.heatmap)


def test_a_mean_score_is_read_above_its_neutral_value_and_its_raw_values_as_a_score():
    result = perturb.explain(dark_square(), DarkIsObject(), perturb.Target("object"), method="rise", masks=20)
    mean = result.readings.score.mean()
    assert result.neutral == pytest.approx(mean, rel=1e-6)
    assert result.unit() == f"logit above {mean:.3g}"
    assert result.raw_unit() == "logit"
    assert_allclose(result.centred, result.heatmap - mean, atol=1e-5)
    assert result.raw_unit("lost") == "pixels lost"


@pytest.mark.parametrize(
    ("method", "unit"),
    [
        ("saliency", "logit for a step from black to white"),
        ("guided-backprop", "logit for a step from black to white"),
        ("grad-cam", "activation × slope of the logit"),
        ("grad-cam-plus-plus", "activation × slope of the logit"),
        ("guided-grad-cam", "slope of the logit × Seg-Grad-CAM"),
        ("ablation-cam", "activation × relative drop of the score"),
    ],
)
def test_gradient_and_layer_maps_have_a_unit_of_their_own(method, unit):
    result = perturb.explain(picture(12, 16), network(), ALL, method=method)
    assert result.unit() == result.raw_unit() == result.as_dict()["heatmap"]["unit"] == unit
    assert result.unit("input") == "logit"


# --- 16 bits ---


@pytest.mark.parametrize(
    ("stride", "chosen"),
    [
        (12, [0, 5, 11, 17, 23, 29]),  # 30 masks: at least six
        (7, None),  # a tenth
        (4, None),  # at most ten
    ],
)
def test_16_bits_are_held_against_32_on_some_masks(stride, chosen):
    image, segmenter = picture(64, 72), network()
    asked = {"size": 16, "stride": stride, "fill": "white"}
    rough = perturb.explain(image, segmenter, ALL, precision="bfloat16", **asked)
    exact = perturb.explain(image, segmenter, ALL, plain=True, **asked)
    total = len(exact.readings)
    count = min(max(6, total // 10), 10)
    rows = [int(k * (total - 1) / (count - 1)) for k in range(count)]
    assert chosen is None or rows == chosen
    near, far = exact.readings.score[rows], rough.readings.score[rows]
    assert rough.facts["precision"] == "bfloat16"
    assert_allclose(rough.facts["precision_difference"], np.abs(near - far).max(), rtol=1e-3)
    assert_allclose(rough.facts["precision_spearman"], spearmanr(near, far).statistic, atol=1e-9)
    assert rough.notes == (
        f"Run in bfloat16. On {count} of its {total} masks, run again in float32, the ranks of the scores agree with Spearman "
        f"{spearmanr(near, far).statistic:.3f}, and the largest difference is {np.abs(near - far).max():.2g}, where the scores "
        f"of all masks span {np.ptp(rough.readings.score):.2g}.",
    )
    assert "precision" not in exact.facts


def test_16_bits_of_a_constant_score_have_no_ranks():
    result = perturb.explain(picture(64, 72), network(zero=True), ALL, size=16, stride=12, precision="bfloat16")
    assert "precision_spearman" not in result.facts
    assert "run again in float32, the scores are all equal, and the largest difference is" in result.notes[0]
    assert result.notes[-1] == "The map is constant (0): hiding any part changes the score equally, or not at all."


def test_16_bits_are_left_where_they_do_not_apply():
    image, segmenter = picture(64, 72), network()
    slope = perturb.explain(image, segmenter, ALL, method="saliency", precision="bfloat16")
    assert slope.notes == ("Saliency hides no pixels, so it was run in float32; bfloat16 applies to methods that do.",)
    own = perturb.explain(
        dark_square(), DarkIsObject(), perturb.Target("object"), precision="bfloat16", size=37, stride=37
    )
    assert own.notes == (f"Run in float32, because {own.execution.reason}.",)
    whole = perturb.explain(image, segmenter, ALL, size=32, stride=32, precision="bfloat16", plain=True)
    assert whole.notes == ()
    assert whole.execution.reason == "whole passes were asked for"


# --- Remarks ---


def test_a_slope_that_is_equal_everywhere_is_said():
    result = perturb.explain(picture(12, 16), network(zero=True), ALL, method="saliency")
    assert result.notes == ("The map is constant (0): all pixels are equal.",)
    assert result.seconds > 0
    assert result.forwards == 3


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("total", "said"), [(10.0, False), (10.4, False), (9.6, False), (10.6, True), (9.4, True)])
def test_a_map_that_does_not_add_up_within_5_percent_is_said(sign, total, said):
    request = SimpleNamespace(clean=SimpleNamespace(score=np.array([sign * 10 + 2.0])))
    facts, notes = path_facts(request, 2.0, sign * total, "Do better.")
    assert facts == {"path": sign * 10, "gap": pytest.approx(sign * (total - 10))}
    assert bool(notes) == said
    if said:
        assert f"The map adds up to {sign * total:.3g}, and should to {sign * 10:.3g}" in notes[0]
        assert notes[0].endswith("do not believe details. Do better.")


@pytest.mark.parametrize("batch", [1, 3, 4])
def test_gradient_shap_adds_up_to_the_rise_from_the_mean_of_its_baselines(batch):
    image, segmenter = picture(12, 16), network()
    result = perturb.explain(
        image, segmenter, ALL, method="gradient-shap", fill="noise", samples=4, seed=3, noise_level=1, batch=batch
    )
    starts = []
    for seed in (3, 4, 5, 6):
        base = np.random.default_rng(seed).random((12, 16, 3), dtype=np.float32).transpose(2, 0, 1)
        with torch.no_grad():
            starts.append(float(segmenter(torch.from_numpy(base.copy())[None])[0, 1].double().mean()))
    path = result.clean.score[0] - np.mean(starts)
    assert_allclose(result.facts["path"], path, rtol=1e-5)
    assert_allclose(result.facts["gap"], result.heatmap.sum(dtype=float) - path, rtol=1e-4)
    assert result.notes[0].endswith("Take more samples, less noise, or another baseline.")
    assert result.facts["draws"] == 4


def test_a_layer_like_the_logits_is_not_taken_for_them():
    """Three channels for three classes, with another convolution behind them."""
    for score in ("logit", "probability"):
        target = perturb.Target("b", region="all", score=score)
        assert perturb.explain(picture(12, 16), network(middle=3), target, method="grad-cam", layer="0").notes == ()


def test_a_layer_is_the_logits_only_where_they_agree_within_a_hundredth():
    """The layer gives back the colours; behind it a part of red is added to green, of at most `share`."""
    image, target = picture(12, 16), perturb.Target("b", region="all", score="probability")
    for share, said in ((0.001, True), (0.2, False)):
        module = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), nn.Conv2d(3, 3, 1, bias=False))
        mixed = torch.eye(3)
        mixed[1, 0] = share
        with torch.no_grad():
            module[0].weight.copy_(torch.eye(3)[:, :, None, None])
            module[1].weight.copy_(mixed[:, :, None, None])
        segmenter = perturb.TorchSegmenter(module, classes=CLASSES)
        notes = perturb.explain(image, segmenter, target, method="grad-cam", layer="0").notes
        assert bool(notes) == said


def test_logits_that_are_the_same_everywhere_are_the_logits_too():
    target = perturb.Target("b", region="all", score="probability")
    result = perturb.explain(picture(12, 16), network(zero=True), target, method="grad-cam", layer="2")
    assert result.notes[0] == (
        "The output of layer '2' is the logits themselves, so its channels add up to the classes' score maps again, mixed, "
        "and do not show where the logits come from. Choose an earlier layer."
    )


# --- Channels ---


def of_scores(*scores):
    numbers, counts = np.array(scores, dtype=np.float64), np.zeros(len(scores), np.int64)
    return Readings(numbers, counts, counts, counts, counts, numbers, counts)


@pytest.mark.parametrize(
    ("clean", "ablated", "expected", "absolute"),
    [
        (2.0, (1.0, 4.0, 2.0), (0.5, -1.0, 0.0), False),
        (-2.0, (1.0, -4.0), (-1.5, 1.0), False),
        (0.005, (0.0049, 0.006), (0.02, -0.2), False),  # small, but large beside the drops
        (1.0, (102.0, 1.0), (-101.0, 0.0), True),  # less than a hundredth of the largest change
        (1.0, (100.0, 1.0), (-99.0, 0.0), False),
        (0.0, (0.0, 0.0), (0.0, 0.0), True),
    ],
)
def test_channels_weigh_by_their_relative_drop_unless_the_score_is_near_zero(clean, ablated, expected, absolute):
    got, plain = weights(of_scores(clean), of_scores(*ablated))
    assert plain == absolute
    assert_allclose(got, expected, rtol=1e-9)


class Branch(nn.Module):
    """A branch that depends on values, so that nothing can be traced."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 3, 1)

    def forward(self, x):
        x = self.first(x)
        return self.head(x if x.mean() < 1e9 else -x)


def test_channels_are_run_by_the_shortest_way_and_whole_passes_where_they_are_asked_for():
    image, segmenter = picture(12, 16), network()
    ways = [
        perturb.explain(image, segmenter, ALL, method="ablation-cam", layer="0", plain=plain) for plain in (False, True)
    ]
    assert [way.execution.passes for way in ways] == ["incremental", "downstream"]
    assert ways[0].execution.reason == ""
    assert ways[1].execution.reason == "whole passes were asked for"
    assert not ways[1].execution.stale
    assert_allclose(ways[0].heatmap, ways[1].heatmap, atol=1e-5)
    torch.manual_seed(0)
    branch = perturb.TorchSegmenter(Branch().eval(), classes=CLASSES)
    whole = perturb.explain(image, branch, ALL, method="ablation-cam", layer="first")
    assert whole.execution.passes == "whole"
    assert "cannot be traced" in whole.execution.reason
    with torch.no_grad():  # each channel by hand: its weights in the head are all that it has
        cells = branch.module.first(torch.from_numpy(image.pixels.transpose(2, 0, 1).copy())[None])[0].double()
        drop = branch.module.head.weight[1, :, 0, 0].double() * cells.mean((1, 2))
    assert_allclose(whole.clean.score[0] - whole.readings.score, drop, atol=1e-5)


def test_a_unit_says_whether_the_drop_is_relative():
    segmenter, image = network(), picture(12, 16)
    score = perturb.explain(image, segmenter, ALL, method="ablation-cam", layer="0").clean.score[0]
    with torch.no_grad():
        segmenter.module[2].bias[1] -= score
    result = perturb.explain(image, segmenter, ALL, method="ablation-cam", layer="0")
    assert result.facts["unit"] == "activation × drop of the score"
    assert f"The clean score ({result.clean.score[0]:.3g}) is near zero" in result.notes[0]


# --- Masks and requests ---


@pytest.mark.parametrize("method", ["feature-ablation", "lime", "kernel-shap"])
def test_segments_may_be_the_regions_of_the_clean_prediction(method):
    settings = {} if method == "feature-ablation" else {"samples": 10}
    result = perturb.explain(
        dark_square(),
        DarkIsObject(),
        perturb.Target("object"),
        method=method,
        segments="regions",
        smallest=1,
        **settings,
    )
    square = dark_square().pixels[:, :, 0] < 0.5
    assert label(square)[1] == label(~square)[1] == 1
    assert result.segments.max() == 1
    assert np.unique(result.segments[square]).size == np.unique(result.segments[~square]).size == 1


@pytest.mark.parametrize(("shape", "height"), [("square", 8), ("rectangle", 5), ("disc", 8)])
def test_windows_have_the_size_the_stride_and_the_shape_that_are_asked_for(shape, height):
    asked = {"size": 8, "stride": 3, "shape": shape, "height": 5}
    masks = windows(picture(20, 29), check_settings(METHODS["occlusion"].settings, asked, "occlusion"))
    rows, columns = -(-(20 - height) // 3) + 1, 7 + 1
    assert len(masks) == rows * columns
    assert masks.hidden(0, 1).shape == (1, 20, 29)
    first = masks.hidden(0, 1)[0].numpy()
    y, x = np.mgrid[:20, :29]
    box = (y < height) & (x < 8)
    assert_array_equal(first, box & ((y - 3.5) ** 2 + (x - 3.5) ** 2 <= 16) if shape == "disc" else box)
    assert_array_equal(masks.hidden(1, 2)[0, :, 3:], masks.hidden(0, 1)[0, :, :-3])


def test_a_request_reads_the_clean_image_once_or_from_the_logits_that_it_is_given():
    segmenter, image = DarkIsObject(), dark_square()
    frozen = perturb.explain(image, segmenter, perturb.Target("object"), size=37, stride=37).frozen
    before = segmenter.pictures
    request = Request(image, segmenter, frozen, {})
    assert request.clean.score[0] == pytest.approx(9, abs=1e-5)
    assert request.clean is request.clean
    assert segmenter.pictures == before + 1
    given = Request(image, segmenter, frozen, {}, logits=torch.stack([torch.zeros(37, 53), torch.full((37, 53), 4.0)]))
    assert given.clean.score.tolist() == [4.0]
    assert (given.clean.lost[0], given.clean.gained[0], given.clean.hidden[0]) == (0, 37 * 53 - 150, 0)
    assert segmenter.pictures == before + 1
    assert given.input.shape == (1, 3, 37, 53)
    assert_array_equal(given.input[0].permute(1, 2, 0), image.pixels)


def test_settings_seed_and_precision_are_checked_before_anything_runs():
    segmenter = Constant()
    method, settings = check_run(segmenter, "rise", {"grid": 4})
    assert method is METHODS["rise"]
    assert settings == {each.name: each.default for each in method.settings} | {"grid": 4}
    for seed in (0, 5):
        check_run(segmenter, "rise", {}, seed, "bfloat16")
    with pytest.raises(perturb.SettingError, match="The seed must be a whole number, 0 or more: got -1"):
        check_run(segmenter, "rise", {}, -1)
    with pytest.raises(perturb.SettingError, match="There is no precision 'half'; expected one of float32, bfloat16"):
        check_run(segmenter, "rise", {}, 0, "half")
    with pytest.raises(perturb.SettingError, match="no method 'rose'"):
        check_run(segmenter, "rose", {})


@pytest.mark.parametrize("method", ["lime", "kernel-shap", "rise"])
def test_masks_of_a_result_are_those_of_its_seed(method):
    image = picture(21, 34)
    weights = np.random.default_rng(2).normal(size=(21, 34, 3))
    settings = {"masks": 20} if method == "rise" else {"segments": "grid", "count": 12, "samples": 30}
    result = perturb.explain(
        image, Additive(weights), perturb.Target("thing"), method=method, fill="noise", seed=11, **settings
    )
    masks, fill = masks_and_fill(result)
    behind = np.random.default_rng(11).random((21, 34, 3), dtype=np.float32)
    assert_array_equal(fill.pixels, behind)
    hidden = masks.hidden(0, len(masks)).double().numpy()
    # An additive score of each perturbed image, without running anything.
    drop = hidden.reshape(len(masks), -1) @ (weights * (image.pixels - behind)).sum(2).ravel()
    assert_allclose(result.clean.score[0] - result.readings.score, drop, atol=1e-3)
