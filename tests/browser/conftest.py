"""A real server and a real browser for every test in this folder."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

from .chromium import advice, open_browser
from .driver import serve


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with open_browser() as launched:
        if launched is None and os.environ.get("CI"):
            pytest.fail(advice(), pytrace=False)  # where nobody reads the reasons, skipped tests would guard nothing
        if launched is None:
            pytest.skip(advice())
        yield launched


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end, once, why the browser tests were skipped."""
    if any(advice() in str(report.longrepr) for report in terminalreporter.getreports("skipped")):
        terminalreporter.write_line(advice())


# The servers ask for the browser so that none is started in vain where there is no browser.
@pytest.fixture(scope="session")
def app_url(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:  # noqa: ARG001
    """The address of one server of the app, shared by all tests that ask for it."""
    with serve(tmp_path_factory.mktemp("app") / "server.log") as url:
        yield url


@pytest.fixture
def fresh_server(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., str]]:  # noqa: ARG001
    """Start a server that nobody has visited: `fresh_server()` or `fresh_server("tests/browser/other_app.py")`."""
    with ExitStack() as servers:

        def start(script: str = "streamlit_app.py", **environment: str) -> str:
            log = tmp_path / f"server-{os.urandom(4).hex()}.log"
            return servers.enter_context(serve(log, script, **environment))

        yield start


@pytest.fixture
def console_errors() -> list[str]:
    """What the pages of this test wrote to the console as errors."""
    return []


@pytest.fixture
def new_page(browser: Browser, console_errors: list[str]) -> Iterator[Callable[..., Page]]:
    """Open a page in a context of its own; takes the options of `Browser.new_context`.

    Fails on uncaught errors, and on anything that the app's Content-Security-Policy forbids.

    A phone is `new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)`; the dark theme is
    `new_page(color_scheme="dark")`, as Streamlit follows the preference of the system.
    """
    uncaught: list[str] = []

    def record(message: ConsoleMessage) -> None:
        if message.type == "error":
            console_errors.append(message.text)

    with ExitStack() as contexts:

        def make(**options: Any) -> Page:
            context = browser.new_context(**({"viewport": {"width": 1440, "height": 900}} | options))
            contexts.callback(context.close)
            page = context.new_page()
            page.on("pageerror", lambda error: uncaught.append(str(error)))
            page.on("console", record)
            return page

        yield make
    forbidden = [text for text in console_errors if "Content Security Policy" in text]
    assert not forbidden, f"the app's own policy forbids what a page did: {forbidden}"
    assert not uncaught, f"uncaught errors in the page: {uncaught}; errors on its console: {console_errors}"


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    """A page of 1440 × 900 with a light theme."""
    return new_page()
