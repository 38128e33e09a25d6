"""torchvision's segmenters with their official weights: the 20 classes of Pascal VOC, and background.

The weights were trained on the part of COCO with these classes. They are downloaded once, see
`perturb.segmenters.downloads`. Normalisation, class names, and the address and hash of the weights are torchvision's.
"""

from __future__ import annotations

import re
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from perturb.core.errors import SegmenterError
from perturb.segmenters.base import Segmenter
from perturb.segmenters.card import TORCH, Card, Figure
from perturb.segmenters.downloads import Download
from perturb.segmenters.identity import weights_digest
from perturb.segmenters.torch_module import TorchSegmenter

MODELS = {
    "fcn-resnet50": ("fcn_resnet50", "FCN_ResNet50_Weights", "FCN on ResNet-50 (Long et al. 2015)"),
    "fcn-resnet101": ("fcn_resnet101", "FCN_ResNet101_Weights", "FCN on ResNet-101 (Long et al. 2015)"),
    "deeplabv3-mobilenet": (
        "deeplabv3_mobilenet_v3_large",
        "DeepLabV3_MobileNet_V3_Large_Weights",
        "DeepLabV3 on MobileNetV3-Large (Chen et al. 2017)",
    ),
    "deeplabv3-resnet50": (
        "deeplabv3_resnet50",
        "DeepLabV3_ResNet50_Weights",
        "DeepLabV3 on ResNet-50 (Chen et al. 2017)",
    ),
    "deeplabv3-resnet101": (
        "deeplabv3_resnet101",
        "DeepLabV3_ResNet101_Weights",
        "DeepLabV3 on ResNet-101 (Chen et al. 2017)",
    ),
    "lraspp-mobilenet": (
        "lraspp_mobilenet_v3_large",
        "LRASPP_MobileNet_V3_Large_Weights",
        "LR-ASPP on MobileNetV3-Large (Howard et al. 2019)",
    ),
}
"""By name in the registry: torchvision's builder, its weights enumeration, and a description."""

_USES = {
    "fcn-resnet50": "the plain design, without a context module.",
    "fcn-resnet101": "the plain design on a deeper backbone.",
    "deeplabv3-mobilenet": "on a CPU: nearly as good as FCN on ResNet-50 for a fifteenth of the operations.",
    "deeplabv3-resnet50": "nearly the best of these, in less time than the best.",
    "deeplabv3-resnet101": "the best figures of these, and the slowest.",
    "lraspp-mobilenet": "the smallest and fastest of these.",
}
"""The advantage of each over the others."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet statistics, which all of these weights expect."""


class LogitsOnly(nn.Module):
    """A torchvision segmenter that returns only its logits, at the size of the image, without the auxiliary head.

    Its parts keep their names `backbone` and `classifier`, as in checkpoints.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.backbone = cast(nn.Module, model.backbone)
        self.classifier = cast(nn.Module, model.classifier)
        self._two_scales = type(model).__name__ == "LRASPP"  # whose head takes both maps of the backbone

    def forward(self, pictures: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> logits (N, K, H, W)."""
        features = self.backbone(pictures)
        logits = self.classifier(features if self._two_scales else features["out"])
        return nn.functional.interpolate(logits, size=pictures.shape[-2:], mode="bilinear", align_corners=False)


def make(name: str, classes: int) -> LogitsOnly:
    """One of `MODELS` with random weights for a number of classes, on torch's default device."""
    return LogitsOnly(build(name, classes))


def build(name: str, classes: int, **settings: Any) -> nn.Module:
    """The same as torchvision's own module, which returns a dictionary of logits."""
    from torchvision.models import segmentation

    made: nn.Module = getattr(segmentation, MODELS[name][0])(
        weights=None, weights_backbone=None, num_classes=classes, **settings
    )
    return made


def official(name: str) -> Any:
    """torchvision's entry for the weights of one of `MODELS`."""
    from torchvision.models import segmentation

    return getattr(segmentation, MODELS[name][1]).DEFAULT


def download(name: str) -> Download:
    """The official weights of one of `MODELS`; their file name ends with the first digits of their hash."""
    weights = official(name)
    digits = re.search(r"-([0-9a-f]{8,})\.", weights.url.rsplit("/", 1)[-1])
    if digits is None:
        raise SegmenterError(f"The file name of the weights of '{name}' holds no hash, so they cannot be checked.")
    return Download(weights.url, digits[1], float(weights.meta["_file_size"]))


def card(name: str) -> Card:
    """The card of one of `MODELS`, from torchvision's metadata; nothing is downloaded."""
    meta = official(name).meta
    ((where, found),) = meta["_metrics"].items()
    return Card(
        architecture=MODELS[name][2],
        classes=_names(meta["categories"]),
        parameters=meta["num_params"],
        megabytes=meta["_file_size"],
        input="RGB of any size",
        abilities=TORCH,
        data=f"The part of COCO train2017 with the 20 classes of Pascal VOC; [recipe]({meta['recipe']})",
        licence="Code BSD-3-Clause; the weights have no licence of their own, torchvision refers to the terms of their data",
        figures=(Figure(found["miou"] / 100, f"{where}: COCO val2017, labelled as in Pascal VOC", "torchvision"),),
        use=f"Photographs of people, animals, vehicles and furniture; {_USES[name]} In a street scene it knows only vehicles "
        "and people; everything else is background.",
        speed=f"{meta['_ops']:.0f} billion operations per image, by torchvision's count",
    )


def _names(categories: list[str]) -> tuple[str, ...]:
    return tuple("background" if each == "__background__" else each for each in categories)


def load(name: str, device: torch.device) -> Segmenter:
    """Load one of `MODELS` with its official weights from the cache.

    Raises:
        SegmenterError: the file cannot be read, or does not match the module.
    """
    path = download(name).path
    names = _names(official(name).meta["categories"])
    with torch.device("meta"):  # no random initialization: all weights come from the file
        module = make(name, len(names))
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = {key: value for key, value in state.items() if not key.startswith("aux_classifier.")}
        module.load_state_dict(state, strict=True, assign=True)
    except Exception as error:  # torch raises errors of many kinds for a damaged file
        raise SegmenterError(
            f"The weights of '{name}' cannot be loaded from '{path}' ({str(error).strip().splitlines()[0][:200]}). Delete "
            "the file, and it is downloaded again."
        ) from error
    return TorchSegmenter(
        module,
        classes=names,
        name=name,
        mean=MEAN,
        std=STD,
        palette=voc_palette(),
        digest=weights_digest(module),
        device=device,
    )


def voc_palette(classes: int = 21) -> npt.NDArray[np.uint8]:
    """Colours of Pascal VOC, uint8 `(classes, 3)`: the bits of the index, distributed over red, green and blue.

    Source: VOCdevkit, `VOClabelcolormap`.
    """
    index = np.arange(classes)
    palette = np.zeros((classes, 3), dtype=np.uint8)
    for place in range(8):
        for channel in range(3):
            palette[:, channel] |= ((index >> (3 * place + channel) & 1) << (7 - place)).astype(np.uint8)
    return palette
