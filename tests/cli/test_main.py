"""The command line, as a user types it."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version

import numpy as np
import PIL.Image
import pytest
from numpy.testing import assert_allclose

import perturb
from perturb.cli.main import main
from perturb.export.comparison import contents
from perturb.export.report.items import item_of
from perturb.export.writer import FILES, command_line, to_zip
from tests.analytic import DarkIsObject, dark_square
from tests.scripts import run_script


def run(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A real run in its own process: 12 windows on the default sample."""
    folder = tmp_path_factory.mktemp("cli") / "deep" / "out"
    command = [sys.executable, "-m", "perturb", "explain", perturb.images.samples.DEFAULT_SAMPLE]
    command += ["--segmenter", "streets-unet", "--target", "car", "--method", "occlusion"]
    command += ["--set", "size=120", "--set", "stride=90"]
    command += ["--set", "fill=grey", "--seed", "0", "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_it_writes_what_it_says(written):
    folder, done = written
    assert {path.name for path in folder.iterdir()} == set(FILES)
    heatmap = np.load(folder / "heatmap.npy")
    assert heatmap.dtype == np.float32
    assert heatmap.shape == (360, 480)
    assert heatmap.min() < heatmap.max()
    record = json.loads((folder / "result.json").read_text())
    assert record["target"]["label"] == "car"
    assert record["settings"]["size"] == 120
    assert record["settings"]["fill"] == "grey"
    assert record["image"]["digest"] == perturb.sample().digest
    assert record["segmenter"]["digest"] == perturb.load_segmenter().digest
    assert record["forwards"] == 1 + len((folder / "readings.csv").read_text().splitlines()) - 1 + 97
    assert record["seconds"] > 0
    assert record["versions"]["torch"] == version("torch")
    assert {"deletion_auc", "insertion_auc", "random_deletion_auc", "random_insertion_auc"} <= set(record["metrics"])
    assert record["heatmap"]["min"] == pytest.approx(float(heatmap.min()))
    assert "%" in done.stderr, "a progress bar on stderr"
    assert "deletion_auc" in done.stdout


def test_curves_are_four_and_end_where_they_must(written):
    folder, _ = written
    rows = list(csv.DictReader((folder / "curves.csv").read_text().splitlines()))
    assert list(rows[0]) == ["curve", "fraction", "score", "iou"]
    names = ["deletion", "insertion", "random_deletion", "random_insertion"]
    assert list(dict.fromkeys(row["curve"] for row in rows)) == names
    record = json.loads((folder / "result.json").read_text())
    for name in names:
        curve = np.array(
            [[float(row[k]) for k in ("fraction", "score", "iou")] for row in rows if row["curve"] == name]
        )
        assert curve[0, 0] == 0
        assert curve[-1, 0] == 1
        clean = curve[-1] if "insertion" in name else curve[0]
        assert_allclose(clean[1:], 1, atol=1e-6)
        assert_allclose(np.trapezoid(curve[:, 1], curve[:, 0]), record["metrics"][f"{name}_auc"], atol=1e-6)


def test_the_overlay_is_the_picture_with_a_bar(written):
    folder, _ = written
    with PIL.Image.open(folder / "overlay.png") as overlay:
        assert overlay.size == (480 + 110, 360)
        assert overlay.mode == "RGB"


def test_the_python_lines_make_it_again(written, tmp_path):
    folder, _ = written
    script = (folder / "reproduce.py").read_text()
    assert f'perturb.sample("{perturb.images.samples.DEFAULT_SAMPLE}")' in script
    run_script(script, tmp_path)
    again = tmp_path / "out"
    assert_allclose(np.load(again / "heatmap.npy"), np.load(folder / "heatmap.npy"), atol=1e-5)
    ours, theirs = (json.loads((path / "result.json").read_text()) for path in (again, folder))
    assert ours["metrics"] == pytest.approx(theirs["metrics"], abs=1e-5)


def photo(path, height=60, width=80):
    """A small image file, so that a run is fast."""
    pixels = (np.random.default_rng(0).random((height, width, 3)) * 255).astype(np.uint8)
    PIL.Image.fromarray(pixels).save(path)
    return path


def explain_all(picture, out, *more, size=40):
    """Arguments for the score of a car over a small image, with a few large windows."""
    options = ("--target", "car", "--region", "all", "--set", f"size={size}", "--set", f"stride={size}")
    return run("explain", picture, *options, "--out", out, *more)


def test_a_photograph_with_ground_truth_and_a_box(tmp_path, capsys):
    picture = photo(tmp_path / "street.png")
    truth = tmp_path / "truth.png"
    PIL.Image.fromarray(np.full((60, 80), 8, dtype=np.uint8)).save(truth)
    options = ("--set", "size=30", "--set", "stride=30", "--score", "probability")
    for region in ("all", "box:10,10,40,30", "pixel:3,4", "truth"):
        out = tmp_path / region.partition(":")[0]
        assert (
            run("explain", picture, "--target", "car", "--region", region, "--truth", truth, *options, "--out", out)
            == 0
        )
        record = json.loads((out / "result.json").read_text())
        assert record["target"]["region"] == region
        assert record["target"]["score"] == "probability"
        assert record["image"]["name"] == "street"
    assert "load_image" in (tmp_path / "all" / "reproduce.py").read_text()
    capsys.readouterr()


def test_a_run_that_is_killed_during_its_curves_leaves_the_map(tmp_path):
    """A real kill as soon as the map is on disk; the folder reproduces the map, and the next run replaces it."""
    out, picture = tmp_path / "out", photo(tmp_path / "street.png", 240, 320)
    words = ["explain", str(picture), "--target", "car", "--region", "all", "--set", "size=200", "--set", "stride=200"]
    process = subprocess.Popen(
        [sys.executable, "-m", "perturb", *words, "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not (out / "result.json").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert {path.name for path in out.iterdir()} == set(FILES) - {"curves.csv"}
    assert run(*words, "--out", tmp_path / "whole", "--no-curves") == 0
    killed, whole = (json.loads((folder / "result.json").read_text()) for folder in (out, tmp_path / "whole"))
    assert "curves" not in killed
    assert "metrics" not in killed
    times = {"seconds": None}
    assert killed | times == whole | times
    assert (out / "heatmap.npy").read_bytes() == (tmp_path / "whole" / "heatmap.npy").read_bytes()
    assert run(*words, "--out", out) == 0
    assert {path.name for path in out.iterdir()} == set(FILES)
    assert sorted(os.listdir(tmp_path)) == ["out", "street.png", "whole"], "nothing of the killed run is left"


def test_without_curves_nothing_speaks_of_them_and_the_lines_make_the_same(tmp_path, capsys):
    out, again = tmp_path / "first", tmp_path / "again"
    picture = photo(tmp_path / "street.png")
    assert explain_all(picture, out, "--no-curves") == 0
    assert "auc" not in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == set(FILES) - {"curves.csv"}
    record = json.loads((out / "result.json").read_text())
    assert not {"curves", "metrics"} & set(record)
    assert record["forwards"] == 1 + len((out / "readings.csv").read_text().splitlines()) - 1
    lines = (out / "reproduce.py").read_text()
    assert "perturb.curves" not in lines
    made: dict[str, object] = {}
    exec(lines.replace('"out"', f'"{again}"').replace("PATH OF YOUR IMAGE", str(picture)), made)
    assert {path.name for path in again.iterdir()} == set(FILES) - {"curves.csv"}
    assert (again / "heatmap.npy").read_bytes() == (out / "heatmap.npy").read_bytes()
    result = made["result"]
    assert "--no-curves" in command_line(result)
    assert "curves.csv" not in item_of(result).files(), "a report runs no network when it is written"
    curves = perturb.curves(result)
    perturb.save(result, again)
    assert {path.name for path in again.iterdir()} == set(FILES) - {"curves.csv"}, "a result does not change"
    perturb.save(result, again, curves=curves)
    assert {path.name for path in again.iterdir()} == set(FILES)
    assert "--no-curves" not in command_line(result, curves)


QUICK = {
    "occlusion": {"size": 60, "stride": 60},
    "feature-ablation": {"segments": "grid", "count": 6},
    "lime": {"segments": "grid", "count": 6, "samples": 60},
    "kernel-shap": {"segments": "grid", "count": 6, "samples": 20},
    "rise": {"masks": 10},
    "ablation-cam": {"layer": "decoder3"},
    "smoothgrad": {"samples": 2},
    "integrated-gradients": {"steps": 4},
    "gradient-shap": {"samples": 2},
}


@pytest.mark.parametrize("method", perturb.METHODS)
def test_every_method_explains_street_pictures(method, tmp_path, capsys):
    """As files, small ones: what the command writes is what Python computes."""
    # The gradient methods share what could go wrong here, so one picture each is enough.
    for name in ("rain",) if "gradients" in perturb.METHODS[method].needs else ("quiet-street", "rain", "fog"):
        picture = perturb.images.samples.BUNDLED / f"{name}.png"
        settings = [part for key, value in QUICK.get(method, {}).items() for part in ("--set", f"{key}={value}")]
        options = ("--target", "road", "--method", method, *settings, "--max-side", 120)
        assert run("explain", picture, *options, "--out", tmp_path / name) == 0
        heatmap = np.load(tmp_path / name / "heatmap.npy")
        assert heatmap.shape == (90, 120)
        assert np.isfinite(heatmap).all()
        assert heatmap.min() < heatmap.max()
        assert json.loads((tmp_path / name / "result.json").read_text())["method"] == method
        image, segmenter = perturb.load_image(picture, max_side=120), perturb.load_segmenter()
        result = perturb.explain(image, segmenter, perturb.Target("road"), method=method, **QUICK.get(method, {}))
        assert_allclose(heatmap, result.heatmap, atol=1e-5)
    capsys.readouterr()


CAM = ("explain", "rain", "--target", "car", "--method", "ablation-cam", "--set")


def test_bfloat16_is_told_and_stands_in_the_lines_that_make_it_again(tmp_path, capsys):
    assert explain_all(photo(tmp_path / "p.png"), tmp_path / "out", "--precision", "bfloat16", size=10) == 0
    told = capsys.readouterr().out
    assert "precision: bfloat16" in told
    assert "Run in bfloat16. On 6 of its 48 masks" in told
    assert '    precision="bfloat16",' in (tmp_path / "out" / "reproduce.py").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("explain", "no-such.png", "--target", "car"), "no image at 'no-such.png'"),
        (("explain", "darkcar", "--target", "car"), "no image file and no sample 'darkcar'; the samples are"),
        (("explain", "rain", "--target", "unicorn"), "no class 'unicorn'"),
        (("explain", "rain", "--target", "car", "--method", "magic"), "no method 'magic'"),
        (("explain", "rain", "--target", "car", "--segmenter", "x"), "no segmenter 'x'"),
        (("explain", "rain", "--target", "car", "--score", "loss"), "no score 'loss'"),
        (("explain", "rain", "--target", "car", "--region", "circle"), "no region 'circle'"),
        (("explain", "rain", "--target", "car", "--set", "size"), "'--set size' is not a setting: expected NAME=VALUE"),
        (("explain", "rain", "--target", "car", "--set", "stride=0"), "'stride' must be a whole number from 1"),
        (("explain", "rain", "--target", "car", "--set", "size=400"), "window does not fit"),
        (("explain", "rain", "--target", "car", "--set", "fill=tartan"), "no fill 'tartan'"),
        ((*CAM, "layer=decoder9"), "has no layer 'decoder9'; expected one of its"),
        ((*CAM, "strength=1.5"), "'strength' must be a number from 0 to 1: got '1.5'"),
        (
            ("explain", "rain", "--target", "road", "--method", "lime", "--set", "segments=grid", "--set", "count=1"),
            "the whole image is a single one; expected 2 or more",
        ),
        (("explain", "rain"), "--target"),
        (("explain", "rain", "--target", "car", "--seed", "x"), "--seed"),
        (("explain", "rain", "--target", "car", "--seed", "-1"), "seed must be a whole number, 0 or more: got -1"),
        (("explain", "rain", "--target", "car", "--curve-fill", "tartan"), "no fill 'tartan'"),
        (("explain", "rain", "--target", "car", "--precision", "int8"), "no precision 'int8'; expected one of float32"),
        (("list", "planets"), "invalid choice: 'planets'"),
        (("paint",), "invalid choice: 'paint'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_two_and_nothing_written(arguments, words, tmp_path, capsys):
    out = tmp_path / "out"
    extra = ("--out", out) if arguments[0] == "explain" else ()
    try:
        code = run(*arguments, *extra)
    except SystemExit as leave:
        code = leave.code
    assert code == 2
    message = [line for line in capsys.readouterr().err.splitlines() if "%" not in line]
    assert len(message) == 1
    assert words in message[0]
    assert message[0].startswith("error: ")
    assert not out.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_broken_picture_is_one_line(tmp_path, capsys):
    (tmp_path / "cut.png").write_bytes(photo(tmp_path / "whole.png").read_bytes()[:200])
    assert run("explain", tmp_path / "cut.png", "--target", "car", "--out", tmp_path / "out") == 2
    assert "data is truncated" in capsys.readouterr().err


def test_a_folder_with_other_files_is_left_alone_and_an_earlier_result_is_replaced(tmp_path, capsys):
    picture = photo(tmp_path / "street.png")
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    assert explain_all(picture, out) == 2
    assert "holds other files (thesis.txt)" in capsys.readouterr().err
    (out / "thesis.txt").unlink()
    assert explain_all(picture, out) == 0
    first = json.loads((out / "result.json").read_text())
    assert explain_all(picture, out, "--seed", "1") == 0
    assert json.loads((out / "result.json").read_text())["seed"] == 1 != first["seed"]
    (out / "thesis.txt").write_text("years of work")
    assert explain_all(picture, out) == 2
    assert (out / "thesis.txt").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"street.png", "out"}
    capsys.readouterr()


def test_an_interrupt_leaves_nothing_behind(tmp_path, capsys, monkeypatch):
    def interrupted(*_arguments, **_settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(perturb, "explain", interrupted)
    picture = photo(tmp_path / "street.png")
    assert explain_all(picture, tmp_path / "out") == 130
    assert "nothing was written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["street.png"]


def test_an_interrupt_during_the_curves_says_where_the_map_is(tmp_path, capsys, monkeypatch):
    def interrupted(*_arguments, **_settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(perturb, "curves", interrupted)
    out = tmp_path / "out"
    assert explain_all(photo(tmp_path / "street.png"), out) == 130
    assert f"stopped during the curves; the map is in {out}" in capsys.readouterr().err
    assert {path.name for path in out.iterdir()} == set(FILES) - {"curves.csv"}


def test_a_failed_write_leaves_the_earlier_result(tmp_path, capsys, monkeypatch):
    picture = photo(tmp_path / "street.png")
    out = tmp_path / "out"
    assert explain_all(picture, out) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(_made):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("perturb.export.writer.readings_csv", full)
    assert explain_all(picture, out, "--seed", "5") == 2
    assert "cannot be written" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"street.png", "out"}


@pytest.mark.parametrize("what", ["methods", "segmenters", "fills", "samples", "metrics"])
def test_lists(what, capsys):
    assert run("list", what, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows
    assert all(row["name"] and row["summary"] for row in rows)
    assert run("list", what) == 0
    text = capsys.readouterr().out
    assert all(row["name"] in text for row in rows)


def test_the_same_from_python(tmp_path):
    image = perturb.load_image(photo(tmp_path / "street.png"))
    segmenter = perturb.load_segmenter("streets-unet")
    target = perturb.Target("car", region="all")
    result = perturb.explain(image, segmenter, target, method="occlusion", size=30, stride=30)
    curves = perturb.curves(result)
    assert perturb.save(result, tmp_path / "out", curves=curves) == tmp_path / "out"
    assert explain_all(tmp_path / "street.png", tmp_path / "cli", size=30) == 0
    for name in ("heatmap.npy", "curves.csv", "reproduce.py"):
        assert (tmp_path / "cli" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    cli, python = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("cli", "out"))
    assert cli["metrics"] == python["metrics"] == curves.metrics()
    assert cli["forwards"] == python["forwards"] == result.forwards + curves.forwards


def test_writing_runs_no_network(tmp_path):
    class Counted(DarkIsObject):
        runs = 0

        def logits(self, batch):
            self.runs += 1
            return super().logits(batch)

    segmenter = Counted()
    result = perturb.explain(dark_square(), segmenter, perturb.Target("object"), size=9, stride=9)
    curves = perturb.curves(result, steps=3, draws=1)
    before = segmenter.runs
    assert before > 0
    for given in (None, curves):
        perturb.save(result, tmp_path / "out", curves=given)
        to_zip(result, given)
        item_of(result, curves=given).files()
        contents({1: result}, None, "none", {} if given is None else {1: given})
    assert segmenter.runs == before
