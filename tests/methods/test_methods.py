"""Methods against closed forms, brute force, captum and the lime package."""

import io
import json
from itertools import combinations
from math import factorial

import captum.attr
import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import pairwise_distances
from torch.nn import functional

import perturb
from perturb.core.settings import check_settings
from perturb.export.writer import contents, save, settings_of
from perturb.images.image import image_from_pixels
from perturb.methods.explain import masks_and_fill
from perturb.methods.kernel_shap import draw, kernel, solve
from perturb.methods.lime import fit
from perturb.methods.rise import SoftGrids
from perturb.perturbations.fills.registry import FILL_SETTINGS, make_fill
from perturb.perturbations.masks import Masks
from perturb.perturbations.segments import SEGMENT_SETTINGS, Coalitions, all_coalitions, partition
from tests.analytic import Additive, Constant, DarkIsObject, dark_square

H, W = 21, 34
THING = perturb.Target("thing", region="all")
GRID = {"segments": "grid", "count": 12}
RUNS = {
    "feature-ablation": GRID,
    "lime": {**GRID, "samples": 150},
    "kernel-shap": {**GRID, "samples": 150},
    "rise": {"grid": 4, "masks": 60},
}


def picture(height, width, seed=0):
    """Coarse patches with a little noise, so that superpixels have edges to follow."""
    draw = np.random.default_rng(seed)
    coarse = cv2.resize(draw.random((4, 6, 3), dtype=np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    noise = 0.05 * draw.random((height, width, 3), dtype=np.float32)
    return image_from_pixels(np.clip(coarse + noise, 0, 1), name="blotches")


def weights(height=H, width=W):
    return np.random.default_rng(1).normal(size=(height, width, 3))


def convolutions(seed=0):
    """A score that is not additive."""
    torch.manual_seed(seed)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 7, padding=3, stride=2),
        torch.nn.Tanh(),
        torch.nn.Upsample(size=(H, W)),
        torch.nn.Conv2d(8, 4, 7, padding=3),
    ).eval()
    return perturb.TorchSegmenter(module, classes=list("abcd"))


class Parity(perturb.Segmenter):
    """The score is the parity of the number of hidden segments, which no additive model fits."""

    def __init__(self, labels):
        super().__init__("parity", classes=["thing", "rest"])
        self.first = torch.from_numpy(np.unique(labels, return_index=True)[1])

    def logits(self, batch):
        hidden = (batch.flatten(2)[:, :, self.first] == 0).all(1).sum(1)
        own = (hidden % 2).float()[:, None, None, None].expand(-1, 1, *batch.shape[2:])
        return torch.cat([own, torch.full_like(own, -1.0)], 1)


def labelled(height=H, width=W, truth=None, **settings):
    """The partition of a blotchy picture, its clean segmentation three vertical bands."""
    image = picture(height, width)
    image = image_from_pixels(image.pixels, name="blotches", truth=truth)
    bands = np.repeat(np.arange(3), -(-width // 3))[None, :width].repeat(height, 0)
    frozen = perturb.Target(0, region="all").freeze(image, bands, ("a", "b", "c"))
    return partition(image, frozen, check_settings(SEGMENT_SETTINGS, settings, "lime"))


def segment_values(result, values=None):
    """One value a segment, from a map that must be flat on each of them."""
    values = result.heatmap if values is None else values
    low = np.array([values[result.segments == k].min() for k in range(result.segments.max() + 1)])
    high = np.array([values[result.segments == k].max() for k in range(result.segments.max() + 1)])
    assert_array_equal(low, high)
    return low


# Segments


@pytest.mark.parametrize("kind", ["grid", "slic", "felzenszwalb", "regions", "truth"])
@pytest.mark.parametrize(("height", "width"), [(21, 34), (40, 17)])
def test_segments_are_a_partition(kind, height, width):
    truth = (np.arange(height)[:, None] // 6 * np.ones((1, width))).astype(np.uint8)
    labels = labelled(height, width, truth, segments=kind, count=10, smallest=4, scale=2)
    assert labels.shape == (height, width)
    assert labels.dtype == np.int32
    assert_array_equal(np.unique(labels), np.arange(labels.max() + 1))
    assert labels.max() >= 1


@pytest.mark.parametrize(("count", "cells"), [(1, 1), (6, 6), (12, 12), (1000, 21 * 34)])
def test_a_grid_has_nearly_square_cells_of_nearly_one_size(count, cells):
    labels = labelled(segments="grid", count=count)
    sizes = np.bincount(labels.ravel())
    assert len(sizes) == cells
    for k in range(0, cells, 5):
        ys, xs = np.nonzero(labels == k)
        tall, wide = np.ptp(ys) + 1, np.ptp(xs) + 1
        assert tall * wide == sizes[k]
        assert 0.5 <= tall / wide <= 2


def test_regions_are_connected_parts_and_specks_join_the_nearest():
    truth = np.zeros((6, 9), dtype=np.uint8)
    truth[:, 5:] = 1
    truth[2, 2] = 7  # a speck inside the left part
    truth[4:, 8] = 255  # no class
    parts = labelled(6, 9, truth, segments="truth", smallest=1)
    assert parts.max() + 1 == 4
    joined = labelled(6, 9, truth, segments="truth", smallest=3)
    assert_array_equal(joined, np.arange(9)[None].repeat(6, 0) >= 5)
    two = np.zeros((6, 9), dtype=np.uint8)
    two[:, 4] = 1  # cuts the other class in two
    assert labelled(6, 9, two, segments="truth", smallest=1).max() + 1 == 3
    assert_array_equal(labelled(6, 9, segments="regions", smallest=1), np.arange(9)[None].repeat(6, 0) // 3)


def test_partitions_are_remembered_and_cannot_be_changed():
    first, second = labelled(segments="slic", count=9), labelled(segments="slic", count=9)
    assert first is second
    assert labelled(segments="slic", count=9, smallest=3) is first  # a setting that does not matter
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 3
    other = np.zeros((H, W), dtype=np.uint8)
    other[:5] = 1
    a = labelled(truth=other, segments="truth", smallest=1)
    b = labelled(truth=other[::-1].copy(), segments="truth", smallest=1)
    assert np.any(a != b)  # the same picture with other ground truth


def test_coalitions_hide_whole_segments():
    labels = labelled(segments="slic", count=9)
    count = labels.max() + 1
    kept = np.random.default_rng(0).random((11, count)) < 0.5
    masks = Coalitions(labels, kept)
    for row, mask in zip(kept, masks.hidden(0, 11).numpy(), strict=True):
        assert_array_equal(mask, np.isin(labels, np.flatnonzero(~row)))
    assert_array_equal(masks.hidden(3, 7), masks.hidden(0, 11)[3:7])
    values = np.random.default_rng(1).normal(size=(11, 2))
    assert_allclose(masks.spread(values), Masks.spread(masks, values), atol=1e-6)
    assert_array_equal(np.unique(all_coalitions(5), axis=0).shape, (30, 5))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"segments": "truth"}, "image 'blotches' has no ground truth"),
        ({"segments": "regions", "smallest": 5000}, "No segment was found: the largest region has 252 pixels"),
        ({"segments": "stars"}, "no segments 'stars'"),
        ({"count": 0}, "'count' must be a whole number from 1"),
    ],
)
def test_segments_that_cannot_be_are_answered_in_words(settings, words):
    with pytest.raises(perturb.SettingError, match=words):
        labelled(**settings)


def test_ground_truth_without_a_class_and_too_many_segments_are_answered_in_words():
    with pytest.raises(perturb.SettingError, match="no ground truth"):
        labelled(truth=np.full((H, W), 255, dtype=np.uint8), segments="truth")
    checkers = (np.indices((70, 70)).sum(0) % 7).astype(np.uint8)
    checkers[::2] += 7
    with pytest.raises(perturb.SettingError, match=r"4,900 segments, expected at most 4,096.*larger 'smallest'"):
        labelled(70, 70, checkers, segments="truth", smallest=1)


# Closed forms


@pytest.mark.parametrize("kind", ["grid", "slic"])
@pytest.mark.parametrize("fill", ["grey", "blur", "noise"])
@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("feature-ablation", {}),
        ("lime", {"alpha": 1e-6, "samples": 120}),
        ("kernel-shap", {"samples": 120}),
        ("lime", {"alpha": 1e-6, "count": 5}),
        ("kernel-shap", {"count": 5}),
    ],
)
def test_an_additive_model_gives_each_segment_its_own_sum(method, settings, fill, kind):
    image = picture(H, W)
    settings = {"segments": kind, "count": 12, "fill": fill, **settings}
    result = perturb.explain(image, Additive(weights()), THING, method=method, seed=4, **settings)
    effect = (weights() * (image.pixels.astype(np.float64) - make_fill(image, result.settings, 4).pixels)).sum(2)
    expected = [effect[result.segments == k].sum() for k in range(result.segments.max() + 1)]
    assert_allclose(segment_values(result), expected, atol=1e-3 if method == "lime" else 1e-4)
    assert result.heatmap.dtype == np.float32
    if method == "lime":
        assert_allclose(result.facts["r2"], 1, atol=1e-6)


@pytest.mark.parametrize("fill", ["black", "blur"])
def test_rise_of_an_additive_model_is_a_sum_over_its_masks(fill):
    """S(x ⊙ M) = S(b) + Σ_q e_q M_q with e = w·(x − b), so the map is S(b) + Σ_q e_q Σ_i M_iq M_ip / Σ_i M_ip."""
    image = picture(H, W)
    result = perturb.explain(image, Additive(weights()), THING, method="rise", masks=50, grid=5, fill=fill, seed=8)
    masks, backdrop = masks_and_fill(result)
    kept = 1 - masks.hidden(0, 50).double().numpy().reshape(50, -1)
    behind = backdrop.pixels.astype(np.float64)
    effect = (weights() * (image.pixels - behind)).sum(2).ravel()
    expected = (weights() * behind).sum() + (kept.T @ kept).T @ effect / kept.sum(0)
    assert_allclose(result.heatmap.ravel(), expected, atol=1e-4)


@pytest.mark.parametrize("fill", ["black", "blur"])
def test_segments_against_captum_with_a_picture_behind_them(fill):
    segmenter, image = convolutions(2), picture(H, W, seed=3)
    target = perturb.Target("c", region="box:4,3,29,17")
    result = perturb.explain(image, segmenter, target, method="feature-ablation", count=10, fill=fill)
    backdrop = np.array(make_fill(image, result.settings, 0).pixels)
    with torch.no_grad():
        attribution = captum.attr.FeatureAblation(score_function(segmenter, result.frozen)).attribute(
            torch.tensor(image.pixels.transpose(2, 0, 1)[None].copy()),
            baselines=torch.from_numpy(backdrop.transpose(2, 0, 1)[None].copy()),
            feature_mask=torch.from_numpy(np.array(result.segments))[None, None].long(),
        )
    assert_allclose(result.heatmap, attribution[0, 0], atol=1e-6)


@pytest.mark.parametrize("method", RUNS)
def test_a_class_that_is_absent_is_answered_in_words(method):
    with pytest.raises(perturb.TargetError, match="No pixel of this image is predicted as 'rest'") as caught:
        perturb.explain(picture(H, W), Constant(), perturb.Target("rest"), method=method, **RUNS[method])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", RUNS)
def test_a_constant_model_gives_a_constant_map_and_says_so(method):
    result = perturb.explain(picture(H, W), Constant(1.7), THING, method=method, **RUNS[method])
    assert_array_equal(result.heatmap, np.float32(1.7) if method == "rise" else 0)
    assert_array_equal(result.heatmap - np.float32(result.neutral), 0)
    assert "constant" in result.notes[-1]
    assert "r2" not in result.facts


def test_one_segment_is_the_whole_picture():
    image = picture(H, W)
    result = perturb.explain(image, Additive(weights()), THING, method="feature-ablation", segments="grid", count=1)
    assert_allclose(result.heatmap, (weights() * (image.pixels - 0.5)).sum(), atol=1e-4)
    assert result.forwards == 2
    for method in ("lime", "kernel-shap"):
        with pytest.raises(perturb.SettingError, match=r"the whole image is a single one; expected 2 or more"):
            perturb.explain(image, Constant(), THING, method=method, segments="grid", count=1)


def test_feature_ablation_counts_pixels_too():
    result = perturb.explain(
        dark_square(),
        DarkIsObject(),
        perturb.Target("object"),
        method="feature-ablation",
        segments="regions",
        smallest=1,
        fill="white",
    )
    square = result.frozen.region
    assert_array_equal(result.maps["lost"], np.where(square, 150, 0))
    assert_array_equal(result.maps["gained"], 0)
    assert (result.heatmap[square] > 0).all()
    assert_array_equal(result.heatmap[~square], 0)
    assert result.facts == {"segments": 2}


@pytest.mark.parametrize("settings", [{"count": 6}, {"samples": 200}, {"samples": 10}, {"count": 2}])
def test_shapley_values_add_up_to_the_whole_drop(settings):
    result = perturb.explain(
        picture(H, W), convolutions(), perturb.Target("b", region="all"), method="kernel-shap", **{**GRID, **settings}
    )
    whole = result.clean.score[0] - result.readings.score[0]
    assert result.readings.hidden[0] == H * W
    assert_allclose(result.facts["whole"], whole)
    assert_allclose(segment_values(result).astype(np.float64).sum(), whole, atol=1e-5)


# Against brute force and other libraries


def shapley(worth, count):
    """By the definition: the mean marginal worth over all orders. `worth` takes a frozenset of kept players."""
    values = np.zeros(count)
    for player in range(count):
        others = [k for k in range(count) if k != player]
        for size in range(count):
            share = factorial(size) * factorial(count - size - 1) / factorial(count)
            for group in combinations(others, size):
                values[player] += share * (worth[frozenset({*group, player})] - worth[frozenset(group)])
    return values


def score_function(segmenter, frozen):
    region = torch.from_numpy(frozen.region)
    return lambda batch: segmenter(batch)[:, frozen.index][:, region].mean(1)


def test_enumerated_kernel_shap_is_the_shapley_value_and_captums_limit():
    segmenter, image = convolutions(3), picture(H, W, seed=5)
    result = perturb.explain(
        image, segmenter, perturb.Target("c", region="all"), method="kernel-shap", segments="grid", count=6, fill="grey"
    )
    assert result.forwards == 2**6
    assert "all 62 coalitions of 6 segments" in result.notes[0]
    score = score_function(segmenter, result.frozen)
    clean = torch.tensor(image.pixels.transpose(2, 0, 1)[None].copy())
    worth = {}
    with torch.no_grad():
        for size in range(7):
            for group in combinations(range(6), size):
                hidden = torch.from_numpy(~np.isin(result.segments, group))
                worth[frozenset(group)] = float(score(torch.where(hidden, torch.tensor(0.5), clean)))
        values = segment_values(result)
        assert_allclose(values, shapley(worth, 6), atol=1e-6)
        torch.manual_seed(0)
        mask = torch.from_numpy(np.array(result.segments))[None, None].long()
        approximate = captum.attr.KernelShap(score).attribute(
            clean, baselines=0.5, feature_mask=mask, n_samples=4000, perturbations_per_eval=64, return_input_shape=False
        )
    assert_allclose(values, approximate[0], atol=0.05 * np.abs(values).max())


def test_sampled_kernel_shap_comes_near_the_shapley_value():
    arguments = (picture(H, W), convolutions(3), perturb.Target("c", region="all"))
    exact = perturb.explain(*arguments, method="kernel-shap", segments="grid", count=10, samples=2000)
    drawn = perturb.explain(*arguments, method="kernel-shap", segments="grid", count=10, samples=400, seed=2)
    assert "exact" in exact.notes[0]
    assert drawn.notes == ()
    assert_allclose(drawn.heatmap, exact.heatmap, atol=0.1 * np.abs(exact.heatmap).max())


def test_feature_ablation_is_captums():
    segmenter, image = convolutions(1), picture(H, W, seed=2)
    result = perturb.explain(
        image, segmenter, perturb.Target("a", region="all"), method="feature-ablation", count=14, fill="grey"
    )
    with torch.no_grad():
        attribution = captum.attr.FeatureAblation(score_function(segmenter, result.frozen)).attribute(
            torch.tensor(image.pixels.transpose(2, 0, 1)[None].copy()),
            baselines=0.5,
            feature_mask=torch.from_numpy(np.array(result.segments))[None, None].long(),
        )
    assert_allclose(result.heatmap, attribution[0, 0], atol=1e-6)


@pytest.mark.filterwarnings("ignore::tqdm.TqdmWarning")
def test_lime_is_the_packages_fit_of_the_same_samples():
    from lime.lime_image import LimeImageExplainer

    result = perturb.explain(
        picture(H, W), convolutions(), perturb.Target("b", region="all"), method="lime", samples=180, **GRID
    )
    masks, _ = masks_and_fill(result)
    data = np.vstack([np.ones(12), masks.kept])
    labels = np.concatenate([result.clean.score, result.readings.score])[:, None]
    distances = pairwise_distances(data, data[:1], metric="cosine").ravel()
    _, pairs, r2, _ = LimeImageExplainer().base.explain_instance_with_data(
        data, labels, distances, 0, 100000, feature_selection="auto"
    )
    assert_allclose(segment_values(result), [weight for _, weight in sorted(pairs)], atol=1e-6)
    assert_allclose(result.facts["r2"], r2, atol=1e-9)
    assert result.facts["samples"] == 180 == result.forwards
    assert result.as_dict()["seed"] == 0


def ridge(kept, scores, alpha):
    """Ridge regression around LIME's kernel from its normal equations: the weights `(M,)`, the intercept left free."""
    weight = np.exp(-((1 - np.sqrt(kept.mean(1))) ** 2) / (2 * 0.25**2))
    rows = np.hstack([np.ones((len(kept), 1)), kept])
    penalty = alpha * np.diag([0.0] + [1.0] * kept.shape[1])
    return np.linalg.solve(rows.T @ (weight[:, None] * rows) + penalty, rows.T @ (weight * scores))[1:]


@pytest.mark.parametrize(
    ("count", "samples", "alpha", "used"),
    [
        (6, 80, 1.0, 0.8),  # 64 coalitions of 6 segments, where 80 were asked for
        (6, 500, 2.5, 0.32),
        (6, 64, 1.0, 1.0),  # exactly as many as were asked for
        (12, 180, 1.0, 1.0),
        (12, 180, 40.0, 40.0),
    ],
)
def test_limes_map_is_the_ridge_regression_with_the_alpha_that_it_records(count, samples, alpha, used):
    arguments = (picture(H, W), convolutions(), perturb.Target("b", region="all"))
    result = perturb.explain(
        *arguments, method="lime", segments="grid", count=count, samples=samples, alpha=alpha, seed=3
    )
    recorded = json.loads(json.dumps(result.as_dict()))["facts"]["alpha"]
    assert recorded == pytest.approx(used, rel=1e-12)
    kept = np.vstack([np.ones((1, count)), masks_and_fill(result)[0].kept])
    scores = np.concatenate([result.clean.score, result.readings.score])
    assert_allclose(segment_values(result), ridge(kept, scores, recorded), rtol=1e-5, atol=1e-7)
    assert f"alpha {used:g} instead of {alpha:g}" in " ".join(result.notes) or used == alpha
    # What `reproduce.py` passes gives the same map: the settings hold what was asked for, and the scaling follows.
    again = perturb.explain(*arguments, **settings_of(result))
    assert_array_equal(again.heatmap, result.heatmap)
    assert again.facts["alpha"] == result.facts["alpha"]


def test_limes_empty_coalition_is_as_far_as_scikit_learn_says():
    kept = np.array([[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 1]], dtype=float)
    assert_allclose(1 - np.sqrt(kept.mean(1)), pairwise_distances(kept, kept[:1], metric="cosine").ravel(), atol=1e-12)


def test_the_fit_gives_weights_back_in_the_order_of_the_segments():
    kept = np.vstack([np.ones((1, 3)), all_coalitions(3)])
    weights, r2 = fit(kept, 7 + kept @ [1.0, 2.0, -3.0], 1e-9)
    assert_allclose(weights, [1, 2, -3], atol=1e-6)
    assert_allclose(r2, 1)


def test_rise_is_the_weighted_mean_over_the_same_masks():
    segmenter, image = convolutions(), picture(H, W)
    result = perturb.explain(
        image,
        segmenter,
        perturb.Target("d", region="all"),
        method="rise",
        grid=5,
        keep=0.3,
        masks=40,
        fill="black",
        seed=9,
    )
    masks, _ = masks_and_fill(result)
    score = score_function(segmenter, result.frozen)
    clean = torch.tensor(image.pixels.transpose(2, 0, 1)[None].copy())
    total, kept = np.zeros((H, W)), np.zeros((H, W))
    for index in range(40):
        grid, top, left = masks.draw(index)
        cells = (-(-H // 5), -(-W // 5))
        large = functional.interpolate(
            torch.from_numpy(grid)[None, None].float(), (6 * cells[0], 6 * cells[1]), mode="bilinear"
        )
        mask = large[0, 0, top : top + H, left : left + W]
        assert_allclose(masks.hidden(index, index + 1)[0], 1 - mask, atol=1e-5)
        with torch.no_grad():
            total += float(score(clean * mask)) * mask.double().numpy()
        kept += mask.double().numpy()
    assert_allclose(result.heatmap, total / kept, atol=1e-5)
    assert_allclose(result.neutral, result.readings.score.mean(), rtol=1e-6)
    assert "not a drop" in result.notes[0]


def test_rise_finds_the_dark_square():
    image = dark_square()
    result = perturb.explain(
        image, DarkIsObject(), perturb.Target("object"), method="rise", fill="white", masks=400, grid=5
    )
    above = result.heatmap - result.neutral
    square = result.frozen.region
    assert above[square].mean() > 5 * np.abs(above[~square]).mean()


# What every method owes


@pytest.mark.parametrize("method", RUNS)
def test_the_batch_size_changes_nothing_and_a_seed_makes_it_again(method):
    arguments = (picture(H, W), convolutions(), perturb.Target("b", region="all"))
    results = [
        perturb.explain(*arguments, method=method, seed=5, batch=n, fill="noise", **RUNS[method]) for n in (1, 7, None)
    ]
    for other in results[1:]:
        assert_allclose(other.heatmap, results[0].heatmap, atol=1e-5)
    again = perturb.explain(*arguments, method=method, seed=5, batch=7, fill="noise", **RUNS[method])
    assert_array_equal(again.heatmap, results[1].heatmap)
    if method != "feature-ablation":
        another = perturb.explain(*arguments, method=method, seed=6, batch=7, **RUNS[method])
        assert np.any(another.heatmap != again.heatmap)


@pytest.mark.parametrize(
    ("method", "passes"), [("feature-ablation", 1 + 12), ("lime", 150), ("kernel-shap", 2 + 150), ("rise", 1 + 60)]
)
def test_forward_passes_are_counted(method, passes):
    segmenter = DarkIsObject()
    result = perturb.explain(
        picture(H, W), segmenter, perturb.Target("object", region="all"), method=method, **RUNS[method]
    )
    assert result.forwards == segmenter.pictures == passes


def test_soft_grids_depend_on_seed_and_index_alone():
    masks = SoftGrids(H, W, grid=4, keep=0.5, count=40, seed=3)
    whole = masks.hidden(0, 40)
    assert whole.dtype == torch.float32
    assert whole.min() >= 0
    assert whole.max() <= 1
    for start, stop in ((0, 1), (5, 12), (39, 40)):
        assert_array_equal(masks.hidden(start, stop), whole[start:stop])
    assert_array_equal(SoftGrids(H, W, grid=4, keep=0.5, count=9, seed=3).hidden(0, 9), whole[:9])
    draws = [masks.draw(index) for index in range(40)]
    assert len({grid.tobytes() for grid, _, _ in draws}) == 40
    crops = {(top, left) for _, top, left in draws}
    assert len(crops) > 20
    assert {top for top, _ in crops} == set(range(6))  # ⌈21/4⌉ places
    assert {left for _, left in crops} == set(range(9))
    assert_allclose(whole.mean(), 0.5, atol=0.05)


def test_pixels_that_rise_never_shows_are_said():
    result = perturb.explain(
        picture(H, W), convolutions(), perturb.Target("b", region="all"), method="rise", masks=10, keep=0.05, grid=10
    )
    assert "kept by no mask" in result.notes[1]
    assert np.isfinite(result.heatmap).all()


def test_coalitions_are_drawn_by_the_shapley_kernel():
    kept = draw(6, 20_001, seed=1)
    assert kept.shape == (20_001, 6)
    sizes = np.bincount(kept.sum(1), minlength=7) / len(kept)
    expected = np.array([0, *(1 / (k * (6 - k)) for k in range(1, 6)), 0])
    assert_allclose(sizes, expected / expected.sum(), atol=0.01)
    assert_allclose(kept.mean(0), 0.5, atol=0.01)
    assert_array_equal(kept[10_001:], ~kept[:10_000])
    assert_allclose(kernel(all_coalitions(4))[:3], [3 / (4 * 3), 3 / (4 * 3), 3 / (6 * 4)])


def test_what_coalitions_leave_open_is_shared_equally():
    kept = np.array([[True, False, False, False]])
    assert_allclose(solve(kept, np.array([4.0]), np.ones(1), 10.0), [4, 2, 2, 2])


@pytest.mark.parametrize("method", ["lime", "kernel-shap"])
def test_few_samples_and_few_coalitions_are_said(method):
    arguments = (picture(H, W), convolutions(), perturb.Target("b", region="all"))
    noisy = perturb.explain(*arguments, method=method, segments="grid", count=12, samples=60)
    assert "60 samples for 12 segments are 5.0 each" in noisy.notes[0]
    assert "at least 10 each (120)" in noisy.notes[0]
    all_of_them = perturb.explain(*arguments, method=method, segments="grid", count=4, samples=500)
    assert all_of_them.forwards == 2**4
    assert "each was run once" in all_of_them.notes[0]
    assert "16 coalitions" in all_of_them.notes[0] or "all 14 coalitions" in all_of_them.notes[0]


def test_a_poor_fit_is_said():
    labels = labelled(**GRID)
    result = perturb.explain(picture(H, W), Parity(labels), THING, method="lime", fill="black", samples=300, **GRID)
    assert result.facts["r2"] < 0.3
    assert "fits poorly" in result.notes[-1]
    hollow = perturb.explain(picture(H, W), Parity(labels), THING, method="lime", fill="black", samples=12, **GRID)
    assert "R² is no evidence" in hollow.notes[1]
    good = perturb.explain(picture(H, W), Additive(weights()), THING, method="lime", samples=300, **GRID)
    assert good.notes == ()


def test_a_grid_finer_than_the_picture_is_answered_in_words():
    with pytest.raises(perturb.SettingError, match=r"got 30 × 30 cells for 34 × 21 px"):
        perturb.explain(picture(H, W), Constant(), THING, method="rise", grid=30)


def test_facts_and_segments_are_written(tmp_path):
    result = perturb.explain(
        picture(H, W), convolutions(), perturb.Target("b", region="all"), method="lime", **RUNS["lime"]
    )
    files = contents(result)
    assert_array_equal(np.load(io.BytesIO(files["segments.npy"])), result.segments)
    record = json.loads(files["result.json"])
    assert record["facts"] == {"segments": 12, "samples": 150, "alpha": 1.0, "r2": result.facts["r2"]}
    assert "lost.npy" not in files
    for _ in range(2):  # an earlier result is replaced
        save(result, tmp_path / "out")
    perturb.probe(result, 3)


def test_every_method_with_segments_offers_the_same_ones():
    for name in ("feature-ablation", "lime", "kernel-shap"):
        assert set(SEGMENT_SETTINGS) | set(FILL_SETTINGS) <= set(perturb.METHODS[name].settings)
