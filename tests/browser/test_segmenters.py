"""The segmenters page in a real browser: a network is uploaded, described, tried, and explained."""

import pickle
import re

import numpy as np
import pytest
from playwright.sync_api import Page, expect

import perturb
from perturb.engine.runner import clean_logits
from tests import onnx_files as files

from .driver import open_page, query, wait_idle
from .lab import choose, download, numbers

SECONDS = 60_000
# Dark against bright, without metadata on the input scale.
DARK = files.save(files.pixelwise())
NAMES = "bright, dark"


def upload(page: Page, data: bytes, name: str, label: str = "ONNX file") -> None:
    box = page.get_by_test_id("stFileUploader").filter(has_text=label).locator("input[type=file]")
    box.set_input_files({"name": name, "mimeType": "application/octet-stream", "buffer": data})


def open_segmenters(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/segmenters?seg_view=bring-your-own")
    expect(page.get_by_text("Your own network, as an ONNX file")).to_be_visible(timeout=SECONDS)


def test_a_network_from_its_file_to_its_explanation(page, app_url):
    open_segmenters(page, app_url)
    upload(page, DARK, "dark.onnx")
    expect(page.get_by_text("From the graph")).to_be_visible(timeout=SECONDS)
    expect(page.get_by_text("channels: 2")).to_be_visible()
    # The first choice is wrong for this network; the right one is picked by what it predicts.
    page.get_by_role("button", name="Use 0 … 1").click()
    expect(page.get_by_role("combobox", name="Input scale")).to_have_value("as they are, in [0, 1]", timeout=SECONDS)
    wait_idle(page)
    names = page.get_by_role("textbox", name="Class names")
    names.fill(NAMES)
    names.press("Control+Enter")
    legend = page.get_by_test_id("stMain").get_by_text("dark", exact=False)
    expect(legend.last).to_be_visible(timeout=SECONDS)
    wait_idle(page)
    page.get_by_role("button", name="Use this segmenter").click()
    expect(page.get_by_text("In use: choose a page in the navigation")).to_be_visible(timeout=SECONDS)
    segmenter = perturb.load_onnx(DARK, name="dark.onnx", scale="unit", classes=["bright", "dark"])
    wait_idle(page)
    assert query(page)["segmenter"] == "dark.onnx"
    assert query(page)["model"] == segmenter.digest

    page.get_by_role("link", name="Occlusion").click()
    expect(page.get_by_role("combobox", name="Segmenter")).to_have_value("dark.onnx", timeout=SECONDS)
    numbers(page)
    archive = download(page, "Download everything")
    with archive.open("heatmap.npy") as file:
        drawn = np.load(file)
    label = page.get_by_role("combobox", name="Class").first.input_value()
    expected = perturb.explain(perturb.sample("quiet-street"), segmenter, perturb.Target(label))
    np.testing.assert_allclose(drawn, expected.heatmap, atol=1e-5)
    assert segmenter.digest in archive.read("result.json").decode()


def test_each_file_has_its_own_class_names(page, app_url):
    open_segmenters(page, app_url)
    main = page.get_by_test_id("stMain")
    for name, classes in {"plain": "", "named": "sky, meadow", "later": ""}.items():
        data = files.save(files.pixelwise(metadata={"note": name} | ({"classes": classes} if classes else {})))
        upload(page, data, f"{name}.onnx")
        legend = main.get_by_text(re.compile(r"^(sky|meadow) [<\d]" if classes else r"^class [01] [<\d]"))
        expect(legend.first).to_be_visible(timeout=SECONDS)
        wait_idle(page)
        expect(page.get_by_role("textbox", name="Class names")).to_have_value(classes)
        expect(main.get_by_text(re.compile(r"^class [01] [<\d]" if classes else r"^(sky|meadow) [<\d]"))).to_have_count(
            0
        )


# Wide things may scroll inside a box of their own, as tables and code do; the page may not.
SIDEWAYS = """() => {
  const boxed = e => { for (let p = e.parentElement; p && p.dataset.testid !== 'stMain'; p = p.parentElement)
    if (['auto', 'scroll', 'hidden'].includes(getComputedStyle(p).overflowX)) return true; return false };
  const main = document.querySelector('[data-testid=stMain]');
  return [...main.querySelectorAll('*')].filter(e => e.offsetParent && e.getBoundingClientRect().right > innerWidth + 1
    && !e.closest('[role=tooltip]') && !boxed(e)).length + (main.scrollWidth > main.clientWidth) }"""
VIEWS = {
    "this-picture": "Confusion matrix",
    "catalogue": "What a segmenter can offer",
    "architecture": "By type",
    "bring-your-own": "How to make that file",
}


@pytest.mark.parametrize(
    ("width", "theme"),
    [
        (1440, "light"),
        (390, "dark"),
        pytest.param(1440, "dark", marks=pytest.mark.long),
        pytest.param(390, "light", marks=pytest.mark.long),
    ],
)
def test_every_view_fits_its_window(new_page, app_url, width, theme):
    phone = width < 500
    page = new_page(viewport={"width": width, "height": 900}, color_scheme=theme, is_mobile=phone, has_touch=phone)
    open_page(page, f"{app_url}/segmenters")
    main = page.get_by_test_id("stMain")
    for view, words in VIEWS.items():
        main.get_by_role("radio", name=view).click()
        expect(main.get_by_text(words).first).to_be_visible(timeout=SECONDS)
        wait_idle(page)
        if view == "bring-your-own":  # the widest of what is folded: code, and a table in another place
            for title in ("Export from Keras 3", "What gets in the way", "Your own code, in five lines"):
                main.get_by_text(title).click()
        if view == "this-picture":
            expect(main.locator("[data-testid=stVegaLiteChart] svg")).to_have_count(1)
            assert main.locator("img:visible").count() == 3
        page.wait_for_timeout(300)  # what was unfolded is still growing
        assert page.evaluate(SIDEWAYS) == 0, view
        for image in main.locator("img:visible").all():
            assert image.get_attribute("alt"), "every image has an alternative text"


def test_a_part_leads_to_its_explanation(page, app_url):
    open_page(page, f"{app_url}/segmenters?seg_view=architecture&sample=fog")
    main = page.get_by_test_id("stMain")
    context = main.locator("summary", has_text="context")
    expect(context).to_have_text(re.compile(r"context.*128 × 23 × 30.*1,180,672 parameters"))
    inner = context.locator("xpath=..").locator("summary", has_text="Residual").first
    expect(inner).to_be_hidden()
    context.click()
    expect(inner).to_be_visible()
    choose(page, "Part", "context")
    expect(main.get_by_text("1,180,672 parameters (70.0% of all)")).to_be_visible(timeout=SECONDS)
    wait_idle(page)  # the link belongs to the part only when the page has been drawn again
    main.get_by_role("link", name="Explain with this layer").click()
    expect(page.get_by_role("combobox", name="Layer")).to_have_value("context", timeout=SECONDS)
    expect(page.get_by_role("combobox", name="Sample")).to_have_value("fog")


def test_a_card_chooses_its_segmenter(page, app_url):
    open_page(page, f"{app_url}/segmenters?seg_view=catalogue")
    main = page.get_by_test_id("stMain")
    main.get_by_role("button", name="Use this segmenter").first.click()
    expect(page.get_by_role("combobox", name="Segmenter")).not_to_have_value("streets-unet", timeout=SECONDS)
    wait_idle(page)
    chosen = page.get_by_role("combobox", name="Segmenter").input_value()
    assert query(page)["segmenter"] == chosen
    main.get_by_role("radio", name="this-picture").click()
    expect(main.get_by_text(f"{chosen} predicts on quiet-street")).to_be_visible(timeout=SECONDS)
    with page.expect_download(timeout=SECONDS) as started:
        main.get_by_role("button", name="Download the arrays (npz)").click()
    taken, segmenter = np.load(started.value.path()), perturb.load_segmenter(chosen)
    logits = clean_logits(perturb.sample("quiet-street"), segmenter)
    np.testing.assert_array_equal(taken["prediction"], logits.argmax(0))
    np.testing.assert_allclose(taken["confidence"], logits.softmax(0).amax(0), atol=1e-5)
    assert tuple(taken["classes"]) == segmenter.classes
    assert taken["confusion"].sum() == (taken["truth"] != 255).sum()


def test_a_link_says_which_file_it_needs(new_page, app_url):
    page = new_page()
    digest = perturb.load_onnx(DARK, scale="unit", classes=["bright", "dark"]).digest
    open_page(page, f"{app_url}/segmenters?segmenter=dark.onnx&model={digest}")
    expect(page.get_by_text("dark.onnx is no longer in memory; upload it again")).to_be_visible(timeout=SECONDS)
    expect(page.get_by_text(f"Its digest begins with {digest[:12]}")).to_be_visible()
    assert query(page)["model"] == digest
    choose(page, "Segmenter", "streets-shortcut")
    expect(page.get_by_text("is no longer in memory")).to_have_count(0, timeout=SECONDS)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (pickle.dumps({"weights": [1, 2]}), "a Python pickle, which runs code when it is opened"),
        pytest.param(
            files.save(files.looping()), "a loop or a branch, which could run without end", marks=pytest.mark.long
        ),
        pytest.param(files.save(files.simple("ArgMax", axis=1)), "a map of class indices", marks=pytest.mark.long),
    ],
    ids=["pickle", "loop", "class-map"],
)
def test_what_is_refused_is_refused_in_words_and_everything_else_stays(page, app_url, data, words):
    open_segmenters(page, app_url)
    upload(page, data, "model.onnx")
    expect(page.get_by_role("alert").filter(has_text=words)).to_be_visible(timeout=SECONDS)
    expect(page.get_by_role("button", name="Use this segmenter")).to_have_count(0)
    expect(page.get_by_role("combobox", name="Segmenter")).to_have_value("streets-unet")
