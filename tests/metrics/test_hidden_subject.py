"""The % drop and the increase where a map's subject or its background is hidden, worked out by hand."""

import numpy as np
import pytest
import torch

import perturb
from perturb import Segmenter
from perturb.images.image import image_from_pixels, to_tensor
from perturb.metrics.evaluator import MapEvaluator

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
        # One bright pixel of five is the subject, a fifth of the image. The left half is two pixels, its mean 0.5, and that of
        # the image 0.2: p = 0.5 + 0.5 · 0.5 = 0.75. Without the bright pixel the left half is a black one and the mean: 0.1, so
        # p = 0.55; with it alone, among four pixels of the mean, (1 + 0.2) / 2 = 0.6, so p = 0.8.
        (0.5, 0.5, 0.55 - 0.75, 0.8 - 0.75),
        # The same upside down: p = 0.5 - 0.5 · 0.5 = 0.25; without it 0.45, with it alone 0.2.
        (0.5, -0.5, 0.45 - 0.25, 0.2 - 0.25),
        # It does not look: nothing changes, which is no increase either.
        (0.5, 0.0, 0.0, 0.0),
    ],
)
def test_a_score_that_rises_is_a_drop_of_zero(constant, slope, subject, background):
    pixels = np.zeros((1, 5, 3), dtype=np.float32)
    pixels[0, 1] = 1
    image, segmenter = image_from_pixels(pixels, name="dot"), MeanIsProbability(constant, slope)
    labels = segmenter(to_tensor(image, torch.device("cpu"))[None])[0].argmax(0).numpy()
    frozen = perturb.Target("thing", region="all").freeze(image, labels, segmenter.classes)
    values = MapEvaluator(image, segmenter, frozen, metrics=NAMES).measure(pixels[..., 0])[0]
    clean = constant + slope * 0.5
    for side, change in (("s", subject), ("b", background)):
        assert values[f"drop_{side}_flat"] == pytest.approx(100 * max(0.0, -change) / clean, abs=1e-4)
        assert values[f"increase_{side}_flat"] == 100 * (change > 0)
