"""The faithfulness page from the entry point, without a browser: its five views, and invalid settings."""

import pytest

from perturb.methods.registry import METHODS
from perturb.metrics.registry import METRICS
from tests.metrics.toy import toy
from tests.pages.test_pages import visit, words

__all__ = ["toy"]  # a fixture


@pytest.fixture(scope="module")
def compared():
    return visit("faithfulness", fai_methods="feature-ablation", sample="lone-pedestrian")


def test_a_visit_compares_maps_with_uninformative_baselines(compared):
    app = compared
    assert not app.exception
    assert not app.error
    assert app.button(key="fai_compare_run").disabled, "up to date"
    table = app.dataframe[0].value
    assert list(table["map"]) == ["feature-ablation", "random", "blurred-random", "edges"]
    assert {"deletion_auc", "road_combined", "map_iou", "forwards"} <= set(table.columns)
    text = words(app)
    assert "One method only" in text
    assert "**feature-ablation** beats all three uninformative baselines on" in text
    assert "of pixels that" in text, "the share of attribution on wrong pixels"


@pytest.mark.long
def test_two_methods_are_ranked_under_two_fills():
    app = visit("faithfulness", fai_methods=["feature-ablation", "saliency"], fai_group="all", sample="lone-pedestrian")
    assert not app.exception
    assert not app.error
    ranks = app.dataframe[1].value
    assert list(ranks.columns) == ["Map", "deletion_auc", "road_morf", "insertion_auc", "road_lerf"]
    assert list(ranks["Map"]) == ["feature-ablation", "saliency"]
    table = app.dataframe[0].value[:2]
    for metric in ranks.columns[1:]:
        better = table[metric] if METRICS[metric].better == "lower" else -table[metric]
        assert list(ranks[metric]) == list(better.rank(method="min"))
    said = " ".join(str(box.value) for box in (*app.success, *app.warning))
    for order in ("deletion", "insertion"):
        assert f"best by {order} depends on what hides" in said or f"By {order}, both fills put" in said
    assert "18 images a map" in words(app)


def test_every_group_of_metrics_is_a_table(compared):
    compared.segmented_control(key="fai_group").select("all").run()
    shown = set(compared.dataframe[0].value.columns) - {"map"}
    assert shown == {name for name, metric in METRICS.items() if metric.better != "control"}
    compared.segmented_control(key="fai_curve").select("road_lerf").run()
    assert not compared.exception


def test_no_method_is_reported_in_words(compared):
    compared.multiselect(key="fai_methods").set_value([]).run()
    assert not compared.exception
    assert any("Choose at least one method" in info.value for info in compared.info)


def test_sanity_checks_run_and_say_what_they_found():
    app = visit(
        "faithfulness",
        fai_view="sanity",
        fai_sanity_method="feature-ablation",
        fai_stages="2",
        sample="lone-pedestrian",
    )
    assert not app.exception
    app.button(key="fai_sanity_run").click().run()
    assert not app.exception
    assert not app.error
    text = " ".join(str(e.value) for e in (*app.success, *app.warning))
    assert "With all weights randomized, the map" in text
    assert "the method does not depend on the seed" in words(app)
    assert app.button(key="fai_sanity_run").disabled


def test_every_metric_has_its_card_on_the_page(toy):
    app = visit("faithfulness", fai_view="cards")
    assert not app.exception
    assert toy.name in METRICS
    labels = [expander.label for expander in app.expander]
    for metric in METRICS.values():
        assert any(label.startswith(metric.title) for label in labels), metric.name


def test_a_missing_target_is_reported_in_words():
    app = visit(
        "faithfulness", fai_view="methods", sample="lone-pedestrian", fai_class="car", fai_methods="feature-ablation"
    )
    assert not app.exception
    assert any("car" in error.value for error in app.error) or "No pixel" in words(app)
    assert app.multiselect(key="fai_methods").options == list(METHODS), "including those inside the network"
