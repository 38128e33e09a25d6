"""`streets-unet`: a small segmenter of street scenes.

It is a U-Net without global pooling, attention or image statistics. So every logit depends on a bounded receptive field
around its pixel, and a crop of an image has the same logits as the image, except near its border.

Most of the computation is at 1/8 and 1/16 of the image size, where convolutions are cheap. Thin objects (poles, signs)
reach the output through the skip connection at 1/2.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from perturb.images.class_names import STREET_CLASSES

__all__ = ["STRIDE", "StreetsUNet"]

STRIDE = 16
"""The image is padded to a multiple of this; crops aligned to it have the same grid."""

_WIDTHS = (16, 48, 96, 128)
"""Channels at 1/2, 1/4, 1/8 and 1/16 of the image size."""

_DILATIONS = (1, 2, 4, 1)
"""Dilation of the first convolution of each residual block in the context module, at 1/16."""

_MEAN = (0.42, 0.43, 0.44)
_STD = (0.29, 0.29, 0.29)


class ConvUnit(nn.Module):
    """3 × 3 or 1 × 1 convolution, batch normalisation and (unless `act=False`) ReLU; "same" padding with zeros.

    Input and output are float (N, C, H, W). With stride 2, H and W must be even and are halved.
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
        """Fold the normalisation into the convolution. The unit must be in eval mode; a second call does nothing."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()


class Residual(nn.Module):
    """Residual block of two 3 × 3 convolutions. Only the first is dilated, so that the second fills its gaps."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = ConvUnit(channels, channels, dilation=dilation)
        self.second = ConvUnit(channels, channels, act=False)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) float -> the same shape."""
        return cast(Tensor, self.act(x + self.second(self.first(x))))


class Decoder(nn.Module):
    """Upsample the coarse map by 2, add the encoder's map of that size, and convolve the sum.

    The channels are reduced before upsampling, where a 1 × 1 convolution costs a quarter. The maps are added instead of
    concatenated, which would double the cost of the last convolution.
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
    """Computes the logits of the street classes, see `STREET_CLASSES`.

    Its stages by module name: `stem` (1/2 of the image size), `encoder1` (1/4), `encoder2` (1/8), `encoder3` and
    `context` (1/16), `decoder3` (1/8), `decoder2` (1/4), `decoder1` and `head` (1/2).
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
        # Pad at the bottom and right, so that crops keep their grid, and always (even by 0), so that tracing meets no
        # branch.
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
