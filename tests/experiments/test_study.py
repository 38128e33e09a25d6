"""The occlusion study against its single runs."""

import csv

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import spearmanr

import perturb
from perturb.cli.main import main
from perturb.experiments.study import COLUMNS, FILES, study
from tests.analytic import Constant, DarkIsObject, dark_square


def test_every_occluder_is_the_single_run_and_the_table_says_so():
    image, target = dark_square(), perturb.Target("object")
    seen: list[float] = []
    made = study(
        image,
        DarkIsObject(),
        target,
        fills=("black", "blur"),
        colours=("#ff0000",),
        sizes=(8, 12),
        progress=seen.append,
    )
    assert [trial.name for trial in made.trials] == [
        "black 8",
        "black 12",
        "blur 8",
        "blur 12",
        "#ff0000 8",
        "#ff0000 12",
    ]
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)
    alone = perturb.explain(image, DarkIsObject(), target, fill="colour", colour="#ff0000", size=12, stride=6)
    assert_array_equal(made.trials[5].result.heatmap, alone.heatmap)
    rows = made.rows()
    assert tuple(rows[0]) == COLUMNS
    assert rows[5]["fill"] == "#ff0000"
    assert rows[5]["deletion_auc"] == made.trials[5].curves.deletion.auc
    assert rows[5]["lost"] == alone.readings.lost.mean()
    assert rows[0]["gained"] > 0, "black on the bright ground becomes object"
    assert rows[2]["gained"] < rows[0]["gained"], "a blur gains less"
    for i, one in enumerate(made.trials):
        for j, other in enumerate(made.trials):
            expected = spearmanr(one.result.heatmap.ravel(), other.result.heatmap.ravel()).statistic
            assert_allclose(made.agreement[i, j], expected, atol=1e-6)
    assert made.limit == max(np.abs(trial.result.heatmap).max() for trial in made.trials)
    assert made.grid(4).shape == (2 * (37 + 8), 4 * (53 + 8), 3)


def test_constant_maps_have_no_agreement():
    made = study(dark_square(), Constant(), perturb.Target("thing"), fills=("black", "white"), sizes=(20,))
    assert [row["agreement"] for row in made.rows()] == [None, None]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"fills": ("black",), "sizes": (8,)}, "compares occluders: got 1, expected at least 2"),
        ({"fills": ()}, "got 0"),
        ({"fills": ("black", "tartan")}, "no fill 'tartan'"),
        ({"colours": ("red",)}, "must be a colour: got 'red'"),
        ({"sizes": (8, 900)}, "does not fit the image"),
        ({"sizes": (0,)}, "'size' must be a whole number from 1"),
    ],
)
def test_nonsense_is_answered_in_words(settings, words):
    with pytest.raises(perturb.SettingError, match=words):
        study(dark_square(), DarkIsObject(), perturb.Target("object"), **settings)


def test_the_command_writes_a_whole_folder(tmp_path, capsys):
    out = tmp_path / "study"
    arguments = ["study", "rain", "--target", "road", "--fills", "black,blur", "--sizes", "180", "--out", str(out)]
    assert main(arguments) == 0
    assert {path.name for path in out.iterdir()} == set(FILES)
    rows = list(csv.DictReader((out / "study.csv").read_text().splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert [row["occluder"] for row in rows] == ["black 180", "blur 180"]
    maps = np.load(out / "maps.npz")
    assert maps["black 180"].shape == (360, 480)
    assert "black 180" in capsys.readouterr().out
    (out / "notes.txt").write_text("mine")
    assert main(arguments) == 2
    assert "holds other files (notes.txt)" in capsys.readouterr().err
    assert main(["study", "rain", "--target", "road", "--sizes", "big", "--out", str(tmp_path / "x")]) == 2
    assert "whole number" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
