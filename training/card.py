"""The files beside the weights: the results (`.json`) and the model card (`.md`)."""

import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from perturb.images.class_names import STREET_CLASSES
from perturb.segmenters.streets_unet import STRIDE, StreetsUNet
from training.data import Source
from training.measure import confusion, iou, milliseconds, reach
from training.networks import NETWORKS, Network


def processor() -> str:
    """Name of the processor."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        return names[0] if names else model
    return model


def machine() -> str:
    """The processor's name, torch's threads and torch's version, in words."""
    return f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"


def _by_class(values: NDArray[np.float64]) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in zip(STREET_CLASSES, values, strict=True)}


def measure(name: str, network: Network, camvid: Source, scenes: Source) -> dict[str, Any]:
    """All results of a network: on CamVid's validation frames and on unseen scenes, its receptive field and its speed.

    A network that pools the whole picture reaches all of it, which is not measured.
    """
    on_camvid = iou(confusion(network, camvid, len(STREET_CLASSES)))
    on_scenes = iou(confusion(network, scenes, len(STREET_CLASSES)))
    return {
        "name": name,
        "classes": list(STREET_CLASSES),
        "parameters": sum(p.numel() for p in network.parameters()),
        "stride": STRIDE,
        **({"receptive_field_radius": reach(network, STRIDE)} if isinstance(network, StreetsUNet) else {}),
        "camvid_val_frames": len(camvid),
        "miou_camvid_val": round(float(np.nanmean(on_camvid)), 4),
        "iou_camvid_val": _by_class(on_camvid),
        "unseen_scenes": len(scenes),
        "miou_scenes": round(float(np.nanmean(on_scenes)), 4),
        "iou_scenes": _by_class(on_scenes),
        "milliseconds_per_picture_360x480": {
            f"batch {batch}": round(milliseconds(network, batch), 1) for batch in (1, 4)
        },
        "machine": machine(),
    }


def table(figures: dict[str, Any]) -> str:
    """The results by class as a Markdown table."""
    rows = [
        f"| {name} | {figures['iou_camvid_val'][name]:.3f} | {figures['iou_scenes'][name]:.3f} |"
        for name in STREET_CLASSES
    ]
    mean = f"| **mean** | **{figures['miou_camvid_val']:.3f}** | **{figures['miou_scenes']:.3f}** |"
    head = f"| class | CamVid val ({figures['camvid_val_frames']}) | unseen scenes ({figures['unseen_scenes']}) |"
    return "\n".join([head, "|---|---|---|", *rows, mean])


def write(name: str, folder: Path, figures: dict[str, Any]) -> None:
    """Write the results (`.json`) and the model card (`.md`) to `folder`, beside the weights."""
    weights = folder / f"{name}.safetensors"
    figures = {**figures, "bytes": weights.stat().st_size, "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    (folder / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    template = Path(__file__).with_name(NETWORKS[name].card).read_text(encoding="utf-8")
    times = figures["milliseconds_per_picture_360x480"]
    card = template.format(
        **figures,
        table=table(figures),
        megabytes=figures["bytes"] / 1e6,
        field=2 * figures.get("receptive_field_radius", 0) + 1,
        times=", ".join(f"{value} ms ({batch})" for batch, value in times.items()),
    )
    (folder / f"{name}.md").write_text(card, encoding="utf-8")
