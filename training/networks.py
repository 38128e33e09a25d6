"""The networks that can be trained here, and the settings of each."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from perturb.segmenters.streets_lraspp import StreetsLRASPP
from perturb.segmenters.streets_unet import StreetsUNet

Network = StreetsUNet | StreetsLRASPP


@dataclass(frozen=True)
class Trained:
    """A network in training.

    Attributes:
        make: the network, with random weights.
        deep: name of its deepest stage, at 1/16 of the picture's size, and that stage's channels.
        last: name of the convolution whose bias is added to the logits.
        card: file name of the model card's template.
    """

    make: type[StreetsUNet] | type[StreetsLRASPP]
    deep: tuple[str, int]
    last: str
    card: str


NETWORKS = {
    "streets-unet": Trained(StreetsUNet, ("context", 128), "head", "card.md"),
    "streets-lraspp": Trained(StreetsLRASPP, ("backbone.16", 480), "head.high_classifier", "lraspp_card.md"),
}


class _Precise(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).to(x.dtype)


def depthwise_in_float32(network: nn.Module) -> None:
    """Exclude depthwise convolutions from autocast, since their bfloat16 gradients are slow on a CPU."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.__class__ = _Precise
