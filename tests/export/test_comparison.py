"""A comparison as files: their content, and that their code reproduces it."""

import csv
import io
import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import perturb
from perturb.experiments.comparison import scales, shared_region
from perturb.export.comparison import AUCS, contents
from perturb.export.writer import python_lines
from tests.analytic import Additive, picture

GRID = {"method": "feature-ablation", "segments": "grid", "count": 6}


def rows(data):
    return list(csv.reader(io.StringIO(data.decode())))


@pytest.fixture(scope="module")
def streets():
    """Two segmenters on the region of the first, and the same method with another fill."""
    image, target = perturb.sample("lone-pedestrian"), perturb.Target("pedestrian")
    first, second = (perturb.load_segmenter(name) for name in ("streets-unet", "streets-shortcut"))
    region = shared_region(target, image, second, first=first)
    return {
        1: perturb.explain(image, first, target, **GRID),
        2: perturb.explain(image, first, target, **GRID, fill="black"),
        4: perturb.explain(image, second, target, **GRID, frozen=region),
    }


def test_the_files_hold_the_numbers_and_the_lines_make_them_again(streets, capsys):
    files = contents(streets, (1, 4), "max")
    assert set(files) == {
        "maps.npz",
        "compare.json",
        "reproduce.py",
        "agreement.csv",
        "class_pairs.csv",
        "class_iou.csv",
    }
    arrays = np.load(io.BytesIO(files["maps.npz"]))
    a, b = streets[1].heatmap.astype(np.float64), streets[4].heatmap.astype(np.float64)
    assert_allclose(arrays["difference"], a / np.abs(a).max() - b / np.abs(b).max())
    assert_array_equal(arrays["region_4"], streets[1].frozen.region)
    labels = [arrays[f"segmentation_{number}"] for number in (1, 4)]
    assert_array_equal(arrays["disagreement"], labels[0] != labels[1])  # both have the same classes
    counted = {(a, b): int(pixels) for a, b, pixels, _ in rows(files["class_pairs.csv"])[1:]}
    names = streets[1].segmenter.classes
    assert sum(counted.values()) == arrays["disagreement"].sum()
    for (a_name, b_name), pixels in list(counted.items())[:5]:
        both = (labels[0] == names.index(a_name)) & (labels[1] == names.index(b_name))
        assert pixels == both.sum()
    record = json.loads(files["compare.json"])
    assert record["panes"]["4"]["target"]["region_of"][0] == "streets-unet"
    assert record["pair"]["mismatches"][0].startswith("The segmenters differ")
    assert record["panes"]["2"]["settings"]["fill"] == "black"

    made: dict[str, object] = {}
    exec(files["reproduce.py"].decode(), made)
    for number, result in streets.items():
        assert_allclose(made[f"result_{number}"].heatmap, result.heatmap, atol=1e-5)
    assert_allclose(made["difference"], arrays["difference"], atol=1e-5)
    assert "spearman=" in capsys.readouterr().out


def test_the_lines_of_one_result_know_whose_region_it_has(streets):
    lines = python_lines(streets[4])
    kept = [line for line in lines.splitlines() if not line.startswith(("curves", "print", "perturb.save"))]
    made: dict[str, object] = {}
    exec("\n".join(kept), made)
    assert_allclose(made["result"].heatmap, streets[4].heatmap, atol=1e-5)
    assert_array_equal(made["result"].frozen.region, streets[1].frozen.region)


def test_each_on_its_own_region_needs_no_shared_one(streets):
    lines = contents({1: streets[1], 2: streets[2]}, None, "none")["reproduce.py"].decode()
    assert "frozen=" not in lines
    assert "difference_of(" not in lines


def test_curves_and_their_areas_are_tables():
    image = picture(24, 30)
    segmenter = Additive(np.random.default_rng(0).normal(size=(24, 30, 3)))
    result = perturb.explain(
        image, segmenter, perturb.Target("thing"), method="feature-ablation", segments="grid", count=4
    )
    files = contents({1: result}, None, "none")
    assert "curves.csv" not in files
    made = perturb.curves(result, steps=4, draws=2)
    assert "perturb.curves" not in files["reproduce.py"].decode()
    files = contents({1: result}, None, "none", {1: made})
    assert "perturb.curves(result_1)" in files["reproduce.py"].decode()
    told = rows(files["curves.csv"])
    assert len(told) == 1 + 5 * (1 + 1 + 2 + 2)  # two curves and two draws of each control
    found = [float(row[4]) for row in told[1:] if row[1] == "random_deletion" and row[2] == "1"]
    assert_allclose(found, made.random_deletion.score[1], rtol=1e-5)
    header, row = rows(files["auc.csv"])
    assert_allclose(
        [float(row[header.index(name)]) for name in AUCS], [made.metrics()[name] for name in AUCS], rtol=1e-5
    )


def test_maps_of_one_unit_share_a_scale():
    image = picture(24, 30)
    segmenter = Additive(np.random.default_rng(0).normal(size=(24, 30, 3)))
    target, iou = perturb.Target("thing"), perturb.Target("thing", score="iou")
    results = [perturb.explain(image, segmenter, goal, **(GRID | {"fill": fill}))
               for goal, fill in ((target, "black"), (target, "grey"), (iou, "grey"))]  # fmt: skip
    own = [float(np.abs(result.heatmap).max()) for result in results]
    assert [tuple(scale) for scale in scales(results, common=False)] == [(limit, False) for limit in own]
    together = max(own[:2])
    assert own[0] != own[1]
    assert [tuple(scale) for scale in scales(results, common=True)] == [
        (together, True),
        (together, True),
        (own[2], False),
    ]
