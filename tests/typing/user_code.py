"""What a user writes; `mypy --strict` checks it against the installed package, and it runs as it stands."""

from pathlib import Path
from typing import assert_type

import numpy as np
import numpy.typing as npt
import torch

import perturb


class Redness(perturb.Segmenter):
    def logits(self, batch: torch.Tensor) -> torch.Tensor:
        red = batch[:, :1] - batch[:, 1:].mean(1, keepdim=True)
        return torch.cat([red, 0.1 - red], 1)


def explained(folder: Path) -> Path:
    image = assert_type(perturb.sample("quiet-street"), perturb.Image)
    assert_type(image.pixels, npt.NDArray[np.float32])
    perturb.register("typed-redness", lambda device: Redness("typed-redness", classes=["red", "other"], device=device))
    segmenter = assert_type(perturb.load_segmenter("typed-redness", device="cpu"), perturb.Segmenter)
    target = perturb.Target("red", region="class", score="probability")
    result = assert_type(
        perturb.explain(image, segmenter, target, method="occlusion", seed=3, size=180, stride=180), perturb.Attribution
    )
    assert_type(result.heatmap, npt.NDArray[np.float32])
    assert_type(result.readings, perturb.Readings)
    curves = assert_type(perturb.curves(result, steps=2, draws=1), perturb.Curves)
    assert_type(curves.deletion, perturb.Curve)
    assert_type(curves.metrics(), dict[str, float])
    assert_type(perturb.probe(result, 0), perturb.Probe)
    assert_type(result._repr_html_(), str)
    axes = result.plot()
    axes.set_title("one map")
    assert_type(len(result.plot(curves=curves)), int)
    try:
        perturb.load_onnx(b"", scale="unit")
    except perturb.SegmenterError as error:
        assert_type(str(error), str)
    assert_type(list(perturb.METHODS.values()), list[perturb.Method])
    assert_type(perturb.__version__, str)
    return assert_type(perturb.save(result, folder, curves=curves), Path)


if __name__ == "__main__":
    explained(Path("out"))
