"""Uploads on a real server: bounded for a visitor and in all, and freed when the visit is over."""

import sys
import time
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .driver import free_port, serve_by, wait_idle
from .test_own_networks import parent_of
from .test_segmenters import SECONDS, open_segmenters

MB = 1_000_000


def resident(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


@pytest.fixture
def server(browser, tmp_path):  # noqa: ARG001 — no server is started in vain
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", str(port)]
    command += ["--server.address", "127.0.0.1", "--server.headless", "true", "--server.fileWatcherType", "none"]
    command += ["--server.disconnectedSessionTTL", "1"]
    bounds = {"LAB_VISITOR_UPLOADS_MB": "130", "LAB_UPLOADS_MB": "150"}
    with serve_by(command, port, tmp_path / "server.log", **bounds) as url:
        yield url


def test_uploads_have_bounds_and_their_memory_is_freed_when_the_visit_is_over(page, new_page, server, tmp_path):
    pid = parent_of(server)
    large, small = tmp_path / "large.onnx", tmp_path / "small.onnx"
    large.write_bytes(b"\x08" * (120 * MB))
    small.write_bytes(b"\x08" * (40 * MB))
    open_segmenters(page, server)
    wait_idle(page)
    before = resident(pid)
    choose_file(page, large)
    expect(page.get_by_text("'large.onnx' is not an ONNX file", exact=False)).to_be_visible(timeout=SECONDS)
    assert resident(pid) - before > 100 * MB

    other = new_page()
    open_segmenters(other, server)
    choose_file(other, small)
    expect(other.get_by_text("507", exact=False).first).to_be_visible(timeout=SECONDS)
    page.close()
    ends = time.monotonic() + 30
    while resident(pid) - before > 60 * MB and time.monotonic() < ends:
        time.sleep(0.5)
    assert resident(pid) - before < 60 * MB
    open_segmenters(other, server)
    choose_file(other, small)
    expect(other.get_by_text("'small.onnx' is not an ONNX file", exact=False)).to_be_visible(timeout=SECONDS)


def choose_file(page, path):
    page.get_by_test_id("stFileUploader").filter(has_text="ONNX file").locator("input[type=file]").set_input_files(path)
