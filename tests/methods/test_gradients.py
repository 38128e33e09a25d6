"""Gradient methods against captum, values computed by hand and brute force; they leave the network unchanged."""

import threading
import warnings

import captum.attr
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from torch.nn import functional
from torch.nn.functional import interpolate
from torchvision.models import segmentation

import perturb
from perturb.core.colour import limit_of, readable_limit
from perturb.engine.autograd import Score, trace
from perturb.images.image import to_tensor
from perturb.methods.base import Request
from perturb.methods.explain import masks_and_fill
from perturb.methods.registry import METHODS, methods_on
from perturb.metrics.randomization import randomise, reseed
from perturb.perturbations.fills.registry import make_fill
from perturb.segmenters.layers import stretch
from perturb.segmenters.onnx.segmenter import load_onnx
from tests.analytic import Additive, Constant, picture
from tests.onnx_files import pixelwise, save

H, W = 13, 18
CLASSES = ["thing", "rest", "other"]
GRADIENTS = tuple(name for name in methods_on("inspect") if "gradients" in METHODS[name].needs)
CAMS = ("grad-cam", "grad-cam-plus-plus", "guided-grad-cam")
QUICK = {
    "smoothgrad": {"samples": 3},
    "integrated-gradients": {"steps": 5},
    "gradient-shap": {"samples": 3},
    **{name: {"layer": "act2"} for name in CAMS},
}
BOX = perturb.Target("thing", region="box:3,2,15,11")


class Net(nn.Module):
    """A network with features at half the size of the image; the kind of ReLU does not change its output."""

    def __init__(self, relu="module") -> None:
        super().__init__()
        weights = torch.Generator().manual_seed(3)
        self.relu = relu
        self.conv1 = nn.Conv2d(3, 5, 3, padding=1, stride=2)
        self.norm = nn.BatchNorm2d(5)
        self.act1 = nn.ReLU(inplace=relu == "inplace")
        self.conv2 = nn.Conv2d(5, 6, 3, padding=1)
        self.act2 = nn.ReLU(inplace=relu == "inplace")
        self.head = nn.Conv2d(6, 3, 1)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=weights) * 0.5)

    def forward(self, x):
        acts = {
            "function": (functional.relu, functional.relu),
            "torch": (torch.relu, torch.relu),
            "method": (lambda t: t.relu(), lambda t: t.relu_()),
            "reused": (self.act1, self.act1),
        }.get(self.relu, (self.act1, self.act2))
        x = acts[0](self.norm(self.conv1(x)))
        x = acts[1](self.conv2(x))
        return interpolate(self.head(x), size=(H, W), mode="bilinear", align_corners=False)


def segmenter_of(module=None, **options):
    return perturb.TorchSegmenter(module or Net(), classes=CLASSES, **options)


def explained(method, segmenter=None, *, image=None, target=BOX, **options):
    image = picture(H, W) if image is None else image
    settings = QUICK.get(method, {}) | options
    return perturb.explain(image, segmenter or segmenter_of(), target, method=method, **settings)


def linear(weights):
    """S = Σ w·x in custom code that declares itself differentiable."""
    segmenter = Additive(weights)
    segmenter.abilities = frozenset({"gradients"})
    return segmenter


class Scored(nn.Module):
    """The region's score as a module: what captum's hooks need."""

    def __init__(self, segmenter, frozen) -> None:
        super().__init__()
        self.module, self.segmenter, self.frozen = segmenter.module, segmenter, frozen

    def forward(self, x):
        logits = self.segmenter(x)
        if self.frozen.target.score == "probability":
            logits = logits.softmax(1)
        return logits[:, self.frozen.index][:, torch.from_numpy(self.frozen.region)].mean(1)


def tensor(image):
    return to_tensor(image, torch.device("cpu"))[None].requires_grad_()


# --- The score ---


@pytest.mark.parametrize("score", ["logit", "probability"])
@pytest.mark.parametrize("region", ["class", "all", "pixel:4,5", "box:3,2,15,11"])
def test_the_score_is_the_number_that_readings_hold(score, region):
    image, segmenter = picture(H, W), segmenter_of()
    target = perturb.Target("thing", region=region, score=score)
    result = perturb.explain(image, segmenter, target, method="saliency")
    with torch.no_grad():
        assert float(Score(segmenter, result.frozen)(tensor(image))[0]) == result.clean.score[0]


@pytest.mark.parametrize("method", GRADIENTS)
def test_an_iou_is_refused_in_words(method):
    target = perturb.Target("thing", region="all", score="iou")
    with pytest.raises(perturb.TargetError, match="An IoU counts pixels, so it has no gradient: got the score 'iou'"):
        explained(method, target=target)
    frozen = explained("saliency").frozen.with_score("iou")
    settings = explained(method).settings
    with pytest.raises(perturb.TargetError, match="no gradient"):  # before anything runs
        METHODS[method].forwards(Request(picture(H, W), segmenter_of(), frozen, settings))


# --- By hand ---


@pytest.mark.parametrize("fill", ["black", "grey", "blur", "linear", "window-mean"])
def test_a_linear_score_gives_each_pixel_its_weight_times_its_distance_from_the_baseline(fill):
    image, weights = picture(H, W), np.random.default_rng(1).normal(size=(H, W, 3))
    target = perturb.Target("thing", region="all")
    for method, settings in (
        ("integrated-gradients", {"steps": 1}),
        ("integrated-gradients", {"steps": 7}),
        ("gradient-shap", {"samples": 2, "noise_level": 0}),
    ):
        result = explained(method, linear(weights), image=image, target=target, fill=fill, seed=4, **settings)
        everything = torch.ones((1, H, W), dtype=torch.bool)
        behind = make_fill(image, result.settings, 4).paint(tensor(image)[0].detach(), everything, 0)[0]
        expected = (weights * (image.pixels - behind.permute(1, 2, 0).numpy())).sum(2)
        assert_allclose(result.heatmap, expected, atol=1e-5)
        assert_allclose(result.facts["path"], expected.sum(), atol=1e-4)
        assert abs(result.facts["gap"]) < 1e-4
        assert result.notes == ()


@pytest.mark.parametrize("channels", ["max", "sum", "length"])
def test_the_gradient_of_a_linear_score_is_its_weights(channels):
    image, weights = picture(H, W), np.random.default_rng(2).normal(size=(H, W, 3))
    size = {"max": np.abs(weights).max(2), "sum": np.abs(weights).sum(2), "length": np.sqrt((weights**2).sum(2))}
    for method in ("saliency", "smoothgrad", "guided-backprop"):
        result = explained(
            method, linear(weights), image=image, target=perturb.Target("thing", region="all"), channels=channels
        )
        assert_allclose(result.heatmap, size[channels], rtol=1e-5)
        assert_allclose(result.maps["signed"], weights.sum(2), atol=1e-6)
        assert not result.signed()
        assert result.signed("signed")
        if method != "guided-backprop":
            assert_allclose(result.maps["input"], (weights * image.pixels).sum(2), atol=1e-5)
            assert_allclose(result.maps["input"].sum(dtype=float), result.clean.score[0], atol=1e-3)


def test_smoothgrad_with_one_noiseless_sample_is_the_gradient():
    smooth, plain = explained("smoothgrad", samples=1, noise_level=0), explained("saliency")
    for name, values in plain.maps.items():
        assert_allclose(smooth.maps[name], values, atol=1e-6 * np.abs(values).max())


@pytest.mark.parametrize("score", ["logit", "probability"])
def test_integrated_gradients_add_up_to_the_rise_of_the_score(score):
    image, segmenter = picture(H, W), segmenter_of()
    target = perturb.Target("thing", region="all", score=score)
    result = explained("integrated-gradients", segmenter, target=target, fill="black", steps=400)
    with torch.no_grad():
        model = Scored(segmenter, result.frozen)
        rise = float(model(tensor(image))[0] - model(torch.zeros(1, 3, H, W))[0])
    assert_allclose(result.heatmap.sum(dtype=float), rise, atol=0.01 * abs(rise))
    assert_allclose(result.facts["path"], rise, atol=1e-5)
    assert_allclose(result.facts["gap"], result.heatmap.sum(dtype=float) - rise, atol=1e-5)
    coarse = explained("integrated-gradients", segmenter, target=target, fill="black", steps=1)
    assert abs(coarse.facts["gap"]) > abs(result.facts["gap"])
    assert "Take more steps" in coarse.notes[0]


# --- Against captum ---


@pytest.fixture(params=["logit", "probability"])
def subject(request):
    """A network, an image, its score in captum's form, and the target."""
    image, segmenter = picture(H, W), segmenter_of(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))
    target = perturb.Target("thing", region="box:3,2,15,11", score=request.param)
    return image, segmenter, Scored(segmenter, explained("saliency", segmenter, target=target).frozen), target


def agree(ours, theirs):
    theirs = np.asarray(theirs.detach())
    assert np.abs(theirs).max() > 0
    assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def test_saliency_is_captums(subject):
    image, segmenter, model, target = subject
    result = explained("saliency", segmenter, target=target)
    agree(result.heatmap, captum.attr.Saliency(model).attribute(tensor(image))[0].amax(0))
    agree(result.maps["signed"], captum.attr.Saliency(model).attribute(tensor(image), abs=False)[0].sum(0))
    agree(result.maps["input"], captum.attr.InputXGradient(model).attribute(tensor(image))[0].sum(0))


def drawn(seed, count, level, before=0):
    """The noise as documented: of each sample its own generator, after `before` uniform numbers."""
    draws = [np.random.default_rng((seed, index)) for index in range(count)]
    places = [draw.random(before) for draw in draws]
    noise = [draw.standard_normal((3, H, W), dtype=np.float32) * np.float32(level) for draw in draws]
    return np.array(places).ravel(), torch.from_numpy(np.stack(noise))


def test_smoothgrad_is_captums_given_the_same_noise(subject, monkeypatch):
    image, segmenter, model, target = subject
    _, noise = drawn(5, 4, 0.2)
    monkeypatch.setattr(
        captum.attr.NoiseTunnel, "_add_noise_to_input", staticmethod(lambda given, stdev, count: given + noise)
    )
    tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(model))
    theirs = tunnel.attribute(tensor(image), nt_samples=4, stdevs=0.2, abs=False)[0]
    result = explained("smoothgrad", segmenter, target=target, samples=4, noise_level=0.2, seed=5)
    agree(result.maps["signed"], theirs.sum(0))
    agree(result.heatmap, theirs.abs().amax(0))


def test_integrated_gradients_are_captums(subject):
    image, segmenter, model, target = subject
    result = explained("integrated-gradients", segmenter, target=target, steps=9, fill="blur", sigma=3)
    blurred = make_fill(image, result.settings, 0).pixels.transpose(2, 0, 1)[None]
    theirs, gap = captum.attr.IntegratedGradients(model).attribute(
        tensor(image), torch.from_numpy(blurred.copy()), n_steps=9, return_convergence_delta=True
    )
    agree(result.heatmap, theirs[0].sum(0))
    assert_allclose(result.facts["gap"], float(gap[0]), atol=1e-4)


def test_gradient_shap_is_captums_given_the_same_draws(subject, monkeypatch):
    image, segmenter, model, target = subject
    places, noise = drawn(6, 5, 0.1, before=1)
    monkeypatch.setattr(
        captum.attr.NoiseTunnel, "_add_noise_to_input", staticmethod(lambda given, stdev, count: given + noise)
    )
    monkeypatch.setattr(np.random, "uniform", lambda low, high, count: places[:count])
    theirs = captum.attr.GradientShap(model).attribute(
        tensor(image), torch.full((1, 3, H, W), 0.5), n_samples=5, stdevs=0.1
    )[0]
    result = explained("gradient-shap", segmenter, target=target, samples=5, noise_level=0.1, seed=6)
    agree(result.heatmap, theirs.sum(0))


def test_gradient_shap_with_noise_behind_draws_a_baseline_for_each_sample():
    image, segmenter = picture(H, W), segmenter_of()
    result = explained("gradient-shap", segmenter, samples=4, noise_level=0, fill="noise", seed=3)
    places, _ = drawn(3, 4, 0, before=1)
    model, total = Scored(segmenter, result.frozen), 0.0
    for index, place in enumerate(places):
        base = torch.from_numpy(np.random.default_rng(3 + index).random((H, W, 3), dtype=np.float32)).permute(2, 0, 1)
        point = (base + float(place) * (tensor(image)[0] - base)).detach()[None].requires_grad_()
        total = total + (tensor(image)[0] - base) * torch.autograd.grad(model(point).sum(), point)[0][0]
    agree(result.heatmap, total.sum(0) / 4)
    assert result.forwards == 1 + 3 * 4


def test_grad_cam_is_captums(subject):
    image, segmenter, model, target = subject
    for layer in ("conv1", "act1", "act2"):
        result = explained("grad-cam", segmenter, target=target, layer=layer)
        cells = captum.attr.LayerGradCam(model, getattr(segmenter.module, layer)).attribute(tensor(image))
        agree(result.heatmap, interpolate(cells, (H, W), mode="bilinear")[0, 0])
        agree(result.maps["positive"], interpolate(cells.relu(), (H, W), mode="bilinear")[0, 0])
        assert result.maps["positive"].min() >= 0
        assert not result.signed("positive")
        assert result.notes == ()


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
def test_guided_maps_are_captums(subject):
    image, segmenter, model, target = subject
    theirs = captum.attr.GuidedBackprop(model).attribute(tensor(image))[0]
    result = explained("guided-backprop", segmenter, target=target)
    agree(result.heatmap, theirs.abs().amax(0))
    agree(result.maps["signed"], theirs.sum(0))
    assert result.facts["relus"] == 2
    guided = captum.attr.GuidedGradCam(model, segmenter.module.conv2)
    theirs = guided.attribute(tensor(image), interpolate_mode="bilinear")[0]
    result = explained("guided-grad-cam", segmenter, target=target, layer="conv2", channels="sum")
    agree(result.heatmap, theirs.abs().sum(0))
    agree(result.maps["signed"], theirs.sum(0))


# --- The layers ---


def test_grad_cam_plus_plus_is_the_papers_equation_by_brute_force():
    """Eq. 10 with the second and third derivatives of Y = exp(S) by each cell alone, taken one after the other."""
    torch.manual_seed(0)
    head = nn.Conv2d(2, 3, 1)
    stem = nn.Conv2d(3, 2, 4, stride=4, padding=1)

    class Tiny(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.head = stem, head

        def forward(self, x):
            return interpolate(self.head(self.stem(x)), size=(8, 12), mode="nearest")

    image, segmenter = picture(8, 12), segmenter_of(Tiny())
    target = perturb.Target("thing", region="box:2,1,7,6")
    result = explained("grad-cam-plus-plus", segmenter, image=image, target=target, layer="stem")
    score = Score(segmenter, result.frozen)
    cells = stem(tensor(image)).detach().double()[0]

    def y(values):
        logits = interpolate(head(values.float()[None]), size=(8, 12), mode="nearest")
        return score.of(logits)[0].exp()

    expected, full = torch.zeros(cells.shape[1:], dtype=torch.float64), float(y(cells).detach())
    for channel in cells:
        index = next(k for k in range(len(cells)) if cells[k] is channel or torch.equal(cells[k], channel))
        derivatives = torch.zeros(3, *channel.shape, dtype=torch.float64)
        for row in range(channel.shape[0]):
            for column in range(channel.shape[1]):
                value = channel[row, column].clone().requires_grad_()
                varied = cells.clone()
                varied[index, row, column] = value
                order = y(varied)
                for power in range(3):
                    (order,) = torch.autograd.grad(order, value, create_graph=True, allow_unused=True)
                    if order is None:
                        break
                    derivatives[power, row, column] = order.detach()
                    if not order.requires_grad:
                        break
        first, second, third = derivatives
        below = 2 * second + float(channel.sum()) * third
        alpha = torch.where(second != 0, second / below, torch.zeros_like(second))
        expected += (alpha * first.relu()).sum() * channel
    expected = expected / full  # the lab leaves out exp(S)
    agree(result.heatmap, stretch(segmenter, expected, 8, 12).float())
    assert result.heatmap.min() < result.heatmap.max()


@pytest.mark.parametrize("name", ["thing", "rest"])
def test_on_the_logit_layer_grad_cam_is_the_score_map_again_and_says_so(name):
    segmenter, image = segmenter_of(), picture(H, W)
    result = explained("grad-cam", segmenter, target=perturb.Target(name, region="all"), layer="head")
    with torch.no_grad():
        logits = segmenter(tensor(image))[0, result.frozen.index]
    factor = result.heatmap.ravel() @ logits.numpy().ravel() / float((logits**2).sum())
    assert factor > 0
    assert_allclose(result.heatmap, factor * logits, atol=1e-5 * factor * float(logits.abs().max()))
    assert f"'head' is the logits themselves, so its channels add up to the score map of '{name}' again" in str(
        result.notes
    )
    for method in ("grad-cam-plus-plus", "guided-grad-cam"):
        assert "is the logits themselves" in str(explained(method, segmenter, layer="head").notes)
    mixed = explained("grad-cam", target=perturb.Target(name, region="all", score="probability"), layer="head")
    assert "score maps again, mixed" in str(mixed.notes)


def test_the_default_layer_is_that_of_seg_ablation_cam():
    for method in CAMS:
        assert explained(method, layer="").facts["layer"] == explained("ablation-cam", layer="").facts["layer"]


@pytest.mark.parametrize("method", CAMS)
def test_a_layer_that_cannot_be_is_answered_in_words(method):
    with pytest.raises(perturb.SettingError, match="no layer 'act9'"):
        explained(method, layer="act9")
    with pytest.raises(perturb.SettingError, match="'act1' is used 2 times in one pass"):
        explained(method, segmenter_of(Net("reused")), layer="act1")


def test_a_layers_gradient_is_that_of_its_output_alone():
    """A block with an identity op, whose input is also used elsewhere and then modified in place."""

    class Handed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.block, self.head = nn.Conv2d(3, 4, 1), nn.Sequential(), nn.Conv2d(4, 3, 1)

        def forward(self, x):
            x = self.first(x)
            return self.head(self.block(x).mul_(3) + 2 * x)

    torch.manual_seed(1)
    segmenter = segmenter_of(Handed())
    result = explained("saliency", segmenter, target=perturb.Target("thing", region="all"))
    traced = trace(Score(segmenter, result.frozen), segmenter, picture(H, W), "block")
    with torch.no_grad():
        first = segmenter.module.first(tensor(picture(H, W)))
    weight = segmenter.module.head.weight[0, :, 0, 0].detach()
    assert_allclose(traced.activation.detach(), first, rtol=1e-6)
    slope = traced.gradient(traced.activation)
    assert_allclose(slope, (3 * weight / (H * W))[None, :, None, None].expand_as(slope), rtol=1e-4)


# --- Kinds of ReLU, and networks that cannot be ---


@pytest.mark.parametrize("relu", ["inplace", "function", "torch", "method", "reused"])
@pytest.mark.parametrize("method", GRADIENTS)
def test_every_kind_of_relu_gives_the_same_map(method, relu):
    settings = {"layer": "conv2"} if method in CAMS else {}  # whose output the ReLU in place overwrites
    result = explained(method, segmenter_of(Net(relu)), **settings)
    expected = explained(method, **settings)
    assert_allclose(result.heatmap, expected.heatmap, rtol=1e-5, atol=1e-9)
    assert result.facts == expected.facts


def test_a_relu_beside_a_skip_connection_is_guided_alone():
    """S = Σ relu(x) − 2x at x > 0: the path through the ReLU contributes +1, the other −2, and neither is dropped."""

    class Skip(nn.Module):
        def forward(self, x):
            return (functional.relu(x) - 2 * x)[:, :3]

    result = explained("guided-backprop", segmenter_of(Skip()), target=perturb.Target("thing", region="all"))
    assert_allclose(result.maps["signed"], np.full((H, W), -1 / (H * W)), rtol=1e-5)


def test_a_negative_gradient_is_dropped_at_a_relu():
    class Minus(nn.Module):
        def forward(self, x):
            return torch.cat([-functional.relu(x[:, :1]) + functional.relu(x[:, 1:2]), x[:, 1:]], 1)

    result = explained("guided-backprop", segmenter_of(Minus()), target=perturb.Target("thing", region="all"))
    assert_allclose(result.maps["signed"], np.full((H, W), 1 / (H * W)), rtol=1e-5)


def test_guided_maps_carry_their_warnings():
    result = explained("guided-backprop")
    assert "much like edge detectors" in result.notes[-1]
    assert "Adebayo" in explained("guided-grad-cam").notes[-1]

    class Other(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.swish, self.six = nn.Conv2d(3, 3, 1), nn.Hardswish(inplace=True), nn.ReLU6(inplace=True)

        def forward(self, x):
            y = self.six(self.swish(self.conv(x)))
            y[:, :1] += x[:, :1]
            return y

    target = perturb.Target("thing", region="all")
    notes = explained("guided-backprop", segmenter_of(Other()), target=target).notes
    assert "has no ReLU" in notes[0]
    assert "1 × ReLU6 or hardtanh" in notes[1]
    assert "1 × hardswish" in notes[1]
    assert "parts of tensors in place" in notes[2]


class Broken(nn.Module):
    """Networks without a gradient, or without a guided one."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.conv = kind, nn.Conv2d(3, 3, 1)

    def forward(self, x):
        if self.kind == "no_grad":
            with torch.no_grad():
                return self.conv(x)
        if self.kind == "rounded":
            return self.conv(x).detach() + 0
        if self.kind == "overwritten":
            y = self.conv(x).exp()
            z = y * 1
            y.zero_()
            return z
        if self.kind == "nan":
            return torch.sqrt(self.conv(x) * 0)
        return Hidden.apply(self.conv(x))


class Hidden(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.relu()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (ctx.saved_tensors[0] > 0)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("no_grad", r"No gradient can be taken of the segmenter 'Broken' \(its logits carry no gradient\)"),
        ("rounded", "its logits carry no gradient"),
        ("overwritten", "modified by an inplace operation"),
        ("nan", "The gradient of the segmenter 'Broken' holds values that are not finite"),
    ],
)
@pytest.mark.parametrize("method", [name for name in GRADIENTS if name not in CAMS])
def test_a_network_without_gradient_is_refused_in_words(method, kind, words):
    with pytest.raises(perturb.SegmenterError, match=words) as caught:
        explained(method, segmenter_of(Broken(kind)), target=perturb.Target("thing", region="all"))
    assert "\n" not in str(caught.value)


def test_what_hides_its_relus_is_refused_by_guided_methods_alone():
    torch.manual_seed(0)  # some draws leave nothing above zero
    segmenter, target = segmenter_of(Broken("hidden")), perturb.Target("thing", region="all")
    assert explained("saliency", segmenter, target=target).heatmap.max() > 0
    for method, settings in (("guided-backprop", {}), ("guided-grad-cam", {"layer": "conv"})):
        with pytest.raises(perturb.SegmenterError, match=r"cannot see into a part of the segmenter 'Broken' \(Hidden"):
            explained(method, segmenter, target=target, **settings)


@pytest.mark.parametrize("method", GRADIENTS)
def test_segmenters_without_gradients_are_told_in_advance(method):
    title = METHODS[method].title
    onnx = load_onnx(save(pixelwise()), classes=["a", "b"], scale="unit")
    for segmenter in (onnx, Constant()):
        reason = METHODS[method].lacking(segmenter)
        assert f"is no torch network, so {title} cannot reach its gradients" in reason
        with pytest.raises(perturb.SegmenterError, match="cannot reach its gradients"):
            perturb.explain(picture(16, 16), segmenter, perturb.Target(0, region="all"), method=method)


# --- The network afterwards, and beside others ---


def state(module):
    return (
        {name: value.clone() for name, value in module.state_dict().items()},
        [
            (type(part), part.training, getattr(part, "inplace", None), len(part._forward_hooks),
             len(part._forward_pre_hooks), len(part._backward_hooks), len(part._backward_pre_hooks))
            for part in module.modules()
        ],
        [(value.requires_grad, value.grad, value.data_ptr()) for value in module.parameters()],
    )  # fmt: skip


def same(before, after):
    assert before[1:] == after[1:]
    for name, value in before[0].items():
        assert torch.equal(value, after[0][name]), name


class Cancel(BaseException):
    pass


@pytest.mark.parametrize("method", GRADIENTS)
def test_the_network_is_as_it_was_also_after_an_error_and_a_stop(method):
    segmenter = segmenter_of(Net("inplace"))
    before = state(segmenter.module)
    explained(method, segmenter)
    same(before, state(segmenter.module))
    for error in (Cancel, ValueError):

        def stop(_, error=error):
            raise error

        with pytest.raises(error):
            explained(method, segmenter, progress=stop)
        same(before, state(segmenter.module))
    with pytest.raises(perturb.TargetError):
        explained(method, segmenter, target=perturb.Target("thing", region="all", score="iou"))
    same(before, state(segmenter.module))
    segmenter.module.requires_grad_(False)  # frozen weights make no difference
    assert_array_equal(explained(method, segmenter).heatmap, explained(method).heatmap)
    assert not any(value.requires_grad for value in segmenter.module.parameters())


def test_others_can_run_the_same_network_at_the_same_time():
    image, segmenter = picture(H, W), segmenter_of(Net("inplace"))
    expected = {name: explained(name, segmenter).heatmap for name in ("guided-grad-cam", "grad-cam", "guided-backprop")}
    with torch.inference_mode():
        clean = segmenter(tensor(image).detach())
    stop, wrong = threading.Event(), []

    def visitor():
        while not stop.is_set():
            try:
                with torch.inference_mode():
                    if not torch.equal(segmenter(tensor(image).detach()), clean):
                        wrong.append("other logits")
            except Exception as error:
                wrong.append(repr(error))

    others = [threading.Thread(target=visitor) for _ in range(2)]
    for thread in others:
        thread.start()
    try:
        for _ in range(5):
            for name, heatmap in expected.items():
                assert_array_equal(explained(name, segmenter).heatmap, heatmap)
    finally:
        stop.set()
        for thread in others:
            thread.join()
    assert not wrong


@pytest.mark.parametrize("method", GRADIENTS)
def test_a_caller_in_inference_mode_gets_the_same(method):
    segmenter = segmenter_of()
    expected = explained(method, segmenter).heatmap
    with torch.inference_mode():
        assert_array_equal(explained(method, segmenter).heatmap, expected)


@pytest.mark.parametrize("method", ["smoothgrad", "gradient-shap", "integrated-gradients"])
def test_same_seed_same_map_whatever_the_batch(method):
    settings = {"samples": 5, "noise_level": 0.2} if method != "integrated-gradients" else {"steps": 5}
    segmenter = segmenter_of()
    first = explained(method, segmenter, seed=1, **settings)
    np.random.seed(9)
    torch.manual_seed(9)  # what others draw makes no difference, and nothing is drawn for others
    mine, theirs = np.random.random(), torch.rand(1)
    np.random.seed(9)
    torch.manual_seed(9)
    again = explained(method, segmenter, seed=1, **settings)
    assert (np.random.random(), torch.rand(1)) == (mine, theirs)
    assert_array_equal(again.heatmap, first.heatmap)
    size = np.abs(first.heatmap).max()
    for batch in (2, 3, 50):
        assert_allclose(explained(method, seed=1, batch=batch, **settings).heatmap, first.heatmap, atol=1e-5 * size)
    if method != "integrated-gradients":
        assert np.abs(explained(method, seed=2, **settings).heatmap - first.heatmap).max() > 0.01 * size


def test_a_batch_that_does_not_fit_is_halved():
    expected, sizes = explained("smoothgrad", samples=6).heatmap, []

    class Small(Net):
        def forward(self, x):
            sizes.append(len(x))
            if len(x) > 2:
                raise torch.OutOfMemoryError("no room")
            return super().forward(x)

    result = explained("smoothgrad", segmenter_of(Small()), samples=6, batch=6)
    assert sizes == [1, 6, 3, 2, 2, 2] or sizes == [1, 6, 3, 1, 1, 1, 1, 1, 1]
    assert_allclose(result.heatmap, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("method", GRADIENTS)
def test_passes_are_counted_and_progress_told(method):
    pictures, told = [], []

    class Counted(Net):
        def forward(self, x):
            pictures.append(len(x))
            if x.requires_grad:
                x.register_hook(lambda _: pictures.append(len(x)))
            return super().forward(x)

    segmenter = segmenter_of(Counted())
    method_ = METHODS[method]
    explained(method, segmenter)  # which layers there are is known after the first time
    pictures.clear()
    result = explained(method, segmenter, progress=told.append)
    backward_to_layer = method in CAMS  # it does not come to the picture, and counts all the same
    assert sum(pictures) + backward_to_layer == result.forwards
    image = picture(H, W)
    assert result.forwards == 1 + method_.forwards(Request(image, segmenter, result.frozen, result.settings))
    assert len(result.readings) == 0
    assert told == sorted(told)
    assert told[0] == 0
    assert told[-1] == 1


# --- Everything around ---


@pytest.mark.parametrize("method", GRADIENTS)
def test_results_are_written_judged_and_made_again(method, tmp_path):
    result = explained(method)
    folder = perturb.save(result, tmp_path / "out")
    names = {"score", *METHODS[method].captions} - {"score"}
    assert {f"{name}.npy" for name in names} <= {file.name for file in folder.iterdir()}
    assert set(result.maps) == set(METHODS[method].captions)
    assert (folder / "readings.csv").read_text().count("\n") == 1
    assert result.as_dict()["heatmap"]["signed"] == result.signed()
    assert result.heatmap.dtype == np.float32
    assert result.heatmap.shape == (H, W)
    if not result.signed():
        assert result.heatmap.min() >= 0
    lines = (folder / "reproduce.py").read_text()
    assert f'method="{method}"' in lines
    with pytest.raises(perturb.SettingError, match="hides no pixels"):
        perturb.probe(result, 0)
    with pytest.raises(perturb.SettingError, match="hides no pixels"):
        masks_and_fill(result)
    made = perturb.compare([result], metrics=("deletion_auc", "gini", "forwards"))
    assert made.methods[0].values["forwards"] == result.forwards
    assert made.methods[0].signed == result.signed()


def test_sanity_checks_take_gradient_methods():
    result = explained("saliency")
    stages = randomise(result, stages=2)
    assert stages[-1].spearman < 0.99
    assert reseed(result, seeds=1)[0].spearman == pytest.approx(1)


@pytest.mark.parametrize("builder", ["fcn_resnet50", "lraspp_mobilenet_v3_large"])
def test_torchvisions_networks_can_be_differentiated(builder):
    """Their activations work in place; random weights do."""
    torch.manual_seed(0)

    class Out(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = getattr(segmentation, builder)(weights=None, weights_backbone=None, num_classes=3)

        def forward(self, x):
            return self.net(x)["out"]

    segmenter, image = segmenter_of(Out()), picture(48, 64)
    target = perturb.Target("thing", region="all")
    result = explained("guided-grad-cam", segmenter, image=image, target=target, layer="")
    assert np.isfinite(result.heatmap).all()
    slope = explained("saliency", segmenter, image=image, target=target).maps["signed"]
    with torch.no_grad():  # a step along the slope, by differences
        score, step = Score(segmenter, result.frozen), 1e-2
        flat = tensor(image).detach()
        rise = float(score(flat + step)[0] - score(flat - step)[0]) / (2 * step)
    assert_allclose(slope.sum(dtype=float), rise, rtol=0.05, atol=1e-4 * np.abs(slope).sum())


def test_nothing_of_captums_warnings_is_heard():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for method in GRADIENTS:
            explained(method)


def test_a_few_towering_pixels_do_not_darken_a_map():
    values = np.linspace(-1, 1, 10_000, dtype=np.float32).reshape(100, 100)
    assert readable_limit(values) == limit_of(values) == 1
    values[0, :3] = (40, -90, 20)
    assert readable_limit(values) == pytest.approx(np.quantile(np.abs(values), 0.995))
    assert limit_of(values) == 90
    assert readable_limit(np.zeros((4, 4), np.float32)) == 0
    sparse = np.zeros((100, 100), np.float32)
    sparse[3, 4] = 2
    assert readable_limit(sparse) == 2, "there is nothing else to see"
