"""A segmenter's network as a list of known operations, remembered for as long as it holds.

Whatever is not known exactly is refused, and the network is run as it is: dynamic control flow, hooks, operations that
are not in the tables of `known`, and everything whose list does not give the network's own logits.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from perturb.engine.incremental.known import Stale, Unknown
from perturb.engine.incremental.lowering import Builder, Network, Recorder
from perturb.segmenters.base import Segmenter
from perturb.segmenters.torch_module import TorchSegmenter
from perturb.segmenters.tracing import trace_module

TOLERANCE = 1e-4
"""The list must give the network's own logits within this part of their range; float32 sums in another order differ by
some 1e-6."""

ROUGH = 0.1
"""The same for a list that is run in 16 bits."""


def lower_network(
    segmenter: Segmenter, height: int, width: int, *, keep: str = "", dtype: torch.dtype = torch.float32
) -> Network:
    """A segmenter's network as known operations, for pictures of one size.

    The latest is remembered as long as the weights and the operations stay the same. That cannot see everything: who uses it
    compares its clean logits with the segmenter's own, see `check_clean`.

    Args:
        segmenter: any; only a `TorchSegmenter` without code of its own around the network can be known.
        height, width: of the pictures.
        keep: a layer whose output must stay a step of its own.
        dtype: to run it in.

    Raises:
        Unknown: why that cannot be had; this is remembered, too.
    """
    _require_plain(segmenter)
    assert isinstance(segmenter, TorchSegmenter)
    key = (height, width, keep, dtype, *segmenter.marks())
    if segmenter.module not in _LATEST or _LATEST[segmenter.module][0] != key:
        try:
            made: Network | str = _compile(segmenter, height, width, keep, dtype)
        except Unknown as reason:
            made = str(reason)
        _LATEST[segmenter.module] = (key, made)
    latest = _LATEST[segmenter.module][1]
    if isinstance(latest, str):
        raise Unknown(latest)
    return latest


_LATEST: WeakKeyDictionary[nn.Module, tuple[tuple[Any, ...], Network | str]] = WeakKeyDictionary()
"""For each network the latest list of operations, or why there is none."""


def check_clean(network: Network, last: Tensor, logits: Tensor) -> None:
    """Compare a network's clean logits with those of the segmenter itself, from a pass of this very run.

    Whatever made the list of operations stale, or holds for the picture it was checked with alone, shows here.

    Args:
        network: in use.
        last: its last step's clean value, `(1, K, h, w)`.
        logits: the segmenter's own, `(1, K, H, W)`.

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
    """Whether nothing but a torch module's own code decides what a segmenter answers."""
    kind = type(segmenter)
    decide = ("logits", "normalise", "prepare", "finish", "__call__")
    if not isinstance(segmenter, TorchSegmenter):
        raise Unknown(f"only the operations of torch modules can be read, and this is {kind.__name__}")
    if any(getattr(kind, name) is not getattr(TorchSegmenter, name) for name in decide):
        raise Unknown(f"{kind.__name__} has code of its own around the module")
    modules = list(segmenter.module.modules())
    if any(module._forward_hooks or module._forward_pre_hooks for module in modules):
        raise Unknown("hooks are set on the network")
    if any(module.training for module in modules):
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
