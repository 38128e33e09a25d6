"""Compute, store and compare the golden values.

Everything runs through the command line and the names of `perturb.__all__`, which stay while modules move: the file can
be compared with code of any arrangement.
"""

import csv
import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import torch
from torch import Tensor

import perturb
from perturb.cli.main import main

FOLDER = Path(__file__).parent
ARRAYS, RECORDS = FOLDER / "arrays.npz", FOLDER / "records.json"
OWN = "golden-dark"
SAME, OTHER = 1e-6, 1e-3
"""Tolerance as a share of a quantity's range: on the kind of processor that wrote the file, and on another, whose matrix
products add up in another order."""
VOLATILE = frozenset({"seconds", "versions", "device", "digest", "image", "picture"})
"""Entries of records that a clock, a machine or a folder's name decides."""

SETTINGS: dict[str, str] = {
    "occlusion": "quiet-street --target car --set size=24 --set stride=12",
    "occlusion-blur": "dusk --target road --region box:20,40,70,70 --score probability "
    "--set size=24 --set stride=12 --set fill=blur --set sigma=4 --no-curves",
    "occlusion-linear": f"dusk --segmenter {OWN} --target dark --score iou "
    "--set size=24 --set stride=16 --set fill=linear --seed 3 --curve-fill mean",
    "feature-ablation": "quiet-street --target car --score iou "
    "--set count=20 --set fill=window-mean --set smallest=20 --no-curves",
    "lime": f"quiet-street --segmenter {OWN} --target dark --set segments=grid --set count=16 --set samples=80 --no-curves",
    "kernel-shap": "dusk --target car --set segments=grid --set count=12 --set samples=60 --seed 1 --no-curves",
    "rise": "quiet-street --target car --score probability --set masks=40 --set fill=soft --no-curves",
    "ablation-cam": "quiet-street --target car --set layer=decoder3 --no-curves",
    "grad-cam": "dusk --segmenter streets-lraspp --target road --no-curves",
    "guided-grad-cam": "quiet-street --target car --set layer=context --no-curves",
    "integrated-gradients": "quiet-street --target car --set steps=8 --set fill=noise --seed 2 --curve-fill grey",
    "gradient-shap": f"dusk --segmenter {OWN} --target dark --set samples=8 --no-curves",
}
"""Twelve runs of `explain`: every family of methods, three segmenters, three scores, seven fills."""

METRICS = (
    "deletion_auc", "insertion_auc", "deletion_iou_auc", "insertion_iou_auc", "road_morf", "road_lerf", "road_combined",
    "increase_b_flat", "drop_b_flat", "increase_s_flat", "drop_s_flat", "increase_b_linear", "drop_b_linear",
    "increase_s_linear", "drop_s_linear", "map_iou", "pointing_15", "pointing_0", "gini", "entropy", "half_area",
    "total_variation", "error_share", "forwards", "seconds",
)  # fmt: skip
"""What is measured of the maps; a metric that is added later changes no golden value."""


class Dark(perturb.Segmenter):
    """Each pixel on its own, without a network: dark or bright, over its 3 × 3 surroundings."""

    abilities = frozenset({"gradients"})

    def __init__(self) -> None:
        super().__init__(OWN, classes=["bright", "dark"])

    def logits(self, batch: Tensor) -> Tensor:
        value = torch.nn.functional.avg_pool2d(batch.mean(1, keepdim=True), 3, 1, 1)
        return torch.cat([value * 10, (1 - value) * 10], 1)


def computed(work: Path) -> dict[str, Any]:
    """All golden values by name: arrays, and plain data.

    Args:
        work: an empty folder, for files.
    """
    if OWN not in perturb.SEGMENTERS:
        perturb.register(OWN, lambda device: Dark())
    photographs = {}
    for name in ("quiet-street", "dusk"):
        photographs[name] = work / f"{name}.png"
        pixels = (perturb.sample(name).pixels * 255).round().astype(np.uint8)
        PIL.Image.fromarray(pixels).save(photographs[name])
    found: dict[str, Any] = {}
    small = ("--max-side", "96")
    for name, line in SETTINGS.items():
        photograph, *rest = line.split()
        method = name if name in perturb.METHODS else name.split("-")[0]
        _run("explain", photographs[photograph], *rest, *small, "--method", method, "--out", work / name)
        found |= _of_folder(name, work / name)
    _run("study", photographs["quiet-street"], "--target", "car", *small, "--fills", "black,blur",
         "--colours", "#ff0000", "--sizes", "32", "--out", work / "study")  # fmt: skip
    found |= _of_folder("study", work / "study")
    _run("evaluate", *photographs.values(), *small, "--segmenters", f"streets-unet,{OWN}", "--classes", "car,dark",
         "--methods", "occlusion,saliency", "--set", "occlusion.size=32", "--set", "occlusion.stride=32",
         "--metrics", ",".join(METRICS), "--out", work / "evaluation")  # fmt: skip
    table = pd.read_parquet(work / "evaluation" / "table.parquet")
    found["evaluation/table"] = _plain(json.loads(table.to_json(orient="records")))
    image = perturb.load_image(photographs["quiet-street"], max_side=96)
    results = [
        perturb.explain(image, perturb.load_segmenter("streets-unet"), perturb.Target("car"), **settings)
        for settings in ({"size": 32, "stride": 32}, {"method": "saliency"})
    ]
    compared = perturb.compare(results, metrics=METRICS)
    found["comparison/values"] = _plain({judged.name: dict(judged.values) for judged in compared.maps})
    found["comparison/ranks"] = _plain([dict(each.ranks) for each in compared.fill_ranks()])
    return found


def _run(*words: object) -> None:
    told = io.StringIO()
    with redirect_stdout(told), redirect_stderr(told):
        code = main([str(word) for word in words])
    assert code == 0, told.getvalue()


def _of_folder(name: str, folder: Path) -> dict[str, Any]:
    """The files of a result: arrays and tables of numbers as arrays, records as plain data."""
    found: dict[str, Any] = {}
    for file in sorted(folder.iterdir()):
        key = f"{name}/{file.name}"
        if file.suffix == ".npy":
            found[key] = np.load(file)
        elif file.suffix == ".npz":
            found |= {f"{key}/{part}": array for part, array in np.load(file).items()}
        elif file.suffix == ".json":
            found[key] = _plain(json.loads(file.read_text()))
        elif file.suffix == ".csv":
            reader = csv.DictReader(io.StringIO(file.read_text()))
            rows, columns = list(reader), reader.fieldnames or ()
            found[key] = {name: [_number(row[name]) for row in rows] for name in columns if name not in VOLATILE}
        elif file.suffix == ".png":
            found[key] = list(np.asarray(PIL.Image.open(file)).shape)
    return found


def _number(text: str) -> float | str | None:
    try:
        return None if text == "" or np.isnan(float(text)) else float(text)
    except ValueError:
        return text


def _plain(value: Any) -> Any:
    """The same as JSON gives it back, without what a clock or a machine decides."""
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items() if name not in VOLATILE}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else float(value)
    return int(value) if isinstance(value, np.integer) else value


def write(found: dict[str, Any]) -> None:
    """Write the golden values into this folder."""
    arrays = {key: value for key, value in found.items() if isinstance(value, np.ndarray)}
    np.savez_compressed(ARRAYS, **arrays)
    plain = {key: value for key, value in found.items() if key not in arrays}
    kept = {"processor": torch.backends.cpu.get_cpu_capability(), **plain}
    lines = (f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in kept.items())
    RECORDS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def stored() -> tuple[dict[str, Any], float]:
    """The golden values of this folder, and the tolerance for this machine as a share of the range."""
    kept = json.loads(RECORDS.read_text())
    processor = kept.pop("processor")
    with np.load(ARRAYS) as arrays:
        return {**arrays, **kept}, SAME if processor == torch.backends.cpu.get_cpu_capability() else OTHER


def differences(expected: Any, got: Any, tolerance: float, where: str = "") -> list[str]:
    """What differs, a line each: numbers by more than the tolerance times the range of their array, anything else at all."""
    if isinstance(expected, dict) and isinstance(got, dict):
        lines = [f"{where}: {name} only in one of them" for name in sorted(set(expected) ^ set(got))]
        for name in expected.keys() & got.keys():
            lines += differences(expected[name], got[name], tolerance, f"{where}/{name}")
        return lines
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        if not expected or not all(isinstance(one, int | float) for one in (*expected, *got)):
            pairs = enumerate(zip(expected, got, strict=True))
            return [line for i, (a, b) in pairs for line in differences(a, b, tolerance, f"{where}[{i}]")]
        expected, got = np.array(expected, dtype=float), np.array(got, dtype=float)
    if isinstance(expected, np.ndarray) and isinstance(got, np.ndarray):
        if expected.shape != got.shape:
            return [f"{where}: shape {got.shape} in place of {expected.shape}"]
        span = max(float(np.ptp(expected)), float(np.abs(expected).max())) if expected.size else 0.0
        off = float(np.abs(expected.astype(float) - got.astype(float)).max()) if expected.size else 0.0
        return [] if off <= tolerance * span else [f"{where}: off by {off:.3g}, where the values span {span:.3g}"]
    if isinstance(expected, float | int) and isinstance(got, float | int):
        near = abs(expected - got) <= tolerance * max(1.0, abs(expected))
        return [] if near else [f"{where}: {got!r} in place of {expected!r}"]
    return [] if expected == got else [f"{where}: {got!r} in place of {expected!r}"]
