"""Segmenters whose answers can be worked out by hand."""

import numpy as np
import torch
from torch import Tensor

from perturb import Segmenter
from perturb.images.image import Image, image_from_pixels


class Constant(Segmenter):
    """The same logits whatever it sees."""

    def __init__(self, value: float = 1.0) -> None:
        super().__init__("constant", classes=["thing", "rest"])
        self.value = value

    def logits(self, batch: Tensor) -> Tensor:
        own = torch.full_like(batch[:, :1], self.value)
        return torch.cat([own, torch.zeros_like(own)], 1)


class Additive(Segmenter):
    """The logit of `thing` is S = Σ w·x over the whole picture, the same at every pixel; `rest` is far below."""

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__("additive", classes=["thing", "rest"])
        self.weights = torch.from_numpy(weights.astype(np.float64))  # (H, W, 3)

    def logits(self, batch: Tensor) -> Tensor:
        score = (batch.double().permute(0, 2, 3, 1) * self.weights).sum((1, 2, 3))
        own = score[:, None, None, None].expand(-1, 1, *batch.shape[2:])
        return torch.cat([own, torch.full_like(own, -1e6)], 1)


class DarkIsObject(Segmenter):
    """Each pixel on its own: dark is `object`, bright is `background`."""

    def __init__(self) -> None:
        super().__init__("dark", classes=["background", "object"])
        self.pictures = 0

    def logits(self, batch: Tensor) -> Tensor:
        self.pictures += len(batch)
        brightness = batch.mean(1, keepdim=True)
        return torch.cat([brightness * 10, (1 - brightness) * 10], 1)


def picture(height: int, width: int, seed: int = 0) -> Image:
    """Seeded noise as a picture."""
    pixels = np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)
    return image_from_pixels(pixels, name="noise")


def dark_square(height: int = 37, width: int = 53) -> Image:
    """A dark square on a bright ground; no size is a multiple of anything."""
    pixels = np.full((height, width, 3), 0.9, dtype=np.float32)
    pixels[10:20, 15:30] = 0.1
    return image_from_pixels(pixels, name="dark square")
