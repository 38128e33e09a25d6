"""Every page at its desk and phone width, light and dark: nothing sticks out, and every picture says what it shows."""

import pytest
from playwright.sync_api import expect

from .driver import open_page, screenshot
from .lab import CAM, FAST, LIME, numbers


@pytest.mark.parametrize(
    ("width", "height", "theme"),
    [
        (1440, 900, "light"),
        (390, 844, "dark"),
        pytest.param(1440, 900, "dark", marks=pytest.mark.long),
        pytest.param(390, 844, "light", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("path", ["/", f"/occlusion?{FAST}", f"/perturbation?{LIME}", f"/inspect?{CAM}"])
def test_pages_fit_their_window(new_page, app_url, theme, width, height, path):
    phone = width < 500
    page = new_page(viewport={"width": width, "height": height}, color_scheme=theme, is_mobile=phone, has_touch=phone)
    open_page(page, app_url + path)
    name = path.partition("?")[0].strip("/")
    if name:
        numbers(page)
        expect(page.locator("[data-testid=stVegaLiteChart] svg")).to_have_count(2)
    screenshot(page, f"{name or 'home'}-{width}-{theme}")
    overflow = page.evaluate(
        "[...document.querySelectorAll('[data-testid=stMain] *')]"
        ".filter(e => e.offsetParent && e.getBoundingClientRect().right > innerWidth + 1"
        " && !e.closest('pre, [data-testid=stTabs], [role=tooltip]')).length"
    )
    assert overflow == 0
    for picture in page.locator("[data-testid=stMain] img:visible").all():
        assert picture.get_attribute("alt"), "every picture says what it shows"
