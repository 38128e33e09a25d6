"""The occlusion study in a real browser."""

import csv
import io
import re

import numpy as np
from playwright.sync_api import expect

from perturb.experiments.study import COLUMNS, FILES

from .driver import open_page, wait_idle
from .lab import FAST, RUN_SECONDS, download, numbers, stop_button


def test_a_small_study_from_its_link_to_its_files(page, app_url):
    fills = "occ_study_fills=black&occ_study_fills=blur&occ_study_sizes=128"
    open_page(page, f"{app_url}/occlusion?{FAST}&{fills}")
    numbers(page)
    expect(page.get_by_text("2 occluders, 146 forward passes")).to_be_visible()
    page.get_by_role("button", name="Run the study").click()
    expect(page.get_by_text(re.compile(r"Study: [1-9]\d* of 146 forward passes, about .* left"))).to_be_visible(
        timeout=RUN_SECONDS
    )
    expect(page.get_by_text("Maps on one common scale")).to_be_visible(timeout=RUN_SECONDS)
    expect(page.get_by_role("button", name="Run the study")).to_be_disabled()
    tiles = [page.get_by_alt_text(f"Heat map under {name}") for name in ("black 128", "blur 128")]
    assert tiles[0].get_attribute("src") != tiles[1].get_attribute("src")
    expect(page.get_by_test_id("stDataFrame").locator("[role=grid]")).to_have_attribute("aria-rowcount", "3")
    archive = download(page, "Download the study")
    assert set(archive.namelist()) == set(FILES)
    rows = list(csv.DictReader(archive.read("study.csv").decode().splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert [row["occluder"] for row in rows] == ["black 128", "blur 128"]
    maps = np.load(io.BytesIO(archive.read("maps.npz")))
    for row in rows:
        assert abs(float(row["drop_max"]) - maps[row["occluder"]].max()) < 1e-4


def test_stop_stops_a_study(page, app_url):
    open_page(page, f"{app_url}/occlusion?{FAST}")
    numbers(page)
    expect(page.get_by_text(re.compile(r"10 occluders, \d,\d{3} forward passes"))).to_be_visible()
    page.get_by_role("button", name="Run the study").click()
    bar = page.get_by_text(re.compile(r"Study: [1-9]\d* of \d,\d{3} forward passes"))
    expect(bar).to_be_visible(timeout=30_000)
    stop_button(page).click()
    expect(page.get_by_text("The run was stopped. Press Run to start it again.")).to_be_visible()
    wait_idle(page)
    expect(bar).to_have_count(0)
    expect(page.get_by_text("Maps on one common scale")).to_have_count(0)
