"""Estimates of the cost of a run, and the advice for heavy networks."""

import re
import time

import numpy as np
import pytest
import torch

import perturb
from pages.parts.app import shell
from perturb.cli.main import main
from perturb.core.files import png
from perturb.experiments.estimates import HEAVY, Estimate, duration, estimate, remedies, timed_pass
from perturb.lab.limits import host_limits
from tests import onnx_files as files
from tests.analytic import DarkIsObject, picture
from tests.pages.test_pages import visit, words


class Slow(DarkIsObject):
    """Takes a stated time for each image, and counts them."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.seen = seconds, 0

    def logits(self, batch):
        self.seen += len(batch)
        time.sleep(self.seconds * len(batch))
        return super().logits(batch)


@pytest.mark.parametrize(("seconds", "passes"), [(0.05, 2), (HEAVY + 0.1, 1)])
def test_one_pass_is_timed_and_a_heavy_one_not_twice(seconds, passes):
    slow = Slow(seconds)
    logits, took = timed_pass(picture(16, 20), slow)
    assert logits.shape == (2, 16, 20)
    assert seconds <= took < seconds + 2
    assert slow.seen == passes


def test_the_estimate_is_what_the_run_then_takes():
    slow, image, target = Slow(0.02), picture(40, 52), perturb.Target("object", region="all")
    expected = estimate(image, slow, target, "occlusion", {"size": 16, "stride": 12})
    before = slow.seen
    began = time.perf_counter()
    result = perturb.explain(image, slow, target, size=16, stride=12, batch=1)
    made = perturb.curves(result)
    took = time.perf_counter() - began
    assert result.forwards == 1 + expected.map_forwards
    assert made.forwards == expected.curve_forwards
    assert abs(slow.seen - before - expected.map_forwards - expected.curve_forwards) <= 3
    assert took == pytest.approx(expected.seconds, rel=1)


@pytest.mark.parametrize(
    ("target", "method", "settings", "error"),
    [
        ("unicorn", "occlusion", {}, perturb.TargetError),
        ("object", "magic", {}, perturb.SettingError),
        ("object", "occlusion", {"stride": 0}, perturb.SettingError),
        ("object", "saliency", {}, perturb.SegmenterError),
    ],
)
def test_what_cannot_run_is_refused_as_the_run_would(target, method, settings, error):
    with pytest.raises(error) as told:
        estimate(picture(40, 52), DarkIsObject(), perturb.Target(target), method, settings)
    with pytest.raises(error, match=re.escape(str(told.value))):
        perturb.explain(picture(40, 52), DarkIsObject(), perturb.Target(target), method=method, **settings)


def test_the_advice_belongs_to_the_method_and_the_network():
    free = perturb.load_onnx(files.save(files.pixelwise()), scale="unit")
    fixed = perturb.load_onnx(files.save(files.pixelwise(size=(16, 24))), scale="unit")
    assert remedies("occlusion", free) == "a larger stride or a smaller image"
    assert remedies("occlusion", fixed) == "a larger stride or a smaller image"
    assert remedies("rise", free) == "fewer masks or a smaller image"
    assert remedies("rise", fixed) == "fewer masks"
    assert remedies("lime", free) == "fewer samples or a smaller image"
    assert remedies("feature-ablation", fixed) == "fewer segments"
    assert remedies("integrated-gradients", free) == "fewer steps or a smaller image"
    assert remedies("saliency", fixed) == "a lighter network"
    assert [duration(seconds) for seconds in (0.2, 40, 200, 90_000)] == ["1 s", "40 s", "3 min", "25.0 h"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "1 s"),
        (1.49, "1 s"),
        (1.5, "2 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (60 * 7, "7 min"),
        (60 * 89, "89 min"),
        (3600 * 1.5, "1.5 h"),
        (3600 * 2, "2.0 h"),
        (3600 * 49, "49.0 h"),
    ],
)
def test_a_duration_is_in_the_unit_it_names(seconds, words):
    assert duration(seconds) == words


def test_a_run_is_said_in_one_line():
    image, free = picture(16, 20), perturb.load_onnx(files.save(files.pixelwise()), scale="unit")
    assert Estimate(0.5, 118, 97).seconds == 0.5 * 215
    line = Estimate(0.01234, 1180, 0).words("rise", free)
    assert line == "one pass took 0.012 s; 1,180 for the map take about 15 s"
    line = Estimate(HEAVY, 1180, 2000).words("rise", free)
    assert line == "one pass took 3 s; 1,180 for the map and 2,000 for its curves take about 2.6 h"
    line = Estimate(9.96, 1, 0).words("rise", DarkIsObject())
    assert line.startswith("one pass took 10 s; 1 for the map take about 10 s; to shorten it: fewer masks or")
    assert Estimate(12.5, 1, 0).words("rise", free).startswith("one pass took 12 s;")
    module = perturb.TorchSegmenter(torch.nn.Conv2d(3, 2, 1), classes=["a", "b"])
    assert Estimate(1.0, 60, 0).words("rise", module) == "one pass took 1 s; 60 for the map take at most about 60 s"
    target = perturb.Target("object", region="all")
    without = estimate(image, DarkIsObject(), target, "occlusion", {"size": 8, "stride": 4}, curves=False)
    assert (without.map_forwards, without.curve_forwards) == (3 * 4, 0)


def test_the_passes_of_a_layer_are_those_of_its_channels():
    """One pass for each of seven channels, and the clean one that every run takes."""
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 7, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(7, 2, 1))
    segmenter = perturb.TorchSegmenter(module.eval(), classes=["a", "b"])
    target, image = perturb.Target("a", region="all"), picture(8, 10)
    expected = estimate(image, segmenter, target, "ablation-cam", {"layer": "1"})
    result = perturb.explain(image, segmenter, target, method="ablation-cam", layer="1")
    assert expected.map_forwards == result.forwards - 1
    assert expected.map_forwards >= 7


def test_a_page_says_it_and_starts_nothing_by_itself(monkeypatch):
    monkeypatch.setenv("LAB_RUN_SECONDS", "0")  # a hosted lab would not let it start at all
    host_limits.cache_clear()
    slow = Slow(HEAVY + 0.1)
    perturb.register("slow", lambda device: slow)
    try:
        app = visit("occlusion", segmenter="slow", sample="quiet-street", occ_size="240", occ_stride="240")
        assert not app.exception
        assert slow.seen == 1, "the clean segmentation"
        assert "Nothing has been run on this page yet." in words(app)
        advice = [info.value for info in app.info if "A pass of **dark** took 3." in info.value]
        assert len(advice) == 1
        assert "this run takes about 5 min. It starts when you press Run." in advice[0]
        assert advice[0].endswith("To shorten it: a larger stride or a smaller image.")
    finally:
        del perturb.SEGMENTERS["slow"]
        shell.load.clear()


def test_the_command_line_says_it_before_the_work(tmp_path, capsys):
    slow = Slow(HEAVY + 0.1)
    image = tmp_path / "image.png"
    image.write_bytes(png((np.arange(32 * 32 * 3) % 7 * 30).reshape(32, 32, 3).astype(np.uint8)))
    perturb.register("slow", lambda device: slow)
    try:
        words = [
            "explain",
            str(image),
            "--segmenter",
            "slow",
            "--target",
            "object",
            "--region",
            "all",
            "--set",
            "size=16",
        ]

        class EnoughError(Exception):
            pass

        def stop(batch):
            if slow.seen >= 2:
                raise EnoughError
            return Slow.logits(slow, batch)

        slow.logits = stop
        with pytest.raises(EnoughError):
            main([*words, "--set", "stride=16", "--out", str(tmp_path / "out")])
    finally:
        del perturb.SEGMENTERS["slow"]
    told = capsys.readouterr().err
    assert re.search(r"^one pass took 3\.\d s; 4 for the map and 97 for its curves take about [56] min;", told)
    assert "to shorten it: a larger stride or a smaller image" in told
