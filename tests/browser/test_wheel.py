"""`perturb lab` of the installed wheel, started from a folder that is not the clone and holds things of the same names."""

import os
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from tests.installed import build, install

from .driver import ROOT, free_port, open_page, serve_by


@pytest.fixture(scope="module")
def url(browser, tmp_path_factory):  # noqa: ARG001 — nothing is built in vain where there is no browser
    folder = tmp_path_factory.mktemp("wheel")
    binaries = install(build(folder), folder / "environment")
    work = folder / "work"
    (work / "pages").mkdir(parents=True)
    (work / "pages" / "__init__.py").write_text("raise SystemExit('the wrong pages')")
    (work / "streamlit_app.py").write_text("raise SystemExit('the wrong app')")
    (work / ".streamlit").mkdir()
    (work / ".streamlit" / "config.toml").write_text('[theme.dark]\nbackgroundColor = "#00ff00"\n')
    port = free_port()
    with serve_by(
        [str(binaries / "perturb"), "lab", "--port", str(port)],
        port,
        folder / "server.log",
        cwd=work,
        PYTHONPATH="",
        STREAMLIT_SERVER_ADDRESS="127.0.0.1",
        STREAMLIT_SERVER_HEADLESS="true",
    ) as address:
        yield address
    assert str(ROOT) not in (folder / "server.log").read_text(), "no file of the clone had a part in it"


def test_a_page_is_drawn_with_the_settings_and_documents_of_the_wheel(new_page, url):
    page = new_page(color_scheme="dark")
    open_page(page, f"{url}/segmenters?seg_view=bring-your-own")
    expect(page.get_by_role("combobox", name="Sample")).to_have_value("quiet-street")
    expect(page.get_by_role("img", name="The image to explain")).to_be_visible()
    colour = page.get_by_test_id("stApp").evaluate("element => getComputedStyle(element).backgroundColor")
    assert colour == "rgb(20, 23, 28)", "the theme of the app's own config.toml"
    page.get_by_text("Export from PyTorch").click()
    expect(page.get_by_text("pip install onnx onnxscript")).to_be_visible()  # of docs/export.md
    assert not page.get_by_test_id("stException").count()


def test_a_port_in_use_is_said_before_anything_is_opened(url, tmp_path):
    port = url.rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "perturb", "lab", "--port", port],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "STREAMLIT_SERVER_ADDRESS": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: The port {port} cannot be used (")
    assert done.stderr.count("\n") == 1
