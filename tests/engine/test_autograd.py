"""The differentiable score, its batches and messages, and the guided graph, against what is worked out by hand."""

from types import SimpleNamespace

import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import perturb
from perturb.engine.autograd import Score, differentiable, finite, in_batches, require, trace
from perturb.engine.guided import guide, nodes
from perturb.engine.runner import clean_logits
from tests.analytic import picture

H, W = 6, 9
CLASSES = ["a", "b", "c"]


def segmenter_of(module):
    return perturb.TorchSegmenter(module.eval(), classes=CLASSES)


def frozen_of(segmenter, score="logit", region="box:2,1,7,5"):
    labels = clean_logits(picture(H, W), segmenter).argmax(0).numpy()
    return perturb.Target("b", region=region, score=score).freeze(picture(H, W), labels, segmenter.classes)


class Gains(nn.Module):
    """Each class has a gain of its own for each colour; works in place on what it is given."""

    gains = torch.tensor([[1.0, 0.5, -1.0], [2.0, -3.0, 0.25], [0.0, 1.0, 1.0]])

    def __init__(self, through=None):
        super().__init__()
        self.scale = nn.Identity()
        self.through = through or (lambda x: x)

    def forward(self, x):
        if not x.requires_grad:
            x.mul_(1)  # the caller's tensor must not be the one
            x.add_(0.0)
        return self.through(torch.einsum("kc,ncyx->nkyx", self.gains, self.scale(x)))


class Overwrites(nn.Module):
    def forward(self, x):
        return x.mul_(2)


# --- The score ---


def test_the_score_of_each_image_is_the_mean_over_the_box_by_hand():
    segmenter = segmenter_of(Gains())
    images = torch.rand(4, 3, H, W, generator=torch.Generator().manual_seed(1))
    box = images[:, :, 1:5, 2:7].double().mean((2, 3))
    expected = 2 * box[:, 0] - 3 * box[:, 1] + 0.25 * box[:, 2]
    with torch.no_grad():
        got = Score(segmenter, frozen_of(segmenter))(images)
    assert got.dtype == torch.float64
    assert_allclose(got, expected, rtol=1e-5)


def test_the_callers_images_stay_as_they_are():
    segmenter, images = segmenter_of(Overwrites()), torch.ones(2, 3, H, W)
    with torch.no_grad():
        assert_array_equal(Score(segmenter, frozen_of(segmenter))(images), [2, 2])
    assert_array_equal(images, 1)


def test_progress_counts_the_images_that_came_before_and_ends_at_one():
    segmenter, told = segmenter_of(Gains()), []
    score = Score(segmenter, frozen_of(segmenter), total=8, progress=told.append)
    with torch.no_grad():
        for count in (2, 1, 3, 4, 1):
            score(torch.rand(count, 3, H, W))
    assert told == [0, 2 / 8, 3 / 8, 6 / 8, 1.0]
    assert score.done == 11


@pytest.mark.parametrize("score", ["logit", "probability"])
def test_only_the_iou_has_no_gradient(score):
    frozen = frozen_of(segmenter_of(Gains()), score)
    require(frozen)
    with pytest.raises(perturb.TargetError, match="An IoU counts pixels"):
        require(frozen.with_score("iou"))


def test_logits_without_a_gradient_are_refused_only_where_one_is_taken():
    segmenter = segmenter_of(Gains(lambda x: x.detach()))
    score = Score(segmenter, frozen_of(segmenter))
    images = torch.rand(1, 3, H, W)
    with torch.no_grad():
        assert score(images).shape == (1,)
    with torch.enable_grad(), pytest.raises(perturb.SegmenterError) as caught:
        score(images.requires_grad_())
    assert str(caught.value) == (
        "No gradient can be taken of the segmenter 'Gains' (its logits carry no gradient), expected logits computed from the "
        "image by differentiable torch operations. Choose a method that hides pixels."
    )


# --- Errors of torch ---


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        (lambda x: torch.autograd.grad(x.sum(), torch.ones(1)), "does not require grad"),
        (lambda x: torch.autograd.grad(x.sum(), torch.ones(1, requires_grad=True)), "not have been used in the graph"),
        (lambda x: torch.autograd.grad(_overwritten(x).sum(), x), "inplace operation"),
        (lambda x: x.add_(1), "in-place operation"),
        (lambda x: torch.igamma(x, torch.ones(3)).sum().backward(), "derivative for"),
        (lambda x: (x * _inferred()).sum(), "nference tensor"),
    ],
)
def test_what_torch_cannot_differentiate_is_said_in_one_sentence(operation, words):
    segmenter = segmenter_of(Gains())
    message = "No gradient can be taken of the segmenter 'Gains'"
    with pytest.raises(perturb.SegmenterError, match=message) as caught, differentiable(segmenter):
        operation(torch.ones(3, requires_grad=True))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value.__cause__, RuntimeError)


def _overwritten(x):
    y = x.exp()
    z = y * 1
    y.zero_()
    return z


def _inferred():
    with torch.inference_mode():
        return torch.ones(3)


def test_other_errors_come_through_as_they_are():
    segmenter = segmenter_of(Gains())
    for error in (
        torch.OutOfMemoryError("in-place"),
        RuntimeError("shapes differ"),
        ValueError("in-place"),
        KeyboardInterrupt(),
    ):
        with pytest.raises(type(error)) as caught, differentiable(segmenter):
            raise error
        assert caught.value is error


def test_a_long_reason_is_cut_and_the_cause_of_a_segmenters_own_error_is_named():
    segmenter = segmenter_of(Gains())
    long = "no derivative for " + 300 * "x" + "\nand more"
    with pytest.raises(perturb.SegmenterError) as caught, differentiable(segmenter):
        raise RuntimeError(long)
    assert f"({long[:200]})" in str(caught.value)
    with pytest.raises(perturb.SegmenterError, match=r"\(a leaf was changed in-place\)"), differentiable(segmenter):
        raise perturb.SegmenterError("the network failed") from RuntimeError("a leaf was changed in-place")


def test_gradients_are_on_inside_whatever_the_caller_set():
    segmenter = segmenter_of(Gains())
    with torch.inference_mode(), differentiable(segmenter):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
    with torch.no_grad(), differentiable(segmenter):
        assert torch.is_grad_enabled()


# --- Batches ---


def tried(batch, fits, device="cpu"):
    sizes = []

    def run(size):
        sizes.append(size)
        if size > fits:
            raise torch.OutOfMemoryError("no room")
        return f"done by {size}"

    assert in_batches(SimpleNamespace(device=torch.device(device)), batch, run) == f"done by {sizes[-1]}"
    return sizes


def test_batches_are_one_on_a_cpu_and_eight_on_an_accelerator_and_are_halved():
    assert tried(None, 100) == [1]
    assert tried(None, 100, "cuda") == [8]
    assert tried(None, 1, "cuda") == [8, 4, 2, 1]
    assert tried(9, 2) == [9, 4, 2]
    assert tried(5, 5) == [5]
    assert tried(0, 5) == [1]
    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        tried(4, 0)


def test_what_is_not_finite_is_refused():
    segmenter = segmenter_of(Gains())
    values = torch.tensor([[1.0, -2.0], [1e30, -1e30]])
    assert finite(values, segmenter) is values
    assert finite(torch.tensor([3.0, -3.0]), segmenter).tolist() == [3, -3]
    for bad in (float("nan"), float("inf"), float("-inf")):
        with pytest.raises(perturb.SegmenterError, match="of the segmenter 'Gains' holds values that are not finite"):
            finite(torch.tensor([1.0, bad]), segmenter)


# --- One pass and its graph ---


def test_a_traced_pass_holds_image_logits_activation_and_score_by_hand():
    segmenter, image = segmenter_of(Gains()), picture(H, W)
    score = Score(segmenter, frozen_of(segmenter))
    pixels = torch.from_numpy(image.pixels.transpose(2, 0, 1).copy())[None]
    with differentiable(segmenter):
        traced = trace(score, segmenter, image, "scale")
        bare = trace(score, segmenter, image)
        assert bare.activation is None
        assert_array_equal(traced.image.detach(), pixels)
        assert_array_equal(traced.activation.detach(), pixels)
        assert_allclose(traced.logits.detach(), torch.einsum("kc,ncyx->nkyx", Gains.gains, pixels), rtol=1e-6)
        expected = torch.zeros(1, 3, H, W)
        expected[0, :, 1:5, 2:7] = torch.tensor([2.0, -3.0, 0.25])[:, None, None] / 20
        assert_allclose(traced.gradient(traced.activation, keep=True), expected, rtol=1e-6)
        assert_allclose(traced.gradient(traced.image), expected, rtol=1e-6)
        with pytest.raises(RuntimeError, match="second time"):
            traced.gradient(traced.image)
    assert float(traced.score.detach()) == pytest.approx(float((expected.double() * pixels).sum()), rel=1e-6)


def test_the_gradient_of_what_the_score_does_not_use_is_zero():
    class Beside(nn.Module):
        def __init__(self):
            super().__init__()
            self.beside = nn.Conv2d(3, 5, 1)

        def forward(self, x):
            self.beside(x)
            return x * torch.tensor([1.0, 2.0, 3.0])[:, None, None]

    segmenter = segmenter_of(Beside())
    with differentiable(segmenter):
        traced = trace(Score(segmenter, frozen_of(segmenter)), segmenter, picture(H, W), "beside")
        gradient = traced.gradient(traced.activation)
    assert gradient.shape == (1, 5, H, W)
    assert_array_equal(gradient, 0)


class Pair(nn.Module):
    def forward(self, x):
        return x, 2 * x


class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.pair, self.means = Pair(), nn.AdaptiveAvgPool2d(1)

    def forward(self, x):
        one, other = self.pair(x)
        return one + other * self.means(one)


@pytest.mark.parametrize(("layer", "got"), [("pair", "a tuple"), ("means", r"\(1, 3, 1, 1\)")])
def test_a_layer_without_a_map_is_refused_by_what_it_gives(layer, got):
    segmenter = segmenter_of(Wrapped())
    score = Score(segmenter, frozen_of(segmenter))
    message = f"The layer '{layer}' gives no map: got {got}, expected"
    with differentiable(segmenter), pytest.raises(perturb.SettingError, match=message):
        trace(score, segmenter, picture(H, W), layer)
    assert not any(part._forward_hooks for part in segmenter.module.modules())


# --- The guided graph ---


KINDS = {
    "leaky ReLU": functional.leaky_relu,
    "PReLU": lambda x: functional.prelu(x, torch.full((1,), 0.2)),
    "ReLU6 or hardtanh": functional.relu6,
    "hardswish": functional.hardswish,
    "ELU": functional.elu,
    "GELU": functional.gelu,
    "SiLU": functional.silu,
    "softplus": functional.softplus,
    "Mish": functional.mish,
    "threshold": lambda x: functional.threshold(x, 0.1, 0.0),
    "clamp": lambda x: x.clamp(0, 1),
}


def scored(through):
    x = torch.linspace(-1, 1, 12).requires_grad_()
    return x, through(x).sum()


@pytest.mark.parametrize("kind", KINDS)
def test_activations_that_are_not_guided_are_counted_by_name(kind):
    _, score = scored(lambda x: KINDS[kind](torch.relu(KINDS[kind](x))))
    found = guide(score, segmenter_of(Gains()))
    assert dict(found.others) == {kind: 2}
    assert (found.relus, found.parts) == (1, 0)


def test_kinds_are_counted_apart_and_those_of_one_name_together():
    found = guide(
        scored(lambda x: functional.elu(x.clamp(min=-1).clamp(-1, 1) + functional.silu(x)))[1], segmenter_of(Gains())
    )
    assert dict(found.others) == {"clamp": 2, "ELU": 1, "SiLU": 1}
    assert found.relus == 0


def test_a_guided_relu_passes_positive_gradients_at_positive_inputs():
    """d relu(x) · w: w where both x and w are above 0. A plain pass has w wherever x is above 0."""
    weights = torch.tensor([3.0, -2.0] * 6)
    x, score = scored(lambda x: torch.relu(x) * weights)
    plain = torch.autograd.grad(score, x, retain_graph=True)[0]
    assert_array_equal(plain, torch.where(x > 0, weights, 0).detach())
    assert guide(score, segmenter_of(Gains())).relus == 1
    (guided,) = torch.autograd.grad(score, x)
    assert_array_equal(guided, torch.where((x > 0) & (weights > 0), weights, 0).detach())


def test_changes_of_parts_are_counted():
    def through(x):
        y = x * 2
        y[:3].add_(1)
        y[5:].mul_(3)
        return y

    found = guide(scored(through)[1], segmenter_of(Gains()))
    assert found.parts == 2


def test_every_node_comes_once_however_many_ways_lead_to_it():
    def through(x):
        for _ in range(40):
            x = x + x  # 2^40 ways
        return x

    _, score = scored(through)
    found = list(nodes(score))
    assert len(found) == len(set(found)) == 1 + 40 + 1  # the sum, the additions, the leaf
    assert found[0] is score.grad_fn


class Own(torch.autograd.Function):
    @staticmethod
    def forward(_, x):
        return x * 2

    @staticmethod
    def backward(_, gradient):
        return gradient * 2


@pytest.mark.parametrize(
    ("through", "name"),
    [
        (Own.apply, "OwnBackward"),
        (lambda x: checkpoint(torch.relu, x, use_reentrant=True), "CheckpointFunctionBackward"),
    ],
)
def test_a_part_that_hides_its_relus_is_refused(through, name):
    _, score = scored(lambda x: torch.relu(through(x)))
    with pytest.raises(perturb.SegmenterError, match=rf"cannot see into a part of the segmenter 'Gains' \({name}\)"):
        guide(score, segmenter_of(Gains()))


def test_the_order_of_kinds_is_that_of_their_names():
    found = guide(scored(lambda x: functional.silu(functional.elu(functional.gelu(x))))[1], segmenter_of(Gains()))
    assert list(found.others) == ["ELU", "GELU", "SiLU"]
