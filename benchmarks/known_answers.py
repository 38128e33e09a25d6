"""Measure how highly each method ranks a cue that is known to decide the predicted class of the car.

    python -m benchmarks.known_answers [--scenes 100] [--out FILE.csv] [--layers]

First the intervention: on how many unseen streets does the board alone change the car's class, for the twin with the
planted shortcut and for the honest one? Then, on the same streets with the board, each method explains the car's class
for both twins, and `cue_found` says how well its map ranks the board above the rest of the background. The honest twin
is the control: what a map scores there, it owes to the board's place beside the car, not to the shortcut.

Every finished cell is written to the file at once; a run that was stopped goes on where it ended.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import math
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

import perturb
from perturb.core.settings import check_settings
from perturb.images.planted import Planted
from perturb.metrics.baselines import CONTROLS
from perturb.metrics.planted_shortcut import SETTINGS, TWINS, case, cue_found, flip, search
from perturb.perturbations.segments import partition
from training.scenes.planted import UNSEEN_SEEDS, draw_planted

ABLATION = "feature-ablation"
WHOLE = 0.75
"""Smallest share of the board with which a superpixel counts as containing it."""
NEARNESS = "nearness"
LAYERS = {
    f"ablation-cam, {layer}": {"layer": layer} for layer in ("stem", "encoder1", "encoder2", "encoder3", "context")
}
"""Seg-Ablation-CAM on the earlier layers; by default it takes decoder3."""
COLUMNS = ("seed", "twin", "method", "label", "auc", "forwards", "seconds")


def main() -> None:
    """Run what is missing and print Markdown tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.known_answers", description=__doc__.split("\n")[0])
    parser.add_argument("--scenes", type=int, default=100, help="unseen streets (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("known_answers.csv"), help="default: %(default)s")
    parser.add_argument(
        "--layers", action="store_true", help="Seg-Ablation-CAM on earlier layers in place of the methods"
    )
    options = parser.parse_args()
    seeds = list(UNSEEN_SEEDS[: options.scenes])
    twins = {name: perturb.load_segmenter(name) for name in TWINS}
    print(intervention(twins, seeds), flush=True)
    methods = tuple(LAYERS) if options.layers else (*SETTINGS, *CONTROLS, NEARNESS)
    measure(twins, seeds, methods, options.out)
    print(summary(options.out, set(seeds), methods))
    if not options.layers:
        print(cut_boards(twins[TWINS[1]], seeds, options.out))


def intervention(twins: dict[str, perturb.Segmenter], seeds: list[int]) -> str:
    """How often the board alone changes the car's class, and how often a grey one does, as a Markdown table."""
    lines = [
        "| twin | streets | flipped by the board | car without it | bicyclist with it | flipped by the board in grey |",
        "|---|---|---|---|---|---|",
    ]
    for name, twin in twins.items():
        made = [flip(twin, draw_planted(seed, False), draw_planted(seed, True)) for seed in seeds]
        flipped = sum(one.flipped for one in made)
        before = sum(one.without.name == "car" for one in made)
        after = sum(one.shown.name == "bicyclist" for one in made)
        grey = sum(case(twin, in_grey(one.shown.scene)).name != one.without.name for one in made)
        lines.append(f"| {name} | {len(made)} | {flipped} ({flipped / len(made):.0%}) | {before} | {after} | {grey} |")
    return "\n".join(lines)


def in_grey(scene: Planted) -> Planted:
    """The same street with its board as bright as before, but without colour."""
    grey = cv2.cvtColor(cv2.cvtColor(scene.pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    pixels = np.where(scene.cue[:, :, None], grey, scene.pixels).astype(np.uint8)
    return dataclasses.replace(scene, pixels=pixels)


def measure(twins: dict[str, perturb.Segmenter], seeds: list[int], methods: tuple[str, ...], out: Path) -> None:
    """Run every method and control on every street for both networks, and append each result to the file."""
    done = {(int(row["seed"]), row["twin"], row["method"]) for row in rows(out)}
    new = not out.exists()
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(COLUMNS)
        for count, seed in enumerate(seeds, 1):
            scene = draw_planted(seed, True)
            for name, twin in twins.items():
                one = case(twin, scene)
                for method in methods:
                    if (seed, name, method) in done:
                        continue
                    began, forwards = time.perf_counter(), 0
                    if method in SETTINGS or method in LAYERS:
                        made = search([one], method.split(",")[0], batch=2, **LAYERS.get(method, {}))[0]
                        found, forwards = made.found, made.result.forwards
                    else:
                        control = (
                            nearness(one.frozen.region)
                            if method == NEARNESS
                            else CONTROLS[method].make(one.image, seed)
                        )
                        found = cue_found(control, one.cue, one.background)
                    seconds = time.perf_counter() - began
                    writer.writerow([seed, name, method, one.name, f"{found:.6f}", forwards, f"{seconds:.2f}"])
                    file.flush()
            print(f"{count} of {len(seeds)} streets", end="\r", flush=True)
    print()


def nearness(region: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """An uninformative baseline that depends only on the distance to the region: the nearer, the higher."""
    distance: npt.NDArray[np.float32] = cv2.distanceTransform((~region).astype(np.uint8), cv2.DIST_L2, 5)
    return -distance


def rows(out: Path) -> list[dict[str, str]]:
    """The finished cells."""
    if not out.exists():
        return []
    with out.open(newline="") as file:
        return list(csv.DictReader(file))


def summary(out: Path, seeds: set[int], methods: tuple[str, ...]) -> str:
    """Mean AUC with a 95 % interval, and how often it is high, for each method and twin, as a Markdown table."""
    found: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    passes: dict[str, list[int]] = defaultdict(list)
    for row in rows(out):
        if int(row["seed"]) in seeds:
            found[row["method"], row["twin"]][int(row["seed"])] = float(row["auc"])
            passes[row["method"]].append(int(row["forwards"]))
    honest, shortcut = TWINS
    lines = [
        f"| method | passes | streets | {shortcut}: mean AUC (95 %) | AUC > 0.9 | {honest}: mean AUC (95 %) | AUC > 0.9 "
        "| difference, same street (95 %) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for method in methods:
        both = sorted(found[method, shortcut].keys() & found[method, honest].keys())
        a, b = (np.array([found[method, twin][seed] for seed in both]) for twin in (shortcut, honest))
        lines.append(
            f"| {method} | {np.mean(passes[method]):.0f} | {len(both)} | {interval(a)} | {np.mean(a > 0.9):.0%} "
            f"| {interval(b)} | {np.mean(b > 0.9):.0%} | {interval(a - b, sign='+')} |"
        )
    return "\n".join(lines)


def cut_boards(shortcut: perturb.Segmenter, seeds: list[int], out: Path) -> str:
    """Results of feature ablation where one superpixel contains the board and where several split it."""
    found = {int(r["seed"]): float(r["auc"]) for r in rows(out) if r["twin"] == TWINS[1] and r["method"] == ABLATION}
    settings = check_settings(perturb.METHODS[ABLATION].settings, SETTINGS[ABLATION], ABLATION)
    kept: dict[bool, list[float]] = {True: [], False: []}
    stays: dict[bool, list[bool]] = {True: [], False: []}
    for seed in seeds:
        one = case(shortcut, draw_planted(seed, True))
        labels = partition(one.image, one.frozen, settings)
        shares = np.bincount(labels[one.scene.cue]) / one.scene.cue.sum()
        whole = bool(shares.max() >= WHOLE)
        kept[whole].append(found[seed])
        grey = np.where((labels == shares.argmax())[:, :, None], np.uint8(128), one.scene.pixels)
        stays[whole].append(case(shortcut, dataclasses.replace(one.scene, pixels=grey)).name == one.name)
    lines = [
        f"| the board | streets | {ABLATION}: mean AUC (95 %) | still a bicyclist with the board's largest superpixel grey |",
        "|---|---|---|---|",
    ]
    for whole, words in ((True, f"{WHOLE:.0%} or more of it in one superpixel"), (False, "cut by superpixels")):
        values = np.array(kept[whole])
        if len(values):
            lines.append(f"| {words} | {len(values)} | {interval(values)} | {sum(stays[whole])} |")
    return "\n".join(lines)


def interval(values: npt.NDArray[np.float64], sign: str = "") -> str:
    """The mean and the half-width of its 95 % interval, 1.96 standard errors."""
    half = 1.96 * values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{values.mean():{sign}.3f} ± {half:.3f}"


if __name__ == "__main__":
    main()
