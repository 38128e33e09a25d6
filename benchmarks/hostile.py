"""Strangers' files in confined processes: what confinement costs, and what damaged and hostile files come to.

    python -m benchmarks.hostile [--images N] [--networks N] [--write FILE]

The cost is a ratio: seconds of one pass of the same network on the same images in a confined process and in this one, in
alternation; the median over the rounds counts. The files are those of `tests/fuzz`: every answer is compared with that of
this process where it has one, and counted. A server would be in the place of this process, so it must live to the end.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import PIL.Image
import torch

import perturb
from benchmarks.document import put
from perturb.images.confined import Decoders
from perturb.lab.limits import HostLimits
from perturb.segmenters.onnx.confined import ConfinedModel
from perturb.segmenters.onnx.segmenter import OnnxSegmenter
from perturb.segmenters.onnx.spec import complete
from tests import onnx_files
from tests.fuzz import images, networks
from training.card import processor

ROUNDS = 25
HEIGHT, WIDTH = 360, 480
LIMITS = HostLimits()
UNSAID = {"scale": "unit", "kind": "logits", "layout": "NCHW", "output_layout": "NCHW"}
"""What is given for a network that does not say it."""


def exported() -> bytes:
    """streets-unet as an ONNX file of any size."""
    network = perturb.load_segmenter("streets-unet")
    assert isinstance(network, perturb.TorchSegmenter)
    axes = {"image": {0: "n", 2: "h", 3: "w"}, "scores": {0: "n", 2: "h", 3: "w"}}
    file = io.BytesIO()
    torch.onnx.export(
        network.module.eval(),
        (torch.rand(1, 3, HEIGHT, WIDTH),),
        file,
        input_names=["image"],
        output_names=["scores"],
        dynamic_axes=axes,
        dynamo=False,
        opset_version=17,
    )
    return file.getvalue()


def confined(data: bytes) -> tuple[ConfinedModel, OnnxSegmenter]:
    """A network in a confined process of its own, with the defaults of a server."""
    model = ConfinedModel(data, "network", torch.get_num_threads(), LIMITS.model, most=2)
    graph = model.facts()
    given = {field: UNSAID[field] for field in graph.unknown}
    return model, OnnxSegmenter(model, graph, complete(graph, given, "network"), classes=graph.classes, name="network")


def cost(data: bytes) -> list[str]:
    """Rows of the table: passes in a confined process and in this one."""
    model, apart = confined(data)
    here = perturb.load_onnx(data, name="network", scale="unit", kind="logits")
    rows = []
    for count in (1, 4, 8):
        batch = torch.rand(count, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
        assert torch.equal(apart(batch), here(batch))
        seconds: dict[str, list[float]] = {"here": [], "apart": []}
        for _ in range(ROUNDS):
            for name, segmenter in (("here", here), ("apart", apart)):
                began = time.perf_counter()
                segmenter(batch)
                seconds[name].append(time.perf_counter() - began)
        ratio = statistics.median(b / a for a, b in zip(seconds["here"], seconds["apart"], strict=True))
        each = {name: statistics.median(values) * 1000 / count for name, values in seconds.items()}
        rows.append(f"| {count} | {each['here']:.1f} | {each['apart']:.1f} | {ratio:.3f} |")
    model.close()
    return rows


def start() -> float:
    """Seconds until a new process has answered its first call: the median of five."""
    took = []
    for _ in range(5):
        model = ConfinedModel(onnx_files.save(onnx_files.pixelwise()), "network", 1, LIMITS.model, most=2)
        began = time.perf_counter()
        model.facts()
        took.append(time.perf_counter() - began)
        model.close()
    return statistics.median(took)


def mutated_images(count: int) -> Counter[str]:
    """What damaged images come to."""
    decoders, outcomes = Decoders(LIMITS.decoder, 1), Counter[str]()
    for seed in range(count):
        try:
            image = decoders.load(images.mutant(seed), name="image")
            outcomes["read"] += 1
            assert np.isfinite(image.pixels).all()
        except perturb.ImageError as error:
            outcomes["stopped" if "limits of this server" in str(error) else "refused"] += 1
    decoders.close()
    return outcomes


def mutated_networks(count: int) -> Counter[str]:
    """What damaged networks come to: read, loaded and run once on an image."""
    outcomes, image = Counter[str](), perturb.sample()
    batch = torch.from_numpy(image.pixels.transpose(2, 0, 1)[None, :, :64, :96].copy())
    for seed in range(count):
        model = None
        try:
            model, segmenter = confined(networks.mutant(seed))
            segmenter(batch)
            outcomes["run"] += 1
        except perturb.SegmenterError as error:
            outcomes["stopped" if "was stopped:" in str(error) else "refused"] += 1
        finally:
            if model is not None:
                model.close()
    return outcomes


def peak_megabytes() -> float:
    """Largest resident memory of this process so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))


def large_images() -> list[str]:
    """Rows of the table: small files of many pixels."""
    decoders, rows = Decoders(LIMITS.decoder, 1), []
    side = 7_700
    for words, made, kind in (
        ("GIF, 59 million pixels", PIL.Image.new("P", (side, side)), "GIF"),
        ("PNG of 16 bits, 59 million", PIL.Image.new("I;16", (side, side)), "PNG"),
        ("PNG with alpha, 59 million", PIL.Image.new("RGBA", (side, side)), "PNG"),
        ("progressive JPEG, 119 million", PIL.Image.new("RGB", (10_900, 10_900)), "JPEG"),
    ):
        file = io.BytesIO()
        made.save(file, format=kind, **({"progressive": True} if kind == "JPEG" else {}))
        del made
        Path("/proc/self/clear_refs").write_text("5")
        before, began = peak_megabytes(), time.perf_counter()
        decoders.load(file.getvalue(), name="large")
        took = time.perf_counter() - began
        rows.append(f"| {words} | {len(file.getvalue()) / 1000:.0f} | {took:.1f} | {peak_megabytes() - before:.0f} |")
    decoders.close()
    return rows


def report(image_count: int, network_count: int) -> str:
    """All figures as Markdown."""
    data = exported()
    passes, begin, large = cost(data), start(), large_images()
    pictures, nets = mutated_images(image_count), mutated_networks(network_count)
    words = {name: ", ".join(f"{count} {what}" for what, count in sorted(made.items())) for name, made in
             (("images", pictures), ("networks", nets))}  # fmt: skip
    return "\n".join(
        [
            f"{processor()}, {torch.get_num_threads()} threads. streets-unet as an ONNX file, {WIDTH} × {HEIGHT} px.",
            "",
            "| images a batch | ms an image here | ms an image confined | ratio |",
            "|---|---|---|---|",
            *passes,
            "",
            f"A process answers its first call {begin:.2f} s after it was asked for.",
            "",
            "| file | kB | s | MB of the server |",
            "|---|---|---|---|",
            *large,
            "",
            f"- {image_count:,} damaged images: {words['images']}.",
            f"- {network_count:,} damaged networks: {words['networks']}.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--networks", type=int, default=565)
    parser.add_argument("--write", type=Path, help="put the figures into this document")
    options = parser.parse_args()
    text = report(options.images, options.networks)
    print(text)
    if options.write:
        put(options.write, "hostile", text)


if __name__ == "__main__":
    sys.exit(main())
