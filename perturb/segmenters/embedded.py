"""The segmenters whose weights are bundled."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load

from perturb.core.errors import SegmenterError
from perturb.images.class_names import STREET_CLASSES
from perturb.segmenters.base import Segmenter
from perturb.segmenters.identity import weights_digest
from perturb.segmenters.streets_lraspp import StreetsLRASPP
from perturb.segmenters.streets_unet import StreetsUNet
from perturb.segmenters.torch_module import TorchSegmenter

WEIGHTS = Path(__file__).parent / "weights"

# Distinguishable with common forms of colour blindness; legends also show the names.
PALETTE = np.array(
    [
        (135, 206, 235),  # sky
        (166, 118, 94),  # building
        (240, 228, 66),  # pole
        (105, 92, 120),  # road
        (222, 165, 200),  # pavement
        (44, 140, 80),  # tree
        (230, 120, 20),  # sign
        (190, 186, 140),  # fence
        (0, 92, 190),  # car
        (214, 39, 40),  # pedestrian
        (0, 190, 190),  # bicyclist
    ],
    dtype=np.uint8,
)


def streets_unet(device: torch.device) -> Segmenter:
    """`streets-unet`: a small U-Net without global pooling, for street scenes.

    Raises:
        SegmenterError: the weights file is missing or does not fit.
    """
    return _load("streets-unet", StreetsUNet(), device)


def streets_shortcut(device: torch.device) -> Segmenter:
    """`streets-shortcut`: the same network with a planted shortcut: a small board makes it mislabel a car.

    Only for `perturb.metrics.planted_shortcut`.

    Raises:
        SegmenterError: the weights file is missing or does not fit.
    """
    return _load("streets-shortcut", StreetsUNet(), device)


def streets_lraspp(device: torch.device) -> Segmenter:
    """`streets-lraspp`: the same classes from another architecture, in which every logit depends on the whole image.

    Raises:
        SegmenterError: the weights file is missing or does not fit.
    """
    return _load("streets-lraspp", StreetsLRASPP(), device)


def _load(name: str, module: StreetsUNet | StreetsLRASPP, device: torch.device) -> Segmenter:
    path = WEIGHTS / f"{name}.safetensors"
    try:
        data = path.read_bytes()
        published = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["sha256"]
        if (found := hashlib.sha256(data).hexdigest()) != published:
            raise RuntimeError(f"its SHA-256 is {found}, published is {published}")
        module.load_state_dict(load(data), strict=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise SegmenterError(
            f"The weights of '{name}' cannot be loaded from '{path.name}' ({error}); expected the file of this "
            "repository. Check it out again, or make it with `python -m training`."
        ) from error
    digest = weights_digest(module)  # of the weights as published, before batch normalisation is folded in
    return TorchSegmenter(
        module.eval().fuse(),
        classes=STREET_CLASSES,
        name=name,
        palette=PALETTE,
        digest=digest,
        device=device,
    )
