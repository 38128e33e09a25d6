"""Every page at desktop and phone width, light and dark: nothing overflows, and every image has an alternative text."""

import pytest
from playwright.sync_api import Page, expect

from .driver import open_page, screenshot, wait_idle
from .lab import CAM, FAST, LIME, RUN_SECONDS, numbers

DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@pytest.mark.parametrize(
    ("size", "theme"),
    [
        (DESK, "light"),
        (PHONE, "dark"),
        pytest.param(DESK, "dark", marks=pytest.mark.long),
        pytest.param(PHONE, "light", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("path", ["/", f"/occlusion?{FAST}", f"/perturbation?{LIME}", f"/inspect?{CAM}"])
def test_pages_fit_their_window(new_page, app_url, theme, size, path):
    phone = size is PHONE
    page = new_page(viewport=size, color_scheme=theme, is_mobile=phone, has_touch=phone)
    open_page(page, app_url + path)
    name = path.partition("?")[0].strip("/")
    if name:
        numbers(page)
        expect(page.locator("[data-testid=stVegaLiteChart] svg")).to_have_count(2)
    screenshot(page, f"{name or 'home'}-{size['width']}-{theme}")
    fits(page)


@pytest.mark.parametrize(
    "path",
    [
        "/faithfulness?fai_view=cards",
        pytest.param("/faithfulness?fai_methods=feature-ablation&sample=lone-pedestrian", marks=pytest.mark.long),
        "/inspect?ins_view=errors",
        "/inspect?ins_view=scores",
        "/segmenters",
        "/compare?cmp_1_size=180&cmp_1_stride=180&cmp_2_segments=grid&cmp_2_count=10",
    ],
)
def test_a_page_that_is_opened_on_a_phone_fits_a_desk_too(new_page, app_url, path):
    """One visit for both widths, as these pages run what no other test has run."""
    page = new_page(viewport=PHONE, color_scheme="dark", has_touch=True)
    open_page(page, app_url + path, RUN_SECONDS / 1000)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    name = "-".join(part.rpartition("=")[2] for part in path.strip("/").split("?"))
    fits(page)
    screenshot(page, f"{name}-390-dark")
    page.set_viewport_size(DESK)
    wait_idle(page, RUN_SECONDS / 1000)
    fits(page)
    screenshot(page, f"{name}-1440-dark")


def fits(page: Page) -> None:
    """Nothing is wider than the window, except inside scrolling tables, and every image has an alternative text."""
    outside = page.evaluate(
        "[...document.querySelectorAll('[data-testid=stMain] *')]"
        ".filter(e => e.offsetParent && e.getBoundingClientRect().right > innerWidth + 1"
        " && !e.closest('pre, [data-testid=stTabs], [role=tooltip], .dvn-scroller > *')).map(e => e.outerHTML.slice(0, 200))"
    )
    assert not outside, outside
    for image in page.locator("img:visible").all():
        assert image.get_attribute("alt"), "every image has an alternative text"
