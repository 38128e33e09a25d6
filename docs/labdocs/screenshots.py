"""Makes the images of the README, of the pages and of the gallery again: `make screenshots`.

A real server is driven by a real browser, so that an image shows what its link opens.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

import PIL.Image
from playwright.sync_api import Browser, Locator, Page

from docs.labdocs.gallery import Example, examples
from tests.browser.chromium import advice, open_browser
from tests.browser.driver import UNROLLED, open_page, serve, wait_idle

DOCS = Path(__file__).resolve().parents[1]
SCREENSHOTS = {
    "occlusion": (
        1180,
        "occlusion",
        {"sample": "quiet-street", "occ_class": "car", "occ_size": "40", "occ_stride": "24"},
    ),
    "compare": (1300, "compare", {"sample": "quiet-street", "cmp_class": "car", "cmp_2_method": "grad-cam"}),
    "inspect": (1040, "inspect", {"sample": "quiet-street", "ins_view": "layers", "ins_class": "car"}),
}
"""Height of the window in px, page and settings of each screenshot, by the name of its file in `docs/`."""
WIDTH = 1280
RUN_SECONDS = 600
COLOURS = 256
"""Of a screenshot, for a small file."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make all images, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m docs.labdocs.screenshots", description=__doc__)
    parser.add_argument("names", nargs="*", help="of images, without their endings (default: all of them)")
    names = parser.parse_args(arguments).names
    wanted = [example for example in examples() if not names or example.name in names]
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        if browser is None:
            print(advice(), file=sys.stderr)
            return 1
        with serve(Path(folder) / "server.log") as lab:
            for name, (height, page, query) in SCREENSHOTS.items():
                if not names or name in names:
                    _tell(_screenshot(browser, f"{lab}/{page}?{urlencode(query)}", height, DOCS / f"{name}.png"))
            for example in wanted:
                _tell(_figure(browser, lab, example))
    return 0


def _tell(path: Path) -> None:
    print(f"{path.relative_to(DOCS.parent)}: {path.stat().st_size / 1000:.0f} kB", flush=True)


def _screenshot(browser: Browser, link: str, height: int, path: Path) -> Path:
    """A window of the page, from its top."""
    page = _opened(browser, link, height)
    shot = page.screenshot(animations="disabled")
    page.context.close()
    image = PIL.Image.open(io.BytesIO(shot)).convert("RGB")
    # The palette is refined by k-means, and dithered: colour bars must keep their colours.
    palette = image.quantize(COLOURS, kmeans=2)
    image.quantize(palette=palette, dither=PIL.Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
    return path


def _figure(browser: Browser, lab: str, example: Example) -> Path:
    """The part of the page that the example is about."""
    page = _opened(browser, example.link(lab), 900, example.until or example.last)
    page.add_style_tag(content=UNROLLED)  # nothing is scrolled out of sight
    page.wait_for_timeout(1500)
    main = page.get_by_test_id("stMainBlockContainer")
    first, last = (_box(_text(main, text)) for text in (example.first, example.last))
    column = _box(main.get_by_test_id("stHeading").first)
    top, bottom = first["y"] - 12, last["y"] + last["height"] + 12
    clip = {"x": column["x"] - 12, "y": top, "width": column["width"] + 24, "height": bottom - top}
    shot = page.screenshot(full_page=True, clip=clip, animations="disabled")
    page.context.close()
    image = PIL.Image.open(io.BytesIO(shot)).convert("RGB")
    image.save(example.image, quality=80, method=6)
    return example.image


def _opened(browser: Browser, link: str, height: int, until: str = "") -> Page:
    """The page behind a link once its run has finished and the text `until` is there."""
    page = browser.new_context(viewport={"width": WIDTH, "height": height}).new_page()
    open_page(page, link, RUN_SECONDS)
    # A run that would take long waits for a press.
    button = page.get_by_test_id("stMain").get_by_role("button", name=re.compile(r"\bRun\b|Explain both")).first
    if button.count() and button.is_enabled():
        button.click()
        page.wait_for_timeout(2000)
        wait_idle(page, RUN_SECONDS)
    if until:
        shown = page.get_by_test_id("stMainBlockContainer").get_by_text(until).first
        shown.wait_for(state="visible", timeout=1000 * RUN_SECONDS)
        wait_idle(page, RUN_SECONDS)
    page.wait_for_timeout(1500)  # charts draw their lines
    return page


def _text(within: Locator, text: str) -> Locator:
    whole = within.get_by_text(text, exact=True)
    return (whole if whole.count() else within.get_by_text(text)).first


def _box(place: Locator) -> dict[str, float]:
    place.wait_for(state="visible", timeout=10_000)
    box = place.bounding_box()
    assert box is not None, "a visible element has a box"
    return dict(box)


if __name__ == "__main__":
    sys.exit(main())
