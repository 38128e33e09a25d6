"""The networks and targets that are explained; other packages get the same module, image, region and score."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor, nn

import perturb
from perturb.engine.runner import clean_logits
from perturb.images.image import Image, to_tensor
from perturb.segmenters import torchvision
from perturb.segmenters.torch_module import TorchSegmenter
from perturb.targets.target import Frozen, Target, shares

SPREAD = 3.0
"""Standard deviation that the logits of a network with random weights are scaled to."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A segmenter, an image and a frozen target, and the score as a callable for other packages.

    Attributes:
        title: such as "fcn-resnet50 256×256".
        segmenter, image, target, frozen: as the lab takes them.
        as_made: the same network as its package hands it out, from normalised pictures to a dictionary of logits; None where
            that is the segmenter's own module.
    """

    title: str
    segmenter: TorchSegmenter
    image: Image
    target: Target
    frozen: Frozen
    as_made: nn.Module | None = None

    @property
    def picture(self) -> Tensor:
        """`(1, 3, H, W)` in [0, 1]."""
        return to_tensor(self.image, self.segmenter.device)[None]

    def score(self, logits: Tensor) -> Tensor:
        """Mean logit of the class over the region, `(N,)`, of `(N, K, H, W)`: the lab's own definition."""
        region = torch.from_numpy(np.flatnonzero(self.frozen.region))
        return logits[:, self.frozen.index].flatten(1).index_select(1, region).double().mean(1)


class Scorer:
    """Pictures `(N, 3, H, W)` in [0, 1] → scores `(N,)`, with no graph kept: for a peer.

    Args:
        subject: who is explained.
        prepared: run the segmenter's module, channels last and without what its answer does not need; else the network as
            its package hands it out.

    Attributes:
        forwards: pictures run so far.
    """

    def __init__(self, subject: Subject, *, prepared: bool = True) -> None:
        self._subject, self._prepared = subject, prepared
        self.forwards = 0

    def __call__(self, batch: Tensor) -> Tensor:
        self.forwards += len(batch)
        segmenter, as_made = self._subject.segmenter, self._subject.as_made
        with torch.inference_mode():
            if self._prepared or as_made is None:
                logits = segmenter.module(segmenter.prepare(batch))
            else:
                logits = as_made(segmenter.prepare(batch).contiguous())["out"]
            return self._subject.score(logits).float()


def streets(height: int = 360, width: int = 480) -> Subject:
    """The embedded network on a sample street, explained for its cars."""
    return _subject("streets-unet", street(height, width), perturb.load_segmenter("streets-unet"), "car")


def random_network(name: str, height: int, width: int) -> Subject:
    """One of torchvision's networks with random weights, explained for a class that it sees somewhere.

    The speed of a network does not depend on its weights. The statistics of its batch norms are taken from pictures, and
    its last layer is scaled, so that signals neither die nor blow up and its classes share the picture.
    """
    torch.manual_seed(0)
    made = torchvision.build(name, 21, aux_loss=True)  # as the official weights have it
    module = torchvision.LogitsOnly(made)
    _calibrate(module)
    as_made = copy.deepcopy(made)
    classes = [f"class {index}" for index in range(21)]
    segmenter = TorchSegmenter(module, classes=classes, name=name, mean=torchvision.MEAN, std=torchvision.STD)
    return replace(_subject(name, street(height, width), segmenter, None), as_made=as_made.eval())


def _subject(name: str, image: Image, segmenter: perturb.Segmenter, label: str | None) -> Subject:
    assert isinstance(segmenter, TorchSegmenter)
    labels = clean_logits(image, segmenter).argmax(0).numpy()
    if label is None:  # the largest that is not nearly everything
        found = shares(labels, segmenter.classes)
        label = next((name for name, share in found if share < 0.5), found[0][0])
    target = Target(label)
    title = f"{name}, {image.width}×{image.height}"
    return Subject(title, segmenter, image, target, target.freeze(image, labels, segmenter.classes))


def street(height: int, width: int, sample: str = "quiet-street") -> Image:
    pixels = cv2.resize(np.array(perturb.sample(sample).pixels), (width, height), interpolation=cv2.INTER_AREA)
    return perturb.load_image(np.clip(pixels, 0, 1), name=f"{sample}-{width}x{height}")


def _calibrate(module: nn.Module) -> None:
    """Give batch norms the statistics of four pictures, and the last layer logits of `SPREAD` around zero."""
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (torchvision.MEAN, torchvision.STD))
    names = ("quiet-street", "rain", "quiet-street", "rain")
    shown = torch.cat([to_tensor(street(129, 161, name), torch.device("cpu"))[None] for name in names])
    shown[2:] = shown[2:].flip(3)
    module.train()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
            part.momentum = None  # a plain mean
        elif isinstance(part, nn.Dropout):
            part.eval()
    with torch.no_grad():
        module((shown - mean) / std)
        module.eval()
        logits = module((shown - mean) / std)
        last = [part for part in module.modules() if isinstance(part, nn.Conv2d)][-1]
        scale = SPREAD / logits.std()
        last.weight *= scale
        if last.bias is not None:
            last.bias *= scale
            last.bias -= logits.mean((0, 2, 3)) * scale
