"""The occlusion study against single runs."""

import csv
import io
import json
import re
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import spearmanr

import perturb
from perturb.cli.main import main
from perturb.core.colour import overlay
from perturb.experiments.study import COLUMNS, FILES, Study, plan, save_study, study, study_contents, study_forwards
from tests.analytic import Constant, DarkIsObject, dark_square, picture


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
    printed = capsys.readouterr()
    assert "black 180" in printed.out
    # The estimate counts every pass but the one of the clean image that each map starts with.
    runs = json.loads((out / "study.json").read_text())["runs"]
    curves = sum(run["curves"]["forwards"] for run in runs)
    maps = sum(run["forwards"] - 1 for run in runs) - curves
    assert re.match(rf"one pass took \S+ s; {maps} for 2 maps and {curves} for their curves take at most", printed.err)
    (out / "notes.txt").write_text("mine")
    assert main(arguments) == 2
    assert "holds other files (notes.txt)" in capsys.readouterr().err
    assert main(["study", "rain", "--target", "road", "--sizes", "big", "--out", str(tmp_path / "x")]) == 2
    assert "whole number" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.fixture(scope="module")
def small():
    """Two fills in two sizes, each beside the same run alone."""
    image, target = dark_square(13, 17), perturb.Target("object", region="all")
    seen: list[float] = []
    made = study(
        image, DarkIsObject(), target, fills=("black", "blur"), sizes=(7, 4), sigma=3.5, seed=5, progress=seen.append
    )
    return made, seen


def test_the_table_is_that_of_the_runs_alone(small):
    made, seen = small
    for trial, row in zip(made.trials, made.rows(), strict=True):
        fill, size = trial.name.split()
        alone = perturb.explain(
            trial.result.image, DarkIsObject(), perturb.Target("object", region="all"),
            fill=fill, size=int(size), stride=int(size) // 2, sigma=3.5, seed=5,
        )  # fmt: skip
        areas = perturb.curves(alone, steps=10, draws=2)
        assert trial.result.seed == 5
        assert trial.result.settings == alone.settings
        windows = (-(-(13 - int(size)) // (int(size) // 2)) + 1) * (-(-(17 - int(size)) // (int(size) // 2)) + 1)
        assert row == {
            "occluder": trial.name,
            "fill": fill,
            "size": int(size),
            "stride": int(size) // 2,
            "deletion_auc": areas.deletion.auc,
            "insertion_auc": areas.insertion.auc,
            "random_deletion_auc": areas.random_deletion.auc,
            "random_insertion_auc": areas.random_insertion.auc,
            "lost": alone.readings.lost.mean(),
            "gained": alone.readings.gained.mean(),
            "drop_min": alone.heatmap.min(),
            "drop_max": alone.heatmap.max(),
            "agreement": pytest.approx(row["agreement"]),
            "forwards": (1 + windows) + (2 + 9 * 4),
            "seconds": trial.result.seconds + trial.curves.seconds,
        }
    assert made.range == (
        min(row["drop_min"] for row in made.rows()),
        max(row["drop_max"] for row in made.rows()),
    )
    assert len(seen) > 8
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)
    # A run's share of the progress is that of its passes.
    costs = [row["forwards"] - 1 for row in made.rows()]
    for end in np.cumsum(costs) / sum(costs):
        assert min(abs(fraction - end) for fraction in seen) < 1e-9


def test_agreement_is_the_mean_over_the_others_that_have_any(small):
    trials = small[0].trials[:3]
    table = np.array([[1, 0.5, np.nan], [0.5, 1, -0.25], [np.nan, -0.25, 1]])
    assert [row["agreement"] for row in Study(trials, table).rows()] == [0.5, 0.125, -0.25]
    table[:] = np.nan
    assert [row["agreement"] for row in Study(trials, table).rows()] == [None] * 3


def test_the_grid_has_the_maps_in_order_on_one_scale():
    """Three tiles in two columns, the fourth white, each with eight white pixels below and to the right."""
    image = picture(5, 6)
    maps = [np.linspace(-1, high, 30).reshape(5, 6) for high in (0.5, 2, 8)]
    trials = [SimpleNamespace(result=SimpleNamespace(image=image, heatmap=heatmap)) for heatmap in maps]
    grid = Study(tuple(trials), np.eye(3)).grid(2)
    assert grid.shape == (2 * 13, 2 * 14, 3)
    assert grid.dtype == np.uint8
    white = np.ones(grid.shape[:2], dtype=bool)
    for heatmap, (top, left) in zip(maps, ((0, 0), (0, 14), (13, 0)), strict=True):
        assert_array_equal(grid[top : top + 5, left : left + 6], overlay(image.pixels, heatmap, limit=8))
        white[top : top + 5, left : left + 6] = False
    assert (grid[white] == 255).all()
    assert Study(tuple(trials), np.eye(3)).grid(3).shape == (13, 3 * 14, 3)
    assert Study((trials[0],), np.eye(1)).grid(2).shape == (13, 2 * 14, 3)
    assert Study(tuple(trials), np.eye(3)).range == (-1, 8)


def test_the_files_of_a_study_hold_what_the_study_says(small):
    made = small[0]
    files = study_contents(made)
    assert tuple(files) == FILES
    names = [trial.name for trial in made.trials]

    def table(name):
        return list(csv.reader(files[name].decode().splitlines()))

    rows = table("study.csv")
    assert rows[0] == list(COLUMNS)
    assert [row[0] for row in rows[1:]] == names
    assert float(rows[1][4]) == pytest.approx(made.trials[0].curves.deletion.auc, rel=1e-5)
    record = json.loads(files["study.json"])
    assert record["occluders"] == json.loads(json.dumps(made.rows()))
    assert [run["metrics"]["deletion_auc"] for run in record["runs"]] == [t.curves.deletion.auc for t in made.trials]
    assert table("agreement.csv")[0] == ["occluder", *names]
    found = np.array([[float(cell) for cell in row[1:]] for row in table("agreement.csv")[1:]])
    assert_allclose(found, made.agreement, rtol=1e-5)
    curves = table("curves.csv")
    assert curves[0] == ["occluder", "curve", "fraction", "score", "iou"]
    assert len(curves) == 1 + 4 * 4 * 11
    part = [row for row in curves[1:] if row[:2] == [names[3], "insertion"]]
    assert_allclose([float(row[3]) for row in part], made.trials[3].curves.insertion.score[0], rtol=1e-6)
    with np.load(io.BytesIO(files["maps.npz"])) as maps:
        assert list(maps) == names
        for trial in made.trials:
            assert_array_equal(maps[trial.name], trial.result.heatmap)
    with PIL.Image.open(io.BytesIO(files["grid.png"])) as grid:
        pixels = np.asarray(grid.convert("RGB"))
    side = made.grid(2)  # two sizes beside each other
    assert pixels.shape[1] >= side.shape[1]
    assert_array_equal(pixels[: side.shape[0], : side.shape[1]], side)


def test_a_study_replaces_an_earlier_one_and_nothing_else(small, tmp_path):
    made = small[0]
    out = tmp_path / "study"
    assert save_study(made, out) == out
    assert {path.name for path in out.iterdir()} == set(FILES)
    (out / "study.csv").write_text("older")
    save_study(made, out)
    assert (out / "study.csv").read_bytes() == study_contents(made)["study.csv"]
    (out / "notes.txt").write_text("mine")
    with pytest.raises(perturb.ExportError, match=r"holds other files \(notes.txt\)"):
        save_study(made, out)
    (out / "notes.txt").unlink()
    (out / "study.json").unlink()
    with pytest.raises(perturb.ExportError, match="holds other files"):
        save_study(made, out)
    with pytest.raises(perturb.ExportError):
        save_study(made, __file__)


def test_without_a_seed_it_is_zero():
    made = study(
        dark_square(5, 6), DarkIsObject(), perturb.Target("object", region="all"), fills=("black", "noise"), sizes=(5,)
    )
    assert [trial.result.seed for trial in made.trials] == [0, 0]
    assert made.trials[1].result.settings["sigma"] == 12


def test_occluders_are_each_look_in_each_size_once():
    made = plan(("black", "colour", "black", "blur"), ("#ff0000", "#ff0000"), (5, 1, 5), 7.5)
    assert [name for name, _ in made] == ["black 5", "black 1", "blur 5", "blur 1", "#ff0000 5", "#ff0000 1"]
    assert [settings["stride"] for _, settings in made] == [2, 1, 2, 1, 2, 1]
    assert {settings["sigma"] for _, settings in made} == {7.5}
    assert [settings["fill"] for _, settings in made] == ["black"] * 2 + ["blur"] * 2 + ["colour"] * 2
    assert made[4][1]["colour"] == "#ff0000"
    assert len(plan(("black", "white"), (), (5,), 1.0)) == 2
    image = picture(9, 11)
    # Windows of 5 at every second pixel: 3 × 4 of them; of 1: each pixel. The curves take 2 + 9 · (2 + 2) passes.
    assert study_forwards(image, made[:2]) == [12 + 38, 99 + 38]
