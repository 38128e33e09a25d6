"""The faithfulness page in a real browser: a comparison from its link to its files, and tables of many images."""

import csv
import io
import json

import numpy as np
import pytest
from playwright.sync_api import expect

from perturb.experiments.evaluation import evaluate
from perturb.experiments.evaluation_folder import TABLE
from perturb.experiments.evaluation_plan import Plan
from perturb.metrics.baselines import CONTROLS
from perturb.metrics.registry import METRICS

from .driver import open_page, query, wait_idle
from .lab import RUN_SECONDS, download

LINK = "sample=lone-pedestrian&fai_methods=feature-ablation"
NAMES = ["feature-ablation", *CONTROLS]


@pytest.mark.long
def test_a_comparison_from_its_link_to_its_files(page, app_url):
    open_page(page, f"{app_url}/faithfulness?{LINK}", 240)  # four maps, sixty passes each
    expect(page.get_by_text("Up to date: the comparison below belongs to these settings.")).to_be_visible(
        timeout=RUN_SECONDS
    )
    wait_idle(page)
    tiles = [page.get_by_alt_text(f"Map of {name}", exact=True) for name in NAMES]
    assert len({tile.get_attribute("src") for tile in tiles}) == len(NAMES)
    grid = page.get_by_test_id("stDataFrame").locator("[role=grid]")
    expect(grid).to_have_attribute("aria-rowcount", str(1 + len(NAMES)))
    expect(page.get_by_text("beats all three uninformative baselines on").first).to_be_visible()
    for chart in ("deletion curves of all maps", "Agreement of all maps", "Noise of each map"):
        expect(page.get_by_label(chart).or_(page.locator(f"[aria-label*='{chart}']")).first).to_be_visible()
    page.get_by_role("radio", name="road").or_(page.get_by_role("button", name="road", exact=True)).first.click()
    wait_idle(page)
    assert query(page)["fai_group"] == "road"
    archive = download(page, "Download the comparison")
    rows = list(csv.DictReader(archive.read("table.csv").decode().splitlines()))
    assert [row["map"] for row in rows] == NAMES
    maps = np.load(io.BytesIO(archive.read("maps.npz")))
    assert maps["consensus"].shape == maps["edges"].shape == (360, 480)
    for row in rows:  # the identity of the definitions, from the files that a visitor takes away
        combined = (float(row["road_lerf"]) - float(row["road_morf"])) / 2
        assert abs(float(row["road_combined"]) - combined) < 1e-5
    cards = json.loads(archive.read("metrics.json"))
    assert {card["name"] for card in cards} <= set(METRICS)
    order = [row["map"] for row in csv.DictReader(archive.read("agreement_spearman.csv").decode().splitlines())]
    assert order == NAMES


def test_a_table_of_many_images_is_opened_and_a_wrong_file_is_reported_in_words(page, app_url, tmp_path):
    plan = Plan(
        ("lone-pedestrian", "quiet-street"),
        methods=("feature-ablation",),
        metrics=("map_iou", "gini"),
        classes=("road",),
    )
    evaluate(plan, tmp_path / "out")
    open_page(page, f"{app_url}/faithfulness?fai_view=many-pictures")
    upload = page.locator("input[type=file]")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 this is no table PAR1")
    upload.set_input_files(broken)
    expect(page.get_by_text("'broken.parquet' cannot be read as a Parquet table")).to_be_visible(timeout=30_000)
    upload.set_input_files(tmp_path / "out" / TABLE)
    expect(page.get_by_text("8 rows: 2 images, 1 classes, 1 segmenters, 4 maps")).to_be_visible(timeout=30_000)
    wait_idle(page)
    expect(page.get_by_text("Model × metric")).to_be_visible()
    with page.expect_download() as started:
        page.get_by_role("button", name="Download the means").click()
    means = list(csv.DictReader(started.value.path().read_text().splitlines()))
    assert {row["metric"] for row in means} == {"map_iou", "gini"}
    assert {row["map"] for row in means} == {"feature-ablation", *CONTROLS}
