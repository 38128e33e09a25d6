"""Random augmentations of a labelled image: geometry (`view`) and colour (`recolour`).

Ordinary street photographs are wanted here. Grey or blurred patches are left out on purpose: the lab asks what an
ordinary network does when a part is hidden, so the network must not have met hidden parts in training.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]  # RGB (H, W, 3), or labels (H, W)

IGNORE = 255
"""Label of pixels that are ignored in the loss and in the evaluation."""


def view(
    pixels: Picture,
    labels: Picture,
    centre: tuple[float, float],
    size: tuple[int, int],
    scale: float,
    rng: np.random.Generator,
) -> tuple[Picture, Picture]:
    """Crop of `size` (height, width) around `centre` (y, x), enlarged by `scale`, flipped half of the time.

    Slightly rotated and stretched. What falls outside the picture repeats the border and is labelled `IGNORE`.
    """
    height, width = size
    angle = np.deg2rad(rng.normal(0, 2))
    stretch = np.exp(rng.normal(0, 0.06))
    flip = -1 if rng.random() < 0.5 else 1
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    matrix = np.array([[flip * cos * stretch, flip * sin * stretch, 0], [-sin / stretch, cos / stretch, 0]])
    matrix[:, 2] = (width / 2, height / 2) - matrix[:, :2] @ (centre[1], centre[0])
    x = cv2.warpAffine(pixels, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    y = cv2.warpAffine(
        labels,
        matrix,
        (width, height),
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(IGNORE,),
    )
    return x.astype(np.uint8, copy=False), y.astype(np.uint8, copy=False)


def recolour(pixels: Picture, rng: np.random.Generator) -> Picture:
    """Photometric augmentation: gain, gamma and tint per channel, saturation, sometimes blur and noise."""
    ramp = np.linspace(0, 1, 256)
    gain = np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.05, 3))
    gamma = np.exp(rng.normal(0, 0.2))
    offset = rng.normal(0, 0.03)
    curves = np.clip(ramp[:, None] ** gamma * gain + offset, 0, 1) * 255
    x = cv2.LUT(pixels, curves.round().astype(np.uint8).reshape(1, 256, 3))
    if rng.random() < 0.5:
        grey = cv2.cvtColor(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        keep = rng.uniform(0.3, 1.5)
        x = cv2.addWeighted(x, keep, grey, 1 - keep, 0)
    if rng.random() < 0.15:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 1.4))
    if rng.random() < 0.15:
        noise = np.asarray(rng.normal(0, rng.uniform(2, 8), x.shape), dtype=np.float32)
        x = np.clip(x + noise, 0, 255)
    return np.asarray(x, dtype=np.uint8)
