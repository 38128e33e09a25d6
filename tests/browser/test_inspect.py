"""The Inspect page in a real browser: layers, channels, foreground and background, score maps, errors and single pixels."""

import re

from playwright.sync_api import expect

from .driver import open_page, query, wait_idle
from .lab import CAM, RUN_SECONDS, choose, numbers, stop_button


def test_a_click_shows_the_scores_of_a_pixel_and_the_link_keeps_it(page, new_page, app_url):
    open_page(page, f"{app_url}/inspect?ins_view=scores&ins_class=road")
    titles = (
        "Score map",
        "Probability map",
        "Fusion map",
        "Segmented score map",
        "Guided segmented",
        "Similarity map",
    )
    for title in titles:
        expect(page.get_by_alt_text(re.compile(f"^{title}.*from .* to .*"))).to_be_visible(timeout=RUN_SECONDS)
    says = page.get_by_text(re.compile("^The segmenter predicts"))
    expect(says).to_be_visible(timeout=RUN_SECONDS)
    before = says.inner_text()
    stage = page.get_by_role("application", name=re.compile("the chosen pixel is marked"))
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    stage.click(position={"x": box["width"] * 0.5, "y": box["height"] * 0.04})
    expect(says).not_to_have_text(before, timeout=RUN_SECONDS)
    expect(says).to_contain_text("The segmenter predicts sky")
    expect(page.get_by_label(re.compile("sky is the highest")).first).to_be_visible()
    wait_idle(page)
    assert {"ins_class", "ins_x", "ins_y", "ins_view"} >= {k for k in query(page) if k.startswith("ins_")} >= {"ins_y"}

    other = new_page(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    open_page(other, page.url.replace("ins_view=scores", "ins_view=errors"))
    expect(other.get_by_text(re.compile("^The segmenter predicts"))).to_have_text(
        says.inner_text(), timeout=RUN_SECONDS
    )
    expect(
        other.get_by_alt_text(
            re.compile(r"^Errors of road: [\d,]+ pixels false negative, [\d,]+ pixels false positive")
        )
    ).to_be_visible()
    assert other.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth <= innerWidth")


def test_the_layer_view(page, app_url):
    open_page(page, f"{app_url}/inspect?ins_view=errors")
    page.get_by_role("radio", name="layers").click()
    maps = page.get_by_alt_text(re.compile("^Map at layer"))
    expect(maps).to_have_count(3, timeout=RUN_SECONDS)
    expect(page.get_by_alt_text(re.compile("^Activation of channel"))).to_have_count(12, timeout=RUN_SECONDS)
    first = maps.first.get_attribute("src")
    expect(page.get_by_text("Up to date")).to_be_visible(timeout=RUN_SECONDS)
    expect(page).to_have_url(re.compile("ins_view=layers"))
    page.get_by_role("radio", name="negative").click()
    expect(page.get_by_alt_text(re.compile("^Map at layer stem, only values below zero, negated"))).to_be_visible(
        timeout=RUN_SECONDS
    )
    expect(page).to_have_url(re.compile("ins_sign=negative"))
    assert maps.first.get_attribute("src") != first


def test_channels_and_foreground_and_background(page, app_url):
    open_page(page, f"{app_url}/ablation_cam?{CAM}")
    numbers(page)
    expect(page).to_have_url(re.compile(r"/inspect\?.*cam_layer=context"))  # links to the former page are redirected
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
    expect(page.get_by_text("Both maps on one colour scale")).to_have_count(0)

    page.get_by_role("button", name="Run both").click()
    expect(bar).to_be_visible(timeout=RUN_SECONDS)
    expect(page.get_by_text("Both maps on one colour scale")).to_be_visible(timeout=RUN_SECONDS)
    expect(page.get_by_role("button", name="Run both")).to_be_disabled()
    maps = [page.get_by_alt_text(f"{where} the region: heat map of car") for where in ("Inside", "Outside")]
    assert maps[0].get_attribute("src") != maps[1].get_attribute("src")
    table = page.get_by_test_id("stTable")
    for where in ("Inside the region", "Outside the region"):
        expect(table.get_by_role("row", name=where)).to_contain_text(re.compile(r"[+−]0\.\d+"))

    choose(page, "Layer", "encoder1")
    expect(page).to_have_url(re.compile("cam_layer=encoder1"))
    expect(page.get_by_text("Stale")).to_be_visible()
    expect(
        page.get_by_text(re.compile(r"Layer encoder1: \d+ forward passes of the sub-network after it"))
    ).to_be_visible()
