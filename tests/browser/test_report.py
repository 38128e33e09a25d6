"""A visit with several photographs of one's own: moving among them, ground truth, and a report to take away."""

import io
import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import PIL.Image
from playwright.sync_api import expect

import perturb

from .driver import open_page, query, wait_idle
from .lab import choose, numbers, run_button


def photograph(seed, side=96):
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    pixels[side // 2 :] = 90
    return pixels


def file(name, pixels):
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, format="PNG")
    return {"name": name, "mimeType": "image/png", "buffer": buffer.getvalue()}


def test_several_photographs_a_mask_and_a_report(page, new_page, app_url, tmp_path):
    one, two = photograph(1), photograph(2)
    digests = [perturb.load_image(pixels).digest for pixels in (one, two)]
    # A page that runs nothing, so that the first run is on a small image.
    open_page(page, f"{app_url}/faithfulness?fai_view=cards&source=upload")
    page.locator("input[type=file]").first.set_input_files([file("one.png", one), file("two.png", two)])
    expect(page).to_have_url(re.compile(f"photo={digests[0]}"))
    page.get_by_role("link", name="Occlusion").click()
    numbers(page)
    choose(page, "^Fill$", "black")
    choose(page, "^Region$", "all")
    expect(page).to_have_url(re.compile("occ_fill=black.*occ_region=all|occ_region=all.*occ_fill=black"))
    run_button(page).click()
    expect(page).to_have_url(re.compile(f"photo={digests[0]}"))
    first = numbers(page)
    sidebar = page.get_by_test_id("stSidebar")
    expect(sidebar.get_by_role("button", name="one, shown now")).to_be_disabled()
    # The image itself is clickable, also by keyboard.
    sidebar.get_by_alt_text("Thumbnail of two").click(force=True)
    expect(page).to_have_url(re.compile(f"photo={digests[1]}"))
    assert numbers(page) != first
    kept = query(page)
    assert (kept["occ_fill"], kept["occ_region"]) == ("black", "all")
    sidebar.get_by_role("button", name="Show one", exact=True).press("Enter")
    expect(page).to_have_url(re.compile(f"photo={digests[0]}"))
    assert numbers(page) == first

    labels = np.full((96, 96), perturb.load_segmenter().classes.index("road"), dtype=np.uint8)
    labels[:48] = 255
    sidebar.get_by_role("button", name="Ground truth").click()
    page.get_by_test_id("stPopoverBody").locator("input[type=file]").set_input_files(file("mask.png", labels))
    told = "Ground truth: road 50.0%, no class 50.0%."
    expect(page.get_by_test_id("stPopoverBody").get_by_text(told)).to_be_in_viewport()
    expect(sidebar.get_by_text(told)).to_be_visible()
    page.keyboard.press("Escape")
    assert numbers(page) == first, "the truth changes nothing in a region that does not ask for it"

    page.get_by_role("button", name="Add to report").first.click()
    expect(page.get_by_role("button", name="In the report").first).to_be_disabled()
    address = page.url
    sidebar.get_by_role("button", name="Report (1)").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Title").fill("Black or grey?")
    dialog.get_by_role("textbox", name="Note").fill("Half of it is <road>.")
    dialog.get_by_role("textbox", name="Note").press("Control+Enter")
    expect(dialog.get_by_text("1 result, 1 with a note.")).to_be_visible()
    wait_idle(page)
    with page.expect_download(timeout=60_000) as started:
        dialog.get_by_role("button", name="Download the report (HTML)").click()
    path = tmp_path / "report.html"
    started.value.save_as(path)

    other = new_page(color_scheme="dark", viewport={"width": 390, "height": 844})
    asked = []
    other.on("request", lambda request: asked.append(request.url))
    other.goto(path.as_uri())
    expect(other.get_by_role("heading", name="Black or grey?")).to_be_visible()
    expect(other.get_by_text("Half of it is <road>.")).to_be_visible()
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}, "it fetches nothing"
    images = other.locator("img")
    assert images.count() == 3
    assert all(images.evaluate_all("all => all.map(image => image.naturalWidth === 96 && !!image.alt)"))
    assert other.evaluate("document.documentElement.scrollWidth <= innerWidth")
    link = other.locator("main p a").get_attribute("href")
    assert parse_qs(urlsplit(link).query) == parse_qs(urlsplit(address).query)
    assert urlsplit(link)[:3] == urlsplit(address)[:3]
