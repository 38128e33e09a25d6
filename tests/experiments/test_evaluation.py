"""Evaluations: what is skipped, what an interrupted run leaves behind, and the means over images."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time

import filelock
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from pandas.testing import assert_frame_equal

import perturb
from perturb.cli.main import main
from perturb.experiments.bootstrap import summarise
from perturb.experiments.evaluation import evaluate
from perturb.experiments.evaluation_plan import Plan
from perturb.images.folder import pictures_in
from perturb.metrics.baselines import CONTROLS
from perturb.metrics.evaluator import MapEvaluator
from perturb.segmenters.registry import DEFAULT, SEGMENTERS, SegmenterEntry
from tests import onnx_files as files
from tests.analytic import DarkIsObject, dark_square
from tests.disks import disk  # noqa: F401 — a fixture

METRICS = ("deletion_auc", "map_iou", "gini", "forwards", "seconds")


def plain(value):
    """A test's name without the brackets and slashes that pytest itself would not find again."""
    return re.sub(r"\W+", "-", str(value))[:20]


@pytest.fixture(autouse=True)
def dark(monkeypatch):
    monkeypatch.setitem(SEGMENTERS, "dark", SegmenterEntry("dark", "", lambda device: DarkIsObject()))


@pytest.fixture
def folder(tmp_path):
    """Two valid images, a damaged one, one without an object, and a file that is not an image."""
    where = tmp_path / "pictures"
    where.mkdir()
    pixels = (dark_square().pixels * 255).astype(np.uint8)
    PIL.Image.fromarray(pixels).save(where / "a.png")
    PIL.Image.fromarray(pixels[:, ::-1]).save(where / "b.png")
    PIL.Image.fromarray(np.full_like(pixels, 250)).save(where / "bright.png")
    (where / "broken.png").write_bytes((where / "a.png").read_bytes()[:60])
    (where / "notes.txt").write_text("not an image")
    return where


def plan(folder, **changes):
    settings = {"occlusion": {"size": 9, "stride": 6}}
    options = {"segmenters": ("dark",), "methods": ("occlusion",), "metrics": METRICS, "settings": settings}
    return Plan(pictures_in(str(folder)), **(options | changes))


def test_every_picture_class_and_map_has_a_row_and_broken_pictures_are_named(folder, tmp_path):
    seen = []
    made = evaluate(plan(folder), tmp_path / "out", progress=seen.append)
    assert [(os.path.basename(name), "damaged" in why or "not an image" in why) for name, why in made.skipped] == [
        ("broken.png", True)
    ]
    rows = made.table[["picture", "class", "map"]]
    assert len(rows) == (2 + 2 + 1) * (1 + len(CONTROLS))  # `bright` holds background alone
    assert not rows.duplicated().any()
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert list(made.table.columns[-1 - len(METRICS) : -1]) == list(METRICS)
    read = pd.read_parquet(tmp_path / "out" / "table.parquet")
    assert_frame_equal(read, made.table)
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert record["finished"]
    assert len(record["skipped"]) == 1
    cards = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert [card["name"] for card in cards] == list(METRICS)


def test_rows_are_what_a_single_explanation_gives(folder, tmp_path):
    table = evaluate(plan(folder, classes=("object",)), tmp_path / "out").table
    image = perturb.load_image(folder / "a.png")
    result = perturb.explain(image, DarkIsObject(), perturb.Target("object"), size=9, stride=6)
    values = perturb.compare([result], metrics=METRICS).maps[0].values
    row = table[(table["digest"] == image.digest) & (table["map"] == "occlusion")].iloc[0]
    for name in ("deletion_auc", "map_iou", "gini", "forwards"):
        assert row[name] == pytest.approx(values[name])


def test_a_class_that_is_absent_is_skipped_in_words(folder, tmp_path):
    made = evaluate(plan(folder, classes=("object",)), tmp_path / "out")
    assert len(made.table) == 2 * 4
    assert any("bright.png, object" in name and "No pixel" in why for name, why in made.skipped)


def test_a_second_run_computes_nothing_and_half_a_row_is_done_again(folder, tmp_path):
    out = tmp_path / "out"
    first = evaluate(plan(folder), out)
    cells = (out / "cells.jsonl").read_bytes()
    again = evaluate(plan(folder), out)
    assert again.resumed == len(first.table)
    assert_frame_equal(again.table, first.table)
    assert (out / "cells.jsonl").read_bytes() == cells
    lines = cells.splitlines(keepends=True)
    (out / "cells.jsonl").write_bytes(
        b"".join(lines[:7]) + lines[7][:40]
    )  # as a kill in the middle of a write leaves it
    third = evaluate(plan(folder), out)
    assert third.resumed == 7
    assert_frame_equal(third.table.drop(columns="seconds"), first.table.drop(columns="seconds"))
    assert (out / "cells.jsonl").read_bytes().splitlines()[:7] == [line.rstrip(b"\n") for line in lines[:7]]


def test_a_kill_in_the_middle_loses_no_finished_row(tmp_path):
    where = tmp_path / "pictures"
    where.mkdir()
    for name in ("quiet-street", "car-in-shadow"):
        pixels = PIL.Image.fromarray((perturb.sample(name).pixels * 255).round().astype(np.uint8))
        pixels.resize((120, 90)).save(where / f"{name}.png")

    def command(out):
        names = [
            "--methods",
            "occlusion,rise",
            "--set",
            "rise.masks=40",
            "--classes",
            "car,road",
            "--metrics",
            "deletion_auc",
        ]
        names += ["--set", "occlusion.size=40", "--set", "occlusion.stride=20", "--out", str(out)]
        return [sys.executable, "-m", "perturb", "evaluate", str(where), *names]

    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen(command(killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    cells = killed / "cells.jsonl"
    deadline = time.monotonic() + 120
    while not (cells.exists() and cells.read_bytes().count(b"\n") >= 3):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    finished = cells.read_bytes()
    finished = finished[: finished.rfind(b"\n") + 1]
    assert not (killed / "table.parquet").exists()
    done = subprocess.run(command(killed), capture_output=True, text=True, check=True)
    rows = finished.count(b"\n")
    assert f"{rows} of them from an earlier run" in done.stdout
    assert cells.read_bytes().startswith(finished)  # nothing finished was run again
    subprocess.run(command(whole), capture_output=True, check=True)
    one, two = (pd.read_parquet(out / "table.parquet") for out in (killed, whole))
    assert_frame_equal(one, two)
    assert len(one) == cells.read_bytes().count(b"\n")


def test_another_plan_or_other_files_are_never_mixed_into_a_folder(folder, tmp_path):
    out = tmp_path / "out"
    evaluate(plan(folder, classes=("object",)), out)
    with pytest.raises(perturb.ExportError, match="another plan \\(its seed differ\\)"):
        evaluate(plan(folder, classes=("object",), seed=1), out)
    with pytest.raises(perturb.ExportError, match="holds other files"):
        evaluate(plan(folder), folder)


def test_mistakes_are_found_before_the_work(folder, tmp_path, capsys):
    out = str(tmp_path / "out")
    for words, message in (
        (["nowhere"], "There is no folder, image file or sample 'nowhere'"),
        (["samples", "--methods", "oclusion"], "Did you mean 'occlusion'?"),
        (["samples", "--metrics", "auc"], "There is no metric 'auc'"),
        (["samples", "--methods", "rise", "--set", "size=3"], "names no method"),
        (["samples", "--methods", "rise", "--set", "occlusion.size=3"], "not among the methods"),
        (["samples", "--methods", "rise", "--set", "rise.masks=0"], "'masks' must be"),
        (["samples", "--smallest", "2"], "between 0 and 1"),
    ):
        assert main(["evaluate", *words, "--out", out]) == 2
        assert message in capsys.readouterr().err
    for good in ("a.png", "b.png", "bright.png"):
        (folder / good).unlink()
    with pytest.raises(perturb.SettingError, match=r"1 of 1 images were skipped; the first one, .*broken.png"):
        evaluate(plan(folder), tmp_path / "none")


def test_means_and_their_intervals_are_over_pictures():
    frame = pd.DataFrame(
        {
            "segmenter": "s",
            "map": ["m"] * 4 + ["c"] * 2,
            "kind": ["method"] * 4 + ["control"] * 2,
            "picture": ["p", "p", "q", "r", "p", "q"],
            "gini": [1.0, 2.0, 6.0, None, 3.0, 3.0],
        }
    )
    made = summarise(frame, ["gini"])
    own, control = made.to_dict("records")
    assert (own["mean"], own["rows"], own["pictures"]) == (3.0, 3, 2)
    assert (own["low"], own["high"]) == (1.5, 6.0)  # p alone, q alone: the ends of what two pictures can give
    assert control["low"] == control["high"] == 3.0
    one = summarise(frame[frame["picture"] == "p"], ["gini"])
    assert np.isnan(one["low"]).all()  # one picture has no interval


def test_an_onnx_file_is_evaluated_like_the_segmenter_that_it_holds(folder, tmp_path, capsys):
    file = tmp_path / "dark.onnx"
    file.write_bytes(files.save(files.pixelwise()))
    words = ["--segmenters", f"dark,{file}", "--onnx", "scale=unit", "--onnx", "classes=background,object"]
    words += ["--methods", "occlusion", "--set", "occlusion.size=9", "--set", "occlusion.stride=6"]
    words += ["--classes", "object", "--metrics", "deletion_auc,gini"]
    assert main(["evaluate", str(folder / "a.png"), *words, "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    table = pd.read_parquet(tmp_path / "out" / "table.parquet")
    own, twin = (table[table["segmenter"] == name].reset_index(drop=True) for name in ("dark.onnx", "dark"))
    assert len(own) == 1 + len(CONTROLS)
    # The same network, written by hand as a graph.
    assert_frame_equal(own.drop(columns="segmenter"), twin.drop(columns="segmenter"), rtol=1e-4)
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (
        record["weights"]["dark.onnx"] == perturb.load_onnx(file, scale="unit", classes=["background", "object"]).digest
    )

    file.write_bytes(files.save(files.pixelwise(kernel=[[1.0] * 3, [-1.0] * 3])))
    assert main(["evaluate", str(folder / "a.png"), *words, "--out", str(tmp_path / "out")]) == 2
    assert "its weights of dark.onnx differ" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("segmenters", "onnx", "message"),
    [
        ("drak", [], "There is no segmenter 'drak'"),
        ("dark", ["scale=unit"], "none of the segmenters is one"),
        ("nowhere.onnx", ["scale=unit"], "'nowhere.onnx' cannot be read"),
        ("a/net.onnx,b/net.onnx", ["scale=unit"], "Two of the segmenters have the name 'net.onnx'"),
        ("a/net.onnx", ["scale=metres"], "scale"),
        ("a/net.onnx", ["scale=unit", "name=x"], "An ONNX segmenter has no setting 'name'"),
    ],
    ids=plain,
)
def test_mistakes_with_segmenters_write_nothing(segmenters, onnx, message, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "net.onnx").write_bytes(files.save(files.pixelwise()))
    options = [word for pair in onnx for word in ("--onnx", pair)]
    words = ["evaluate", str(folder / "a.png"), "--segmenters", segmenters, *options, "--methods", "occlusion"]
    assert main([*words, "--out", "out"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_method_that_a_segmenter_cannot_do_is_skipped_in_words(folder, tmp_path):
    made = evaluate(plan(folder, methods=("occlusion", "ablation-cam"), classes=("object",)), tmp_path / "out")
    assert len(made.table) == 2 * (1 + len(CONTROLS))
    assert any(what == "dark, ablation-cam" and "cannot reach its layers" in why for what, why in made.skipped)


def same_table(one, other):
    assert_frame_equal(one.drop(columns="seconds"), other.drop(columns="seconds"))


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"   ",
        b"garbage",
        b"\0" * 300,
        b"\xff\xfe",
        b"null",
        b"[1, 2]",
        b"3",
        b"{}",
        b"[" * 100_000,
        b'{"picture": "a", "segmenter": "dark", "class": "object", "map": "occlusion"}',
        "without the last column",
        "a number as text",
        "a name as a list",
        "half",
    ],
    ids=plain,
)
def test_damaged_rows_are_computed_again_and_whole_ones_are_not(damage, folder, tmp_path):
    out = tmp_path / "out"
    first = evaluate(plan(folder, classes=("object",)), out)
    cells = out / "cells.jsonl"
    lines = cells.read_bytes().splitlines(keepends=True)
    row = json.loads(lines[2])
    words = {
        "without the last column": {name: value for name, value in row.items() if name != "notes"},
        "a number as text": row | {"gini": "0.5"},
        "a name as a list": row | {"class": ["object"]},
    }
    broken = damage if isinstance(damage, bytes) else lines[2][:60]
    broken = json.dumps(words[damage]).encode() if damage in words else broken
    cells.write_bytes(b"".join([*lines[:2], broken, b"\n", *lines[3:]]))
    again = evaluate(plan(folder, classes=("object",)), out)
    assert again.resumed == len(lines) - 1
    assert again.damaged == bool(broken.strip())
    same_table(again.table, first.table)
    left = cells.read_bytes().splitlines(keepends=True)
    assert left[:-1] == [*lines[:2], *lines[3:]]
    third = evaluate(plan(folder, classes=("object",)), out)
    assert (third.resumed, third.damaged) == (len(lines), 0)


def test_a_name_with_any_characters_is_one_row(folder, tmp_path, monkeypatch):
    """A line separator of Unicode in a name ends no row, and half a surrogate pair breaks no file."""
    strange = "object\u2028\x85\ud800"

    def named(device):  # noqa: ARG001 — as for any segmenter
        made = DarkIsObject()
        made.classes = ("background", strange)
        return made

    monkeypatch.setitem(SEGMENTERS, "dark", SegmenterEntry("dark", "", named))
    first = evaluate(plan(folder), tmp_path / "out")
    again = evaluate(plan(folder), tmp_path / "out")
    assert (again.resumed, again.damaged) == (len(first.table), 0)
    same_table(again.table, first.table)
    assert set(pd.read_parquet(tmp_path / "out" / "table.parquet")["class"]) == {
        "background",
        strange.replace("\ud800", "\ufffd"),
    }


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"[]",
        b"[1]",
        b"null",
        b"{}",
        b"garbage",
        b"\0\0\0",
        b"\xff",
        b'{"plan": []}',
        b'{"plan": {}, "weights": 3}',
        b"[" * 100_000,
    ],
    ids=plain,
)
def test_a_damaged_record_is_a_sentence_and_its_rows_are_kept(record, folder, tmp_path):
    out = tmp_path / "out"
    evaluate(plan(folder, classes=("object",)), out)
    cells = (out / "cells.jsonl").read_bytes()
    (out / "evaluation.json").write_bytes(record)
    with pytest.raises(perturb.ExportError, match=r"evaluation.json' is damaged: expected the plan.*delete this one"):
        evaluate(plan(folder, classes=("object",)), out)
    assert (out / "cells.jsonl").read_bytes() == cells
    assert (out / "evaluation.json").read_bytes() == record
    assert not (out / "evaluation.lock").exists()


def test_what_a_failed_first_write_left_keeps_nobody_out(folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / ".evaluation.json.partial").write_bytes(b'{"pl')
    (out / "evaluation.lock").write_bytes(b"")
    assert len(evaluate(plan(folder, classes=("object",)), out).table)
    assert sorted(os.listdir(out)) == ["cells.jsonl", "evaluation.json", "metrics.json", "table.parquet"]


@pytest.mark.parametrize("pages", [0, 1, 2, 3, 4, 5])
def test_a_full_disk_is_a_sentence_and_the_run_goes_on_when_there_is_room(pages, folder, tmp_path, disk):  # noqa: F811
    clean = evaluate(plan(folder), tmp_path / "clean")
    out = disk.path / "out"
    disk.leave(pages)
    with pytest.raises(
        perturb.ExportError, match=rf"cannot be written to '.*out': {disk.reason}. Finished rows are kept"
    ):
        evaluate(plan(folder), out)
    if not disk.mounted and pages:
        pytest.skip("a limit on the size of files is none on their sum")
    lines = (out / "cells.jsonl").read_bytes().count(b"\n") if (out / "cells.jsonl").exists() else 0
    assert (lines > 0) == (pages > 2), "the lock, the plan and the rows take a page each"
    disk.free()
    made = evaluate(plan(folder), out)
    assert made.resumed == lines
    same_table(made.table, clean.table)


def test_files_that_cannot_be_read_are_sentences(folder, tmp_path):
    for name in ("evaluation.json", "cells.jsonl"):
        out = tmp_path / name
        evaluate(plan(folder, classes=("object",)), out)
        (out / name).unlink()
        (out / name).mkdir()
        with pytest.raises(perturb.ExportError, match="cannot be written to"):
            evaluate(plan(folder, classes=("object",)), out)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(perturb.ExportError, match="cannot be written to"):
        evaluate(plan(folder, classes=("object",)), tmp_path / "file")


def test_a_second_run_on_a_folder_is_told_who_holds_it_until_that_run_ends(tmp_path, capsys):
    """Two real processes; the first one is killed, and a third one then resumes."""
    out, photo = tmp_path / "out", tmp_path / "street.png"
    pixels = PIL.Image.fromarray((perturb.sample("quiet-street").pixels * 255).round().astype(np.uint8))
    pixels.resize((120, 90)).save(photo)
    words = ["evaluate", str(photo), "--methods", "rise", "--set", "rise.masks=40", "--classes", "car"]
    words += ["--metrics", "deletion_auc", "--out", str(out)]
    first = subprocess.Popen(
        [sys.executable, "-m", "perturb", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not (out / "evaluation.json").exists():
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.005)
    first.send_signal(signal.SIGSTOP)  # whatever it has got to, it holds the folder now
    try:
        before = {path.name: path.read_bytes() for path in out.iterdir()}
        assert main(words) == 2
        said = capsys.readouterr().err.strip()
        assert f"process {first.pid} on {socket.gethostname()}, since 20" in said
        assert "choose another folder" in said
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    finally:
        first.kill()
        first.send_signal(signal.SIGCONT)
        first.wait()
    assert (out / "evaluation.lock").exists(), "a killed run could not take it away"
    assert main(words) == 0
    assert not (out / "evaluation.lock").exists()
    assert len(pd.read_parquet(out / "table.parquet")) == 1 + len(CONTROLS)
    capsys.readouterr()


def test_a_lock_that_says_nothing_is_no_defect(folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    lock = filelock.FileLock(out / "evaluation.lock")
    for text in (b"", b"[]", b"\0", b'{"pid": "x"}'):
        with lock:
            (out / "evaluation.lock").write_bytes(text)
            with pytest.raises(perturb.ExportError, match="an unknown process"):
                evaluate(plan(folder), out)


def test_a_row_says_what_was_run_and_what_came_out(folder, tmp_path):
    """Every column of a method's row and a control's, each from its own source."""
    metrics = ("gini", "deletion_auc", "error_share", "forwards", "seconds")
    settings = {"rise": {"masks": 20, "grid": 4}}
    truth = tmp_path / "truth"
    truth.mkdir()
    labels = np.zeros((37, 53), dtype=np.uint8)
    labels[10:20, 10:30] = 1  # the dark square and five columns more: 50 pixels of 1,961 are wrong
    PIL.Image.fromarray(labels).save(truth / "a.png")
    wanted = plan(
        folder, methods=("rise",), metrics=metrics, classes=("object",), settings=settings, seed=3, truth=str(truth)
    )
    began = time.monotonic()
    table = evaluate(wanted, tmp_path / "out").table
    took = time.monotonic() - began
    own = table[table["picture"] == str(folder / "a.png")]
    image = perturb.load_image(folder / "a.png", truth=truth / "a.png")
    target = perturb.Target("object")
    result = perturb.explain(image, DarkIsObject(), target, method="rise", seed=3, **settings["rise"])
    evaluator = MapEvaluator(image, DarkIsObject(), result.frozen, metrics=metrics, seed=3)
    assert list(own["map"]) == ["rise", *CONTROLS]
    assert list(own["kind"]) == ["method"] + ["control"] * len(CONTROLS)
    for (_, row), heatmap in zip(
        own.iterrows(), [result.heatmap, *(control.make(image, 3) for control in CONTROLS.values())], strict=True
    ):
        neutral = result.neutral if row["map"] == "rise" else 0.0
        values = evaluator.measure(heatmap, neutral=neutral)[0]
        assert {name: row[name] for name in ("digest", "segmenter", "class", "region_pixels")} == {
            "digest": image.digest,
            "segmenter": "dark",
            "class": "object",
            "region_pixels": 150,
        }
        assert row["wrong_share"] == pytest.approx(50 / (37 * 53))
        for name in ("gini", "deletion_auc", "error_share"):
            assert row[name] == pytest.approx(values[name], rel=1e-9)
    method, *controls = own.to_dict("records")
    assert method["forwards"] == result.forwards == 20 + 1
    assert 0 < method["seconds"] < took
    assert method["notes"] == " ".join(result.notes)
    assert {(row["forwards"], row["seconds"], row["notes"]) for row in controls} == {(0, 0, "")}
    # Of the other picture there is no truth.
    other = table[table["picture"] == str(folder / "b.png")]
    assert other["wrong_share"].isna().all()
    assert other["error_share"].isna().all()


def test_a_plan_as_plain_data_has_all_that_must_agree():
    made = Plan(
        pictures=("fog", "rain"), segmenters=(DEFAULT,), methods=("rise", "occlusion"), metrics=("gini",),
        classes=("car",), smallest=0.25, settings={"rise": {"masks": 11, "grid": 5}, "occlusion": {"size": 9}},
        seed=4, truth="somewhere", ignore_index=(9, 3), max_side=77,
    ).as_dict()  # fmt: skip
    assert json.loads(json.dumps(made)) == {
        "pictures": ["fog", "rain"],
        "segmenters": [DEFAULT],
        "methods": ["rise", "occlusion"],
        "metrics": ["gini"],
        "classes": ["car"],
        "smallest": 0.25,
        "seed": 4,
        "truth": "somewhere",
        "max_side": 77,
        "ignore_index": [3, 9],
        "settings": {"occlusion": {"size": 9}, "rise": {"grid": 5, "masks": 11}},
        "onnx": {},
        "version": perturb.__version__,
    }
    assert list(made["settings"]) == ["occlusion", "rise"], "the order in which they were given does not matter"
    assert list(made["settings"]["rise"]) == ["grid", "masks"]


def test_shares_of_a_class_run_from_nothing_to_nearly_all(folder, tmp_path):
    assert Plan(("fog",), smallest=0).smallest == 0
    for smallest in (-0.1, 1):
        with pytest.raises(perturb.SettingError, match="between 0 and 1"):
            Plan(("fog",), smallest=smallest)
    with pytest.raises(perturb.SettingError, match="no images to evaluate"):
        Plan(())
    # The dark square has 150 of 1,961 pixels, 7.6 %.
    seen = [
        set(evaluate(plan(folder, smallest=share, metrics=("gini",)), tmp_path / f"{share}").table["class"])
        for share in (150 / 1961, 0.0766)
    ]
    assert seen == [{"background", "object"}, {"background"}]


def test_a_batch_is_as_large_as_was_asked_for(folder, tmp_path, monkeypatch):
    sizes = []

    class Watched(DarkIsObject):
        def logits(self, batch):
            sizes.append(len(batch))
            return super().logits(batch)

    monkeypatch.setitem(SEGMENTERS, "dark", SegmenterEntry("dark", "", lambda device: Watched()))
    for batch in (1, 3):
        sizes.clear()
        evaluate(plan(folder, classes=("object",)), tmp_path / f"{batch}", batch=batch)
        assert max(sizes) == batch
        assert sizes.count(batch) > len(sizes) / 2


def test_the_estimate_counts_the_passes_that_are_run(folder, tmp_path, monkeypatch, capsys):
    segmenter = DarkIsObject()
    monkeypatch.setitem(SEGMENTERS, "dark", SegmenterEntry("dark", "", lambda device: segmenter))
    small = {"occlusion": {"size": 9, "stride": 6}, "rise": {"masks": 20}}
    chosen = plan(
        folder, methods=("occlusion", "rise"), metrics=("deletion_auc", "drop_s_flat", "gini"), settings=small
    )

    def passes(out):
        before = []
        evaluate(chosen, out, started=lambda work: before.append((work, segmenter.pictures)))
        ((work, pictures),) = before
        return work, segmenter.pictures - pictures

    work, counted = passes(tmp_path / "out")
    assert (work.rows, work.forwards) == (5 * (2 + len(CONTROLS)), counted)
    assert work.seconds > 0
    cells = tmp_path / "out" / "cells.jsonl"
    cells.write_bytes(b"".join(cells.read_bytes().splitlines(keepends=True)[:-2]))
    work, counted = passes(tmp_path / "out")
    assert (work.rows, work.forwards) == (2, counted)
    assert passes(tmp_path / "out") == ((0, 0, 0), 0)

    words = ["evaluate", str(folder / "a.png"), "--segmenters", "dark", "--methods", "rise", "--set", "rise.masks=20"]
    words += ["--classes", "object", "--metrics", "gini", "--out", str(tmp_path / "line")]
    assert main(words) == 0
    # 20 masks and the clean image for the map, the target and the metrics; the controls take none.
    assert f"{1 + len(CONTROLS)} rows to compute: 23 passes take at most about 1 s" in capsys.readouterr().err


def test_a_factory_is_evaluated_like_the_segmenter_that_it_returns(folder, tmp_path, monkeypatch, capsys):
    code = """
        from tests.analytic import DarkIsObject

        def named():
            segmenter = DarkIsObject()
            segmenter.name = "of a factory"
            return segmenter
    """
    (tmp_path / "evaluated_nets.py").write_text(textwrap.dedent(code))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    words = ["evaluate", str(folder / "a.png"), "--segmenters", "dark,evaluated_nets:named", "--methods", "occlusion"]
    words += ["--set", "occlusion.size=9", "--set", "occlusion.stride=6", "--metrics", "deletion_auc,gini"]
    assert main([*words, "--out", "out"]) == 0
    capsys.readouterr()
    table = pd.read_parquet("out/table.parquet")
    own, twin = (table[table["segmenter"] == name].reset_index(drop=True) for name in ("of a factory", "dark"))
    assert len(own) == 2 * (1 + len(CONTROLS))
    assert_frame_equal(own.drop(columns="segmenter"), twin.drop(columns="segmenter"))
    assert main(["evaluate", str(folder / "a.png"), "--segmenters", "no_such_nets:named", "--out", "other"]) == 2
    assert "The module 'no_such_nets' of 'no_such_nets:named' cannot be imported" in capsys.readouterr().err
