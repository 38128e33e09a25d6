"""Layers, the sub-network downstream of one, and Seg-Ablation-CAM: against closed forms and against whole passes."""

import threading

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from torch.nn.functional import interpolate
from torchvision.models import segmentation

import perturb
from perturb.core.settings import check_settings
from perturb.methods.ablation_cam import AblationCam, activation, choose, weights
from perturb.methods.base import Request
from perturb.segmenters.layers import Layer, inside, stretch
from perturb.targets.reader import Reader
from tests.analytic import Constant, picture

CLASSES = ["thing", "rest", "other"]
BUILDERS = (
    "fcn_resnet50",
    "fcn_resnet101",
    "deeplabv3_resnet50",
    "deeplabv3_resnet101",
    "deeplabv3_mobilenet_v3_large",
    "lraspp_mobilenet_v3_large",
)


class Linear(nn.Module):
    """Six channels at half the size of the image, and a head that is linear in them; channel 5 is zero everywhere."""

    def __init__(self) -> None:
        super().__init__()
        weights = torch.Generator().manual_seed(1)
        self.body = nn.Conv2d(3, 6, 2, stride=2)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Conv2d(6, 3, 1)
        with torch.no_grad():
            self.body.weight.copy_(torch.randn(self.body.weight.shape, generator=weights) * 0.4)
            self.body.bias.fill_(1.5)
            self.body.bias[5] = -99
            self.head.weight.copy_(torch.randn(self.head.weight.shape, generator=weights))
            self.head.bias.copy_(torch.tensor([9.0, 0.0, 0.0]))

    def forward(self, x):
        return interpolate(self.head(self.act(self.body(x))), scale_factor=2, mode="nearest")


class Odd(nn.Module):
    """Difficult layers: control flow, a layer used twice, an unused one, a tuple, a number per image."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.twice = nn.ReLU()
        self.pair = Pair()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.unused = nn.Conv2d(3, 4, 1)
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, x):
        x = self.twice(self.twice(self.first(x)))
        if x.mean() > 1e9:  # a branch that depends on values cannot be traced
            x = x * 0
        x, scale = self.pair(x)
        return self.head(x * scale + self.pool(x))


class Pair(nn.Module):
    def forward(self, x):
        return x, 2.0


class InPlace(nn.Module):
    """A skip connection that the rest of the network adds to in place."""

    def __init__(self) -> None:
        super().__init__()
        self.skip = nn.Conv2d(3, 4, 1)
        self.layer = nn.Conv2d(3, 4, 1)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, x):
        return self.head(self.act(torch.add(self.skip(x), 1).add_(self.act(self.layer(x)))))


class Handed(nn.Module):
    """A block with an identity op, whose input is also used elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)
        self.block = Pass()
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, x):
        x = self.first(x)
        return self.head(self.block(x) + 2 * x)


class Pass(nn.Module):
    def forward(self, x):
        return x


class Out(nn.Module):
    """Like torchvision's segmenters, returns a dictionary."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)["out"]


def segmenter_of(module, **options):
    torch.manual_seed(0)
    return perturb.TorchSegmenter(module, classes=CLASSES, **options)


def seeded(kind):
    torch.manual_seed(0)
    return kind()


def explained(image, segmenter, target="thing", *, region="all", score="logit", progress=None, batch=None, **settings):
    return perturb.explain(
        image,
        segmenter,
        perturb.Target(target, region=region, score=score),
        method="ablation-cam",
        progress=progress,
        batch=batch,
        **settings,
    )


def settle(net):
    """Fit the batch norms to noise; otherwise random weights shrink the signal of a deep network to almost 0."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over the passes
            module.eps = 0.05  # a channel that hardly varies must not be blown up: float32 rounding would come with it
    net.train()
    with torch.no_grad():
        net(torch.rand(4, 3, 64, 96))
    net.eval()


def dense(segmenter, image, layer, channels, factor=0.0):
    """The oracle: a hook replaces the layer's whole output, and the whole network is run for one channel at a time."""
    batch = torch.from_numpy(image.pixels.transpose(2, 0, 1).copy())[None]
    module = dict(segmenter.module.named_modules())[layer]
    results = []
    for channel in channels:

        def replace(_, given, output, channel=channel):  # noqa: ARG001 — torch's signature
            output = output.clone()
            output[:, channel] *= factor
            return output

        handle = module.register_forward_hook(replace)
        with torch.no_grad():
            results.append(segmenter(batch))
        handle.remove()
    return torch.cat(results)


def tailed(segmenter, image, layer, channels):
    tail = segmenter.downstream(image, layer)
    changed = tail.activation.repeat(len(channels), 1, 1, 1)
    changed[torch.arange(len(channels)), channels] = 0
    return tail, tail(changed).clone()


def hook_count(segmenter):
    return sum(len(module._forward_hooks) for module in segmenter.module.modules())


@pytest.fixture(scope="module")
def streets():
    return perturb.load_segmenter("streets-unet")


@pytest.fixture(scope="module")
def scene():
    """A crop of a sample whose sides are not multiples of the network's stride."""
    image = perturb.sample("rain")
    return perturb.images.image.image_from_pixels(image.pixels[150:255, 200:345], name="a piece of rain")


# --- Layers ---


def test_layers_come_in_order_with_their_shapes(streets, scene):
    found = streets.layers(scene)
    names = [layer.name for layer in found]
    stages = ["stem", "encoder1", "encoder2", "encoder3", "context", "decoder3", "decoder2", "decoder1", "head"]
    assert [name for name in names if name in stages] == stages
    assert [layer.depth for layer in found] == list(range(len(found)))
    by_name = {layer.name: layer for layer in found}
    assert by_name["decoder3"].shape == (96, 14, 20)
    assert by_name["context"].shape == (128, 7, 10)
    assert by_name["head"] == Layer("head", "Conv2d", (11, 56, 80), 16 * 11 + 11, by_name["head"].depth)
    assert by_name["encoder3"].parameters == by_name["encoder3.conv"].parameters > 0
    assert not any(layer.kind == "Identity" for layer in found)
    assert streets.layers(scene) is found
    values = streets.activations(scene, "decoder3")
    assert values.shape == (96, 14, 20)
    assert values.dtype == np.float32


def test_only_layers_that_give_one_map_are_listed():
    found = segmenter_of(seeded(Odd)).layers(picture(8, 10))
    assert [layer.name for layer in found] == ["first", "head"]


def test_the_default_layer_is_the_last_wide_one_before_the_logits(streets, scene):
    assert choose(streets, scene) == "decoder3"
    assert choose(segmenter_of(Linear()), picture(8, 10)) == "act"  # none is wide: the last of the widest
    assert choose(streets, scene, "stem") == "stem"
    with pytest.raises(perturb.SettingError, match="no layer with feature maps before its logits"):
        choose(segmenter_of(nn.Sequential(nn.Conv2d(3, 3, 1))), picture(4, 4))


# --- The tail ---


@pytest.mark.parametrize(
    "layer", ["stem", "encoder1.0.conv", "encoder1.1.first", "encoder2", "context", "decoder3", "head"]
)
def test_the_tail_of_streets_unet_gives_what_whole_passes_give(streets, scene, layer):
    channels = [0, 3, 10]
    tail, got = tailed(streets, scene, layer, channels)
    assert tail.note == ""
    expected = dense(streets, scene, layer, channels)
    assert float((expected - tail.clean).abs().max()) > 0.1, "ablation should change something"
    assert_allclose(got, expected, atol=1e-4 * float(tail.clean.max() - tail.clean.min()))


@pytest.mark.parametrize("builder", BUILDERS)
def test_the_tail_of_torchvision_networks_gives_what_whole_passes_give(builder):
    options = {} if builder.startswith("lraspp") else {"aux_loss": False}
    torch.manual_seed(0)
    net = getattr(segmentation, builder)(weights=None, weights_backbone=None, num_classes=3, **options)
    settle(net)
    segmenter = segmenter_of(Out(net), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    image = picture(64, 96)
    names = [layer.name for layer in segmenter.layers(image)]
    backbone = [name for name in names if name.count(".") == 2 and name.startswith("net.backbone")]
    for layer in (backbone[2], backbone[-1], choose(segmenter, image)):
        channels = [0, 7]
        tail, got = tailed(segmenter, image, layer, channels)
        assert tail.note == ""
        expected = dense(segmenter, image, layer, channels)
        reach = float(tail.clean.max() - tail.clean.min())
        assert float((expected - tail.clean).abs().max()) > 1e-3 * reach, "ablation should change something"
        assert_allclose(got, expected, atol=1e-4 * reach, err_msg=layer)
    result = explained(image, segmenter, layer=layer)
    assert result.facts["layer"] == layer
    assert_allclose(result.readings.score[channels], expected[:, 0].mean((1, 2)), atol=1e-4 * reach)
    assert result.heatmap.shape == (64, 96)
    assert result.heatmap.min() < result.heatmap.max()
    assert hook_count(segmenter) == 0


def test_what_comes_before_the_layer_is_not_run_again(streets, scene):
    calls = {"encoder1.0.conv": 0, "decoder3.mix.conv": 0, "decoder2.mix.conv": 0}
    handles = []
    for name in calls:

        def count(_, given, output, name=name):  # noqa: ARG001 — torch's signature
            calls[name] += len(output)

        handles.append(dict(streets.module.named_modules())[name].register_forward_hook(count))
    try:
        tail = streets.downstream(scene, "decoder3")
        before = dict(calls)
        assert before["encoder1.0.conv"] == 2, "once in the whole network, to compare with, and once for the tail"
        for _ in range(5):
            tail(tail.activation.repeat(3, 1, 1, 1))
    finally:
        for handle in handles:
            handle.remove()
    assert calls["encoder1.0.conv"] == before["encoder1.0.conv"]
    assert calls["decoder3.mix.conv"] == before["decoder3.mix.conv"]
    assert calls["decoder2.mix.conv"] == before["decoder2.mix.conv"] + 15


@pytest.mark.parametrize("ablation", ["full", "foreground"])
def test_an_explanation_runs_what_comes_before_the_layer_as_often_for_many_channels_as_for_few(ablation):
    module = Linear()
    segmenter, image = segmenter_of(module), picture(12, 16)
    segmenter.layers(image)  # looked at once a segmenter
    passes = {"body": 0, "head": 0}
    handles = []
    for name in passes:

        def count(_, given, output, name=name):  # noqa: ARG001 — torch's signature
            passes[name] += len(output)

        handles.append(getattr(module, name).register_forward_hook(count))
    try:
        result = explained(image, segmenter, region="box:2,2,9,8", ablation=ablation, layer="act")
    finally:
        for handle in handles:
            handle.remove()
    live = len(result.readings) - result.facts["silent_channels"]
    assert passes["head"] == passes["body"] + 1 + live, "one more, to see that the tail gives the clean logits"
    assert passes["body"] == 3, "the clean reading, the layer's activation and the tail's own beginning"
    assert result.forwards == 1 + len(result.readings)


def test_a_network_whose_answer_never_changes_gives_a_zero_map_and_says_so():
    module = Linear()
    with torch.no_grad():
        module.head.weight.zero_()
    result = explained(picture(12, 16), segmenter_of(module))
    assert_array_equal(result.heatmap, 0)
    assert_array_equal(result.readings.lost + result.readings.gained, 0)
    assert "constant" in result.notes[-1]


def test_operations_in_place_do_not_spoil_what_is_kept():
    segmenter, image = segmenter_of(seeded(InPlace)), picture(6, 7)
    tail = segmenter.downstream(image, "layer")
    assert tail.note == ""
    for _ in range(2):
        for channels in ([1], [1, 2]):
            changed = tail.activation.repeat(len(channels), 1, 1, 1)
            changed[torch.arange(len(channels)), channels] = 0
            assert_allclose(tail(changed), dense(segmenter, image, "layer", channels), atol=1e-5)


def test_a_network_that_cannot_be_traced_is_run_whole_and_says_so():
    segmenter, image = segmenter_of(seeded(Odd), mean=(0.4,) * 3), picture(8, 10)
    tail, got = tailed(segmenter, image, "first", [0, 2])
    assert "could not be split at layer 'first' (tracing it fails" in tail.note
    assert_allclose(got, dense(segmenter, image, "first", [0, 2]), atol=1e-6)
    result = explained(image, segmenter, layer="first")
    assert tail.note in result.notes
    assert hook_count(segmenter) == 0


def test_a_trace_that_does_not_hold_is_not_trusted():
    class Scaled(perturb.TorchSegmenter):
        def logits(self, batch):
            return super().logits(batch) * 2

    segmenter, image = Scaled(seeded(InPlace), classes=CLASSES), picture(6, 7)
    tail, got = tailed(segmenter, image, "layer", [1])
    assert "logits that differ by" in tail.note
    assert_allclose(got, dense(segmenter, image, "layer", [1]), atol=1e-6)


def test_a_block_that_hands_its_input_on_is_replaced_alone():
    segmenter, image = segmenter_of(seeded(Handed)), picture(6, 7)
    tail, got = tailed(segmenter, image, "block", [1])
    assert "its trace has no value of that name" in tail.note
    assert_allclose(got, dense(segmenter, image, "block", [1]), atol=1e-6)


def test_tracing_leaves_other_threads_alone(streets, scene):
    batch = torch.from_numpy(scene.pixels.transpose(2, 0, 1).copy())[None]
    with torch.no_grad():
        expected = streets(batch)
    stop, wrong = threading.Event(), []

    def others():
        while not stop.is_set():
            try:
                with torch.no_grad():
                    if not torch.equal(streets(batch), expected):
                        wrong.append("another answer")
            except Exception as error:
                wrong.append(error)

    thread = threading.Thread(target=others)
    thread.start()
    try:
        for _ in range(5):
            assert streets.downstream(scene, "decoder1").note == ""
    finally:
        stop.set()
        thread.join()
    assert not wrong


# --- The method ---


def test_a_linear_head_gives_back_its_weights():
    module, image = Linear(), picture(12, 16)
    result = explained(image, segmenter_of(module))
    A = result.segmenter.activations(image, "act").astype(np.float64)
    head = module.head.weight[0, :, 0, 0].detach().numpy().astype(np.float64)
    drop = result.clean.score[0] - result.readings.score
    assert_allclose(drop[:5] / A.mean((1, 2))[:5], head[:5], atol=1e-5)
    worth, plain = weights(result.clean, result.readings)
    assert not plain
    assert_allclose(worth, head * A.mean((1, 2)) / abs(result.clean.score[0]), atol=1e-6)
    total = np.einsum("k,kyx->yx", worth, A)
    for name, cells in (("score", total), ("positive", np.maximum(total, 0))):
        stretched = interpolate(torch.from_numpy(cells)[None, None], (12, 16), mode="bilinear")[0, 0]
        assert_allclose(result.maps[name], stretched, atol=1e-5)
        assert result.maps[name].dtype == np.float32
    assert_array_equal(result.heatmap, result.maps["score"])
    assert result.heatmap.min() < 0 < result.heatmap.max(), "the sign is kept"
    assert result.maps["positive"].min() == 0
    assert_array_equal(activation(result, 2), result.segmenter.activations(image, "act")[2])
    with pytest.raises(IndexError, match="no channel 6"):
        activation(result, 6)


@pytest.mark.parametrize("score", ["logit", "probability", "iou"])
def test_readings_and_maps_are_those_of_whole_passes(streets, scene, score):
    result = explained(scene, streets, "car", region="class", score=score, layer="decoder1")
    logits = dense(streets, scene, "decoder1", range(16))
    reader = Reader(result.frozen, torch.device("cpu"))
    expected = reader.read(logits, torch.zeros(16, *scene.pixels.shape[:2], dtype=torch.bool))
    assert_allclose(result.readings.score, expected.score, atol=1e-4 * max(1, np.ptp(expected.score)))
    assert_allclose(result.readings.iou, expected.iou, atol=1e-3)
    assert_allclose(result.readings.lost, expected.lost, atol=2)
    assert_allclose(result.readings.gained, expected.gained, atol=2)
    assert result.readings.lost.max() > 0
    assert_array_equal(result.readings.hidden, 0)
    worth = (result.clean.score[0] - expected.score) / abs(result.clean.score[0])
    cells = torch.from_numpy(np.einsum("k,kyx->yx", worth, streets.activations(scene, "decoder1")))
    stretched = interpolate(cells[None, None], (112, 160), mode="bilinear")[0, 0, :105, :145].numpy()
    assert_allclose(result.heatmap, stretched, atol=1e-4 * np.ptp(stretched))
    assert result.facts["layer"] == "decoder1"
    assert result.facts["channels"] == 16


def test_strength_goes_from_nothing_to_everything(streets, scene):
    def run(**settings):
        return explained(scene, streets, "car", layer="decoder1", **settings)

    full, all_of_it = run(), run(ablation="strength", strength=1)
    assert_allclose(all_of_it.readings.score, full.readings.score, atol=1e-5)
    nothing = run(ablation="strength", strength=0)
    assert_array_equal(weights(nothing.clean, nothing.readings)[0], 0)
    assert_array_equal(nothing.heatmap, 0)
    assert "constant" in nothing.notes[-1]
    half = run(ablation="strength", strength=0.5)
    expected = dense(streets, scene, "decoder1", [4], factor=0.5)
    reader = Reader(half.frozen, torch.device("cpu"))
    one = reader.read(expected, torch.zeros(1, *scene.pixels.shape[:2], dtype=torch.bool))
    assert_allclose(half.readings.score[4], one.score[0], atol=1e-4)


def test_foreground_and_background_add_up_on_a_linear_head():
    module, image = Linear(), picture(12, 16)
    segmenter = segmenter_of(module)

    def drops(ablation, region):
        result = explained(image, segmenter, region=region, ablation=ablation)
        return result.clean.score[0] - result.readings.score

    for region in ("box:2,2,9,8", "pixel:5,5"):
        parts = [drops(ablation, region) for ablation in ("foreground", "background")]
        assert_allclose(sum(parts), drops("full", region), atol=1e-5)
    # The score reads the box's own cells alone, so what happens outside them cannot matter.
    assert_allclose(drops("background", "box:2,2,8,8"), 0, atol=1e-6)
    assert_allclose(drops("foreground", "box:2,2,8,8"), drops("full", "box:2,2,8,8"), atol=1e-6)


def test_cells_belong_to_a_region_by_their_larger_part():
    plain, padding = segmenter_of(Linear()), segmenter_of(Linear(), pads_to=8)
    region = np.zeros((8, 8), dtype=bool)
    region[:4, :5] = True
    assert_array_equal(inside(plain, region, 2, 2), [[True, False], [False, False]])
    region[:] = False
    region[6, 1] = True
    assert_array_equal(inside(plain, region, 2, 2), [[False, False], [True, False]])
    for segmenter in (plain, padding):
        assert inside(segmenter, np.ones((5, 7), dtype=bool), 8, 16).all()
    region = np.zeros((6, 6), dtype=bool)
    region[:3] = True
    assert_array_equal(inside(plain, region, 2, 1), [[True], [False]])
    assert_array_equal(inside(padding, region, 4, 1), [[True], [False], [False], [False]])


def test_a_padded_picture_gives_the_map_of_the_picture(streets, scene):
    """Cells cover the padded input: the padding is cropped from the map rather than squeezed into it."""
    target = {"target": "road", "region": "box:20,60,90,100", "layer": "decoder1.mix"}
    padded = np.pad(scene.pixels, ((0, 7), (0, 15), (0, 0)), mode="edge")
    for ablation in ("full", "foreground", "background"):
        small = explained(scene, streets, **target, ablation=ablation)
        large = explained(
            perturb.images.image.image_from_pixels(padded, name="padded"), streets, **target, ablation=ablation
        )
        assert_allclose(small.heatmap, large.heatmap[:105, :145], atol=1e-4 * np.ptp(small.heatmap))
    cells = torch.arange(12.0).reshape(2, 6)
    assert_array_equal(stretch(segmenter_of(Linear()), cells, 2, 6), cells)


def test_a_region_smaller_than_a_cell_is_said():
    result = explained(picture(64, 96), segmenter_of(Linear()), region="pixel:5,5", ablation="foreground")
    assert "smaller than the cells of layer 'act'" in result.notes[0]


def test_a_score_near_zero_is_not_divided_by():
    module, image = Linear(), picture(12, 16)
    with torch.no_grad():
        clean = explained(image, segmenter_of(module)).clean.score[0]
        module.head.bias[0] -= clean
    result = explained(image, segmenter_of(module))
    assert abs(result.clean.score[0]) < 1e-4
    worth, plain = weights(result.clean, result.readings)
    assert plain
    assert_array_equal(worth, result.clean.score[0] - result.readings.score)
    assert "near zero" in result.notes[0]
    assert np.isfinite(result.heatmap).all()


def test_channels_that_are_zero_all_over_are_read_without_a_run():
    segmenter, done = segmenter_of(Linear()), []
    result = explained(picture(12, 16), segmenter, batch=1, progress=done.append)
    assert result.facts["silent_channels"] == 1
    assert_allclose(done, [0.2, 0.4, 0.6, 0.8, 1.0])
    assert result.readings.score[5] == result.clean.score[0]
    assert len(result.readings) == 6


def test_the_batch_does_not_matter(streets, scene):
    one, many = (explained(scene, streets, "car", layer="context.3", batch=batch) for batch in (1, 7))
    assert_allclose(one.readings.score, many.readings.score, atol=1e-5)
    assert_allclose(one.heatmap, many.heatmap, atol=1e-4 * np.ptp(one.heatmap))


def test_the_cost_is_known_before(streets, scene):
    result = explained(scene, streets, "car", layer="decoder1")
    assert AblationCam().forwards(Request(scene, streets, result.frozen, result.settings)) == 16 == len(result.readings)
    default = {**result.settings, "layer": ""}
    assert AblationCam().forwards(Request(scene, streets, result.frozen, default)) == 96


def test_curves_probe_and_export_know_what_to_do(tmp_path):
    result = explained(picture(12, 16), segmenter_of(Linear()), ablation="strength", strength=0.25)
    assert perturb.curves(result, steps=4, draws=1).deletion.fraction[-1] == 1
    folder = perturb.save(result, tmp_path / "out")
    assert (folder / "positive.npy").exists()
    assert 'ablation="strength"' in (folder / "reproduce.py").read_text()
    with pytest.raises(perturb.SettingError, match="Seg-Ablation-CAM hides no pixels"):
        perturb.probe(result, 0)
    with pytest.raises(perturb.SettingError, match="The method 'ablation-cam' uses no fill"):
        perturb.curves(result, fill=None)


class Cancel(BaseException):
    pass


@pytest.mark.parametrize("module", [Linear, Odd], ids=["split", "whole"])
@pytest.mark.parametrize("error", [Cancel, ValueError])
def test_hooks_are_gone_and_modes_kept_after_an_error(module, error):
    segmenter, image = segmenter_of(seeded(module)), picture(12, 16)
    layer = "first" if module is Odd else "act"
    modes = [part.training for part in segmenter.module.modules()]

    def stop(*_):
        raise error

    with pytest.raises(error):
        explained(image, segmenter, layer=layer, batch=1, progress=stop)
    assert hook_count(segmenter) == 0
    assert [part.training for part in segmenter.module.modules()] == modes
    assert nn.Module.__call__.__qualname__ == "Module._wrapped_call_impl"  # nothing of the tracing is left

    # And when the network itself breaks off, while hooks are in place.
    handle = segmenter.module.head.register_forward_pre_hook(stop)
    for run in (lambda: segmenter.layers(picture(14, 16)), lambda: segmenter.downstream(image, layer)):
        with pytest.raises(error if error is Cancel else perturb.SegmenterError):
            run()
        assert hook_count(segmenter) == 0
    handle.remove()


# --- Mistakes ---


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"layer": "fist"}, "has no layer 'fist'; expected one of its 6 layers.*Did you mean 'first'"),
        ({"layer": "a layer"}, "'layer' must be the name of a layer: got 'a layer'"),
        ({"layer": 3}, "'layer' must be the name of a layer: got '3'"),
        ({"layer": "twice"}, "'twice' is used 2 times in one pass, expected once"),
        ({"layer": "unused"}, "'unused' is not used in one pass, expected once"),
        ({"layer": "pair"}, r"'pair' gives no map: got a tuple, expected floats \(1, C, h, w\)"),
        ({"layer": "pool"}, r"'pool' gives no map: got \(1, 4, 1, 1\)"),
        ({"ablation": "half"}, "no ablation 'half'; expected one of full, strength, foreground, background"),
        ({"strength": 1.5}, "'strength' must be a number from 0 to 1: got '1.5'"),
        ({"strength": -0.1}, "'strength' must be a number from 0 to 1"),
        ({"strength": float("nan")}, "'strength' must be a number from 0 to 1"),
        ({"layer": "first", "ablation": "background"}, "covers all 8 × 10 cells of layer 'first'"),
    ],
)
def test_nonsense_is_answered_in_one_sentence(settings, words):
    with pytest.raises(perturb.SettingError, match=words) as caught:
        explained(picture(8, 10), segmenter_of(seeded(Odd)), **settings)
    assert "\n" not in str(caught.value)


def test_a_segmenter_without_layers_is_answered_in_words():
    with pytest.raises(perturb.SegmenterError, match="'constant' is no torch network.*expected a `TorchSegmenter`"):
        explained(picture(8, 10), Constant())
    with pytest.raises(perturb.TargetError, match="No pixel of this image is predicted as 'bicyclist'"):
        explained(
            perturb.images.image.image_from_pixels(np.full((32, 48, 3), 0.5, np.float32), name="grey"),
            perturb.load_segmenter("streets-unet"),
            "bicyclist",
            region="class",
        )


def test_settings_have_their_defaults():
    checked = check_settings(AblationCam.settings, {}, "ablation-cam")
    assert checked["layer"] == ""
    assert checked["ablation"] == "full"
