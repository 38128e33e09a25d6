"""The page of Seg-Ablation-CAM in a real browser: layers, channels, and foreground against background."""

import re

from playwright.sync_api import expect

from .driver import open_page, wait_idle
from .lab import CAM, RUN_SECONDS, choose, numbers, stop_button


def test_layers_channels_and_both_grounds(page, app_url):
    open_page(page, f"{app_url}/ablation_cam?{CAM}")
    numbers(page)
    heat_map = page.get_by_alt_text(re.compile("Heat map of score for car"))
    expect(heat_map).to_be_visible()
    expect(page.get_by_text("layer context · 128 channels")).to_be_visible()
    expect(page.get_by_alt_text(re.compile(r"Activation of channel \d+"))).to_have_count(12)
    grid = page.get_by_test_id("stDataFrame").first.locator("[role=grid]")
    expect(grid).to_have_attribute("aria-rowcount", "129")  # the header, and each channel
    expect(page.get_by_role("combobox", name=re.compile("Fill"))).to_have_count(0)

    bar = page.get_by_text(re.compile(r"(Fore|Back)ground: [1-9]\d* of 128 forward passes"))
    page.get_by_role("button", name="Run both").click()
    expect(bar).to_be_visible(timeout=RUN_SECONDS)
    stop_button(page).click()
    expect(page.get_by_text("The run was stopped. Press Run to start it again.")).to_be_visible()
    wait_idle(page)
    expect(bar).to_have_count(0)
    expect(page.get_by_text("Both maps on one scale")).to_have_count(0)

    page.get_by_role("button", name="Run both").click()
    expect(bar).to_be_visible(timeout=RUN_SECONDS)
    expect(page.get_by_text("Both maps on one scale")).to_be_visible(timeout=RUN_SECONDS)
    expect(page.get_by_role("button", name="Run both")).to_be_disabled()
    maps = [page.get_by_alt_text(f"{where} the region: heat map of car") for where in ("Inside", "Outside")]
    assert maps[0].get_attribute("src") != maps[1].get_attribute("src")
    table = page.get_by_test_id("stTable")
    for where in ("Inside the region", "Outside the region"):
        expect(table.get_by_role("row", name=where)).to_contain_text(re.compile(r"[+−]0\.\d+"))

    choose(page, "Layer", "encoder1")
    expect(page).to_have_url(re.compile("cam_layer=encoder1"))
    expect(page.get_by_text("Stale")).to_be_visible()
    expect(page.get_by_text(re.compile(r"Layer encoder1: \d+ forward passes of what follows it"))).to_be_visible()
