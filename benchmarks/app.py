"""Waiting times of a visitor, in a real browser with its own server; and the longest run, in its own process.

    python -m benchmarks.app [--before DIR] [--rounds 3] [--write FILE …]

Measures, as medians over the rounds: from starting the server to the first heat map on the occlusion page; the same from
the moment the server answers; from pressing Run after the window's size was changed to the new map with its curves; and the
server's peak memory. Then, once, all 2,048 channels of a layer of FCN-ResNet50. `--before` measures an older checkout in
turns with this one.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from playwright.sync_api import Browser, expect

from benchmarks.document import put
from tests.browser import driver
from tests.browser.chromium import open_browser
from tests.browser.lab import move_slider, numbers, run_button

PATIENCE = 180_000
"""Milliseconds."""
CHANNELS = """
import re, sys, time, torch, numpy as np, perturb
from pathlib import Path
from perturb.segmenters import torchvision
torch.manual_seed(0)
segmenter = perturb.TorchSegmenter(torchvision.make("fcn-resnet50", 21), classes=[f"class {k}" for k in range(21)])
image = perturb.load_image(np.random.default_rng(0).random((256, 256, 3), dtype=np.float32))
target = perturb.Target("class 0", region="all")
began = time.perf_counter()
result = perturb.explain(image, segmenter, target, method="ablation-cam", layer="backbone.layer4")
print(time.perf_counter() - began, re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.app", description="What a visitor waits for.")
    parser.add_argument("--before", type=Path, help="an older checkout, measured in turns with this one")
    parser.add_argument(
        "--rounds", type=int, default=3, help="servers started one after the other (default: %(default)s)"
    )
    parser.add_argument(
        "--write", type=Path, action="append", default=[], help="put the table between a document's marks; repeatable"
    )
    options = parser.parse_args()
    started = os.getloadavg()[0]
    roots = {"before": options.before, "now": driver.ROOT} if options.before else {"now": driver.ROOT}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in roots}
    with open_browser() as browser:
        if browser is None:
            parser.exit(1, "No Chromium or Chrome starts here.\n")
        for _ in range(options.rounds):
            for name, root in roots.items():
                driver.ROOT = root.resolve()
                found[name].append(visit(browser))
    table = {
        name: {what: float(np.median([one[what] for one in all_])) for what in all_[0]} for name, all_ in found.items()
    }
    for name, root in roots.items():
        table[name] |= channels(root)
    lines = [f"| | {' | '.join(roots)} |", f"|---{'|--:' * len(roots)}|"]
    for what in table["now"]:
        lines.append(f"| {what} | {' | '.join(_short(table[name][what]) for name in roots)} |")
    lines = [f"What a visitor waits for on {os.cpu_count()} cores:", "", *lines]
    after = f"Load average {started:.1f} before and {os.getloadavg()[0]:.1f} after."
    lines += ["", f"{options.rounds} rounds. {after} The measuring itself keeps about two cores busy."]
    print("\n".join(lines))
    for path in options.write:
        put(path, "app", "\n".join(lines))


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
        "Run after a slider moved, to the new map with its curves, s": again - pressed,
        "peak memory of the server, MB": memory,
    }


def channels(root: Path) -> dict[str, float]:
    """Seg-Ablation-CAM with a checkout's engine: seconds, and MB at the process's peak."""
    done = subprocess.run([sys.executable, "-c", CHANNELS], cwd=root, capture_output=True, text=True, check=True)
    seconds, peak = done.stdout.split()
    return {
        "Seg-Ablation-CAM, 2,048 channels of FCN-ResNet50 at 256×256, s": float(seconds),
        "its process's peak memory, MB": float(peak) / 1e3,
    }


def _serves(process: psutil.Process) -> bool:
    return "streamlit" in " ".join(process.cmdline())


def _peak(process: psutil.Process) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    return float(found[1]) / 1e3 if found else 0.0


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
