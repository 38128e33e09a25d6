"""The view of known answers alone: both predictions, and the maps of a run."""

import re

from streamlit.testing.v1 import AppTest

from perturb.metrics.planted_shortcut import SETTINGS


def visit() -> AppTest:
    return AppTest.from_string(
        "from pages.parts.faithfulness import twins\n\ntwins.section()\n", default_timeout=120
    ).run()


def words(app: AppTest) -> str:
    kinds = (app.caption, app.markdown, app.subheader, app.warning)
    return " ".join(str(element.value) for kind in kinds for element in kind)


def test_both_twins_are_shown_with_and_without_the_board():
    app = visit()
    assert not app.exception
    said = words(app)
    assert "The prediction is **car** with and without the board" in said
    assert "The board alone changes the prediction from **car** to **bicyclist**" in said
    assert app.selectbox(key="twins_method").options == list(SETTINGS)
    assert "Cue found" not in said, "nothing is run before it is asked for"


def test_a_run_shows_both_maps_and_whether_they_find_the_board():
    app = visit()
    app.selectbox(key="twins_method").select("ablation-cam").run()
    assert re.search(r"Both segmenters, \d+ forward passes", words(app))
    app.button(key="twins_run").click().run()
    assert not app.exception
    found = [float(number) for number in re.findall(r"Cue found: \*\*([\d.]+)\*\*", words(app))]
    assert len(found) == 2
    assert all(0 <= number <= 1 for number in found)
    assert app.button(key="twins_run").disabled, "up to date"
    app.selectbox(key="twins_street").select("Street 2").run()
    assert not app.button(key="twins_run").disabled
    assert "Cue found" in words(app), "the old maps stay readable"
