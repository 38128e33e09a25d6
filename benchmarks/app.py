"""What a visitor waits for, in a real browser on a server of its own.

    python -m benchmarks.app [--root DIR] [--rounds 3] [--write FILE [--name NAME]]

Measures, as medians over the rounds: from starting the server to the first heat map on the occlusion page; the same from
the moment the server answers; from pressing Run after the window's size was changed to the new map with its curves; and the
server's peak memory. `--root` measures another checkout, such as an older one.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from playwright.sync_api import Browser, expect, sync_playwright

from benchmarks.document import put
from tests.browser import driver
from tests.browser.conftest import _FLAGS
from tests.browser.lab import move_slider, numbers, run_button

PATIENCE = 180_000
"""Milliseconds."""


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.app", description="What a visitor waits for.")
    parser.add_argument("--root", type=Path, default=driver.ROOT, help="the checkout to measure (default: this one)")
    parser.add_argument(
        "--rounds", type=int, default=3, help="servers started one after the other (default: %(default)s)"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table into a document, between its marks")
    parser.add_argument("--name", default="app", help="of the marks (default: %(default)s)")
    options = parser.parse_args()
    driver.ROOT = options.root.resolve()
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*_FLAGS.split(), "--disable-gpu"])
        rounds = [visit(browser) for _ in range(options.rounds)]
        browser.close()
    lines = ["| | median | all rounds |", "|---|--:|---|"]
    for name in rounds[0]:
        found = [one[name] for one in rounds]
        lines.append(f"| {name} | {np.median(found):.3g} | {', '.join(f'{value:.3g}' for value in found)} |")
    print("\n".join(lines))
    if options.write:
        put(options.write, options.name, "\n".join(lines))


def visit(browser: Browser) -> dict[str, float]:
    """One server, one visitor: seconds, and MB."""
    with (
        tempfile.TemporaryDirectory() as folder,
        browser.new_context(viewport={"width": 1440, "height": 900}) as context,
    ):
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        started = time.perf_counter()
        with driver.serve(Path(folder) / "server.log") as address:
            answered = time.perf_counter()
            page.goto(f"{address}/occlusion")
            expect(page.get_by_text("Raw range:")).to_be_visible(timeout=PATIENCE)
            seen = time.perf_counter()
            before = numbers(page)
            complete = time.perf_counter()
            move_slider(page, "Size (px)", "ArrowRight", 1)
            expect(page.get_by_text("Stale: the settings have changed")).to_be_visible()
            pressed = time.perf_counter()
            run_button(page).click()
            expect(page.get_by_text("Raw range:")).not_to_have_text(before[0], timeout=PATIENCE)
            expect(page.get_by_text("Up to date")).to_be_visible(timeout=PATIENCE)
            again = time.perf_counter()
            memory = sum(_peak(child) for child in psutil.Process().children(recursive=True) if _serves(child))
    return {
        "start of the server to the first map, s": seen - started,
        "server ready to the first map, s": seen - answered,
        "server ready to the whole page with its curves, s": complete - answered,
        "Run after a slider moved to the new map with its curves, s": again - pressed,
        "peak memory of the server, MB": memory,
    }


def _serves(process: psutil.Process) -> bool:
    return "streamlit" in " ".join(process.cmdline())


def _peak(process: psutil.Process) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    return float(found[1]) / 1e3 if found else 0.0


if __name__ == "__main__":
    main()
