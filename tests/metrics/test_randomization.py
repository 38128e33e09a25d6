"""The parameter randomization test and other seeds; only a copy of the segmenter is changed."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity
from torch import nn

import perturb
from perturb.metrics.randomization import randomise, reseed
from tests.analytic import DarkIsObject, dark_square

NAMES = ["first", "inner.mix", "head"]  # in the order in which the picture passes them


class Net(nn.Module):
    def __init__(self, spread=1.0):
        super().__init__()
        torch.manual_seed(3)
        self.head = nn.Conv2d(4, 2, 1)  # defined first, used last
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.inner = nn.Module()
        self.inner.mix = nn.Conv2d(4, 4, 3, padding=1)
        self.unused = nn.Conv2d(1, 1, 1)
        if not spread:
            for number, parameter in enumerate(self.parameters()):
                nn.init.constant_(parameter, 0.1 + 0.01 * number)
            nn.init.constant_(self.head.bias, 0)

    def forward(self, x):
        return self.head(torch.relu(self.inner.mix(torch.relu(self.first(x)))))


def explained(method="occlusion", spread=1.0, **settings):
    segmenter = perturb.TorchSegmenter(Net(spread), classes=["a", "b"])
    settings = settings or {"size": 9, "stride": 4}
    label = "a" if spread else "b"
    return perturb.explain(dark_square(), segmenter, perturb.Target(label, region="all"), method=method, **settings)


def test_layers_are_drawn_anew_from_the_logits_back_and_the_segmenter_is_not_touched():
    result = explained()
    before = {name: values.clone() for name, values in result.segmenter.module.state_dict().items()}
    seen = []
    stages = randomise(result, stages=3, progress=seen.append)
    assert [stage.name for stage in stages] == NAMES[::-1]
    assert [stage.layers for stage in stages] == [1, 2, 3]
    assert seen == sorted(seen)
    assert seen[-1] == 1
    for name, values in result.segmenter.module.state_dict().items():
        assert torch.equal(values, before[name])
    again = randomise(result, stages=3)
    other = randomise(result, stages=3, seed=1)
    for one, two, three in zip(stages, again, other, strict=True):
        assert_array_equal(one.heatmap, two.heatmap)
        assert (one.heatmap != three.heatmap).any()
        assert -1 <= one.spearman < 1
    assert not any(module._forward_hooks for module in result.segmenter.module.modules())


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_the_map_of_a_stage_is_that_of_a_network_whose_last_layers_are_drawn_by_hand(stages):
    result = explained(spread=1.0)
    network, draw = copy.deepcopy(result.segmenter.module), torch.Generator().manual_seed(5)
    left = iter(reversed(NAMES))
    for stage, layers in zip(randomise(result, stages=stages, seed=5), np.array_split(NAMES, stages), strict=True):
        for name in (next(left) for _ in layers):
            layer = network.get_submodule(name)
            for values in (layer.weight.data, layer.bias.data):
                values.copy_(torch.randn(values.shape, generator=draw) * values.std() + values.mean())
        again = perturb.explain(
            result.image,
            perturb.TorchSegmenter(network, classes=["a", "b"]),
            result.frozen.target,
            frozen=result.frozen,
            **result.settings,
        )
        np.testing.assert_allclose(stage.heatmap, again.heatmap, atol=1e-5)
        own, other = (m.ravel().astype(float) for m in (result.heatmap, stage.heatmap))
        assert stage.spearman == pytest.approx(spearmanr(own, other)[0])
        own, other = ((m - m.min()) / (m.max() - m.min()) for m in (own.reshape(37, 53), other.reshape(37, 53)))
        assert stage.ssim == pytest.approx(structural_similarity(own, other, data_range=1.0), abs=1e-6)


def test_without_a_number_there_are_six_stages_and_three_seeds():
    torch.manual_seed(0)
    deep = nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(13)))
    segmenter = perturb.TorchSegmenter(deep, classes=["a", "b", "c"])
    result = perturb.explain(dark_square(), segmenter, perturb.Target("a", region="all"), size=19, stride=19)
    seen = []
    stages = randomise(result, progress=seen.append)
    assert [stage.layers for stage in stages] == [3, 5, 7, 9, 11, 13], "thirteen layers, split evenly"
    assert [stage.name for stage in stages] == ["10", "8", "6", "4", "2", "0"]
    for share in np.arange(1, 7) / 6:
        assert np.isclose(seen, share).any()
    first = randomise(result, seed=0)
    for one, two in zip(stages, first, strict=True):
        assert_array_equal(one.heatmap, two.heatmap)
    seen.clear()
    assert [stage.name for stage in reseed(result, progress=seen.append)] == ["seed 1", "seed 2", "seed 3"]
    assert seen == sorted(seen)
    for share in np.arange(1, 4) / 3:
        assert np.isclose(seen, share).any()


def test_other_seeds_are_those_after_the_seed_of_the_map():
    result = replace(explained("rise", masks=20, grid=4), seed=6)
    for stage, seed in zip(reseed(result, seeds=2), (7, 8), strict=True):
        again = perturb.explain(
            result.image, result.segmenter, result.frozen.target, seed=seed, method="rise", masks=20, grid=4
        )
        assert_array_equal(stage.heatmap, again.heatmap)
        assert (stage.name, stage.layers) == (f"seed {seed}", 0)
        assert stage.spearman == pytest.approx(spearmanr(result.heatmap.ravel(), again.heatmap.ravel())[0])


def test_a_constant_map_has_no_similarity():
    result = explained()
    flat = replace(result, heatmap=np.zeros_like(result.heatmap))
    for stage in (*reseed(flat, seeds=1), *randomise(flat, stages=1)):
        assert stage.spearman is stage.ssim is None


def test_few_stages_take_several_layers_each():
    stages = randomise(explained(), stages=2)
    assert [(stage.name, stage.layers) for stage in stages] == [("inner.mix", 2), ("first", 3)]
    assert len(randomise(explained(), stages=50)) == 3


def test_weights_without_spread_are_drawn_as_they_were_so_the_map_stays_itself():
    for stage in randomise(explained(spread=0.0), stages=3):
        assert stage.spearman > 0.99  # equal values differ in their last bits, which ranks see
        assert stage.ssim == pytest.approx(1, abs=1e-4)


def test_every_kind_of_method_can_be_checked():
    result = explained("ablation-cam", layer="inner.mix")
    assert len(randomise(result, stages=1)[0].heatmap) == 37


def test_a_method_without_chance_stays_and_one_with_chance_moves():
    assert [stage.spearman for stage in reseed(explained(), seeds=2)] == pytest.approx([1, 1])
    moved = reseed(explained("rise", masks=20, grid=4), seeds=2)
    assert [stage.name for stage in moved] == ["seed 1", "seed 2"]
    assert all(stage.spearman < 0.999 for stage in moved)


def test_mistakes_are_sentences():
    result = perturb.explain(dark_square(), DarkIsObject(), perturb.Target("object"), size=9, stride=9)
    with pytest.raises(perturb.SegmenterError, match="'dark' is not a torch network"):
        randomise(result)
    with pytest.raises(perturb.SettingError, match="at least one stage: got 0"):
        randomise(explained(), stages=0)
    with pytest.raises(perturb.SettingError, match="at least one other seed"):
        reseed(explained(), seeds=0)
    bare = perturb.TorchSegmenter(nn.Upsample(scale_factor=1), classes=["r", "g", "b"])
    result = perturb.explain(dark_square(), bare, perturb.Target("r", region="all"), size=9, stride=9)
    with pytest.raises(perturb.SegmenterError, match="no weights to randomize"):
        randomise(result)


def test_an_explanation_can_be_asked_for_a_region_that_another_segmenter_froze():
    result = explained()
    other = perturb.TorchSegmenter(Net(0.0), classes=["a", "b"])
    target = perturb.Target("a")
    frozen = target.freeze(result.image, np.zeros((37, 53), dtype=np.int64), ("a", "b"))
    again = perturb.explain(result.image, other, target, frozen=frozen, size=9, stride=9)
    assert again.frozen is frozen
