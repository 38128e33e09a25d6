"""The two sources of labelled images, decoded once into memory, and the endless stream of training batches."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturb.images.class_names import STREET_CLASSES
from training.augment import IGNORE, recolour, view

CAMVID_UNLABELLED = 11
RARE = tuple(STREET_CLASSES.index(name) for name in ("pole", "sign", "fence", "pedestrian", "bicyclist"))
"""Rare classes on which crops are centred more often than by chance."""


@dataclass(frozen=True)
class Source:
    """Labelled images of one origin.

    pixels: uint8 RGB (N, H, W, 3). labels: uint8 (N, H, W), a class index or `IGNORE`.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.pixels)


def load_camvid(folder: Path, split: str) -> Source:
    """The frames of `folder`/`split`/images (JPEG) with `folder`/`split`/labels (PNG, 11 = unlabelled)."""
    frames = sorted((folder / split / "images").glob("*.jpg"))
    if not frames:
        raise FileNotFoundError(f"no frames (*.jpg) in {folder / split / 'images'}")
    pixels, labels = [], []
    for frame in frames:
        picture = cv2.imread(str(frame), cv2.IMREAD_COLOR)
        label = cv2.imread(str(folder / split / "labels" / f"{frame.stem}.png"), cv2.IMREAD_GRAYSCALE)
        if picture is None or label is None:
            raise ValueError(f"cannot read {frame} or its label map")
        pixels.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        labels.append(np.where(label == CAMVID_UNLABELLED, IGNORE, label))
    return Source(np.stack(pixels).astype(np.uint8), np.stack(labels).astype(np.uint8))


class Crops:
    """Random augmented crops of a source, some of them centred on pixels of rare classes."""

    def __init__(self, source: Source, size: tuple[int, int], rare_share: float) -> None:
        self.source = source
        self.size = size
        self.rare_share = rare_share
        # For each rare class, the pixels of it on a coarse grid as rows (picture, y, x).
        coarse = source.labels[:, ::4, ::4]
        self.places = [np.argwhere(coarse == index) * (1, 4, 4) for index in RARE]
        self.places = [places for places in self.places if len(places)]

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """One crop: uint8 RGB (h, w, 3) and uint8 labels (h, w)."""
        height, width = self.source.labels.shape[1:]
        scale = float(np.exp(rng.uniform(np.log(0.5), np.log(1.75))))
        window = np.array(self.size) / scale
        if self.places and rng.random() < self.rare_share:
            places = self.places[rng.integers(len(self.places))]
            index, *place = places[rng.integers(len(places))]
            centre = place + rng.uniform(-0.4, 0.4, 2) * window
        else:
            index = rng.integers(len(self.source))
            centre = rng.uniform(0, 1, 2) * (height, width)
        # Keep the window inside the picture where it fits, centre it where it does not.
        low = np.minimum(window, (height, width)) / 2
        centre = np.clip(centre, low, (height, width) - low)
        centre = np.where(window >= (height, width), np.array((height, width)) / 2, centre)
        pixels, labels = view(
            self.source.pixels[index],
            self.source.labels[index],
            (float(centre[0]), float(centre[1])),
            self.size,
            scale,
            rng,
        )
        return recolour(pixels, rng), labels


def batches(crops: list[tuple[Crops, int]], seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches with the given number of crops from each source, each prepared one step ahead.

    Each: float (N, 3, h, w) in 0..1, channels last, and int64 labels (N, h, w).
    """
    rng = np.random.default_rng(seed)

    def prepare() -> tuple[Tensor, Tensor]:
        drawn = [source.draw(rng) for source, count in crops for _ in range(count)]
        pixels = torch.from_numpy(np.stack([pixels for pixels, _ in drawn]))
        labels = torch.from_numpy(np.stack([labels for _, labels in drawn])).long()
        # (N, h, w, 3) in memory seen as (N, 3, h, w) is the channels-last layout.
        return pixels.permute(0, 3, 1, 2).float() / 255, labels

    with ThreadPoolExecutor(1) as worker:
        ahead = worker.submit(prepare)
        while True:
            batch = ahead.result()
            ahead = worker.submit(prepare)
            yield batch
