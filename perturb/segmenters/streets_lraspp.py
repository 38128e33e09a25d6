"""`streets-lraspp`: a segmenter of street scenes with another architecture than `streets-unet`.

It has torchvision's LR-ASPP head on the MobileNetV3-Large backbone with the reduced tail: depthwise convolutions,
squeeze-and-excitation, and in the head a gate computed from the mean over the whole image. So every logit depends on
every pixel. There is no bounded receptive field, and a crop of an image has other logits than the image.

Sources: Howard et al. 2019, *Searching for MobileNetV3*, sec. 5 and 6.4 (the head), table 1 (the backbone).
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from perturb.images.class_names import STREET_CLASSES

__all__ = ["STRIDE", "StreetsLRASPP"]

STRIDE = 16
"""Stride of the deepest maps; the last stages of the backbone are dilated instead of strided."""

_LOW = 4
"""Index of the backbone's stage whose maps, at 1/8 of the image size, are the high-resolution input of the head."""

_MEAN = (0.42, 0.43, 0.44)
_STD = (0.29, 0.29, 0.29)


class StreetsLRASPP(nn.Module):
    """Computes the logits of the street classes, see `STREET_CLASSES`.

    Its stages by module name: `backbone.0` (1/2 of the image size), … `backbone.4` (1/8), … `backbone.16` (1/16), and
    `head`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, classes: int = len(STREET_CLASSES)) -> None:
        super().__init__()
        # Imported here, because importing torchvision takes two seconds, which other segmenters do not need.
        from torchvision.models import mobilenet_v3_large
        from torchvision.models.segmentation.lraspp import LRASPPHead

        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1))
        # torchvision's momentum averages over a hundred steps, which is too slow for a short training.
        norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.1)
        made = mobilenet_v3_large(weights=None, dilated=True, reduced_tail=True, norm_layer=norm)
        self.backbone: nn.Sequential = made.features
        low, high = (self.backbone[index].out_channels for index in (_LOW, -1))
        self.head = LRASPPHead(low, high, classes, 128)

    def forward(self, pictures: Tensor) -> Tensor:
        """RGB images (N, 3, H, W), float in 0..1, any H and W from 1 -> logits (N, classes, H, W) float."""
        x = (pictures - self.mean) / self.std
        low = x
        for index, stage in enumerate(self.backbone):
            x = stage(x)
            if index == _LOW:
                low = x
        logits: Tensor = self.head({"low": low, "high": x})
        return nn.functional.interpolate(logits, pictures.shape[-2:], mode="bilinear", align_corners=False)

    def fuse(self) -> StreetsLRASPP:
        """Fold every batch normalisation into its convolution, in place; needs eval mode. Returns the network."""
        if self.training:
            raise RuntimeError("fuse() needs the network in eval mode: call eval() first")
        for module in list(self.modules()):
            if isinstance(module, nn.Sequential):
                for name, after in zip(list(module._modules), list(module._modules)[1:], strict=False):
                    first, second = getattr(module, name), getattr(module, after)
                    if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                        setattr(module, name, fuse_conv_bn_eval(first, second))
                        setattr(module, after, nn.Identity())
        return self
