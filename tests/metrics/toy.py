"""A metric that is not built in: a class, and its entry in the registry."""

import numpy as np
import pytest

from perturb.metrics.base import Metric, Stream
from perturb.metrics.registry import METRICS
from perturb.perturbations.masks import Ranked


class HalfWhite(Stream):
    fill = "white"

    def parts(self, rank, seed):  # noqa: ARG002 — nothing is drawn
        return (Ranked(rank, np.array([rank.size // 2])),)


class LeftAtHalf(Metric):
    name = "left_at_half"
    title = "Left at half"
    group = "curves"
    better = "lower"
    summary = "Score while the more important half of the pixels is white."
    formula = "S(x')/S(x) at one half"
    range = "0 to about 1"
    assumptions = "None."
    gamed = "By white objects."
    cost = "1"
    citation = "ours: a test"
    streams = (HalfWhite,)

    def value(self, given):
        return float(given.readings[HalfWhite].score[0] / given.clean.score[0])


@pytest.fixture
def toy():
    """The metric, registered until the test ends."""
    METRICS[LeftAtHalf.name] = LeftAtHalf()
    yield METRICS[LeftAtHalf.name]
    del METRICS[LeftAtHalf.name]
