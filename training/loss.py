"""The training loss: weighted cross-entropy plus one minus the soft intersection over union."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.augment import IGNORE


def class_weights(labels: NDArray[np.uint8], classes: int) -> Tensor:
    """Class weights, float (classes,): median-frequency weights to the power 0.6, which moderates them."""
    counts = np.bincount(labels.ravel(), minlength=256)[:classes].astype(float)
    frequency = np.maximum(counts, 1) / counts.sum()
    weights = (np.median(frequency) / frequency) ** 0.6
    return torch.tensor(weights, dtype=torch.float32).clamp(0.3, 5)


def undo_weights(head: nn.Conv2d, weights: Tensor) -> None:
    """Take the classes' weights out of the logits again: subtract their logarithms from the last convolution's bias.

    A network trained with the weights w answers as if class c were w_c times as frequent as it is, and finds too many
    poles and pedestrians. Source: Menon et al. 2021, logit adjustment, eq. 9, with the weights in place of the priors.
    """
    with torch.no_grad():
        assert head.bias is not None
        head.bias -= weights.log()


def segmentation_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Scalar loss of logits (N, C, H, W) float against labels (N, H, W) int64 with `IGNORE`."""
    classes = logits.shape[1]
    # One row a pixel: channels-last logits need no copy for it.
    rows = logits.float().permute(0, 2, 3, 1).reshape(-1, classes)
    target = labels.reshape(-1)
    known = target != IGNORE
    rows, target = rows[known], target[known]
    logp = rows.log_softmax(1)
    entropy = nn.functional.nll_loss(logp, target, weights)
    probability = logp.exp()
    present = torch.bincount(target, minlength=classes).float()
    hit = torch.zeros(classes).index_add(0, target, probability.gather(1, target[:, None])[:, 0])
    union = probability.sum(0) + present - hit
    seen = present > 0
    return entropy + (1 - (hit[seen] / union[seen]).mean())
