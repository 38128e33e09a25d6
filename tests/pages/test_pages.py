"""Each page from the entry point, without a browser: what it shows, and invalid settings."""

import re

import pytest
from streamlit.testing.v1 import AppTest

import perturb

# Six windows, so that a run takes seconds.
FAST = {"occ_size": "180", "occ_stride": "180"}


def visit(page="", **query):
    app = AppTest.from_file("../../streamlit_app.py", default_timeout=120)
    for name, value in query.items():
        app.query_params[name] = value
    if page:
        app.switch_page(f"pages/{page}.py")
        # AppTest reaches a page through the entry point only in its first run; the second settles the state for the test.
        app.run()
    return app.run()


def words(app):
    kinds = (app.title, app.caption, app.markdown, app.error, app.warning, app.info, app.subheader)
    return " ".join(str(element.value) for kind in kinds for element in kind)


def test_home_offers_samples_and_questions():
    app = visit()
    assert not app.exception
    assert "What does a segmenter need to see?" in app.title[0].value
    assert "Does it need the wheels to see a car?" in words(app)
    assert app.sidebar.selectbox(key="sample").options == list(perturb.SAMPLES)


def test_the_first_visit_shows_a_result():
    app = visit("occlusion", **FAST)
    assert not app.exception
    assert not app.error
    assert app.button(key="occ_run").disabled, "up to date"
    text = words(app)
    assert "6 forward passes for the map and 97 for its curves" in text
    assert "Deletion: area **" in text
    assert "Raw range:" in text
    assert "Rank **1** of 6" in text, "the probe starts at the strongest window"


def test_a_change_makes_the_result_stale_and_run_mends_it():
    app = visit("occlusion", **FAST)
    app.selectbox(key="occ_fill").select("black").run()
    assert "Stale" in app.warning[0].value
    assert not app.button(key="occ_run").disabled
    assert "Deletion: area **" in words(app), "the old result is still there"
    app.button(key="occ_run").click().run()
    assert not app.warning
    assert app.button(key="occ_run").disabled
    app.selectbox(key="occ_fill").select("grey").run()
    assert not app.warning, "what was computed before is there at once"


def test_viewer_controls_compute_nothing_again(monkeypatch):
    app = visit("occlusion", **FAST)
    runs, real = [], perturb.engine.runner.run
    monkeypatch.setattr(perturb.engine.runner, "run", lambda *args, **kwargs: runs.append(1) or real(*args, **kwargs))
    app.slider(key="occ_opacity").set_value(0.3).run()
    app.segmented_control(key="occ_map").set_value("gained").run()
    app.segmented_control(key="occ_measure").set_value("iou").run()
    assert "pixels gained" in words(app)
    assert not runs
    app.selectbox(key="occ_shape").select("disc").run()
    app.button(key="occ_run").click().run()
    assert len(runs) == 2, "the map and its curves"


def test_settings_that_do_not_matter_are_hidden():
    app = visit("occlusion", **FAST)
    keys = {slider.key for slider in app.slider}
    assert "occ_sigma" not in keys
    app.selectbox(key="occ_fill").select("blur").run()
    assert "occ_sigma" in {slider.key for slider in app.slider}


def test_a_link_sets_everything():
    link = FAST | {"sample": "rain", "occ_class": "road", "occ_fill": "black", "occ_score": "iou", "occ_region": "box"}
    app = visit("occlusion", **link, occ_x0="10", occ_y0="200", occ_x1="400", occ_y1="350", occ_map="lost")
    assert not app.exception
    assert not app.error
    assert app.sidebar.selectbox(key="sample").value == "rain"
    assert app.number_input(key="occ_x1").value == 400
    code = "\n".join(block.value for block in app.code)
    assert "--region box:10,200,400,350 --score iou" in code
    assert 'fill="black"' in code


@pytest.mark.parametrize(
    "query",
    [
        # Several at once: each falls back on its own, and a visit takes seconds.
        {"occ_size": "-5", "occ_fill": "tartan", "sample": "../../etc/passwd", "occ_opacity": "nan"},
        {"occ_size": "99999", "occ_class": "unicorn", "source": "satellite", "occ_wx": "1e9"},
        {"occ_size": "many", "occ_region": "moon", "segmenter": "skynet", "occ_map": "treasure"},
        {"occ_region": "box", "occ_x0": "9999", "occ_y1": "-3", "photo": "<script>", "nonsense": "%%%"},
    ],
)
def test_nonsense_in_the_address_falls_back(query):
    app = visit("occlusion", **(FAST | query))
    assert not app.exception
    assert "Occlusion" in app.title[0].value
    assert app.sidebar.selectbox(key="sample").value in perturb.SAMPLES


def test_a_stride_larger_than_the_window_is_answered_in_words_and_loses_nothing():
    app = visit("occlusion", **FAST)
    app.slider(key="occ_size").set_value(64).run()
    assert "stride must lie between 1 and the window's size: got 180 px" in app.error[0].value
    assert app.button(key="occ_run").disabled
    assert "Deletion: area **" in words(app)


def test_an_absent_class_is_answered_in_words():
    app = visit("occlusion", **FAST, sample="lone-pedestrian", occ_class="bicyclist")
    present = any("No pixel of this image is predicted as 'bicyclist'" in error.value for error in app.error)
    segmenter = perturb.load_segmenter()
    from perturb.engine.runner import clean_logits

    labels = clean_logits(perturb.sample("lone-pedestrian"), segmenter).argmax(0)
    assert present == (not bool((labels == segmenter.classes.index("bicyclist")).any()))
    assert not app.exception


def test_choosing_a_region_gives_it_coordinates():
    app = visit("occlusion", **FAST)
    app.selectbox(key="occ_region").select("component").run()
    assert not app.error
    assert app.number_input(key="occ_x").value > 0
    app.selectbox(key="occ_region").select("box").run()
    assert not app.error
    assert app.number_input(key="occ_x1").value > app.number_input(key="occ_x0").value


def test_a_link_with_a_photograph_says_which_one_it_needs():
    app = visit("occlusion", **FAST, source="upload", photo="0123456789abcdef0123456789abcdef")
    assert not app.exception
    assert any("the digest 0123456789ab" in info.value for info in app.info)
    assert "Deletion: area **" in words(app), "a sample is shown until then"


def test_stepping_through_windows():
    app = visit("occlusion", **FAST)
    names = {button.label: button for button in app.button}
    names["Next"].click().run()
    assert "Rank **2** of 6" in words(app)
    {button.label: button for button in app.button}["Strongest"].click().run()
    assert "Rank **1** of 6" in words(app)
    app.number_input(key="occ_wx").set_value(0).run()
    app.number_input(key="occ_wy").set_value(0).run()
    assert any("window 1 of 6, x 0 to 179, y 0 to 179" in caption.value for caption in app.caption)


def test_the_probe_says_which_way_the_score_went():
    app = visit("occlusion", **FAST, occ_class="sky")
    told = set()
    for rank in range(1, 7):
        (line,) = (text.value for text in app.markdown if text.value.startswith(f"Rank **{rank}** of 6"))
        before, after, way, size = re.search(
            r"Score (\S+) → (\S+), a (drop|rise) of \*\*(\S+)\*\* logit", line.replace("−", "-")
        ).groups()
        change = float(after) - float(before)
        assert float(size) > 0, "the word says the sign"
        assert float(size) == pytest.approx(abs(change), abs=0.011), "of rounded numbers"
        if change:
            assert way == ("rise" if change > 0 else "drop")
            told.add(way)
        {button.label: button for button in app.button}["Next"].click().run()
    assert told == {"drop", "rise"}


def test_the_study_compares_occluders():
    app = visit("occlusion", **FAST)
    app.multiselect(key="occ_study_fills").set_value(["black", "blur"]).run()
    app.multiselect(key="occ_study_sizes").set_value([128]).run()
    text = words(app)
    assert "2 occluders, 146 forward passes" in text, text
    app.button(key="occ_study_run").click().run()
    assert not app.exception
    table = app.dataframe[0].value
    assert list(table["occluder"]) == ["black 128", "blur 128"]
    assert app.button(key="occ_study_run").disabled


@pytest.mark.parametrize(
    ("method", "extra", "told"),
    [
        ("feature-ablation", {"per_segments": "grid", "per_count": "11"}, "12 segments (asked for about 11)"),
        ("lime", {"per_segments": "grid", "per_count": "11", "per_samples": "100"}, "fit R² 0."),
        ("kernel-shap", {"per_segments": "grid", "per_count": "11", "per_samples": "100"}, "100 coalitions run"),
        ("rise", {"per_masks": "100"}, "of 100 by change of the score"),
    ],
)
def test_the_perturbation_page_runs_every_method(method, extra, told):
    app = visit("perturbation", per_method=method, **extra)
    assert not app.exception
    assert not app.error
    text = words(app)
    assert "Deletion: area **" in text
    assert told in text
    # A weight, share or mean is not called the drop of a single pixel.
    assert perturb.METHODS[method].captions["score"] in text
    assert "score drops without a pixel" not in text
    if method == "rise":
        low, high = re.search(r"Raw range: (\S+) to (\S+) logit; the clean score", text).groups()
        assert 0 < float(low) < float(high), "mean scores, not distances from their mean"
    assert f'method="{method}"' in app.code[0].value
    {button.label: button for button in app.button}["Next"].click().run()
    assert "Rank **2** of" in words(app)


def test_a_link_that_a_page_does_not_understand_is_said_to_be():
    app = AppTest.from_file("../../streamlit_app.py", default_timeout=120)
    app.query_params["seg_view"], app.query_params["sample"] = "zzz", "quiet-street"
    app.switch_page("pages/segmenters.py").run()
    told = [toast.value for toast in app.toast]
    assert len(told) == 1, "the sample is known"
    assert r"seg\_view=zzz" in told[0]
    assert "**this-picture** is used instead" in told[0]
    assert not app.run().toast, "once"


@pytest.mark.parametrize("query", [{}, {"model": "0123456789abcdef0123456789abcdef-01234567"}], ids=["name", "digest"])
def test_a_link_to_an_uploaded_network_says_for_as_long_as_it_is_missing_what_to_upload(query):
    app = visit("segmenters", segmenter="evil.onnx", seg_view="catalogue", **query)
    for _ in range(2):
        assert not app.exception
        assert not app.toast
        (warning,) = app.sidebar.warning
        assert warning.value.startswith("**evil.onnx** is no longer in memory; upload it again on the Segmenters page")
        assert ("Its digest begins with 0123456789ab…" in warning.value) == bool(query)
        app.run()
    app.sidebar.selectbox(key="segmenter").select("streets-shortcut").run()
    assert not app.sidebar.warning
    app = visit("segmenters", segmenter="streets-untt", seg_view="catalogue")
    assert not app.sidebar.warning, "a misspelt name is no file"
