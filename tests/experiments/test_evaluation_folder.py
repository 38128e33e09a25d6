"""Rows on the disk: what a kill leaves is cut off, and what agrees when a run is taken up again."""

import json

import numpy as np
import pandas as pd
import pytest

import perturb
from perturb.experiments.evaluation_folder import Rows, hold, open_folder, table_of, write_table

METRICS = ("gini", "forwards")
PLAN = {"metrics": list(METRICS), "seed": 0, "onnx": {}, "ignore_index": []}


def row(number, **changes):
    texts = {
        "picture": f"p{number}.png",
        "digest": "d",
        "segmenter": "s",
        "class": "car",
        "map": "rise",
        "kind": "method",
    }
    numbers = {"region_pixels": 7, "wrong_share": None, "gini": 0.5, "forwards": number}
    return texts | numbers | {"notes": ""} | changes


@pytest.mark.parametrize("cut", ["every byte"])
def test_what_a_kill_leaves_of_a_row_is_cut_off_before_the_next_one(cut, tmp_path):  # noqa: ARG001 — one file, each length
    """At whatever byte it was killed: the rows before stay, the next one is whole, and nothing is called damaged."""
    with Rows(tmp_path, METRICS) as rows:
        rows.append(row(0))
        rows.append(row(1))
    file = tmp_path / "cells.jsonl"
    data = file.read_bytes()
    first, second = data.splitlines(keepends=True)
    for length in range(len(data) + 1):
        file.write_bytes(data[:length])
        whole = 2 if length == len(data) else int(length >= len(first))
        with Rows(tmp_path, METRICS) as rows:
            assert (len(rows.finished), rows.damaged) == (whole, 0)
            assert file.read_bytes() == [b"", first, first + second][whole]
            rows.append(row(2))
        with Rows(tmp_path, METRICS) as rows:
            assert [told["forwards"] for told in rows.finished.values()] == [*range(whole), 2]
            assert rows.damaged == 0


def test_a_row_is_found_by_its_four_names(tmp_path):
    with Rows(tmp_path, METRICS) as rows:
        for name in ("picture", "segmenter", "class", "map"):
            rows.append(row(0, **{name: "other"}))
        rows.append(row(0, kind="control"))
        rows.append(row(0, forwards=99))
        assert len(rows.finished) == 5
        assert rows.finished[json.dumps(["p0.png", "s", "car", "rise"])]["forwards"] == 99
        kept = dict(rows.finished)
    with Rows(tmp_path, METRICS) as rows:
        assert rows.finished == kept


@pytest.mark.parametrize(
    ("changes", "whole"),
    [
        ({}, True),
        ({"gini": None}, True),
        ({"wrong_share": 1}, True),
        ({"more": "than asked"}, True),
        ({"gini": True}, False),
        ({"gini": "0.5"}, False),
        ({"wrong_share": []}, False),
        ({"region_pixels": None}, False),
        ({"region_pixels": "7"}, False),
        ({"notes": None}, False),
        ({"digest": 3}, False),
    ],
)
def test_what_is_a_whole_row(changes, whole, tmp_path):
    (tmp_path / "cells.jsonl").write_bytes(json.dumps(row(0, **changes)).encode() + b"\n")
    with Rows(tmp_path, METRICS) as rows:
        assert (len(rows.finished), rows.damaged) == (int(whole), int(not whole))


@pytest.mark.parametrize(
    "name",
    ["picture", "digest", "segmenter", "class", "map", "kind", "notes", "region_pixels", "wrong_share", *METRICS],
)
def test_a_row_has_every_column(name, tmp_path):
    part = {key: value for key, value in row(0).items() if key != name}
    (tmp_path / "cells.jsonl").write_bytes(json.dumps(part).encode() + b"\n\n")
    with Rows(tmp_path, METRICS) as rows:
        assert (len(rows.finished), rows.damaged) == (0, 1), "an empty line is no damaged row"


def test_the_plan_is_on_the_disk_from_the_start_and_must_agree(tmp_path):
    weights = {"dark": "abc", "light": "def"}
    open_folder(tmp_path, PLAN, weights)
    record = json.loads((tmp_path / "evaluation.json").read_text())
    assert record == {"plan": PLAN, "weights": weights, "finished": False}
    open_folder(tmp_path, PLAN, weights)
    for plan, other, told in (
        (PLAN | {"seed": 1}, weights, "its seed differ"),
        (PLAN | {"seed": 1, "onnx": {"scale": "unit"}}, weights, "its seed, onnx differ"),
        (PLAN | {"onnx": {"scale": "unit"}, "ignore_index": [3]}, weights, "its onnx, ignore_index differ"),
        (PLAN, weights | {"light": "xyz"}, "its weights of light differ"),
        (PLAN | {"seed": 1}, {"dark": "abc"}, "its seed, weights of light differ"),
    ):
        with pytest.raises(perturb.ExportError, match=rf"another plan \({told}\)"):
            open_folder(tmp_path, plan, other)
    assert json.loads((tmp_path / "evaluation.json").read_text()) == record


def test_a_record_of_before_some_settings_existed_says_nothing_of_them(tmp_path):
    old = {name: value for name, value in PLAN.items() if name not in ("onnx", "ignore_index")}
    (tmp_path / "evaluation.json").write_text(json.dumps({"plan": old}))
    open_folder(tmp_path, PLAN, {"dark": "abc"})
    (tmp_path / "evaluation.json").write_text(json.dumps({"plan": old}))
    with pytest.raises(perturb.ExportError, match=r"\(its onnx differ\)"):
        open_folder(tmp_path, PLAN | {"onnx": {"scale": "unit"}}, {"dark": "abc"})


def test_the_table_has_numbers_where_rows_have_none(tmp_path):
    table = table_of([row(0), row(1, gini=None, forwards=None, notes="half \ud800")], METRICS)
    np.testing.assert_array_equal(table["gini"], [0.5, np.nan])
    np.testing.assert_array_equal(table["forwards"], [0, np.nan])
    assert table["gini"].dtype == table["forwards"].dtype == np.float64
    assert table["notes"].tolist() == ["", "half \ufffd"]
    write_table(tmp_path, PLAN, {"s": "abc"}, table, [("p9.png", "why")])
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "table.parquet"), table)
    record = json.loads((tmp_path / "evaluation.json").read_text())
    assert record == {
        "plan": PLAN,
        "weights": {"s": "abc"},
        "finished": True,
        "rows": 2,
        "skipped": [["p9.png", "why"]],
    }
    assert [card["name"] for card in json.loads((tmp_path / "metrics.json").read_text())] == list(METRICS)


def test_a_folder_is_held_by_one_and_free_afterwards(tmp_path):
    out = tmp_path / "deep" / "out"
    with hold(out):
        told = json.loads((out / "evaluation.lock").read_bytes())
        assert set(told) == {"host", "pid", "since"}
        with (
            pytest.raises(
                perturb.ExportError, match=rf"Another run .*'{out}': process {told['pid']} on {told['host']}, since"
            ),
            hold(out),
        ):
            pass
        assert (out / "evaluation.lock").exists(), "who was turned away leaves the lock alone"
    assert not (out / "evaluation.lock").exists()
    with hold(out):
        pass


def test_a_folder_of_other_files_names_three_of_them(tmp_path):
    for name in ("d", "a", "c", "b", "evaluation.lock"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(perturb.ExportError, match=r"holds other files \(a, b, c\); expected"), hold(tmp_path):
        pass
