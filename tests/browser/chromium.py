"""Find a Chromium or Chrome for the browser tests; `python -m tests.browser.chromium` also gets one where there is none."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Error, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

# The sandbox needs rights that containers lack; the next line keeps the browser from talking to anyone but the app; the last one
# is a camera for a machine that has none.
_FLAGS = (
    "--no-sandbox --disable-gpu "
    "--disable-background-networking --disable-component-update --disable-sync --no-first-run "
    "--use-fake-device-for-media-stream --use-fake-ui-for-media-stream"
)

_PLAYWRIGHT = [sys.executable, "-m", "playwright"]
_FETCH = [*_PLAYWRIGHT, "install", "--only-shell", "chromium"]
# What Debian's Chromium does not bring: a font, without which there is no text to see, and what Playwright's driver needs.
_PACKAGES = ["chromium", "fonts-dejavu-core", "libatomic1"]


@contextmanager
def open_browser() -> Iterator[Browser | None]:
    """Yield the first browser that starts, or None; one that lacks its libraries is none."""
    # Asked of a process of its own: a driver that does not start leaves an open event loop behind in this one.
    if subprocess.run([*_PLAYWRIGHT, "--version"], check=False, capture_output=True).returncode != 0:
        yield None
        return
    with sync_playwright() as playwright:
        browser = _launch(playwright)
        yield browser
        if browser is not None:
            browser.close()


def _launch(playwright: Playwright) -> Browser | None:
    for where in _candidates():
        try:
            return playwright.chromium.launch(**where, args=_FLAGS.split())
        except Error:
            continue
    return None


def _candidates() -> Iterator[dict[str, Any]]:
    """The places of a browser, as arguments of `launch`; a browser that was asked for by name is the only one."""
    if asked := os.environ.get("CHROMIUM"):
        yield {"executable_path": asked}
        return
    for path in filter(None, map(shutil.which, NAMES)):
        yield {"executable_path": path}
    yield {"channel": "chrome"}  # where Chrome's own installers put it
    yield {}  # what Playwright has fetched


def advice() -> str:
    """What to do where no browser starts, in one sentence."""
    if asked := os.environ.get("CHROMIUM"):
        return (
            f"The browser tests are skipped: CHROMIUM is {asked!r}, which does not start; "
            "set it to the path of a Chromium or Chrome, or unset it."
        )
    return (
        "The browser tests are skipped: no Chromium or Chrome starts here; install one (on Debian, as root: "
        f"`apt-get install {' '.join(_PACKAGES)}`), or set CHROMIUM to the path of one."
    )


def _starts() -> bool:
    with open_browser() as browser:
        return browser is not None


def _get() -> bool:
    """Get a browser: fetched by Playwright, else installed by apt as root on Debian; return whether one starts."""
    # Without a network Playwright prints a traceback for each of its attempts.
    _do(_FETCH, stderr=subprocess.DEVNULL)
    if _starts():
        return True
    if Path("/etc/debian_version").exists() and shutil.which("apt-get") and os.geteuid() == 0:
        _do(["apt-get", "update", "-qq"])
        _do(["apt-get", "install", "-qq", "--no-install-recommends", *_PACKAGES], stdout=subprocess.DEVNULL)
    return _starts()


def _do(command: list[str], **streams: int) -> None:
    """Run a command that may fail, as it does without a network; what counts is whether a browser starts afterwards."""
    print("No browser starts yet:", shlex.join(command), flush=True)
    subprocess.run(command, check=False, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, **streams)


if __name__ == "__main__":
    # Never a failure: the other tests need no browser.
    if not (_starts() or (not os.environ.get("CHROMIUM") and _get())):
        print(advice())
