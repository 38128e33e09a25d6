"""Networks traced for a size: control flow that depends on shapes is followed, what depends on values is refused."""

import pytest
import segmentation_models_pytorch as smp
import torch
from numpy.testing import assert_allclose
from torch import fx, nn

import perturb
from perturb.engine.incremental.graph import lower_network
from perturb.engine.incremental.known import Unknown
from perturb.segmenters.torch_layers import find_module, hooks
from perturb.segmenters.tracing import trace_module
from tests.analytic import picture

OFTEN = (smp.UnetPlusPlus, smp.PSPNet)
ARCHITECTURES = (*OFTEN, *(
    pytest.param(kind, marks=pytest.mark.long)
    for kind in (smp.Unet, smp.MAnet, smp.Linknet, smp.FPN, smp.DeepLabV3, smp.DeepLabV3Plus, smp.PAN, smp.UPerNet, smp.Segformer)
))  # fmt: skip
INCREMENTAL = (smp.Unet, smp.UnetPlusPlus)
"""The others have an operation that cannot be run in part."""


class BySize(nn.Module):
    """Another convolution for wide images than for narrow ones, a loop over a shape, and a check as smp has it."""

    def __init__(self):
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(3, 2, 3, padding=1), nn.Conv2d(3, 2, 1)

    def forward(self, x):
        height, width = x.shape[-2:]
        if height % 4 != 0 or width % 4 != 0:
            raise RuntimeError("sides must be multiples of 4")
        x = self.wide(x) if width > height else self.narrow(x)
        for side in x.shape:
            x = x + side
        return x


class ByValue(nn.Module):
    """A branch that depends on what the image shows."""

    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, 2, 1)

    def forward(self, x):
        return self.head(x) if x.mean() > 0.5 else self.head(-x)


@pytest.mark.parametrize("size", [(8, 12), (12, 8), (8, 8)])
def test_a_branch_on_shapes_is_followed_for_the_size_that_is_given(size):
    module, given = BySize().eval(), torch.rand(1, 3, *size)
    traced, outputs = trace_module(module, given)
    assert set(outputs) == {"wide" if size[1] > size[0] else "narrow"}
    assert_allclose(traced(given).detach(), module(given).detach())
    two = torch.rand(2, 3, *size)
    assert_allclose((traced(two)[1] - traced(two)[0]).detach(), (module(two)[1] - module(two)[0]).detach(), atol=1e-6)


def test_a_check_of_the_size_raises_while_tracing_as_in_a_pass():
    with pytest.raises(RuntimeError, match="multiples of 4"):
        trace_module(BySize().eval(), torch.rand(1, 3, 8, 10))


def test_without_a_size_a_branch_on_shapes_cannot_be_traced():
    with pytest.raises(fx.proxy.TraceError):
        trace_module(BySize().eval())


@pytest.mark.parametrize("inference", [False, True])
def test_a_branch_on_values_cannot_be_traced_and_nothing_of_the_attempt_is_left(inference):
    with torch.inference_mode(inference), pytest.raises(fx.proxy.TraceError, match="control flow"):
        trace_module(ByValue().eval(), torch.rand(1, 3, 8, 8))
    assert nn.Module.__call__.__qualname__ == "Module._wrapped_call_impl"
    assert type(torch.rand(1) + 1) is torch.Tensor


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_networks_of_segmentation_models_pytorch_are_split_at_their_layers(kind):
    torch.manual_seed(0)
    module = kind(encoder_name="resnet18", encoder_weights=None, classes=3)
    segmenter, image = perturb.TorchSegmenter(module, classes=list("abc")), picture(60, 90)
    found = [layer for layer in segmenter.layers(image) if layer.name.startswith("encoder.layer")]
    layer = found[len(found) // 2].name
    downstream = segmenter.downstream(image, layer)
    assert downstream.note == ""
    changed = downstream.activation.repeat(2, 1, 1, 1)
    changed[0, ::2], changed[1, 1::2] = 0, 0
    batch = torch.from_numpy(image.pixels.copy()).permute(2, 0, 1)[None].repeat(2, 1, 1, 1)
    with hooks((find_module(segmenter, layer), lambda _: changed.clone())), torch.inference_mode():
        expected = segmenter(batch)
    reach = float(downstream.clean.max() - downstream.clean.min())
    assert float((expected - downstream.clean).abs().max()) > 1e-3 * reach, "ablation should change something"
    assert_allclose(downstream(changed.clone()), expected, atol=1e-4 * reach)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_incremental_passes_of_such_networks_are_those_of_whole_ones_or_refused_in_words(kind, monkeypatch):
    monkeypatch.setattr("perturb.engine.incremental.passes.dearer", lambda *_: "")
    torch.manual_seed(0)
    module = kind(encoder_name="resnet18", encoder_weights=None, classes=3)
    segmenter = perturb.TorchSegmenter(module, classes=list("abc"))
    if kind not in INCREMENTAL:
        with pytest.raises(Unknown, match="is not among the operations|no maps|makes a tuple"):
            lower_network(segmenter, 64, 96)
        return
    asked = {"method": "occlusion", "size": 16, "stride": 16}
    got, whole = (
        perturb.explain(picture(64, 96), segmenter, perturb.Target("a", region="box:20,10,30,30"), plain=plain, **asked)
        for plain in (False, True)
    )
    assert got.execution.passes == "incremental"
    assert_allclose(got.heatmap, whole.heatmap, atol=1e-4 * abs(whole.heatmap).max())
