"""A network that changes between two runs, and every way in which it can be run: always the numbers of whole passes."""

import json
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

import perturb
import perturb.export
from perturb.core.settings import check_settings
from perturb.engine import runner
from perturb.images.image import image_from_pixels
from perturb.methods.occlusion import Occlusion, windows
from perturb.segmenters.torch_module import TorchSegmenter
from tests.analytic import DarkIsObject, picture

CLASSES = ["a", "b", "c"]


class Changeable(nn.Module):
    """All that decides what a network computes and that its weights do not show."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 1, 1)
        self.norm = nn.BatchNorm2d(8)
        self.act = nn.ReLU()
        self.second = nn.Conv2d(8, 8, 3, 1, 1)
        self.head = nn.Conv2d(8, 3, 1)
        self.limit = nn.Hardtanh(-1e3, 1e3)
        self.gain, self.skip = 1.0, False
        self.loose = torch.ones(1, 8, 1, 1)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        x = self.act(self.norm(self.first(x)))
        y = self.second(x) * self.gain * self.loose
        y = y + x if self.skip else y
        return self.head(self.limit(y))


def dim():
    return image_from_pixels(0.3 * picture(20, 24).pixels, name="dim")


def network():
    torch.manual_seed(5)
    module = Changeable()
    module.norm.running_var.uniform_(0.001, 0.01)
    return perturb.TorchSegmenter(module, classes=CLASSES)


def activation(segmenter):
    """The same weights in a new segmenter, with another activation."""
    segmenter.module.act = nn.Sigmoid()
    return perturb.TorchSegmenter(segmenter.module, classes=CLASSES)


def just_above_what_is_seen(segmenter):
    """A ceiling that the clean image does not reach, and perturbed ones do."""
    segmenter.module.limit.max_val = 1.001 * largest(segmenter)


def largest(segmenter):
    """Of what the limit is given for the clean image."""
    found = []
    with segmenter.module.second.register_forward_hook(lambda *given: found.append(float(given[-1].max()))):
        runner.clean_logits(dim(), segmenter)
    return found[0]


def loose(segmenter):
    segmenter.module.loose = torch.linspace(0.1, 3, 8).view(1, 8, 1, 1)


CHANGES = {
    "gain": lambda segmenter: setattr(segmenter.module, "gain", 3.0),
    "skip": lambda segmenter: setattr(segmenter.module, "skip", True),
    "activation": activation,
    "loose tensor": loose,
    "eps": lambda segmenter: setattr(segmenter.module.norm, "eps", 0.5),
    "forward": lambda segmenter: setattr(segmenter.module, "forward", lambda x: segmenter.module.head(segmenter.module.first(x) ** 2)),
    "dilation": lambda segmenter: (setattr(segmenter.module.second, "dilation", (2, 2)), setattr(segmenter.module.second, "padding", (2, 2))),
    "ceiling": just_above_what_is_seen,
}  # fmt: skip


def changed(change, segmenter):
    """The same segmenter with its module changed in place, or a new one of that module."""
    made = CHANGES[change](segmenter)
    return made if isinstance(made, perturb.TorchSegmenter) else segmenter


EXPLAINED = {
    "map": {"size": 6, "stride": 3, "fill": "white"},
    "channels": {"method": "ablation-cam", "layer": "first"},
}


def readings_of(result):
    return np.stack([result.readings.score, result.readings.lost, result.readings.gained, result.readings.iou])


@pytest.fixture(autouse=True)
def always_incremental(monkeypatch):
    """These networks are so small that whole passes would be chosen for their cost."""
    monkeypatch.setattr("perturb.engine.incremental.passes.dearer", lambda *_: "")


@pytest.mark.parametrize("seen", ["by the marks", "by the clean pass alone"])
@pytest.mark.parametrize("asked", EXPLAINED)
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_network_gives_the_numbers_of_whole_passes(change, asked, seen, monkeypatch):
    if seen == "by the clean pass alone":
        if change == "ceiling":
            pytest.skip("the clean image does not show it; the marks do")
        monkeypatch.setattr(TorchSegmenter, "marks", lambda _: ("always the same",))
    segmenter, target = network(), perturb.Target("a", region="all", score="logit")
    before = perturb.explain(dim(), segmenter, target, **EXPLAINED[asked])
    assert before.execution.passes == "incremental"
    segmenter = changed(change, segmenter)
    got = perturb.explain(dim(), segmenter, target, **EXPLAINED[asked])
    expected = perturb.explain(dim(), segmenter, target, plain=True, **EXPLAINED[asked])
    span = float(np.ptp(expected.readings.score))
    assert_allclose(got.readings.score, expected.readings.score, atol=1e-4 * span)
    assert_allclose(got.readings.iou, expected.readings.iou, atol=0.01)
    assert_allclose(got.heatmap, expected.heatmap, atol=1e-4 * float(np.ptp(expected.heatmap)))
    change_of_scores = np.abs(before.readings.score - expected.readings.score).max()
    assert change_of_scores > (2e-4 if change == "ceiling" else 0.01) * span
    if seen == "by the clean pass alone":
        assert got.execution.stale
        assert got.execution.passes == ("whole" if asked == "map" or change == "forward" else "downstream")
        assert any("gave other clean logits than the network itself" in note for note in got.notes)
    else:
        # A replaced forward method cannot be traced.
        assert (got.execution.passes == "incremental") == (change != "forward")
    if asked == "map":
        with monkeypatch.context() as patch:
            patch.setattr(runner, "route", partial(runner.route, mode="whole"))
            whole = perturb.curves(expected, steps=10)
        assert whole.execution.passes == "whole"
        for (_, one), (_, other) in zip(whole.items(), perturb.curves(got, steps=10).items(), strict=True):
            assert_allclose(one.score, other.score, atol=2e-3)  # equal values of the two maps may be ordered otherwise


@pytest.mark.parametrize("change", CHANGES)
def test_the_digest_tells_networks_apart_that_have_the_same_weights(change):
    segmenter, image = network(), picture(20, 24)
    before = segmenter.digest
    assert network().digest == before
    target = perturb.Target("a", region="all")
    assert perturb.explain(image, segmenter, target, size=6, stride=6).segmenter.digest == before
    assert segmenter.module.calls > 3  # a counter is no part of what is computed
    segmenter = changed(change, segmenter)
    if change != "activation":
        assert segmenter.digest == before
    perturb.explain(image, segmenter, target, size=6, stride=6)
    assert segmenter.digest != before
    assert perturb.TorchSegmenter(segmenter.module, classes=CLASSES).digest == segmenter.digest


def test_the_digest_is_the_same_in_another_process():
    code = "from tests.engine.test_execution import network; print(network().digest)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()[-1]
    assert other == network().digest


def test_the_normalization_belongs_to_the_digest():
    module = network().module
    digests = {
        perturb.TorchSegmenter(module, classes=CLASSES, mean=mean).digest for mean in (None, (0, 0, 0), (0.5, 0.5, 0.5))
    }
    assert len(digests) == 3


class Control(nn.Module):
    """Cannot be traced: what it does depends on values."""

    def __init__(self, factor: float = 2.0) -> None:
        super().__init__()
        self.conv, self.factor = nn.Conv2d(3, 3, 1), factor

    def forward(self, x):
        return self.conv(x) * (self.factor if x.mean() > 2 else 1)


def test_the_digest_of_what_cannot_be_traced_tells_attributes_and_code_apart():
    def digest(kind, *given):
        torch.manual_seed(0)
        return perturb.TorchSegmenter(kind(*given), classes=CLASSES).digest

    class Other(Control):
        def forward(self, x):
            return self.conv(x) + (self.factor if x.mean() > 2 else 1)

    found = [digest(Control), digest(Control), digest(Control, 3.0), digest(Other)]
    assert found[0] == found[1]
    assert len(set(found)) == 3


class Grouped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, 1, 1), nn.GroupNorm(1, 3)

    def forward(self, x):
        return self.norm(self.conv(x))


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: perturb.TorchSegmenter(Grouped(), classes=CLASSES), "GroupNorm is not among the operations"),
        (lambda: perturb.TorchSegmenter(Control(), classes=CLASSES), "the network cannot be traced"),
        (DarkIsObject, "only the operations of torch modules can be read, and this is DarkIsObject"),
    ],
)
def test_a_result_says_why_whole_passes_were_taken(made, reason):
    segmenter = made()
    target = perturb.Target(segmenter.classes[0], region="all")
    result = perturb.explain(picture(20, 24), segmenter, target, size=6, stride=6)
    assert result.execution.passes == "whole"
    assert reason in result.execution.reason
    assert result.as_dict()["execution"] == {"passes": "whole", "reason": result.execution.reason}
    assert not result.notes


def test_what_was_asked_for_or_needs_no_reason_is_said_too():
    image, target = picture(20, 24), perturb.Target("a", region="all")
    result = perturb.explain(image, network(), target, size=6, stride=6, plain=True)
    assert result.execution.sentence == "Whole passes of the network were run, because whole passes were asked for."
    result = perturb.explain(image, network(), target, method="saliency")
    assert result.execution.sentence.endswith("because a gradient takes all of the network.")
    result = perturb.explain(image, network(), target, size=6, stride=6)
    assert result.as_dict()["execution"] == {"passes": "incremental", "reason": ""}


@pytest.mark.parametrize(
    ("asked", "passes"), [({"size": 24, "stride": 24}, "whole"), ({"size": 24, "stride": 4}, "incremental")]
)
def test_few_passes_of_a_small_network_are_not_worth_preparing_for(asked, passes, monkeypatch):
    monkeypatch.undo()
    image = perturb.sample("quiet-street")
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 3, 3, 1, 1)
    segmenter = perturb.TorchSegmenter(nn.Sequential(conv), classes=CLASSES)
    masks = windows(image, check_settings(perturb.METHODS["occlusion"].settings, asked, "occlusion"))
    labels = runner.clean_logits(image, segmenter).argmax(0).numpy()
    frozen = perturb.Target("a", region="all").freeze(image, labels, segmenter.classes)
    found = runner.route(image, masks, segmenter, frozen).execution
    assert found.passes == passes
    assert ("expected to cost less" in found.reason) == (passes == "whole")


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("asked", [{"size": 9, "stride": 3}, {"method": "rise", "masks": 60}])
def test_identical_calls_give_identical_bytes(asked, plain):
    image, segmenter, target = picture(60, 72), network(), perturb.Target("a", region="all")
    results = [perturb.explain(image, segmenter, target, plain=plain, **asked) for _ in range(4)]
    for other in results[1:]:
        assert_array_equal(results[0].heatmap, other.heatmap)
        assert_array_equal(readings_of(results[0]), readings_of(other))


@pytest.mark.parametrize("asked", EXPLAINED)
def test_the_clean_image_is_run_once(asked, monkeypatch):
    segmenter, target, images = network(), perturb.Target("a", region="all"), []
    perturb.explain(dim(), segmenter, target, **EXPLAINED[asked])  # reads off the operations
    whole = TorchSegmenter.logits
    monkeypatch.setattr(TorchSegmenter, "logits", lambda self, batch: images.append(len(batch)) or whole(self, batch))
    assert perturb.explain(dim(), segmenter, target, **EXPLAINED[asked]).execution.passes == "incremental"
    assert images == [1], "everything else is incremental"


@pytest.mark.parametrize("asked", [{}, {"plain": True}, {"precision": "bfloat16"}])
def test_a_method_is_given_the_very_segmenter_in_every_mode(asked, monkeypatch):
    given = []

    class Spy(Occlusion):
        def run(self, request):
            given.append(request)
            return super().run(request)

    monkeypatch.setitem(perturb.METHODS, "occlusion", Spy())
    segmenter = network()
    before = set(vars(segmenter))
    result = perturb.explain(dim(), segmenter, perturb.Target("a", region="all"), size=6, stride=3, **asked)
    assert given[0].segmenter is segmenter is result.segmenter
    assert set(vars(segmenter)) == before
    assert result.execution.passes == ("whole" if asked.get("plain") else "incremental")


def test_a_result_keeps_the_digest_of_the_network_that_made_it(tmp_path):
    segmenter, image, target = network(), picture(20, 24), perturb.Target("a", region="all")
    made = perturb.explain(image, segmenter, target, size=6, stride=6)
    digest = segmenter.digest
    segmenter.module.gain = 3.0
    for now in (False, True):
        if now:
            perturb.explain(image, segmenter, target, size=6, stride=6)  # takes note of the change
        perturb.save(made, tmp_path / str(now))
        record = json.loads((tmp_path / str(now) / "result.json").read_text())
        assert record["segmenter"]["digest"] == made.segmenter_digest == digest
        assert f'segmenter.digest == "{digest}"' in (tmp_path / str(now) / "reproduce.py").read_text()
        for ask in (
            perturb.curves,
            perturb.reseed,
            perturb.randomise,
            lambda one: perturb.compare([one]),
            lambda one: perturb.probe(one, 0),
        ):
            with pytest.raises(perturb.SegmenterError, match="has changed since this map was computed"):
                ask(made)
    segmenter.module.gain = 1.0
    assert perturb.curves(made).forwards == 97


def test_the_written_lines_ask_for_a_network_that_nothing_loads():
    result = perturb.explain(picture(20, 24), network(), perturb.Target("a", region="all"), size=6, stride=6)
    lines = perturb.export.writer.python_lines(result)
    assert 'segmenter = your_segmenter("Changeable")' in lines
    given = lines.replace('perturb.load_image("PATH OF YOUR IMAGE", max_side=24)', "given_image").replace(
        'result, "out"', "result, out"
    )
    again = {"your_segmenter": lambda _: network(), "given_image": picture(20, 24)}
    exec(given.partition("curves =")[0].partition("perturb.save")[0], again)
    assert_array_equal(again["result"].heatmap, result.heatmap)


def test_a_result_is_printed_in_a_line():
    result = perturb.explain(picture(20, 24), network(), perturb.Target("a", region="all"), size=6, stride=6)
    assert len(repr(result)) < 200
    assert "occlusion for 'a' on 'noise' by 'Changeable'" in repr(result)
    assert "deletion_auc" in repr(perturb.curves(result, steps=4))
