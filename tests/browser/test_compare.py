"""The compare page in a real browser: a link, the shared zoom, the swap slider, and a phone."""

import csv
import io
import re

import numpy as np
from numpy.testing import assert_allclose
from playwright.sync_api import expect

from .driver import open_page, query, screenshot, wait_idle
from .lab import RUN_SECONDS, download

# Six windows beside about a dozen cells.
FAST = "cmp_1_size=180&cmp_1_stride=180&cmp_2_segments=grid&cmp_2_count=10"
PATIENCE = 60_000  # ms for what a rerun shows; a busy machine takes longer than the browser's own patience
STICKING_OUT = (
    "[...document.querySelectorAll('[data-testid=stMain] *')]"
    ".filter(e => e.offsetParent && e.getBoundingClientRect().right > innerWidth + 1"
    " && !e.closest('pre, [data-testid=stTabs], [role=tooltip]')).length"
)


def compared(page):
    """Wait for the maps, and return what the page says of them: agreement, bars and titles."""
    expect(page.get_by_text("Up to date: the maps below")).to_be_visible(timeout=RUN_SECONDS)
    wait_idle(page)
    expect(page.get_by_test_id("stMetricValue")).to_have_count(4, timeout=PATIENCE)
    panes = page.locator("figure").all_inner_texts()
    return [*page.get_by_test_id("stMetricValue").all_inner_texts(), *panes]


def eyes(page):
    """Zoom and position of every image."""
    return page.locator(".stage img").evaluate_all("all => all.map(img => img.style.transform)")


def test_a_shared_link_opens_the_same_comparison_and_its_files_hold_it(new_page, app_url):
    first = new_page()
    open_page(
        first,
        f"{app_url}/compare?{FAST}&cmp_2_segmenter=streets-shortcut&cmp_panes=3&cmp_3_method=feature-ablation",
        240,
    )
    compared(first)
    first.get_by_text("own", exact=True).last.click()
    first.get_by_role("combobox", name=re.compile("^B")).click()
    first.get_by_role("option", name="3", exact=True).click()
    expect(first).to_have_url(re.compile("cmp_b=3"), timeout=PATIENCE)
    expect(first.get_by_text("Agreement of panes 1 and 3")).to_be_visible(timeout=PATIENCE)
    seen = compared(first)
    assert sum("own scale" in text for text in seen) == 3, seen

    second = new_page()
    open_page(second, first.url)
    assert compared(second) == seen
    assert query(second)["cmp_2_segmenter"] == "streets-shortcut"

    archive = download(second, "Download the comparison")
    maps = np.load(io.BytesIO(archive.read("maps.npz")))
    assert_allclose(maps["difference"], maps["map_1"].astype(float) - maps["map_3"], atol=1e-6)
    told = dict(csv.reader(io.StringIO(archive.read("agreement.csv").decode())))
    assert seen[0] == f"{float(told['spearman']):.3g}"


def test_panes_zoom_together_and_a_slider_swaps_two(page, app_url):
    open_page(page, f"{app_url}/compare?{FAST}", 240)
    compared(page)
    panes, root = page.locator(".stage"), page.locator(".panorama")
    panes.first.scroll_into_view_if_needed()
    page.wait_for_timeout(300)  # a wheel that scrolled the page goes on scrolling it for a moment
    at = panes.first.bounding_box()
    page.mouse.move(at["x"] + at["width"] * 0.75, at["y"] + at["height"] * 0.5)
    page.mouse.wheel(0, -400)
    expect(root).not_to_have_attribute("data-zoom", "1.000")
    one, other = eyes(page)
    assert one == other != ""
    page.mouse.down()
    page.mouse.move(at["x"] + at["width"] * 0.5, at["y"] + at["height"] * 0.5, steps=3)
    page.mouse.up()
    moved = eyes(page)
    assert moved[0] == moved[1] != one, "a drag moves all of them"

    panes.last.focus()  # the other pane leads as well
    for key in ("+", "+", "+", "+", "ArrowLeft"):
        page.keyboard.press(key)
    near = eyes(page)
    assert near[0] == near[1] != moved[0]
    expect(page.locator(".stage img.large")).to_have_count(2)  # enlarged pixels are blocks
    page.keyboard.press("0")
    expect(root).to_have_attribute("data-zoom", "1.000")
    page.get_by_role("button", name="Zoom in").click()
    expect(root).to_have_attribute("data-zoom", "1.500")
    page.get_by_role("button", name="Whole image").click()

    page.get_by_text("swap", exact=True).click()
    slide = page.get_by_role("slider", name=re.compile("^Swap: 1 · occlusion"))
    expect(slide).to_have_value("50", timeout=PATIENCE)
    slide.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(slide).to_have_value("53")
    assert page.locator(".over").evaluate("over => over.style.clipPath").endswith("47% 0px 0px)")
    over, under = page.locator(".over img"), page.locator(".stage > img")
    assert over.bounding_box() == under.bounding_box(), "pixel on pixel"
    assert over.get_attribute("alt").startswith("Pane 1")
    assert under.get_attribute("alt").startswith("Pane 2")
    page.locator(".stage").scroll_into_view_if_needed()
    at = page.locator(".handle").bounding_box()
    page.mouse.move(at["x"] + at["width"] / 2, at["y"] + at["height"] / 2)
    page.mouse.down()
    page.mouse.move(at["x"] + at["width"] / 2 - 100, at["y"] + at["height"] / 2, steps=3)
    page.mouse.up()
    assert float(slide.input_value()) < 50
    wait_idle(page)
    assert page.evaluate(STICKING_OUT) == 0


def test_a_phone_pinches_and_scrolls_nothing_sideways(new_page, app_url):
    page = new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, color_scheme="dark")
    open_page(page, f"{app_url}/compare?{FAST}&cmp_view=predictions&cmp_2_segmenter=streets-shortcut", 240)
    expect(page.get_by_text("Up to date: the maps below")).to_be_visible(timeout=RUN_SECONDS)
    expect(page.get_by_text(re.compile(r"predict different classes on \d"))).to_be_visible(timeout=PATIENCE)
    wait_idle(page)
    screenshot(page, "compare-390-dark")
    assert page.evaluate(STICKING_OUT) == 0
    for image in page.locator("[data-testid=stMain] img:visible").all():
        assert image.get_attribute("alt"), "every image has an alternative text"
    stage = page.locator(".stage").first
    stage.scroll_into_view_if_needed()
    at = stage.bounding_box()
    page.context.new_cdp_session(page).send(
        "Input.synthesizePinchGesture",
        {
            "x": at["x"] + at["width"] / 2,
            "y": at["y"] + at["height"] / 2,
            "scaleFactor": 3,
            "gestureSourceType": "touch",
        },
    )
    expect(page.locator(".panorama")).not_to_have_attribute("data-zoom", "1.000")
    assert page.evaluate("visualViewport.scale") == 1, "the image is enlarged, not the page"
    one, other = eyes(page)
    assert one == other
