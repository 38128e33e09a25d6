"""Claims of the literature on occlusion, measured: the numbers behind `docs/findings.md`.

    python -m benchmarks.findings --camvid DIR [--photographs 12] [--training 0] [--out build/findings]

Takes the bundled samples and validation photographs of CamVid (seven seconds of one drive; `--training` adds some that
the segmenter was trained on, which show other places). In each, the class of `CLASSES` with the most pixels is explained:
occlusion under every fill and size, pixel sets inside and outside the object, channel ablation inside and outside it.
Every finished picture is one line of `cells.jsonl`; a run that was stopped goes on where it was. Then prints the tables
of what `benchmarks.claims` defines. Without `--camvid` the tables are made of the lines that are there.

Windows do not overlap here: each pixel is hidden once, and the sums over the windows count nothing twice.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from itertools import combinations, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from scipy.ndimage import distance_transform_edt
from scipy.stats import rankdata, spearmanr

import perturb
from benchmarks.claims import COLOURS, FILLS, LAYERS, SIZES
from benchmarks.tables import tables
from perturb.core.colour import outline, tint, to_uint8
from perturb.core.settings import check_settings
from perturb.engine import runner
from perturb.images.image import Image
from perturb.methods.attribution import Attribution
from perturb.methods.explain import masks_and_fill
from perturb.perturbations.fills.base import Backdrop
from perturb.perturbations.fills.registry import FILL_SETTINGS, make_fill
from perturb.perturbations.masks import Chain, Ranked, order_by
from perturb.segmenters.base import Segmenter
from perturb.segmenters.layers import inside, layer_access
from perturb.targets.readings import Readings

CLASSES = ("car", "pedestrian", "bicyclist")
SMALLEST = 300
"""Pixels that the segmenter must call a class before it is explained."""
DRAWS = 8
"""Random pixel sets in each place."""


def largest(image: Image, segmenter: Segmenter) -> str | None:
    """The class of `CLASSES` with the most predicted pixels, if they are at least `SMALLEST`."""
    labels = runner.clean_logits(image, segmenter).argmax(0).cpu().numpy()
    pixels = {name: int((labels == segmenter.classes.index(name)).sum()) for name in CLASSES}
    name = max(pixels, key=pixels.__getitem__)
    return name if pixels[name] >= SMALLEST else None


def measure(image: Image, segmenter: Segmenter, name: str) -> dict[str, Any]:
    """All measurements of one image and class that the claims need; about 1,000 forward passes."""
    target = perturb.Target(name)
    results = {
        f"{fill} {size}": perturb.explain(image, segmenter, target, fill=fill, size=size, stride=size)
        for size in SIZES
        for fill in FILLS
    }
    first = results[f"grey {SIZES[0]}"]
    judged = {f"{fill} {SIZES[0]}" for fill in COLOURS} | {f"grey {SIZES[1]}"}
    region, grey = first.frozen.region, image.pixels.mean(2, dtype=np.float64)
    return {
        "class": name,
        "region": int(region.sum()),
        "share": float(region.mean()),
        "brightness": float(grey.mean()),
        "object_brightness": float(grey[region].mean()),
        "clean": float(first.clean.score[0]),
        "occluders": {key: occluder(result) for key, result in results.items()},
        "deletion_auc": {key: perturb.curves(results[key], steps=10, draws=1).deletion.auc for key in sorted(judged)},
        "agreement": agreement(results),
        "nearness": {str(size): nearness(results, size) for size in SIZES},
        "pixels": {fill: pixel_sets(first, fill) for fill in ("grey", "blur")},
        "activations": {layer: activations(image, segmenter, target, first, layer) for layer in LAYERS},
    }


def occluder(result: Attribution) -> dict[str, float]:
    """The windows of one occluder. Pixels are means over the windows; drops are in logits."""
    readings, clean = result.readings, float(result.clean.score[0])
    drop = clean - readings.score
    on_object = _covered(result, result.frozen.region)
    # What a window takes from the score, as so much for each object pixel and so much for each other pixel it hides.
    effect = np.linalg.lstsq(np.stack([on_object, readings.hidden - on_object], 1), drop, rcond=None)[0]
    return {
        "drop": float(np.abs(drop).mean()),
        "median_drop": float(np.median(np.abs(drop))),
        "lowest_drop": float(drop.min()),
        "highest_drop": float(drop.max()),
        "map_range": float(np.ptp(result.heatmap)),
        "lowest_iou": float(readings.iou.min()),
        "lost": float(readings.lost.mean()),
        "most_lost": float(readings.lost.max() / result.frozen.region.sum()),
        "gained": float(readings.gained.mean()),
        "gained_hidden": float(readings.gained_hidden.mean()),
        "ground_hidden": float((readings.hidden - on_object).mean()),
        "object_pixel": float(effect[0]),
        "ground_pixel": float(effect[1]),
    }


def _covered(result: Attribution, mask: np.ndarray) -> np.ndarray:
    """How many pixels of a mask each window hides, int `(N,)`."""
    masks, _ = masks_and_fill(result)
    return np.array([int(np.count_nonzero(masks.hidden(i, i + 1)[0].numpy() & mask)) for i in range(len(masks))])


def agreement(results: dict[str, Attribution]) -> dict[str, float]:
    """Spearman's correlation of two occluders' maps, for each pair of them."""
    ranks = {key: rankdata(result.heatmap) for key, result in results.items()}
    return {
        f"{one} | {other}": round(float(np.corrcoef(ranks[one], ranks[other])[0, 1]), 4)
        for one, other in combinations(ranks, 2)
    }


def nearness(results: dict[str, Attribution], size: int) -> float | None:
    """Is a window changed most by the colour that is furthest from what it hides?

    Spearman's correlation, over the flat colours of one window, of the mean distance to the hidden pixels with the
    pixels lost and gained; its mean over the windows at which the colours differ. None if there are none.
    """
    flat = [results[f"{fill} {size}"] for fill in COLOURS]
    masks, _ = masks_and_fill(flat[0])
    fills = [make_fill(result.image, result.settings, 0) for result in flat]
    distance = [
        np.linalg.norm(result.image.pixels - fill.pixels, axis=2)
        for result, fill in zip(flat, fills, strict=True)
        if isinstance(fill, Backdrop)
    ]
    damage = np.stack([result.readings.lost + result.readings.gained for result in flat])
    found = []
    for index in np.flatnonzero(np.ptp(damage, axis=0)):
        hidden = masks.hidden(int(index), int(index) + 1)[0].numpy()
        found.append(spearmanr([plane[hidden].mean() for plane in distance], damage[:, index]).statistic)
    return float(np.mean(found)) if found else None


def pixel_sets(result: Attribution, name: str) -> dict[str, dict[str, float]]:
    """As many pixels hidden inside the object, right around it and anywhere outside; and all of it, and all but it.

    A set is half as large as the object, drawn from the object, from the equally many pixels nearest to it, or from
    all others; means over `DRAWS` draws.
    """
    image, frozen = result.image, result.frozen
    region, size = frozen.region, int(frozen.region.sum())
    near = np.where(region, -np.inf, -distance_transform_edt(~region))
    ring = order_by(near, 0) < size
    places = {"object": region, "ring": ring, "ground": ~region}
    streams = [
        Ranked(order_by(place.astype(float), draw), np.array([size // 2]))
        for place in places.values()
        for draw in range(DRAWS)
    ]
    whole = [
        Ranked(order_by(place.astype(float), 0), np.array([int(place.sum())])) for place in (region, ring, ~region)
    ]
    fill = make_fill(image, check_settings(FILL_SETTINGS, {"fill": name}, "findings"), 0)
    readings = runner.run(image, Chain(*streams, *whole), fill, result.segmenter, frozen)
    clean = float(result.clean.score[0])
    sets = {place: readings[i * DRAWS : (i + 1) * DRAWS] for i, place in enumerate(places)}
    last = len(places) * DRAWS
    sets |= {f"whole {place}": readings[last + i : last + i + 1] for i, place in enumerate(places)}
    return {place: _means(part, clean) for place, part in sets.items()}


def activations(
    image: Image, segmenter: Segmenter, target: perturb.Target, result: Attribution, layer: str
) -> dict[str, Any]:
    """Seg-Ablation-CAM's readings with each channel silenced inside the object, or outside it; means over channels."""
    shape = next(found.shape for found in layer_access(segmenter).layers(image) if found.name == layer)
    cells = inside(segmenter, result.frozen.region, *shape[1:])
    found: dict[str, Any] = {"cells": int(cells.sum()), "all_cells": int(cells.size), "channels": shape[0]}
    for part in ("foreground", "background"):
        made = perturb.explain(image, segmenter, target, method="ablation-cam", layer=layer, ablation=part)
        found[part] = _means(made.readings, float(made.clean.score[0]))
    return found


def _means(readings: Readings, clean: float) -> dict[str, float]:
    return {
        "drop": float((clean - readings.score).mean()),
        "size": float(np.abs(clean - readings.score).mean()),
        "lost": float(readings.lost.mean()),
        "gained": float(readings.gained.mean()),
        "iou": float(readings.iou.mean()),
    }


def pictures(camvid: Path, count: int, training: int) -> Iterator[tuple[str, str, Path | str]]:
    """Kind, name and source of every picture; the kinds in turn, so that part of a run is fair."""
    chosen = []
    for folder, number in (("val", count), ("train", training)):
        files = sorted((camvid / folder / "images").iterdir()) if number else []
        chosen.append([files[index] for index in np.linspace(0, len(files) - 1, number).astype(int)])
    for sample, photograph, seen in zip_longest(perturb.SAMPLES, *chosen):
        if sample is not None:
            yield "drawn", sample, sample
        if photograph is not None:
            yield "photograph", photograph.stem, photograph
        if seen is not None:
            yield "seen in training", seen.stem, seen


def picture(path: Path) -> None:
    """Draw the window of a bundled sample where black is taken for the most car, under black and under grey.

    Orange is what the segmenter now calls a car and did not before; an outline marks what it called a car all along.
    """
    image, segmenter, target = perturb.sample("car-in-shadow"), perturb.load_segmenter(), perturb.Target("car")
    results = [
        perturb.explain(image, segmenter, target, fill=fill, size=SIZES[0], stride=SIZES[0])
        for fill in ("black", "grey")
    ]
    index = int(results[0].readings.gained_hidden.argmax())
    panels = []
    for result in results:
        seen = perturb.probe(result, index)
        clean = result.frozen.clean
        canvas = outline(tint(to_uint8(seen.pixels), seen.gained, (255, 150, 0)), clean, (255, 255, 255), width=2)
        ys, xs = np.nonzero(clean | seen.hidden)
        panels.append(canvas[max(0, ys.min() - 20) : ys.max() + 20, max(0, xs.min() - 20) : xs.max() + 20])
        print(
            f"{result.settings['fill']}: gained {int(seen.gained.sum())}, of {int(seen.hidden.sum())} hidden pixels "
            f"{int(seen.reading.gained_hidden[0])}; score {result.clean.score[0]:.3f} → {seen.reading.score[0]:.3f}"
        )
    gap = np.full((len(panels[0]), 8, 3), 255, dtype=np.uint8)
    sheet = PIL.Image.fromarray(np.hstack([panels[0], gap, panels[1]]))
    sheet.quantize(128).save(path, optimize=True)


def main() -> None:
    """Measure what is missing and print the tables."""
    parser = argparse.ArgumentParser(description="The claims of the literature, measured.")
    parser.add_argument("--camvid", type=Path, help="the data set's folder, with val/images")
    parser.add_argument("--photographs", type=int, default=12, help="spread evenly (default: %(default)s)")
    parser.add_argument(
        "--training",
        type=int,
        default=10,
        help="how many it was trained on, too (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, default=Path("build/findings"), help="default: %(default)s")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="only draw the picture of claim 3")
    options = parser.parse_args()
    if options.picture:
        return picture(options.picture)
    options.out.mkdir(parents=True, exist_ok=True)
    record = options.out / "cells.jsonl"
    cells = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    done = {cell["picture"] for cell in cells}
    segmenter = perturb.load_segmenter()
    for kind, name, source in pictures(options.camvid, options.photographs, options.training) if options.camvid else ():
        if name in done:
            continue
        began = time.perf_counter()
        image = perturb.sample(name) if kind == "drawn" else perturb.load_image(source)
        chosen = largest(image, segmenter)
        cell = {"picture": name, "kind": kind} | (measure(image, segmenter, chosen) if chosen else {"class": None})
        cells.append(cell)
        with record.open("a") as lines:
            lines.write(json.dumps(cell) + "\n")
        print(f"{name}: {chosen or 'no object'}, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    print(tables(cells))


if __name__ == "__main__":
    main()
