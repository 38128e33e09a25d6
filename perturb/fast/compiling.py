"""How the innermost loops are compiled: by numba, when first used; what it makes is kept on disk beside the source.

Modules with such loops are imported where they are used, because numba takes half a second to import. Compiling takes some
seconds, once for each installation; `python -m perturb.fast.compiling` does it ahead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

_TOLD: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    # Sums in any order; what is not finite stays so.
    "fastmath": {"reassoc", "contract", "nsz"},
}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of arrays and numbers as machine code, which holds no interpreter lock. Indices are not checked."""
    try:
        made: Callable[..., Any] = njit(cache=True, **_TOLD)(function)
    except RuntimeError:  # there is no place to keep it: all is read-only
        made = njit(**_TOLD)(function)
    return made


def ahead() -> None:
    """Compile everything, by a run so small that only compiling takes time."""
    import numpy as np
    import torch
    from torch import nn
    from torch.nn import functional

    import perturb

    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fine = nn.Conv2d(3, 32, 3, 2, 1)
            self.coarse = nn.Sequential(nn.ReLU(), nn.Conv2d(32, 32, 3, 2, 1))
            self.last = nn.Sequential(nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(), nn.Conv2d(32, 3, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            fine = self.fine(x)
            x = fine + functional.interpolate(self.coarse(fine), scale_factor=2.0, mode="bilinear")
            return functional.interpolate(self.last(x), scale_factor=2.0, mode="bilinear")

    torch.manual_seed(0)
    segmenter = perturb.TorchSegmenter(Tiny(), classes=["a", "b", "c"])
    image = perturb.load_image(np.random.default_rng(0).random((48, 48, 3), dtype=np.float32))
    for size in (24, 46):  # some maps change in a box, others all over
        perturb.explain(image, segmenter, perturb.Target("a", region="all"), size=size, stride=6)


if __name__ == "__main__":
    ahead()
