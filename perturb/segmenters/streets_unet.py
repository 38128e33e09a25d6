"""`streets-unet`: the lab's own small segmenter of street scenes.

A U-Net whose context comes from convolutions alone: no pooling of the whole image, no attention, no statistic of
the image. So every logit depends on a bounded neighbourhood of its pixel (the receptive field), which makes the
network a fair subject for "what does it need to see?", and makes crops of an image give the logits of the image.

Most of the work is done at 1/8 and 1/16 of the image's size, where a convolution is cheap; thin things (poles,
signs) reach the output through the skip connection at 1/2.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from perturb.images.class_names import STREET_CLASSES

__all__ = ["STRIDE", "StreetsUNet"]

STRIDE = 16
"""The image is padded to a multiple of this; crops aligned to it see the same grid."""

_WIDTHS = (16, 48, 96, 128)
"""Channels at 1/2, 1/4, 1/8 and 1/16 of the image's size."""

_DILATIONS = (1, 2, 4, 1)
"""Dilation of the first convolution of each residual block of the context, at 1/16."""

_MEAN = (0.42, 0.43, 0.44)
_STD = (0.29, 0.29, 0.29)


class ConvUnit(nn.Module):
    """3x3 or 1x1 convolution, batch normalisation and (unless `act=False`) ReLU; "same" padding with zeros.

    Takes and gives float (N, C, H, W); with stride 2, H and W must be even and are halved.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1, act: bool = True
    ) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)
        self.act: nn.Module = nn.ReLU() if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) float -> (N, outputs, H / stride, W / stride) float."""
        return cast(Tensor, self.act(self.norm(self.conv(x))))

    def fuse(self) -> None:
        """Fold the normalisation into the convolution; the unit must be in eval mode. Does nothing the second time."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()


class Residual(nn.Module):
    """Two 3x3 convolutions added to their input; only the first is dilated, so that the second closes its gaps."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = ConvUnit(channels, channels, dilation=dilation)
        self.second = ConvUnit(channels, channels, act=False)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) float -> the same shape."""
        return cast(Tensor, self.act(x + self.second(self.first(x))))


class Decoder(nn.Module):
    """Bring the coarse map to twice its size, add the encoder's map of that size, and mix the two.

    The coarse map is narrowed before it is enlarged (a 1x1 convolution costs four times less there), and added
    rather than concatenated (which would double the cost of the mixing convolution).
    """

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.narrow = ConvUnit(coarse, fine, kernel=1, act=False)
        self.enlarge = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.skip = ConvUnit(fine, fine, kernel=1, act=False)
        self.act = nn.ReLU()
        self.mix = ConvUnit(fine, fine)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(N, coarse, H, W) and (N, fine, 2H, 2W), both float -> (N, fine, 2H, 2W) float."""
        return cast(Tensor, self.mix(self.act(self.enlarge(self.narrow(x)) + self.skip(skip))))


class StreetsUNet(nn.Module):
    """Images to the logits of the street classes, see `STREET_CLASSES`.

    The stages, by the names under which hooks find them: `stem` (1/2 of the image's size), `encoder1` (1/4),
    `encoder2` (1/8), `encoder3` and `context` (1/16), `decoder3` (1/8), `decoder2` (1/4), `decoder1` and `head` (1/2).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, classes: int = len(STREET_CLASSES)) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = _WIDTHS
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1))
        self.stem = nn.Sequential(ConvUnit(3, half, stride=2), ConvUnit(half, half))
        self.encoder1 = nn.Sequential(ConvUnit(half, quarter, stride=2), Residual(quarter))
        self.encoder2 = nn.Sequential(ConvUnit(quarter, eighth, stride=2), Residual(eighth))
        self.encoder3 = ConvUnit(eighth, sixteenth, stride=2)
        self.context = nn.Sequential(*(Residual(sixteenth, dilation) for dilation in _DILATIONS))
        self.decoder3 = Decoder(sixteenth, eighth)
        self.decoder2 = Decoder(eighth, quarter)
        self.decoder1 = Decoder(quarter, half)
        self.head = nn.Conv2d(half, classes, 1)
        self.enlarge = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """RGB images (N, 3, H, W), float in 0..1, any H and W from 1 -> logits (N, classes, H, W) float."""
        height, width = pictures.shape[-2:]
        x = (pictures - self.mean) / self.std
        # Pad below and on the right, and always (by 0 too), so that tracing finds no branch and crops keep their grid.
        x = nn.functional.pad(x, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        half = self.stem(x)
        quarter = self.encoder1(half)
        eighth = self.encoder2(quarter)
        x = self.context(self.encoder3(eighth))
        x = self.decoder3(x, eighth)
        x = self.decoder2(x, quarter)
        x = self.decoder1(x, half)
        logits: Tensor = self.enlarge(self.head(x))
        return logits[..., :height, :width]

    def fuse(self) -> "StreetsUNet":
        """Fold every batch normalisation into its convolution, in place; needs eval mode. Returns the network."""
        if self.training:
            raise RuntimeError("fuse() needs the network in eval mode: call eval() first")
        for module in self.modules():
            if isinstance(module, ConvUnit):
                module.fuse()
        return self
