"""The occlusion page in a real browser, against a real server."""

import io
import json
import re
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
from numpy.testing import assert_allclose
from playwright.sync_api import expect

from .driver import open_page, query, wait_idle
from .lab import FAST, RUN_SECONDS, download, move_slider, numbers, run_button, stop_button

# Ten thousand windows: a run that is still going when the test stops it.
LONG = "occ_size=16&occ_stride=4"


def test_a_deep_link_may_be_the_first_request_and_is_the_same_everywhere(fresh_server, new_page, app_url):
    link = f"/occlusion?{FAST}&sample=bicyclist-close&occ_class=bicyclist&occ_fill=blur&occ_sigma=8"
    first = new_page()
    open_page(first, fresh_server() + link)
    expect(first.get_by_role("heading", name="Occlusion", exact=True)).to_be_visible()
    expect(first.get_by_role("link", name="Home")).to_be_visible()
    seen = numbers(first)
    assert query(first)["occ_class"] == "bicyclist"

    second = new_page()  # another browser on another server, following the address that the first one shows
    open_page(second, app_url + first.url[first.url.index("/occlusion") :])
    assert numbers(second) == seen


def test_moving_a_slider_marks_the_result_stale_and_run_makes_a_new_one(page, app_url):
    open_page(page, f"{app_url}/occlusion?{FAST}")
    before = numbers(page)
    move_slider(page, "Size (px)", "ArrowRight", 2)
    expect(page.get_by_text("Stale: the settings have changed")).to_be_visible()
    expect(page).to_have_url(re.compile("occ_size=(19|20)[0-9]"))
    expect(page.locator("[class*=st-key-occ_map_stale]")).to_be_visible()
    expect(page.locator("[class*=st-key-occ_rest_stale]")).to_be_visible()
    assert page.get_by_text("Raw range:").inner_text() == before[0], "the old result stays readable"
    run_button(page).click()
    after = numbers(page)
    assert after[0] != before[0]
    expect(page.locator("[class*=st-key-occ_map_stale]")).to_have_count(0)


def test_a_run_shows_progress_and_stop_stops_it(page, app_url):
    open_page(page, f"{app_url}/occlusion?{FAST}")
    before = numbers(page)
    # The same page with a long run: too long to start by itself.
    open_page(page, f"{app_url}/occlusion?{LONG}")
    expect(page.get_by_text("Nothing has been run")).to_be_visible()
    expect(page.get_by_text(re.compile(r"10.?\d{3} forward passes for the map and 97"))).to_be_visible()
    run_button(page).click()
    expect(page.get_by_text("Nothing has been run")).to_have_count(0)
    progress = page.get_by_text(re.compile(r"Map: [1-9]\d* of 1\d,\d{3} forward passes, about .* left"))
    expect(progress).to_be_visible(timeout=30_000)
    stop_button(page).click()
    expect(progress).to_have_count(0)
    expect(page.get_by_text("The run was stopped. Press Run to start it again.")).to_be_visible()
    expect(run_button(page)).to_be_enabled()
    wait_idle(page)
    expect(stop_button(page)).to_have_count(0)
    # The lock is free: the next visitor's run goes through at once.
    open_page(page, f"{app_url}/occlusion?{FAST}")
    assert numbers(page) == before


@pytest.mark.long
def test_a_run_goes_on_when_a_viewer_control_moves_in_the_middle_of_it(page, app_url):
    open_page(page, f"{app_url}/occlusion?{FAST}")
    numbers(page)
    move_slider(page, "Stride (px)", "Home", 1)
    move_slider(page, "Stride (px)", "ArrowRight", 9)  # 40 px: 30 windows
    expect(page.get_by_text("Stale")).to_be_visible()
    run_button(page).click()
    expect(stop_button(page)).to_be_visible()
    page.get_by_text("lost", exact=True).first.click()
    expect(page.get_by_text(re.compile("pixels lost; the clean score"))).to_be_visible(timeout=RUN_SECONDS)
    numbers(page)


def test_a_setting_that_changes_in_the_middle_of_a_run_ends_it_and_the_page_says_so(page, app_url):
    open_page(page, f"{app_url}/occlusion?{LONG}")
    run_button(page).click()
    expect(page.get_by_text(re.compile("Map: [1-9]"))).to_be_visible(timeout=30_000)
    expect(page.get_by_role("button", name="Stop")).to_have_count(1)
    move_slider(page, "Size (px)", "ArrowRight", 1)
    expect(page.get_by_text("The run was stopped because a setting changed")).to_be_visible(timeout=30_000)
    wait_idle(page)
    expect(stop_button(page)).to_have_count(0)


@pytest.mark.parametrize("late", [False, True])
def test_a_link_that_is_pressed_while_home_is_loading_opens_its_own_image(page, app_url, late):
    held = []  # the code that draws the sidebar, which the browser then does not know yet
    if late:
        page.route(re.compile(r"/static/js/(Selectbox|ButtonGroup)\.[^/]*js"), lambda route: held.append(route))
    page.goto(app_url)
    link = page.get_by_test_id("stMain").locator("a[href*='sample=rain']").first
    link.wait_for(state="attached", timeout=30_000)
    link.evaluate("link => link.click()")  # at once, and not when it has come to rest
    if late:
        page.wait_for_timeout(1000)  # the press has reached the server
        assert held, "the sidebar is drawn by other files now"
        for request in held:
            request.continue_()
        page.unroute_all()
    expect(page.get_by_role("heading", name="Occlusion", exact=True)).to_be_visible(timeout=30_000)
    expect(page.get_by_role("combobox", name=re.compile("Sample"))).to_have_value("rain", timeout=30_000)
    expect(page).to_have_url(re.compile(r"/occlusion\?sample=rain$"), timeout=30_000)
    page.go_back()
    expect(page).to_have_url(f"{app_url}/")
    expect(page.get_by_role("heading", name="What does a segmenter need to see?")).to_be_visible(timeout=30_000)


def test_a_sample_is_in_the_address_only_while_it_is_shown(page, app_url):
    open_page(page, f"{app_url}/?source=upload&sample=rain")
    assert query(page) == {"source": "upload", "sample": "rain"}
    photo = {"name": "street.png", "mimeType": "image/png", "buffer": street_photo()}
    page.locator("input[type=file]").set_input_files(photo)
    expect(page).to_have_url(re.compile(r"/\?source=upload&photo=[0-9a-f]{32}$"))
    page.get_by_role("button", name="Show rain").click()
    expect(page).to_have_url(f"{app_url}/?sample=rain")


def test_dragging_a_box_and_clicking_a_part_write_the_inputs(page, app_url):
    open_page(page, f"{app_url}/occlusion?{FAST}")
    numbers(page)
    image = page.get_by_role("application").first
    image.scroll_into_view_if_needed()
    at = image.bounding_box()
    scale = at["width"] / 480

    def point(x, y):
        return at["x"] + (x + 0.5) * scale, at["y"] + (y + 0.5) * scale

    page.mouse.move(*point(140, 150))
    page.mouse.down()
    page.mouse.move(*point(300, 200))
    page.mouse.move(*point(399, 249))
    page.mouse.up()
    expect(page).to_have_url(re.compile("occ_region=box"))
    for name, value in (("x0", 140), ("y0", 150), ("x1", 400), ("y1", 250)):
        box_input = page.get_by_label(name, exact=True)
        expect(box_input).to_have_value(re.compile(r"\d+"))
        assert abs(int(box_input.input_value()) - value) <= 1, name  # a pixel is narrower than a screen pixel here
        assert query(page)[f"occ_{name}"] == box_input.input_value(), "the address is a link to this very box"
    expect(page.get_by_text("Stale")).to_be_visible()
    expect(page.get_by_text(re.compile(r"Outlined: the explained region, 2\d,\d{3} pixels"))).to_be_visible()
    run_button(page).click()
    numbers(page)
    at = image.bounding_box()
    page.mouse.click(*point(240, 215))  # the side of the car
    expect(page).to_have_url(re.compile("occ_region=component"))
    expect(page.get_by_label("x", exact=True).first).to_have_value("240")
    expect(page).to_have_url(re.compile("occ_x=240&occ_y=21[0-9]"))


def test_the_zip_is_what_the_command_line_writes(page, app_url, tmp_path):
    open_page(page, f"{app_url}/occlusion?{FAST}&sample=rain&occ_class=road&occ_fill=mean")
    numbers(page)
    archive = download(page, "Download everything")
    shown = page.get_by_role("tab", name="Command line")
    shown.click()
    command = page.locator("[data-testid=stCode]:visible").inner_text()
    arguments = command.replace("python -m perturb", "").split()
    arguments[arguments.index("--out") + 1] = str(tmp_path / "out")
    done = subprocess.run([sys.executable, "-m", "perturb", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = tmp_path / "out"
    assert set(archive.namelist()) == {path.name for path in written.iterdir()}
    for name in ("heatmap.npy", "lost.npy", "gained.npy"):
        ours = np.load(io.BytesIO(archive.read(name)))
        theirs = np.load(written / name)
        assert ours.dtype == theirs.dtype == np.float32
        assert_allclose(ours, theirs, atol=1e-5)
    ours, theirs = json.loads(archive.read("result.json")), json.loads((written / "result.json").read_text())
    assert ours["metrics"] == pytest.approx(theirs["metrics"], abs=1e-5)
    for part in ("image", "segmenter", "target", "method", "settings", "seed", "forwards", "versions"):
        assert ours[part] == theirs[part], part
    assert archive.read("reproduce.py") == (written / "reproduce.py").read_bytes()


def test_the_probe_follows_a_click_on_the_map(page, app_url):
    open_page(page, f"{app_url}/occlusion?{FAST}")
    numbers(page)
    expect(page.get_by_text("Rank 1 of 6")).to_be_visible()
    stage = page.locator("[class*=st-key-occ_map_picker]").locator("img").first
    stage.scroll_into_view_if_needed()
    at = stage.bounding_box()
    page.mouse.click(at["x"] + at["width"] * 0.1, at["y"] + at["height"] * 0.1)
    expect(page.get_by_text("window 1 of 6, x 0 to 179, y 0 to 179")).to_be_visible()
    assert query(page)["occ_wx"] == "89"
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("window 1 of 6")).to_have_count(0)


@pytest.mark.long
def test_a_short_run_gets_through_beside_a_long_one(new_page, app_url):
    first, second = new_page(), new_page()
    open_page(first, f"{app_url}/occlusion?{LONG}")
    run_button(first).click()
    expect(first.get_by_text(re.compile("Map: [1-9]"))).to_be_visible(timeout=30_000)
    second.goto(f"{app_url}/occlusion?{FAST}&sample=fog&occ_class=road&occ_fill=white")
    expect(first.get_by_text("in turns with 1 other visitor")).to_be_visible(timeout=30_000)
    numbers(second)
    expect(first.get_by_text(re.compile("Map: [1-9]"))).to_be_visible()
    expect(first.get_by_text("in turns with")).to_have_count(0)
    first.close()


@pytest.mark.long
def test_a_waiting_visitor_sees_the_place_can_stop_and_is_served_when_the_other_leaves(new_page, fresh_server):
    url = fresh_server(LAB_SLICE_SECONDS="3600")  # no turns, so that one waits
    first, second = new_page(), new_page()
    open_page(first, f"{url}/occlusion?{LONG}")
    run_button(first).click()
    expect(first.get_by_text(re.compile("Map: [1-9]"))).to_be_visible(timeout=30_000)
    second.goto(f"{url}/occlusion?{FAST}&sample=fog&occ_class=road&occ_fill=white")
    line = second.get_by_text(re.compile(r"1st in line, about \d+ (s|min)"))
    expect(line).to_be_visible(timeout=30_000)
    second.get_by_role("button", name="Stop").click()
    expect(second.get_by_text("The run was stopped. Press Run to start it again.")).to_be_visible(timeout=5_000)
    # Another tab of the same browser is the same visitor.
    third = second.context.new_page()
    third.goto(f"{url}/occlusion?{FAST}&sample=fog&occ_class=road&occ_fill=black")
    expect(third.get_by_text(re.compile("1st in line"))).to_be_visible(timeout=30_000)
    run_button(second).click()
    expect(second.get_by_text(re.compile("2nd in line"))).to_be_visible(timeout=30_000)
    first.close()  # leaving ends the run
    numbers(third)
    numbers(second)


def street_photo(width=320, height=240) -> bytes:
    pixels = np.full((height, width, 3), 200, dtype=np.uint8)
    pixels[height // 2 :] = 90
    pixels[height // 2 - 20 : height // 2 + 40, 100:200] = (150, 20, 20)
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.long
def test_an_own_photograph_a_broken_one_and_the_link_to_it(page, new_page, app_url):
    open_page(page, f"{app_url}/occlusion?source=upload&occ_region=all&occ_class=road&occ_size=120&occ_stride=120")
    numbers(page)
    uploader = page.locator("input[type=file]")
    uploader.set_input_files({"name": "street.png", "mimeType": "image/png", "buffer": street_photo()})
    expect(page).to_have_url(re.compile("photo=[0-9a-f]{32}"))
    seen = numbers(page)
    uploader.set_input_files({"name": "broken.png", "mimeType": "image/png", "buffer": street_photo()[:300]})
    expect(page.get_by_text("data is truncated or damaged")).to_be_visible()
    expect(page.get_by_text("The previous image is still shown")).to_be_visible()
    assert numbers(page) == seen

    other = new_page()
    open_page(other, page.url)
    expect(
        other.get_by_text(re.compile("belongs to a photograph that is not in it.*digest [0-9a-f]{12}"))
    ).to_be_visible()
    other.locator("input[type=file]").set_input_files(
        {"name": "street.png", "mimeType": "image/png", "buffer": street_photo()}
    )
    expect(other.get_by_text("belongs to a photograph")).to_have_count(0)
    assert numbers(other) == seen
