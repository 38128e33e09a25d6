"""Names that a stranger chose, in a real browser: they are shown letter by letter, and nothing else comes of them."""

import json

import pytest
from playwright.sync_api import expect

from tests import onnx_files as files

from .driver import open_page, screenshot, wait_idle
from .markdown_app import NAMES
from .test_segmenters import SECONDS, open_segmenters, upload

ELEMENTS = "a, img, code, em, del, h1, h2, h3, ul, ol, blockquote, table, sup, .katex, [data-testid=stIconMaterial]"
"""What Markdown could make of a name; colours and badges are spans with a style."""


def asked(page):
    """Addresses that the page asks for from here on."""
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    return seen


@pytest.mark.parametrize("phone", [False, True])
def test_names_are_shown_letter_by_letter(phone, new_page, fresh_server):
    options = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"} if phone else {}
    page = new_page(**options)
    requests = asked(page)
    open_page(page, fresh_server("tests/browser/markdown_app.py"))
    for index, name in enumerate(NAMES):
        box = page.locator(f".st-key-name{index}")
        inner = "[data-testid=stMarkdownContainer]"
        parts = (
            ("{}", box.locator(f"[data-testid=stMarkdown] {inner}").nth(0)),
            ("{} and more", box.locator(f"[data-testid=stMarkdown] {inner}").nth(1)),
            ("Of {}.", box.locator("[data-testid=stCaptionContainer]")),
            ("{}", box.locator(f"[data-testid=stAlert] {inner}")),
            ("{}", box.locator(f"button {inner}")),
        )
        for place, (around, part) in enumerate(parts):
            assert part.inner_text().replace("\u2060", "") == around.format(name)
            # An alert has an icon of its own, outside of its text.
            assert part.locator(ELEMENTS).count() == 0, part.inner_html()
            assert part.locator("span[style]").count() == 0, part.inner_html()
            assert part.locator("strong").count() == (place == 1)
    screenshot(page, f"names-{'phone' if phone else 'wide'}")
    assert not [url for url in requests if "127.0.0.1:9/" in url or "example" in url]


def test_a_network_whose_names_are_markup_shows_them_and_asks_nobody(page, app_url):
    requests = asked(page)
    open_segmenters(page, app_url)
    evil = "![x](http://127.0.0.1:9/x)<img src=//127.0.0.1:9/y>"
    carried = {"classes": json.dumps([evil, f"{evil}2"]), "scale": "unit"}
    upload(page, files.save(files.pixelwise(metadata=carried)), f"{evil.replace('/', '')}.onnx")
    button = page.get_by_role("button", name="Use this segmenter")
    expect(button).to_be_enabled(timeout=SECONDS)
    button.click()
    expect(page.get_by_text("In use: choose a page in the navigation")).to_be_visible(timeout=SECONDS)
    for link in ("Inspect", "Occlusion"):
        page.get_by_role("link", name=link, exact=True).first.click()
        expect(page.get_by_text("9/x)<img src=").first).to_be_attached(timeout=SECONDS)
        wait_idle(page, 120)
        assert page.locator("img[src*='127.0.0.1:9/']").count() == 0
        assert page.locator("a[href*='127.0.0.1:9/']").count() == 0
    assert not [url for url in requests if "127.0.0.1:9/" in url]
