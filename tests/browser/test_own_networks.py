"""Strangers' files on a real server: a network killed in the middle of a run, stopped, left behind; hostile uploads."""

import io
import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

import PIL.Image
import pytest
from playwright.sync_api import Page, expect

from tests import onnx_files as files

from .driver import open_page, wait_idle
from .lab import numbers, stop_button
from .test_segmenters import SECONDS, open_segmenters, upload

SAID = {"scale": "unit", "classes": "ground, thing"}
# Half a second a pass at 480 × 360, so that a run takes a minute.
HEAVY = files.save(files.slow(1, metadata=SAID))


def parent_of(app_url: str) -> int:
    """The server at an address."""
    port = app_url.rsplit(":", 1)[1]
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            words = file.read_text().split("\0")
            if "streamlit" in words and port in words:
                return int(file.parent.name)
    raise AssertionError(f"no server at {app_url}")


def processes(app_url: str, module: str) -> list[int]:
    """The server's confined processes that run a module."""
    server, found = parent_of(app_url), []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            parent = int(file.read_text().rsplit(")", 1)[1].split()[1])
            if parent == server and module in file.with_name("cmdline").read_text().split("\0"):
                found.append(int(file.parent.name))
    return found


def own(app_url: str) -> list[int]:
    return processes(app_url, "perturb.segmenters.onnx.tasks")


def gone(app_url: str, pid: int, seconds: float) -> bool:
    ends = time.monotonic() + seconds
    while pid in own(app_url) and time.monotonic() < ends:
        time.sleep(0.05)
    return pid not in own(app_url)


def start_run(page: Page, app_url: str) -> int:
    """Upload the heavy network, explain it, and return its process once the run is under way.

    A page that runs again in the middle of a batch ends the process and starts another, so it is looked up at the end.
    """
    open_segmenters(page, app_url)
    upload(page, HEAVY, "heavy.onnx")
    page.get_by_role("button", name="Use this segmenter").click(timeout=SECONDS)
    expect(page.get_by_text("In use: choose a page in the navigation")).to_be_visible(timeout=SECONDS)
    wait_idle(page)
    page.get_by_role("link", name="Occlusion").click()
    expect(page.get_by_role("combobox", name="Segmenter")).to_have_value("heavy.onnx", timeout=SECONDS)
    run = page.get_by_role("button", name="Run", exact=True)
    expect(run.or_(stop_button(page)).first).to_be_visible(timeout=SECONDS)
    if not stop_button(page).is_visible():
        run.click()
    expect(page.get_by_text(re.compile(r"[1-9]\d* of \d+ forward passes"))).to_be_visible(timeout=SECONDS)
    (pid,) = own(app_url)
    return pid


@pytest.fixture
def lab(fresh_server) -> str:
    return fresh_server()


def test_a_network_killed_in_the_middle_of_a_run_is_a_sentence_and_the_page_goes_on(page, lab):
    pid = start_run(page, lab)
    os.kill(pid, signal.SIGKILL)
    main = page.get_by_test_id("stMain")
    expect(main.get_by_text("'heavy.onnx' was stopped: it crashed its process (SIGKILL).")).to_be_visible(
        timeout=SECONDS
    )
    wait_idle(page)
    page.get_by_role("combobox", name="Segmenter").click()
    page.get_by_role("option", name="streets-unet").click()
    page.get_by_role("button", name="Run", exact=True).click(timeout=SECONDS)
    numbers(page)  # a result: the server and the visit are whole
    assert own(lab) == []


def test_stop_does_not_wait_for_the_batch_and_the_visit_ends_its_process(page, lab):
    pid = start_run(page, lab)
    began = time.monotonic()
    stop_button(page).click()
    expect(page.get_by_text("The run was stopped.").first).to_be_visible(timeout=SECONDS)
    assert time.monotonic() - began < 3
    wait_idle(page)
    page.get_by_role("link", name="Inspect").click()  # starts it again
    expect(page.get_by_role("combobox", name="Segmenter")).to_have_value("heavy.onnx", timeout=SECONDS)
    ends = time.monotonic() + 60
    while not own(lab) and time.monotonic() < ends:
        time.sleep(0.1)
    (pid,) = own(lab)
    page.close()
    assert gone(lab, pid, 5)


def test_a_visitor_who_leaves_in_the_middle_of_a_run_frees_its_process(page, lab):
    pid = start_run(page, lab)
    page.close()
    assert gone(lab, pid, 3)


def test_hostile_files_are_sentences_and_the_server_serves_on(page, new_page, lab):
    open_segmenters(page, lab)
    upload(page, files.save(files.bright_division(metadata=SAID)), "bright.onnx")
    main = page.get_by_test_id("stMain")
    expect(main.get_by_text("'bright.onnx' was stopped: it crashed its process (SIGFPE).").first).to_be_visible(
        timeout=SECONDS
    )
    upload(page, files.save(files.hidden_swelling()), "swelling.onnx")
    expect(main.get_by_text("how large the result of 'ConstantOfShape' is", exact=False)).to_be_visible(timeout=SECONDS)

    open_page(page, f"{lab}/occlusion?source=upload")
    sidebar = page.get_by_test_id("stSidebar")
    box = sidebar.get_by_test_id("stFileUploader").locator("input[type=file]")
    expect(box).to_be_attached(timeout=SECONDS)
    for side, words in ((10_900, "expected at most 60 million"), (7_700, "Scaled from 7700 × 7700 to 640 × 640 px")):
        file = io.BytesIO()
        PIL.Image.new("P", (side, side)).save(file, format="GIF")
        box = sidebar.get_by_test_id("stFileUploader").locator("input[type=file]")
        box.set_input_files({"name": f"{side}.gif", "mimeType": "image/gif", "buffer": file.getvalue()})
        expect(sidebar.get_by_text(words, exact=False).first).to_be_visible(timeout=SECONDS)
        wait_idle(page)
    assert len(processes(lab, "perturb.images.tasks")) in (1, 2)

    other = new_page()
    open_page(other, f"{lab}/occlusion?occ_size=180&occ_stride=180")
    numbers(other)
