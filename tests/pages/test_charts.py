"""Charts of the pages, as the specifications that the browser gets."""

import numpy as np

from pages.parts.figures import charts, drawing
from perturb.metrics.base import MapScores
from perturb.metrics.scorecard import Faithfulness


def test_no_logarithmic_axis_contains_zero():
    """A constant map has a total variation of 0, and an uninformative baseline takes no forward passes."""
    image = np.zeros((2, 2), dtype=np.float32)
    maps = tuple(
        MapScores(name, kind, image, {"forwards": forwards, "total_variation": noise}, {})
        for name, kind, forwards, noise in (("occlusion", "method", 30, 0.0), ("random", "control", 0, 0.3))
    )
    pairs = np.eye(len(maps))
    made = Faithfulness(maps, pairs, pairs, image, image, wrong_share=None, clean_score=1.0)
    layers = charts.noise_against_cost(made).to_dict()
    values = {key: [row[key] for row in next(iter(layers["datasets"].values()))] for key in ("forwards", "noise")}
    assert values == {"forwards": [30, 0], "noise": [0.0, 0.3]}
    for layer in layers["layer"]:
        for axis in ("x", "y"):
            encoding = layer["encoding"][axis]
            assert encoding["scale"]["type"] != "log" or min(values[encoding["field"]]) > 0


def test_a_long_class_name_in_a_legend_is_cut_off_and_kept_in_a_tooltip():
    name = "a <very> long name " * 20
    html = drawing.legend_html(np.zeros((2, 2), dtype=np.int64), (name,), np.zeros((1, 3), dtype=np.uint8), name)
    assert "text-overflow:ellipsis" in html
    assert "title='a &lt;very&gt; long name" in html
    assert "<very>" not in html
