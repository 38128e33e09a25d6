"""Settings, fills and methods: what can be said, and what is answered when it is nonsense."""

from types import ModuleType

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import perturb
from perturb.core.settings import Setting, check_settings, shown
from perturb.methods.masked import MaskedMethod
from perturb.perturbations.fills.base import Backdrop
from perturb.perturbations.fills.registry import FILL_SETTINGS, make_fill
from tests.analytic import Constant, dark_square, picture

BIG = picture(48, 64)


def fill(**settings):
    made = make_fill(BIG, check_settings(FILL_SETTINGS, settings, "occlusion"), seed=7)
    assert isinstance(made, Backdrop)
    return made.pixels


def test_flat_fills():
    assert_array_equal(fill(fill="black"), np.zeros((48, 64, 3)))
    assert_array_equal(fill(fill="white"), np.ones((48, 64, 3)))
    assert_array_equal(fill(fill="grey"), np.full((48, 64, 3), 0.5))
    assert_allclose(fill(fill="colour", colour="#FF8000")[5, 5], [1, 128 / 255, 0])
    assert_allclose(fill(fill="mean")[0, 0], BIG.pixels.mean((0, 1)), atol=1e-6)


def test_blur_keeps_the_mean_and_takes_the_detail():
    blurred = fill(fill="blur", sigma=4)
    assert_allclose(blurred.mean(), BIG.pixels.mean(), atol=0.01)
    assert blurred.std() < 0.2 * BIG.pixels.std()
    assert_allclose(fill(fill="blur", sigma=0.5), BIG.pixels, atol=0.5)


def test_noise_is_seeded_and_uniform():
    noise = fill(fill="noise")
    assert_array_equal(noise, fill(fill="noise"))
    assert_allclose(noise.mean(), 0.5, atol=0.02)
    assert_allclose(noise.std(), 12**-0.5, atol=0.02)
    assert noise.min() >= 0
    assert noise.max() <= 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"size": 0}, "'size' must be a whole number from 1 to 1024 px: got '0'"),
        ({"size": "big"}, "got 'big'"),
        ({"size": 3.5}, "whole number"),
        ({"size": True}, "whole number"),
        ({"size": float("nan")}, "whole number"),
        ({"stride": 0}, "'stride' must be a whole number from 1"),
        ({"size": 38}, "window does not fit the image: got 38 × 38 px for an image of 53 × 37 px"),
        ({"size": 8, "stride": 9}, "stride must lie between 1 and the window's size: got 9 px"),
        ({"size": 8, "stride": 8, "shape": "rectangle", "height": 4}, "for a window of 8 × 4 px"),
        ({"fill": "gray"}, "no fill 'gray'; expected one of grey, black.*Did you mean 'grey'"),
        ({"colour": "red"}, "must be a colour: got 'red', expected #rrggbb"),
        ({"sigma": -1}, "'sigma' must be a number from 0.5 to 100 px"),
        ({"shape": "star"}, "no shape 'star'"),
        ({"sise": 8}, "'occlusion' has no setting 'sise'.*Did you mean 'size'"),
    ],
)
def test_nonsense_is_answered_in_words(settings, words):
    with pytest.raises(perturb.SettingError, match=words):
        perturb.explain(dark_square(), Constant(), perturb.Target("thing"), **{"size": 8, "stride": 4, **settings})


def test_unknown_names_are_answered_in_words():
    with pytest.raises(perturb.SettingError, match="no method 'oclusion'; expected one of occlusion"):
        perturb.explain(dark_square(), Constant(), perturb.Target("thing"), method="oclusion")
    with pytest.raises(perturb.SettingError, match="no segmenter 'streets'.*Did you mean 'streets-unet'"):
        perturb.load_segmenter("streets")
    with pytest.raises(perturb.SettingError, match="no sample 'rian'.*Did you mean 'rain'"):
        perturb.sample("rian")


def test_text_from_the_command_line_becomes_values():
    checked = check_settings(perturb.METHODS["occlusion"].settings, {"size": "48", "sigma": "2.5"}, "occlusion")
    assert checked["size"] == 48
    assert checked["sigma"] == 2.5
    assert checked["fill"] == "grey"


def test_settings_that_do_not_matter_are_not_shown():
    settings = perturb.METHODS["occlusion"].settings
    names = [s.name for s in shown(settings, {"fill": "blur", "shape": "square"})]
    assert "sigma" in names
    assert "colour" not in names
    assert "height" not in names


@pytest.mark.parametrize("method", perturb.METHODS.values(), ids=lambda method: method.name)
def test_every_method_says_what_it_is(method):
    assert method.title
    assert method.summary.endswith(".")
    assert any(character.isdigit() for character in method.citation), "a citation has a year"
    names = {setting.name for setting in method.settings}
    if isinstance(method, MaskedMethod) or "fill" in names:
        assert {setting.name for setting in FILL_SETTINGS} <= names, "fills work the same everywhere"
    assert "score" in method.captions
    if isinstance(method, MaskedMethod):
        same = [other.name for other in perturb.METHODS.values() if other.captions["score"] == method.captions["score"]]
        assert same == [method.name], "each map is of something else"
    assert all(caption.endswith(".") for caption in method.captions.values())
    for setting in method.settings:
        assert setting.help.endswith("."), setting.name
        assert setting.check(setting.default) == setting.default
        assert setting.kind in ("choice", "colour", "layer") or setting.low < setting.high, setting.name


@pytest.mark.parametrize("entry", [*perturb.FILLS.values(), *perturb.METRICS.values()], ids=lambda entry: entry.name)
def test_every_fill_and_metric_says_what_it_is(entry):
    assert entry.summary.endswith(".")
    assert entry.citation.startswith("this project: ") or any(character.isdigit() for character in entry.citation)


def test_names_in_registries_are_their_keys():
    for registry in (perturb.METHODS, perturb.FILLS, perturb.METRICS, perturb.SEGMENTERS):
        assert all(key == entry.name for key, entry in registry.items())


PUBLIC = """
    FILLS METHODS METRICS SAMPLES SEGMENTERS
    Attribution Curve Curves ExportError Faithfulness Image ImageError Method PerturbError Probe Readings Segmenter SegmenterError
    SettingError Target TargetError TorchSegmenter
    __version__ compare curves explain load_factory load_image load_onnx load_segmenter load_weights probe randomise register reseed sample save
"""


def test_public_names_are_the_promised_ones():
    found = {
        name for name, value in vars(perturb).items() if not (name.startswith("_") or isinstance(value, ModuleType))
    }
    assert found | {"__version__"} == set(PUBLIC.split()), "a name taken away breaks programs; a new one is a promise"
    assert perturb.__all__ == PUBLIC.split()


def test_a_setting_knows_its_title():
    assert Setting("sigma", "float", 1, "x.", unit="px").title == "Sigma (px)"
