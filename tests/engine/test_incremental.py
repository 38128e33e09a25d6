"""The shorter ways to the same readings, each against whole passes of the network as it is."""

import copy
import resource

import numpy as np
import pytest
import threadpoolctl
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from torch.nn import functional

import perturb
from perturb.core.memory import _library, kept
from perturb.core.settings import check_settings
from perturb.core.threads import undivided
from perturb.engine import runner
from perturb.engine.incremental.boxes import Boxes, ChangedBoxes, whole
from perturb.engine.incremental.graph import lower_network
from perturb.engine.incremental.known import Unknown
from perturb.engine.incremental.mix import Mix
from perturb.engine.incremental.moves import Cat
from perturb.engine.incremental.passes import _alike
from perturb.engine.incremental.reading import Enlargement, LowReader
from perturb.engine.incremental.sums import enlarged_sums
from perturb.engine.incremental.winograd import Winograd
from perturb.images.image import to_tensor
from perturb.perturbations.fills.registry import make_fill
from perturb.perturbations.masks import Chain, Ranked, Windows, order_by
from perturb.segmenters.torchvision import MEAN, STD, make
from perturb.targets.reader import Reader
from tests.analytic import picture
from tests.methods.test_ablation_cam import settle

CLASSES = ["a", "b", "c", "d", "e"]


class Local(nn.Module):
    """All that stays local: strides, dilation, depthwise, pools, both kinds of enlarging, skips, borders, a crop."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 5, 2, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.down = nn.Conv2d(8, 12, 1, 2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.mean = nn.AvgPool2d(2)
        self.deep = nn.Sequential(nn.Conv2d(20, 12, 3, 1, 2, 2), nn.BatchNorm2d(12), nn.Hardswish(inplace=True))
        self.own = nn.Sequential(nn.Conv2d(12, 12, (3, 5), 1, (1, 2), groups=12), nn.LeakyReLU(0.2), nn.Dropout(0.5))
        self.near = nn.Upsample(scale_factor=2, mode="nearest")
        self.head = nn.Conv2d(32, 5, 1)

    def forward(self, x):
        height, width = x.shape[-2:]
        x = functional.pad(x, (1, -(width + 1) % 8, 0, -height % 8), mode="replicate")
        half = self.stem(x)
        x = torch.cat([self.pool(half), self.down(half)], 1)
        deep = self.deep(functional.pad(self.mean(x), (1, 1, 1, 1)))[..., 1:-1, 1:-1]
        deep = torch.tanh(deep + self.own(deep)) * 3
        x = torch.cat([functional.interpolate(self.near(deep), scale_factor=2, mode="bilinear"),
                       functional.interpolate(x, size=half.shape[-2:], mode="bilinear", align_corners=False)], 1)  # fmt: skip
        x = functional.interpolate(self.head(x), scale_factor=2, mode="bilinear")
        return x[:, :, :height, 1 : width + 1]


class Pooled(nn.Module):
    """A squeeze of the whole map in the middle, and logits enlarged by no whole number."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.SiLU(), nn.Conv2d(8, 8, 3, 1, 1))
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Hardsigmoid())
        self.last = nn.Sequential(nn.Conv2d(8, 8, 3, 3, 1), nn.ReLU(), nn.Dropout2d(), nn.Conv2d(8, 5, 1))

    def forward(self, x):
        first = self.first(x)
        return functional.interpolate(
            self.last(first * self.squeeze(first)), size=x.shape[-2:], mode="bilinear", align_corners=False
        )


class Wide(nn.Module):
    """Channels enough for Winograd's products."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 128, 3, 2, 1), nn.ReLU(), nn.Conv2d(128, 128, 3, 1, 2, 2), nn.BatchNorm2d(128), nn.ReLU(),
            nn.Conv2d(128, 160, 3, 1, 1), nn.ReLU6(), nn.Conv2d(160, 5, 1), nn.Upsample(scale_factor=2, mode="bilinear"),
        )  # fmt: skip

    def forward(self, x):
        return self.layers(x)


class Flat(nn.Module):
    """Nothing is enlarged at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.GELU(), nn.Conv2d(8, 5, 3, 1, 1))

    def forward(self, x):
        return self.layers(x)


@pytest.fixture(autouse=True)
def always_incremental(monkeypatch):
    """These networks and pictures are so small that whole passes would be chosen for their cost."""
    monkeypatch.setattr("perturb.engine.incremental.passes.dearer", lambda *_: "")


def seeded(kind, **options):
    torch.manual_seed(3)
    module = kind()
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.mul_(3)  # as small as they are drawn, the signal would fade
            elif isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_(std=0.3)
                layer.running_var.uniform_(0.3, 2)
                layer.weight.uniform_(-1, 2)
    return perturb.TorchSegmenter(module, classes=CLASSES, **options)


def frozen_on(segmenter, image, label, region, score):
    labels = runner.clean_logits(image, segmenter).argmax(0).numpy()
    return perturb.Target(label, region=region, score=score).freeze(image, labels, segmenter.classes)


def filled(image, name="grey"):
    settings = perturb.METHODS["occlusion"].settings
    return make_fill(image, check_settings(settings, {"fill": name}, "occlusion"), 0)


def assert_same(got, expected, flips=0):
    span = max(float(np.ptp(expected.score)), 1e-6)
    assert_allclose(got.score, expected.score, atol=1e-4 * span)
    for column in ("lost", "gained", "lost_hidden", "gained_hidden"):
        assert_allclose(getattr(got, column), getattr(expected, column), atol=flips, err_msg=column)
    assert_allclose(got.iou, expected.iou, atol=1e-9 if not flips else 0.01)
    assert_array_equal(got.hidden, expected.hidden)


@pytest.mark.parametrize("score", ["logit", "probability", "iou"])
@pytest.mark.parametrize("region", ["all", "box:0,0,9,40", "pixel:46,36"])
@pytest.mark.parametrize("kind", [Local, Pooled, Flat])
def test_readings_are_those_of_whole_passes(kind, region, score):
    segmenter, image = seeded(kind, mean=MEAN, std=STD), picture(37, 47)
    frozen = frozen_on(segmenter, image, "b", region, score)
    masks = Windows(37, 47, size=9, stride=7)  # the last of each row and column are clipped at the border
    assert runner.route(image, masks, segmenter, frozen).execution.passes == "incremental"
    got = runner.run(image, masks, filled(image), segmenter, frozen)
    expected = runner.run(image, masks, filled(image), segmenter, frozen, mode="whole")
    assert len(masks) >= 16
    assert expected.gained.max() > 0
    assert_same(got, expected)


@pytest.mark.parametrize("kind", [Local, Pooled])
@pytest.mark.parametrize("fill", ["noise", "soft", "linear"])
def test_masks_of_every_kind(kind, fill):
    segmenter, image = seeded(kind), picture(26, 31, seed=4)
    frozen = frozen_on(segmenter, image, "c", "all", "logit")
    rank = order_by(np.random.default_rng(1).random((26, 31)), 0)
    total = 26 * 31
    masks = Chain(
        Windows(26, 31, size=6, stride=6, shape="disc"),
        Ranked(rank, np.array([0, 1, 2, 100, total])),  # nothing, two single pixels, scattered ones, everything
    )
    expected = runner.run(image, masks, filled(image, fill), segmenter, frozen, mode="whole")
    for batch in (1, 4, None):
        got = runner.run(image, masks, filled(image, fill), segmenter, frozen, batch=batch)
        assert_same(got, expected)
    assert expected.hidden[-5] == got.lost[-5] == got.gained[-5] == 0


class Lateral(nn.Module):
    """A decoder: small maps enlarged and added to large ones, with a rectifier after it, with none, and with another."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, 2, 1)
        self.deep = nn.Sequential(nn.Conv2d(6, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 6, 3, 1, 2, 2))
        self.last = nn.Conv2d(6, 5, 1)

    def forward(self, x):
        fine = torch.relu(self.fine(x))
        coarse = self.coarse(fine)
        deep = self.deep(coarse)
        x = functional.interpolate(deep, scale_factor=2, mode="bilinear") + coarse
        x = torch.relu(functional.interpolate(x, size=fine.shape[2:], mode="bilinear") + fine)
        x = x + torch.tanh(fine + functional.interpolate(deep, scale_factor=4, mode="bilinear"))
        return functional.interpolate(self.last(x), scale_factor=2, mode="bilinear")


@pytest.mark.parametrize("size", [6, 12, 30])
def test_enlarged_maps_are_added_to_large_ones(size):
    segmenter, image = seeded(Lateral), picture(40, 56)
    assert len(enlarged_sums(lower_network(segmenter, 40, 56))) == 2
    frozen = frozen_on(segmenter, image, "d", "all", "logit")
    masks = Windows(40, 56, size=size, stride=5)
    expected = runner.run(image, masks, filled(image), segmenter, frozen, mode="whole")
    assert expected.gained.max() + expected.lost.max() > 0
    assert_same(runner.run(image, masks, filled(image), segmenter, frozen), expected, flips=1)


def test_wide_networks_take_winograds_products():
    segmenter, image = seeded(Wide), picture(40, 52)
    network = lower_network(segmenter, 40, 52)
    assert sum(getattr(step.op, "quick", None) is not None for step in network.steps) == 2
    frozen = frozen_on(segmenter, image, "c", "all", "logit")
    masks = Windows(40, 52, size=10, stride=9)
    expected = runner.run(image, masks, filled(image), segmenter, frozen, mode="whole")
    assert len(masks) >= 16
    assert_same(runner.run(image, masks, filled(image), segmenter, frozen), expected, flips=1)


@pytest.mark.parametrize(
    "name", ["deeplabv3-mobilenet", "lraspp-mobilenet", pytest.param("fcn-resnet50", marks=pytest.mark.long)]
)
def test_torchvision_networks(name):
    torch.manual_seed(0)
    net = make(name, 5)
    settle(net)
    segmenter = perturb.TorchSegmenter(net, classes=CLASSES, mean=MEAN, std=STD)
    image = picture(66, 90)
    frozen = frozen_on(segmenter, image, "b", "box:20,10,70,60", "logit")
    masks = Windows(66, 90, size=24, stride=17)
    got = runner.run(image, masks, filled(image), segmenter, frozen)
    plain = runner.run(image, masks, filled(image), segmenter, frozen, mode="whole")
    # Random weights blow rounding up, in whole passes in float32 as well: in float64 there is next to none.
    hidden = masks.hidden(0, len(masks))
    painted = filled(image).paint(to_tensor(image, segmenter.device), hidden, 0).double()
    mean, std = (torch.tensor(each, dtype=torch.float64).view(1, 3, 1, 1) for each in (MEAN, STD))
    with torch.inference_mode():
        logits = copy.deepcopy(net).double()((painted - mean) / std)
        expected = Reader(frozen, segmenter.device).read(logits, hidden)
    span = np.ptp(expected.score)
    assert len(masks) >= 16
    assert np.abs(got.score - expected.score).max() < 1e-4 * span
    assert np.abs(got.score - plain.score).max() < 2e-4 * span
    for column in ("lost", "gained"):  # of 5,940 pixels many are near a tie
        assert_allclose(getattr(got, column), getattr(expected, column), atol=5)


def test_streets_unet_with_its_trained_weights():
    segmenter, image = perturb.load_segmenter("streets-unet"), perturb.sample("rain")
    image = perturb.images.image.image_from_pixels(image.pixels[150:255, 200:345], name="a piece of rain")
    result = perturb.explain(image, segmenter, perturb.Target("car", region="all"), size=32, stride=24)
    plain = perturb.explain(image, segmenter, perturb.Target("car", region="all"), size=32, stride=24, plain=True)
    assert_allclose(result.heatmap, plain.heatmap, atol=1e-4 * float(np.ptp(plain.heatmap)))
    assert_same(result.readings, plain.readings, flips=1)


def test_only_what_a_window_can_change_is_run():
    segmenter, image = seeded(Local), picture(96, 128)
    network = lower_network(segmenter, 96, 128)
    given = torch.rand(1, 3, 96, 128)
    with torch.inference_mode():
        boxes = Boxes(network, given)
        changed = given.clone()
        changed[..., 40:48, 60:70] = 0
        value = boxes(ChangedBoxes(changed[..., 40:48, 60:70], ((40,), (60,))))
        expected = network.clean(changed)[-1]
    assert isinstance(value, ChangedBoxes)
    assert value.values.numel() < 0.6 * expected.numel()
    assert_allclose(whole(boxes.clean[-1], value), expected, atol=1e-5)
    (y0, y1), (x0, x1) = value.span(0, 0), value.span(1, 0)
    elsewhere = torch.ones_like(expected, dtype=torch.bool)
    elsewhere[..., y0:y1, x0:x1] = False
    assert_array_equal(boxes.clean[-1][elsewhere], expected[elsewhere])
    assert image.height == 96


class Branching(Flat):
    def forward(self, x):
        return super().forward(x) * (2 if x.mean() > 0.5 else 1)


class Normed(Flat):
    """A statistic of the whole picture under another name."""

    def forward(self, x):
        return functional.instance_norm(super().forward(x))


class Overwriting(Flat):
    """What is overwritten is used afterwards: as a list of operations without memory it would be another network."""

    def forward(self, x):
        x = self.layers[0](x)
        y = self.layers[2](x.mul_(2))
        return self.layers[3](x + y)


class Halved(perturb.TorchSegmenter):
    def logits(self, batch):
        return super().logits(batch) / 2


def unknown(case):
    if case == "own code":
        torch.manual_seed(3)
        return Halved(Flat(), classes=CLASSES)
    segmenter = seeded({"branch": Branching, "norm": Normed, "overwrites": Overwriting}.get(case, Flat))
    if case == "hook":
        segmenter.module.layers[0].register_forward_hook(lambda module, given, output: output * 2)
    return segmenter


@pytest.mark.parametrize("case", ["branch", "norm", "overwrites", "own code", "hook"])
def test_what_is_not_known_is_run_whole(case):
    segmenter, image = unknown(case), picture(20, 24)
    with pytest.raises(Unknown):
        lower_network(segmenter, 20, 24)
    got = perturb.explain(image, segmenter, perturb.Target("a", region="all"), size=6, stride=4, batch=2)
    plain = perturb.explain(image, segmenter, perturb.Target("a", region="all"), size=6, stride=4, batch=2, plain=True)
    assert_array_equal(got.heatmap, plain.heatmap)


def test_dropout_that_is_on_is_not_left_out():
    segmenter = seeded(Pooled)
    segmenter.module.train()
    with pytest.raises(Unknown, match="training mode"):
        lower_network(segmenter, 20, 24)


def test_weights_that_change_are_seen():
    segmenter, image = seeded(Flat), picture(20, 24)
    target = perturb.Target("a", region="all")
    perturb.explain(image, segmenter, target, size=6, stride=4)
    segmenter.module.layers[3].weight.data.mul_(-3)  # behind torch's back
    got = perturb.explain(image, segmenter, target, size=6, stride=4)
    plain = perturb.explain(image, segmenter, target, size=6, stride=4, plain=True)
    assert_allclose(got.heatmap, plain.heatmap, atol=1e-4 * float(np.ptp(plain.heatmap)))


@pytest.mark.parametrize(
    ("size", "padding", "dilation"),
    [
        ((9, 14), 1, 1),
        ((13, 8), 2, 2),
        ((12, 21), 0, 1),
        ((17, 19), 1, 3),
        ((43, 38), 1, 1),
        ((7, 6), 4, 4),
        ((3, 3), 0, 1),
    ],
)
@pytest.mark.parametrize("rectified", [False, True])
def test_winograd_is_the_convolution(size, padding, dilation, rectified):
    draw = torch.Generator().manual_seed(0)
    given, weight = torch.randn(2, 6, *size, generator=draw), torch.randn(4, 6, 3, 3, generator=draw)
    bias = torch.randn(4, generator=draw)
    got = Winograd(weight, bias)(given, (padding, padding), dilation, rectified=rectified)
    expected = functional.conv2d(given.double(), weight.double(), bias.double(), 1, padding, dilation)
    bound = 2e-5 * float(expected.abs().max())
    assert_allclose(got, expected.relu() if rectified else expected, atol=bound)


@pytest.mark.parametrize("cut", ["rows", "columns", "channels", "first"])
def test_winograd_takes_a_piece_of_a_map(cut):
    draw = torch.Generator().manual_seed(0)
    maps = torch.randn(3, 8, 20, 22, generator=draw).contiguous(memory_format=torch.channels_last)
    pieces = {
        "rows": maps[:, :, 3:17],
        "columns": maps[..., 5:],
        "channels": maps[:, 2:6],
        "first": maps[0:2, 1:8, 2:9, 4:20],
    }
    given = pieces[cut]
    weight = torch.randn(5, given.shape[1], 3, 3, generator=draw)
    expected = functional.conv2d(given.double(), weight.double(), padding=1)
    assert_allclose(Winograd(weight, None)(given, (1, 1), 1), expected, atol=2e-5 * float(expected.abs().max()))


def test_winograd_does_not_hide_what_is_no_number():
    given = torch.zeros(1, 2, 12, 12)
    given[0, 0, 5, 5] = torch.nan
    got = Winograd(torch.ones(3, 2, 3, 3), None)(given, (1, 1), 1, rectified=True)
    assert bool(got[0, :, 4:7, 4:7].isnan().all())


@pytest.mark.parametrize("kind", [Local, Pooled, Flat])
def test_weights_pulled_back_add_up_the_enlarged_logits(kind):
    segmenter = seeded(kind)
    network = lower_network(segmenter, 37, 47)
    with torch.inference_mode():
        low = network.clean(torch.rand(1, 3, 37, 47))[-1].double()
        large = network.logits(low)
        enlarge = Enlargement(network, tuple(low.shape[2:]), (37, 47))
        mask = torch.rand(37, 47, dtype=torch.float64)
        assert_allclose((low[0] * enlarge.pulled_back(mask)).sum((1, 2)), (large[0] * mask).sum((1, 2)), rtol=1e-9)


def read_both_ways(network, low, frozen):
    """Readings of small logits, and of the enlarged ones."""
    hidden = torch.zeros((len(low), *frozen.region.shape), dtype=torch.bool)
    with torch.inference_mode():
        got = LowReader(frozen, network, low[:1]).read(low, hidden)
        return got, Reader(frozen, low.device).read(network.logits(low), hidden)


@pytest.mark.parametrize("noise", [0.0, 1.0, 30.0])
def test_pixels_are_settled_as_by_argmax(noise):
    """Noisy logits leave much open, equal ones everything."""
    segmenter, image = seeded(Pooled), picture(37, 47)
    network = lower_network(segmenter, 37, 47)
    low = torch.randn(2, 5, 7, 8, generator=torch.Generator().manual_seed(1)) * noise
    assert_same(*read_both_ways(network, low, frozen_on(segmenter, image, "c", "all", "logit")))


@pytest.mark.parametrize("kind", [Local, Pooled])
def test_pixels_between_smooth_logits_are_settled_as_by_argmax(kind):
    """Planes meet in lines: a few cells are open, at the border of the picture as well."""
    segmenter, image = seeded(kind), picture(90, 121)
    network = lower_network(segmenter, 90, 121)
    seed = torch.Generator().manual_seed(5)
    shape = network.steps[-1].shape
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in shape[1:]), indexing="ij")
    low = sum(torch.randn(2, 5, 1, 1, generator=seed) * plane for plane in (torch.ones_like(x), x, y, x * y))
    low[:, 2] += 4 - 5 * (x**2 + y**2)
    got, expected = read_both_ways(network, low, frozen_on(segmenter, image, "c", "all", "logit"))
    assert 0 < expected.gained[1] + expected.lost[1] < 90 * 121
    assert_same(got, expected)


@pytest.mark.parametrize("label", CLASSES)
def test_equal_logits_go_to_the_first_class(label):
    segmenter, image = seeded(Flat), picture(20, 24)
    network = lower_network(segmenter, 20, 24)
    low = torch.randint(0, 2, (3, *network.steps[-1].shape), generator=torch.Generator().manual_seed(2)).float()
    got, expected = read_both_ways(network, low, frozen_on(segmenter, image, label, "all", "logit"))
    assert expected.gained.sum() + expected.lost.sum() > 0
    assert got.gained.tolist() == expected.gained.tolist()
    assert got.lost.tolist() == expected.lost.tolist()


class Mixing(nn.Module):
    """Joins before 1 × 1 convolutions: with a mean of everything among the branches, of boxes alone, and one with two users."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.near, self.far = nn.Conv2d(8, 6, 3, 1, 1), nn.Conv2d(8, 6, 3, 1, 2, 2)
        self.local = nn.Sequential(nn.Conv2d(12, 8, 1), nn.ReLU6())
        self.all = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 4, 1), nn.ReLU())
        self.mix = nn.Sequential(nn.Conv2d(18, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.last = nn.Conv2d(16, 5, 1)

    def forward(self, x):
        stem = torch.relu(self.stem(x))
        near = self.near(stem)
        local = self.local(torch.cat([near, self.far(stem)], 1))
        pooled = functional.interpolate(self.all(local), size=stem.shape[-2:], mode="bilinear", align_corners=False)
        mixed = self.mix(torch.cat([near, local, pooled], 1))
        twice = torch.cat([mixed, stem], 1)
        logits = self.last(twice) + self.last(torch.tanh(twice))
        return functional.interpolate(logits, x.shape[-2:], mode="bilinear", align_corners=False)


class Several(nn.Module):
    """Two outputs, of which the logits are one; what the other takes is not run."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head, self.aux = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 5, 3, 1, 1), nn.Conv2d(8, 7, 3, 1, 1)

    def forward(self, x):
        stem = torch.relu(self.stem(x))
        found = {"aux": torch.tanh(self.aux(stem)), "out": self.head(stem)}
        return functional.interpolate(found["out"], x.shape[-2:], mode="bilinear", align_corners=False)


def test_of_several_outputs_only_the_logits_are_run():
    segmenter, image = seeded(Several), picture(37, 47)
    network = lower_network(segmenter, 37, 47)
    assert [step.shape[0] for step in network.steps] == [3, 8, 5]
    frozen = frozen_on(segmenter, image, "b", "all", "logit")
    masks = Windows(37, 47, size=9, stride=7)
    expected = runner.run(image, masks, filled(image), segmenter, frozen, mode="whole")
    assert_same(runner.run(image, masks, filled(image), segmenter, frozen), expected)


def test_ablating_a_layer_that_the_logits_do_not_need_changes_nothing():
    segmenter, image = seeded(Several), picture(37, 47)
    told = {"method": "ablation-cam", "layer": "aux"}
    got = perturb.explain(image, segmenter, perturb.Target("b", region="all"), **told)
    expected = perturb.explain(image, segmenter, perturb.Target("b", region="all"), plain=True, **told)
    assert len(got.readings) == 7
    assert_same(got.readings, expected.readings)
    assert np.abs(got.heatmap).max() < 1e-6


def test_joined_branches_are_mixed_without_the_join():
    segmenter, image = seeded(Mixing), picture(37, 47)
    network = lower_network(segmenter, 37, 47)
    assert [type(step.op) for step in network.steps].count(Mix) == 2
    assert [type(step.op) for step in network.steps].count(Cat) == 1
    frozen = frozen_on(segmenter, image, "b", "all", "logit")
    masks = Windows(37, 47, size=9, stride=7)
    expected = runner.run(image, masks, filled(image), segmenter, frozen, mode="whole")
    assert_same(runner.run(image, masks, filled(image), segmenter, frozen), expected)


def test_holes_of_one_size_go_together():
    square, wide = ((0, 10), (5, 15)), ((3, 5), (0, 40))
    holes = [square, wide, None, ((20, 31), (0, 10)), square, None, ((0, 40), (0, 40))]
    groups = _alike(holes, 2)
    assert sorted(map(sorted, groups)) == [[0, 4], [1], [2, 5], [3], [6]]
    assert sorted(row for group in _alike(holes, 4) for row in group) == list(range(7))
    assert [0, 4, 3] in _alike(holes, 4)


@pytest.mark.skipif(_library() is None, reason="the C library is not GNU's")
def test_memory_is_used_again_inside_and_given_back_after_an_error():
    def faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            np.ones(5_000_000)  # 40 MB, more than the library ever keeps by itself
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    def stopped():
        with kept():
            with kept():
                np.ones(5_000_000)
            assert faults() < 1_000  # mapped afresh, these take ten times as many at least, even where pages are large
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stopped()
    assert kept._inside == 0


@pytest.mark.parametrize("ablation", ["full", "strength", "foreground", "background"])
@pytest.mark.parametrize(
    ("kind", "layer"),
    [(Local, "stem"), (Local, "down"), (Local, "deep.0"), (Local, "own.0"), (Pooled, "first"), (Pooled, "last.1"), (Flat, "layers.1")],
)  # fmt: skip
def test_channels_are_ablated_as_by_whole_passes(kind, layer, ablation):
    segmenter, image = seeded(kind), picture(37, 47)
    target = perturb.Target("b", region="box:5,6,30,28")
    told = {"method": "ablation-cam", "layer": layer, "ablation": ablation}
    got = perturb.explain(image, segmenter, target, **told)
    expected = perturb.explain(image, segmenter, target, plain=True, **told)
    assert got.execution.passes == "incremental"
    assert_same(got.readings, expected.readings)
    assert_allclose(got.heatmap, expected.heatmap, atol=1e-4 * max(float(np.ptp(expected.heatmap)), 1e-3))


def test_bfloat16_says_how_well_it_agrees():
    segmenter, image = seeded(Local), picture(64, 72)
    target = perturb.Target("b", region="all")
    exact = perturb.explain(image, segmenter, target, size=16, stride=12)
    rough = perturb.explain(image, segmenter, target, size=16, stride=12, precision="bfloat16")
    off = np.abs(rough.readings.score - exact.readings.score).max()
    assert 0 < off < 0.1 * np.ptp(exact.readings.score)
    assert 0 < rough.facts["precision_difference"] <= off * 1.01
    assert rough.facts["precision_spearman"] > 0.9
    assert "Run in bfloat16. On 6 of its 30 masks" in rough.notes[-1]
    assert rough.segmenter is segmenter
    with pytest.raises(perturb.SettingError, match="no precision 'float8'"):
        perturb.explain(image, segmenter, target, precision="float8")


def test_bfloat16_loses_nothing_where_nothing_is_hidden():
    segmenter, image = seeded(Local), picture(30, 41)
    frozen = frozen_on(segmenter, image, "b", "all", "logit")
    rank = order_by(np.random.default_rng(1).random((30, 41)), 0)
    masks = Ranked(rank, np.array([0, 5]))
    readings = runner.run(image, masks, filled(image), segmenter, frozen, mode="bfloat16")
    clean = Reader(frozen, segmenter.device).mean(runner.clean_logits(image, segmenter)[None])
    assert readings.lost[0] == readings.gained[0] == 0
    assert_allclose(readings.score[0], clean[0], rtol=1e-6)


def test_bfloat16_of_what_cannot_be_run_in_it_is_float32_and_says_so():
    segmenter, image = unknown("branch"), picture(20, 24)
    target = perturb.Target("a", region="all")
    got = perturb.explain(image, segmenter, target, size=6, stride=4, batch=2, precision="bfloat16")
    assert "Run in float32, because the network cannot be traced" in got.notes[-1]
    assert_array_equal(got.heatmap, perturb.explain(image, segmenter, target, size=6, stride=4, batch=2).heatmap)
    got = perturb.explain(image, seeded(Flat), target, method="ablation-cam", layer="layers.0", precision="bfloat16")
    assert "hides no pixels" in got.notes[-1]


def test_products_keep_to_their_thread_inside_and_have_their_threads_back_after_it():
    def threads():
        return [library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]

    before = threads()
    with undivided():
        with undivided():
            assert set(threads()) <= {1}
        assert set(threads()) <= {1}
    assert threads() == before
