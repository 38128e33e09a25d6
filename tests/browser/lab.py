"""What the tests of the lab's pages share: links that run quickly, and what a page says when its run is over."""

import io
import re
import zipfile

from playwright.sync_api import Locator, Page, expect

from .driver import wait_idle

# Six windows, so that a run takes seconds.
FAST = "occ_size=180&occ_stride=180"
# About a dozen segments, a hundred coalitions.
LIME = "per_method=lime&per_segments=slic&per_count=11&per_samples=100"
CAM = "cam_layer=context"
RUN_SECONDS = 90_000


def numbers(page: Page) -> list[str]:
    """What the result says: the raw range, and the areas under the curves."""
    expect(page.get_by_text("Up to date")).to_be_visible(timeout=RUN_SECONDS)
    # A new image starts a run while the old result is still marked as up to date.
    wait_idle(page, RUN_SECONDS / 1000)
    raw = page.get_by_text("Raw range:").inner_text()
    areas = [page.get_by_text(re.compile(f"^{kind}: area")).inner_text() for kind in ("Deletion", "Insertion")]
    return [raw, *areas]


def run_button(page: Page) -> Locator:
    return page.get_by_role("button", name="Run", exact=False).first


def stop_button(page: Page) -> Locator:
    return page.get_by_test_id("stMain").get_by_role("button", name="Stop")


def move_slider(page: Page, label: str, key: str, presses: int) -> None:
    slider = page.get_by_role("slider", name=label)
    slider.focus()
    for _ in range(presses):
        slider.press(key)


def choose(page: Page, label: str, option: str) -> None:
    """Choose from a select box; a long list shows only what was typed."""
    box = page.get_by_role("combobox", name=re.compile(label))
    box.click()
    box.fill(option)
    page.get_by_role("option", name=option, exact=True).click()


def download(page: Page, button: str) -> zipfile.ZipFile:
    with page.expect_download(timeout=60_000) as started:
        page.get_by_role("button", name=button).click()
    with open(started.value.path(), "rb") as file:
        return zipfile.ZipFile(io.BytesIO(file.read()))
