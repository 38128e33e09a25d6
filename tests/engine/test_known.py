"""The tables of operations that can be run in part: each against torch itself, and what they do not cover is refused."""

import operator

import pytest
import torch
from numpy.testing import assert_array_equal
from torch import nn
from torch.nn import functional

import perturb
from perturb.engine.incremental.graph import lower_network
from perturb.engine.incremental.known import Unknown, known
from perturb.engine.incremental.ops import Place
from perturb.images.image import to_tensor
from tests.analytic import picture

FIRST = Place(0)


def maps(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def norm(**options):
    module = nn.BatchNorm2d(4, **options)
    if module.running_mean is not None:
        module.running_mean.copy_(torch.tensor([0.5, -1, 0, 2]))
        module.running_var.copy_(torch.tensor([0.5, 1, 2, 4]))
    return module.eval()


ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.SiLU, nn.GELU, nn.LeakyReLU, nn.ELU,
               nn.Tanh, nn.Softplus, nn.Mish, nn.Hardtanh)  # fmt: skip
MODULES = [
    *(kind() for kind in ACTIVATIONS),
    norm(),
    norm(affine=False),
    nn.AvgPool2d(2),
    nn.AvgPool2d(3, 2, 1),
    nn.AvgPool2d(2, count_include_pad=False),
    nn.AdaptiveAvgPool2d(1),
    nn.MaxPool2d(3, 1, 1),
    nn.Upsample(scale_factor=2, mode="nearest"),
    nn.Upsample(size=(16, 10), mode="bilinear"),
    nn.UpsamplingNearest2d(scale_factor=2),
    nn.Conv2d(4, 2, 3, padding=1, bias=False),
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: type(module).__name__)
def test_a_known_module_gives_what_torch_gives(module):
    given = maps(1, 4, 8, 6)
    before = given.clone()
    with torch.inference_mode():
        got = known("call_module", module, (FIRST,), {}, [(4, 8, 6)])(given)
        torch.testing.assert_close(got, module(before.clone()))
    assert_array_equal(given, before, "the clean map is not overwritten")


@pytest.mark.parametrize(
    ("target", "rest", "options"),
    [
        (functional.relu, (), {"inplace": True}),
        (functional.gelu, (), {"approximate": "none"}),
        (torch.tanh, (), {}),
        (functional.interpolate, (), {"scale_factor": 2}),
        (functional.interpolate, ((16, 10),), {"mode": "bilinear"}),
        (functional.adaptive_avg_pool2d, (1,), {}),
        (torch.mean, ((2, 3),), {"keepdim": True}),
        (torch.mean, ((-1, -2), True), {}),
        (torch.add, (2,), {}),
        (operator.mul, (torch.tensor(0.5),), {}),
        (operator.sub, (maps(4, 1, 1),), {}),
        (operator.truediv, (maps(1, 4, 1, 1),), {}),
        (functional.pad, ((1, 2),), {}),
        (functional.pad, ((1, 2, 0, 3),), {"mode": "replicate"}),
        (operator.getitem, ((..., slice(1, 5)),), {}),
        (operator.getitem, (slice(None),), {}),
        (operator.getitem, ((slice(None), slice(None), slice(2, -1)),), {}),
    ],
)
def test_a_known_function_gives_what_torch_gives(target, rest, options):
    given = maps(1, 4, 8, 6)
    got = known("call_function", target, (FIRST, *rest), options, [(4, 8, 6)])(given)
    torch.testing.assert_close(got, target(given.clone(), *rest, **options))


def test_a_method_is_known_by_its_name():
    given = maps(1, 4, 8, 6)
    got = known("call_method", "mean", (FIRST, (2, 3)), {"keepdim": True}, [(4, 8, 6)])(given)
    torch.testing.assert_close(got, given.mean((2, 3), keepdim=True))


@pytest.mark.parametrize(
    ("kind", "target", "options"),
    [
        ("call_module", nn.Identity(), {}),
        ("call_module", nn.Dropout2d(), {}),
        ("call_function", functional.dropout, {"training": False}),
        ("call_method", "contiguous", {}),
    ],
)
def test_what_changes_nothing_is_no_operation(kind, target, options):
    assert known(kind, target, (FIRST,), options, [(4, 8, 6)]) is None


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (nn.Conv2d(4, 2, 3, padding=1, padding_mode="reflect"), "Conv2d with padding 'reflect' is not among"),
        (nn.Conv2d(4, 2, 3, padding="same"), "Conv2d with padding"),
        (nn.BatchNorm2d(4, track_running_stats=False), "BatchNorm2d without fixed statistics"),
        (nn.AvgPool2d(2, divisor_override=3), "AvgPool2d with another divisor"),
        (nn.AvgPool2d(3, 2, 1, count_include_pad=False), "AvgPool2d with another divisor"),
        (nn.AvgPool2d(2, ceil_mode=True), "AvgPool2d is not among"),
        (nn.MaxPool2d(2, ceil_mode=True), "MaxPool2d is not among"),
        (nn.AdaptiveAvgPool2d(2), "AdaptiveAvgPool2d is not among"),
        (nn.UpsamplingBilinear2d(scale_factor=2), "UpsamplingBilinear2d is not among"),
        (nn.Upsample(scale_factor=2, mode="bicubic"), "interpolation of the kind 'bicubic' is not among"),
        (nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), "'bilinear' with aligned corners"),
        (nn.Upsample(scale_factor=1.5), "by a factor that is no whole number"),
        (nn.Upsample(), "Upsample has arguments that cannot be run in part"),
        (nn.InstanceNorm2d(4), "InstanceNorm2d is not among"),
    ],
    ids=str,
)
def test_a_module_that_is_not_covered_is_refused_by_name(module, reason):
    with pytest.raises(Unknown, match=reason):
        known("call_module", module, (FIRST,), {}, [(4, 8, 6)])


@pytest.mark.parametrize(("args", "options"), [((FIRST, Place(1)), {}), ((), {"input": FIRST}), ((2.0,), {})])
def test_a_module_is_given_one_map_and_nothing_else(args, options):
    with pytest.raises(Unknown, match="ReLU is given something else than one map"):
        known("call_module", nn.ReLU(), args, options, [(4, 8, 6)])


@pytest.mark.parametrize(
    ("target", "rest", "options", "reason"),
    [
        (functional.gelu, (), {"approximate": "tanh"}, "the function gelu is not among"),
        (functional.dropout, (), {}, "the function dropout is not among"),
        (functional.interpolate, (), {"scale_factor": 2, "antialias": True}, "interpolation with antialiasing"),
        (functional.pad, ((1, 1), "reflect"), {}, "padding of the kind 'reflect'"),
        (functional.pad, ((-1, 1),), {}, "padding of the kind 'constant'"),
        (functional.pad, ((1, 1), "constant", 3.0), {}, "padding of the kind 'constant'"),
        (functional.pad, (), {}, "the function pad has arguments that cannot be run in part"),
        (operator.getitem, ((0,),), {}, "indexing single rows"),
        (operator.getitem, ((..., slice(None, None, 2)),), {}, "indexing single rows"),
        (operator.getitem, ((slice(None), slice(1)),), {}, "indexing single channels"),
        (torch.mean, ((1, 2),), {"keepdim": True}, "the function mean is not among"),
        (torch.mean, ((2, 3),), {}, "the function mean is not among"),
        (functional.adaptive_avg_pool2d, (2,), {}, "the function adaptive_avg_pool2d is not among"),
        (torch.add, (maps(1, 4, 8, 6),), {}, "a constant that varies over the image"),
        (torch.add, (maps(2, 4, 1, 1),), {}, "a constant that varies over the image"),
        (torch.add, (maps(6),), {}, "a constant that varies over the image"),
        (torch.add, (True,), {}, "a constant that varies over the image"),
        (torch.fft.fft2, (), {}, "the function .*fft2 is not among"),
        ("exp", (), {}, "the function exp is not among"),
    ],
)  # fmt: skip
def test_a_function_that_is_not_covered_is_refused_by_name(target, rest, options, reason):
    with pytest.raises(Unknown, match=reason):
        known("call_function", target, (FIRST, *rest), options, [(4, 8, 6)])


@pytest.mark.parametrize("joined", [{"dim": 2}, {"dim": 0}, {}])
def test_maps_are_joined_along_their_channels_alone(joined):
    with pytest.raises(Unknown, match="concatenation along another axis than the channels"):
        known("call_function", torch.cat, ([FIRST, Place(1)],), joined, [(4, 8, 6)] * 2)


class Net(nn.Module):
    """A convolution with an operation of its own after it."""

    def __init__(self, after):
        super().__init__()
        self.conv, self.same, self.pool, self.after = (
            nn.Conv2d(3, 5, 3, padding=1),
            nn.Identity(),
            nn.AvgPool2d(2),
            after,
        )

    def forward(self, x):
        return self.after(self, self.same(self.conv(x)))


def segmenter(after):
    torch.manual_seed(3)
    return perturb.TorchSegmenter(Net(after), classes=list("abcde"))


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (lambda net, x: torch.cat(x.chunk(5, 1), 1), "chunk makes a tuple of a map"),
        (lambda net, x: x.flatten(2).view(x.shape), r"flatten gives a tensor of shape \(1, 5, 480\), no maps"),
        (lambda net, x: torch.cat([x, x])[:1], r"cat gives a tensor of shape \(2, 5, 20, 24\), no maps"),
    ],
)
def test_a_network_that_has_more_than_maps_is_refused(after, reason):
    with pytest.raises(Unknown, match=reason):
        lower_network(segmenter(after), 20, 24)


def test_an_identity_is_no_step_that_could_be_kept():
    with pytest.raises(Unknown, match="the layer is an identity"):
        lower_network(segmenter(lambda net, x: x * 2), 20, 24, keep="same")


@pytest.mark.parametrize(
    "after",
    [
        lambda net, x: x * x,  # one step is both inputs
        lambda net, x: functional.interpolate(net.pool(x), scale_factor=2),
        lambda net, x: functional.interpolate(
            functional.interpolate(x, scale_factor=2, mode="bilinear"), size=x.shape[2:], mode="bilinear"
        ),
    ],
    ids=["square", "nearest", "twice"],
)
def test_logits_of_a_lowered_network_are_those_of_torch(after):
    own = segmenter(after)
    batch = to_tensor(picture(20, 24), own.device)[None]
    network = lower_network(own, 20, 24)
    with torch.inference_mode():
        torch.testing.assert_close(network.logits(network.clean(own.prepare(batch))[-1]), own(batch))
