"""Measure whether deletion curves of occlusion beat random orders on real photographs.

    python -m benchmarks.photographs --camvid DIR [--count 20] [--out DIR]

Runs the command line on validation photographs of CamVid, each with each class that the segmenter finds in it, and
reports for each class the share of photographs on which the map's deletion AUC is lower, and its insertion AUC higher,
than those of random order.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

import perturb
from perturb.cli.main import main as command_line
from perturb.engine.runner import clean_logits

CLASSES = ("car", "pedestrian", "bicyclist", "sign")
SMALLEST = 100
"""Smallest number of predicted pixels with which a class counts as present in a photograph."""


def main() -> None:
    """Run and print a Markdown table."""
    parser = argparse.ArgumentParser(description="Deletion against random order on CamVid's validation photographs.")
    parser.add_argument("--camvid", type=Path, required=True, help="the data set's folder, with val/images")
    parser.add_argument("--count", type=int, default=20, help="photographs, spread evenly (default: %(default)s)")
    parser.add_argument("--size", type=int, default=48, help="of the window (default: %(default)s)")
    options = parser.parse_args()
    files = sorted((options.camvid / "val" / "images").iterdir())
    chosen = [files[i] for i in np.linspace(0, len(files) - 1, options.count).astype(int)]
    segmenter = perturb.load_segmenter()
    wins: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for path in chosen:
        labels = clean_logits(perturb.load_image(path), segmenter).argmax(0).cpu().numpy()
        for name in CLASSES:
            if (labels == segmenter.classes.index(name)).sum() < SMALLEST:
                continue
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "out"
                arguments = ["explain", str(path), "--target", name, "--set", f"size={options.size}"]
                arguments += ["--set", f"stride={options.size // 2}", "--set", "fill=grey", "--out", str(out)]
                if command_line(arguments):
                    raise SystemExit(f"the command line failed on {path.name}, {name}")
                metrics = json.loads((out / "result.json").read_text())["metrics"]
            wins[name].append(
                (
                    metrics["deletion_auc"] < metrics["random_deletion_auc"],
                    metrics["insertion_auc"] > metrics["random_insertion_auc"],
                )
            )
    print("| class | photographs with it | deletion beats random | insertion beats random |\n|---|---|---|---|")
    for name in CLASSES:
        deletion, insertion = (np.mean([win[i] for win in wins[name]]) if wins[name] else np.nan for i in (0, 1))
        print(f"| {name} | {len(wins[name])} of {len(chosen)} | {deletion:.0%} | {insertion:.0%} |")


if __name__ == "__main__":
    main()
