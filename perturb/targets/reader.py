"""Compute the readings of a target from logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from perturb.targets.readings import Readings
from perturb.targets.target import Frozen


class Reader:
    """Computes readings from batches of logits `(N, K, H, W)`. One forward pass gives all of them.

    Args:
        frozen: the target.
        device: where the logits are, and so the masks.
    """

    def __init__(self, frozen: Frozen, device: torch.device) -> None:
        self.frozen = frozen
        self.clean = torch.from_numpy(frozen.clean).to(device)
        self.region_index = torch.from_numpy(np.flatnonzero(frozen.region)).to(device)
        self.was = torch.from_numpy(frozen.clean & frozen.region).to(device)
        x0, y0, x1, y1 = frozen.window
        self.window = (slice(None), slice(y0, y1), slice(x0, x1))
        self.reference = torch.from_numpy(frozen.reference).to(device)[self.window[1:]]
        self.reference_pixels = int(self.reference.sum())
        self.labelled = None if frozen.void is None else torch.from_numpy(~frozen.void).to(device)[self.window[1:]]

    def read(self, logits: Tensor, hidden: Tensor) -> Readings:
        """Readings of N perturbed images.

        Args:
            logits: `(N, K, H, W)`.
            hidden: hidden pixels, `(N, H, W)`: bool, or float, where any value above 0 counts as hidden.
        """
        return self.count(self.mask(logits), hidden, None if self.frozen.target.score == "iou" else self.mean(logits))

    def count(self, now: Tensor, hidden: Tensor, score: Tensor | None) -> Readings:
        """Readings of N perturbed images from their masks and scores.

        Args:
            now: {A' = c}, bool `(N, H, W)`.
            hidden: as in `read`.
            score: mean logit or probability over the region, `(N,)`; None if the score is the IoU.
        """
        hidden = hidden if hidden.dtype == torch.bool else hidden > 0
        lost = self.was & ~now
        gained = now & ~self.clean
        inside = now[self.window] if self.labelled is None else now[self.window] & self.labelled
        common = _counts(inside & self.reference)
        union = _counts(inside) + self.reference_pixels - common
        # Two empty masks agree.
        iou = np.where(union > 0, common / np.maximum(union, 1), 1.0)
        return Readings(
            score=iou.copy() if score is None else _numpy(score, np.float64),
            lost=_counts(lost),
            gained=_counts(gained),
            lost_hidden=_counts(lost & hidden),
            gained_hidden=_counts(gained & hidden),
            iou=iou,
            hidden=_counts(hidden),
        )

    def mask(self, logits: Tensor) -> Tensor:
        """{A' = c}, bool `(N, H, W)`. Of equal logits the first class wins, as in argmax."""
        c = self.frozen.index
        own = logits[:, c]
        now = torch.ones_like(own, dtype=torch.bool)
        # Two maxima are several times faster than an argmax over the class axis.
        if c > 0:
            now &= own > logits[:, :c].amax(1)
        if c + 1 < logits.shape[1]:
            now &= own >= logits[:, c + 1 :].amax(1)
        return now

    def mean(self, logits: Tensor) -> Tensor:
        """Mean logit or softmax over R, float64 `(N,)`; differentiable."""
        c = self.frozen.index
        # Summed in float64, so that a score does not depend on the batch.
        if self.frozen.target.score == "logit":
            return logits[:, c].flatten(1).index_select(1, self.region_index).double().mean(1)
        picked = logits.flatten(2).index_select(2, self.region_index)
        return picked.softmax(1)[:, c].double().mean(1)


def _counts(masks: Tensor) -> npt.NDArray[np.int64]:
    """Number of True values in each of `(N, …)`, int64 `(N,)`."""
    if masks.device.type != "cpu":
        return _numpy(masks.flatten(1).sum(1), np.int64)
    # Several times faster than a sum, which first converts to integers.
    return np.array([np.count_nonzero(mask) for mask in masks.numpy()], dtype=np.int64)


def _numpy(tensor: Tensor, dtype: Any) -> npt.NDArray[Any]:
    return tensor.detach().cpu().numpy().astype(dtype)
