"""Compile the innermost loops before the first run: `python -m perturb.engine.warm_up`.

See `perturb.engine.incremental.compiling`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from perturb.core.settings import check_settings
from perturb.engine.incremental.graph import lower_network
from perturb.engine.incremental.passes import Passes
from perturb.engine.runner import Route, clean_logits, run
from perturb.images.image import load_image, to_tensor
from perturb.perturbations.fills.registry import FILL_SETTINGS, make_fill
from perturb.perturbations.masks import Windows
from perturb.segmenters.torch_module import TorchSegmenter
from perturb.targets.readings import Execution
from perturb.targets.target import Target


class _Tiny(nn.Module):
    """A network with all kinds of operations that have compiled loops."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv2d(3, 32, 3, 2, 1)
        self.coarse = nn.Sequential(nn.ReLU(), nn.Conv2d(32, 32, 3, 2, 1))
        self.last = nn.Sequential(nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(), nn.Conv2d(32, 3, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fine = self.fine(x)
        x = fine + functional.interpolate(self.coarse(fine), scale_factor=2.0, mode="bilinear")
        return functional.interpolate(self.last(x), scale_factor=2.0, mode="bilinear")


def warm_up() -> None:
    """Compile every loop, by a run so small that only compiling takes time.

    Incremental passes are forced, because `route` would not choose them for so small a run.
    """
    torch.manual_seed(0)
    segmenter = TorchSegmenter(_Tiny(), classes=["a", "b", "c"])
    image = load_image(np.random.default_rng(0).random((48, 48, 3), dtype=np.float32))
    labels = clean_logits(image, segmenter).argmax(0).numpy()
    frozen = Target("a", region="all").freeze(image, labels, segmenter.classes)
    with torch.inference_mode():
        quick = Passes(lower_network(segmenter, 48, 48), segmenter, to_tensor(image, segmenter.device), frozen)
    fill = make_fill(image, check_settings(FILL_SETTINGS, {}, "warm-up"), 0)
    for size in (24, 46):  # some maps change in a box, others everywhere
        masks = Windows(48, 48, size=size, stride=6)
        run(image, masks, fill, segmenter, frozen, chosen=Route(quick, Execution("incremental")))


if __name__ == "__main__":
    warm_up()
