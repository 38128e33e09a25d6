"""The % drop and the increase where a map's subject or its background is hidden, worked out by hand."""

import numpy as np
import pytest
import torch

import perturb
from perturb import Segmenter
from perturb.images.image import image_from_pixels, to_tensor
from perturb.metrics.judge import Judge

NAMES = tuple(f"{word}_{side}_flat" for word in ("drop", "increase") for side in "bs")


class MeanIsProbability(Segmenter):
    """The probability of `thing` is p = c + s · (mean brightness of the left half), the same at every pixel."""

    def __init__(self, constant, slope):
        super().__init__("mean", classes=["thing", "rest"])
        self.constant, self.slope = constant, slope

    def logits(self, batch):
        left = batch.double()[..., : batch.shape[-1] // 2].mean((1, 2, 3))
        p = (self.constant + self.slope * left)[:, None, None, None].expand(-1, 1, *batch.shape[2:])
        return torch.cat([p.log(), (1 - p).log()], 1)


@pytest.mark.parametrize(
    ("constant", "slope", "subject", "background"),
    [
        # Left half: one bright pixel of five, so its mean is 0.2 and that of the picture 0.1. p = 0.5 + 0.5 · 0.2 = 0.6.
        # Without the bright pixel the left half is four black pixels and the mean: 0.02, so p = 0.51; with it alone, among
        # nine pixels of the mean, (1 + 0.4) / 5 = 0.28, so p = 0.64.
        (0.5, 0.5, 0.51 - 0.6, 0.64 - 0.6),
        # The same upside down: p = 0.5 - 0.5 · 0.2 = 0.4; without it 0.49, with it alone 0.36.
        (0.5, -0.5, 0.49 - 0.4, 0.36 - 0.4),
        # It does not look: nothing changes, which is no increase either.
        (0.5, 0.0, 0.0, 0.0),
    ],
)
def test_a_score_that_rises_is_a_drop_of_zero(constant, slope, subject, background):
    pixels = np.zeros((1, 10, 3), dtype=np.float32)
    pixels[0, 2] = 1
    image, segmenter = image_from_pixels(pixels, name="dot"), MeanIsProbability(constant, slope)
    labels = segmenter(to_tensor(image, torch.device("cpu"))[None])[0].argmax(0).numpy()
    frozen = perturb.Target("thing", region="all").freeze(image, labels, segmenter.classes)
    values, _ = Judge(image, segmenter, frozen, metrics=NAMES, subject=0.1).measure(pixels[..., 0])
    clean = constant + slope * 0.2
    for side, change in (("s", subject), ("b", background)):
        assert values[f"drop_{side}_flat"] == pytest.approx(100 * max(0.0, -change) / clean, abs=1e-4)
        assert values[f"increase_{side}_flat"] == 100 * (change > 0)
