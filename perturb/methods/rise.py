"""RISE: keep random parts of the image with soft masks, and average the scores weighted by the masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from perturb.core.errors import SettingError
from perturb.core.settings import Setting
from perturb.methods.base import Outcome, Request
from perturb.methods.masked import MaskedMethod
from perturb.perturbations.fills.registry import FILL_SETTINGS
from perturb.perturbations.masks import Masks
from perturb.targets.readings import Readings


class Rise(MaskedMethod):
    """A pixel's value is the mean score over the masks, weighted by how much of the pixel each keeps: Σ S(x ⊙ M)·M / Σ M.

    x ⊙ M is the image blended with the fill, M·x + (1 − M)·b; the paper uses black. The sum is divided by the sum of the
    masks rather than by its expectation N·p, so that a constant model gives a constant map.
    """

    name: ClassVar[str] = "rise"
    title: ClassVar[str] = "RISE"
    summary: ClassVar[str] = (
        "Random soft masks keep parts of the image; a pixel's value is the mean score over the masks that keep it."
    )
    citation: ClassVar[str] = "Petsiuk et al. 2018, sec. 3.1 and 3.2, eq. 6"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "grid",
            "int",
            7,
            "Cells along each side of a mask. More cells resolve smaller parts and need more masks.",
            low=2,
            high=64,
        ),
        Setting(
            "keep",
            "float",
            0.5,
            "Probability that a cell is kept. A smaller one hides more at once.",
            low=0.05,
            high=0.95,
            step=0.05,
        ),
        Setting(
            "masks",
            "int",
            500,
            "Random masks, one forward pass each. The paper uses 4000 to 8000. Four times as many halve the noise of the map.",
            low=10,
            high=20_000,
            step=100,
        ),
        *FILL_SETTINGS,
    )
    captions: ClassVar[Mapping[str, str]] = {
        "score": "The mean score over the random masks, each weighted by how much of the pixel it keeps. Red pixels lie above "
        "the mean over all masks and support the class; blue pixels lie below it and count against the class.",
    }

    def masks(self, request: Request) -> Masks:
        image, settings = request.image, request.settings
        grid = int(settings["grid"])
        if grid > min(image.height, image.width):
            raise SettingError(
                f"The grid is finer than the image: got {grid} × {grid} cells for {image.width} × {image.height} px. "
                "Choose a smaller grid."
            )
        keep, count = float(settings["keep"]), int(settings["masks"])
        return SoftGrids(image.height, image.width, grid=grid, keep=keep, count=count, seed=request.seed)

    def read(self, request: Request, masks: Masks, readings: Readings) -> Outcome:
        assert isinstance(masks, SoftGrids)
        clean = request.clean.score[0]
        # As changes from the clean score, which are exactly zero for a constant model.
        change = readings.score - clean
        total, kept = np.zeros((masks.height, masks.width)), np.zeros((masks.height, masks.width))
        for index in range(len(masks)):
            mask = masks.kept(index)
            total += change[index] * mask
            kept += mask
        mean, never = float(change.mean()), kept == 0
        score = clean + np.where(never, mean, total / np.where(never, 1.0, kept))
        # Rounded like the map, so that a constant map equals it exactly.
        neutral = float(np.float32(clean + mean))
        notes = [
            f"RISE's map is a mean score, not a drop: it lies around the mean over all masks ({neutral:.4g}), not around 0. "
            "Pixels above that are needed, pixels below it stand in the way."
        ]
        if never.any():
            notes.append(f"{int(never.sum())} pixels were kept by no mask and are set to that mean; use more masks.")
        return Outcome({"score": score.astype(np.float32)}, {"masks": len(masks)}, tuple(notes), neutral=neutral)


class SoftGrids(Masks):
    """Random coarse grids, enlarged bilinearly and cropped at random: masks with soft edges.

    Each grid has s × s cells, each kept with probability p, and is enlarged to (s + 1)·⌈H/s⌉ by (s + 1)·⌈W/s⌉ pixels. A
    crop of the image's size is taken at a random position. A mask depends only on the seed and its index.

    Args:
        height, width: size of the image in pixels.
        grid: s, at most the shorter side of the image.
        keep: p, in (0, 1).
        count: number of masks.
        seed: of the draws, 0 or more.
    """

    def __init__(self, height: int, width: int, *, grid: int, keep: float, count: int, seed: int) -> None:
        self.height, self.width = height, width
        self._grid, self._keep, self._count, self._seed = grid, keep, count, seed
        self._cell = (-(-height // grid), -(-width // grid))

    def __len__(self) -> int:
        return self._count

    def draw(self, index: int) -> tuple[npt.NDArray[np.bool_], int, int]:
        """The random part of a mask: the grid, True where kept, bool `(s, s)`, and the crop's top and left in pixels."""
        generator = np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(index,)))
        grid = generator.random((self._grid, self._grid)) < self._keep
        top, left = (int(generator.integers(cell)) for cell in self._cell)
        return grid, top, left

    def kept(self, index: int) -> npt.NDArray[np.float32]:
        """How much a mask keeps of each pixel: M, float32 `(H, W)` in [0, 1]."""
        grid, top, left = self.draw(index)
        size = ((self._grid + 1) * self._cell[1], (self._grid + 1) * self._cell[0])
        large = cv2.resize(grid.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        return np.clip(large[top : top + self.height, left : left + self.width], 0.0, 1.0)

    def hidden(self, start: int, stop: int) -> Tensor:
        """Masks `start` to `stop`: float32 `(stop − start, H, W)` in [0, 1], 1 − M."""
        masks = torch.empty((stop - start, self.height, self.width))
        for row, index in enumerate(range(start, stop)):
            masks[row] = torch.from_numpy(1.0 - self.kept(index))
        return masks
