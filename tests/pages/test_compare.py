"""The compare page from the entry point, without a browser: what it shows, and invalid settings."""

import numpy as np
import pytest
from scipy import stats

import perturb
from perturb.metrics.measures import NORMALISATIONS
from perturb.metrics.verdict import verdict_on
from perturb.segmenters.registry import SEGMENTERS, SegmenterEntry
from tests.pages.test_pages import visit, words

# Six windows in one pane and about a dozen segments in the other, so that a run takes seconds.
FAST = {"cmp_1_size": "180", "cmp_1_stride": "180", "cmp_2_segments": "grid", "cmp_2_count": "10"}
# The same segments in both panes.
TWINS = {
    "cmp_1_method": "feature-ablation",
    "cmp_1_segments": "grid",
    "cmp_1_count": "10",
    "cmp_2_segments": "grid",
    "cmp_2_count": "10",
}


class Redness(perturb.Segmenter):
    """A custom segmenter: two classes, one of them shared with the others; no layers, no gradients."""

    def __init__(self):
        super().__init__("redness", classes=["car", "purple"], digest="red")

    def logits(self, batch):
        red = batch[:, :1] - batch[:, 1:].mean(1, keepdim=True)
        return perturb.engine.runner.torch.cat([red, 0.05 - red], 1)


@pytest.fixture
def redness(monkeypatch):
    monkeypatch.setitem(SEGMENTERS, "redness", SegmenterEntry("redness", "Red is a car.", lambda _: Redness()))


def metrics(app):
    return {metric.label: metric.value for metric in app.metric}


@pytest.fixture(scope="module")
def compared():
    return visit("compare", **FAST)


def test_a_visit_shows_two_maps_and_their_agreement(compared):
    app = compared
    assert not app.exception
    assert not app.error
    assert not app.warning
    assert app.button(key="cmp_run_all").disabled, "up to date"
    image, segmenter = perturb.sample("quiet-street"), perturb.load_segmenter()
    target = perturb.Target("car")
    a = perturb.explain(image, segmenter, target, size=180, stride=180)
    b = perturb.explain(image, segmenter, target, method="feature-ablation", segments="grid", count=10)
    rank = stats.spearmanr(a.heatmap.ravel(), b.heatmap.ravel()).statistic
    line = np.corrcoef(a.heatmap.ravel(), b.heatmap.ravel())[0, 1]
    assert float(metrics(app)["Spearman"]) == pytest.approx(rank, abs=5e-3)
    assert float(metrics(app)["Pearson"]) == pytest.approx(line, abs=5e-3)
    limit = max(np.abs(a.heatmap).max(), np.abs(b.heatmap).max())
    assert f"up to the largest value, {limit:.3g}." in words(app)


def test_viewer_controls_compute_nothing_and_a_setting_makes_it_stale(compared, monkeypatch):
    app, runs = compared, []
    monkeypatch.setattr(perturb, "explain", lambda *args, **kwargs: runs.append(1))
    for key, value in (("cmp_look", "swap"), ("cmp_show", "segmentation"), ("cmp_colours", "own")):
        app.segmented_control(key=key).set_value(value).run()
        assert not app.exception
    app.selectbox(key="cmp_b").select("picture").run()
    assert any("Choose a second pane" in info.value for info in app.info)
    app.selectbox(key="cmp_b").select("2").run()
    app.selectbox(key="cmp_norm").select("rank").run()
    assert NORMALISATIONS["rank"] in words(app)
    assert not runs
    # A fill that no other test has run on this image: a cached result would be shown at once.
    app.selectbox(key="cmp_1_fill").select("window-mean").run()
    assert any(warning.value.startswith("Stale") for warning in app.warning)
    assert not app.button(key="cmp_run_all").disabled
    assert metrics(app), "the old comparison is still there"
    app.selectbox(key="cmp_1_fill").select("grey").run()
    assert not app.warning, "what was computed before is there at once"


def test_two_segmenters_on_one_region_and_on_their_own():
    link = TWINS | {"cmp_2_segmenter": "streets-shortcut", "cmp_view": "predictions", "sample": "fog"}
    app = visit("compare", **link)
    assert not app.exception
    assert not app.error
    image = perturb.sample("fog")
    first, second = (perturb.load_segmenter(name) for name in ("streets-unet", "streets-shortcut"))
    labels = [perturb.engine.runner.clean_logits(image, s).argmax(0).numpy() for s in (first, second)]
    share = (labels[0] != labels[1]).mean()
    assert f"on **{share:.1%}** of the pixels" in words(app)
    pairs = app.dataframe[0].value
    assert pairs["pixels"].sum() == (labels[0] != labels[1]).sum()
    top = pairs.iloc[0]
    said = [first.classes.index(top[f"pane {number}"]) for number in (1, 2)]
    assert top["pixels"] == ((labels[0] == said[0]) & (labels[1] == said[1])).sum()
    ious = app.dataframe[1].value.set_index("class")["IoU"]
    road = [values == first.classes.index("road") for values in labels]
    assert float(ious["road"]) == pytest.approx((road[0] & road[1]).sum() / (road[0] | road[1]).sum(), abs=5e-4)
    app.segmented_control(key="cmp_view").set_value("maps").run()
    told = [warning.value for warning in app.warning]
    assert [text.split(" differ")[0] for text in told] == ["The segmenters"]
    assert "first=segmenter_1" in app.code[0].value

    app = visit("compare", **(link | {"cmp_view": "maps", "cmp_whose": "own"}))
    assert not app.exception
    assert any(warning.value.startswith("The regions differ") for warning in app.warning)
    assert "frozen=" not in app.code[0].value


@pytest.mark.usefixtures("redness")
def test_a_pane_that_cannot_run_says_why_and_the_other_goes_on():
    app = visit("compare", **TWINS, cmp_2_segmenter="redness", cmp_class="road")
    assert not app.exception
    assert any("**Pane 2** is left out. The segmenter has no class 'road'" in error.value for error in app.error)
    assert "Choose a second pane" in words(app)
    assert "Not for redness: " in words(app)

    app = visit("compare", **TWINS, cmp_2_segmenter="redness", cmp_class="car", cmp_view="predictions")
    assert not app.exception
    assert not app.error
    told = " ".join(warning.value for warning in app.warning)
    assert "Only streets-unet (pane 1) has the classes: " in told
    assert "Only redness (pane 2) has the classes: purple." in told


@pytest.mark.usefixtures("redness")
def test_a_linked_method_that_the_segmenter_cannot_do_is_kept_and_refused_in_words():
    app = visit("compare", **(TWINS | {"cmp_2_segmenter": "redness", "cmp_2_method": "ablation-cam"}))
    assert not app.exception
    assert app.selectbox(key="cmp_2_method").value == "ablation-cam"
    assert any("**Pane 2** is left out. The segmenter 'redness' is no torch network" in e.value for e in app.error)


@pytest.mark.usefixtures("redness")
def test_curves_of_all_panes_and_their_areas():
    app = visit("compare", **FAST, cmp_view="curves", segmenter="redness")
    assert not app.exception
    table = app.dataframe[0].value
    image, target = perturb.sample("quiet-street"), perturb.Target("car")
    grid = {"method": "feature-ablation", "segments": "grid", "count": 10}
    made = perturb.curves(perturb.explain(image, Redness(), target, **grid))
    areas = made.metrics()
    windows, cells = table.to_dict("records")
    for name in ("deletion_auc", "insertion_auc", "random_deletion_auc", "random_insertion_auc"):
        assert cells[name] == pytest.approx(areas[name], abs=1e-4)
    assert windows["random_deletion_auc"] == cells["random_deletion_auc"], "random orders do not depend on the map"
    assert windows["deletion_auc"] != cells["deletion_auc"]
    assert f"**Pane 2**: {verdict_on(made)}" in words(app)


@pytest.mark.usefixtures("redness")
def test_maps_of_two_units_keep_their_scales_and_are_subtracted_only_when_normalised():
    app = visit("compare", **(TWINS | {"cmp_2_method": "rise", "cmp_2_masks": "100", "segmenter": "redness"}))
    assert not app.exception
    assert "Panes with the same unit share a colour scale" in words(app)
    assert any("cannot be subtracted as they are. Choose a normalisation" in info.value for info in app.info)
    assert [warning.value.split(" (")[0] for warning in app.warning] == ["The units differ"]
    app.selectbox(key="cmp_norm").select("max").run()
    assert not app.info
    assert "Red: higher in pane 1 (feature-ablation). Blue: higher in pane 2 (rise)." in words(app)


@pytest.mark.usefixtures("redness")
def test_nonsense_in_the_address_falls_back():
    app = visit(
        "compare",
        segmenter="redness",
        **(FAST | {"cmp_panes": "9", "cmp_a": "7", "cmp_b": "moon", "cmp_norm": "magic", "cmp_2_segmenter": "skynet"}),
        cmp_2_method="crystal-ball",
        cmp_view="treasure",
        cmp_look="<script>",
    )
    assert not app.exception
    assert not app.error
    assert "Spearman" in metrics(app)
