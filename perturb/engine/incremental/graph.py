"""Lower a segmenter's network to a list of known operations, and cache the list.

A network is run as it is unless it can be lowered exactly. This excludes dynamic control flow, hooks, operations that
are not in the tables of `known`, and networks whose lowered operations give other logits.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from perturb.engine.incremental.known import Stale, Unknown
from perturb.engine.incremental.lowering import Builder, Network, Recorder
from perturb.segmenters.base import Segmenter
from perturb.segmenters.torch_layers import hooked
from perturb.segmenters.torch_module import TorchSegmenter
from perturb.segmenters.tracing import trace_module

TOLERANCE = 1e-4
"""Largest difference between the logits of the lowered and the original network, relative to their range. Summing in
another order in float32 gives differences of about 1e-6."""

ROUGH = 0.1
"""The same in bfloat16."""


def lower_network(
    segmenter: Segmenter, height: int, width: int, *, keep: str = "", dtype: torch.dtype = torch.float32
) -> Network:
    """Lower a segmenter's network to known operations, for images of one size.

    The latest result is cached as long as weights and operations do not change. Not every change can be detected, so
    callers compare its clean logits with the segmenter's own, see `check_clean`.

    Args:
        segmenter: any segmenter; only a `TorchSegmenter` without code of its own around the network can be lowered.
        height, width: size of the images.
        keep: name of a layer whose output must remain a step.
        dtype: dtype of the lowered network.

    Raises:
        Unknown: the network cannot be lowered; the message is the reason. It is cached as well.
    """
    _require_plain(segmenter)
    assert isinstance(segmenter, TorchSegmenter)
    key = (height, width, keep, dtype, *segmenter.marks())
    latest = _LATEST.get(segmenter.module)
    if latest is None or latest[0] != key:
        made: Network | str
        try:
            made = _compile(segmenter, height, width, keep, dtype)
        except Unknown as reason:
            made = str(reason)
        # Kept in a variable as well, because another thread may store that of another size at any time.
        latest = _LATEST[segmenter.module] = (key, made)
    if isinstance(latest[1], str):
        raise Unknown(latest[1])
    return latest[1]


def known_network(segmenter: Segmenter, height: int, width: int) -> Network | None:
    """The cached lowered network for images of one size in float32, without any work; None if there is none."""
    if not isinstance(segmenter, TorchSegmenter):
        return None
    key = (height, width, "", torch.float32, *segmenter.marks())
    latest = _LATEST.get(segmenter.module)
    return latest[1] if latest is not None and latest[0] == key and isinstance(latest[1], Network) else None


_LATEST: WeakKeyDictionary[nn.Module, tuple[tuple[Any, ...], Network | str]] = WeakKeyDictionary()
"""The latest lowered network of each module, or the reason why there is none."""


def check_clean(network: Network, last: Tensor, logits: Tensor) -> None:
    """Compare the clean logits of a lowered network with those of the segmenter, from a pass in this run.

    This detects operations that are out of date, or that were only valid for the image used when lowering.

    Args:
        network: the lowered network.
        last: clean value of its last step, `(1, K, h, w)`.
        logits: clean logits of the segmenter, `(1, K, H, W)`.

    Raises:
        Stale: they differ by more than rounding.
    """
    part = TOLERANCE if network.dtype == torch.float32 else ROUGH
    spread = float(logits.max() - logits.min())
    got = network.logits(last).float()
    off = float((got - logits).abs().max()) if got.shape == logits.shape else float("inf")
    if not off <= part * spread + 1e-6:
        raise Stale(
            f"the operations read off the network gave other clean logits than the network itself (they differ by {off:.2g}, "
            f"where the logits span {spread:.2g})"
        )


def _require_plain(segmenter: Segmenter) -> None:
    """Check that a segmenter's logits are determined by a torch module alone.

    Raises:
        Unknown: they are not; the message is the reason.
    """
    kind = type(segmenter)
    decide = ("logits", "normalise", "prepare", "finish", "__call__")
    if not isinstance(segmenter, TorchSegmenter):
        raise Unknown(f"only the operations of torch modules can be read, and this is {kind.__name__}")
    if any(getattr(kind, name) is not getattr(TorchSegmenter, name) for name in decide):
        raise Unknown(f"{kind.__name__} has code of its own around the module")
    if hooked(segmenter.module):
        raise Unknown("hooks are set on the network")
    if any(module.training for module in segmenter.module.modules()):
        raise Unknown("a part of the network is in training mode")


def _compile(segmenter: TorchSegmenter, height: int, width: int, keep: str, dtype: torch.dtype) -> Network:
    seed = torch.Generator().manual_seed(0)
    sample = torch.rand((1, 3, height, width), generator=seed).to(segmenter.device)
    with torch.inference_mode():
        expected = segmenter(sample)
        given = segmenter.prepare(sample)
    try:
        traced, outputs = trace_module(segmenter.module, given)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:120]
        raise Unknown(f"the network cannot be traced ({reason})") from error
    if keep and keep not in outputs:
        raise Unknown(f"the trace has no value of the layer '{keep}'")
    with torch.inference_mode():
        recorder = Recorder(traced)
        try:
            recorder.run(given.clone())
        except Unknown:
            raise
        except Exception as error:
            raise Unknown("the traced network cannot be run") from error
        builder = Builder(traced, recorder.seen, outputs.get(keep), (height, width))
        made = builder.build(outputs, dtype, expected)
        check_clean(made, made.clean(segmenter.normalise(sample).to(dtype))[-1], expected)
    return made
