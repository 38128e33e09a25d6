"""How the browser tests start the app, wait for it and look at it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / ".screenshots"

# Set by Streamlit's front end on its outermost element. A skeleton holds the place of a widget whose code is loading,
# which can take longer than the script.
_IDLE = (
    "[data-testid=stApp][data-test-script-state=notRunning][data-test-connection-state=CONNECTED]"
    ":not(:has([data-testid=stSkeleton], [data-testid=stAppSkeleton]))"
)

# Streamlit scrolls a container inside a page that is exactly one window tall. Letting the containers grow gives the
# screenshot its full length without a taller window, in which everything measured in vh would look different.
UNROLLED = """
html, body, #root, #root > div, [data-testid=stApp], [data-testid=stAppViewContainer], [data-testid=stMain] {
  position: static !important; overflow: visible !important; height: auto !important; min-height: 100vh; }
[data-testid=stAppViewContainer] { display: flex; }
[data-testid=stSidebar] { height: auto !important; }
[data-testid=stSidebarContent] { overflow: visible !important; }
"""


@contextmanager
def serve(log: Path, script: str = "streamlit_app.py", **environment: str) -> Iterator[str]:
    """Run `script` as visitors get it, a real server in a process of its own, and yield its address."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", script, "--server.port", str(port)]
    command += ["--server.address", "127.0.0.1", "--server.headless", "true", "--browser.gatherUsageStats", "false"]
    command += ["--server.fileWatcherType", "none"]  # a file saved during a test must not run the app again
    with serve_by(command, port, log, **environment) as url:
        yield url


def free_port() -> int:
    """A free TCP port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serve_by(command: list[str], port: int, log: Path, cwd: Path = ROOT, **environment: str) -> Iterator[str]:
    """Run a command that serves the app on a port of this machine, and yield its address."""
    with log.open("wb") as output:
        # A process group of its own, so that whatever the server starts ends with it.
        process = subprocess.Popen(
            command, cwd=cwd, env=os.environ | environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            _wait_for_health(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            _end(process)


def _wait_for_health(address: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2) as answer:
                if answer.read() == b"ok":
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(0.1)
    raise RuntimeError(f"the server at {address} was not healthy within {seconds:g} s; its log:\n{log.read_text()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, sign)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                continue


def open_page(page: Page, url: str, seconds: float = 120) -> None:
    """Go to `url` and wait until the app has drawn it, the run that a first visit starts included."""
    page.goto(url)
    wait_idle(page, seconds)


def wait_idle(page: Page, seconds: float = 30) -> None:
    """Wait until the script has stopped and every widget is there; a chart may still be drawing its lines."""
    # A press becomes a rerun only when the server says so, and until then the script seems to have stopped already.
    # On a busy machine that takes longer than any pause here: where a rerun must follow, wait for what it shows
    # (`expect(locator).to_have_text(…)`) and use this only before asking that nothing more has happened.
    page.wait_for_timeout(150)
    page.wait_for_selector(_IDLE, timeout=1000 * seconds)


def query(page: Page) -> dict[str, str]:
    """The query of the address bar."""
    return dict(parse_qsl(urlsplit(page.url).query))


def screenshot(page: Page, name: str) -> Path:
    """Write the page in its full length to `.screenshots/{name}.png`."""
    SCREENSHOTS.mkdir(exist_ok=True)
    path = SCREENSHOTS / f"{re.sub(r'[^a-zA-Z0-9_-]+', '-', name)}.png"
    page.screenshot(path=path, full_page=True, style=UNROLLED, animations="disabled")
    return path
