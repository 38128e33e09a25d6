"""Gradient methods on the Inspect page, without a browser: what is said of a map that has no sign, and of a refusal."""

import re

import pytest

from pages.parts.figures.charts import HUES, hues
from pages.parts.runs import planning
from perturb.experiments.estimates import HEAVY
from perturb.methods.registry import METHODS
from tests.pages.test_pages import visit, words


@pytest.mark.parametrize("count", [1, len(METHODS), len(HUES) + 1, 60])
def test_every_method_can_have_a_colour_of_its_own(count):
    colours = hues(count)
    assert len(colours) == len(set(colours)) == count
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)
    assert colours[: len(HUES)] == list(HUES[:count]), "a method keeps its colour"


def test_a_gradient_map_is_shown_for_what_it_is():
    app = visit("inspect", cam_method="saliency", sample="lone-pedestrian")
    assert not app.exception
    assert not app.error
    text = words(app)
    assert "2 forward and backward passes for the map and 97 for its curves" in text
    assert "How strongly the score responds to a small change of a pixel" in text
    assert "logit for a step from black to white" in text
    assert "of the pixels lie beyond the scale" in text
    assert "Probe one perturbation" not in text, "nothing is hidden, so there is nothing to probe"
    assert app.selectbox(key="cam_channels").options == ["max", "sum", "length"]
    assert 'method="saliency"' in app.code[0].value
    assert "--method saliency" in app.code[1].value

    app.segmented_control(key="cam_reach").select("all").run()
    assert "of the pixels lie beyond the scale" not in words(app)
    app.segmented_control(key="cam_map").select("input").run()
    assert "Gradient × input" in words(app)

    app.selectbox(key="cam_score").select("iou").run()
    assert not app.exception
    assert any("An IoU counts pixels, so it has no gradient" in error.value for error in app.error)
    assert app.button(key="cam_run").disabled
    assert "Raw range:" in words(app), "the earlier result is still there"


def test_the_passes_of_the_curves_do_not_make_a_network_heavy():
    """Two passes for a map and 97 for its curves, 0.1 s each, are 9.9 s: more than 3 s a pass of the map, but not of the run."""
    assert planning.soon(2, 99 * 0.1, curves=97)
    assert not planning.soon(2, 99 * (HEAVY + 0.1), curves=97)
    assert not planning.soon(2, 2 * (HEAVY + 0.1))
