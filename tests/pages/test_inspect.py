"""The Inspect page without a browser: its four views, links to the former page of Seg-Ablation-CAM, and missing data."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import perturb
from perturb.engine.runner import clean_logits
from perturb.targets.quality import overlap, true_labels
from perturb.targets.score_maps import at_pixel, fusion
from tests.pages.test_pages import visit, words


def test_channel_ablation_shows_layers_and_channels():
    app = visit("inspect", cam_layer="decoder1")
    assert not app.exception
    layers = app.selectbox(key="cam_layer").options
    assert {"encoder1", "context", "decoder3"} <= set(layers)
    assert "Layer decoder1: 16 channels" in words(app)
    table = app.dataframe[0].value
    assert len(table) == 16
    assert table["weight"].abs().is_monotonic_decreasing
    assert "cam_fill" not in {box.key for box in app.selectbox}, "nothing is hidden, so nothing is filled"

    app.button(key="cam_grounds_run").click().run()
    assert not app.exception
    shown = app.table[0].value
    for row, ground in zip(shown.index, ("foreground", "background"), strict=True):
        alone = perturb.explain(
            perturb.sample("quiet-street"),
            perturb.load_segmenter(),
            perturb.Target("car"),
            method="ablation-cam",
            layer="decoder1",
            ablation=ground,
        )
        drop = alone.clean.score[0] - alone.readings.score
        assert float(shown.loc[row, "Drop of the score"].replace("−", "-")) == pytest.approx(drop.mean(), rel=0.01)
        assert float(shown.loc[row, "Largest drop"].replace("−", "-")) == pytest.approx(drop.max(), rel=0.01)
        assert float(shown.loc[row, "Pixels lost"]) == pytest.approx(alone.readings.lost.mean(), rel=0.01)
        assert float(shown.loc[row, "Pixels gained"]) == pytest.approx(alone.readings.gained.mean(), rel=0.01)

    app.run()  # a run that ended in another leaves AppTest with the widgets of the entry point
    app.selectbox(key="cam_ablation").select("background").run()
    assert any("Stale" in warning.value for warning in app.warning)
    assert app.button(key="cam_grounds_run").disabled, "both were run at this layer, independent of the map above"


def test_an_impossible_run_is_answered_in_words():
    app = visit("inspect", cam_layer="context", cam_region="all", cam_ablation="background")
    assert not app.exception
    assert any("there is no background to ablate" in warning.value for warning in app.warning)
    assert not app.button(key="cam_run").disabled
    app.button(key="cam_grounds_run").click().run()
    assert not app.exception
    assert sum("there is no background to ablate" in warning.value for warning in app.warning) == 2


def test_an_old_link_opens_the_same_settings():
    # The pixel is sky, not road, so nothing is run.
    where = {"cam_region": "component", "cam_x": "240", "cam_y": "3"}
    app = visit(
        "ablation_cam", cam_layer="decoder1", cam_class="road", cam_ablation="background", sample="rain", **where
    )
    assert not app.exception
    assert app.title[0].value == "Inspect"
    assert "is predicted as 'sky', not 'road'" in app.error[0].value
    assert app.sidebar.selectbox(key="sample").value == "rain"
    assert [app.selectbox(key=f"cam_{key}").value for key in ("layer", "class", "ablation", "region")] == [
        "decoder1",
        "road",
        "background",
        "component",
    ]
    assert (app.number_input(key="cam_x").value, app.number_input(key="cam_y").value) == (240, 3)


def test_scores_errors_and_layers_agree_with_the_engine():
    pixel_of = {"ins_x": "100", "ins_y": "200"}
    app = visit("inspect", ins_view="scores", ins_class="road", ins_walk="activations", sample="rain", **pixel_of)
    image, segmenter = perturb.sample("rain"), perturb.load_segmenter()
    logits = clean_logits(image, segmenter).numpy()
    labels, road = logits.argmax(0), segmenter.classes.index("road")
    assert not app.exception
    assert not app.error
    text = words(app)
    assert f"mean probability of **{fusion(logits).mean():.3f}**" in text
    assert f"where it is predicted and **−{abs(logits[road][labels != road].mean()):.3g}** elsewhere" in text
    pixel = at_pixel(logits, 100, 200)
    predicted = f"predicts **{segmenter.classes[pixel.predicted]}** with probability {pixel.probabilities.max():.3f}"
    assert predicted in text

    app.segmented_control(key="ins_view").select("errors").run()
    assert not app.exception
    seen = overlap(labels, true_labels(image, segmenter.classes), road)
    text = words(app)
    assert f"IoU of road: **{seen.iou:.3f}**" in text
    assert (
        f"{int(seen.missed.sum()):,} pixels are false negatives and {int(seen.invented.sum()):,} false positives"
        in text
    )
    assert predicted in text, "the pixel is still there"

    app.segmented_control(key="ins_view").select("layers").run()
    assert not app.exception
    assert [name in words(app) for name in ("**stem** — 16", "**context** — 128", "**decoder1** — 16")] == [True] * 3
    app.selectbox(key="ins_layer").select("context").run()
    app.number_input(key="ins_page").set_value(11).run()
    assert "this is page 11 of 11" in words(app)
    app.selectbox(key="ins_layer").select("stem").run()
    assert not app.exception
    assert "this is page 1 of 2" in words(app), "a layer with fewer channels begins at its first page"
    app.multiselect(key="ins_layers").set_value([]).run()
    assert "Choose at least one layer" in app.info[0].value


def test_the_layer_view_runs_a_method_at_each_layer():
    app = visit("inspect", ins_view="layers", ins_walk="grad-cam", ins_layers=["stem", "decoder1"], ins_sign="positive")
    assert not app.exception
    assert not app.error
    assert app.button(key="ins_walk_run").disabled, "up to date"
    told = words(app)
    image, segmenter = perturb.sample("quiet-street"), perturb.load_segmenter()
    for layer in ("stem", "decoder1"):
        result = perturb.explain(image, segmenter, perturb.Target("car"), method="grad-cam", layer=layer)
        above = np.maximum(result.heatmap, 0)
        assert f"{layer} {above[result.frozen.region].sum() / above.sum():.0%}" in told


def scene_of(function):
    """A page part alone, on a small image with a toy network."""
    app = AppTest.from_function(function, default_timeout=60)
    return app.run()


def test_without_ground_truth_the_errors_say_so():
    def script():
        import numpy as np

        from pages.parts.app.shell import Scene
        from pages.parts.inspect import errors_view
        from tests.analytic import Constant, picture

        scene = Scene(picture(24, 32), Constant(), np.zeros((24, 32), dtype=np.int64), 0.1)
        errors_view.section(scene, "thing", "ins_")

    app = scene_of(script)
    assert not app.exception
    assert "has no ground truth" in app.info[0].value
    assert "quiet-street" in app.info[0].value, "and where there is some"


def test_a_class_that_is_nowhere_has_no_errors():
    def script():
        import numpy as np
        import streamlit as st

        from pages.parts.app.shell import Scene
        from pages.parts.inspect import errors_view, pixel
        from perturb.images.image import image_from_pixels
        from tests.analytic import Constant, picture

        truth = np.ones((24, 32), dtype=np.uint8)
        image = image_from_pixels(picture(24, 32).pixels.copy(), name="wall", truth=truth)
        scene = Scene(image, Constant(-1.0), np.ones((24, 32), dtype=np.int64), 0.1)
        st.session_state["image"], st.session_state["segmenter_name"] = image, "streets-unet"  # as the sidebar does
        errors_view.section(scene, "thing", "ins_")
        errors_view.section(scene, "rest", "ins_")
        pixel.section(scene, np.stack([np.full((24, 32), -1.0), np.zeros((24, 32))]).astype(np.float32), "ins_")

    app = scene_of(script)
    assert not app.exception
    assert "neither in the ground truth of this image nor predicted" in app.info[0].value
    text = words(app)
    assert (
        "IoU of rest: **1.000**, 768 pixels in both of 768 in either. 0 pixels are false negatives and 0 false positives."
        in text
    )
    assert (
        "predicts **rest** with probability 0.731; next is thing with 0.269. The ground truth is **rest**: correct"
        in text
    )


def test_a_segmenter_without_layers_is_answered_in_words():
    def script():
        import numpy as np

        from pages.parts.app.shell import Scene
        from pages.parts.inspect import layer_maps
        from tests.analytic import Constant, picture

        layer_maps.section(Scene(picture(24, 32), Constant(), np.zeros((24, 32), dtype=np.int64), 0.1), "thing", "ins_")

    app = scene_of(script)
    assert not app.exception
    assert "so its layers cannot be reached" in app.info[0].value
