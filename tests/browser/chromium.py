"""Find a Chromium or Chrome for the browser tests; `python -m tests.browser.chromium` also gets one where there is none."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Error, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

# The sandbox needs rights that containers lack; the rest keeps the browser from talking to anyone but the app.
_FLAGS = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync --no-first-run"

_FETCH = [sys.executable, "-m", "playwright", "install", "--only-shell", "chromium"]
# Without a font there is no text to see, and Debian's package does not bring one.
_APT = ["apt-get", "install", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"]


def open_browser(playwright: Playwright) -> Browser | None:
    """Start the first browser that starts, or return None; a browser that lacks its libraries is none."""
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
        "`apt-get install chromium fonts-dejavu-core`), or set CHROMIUM to the path of one."
    )


def _starts() -> bool:
    with sync_playwright() as playwright:
        browser = open_browser(playwright)
        if browser is not None:
            browser.close()
        return browser is not None


def _get() -> bool:
    """Get a browser: fetched by Playwright, else installed by apt as root on Debian; return whether one starts."""
    # Without a network Playwright prints a traceback for each of its attempts.
    _do(_FETCH, stderr=subprocess.DEVNULL)
    if _starts():
        return True
    if Path("/etc/debian_version").exists() and shutil.which("apt-get") and os.geteuid() == 0:
        _do(["apt-get", "update", "-qq"])
        _do(_APT, stdout=subprocess.DEVNULL)
    return _starts()


def _do(command: list[str], **streams: int) -> None:
    """Run a command that may fail, as it does without a network; what counts is whether a browser starts afterwards."""
    print("No browser starts yet:", shlex.join(command), flush=True)
    subprocess.run(command, check=False, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, **streams)


if __name__ == "__main__":
    # Never a failure: the other tests need no browser.
    if not (_starts() or ("CHROMIUM" not in os.environ and _get())):
        print(advice())
