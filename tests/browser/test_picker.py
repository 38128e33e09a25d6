"""The picker in a real browser: exact pixels, exact boxes, and the inputs and the URL that they are written to."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from pages.parts.widgets.region_picker import Pick, _read

from .driver import open_page, screenshot, serve, wait_idle

W, H = 97, 61  # size of the image of `picker_app.py`


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(tmp_path_factory.mktemp("picker") / "server.log", "tests/browser/picker_app.py") as address:
        yield address


def told(page: Page, **expected: object) -> dict[str, Any]:
    """What the app knows: its number of runs, all picks, the pick this run returned, and the inputs.

    A busy machine begins a rerun late: what is `expected` may come within 10 s, but must come exactly.
    """
    deadline = time.monotonic() + 10
    while True:
        wait_idle(page)
        known = json.loads(page.get_by_test_id("stText").inner_text())
        if expected == {name: known[name] for name in expected}:
            return known
        assert time.monotonic() < deadline, f"expected {expected}, got {known}"


def corner(page: Page) -> tuple[float, float]:
    """The upper left corner of the image on the screen, once the image is loaded."""
    image = page.locator(".stage img[src]")
    image.evaluate("img => img.decode()")
    rect = image.bounding_box()
    assert rect is not None
    return rect["x"], rect["y"]


def click(page: Page, dx: float, dy: float) -> None:
    x, y = corner(page)
    page.mouse.click(x + dx, y + dy)


def drag(page: Page, *points: tuple[float, float], release: bool = True) -> None:
    x, y = corner(page)
    page.mouse.move(x + points[0][0], y + points[0][1])
    page.mouse.down()
    for dx, dy in points[1:]:
        page.mouse.move(x + dx, y + dy, steps=3)
    if release:
        page.mouse.up()


def expect_drawn(page: Page, group: str, box: list[int] | None) -> None:
    """The rectangle drawn in `group` is `box`, half-open in image pixels; None if none is drawn."""
    rect = page.locator(f".stage {group} rect.core")
    if box is None:
        expect(rect).to_be_hidden()
        return
    x0, y0, x1, y1 = box
    expect(rect).to_be_visible()
    for name, value in {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}.items():
        expect(rect).to_have_attribute(name, str(value))


def field(page: Page, label: str) -> Locator:
    return page.get_by_label(label, exact=True)


@pytest.mark.parametrize("density", [1, 2])
def test_a_click_picks_the_pixel_under_it_at_every_zoom(new_page: Callable[..., Page], url: str, density: int) -> None:
    page = new_page(device_scale_factor=density)
    open_page(page, url)
    for view, rendering, clicks in [
        (60, "auto", [((30, 20), (48, 32))]),  # smaller than it is: 48.5, 32.33
        (194, "auto", [((25, 67), (12, 33))]),  # 2 screen px a pixel: 12.5, 33.5
        (195, "pixelated", [((25, 67), (12, 33))]),  # 12.43, 33.33
        # 4 screen px a pixel: two corners, then the last screen px of a pixel and the first of the next.
        (388, "pixelated", [((0, 0), (0, 0)), ((387, 243), (96, 60)), ((51, 135), (12, 33)), ((52, 136), (13, 34))]),
    ]:
        field(page, "Width of the image on the screen").fill(str(view))
        field(page, "Width of the image on the screen").press("Enter")
        expect(page.locator(".stage")).to_have_css("width", f"{view}px")
        told(page, returned=None)
        for offset, (x, y) in clicks:
            click(page, *offset)
            told(page, returned=["pixel", x, y, x + 1, y + 1])
        # Above twice its size, an image shows its pixels as blocks; below, it is smooth.
        assert page.locator(".stage img").evaluate("img => getComputedStyle(img).imageRendering") == rendering


def test_a_drag_picks_the_box_in_any_direction_and_clamped_to_the_image(page: Page, url: str) -> None:
    open_page(page, url)
    drag(page, (42, 22), (162, 102))  # pixels 10 to 40 and 5 to 25, both ends included
    told(page, returned=["box", 10, 5, 41, 26])
    expect_drawn(page, ".outline", [10, 5, 41, 26])
    expect_drawn(page, ".band", None)
    drag(page, (282, 182), (82, 62))
    told(page, returned=["box", 20, 15, 71, 46])
    drag(page, (202, 122), (900, 600))
    told(page, returned=["box", 50, 30, W, H])
    drag(page, (202, 122), (-300, -200))
    told(page, returned=["box", 0, 0, 51, 31])
    told(page, runs=5)


def test_the_band_is_drawn_live_and_escape_cancels_it(page: Page, url: str) -> None:
    open_page(page, url)
    drag(page, (42, 22), (162, 102), release=False)
    expect_drawn(page, ".band", [10, 5, 41, 26])
    expect(page.locator(".hint")).to_have_text("x 10 to 40, y 5 to 25 (31 × 21 px)")
    page.keyboard.press("Escape")
    expect_drawn(page, ".band", None)
    page.mouse.up()
    assert told(page) == {"runs": 1, "picks": [], "nonces": 0, "returned": None, "state": [0, 0, 1, 1]}
    drag(page, (50, 134), (53, 136))  # a hand that trembles by 3.6 px, into the next pixel, clicks where it pressed
    told(page, picks=[["pixel", 12, 33, 13, 34]])
    drag(page, (50, 134), (54, 137))  # 5 px are a drag
    told(page, returned=["box", 12, 33, 14, 35])


def test_a_drag_goes_on_when_the_app_draws_the_picker_again(page: Page, url: str) -> None:
    open_page(page, f"{url}/?pick_x1=30&pick_y1=20")
    drag(page, (42, 22), (82, 42), release=False)
    page.locator("[data-testid=stNumberInputStepUp]").nth(3).evaluate("button => button.click()")
    told(page, state=[0, 0, 31, 20])
    expect_drawn(page, ".outline", [0, 0, 31, 20])
    x, y = corner(page)
    page.mouse.move(x + 162, y + 102)
    expect_drawn(page, ".band", [10, 5, 41, 26])
    page.mouse.up()
    told(page, picks=[["box", 10, 5, 41, 26]])


def test_the_same_pixel_twice_is_two_picks_and_a_rerun_is_none(page: Page, url: str) -> None:
    open_page(page, url)
    click(page, 50, 134)
    told(page, runs=2)
    click(page, 50, 134)
    after = told(page, runs=3)  # one run a pick: no handler attached twice, no loop
    assert after["picks"] == [["pixel", 12, 33, 13, 34]] * 2
    assert after["nonces"] == 2
    page.get_by_role("button", name="Run again").click()
    again = told(page, runs=4)
    assert again == after | {"runs": 4, "returned": None}


def test_a_pick_writes_the_bound_inputs_and_the_url(page: Page, url: str) -> None:
    open_page(page, url)
    drag(page, (42, 22), (162, 102))
    told(page, state=[10, 5, 41, 26])
    for label, value in {"x0": "10", "y0": "5", "x1": "41", "y1": "26"}.items():
        expect(field(page, label)).to_have_value(value)
    expect(page).to_have_url(f"{url}/?pick_x0=10&pick_y0=5&pick_x1=41&pick_y1=26")
    page.reload()
    assert told(page) == {"runs": 1, "picks": [], "nonces": 0, "returned": None, "state": [10, 5, 41, 26]}
    field(page, "x1").fill("50")
    field(page, "x1").press("Enter")
    told(page, state=[10, 5, 50, 26])
    expect_drawn(page, ".outline", [10, 5, 50, 26])
    expect(page.locator(".label")).to_have_text("region")
    click(page, 2, 2)  # the defaults leave the URL
    told(page, state=[0, 0, 1, 1])
    expect(page).to_have_url(f"{url}/")


def test_the_keyboard_picks_a_pixel(page: Page, url: str) -> None:
    open_page(page, f"{url}/?pick_x0=20&pick_y0=10&pick_x1=40&pick_y1=30")
    page.get_by_label("Cells").focus()
    page.keyboard.press("Tab")
    stage = page.get_by_role("application", name="A test card")
    expect(stage).to_be_focused()
    expect(stage.get_by_role("img", name="A test card")).to_be_visible()
    assert "0px 0px 0px 5px" in stage.evaluate("e => getComputedStyle(e).boxShadow")
    for key in ("ArrowRight", "Shift+ArrowRight", "ArrowDown", "Shift+ArrowUp", "ArrowUp", "ArrowLeft"):
        page.keyboard.press(key)
    expect(page.locator(".hint")).to_have_text("x 39, y 9")  # from the middle of the box, 29 and 19
    page.keyboard.press("Enter")
    told(page, picks=[["pixel", 39, 9, 40, 10]])
    expect(stage.locator("~ [role=status]")).to_have_text("Picked x 39, y 9")
    page.keyboard.press("ArrowRight")  # the rerun took neither the focus nor the crosshair
    for _ in range(2):
        page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Enter")
    told(page, returned=["pixel", 40, 0, 41, 1])


def test_cells_are_picked_whole_and_never_dragged(page: Page, url: str) -> None:
    open_page(page, f"{url}/?pick_cells=true")
    click(page, 102, 82)  # pixel 25, 20 in cells of 10 × 8
    told(page, picks=[["cell", 20, 16, 30, 24]])
    click(page, 387, 243)  # the last cell is cut by the edges
    told(page, returned=["cell", 90, 56, W, H])
    drag(page, (10, 10), (200, 200))
    told(page, runs=3)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    told(page, returned=["cell", 0, 0, 10, 8])


def test_a_low_window_shows_all_of_the_image(new_page: Callable[..., Page], url: str) -> None:
    page = new_page(viewport={"width": 1440, "height": 244})
    open_page(page, url)
    page.locator(".stage").scroll_into_view_if_needed()
    box = page.locator(".stage").bounding_box()
    assert box is not None
    assert (box["width"], box["height"]) == (pytest.approx(291, abs=0.1), pytest.approx(183, abs=0.1))  # 3 px a pixel
    click(page, 37, 100)
    told(page, picks=[["pixel", 12, 33, 13, 34]])


def test_on_a_phone_it_fits_and_a_finger_draws_but_scrolls_beside_it(new_page: Callable[..., Page], url: str) -> None:
    page = new_page(viewport={"width": 390, "height": 600}, has_touch=True, is_mobile=True, device_scale_factor=3)
    open_page(page, f"{url}/?pick_view=1200&pick_x0=5&pick_y0=5&pick_x1=40&pick_y1=20")
    box = page.locator(".stage").bounding_box()
    column = page.get_by_test_id("stNumberInput").first.bounding_box()
    assert box is not None
    assert column is not None
    assert (box["x"], box["width"]) == (column["x"], column["width"])  # the whole column
    assert box["height"] == pytest.approx(box["width"] * H / W, abs=0.1)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    screenshot(page, "picker-phone")

    touch = page.context.new_cdp_session(page)
    scrolled = "document.querySelector('[data-testid=stMain]').scrollTop"
    zoom = box["width"] / W

    def swipe(*points: tuple[float, float]) -> None:
        for kind, (x, y) in zip(["touchStart", *["touchMove"] * (len(points) - 1)], points, strict=True):
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def place(x: float, y: float) -> tuple[float, float]:
        return box["x"] + (x + 0.5) * zoom, box["y"] + (y + 0.5) * zoom

    swipe(place(60, 50), place(40, 30), place(30, 12))
    told(page, picks=[["box", 30, 12, 61, 51]])
    assert page.evaluate(scrolled) == 0
    assert box["y"] + box["height"] < 470
    swipe(*((100, 590 - 20 * i) for i in range(6)))
    page.wait_for_function(f"{scrolled} > 0")
    told(page, runs=2)


def test_the_hint_follows_the_theme(page: Page, url: str) -> None:
    open_page(page, f"{url}/?pick_x0=20&pick_y0=10&pick_x1=60&pick_y1=40")
    colours = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        wait_idle(page)
        colours.append(page.get_by_test_id("stApp").evaluate("e => getComputedStyle(e).color"))
        expect(page.locator(".hint")).to_have_css("color", colours[-1])
        expect_drawn(page, ".outline", [20, 10, 60, 40])
        screenshot(page, f"picker-{scheme}")
    light, dark = (sum(map(int, colour[4:-1].split(","))) for colour in colours)
    assert light < 250 < 500 < dark


@pytest.mark.parametrize(
    ("raw", "pick"),
    [
        ({"kind": "pixel", "x0": 3, "y0": 4, "x1": 4, "y1": 5, "nonce": "n"}, Pick("pixel", 3, 4, 4, 5, "n")),
        ({"kind": "box", "x0": -9, "y0": -9, "x1": 999, "y1": 999, "nonce": "n"}, Pick("box", 0, 0, W, H, "n")),
        ({"kind": "box", "x0": W, "y0": 0, "x1": W + 5, "y1": 5, "nonce": "n"}, None),
        ({"kind": "box", "x0": 5, "y0": 5, "x1": 5, "y1": 9, "nonce": "n"}, None),
        ({"kind": "box", "x0": 0.5, "y0": 0, "x1": 5, "y1": 5, "nonce": "n"}, None),
        ({"kind": "box", "x0": True, "y0": 0, "x1": 5, "y1": 5, "nonce": "n"}, None),
        ({"kind": "line", "x0": 0, "y0": 0, "x1": 5, "y1": 5, "nonce": "n"}, None),
        ({"kind": "box"}, None),
        ("box", None),
        (None, None),
    ],
)
def test_what_a_browser_sends_is_clipped_or_refused(raw: object, pick: Pick | None) -> None:
    assert _read(raw, W, H) == pick
