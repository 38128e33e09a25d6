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

    import perturb

    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(), nn.Conv2d(32, 3, 1))
    module = nn.Sequential(*layers, nn.Upsample(scale_factor=2, mode="bilinear"))
    segmenter = perturb.TorchSegmenter(module, classes=["a", "b", "c"])
    image = perturb.load_image(np.random.default_rng(0).random((48, 48, 3), dtype=np.float32))
    perturb.explain(image, segmenter, perturb.Target("a", region="all"), size=24, stride=8)


if __name__ == "__main__":
    ahead()
