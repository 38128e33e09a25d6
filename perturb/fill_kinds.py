"""The kinds of fill, and the contract of one: the same picture behind every hole, or one made for each hole."""

from __future__ import annotations

from abc import ABC, abstractmethod

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from perturb.imputation import impute


class Fill(ABC):
    """Paints over hidden pixels."""

    @abstractmethod
    def paint(self, picture: Tensor, hidden: Tensor, first: int) -> Tensor:
        """Perturbed pictures.

        Args:
            picture: the clean one, float32 `(3, H, W)` in [0, 1].
            hidden: `(N, H, W)`, bool, or float32 in [0, 1] for masks with soft edges.
            first: index of the first mask in its stream: what a fill draws by chance must depend on the mask's index
                and the seed, never on the batch it came in.

        Returns:
            float32 `(N, 3, H, W)`; pixels that are not hidden are bit-identical.
        """


class Backdrop(Fill):
    """A fill that does not depend on the mask: one picture b shows through every hole.

    Attributes:
        pixels: b, float32 `(H, W, 3)` in [0, 1].
    """

    def __init__(self, pixels: npt.NDArray[np.float32]) -> None:
        self.pixels = pixels
        self._tensor = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))

    def paint(self, picture: Tensor, hidden: Tensor, first: int) -> Tensor:  # noqa: ARG002 — b is the same for all masks
        backdrop = self._tensor = self._tensor.to(picture.device)
        if hidden.dtype == torch.bool:
            return torch.where(hidden[:, None], backdrop, picture)
        weight = hidden[:, None]
        return picture + weight * (backdrop - picture)


class Patch(Fill):
    """A fill that depends on the mask: each hole gets a picture of its own.

    Of a mask with soft edges, every pixel hidden in part is part of the hole: what is half hidden is no evidence of
    itself. Its weight then blends the patch with the clean picture.
    """

    def paint(self, picture: Tensor, hidden: Tensor, first: int) -> Tensor:
        patch = self.patch(picture, hidden, first)
        if hidden.dtype == torch.bool:
            return torch.where(hidden[:, None], patch, picture)
        return torch.lerp(picture.expand_as(patch), patch, hidden[:, None])

    @abstractmethod
    def patch(self, picture: Tensor, hidden: Tensor, first: int) -> Tensor:
        """What shows through each hole, given what `paint` is given.

        Returns:
            finite float32 `(N, 3, H, W)` in [0, 1], or of a shape that broadcasts to it; only hidden pixels are used.
        """


class WindowMean(Patch):
    """Each mask's hidden pixels take their own mean colour in the clean picture, weighted by how hidden they are."""

    def patch(self, picture: Tensor, hidden: Tensor, first: int) -> Tensor:  # noqa: ARG002 — nothing is drawn
        pixels = picture.double()
        # One mask after the other: a sum that a batched product would take in another order for another batch size.
        means = [(pixels * mask).sum((1, 2)) / mask.double().sum().clamp(min=1e-12) for mask in hidden]
        return torch.stack(means).float()[..., None, None].expand(-1, -1, *picture.shape[1:])


class SoftWindow(Fill):
    """A flat colour whose edge is soft: its weight rises from the rim of the hole like an upturned Gaussian.

    A hidden pixel d px from the nearest pixel that is not hidden gets 1 − exp(−d²/2σ²), divided by the mask's largest
    such value. The soft edge lies *inside* the hole, so that pixels outside it stay as they are (a blurred mask would
    leak over them); the division hides the core of the widest hole wholly, whatever σ is. Made for windows and
    segments: of scattered pixels most are rim, and only partly hidden. The picture's border is no rim: nothing shows
    behind it. The distance is exact.

    Args:
        colour: RGB in [0, 1].
        sigma: of the Gaussian, px.
    """

    def __init__(self, colour: tuple[float, float, float], sigma: float) -> None:
        self._colour = torch.tensor(colour, dtype=torch.float32)[:, None, None]
        self._sigma = sigma

    def paint(self, picture: Tensor, hidden: Tensor, first: int) -> Tensor:  # noqa: ARG002 — nothing is drawn
        holes = (hidden > 0).cpu().numpy()
        weight = torch.from_numpy(np.stack([self._weight(hole) for hole in holes])).to(picture.device)
        shape = (len(hidden), *picture.shape)
        colour = self._colour.to(picture.device)
        return torch.lerp(picture.expand(shape), colour.expand(shape), (weight * hidden)[:, None])

    def _weight(self, hole: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        if hole.all():  # no rim to be near to
            return np.ones(hole.shape, dtype=np.float32)
        distance = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float64)
        weight = -np.expm1(-(distance**2) / (2 * self._sigma**2))
        return np.asarray(weight / max(weight.max(), 1e-12), dtype=np.float32)


class Linear(Patch):
    """Noisy linear imputation: see `perturb.imputation`; then normal noise on the hidden pixels, clipped to [0, 1].

    The imputed values do not depend on what the hidden pixels were, and on a processor they do not depend on the
    batch either, to the last bit; elsewhere they do by no more than 1e-4.

    Args:
        noise: standard deviation, in units of the picture.
        seed: the noise of a mask depends on it and on the mask's index alone.
    """

    def __init__(self, noise: float, seed: int) -> None:
        self._noise = noise
        self._seed = seed

    def patch(self, picture: Tensor, hidden: Tensor, first: int) -> Tensor:
        smooth = impute(picture, hidden > 0)
        if self._noise == 0:
            return smooth
        for row, image in enumerate(smooth):
            draw = np.random.default_rng((self._seed, first + row)).standard_normal(
                tuple(image.shape), dtype=np.float32
            )
            image.add_(torch.from_numpy(draw).to(image.device), alpha=self._noise)
        return smooth.clamp_(0, 1)


class Telea(Patch):
    """Telea's fast marching, by OpenCV, which works on 256 grey levels: hidden pixels are coarser by half a level.

    A mask that hides everything leaves nothing to march from: its picture is the mean of the clean one.

    Args:
        radius: of the neighbourhood that a pixel is made from, px.
    """

    def __init__(self, radius: float) -> None:
        self._radius = radius

    def patch(self, picture: Tensor, hidden: Tensor, first: int) -> Tensor:  # noqa: ARG002 — nothing is drawn
        clean = picture.permute(1, 2, 0).cpu().numpy()
        levels = np.ascontiguousarray(np.rint(clean * 255).astype(np.uint8))
        holes = (hidden > 0).cpu().numpy()
        painted = np.stack([self._inpaint(clean, levels, hole) for hole in holes])
        return torch.from_numpy(painted).permute(0, 3, 1, 2).to(picture.device)

    def _inpaint(
        self, clean: npt.NDArray[np.float32], levels: npt.NDArray[np.uint8], hole: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float32]:
        if hole.all():
            return np.broadcast_to(clean.mean((0, 1), dtype=np.float64), clean.shape).astype(np.float32)
        painted = cv2.inpaint(levels, hole.astype(np.uint8), self._radius, cv2.INPAINT_TELEA)
        return np.asarray(painted / np.float32(255), dtype=np.float32)
