"""The files of a comparison made by hand: each cell is read again and compared with the number that was put in."""

import csv
import io
import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from perturb.metrics.base import MapScores
from perturb.metrics.curves import Curve
from perturb.metrics.registry import METRICS
from perturb.metrics.scorecard import Faithfulness, contents

SCORES = {"deletion": [1.0, 0.5, 0.25], "road_morf": [0.75, 0.125]}
IOUS = {"deletion": [0.9, 0.6, 0.3], "road_morf": [0.8, 0.2]}
FRACTIONS = {"deletion": [0.0, 0.5, 1.0], "road_morf": [0.1, 0.9]}
VALUES = {
    "a": {"deletion_auc": 0.5, "road_morf": 0.25, "gini": 0.125},
    "b": {"deletion_auc": 0.75, "road_morf": 0.0625, "gini": None},
    "edges": {"deletion_auc": 0.875, "road_morf": 0.375, "gini": 0.0},
}
KINDS = {"a": "method", "b": "method", "edges": "control"}
SPEARMAN = np.array([[1, -0.5, 0.25], [-0.5, 1, 0.125], [0.25, 0.125, 1]])
OVERLAP = np.array([[1, 0.75, 0.0625], [0.75, 1, 0.375], [0.0625, 0.375, 1]])


def scored(index, name):
    """Each map halves the scores and IoUs of the one before."""
    share = 0.5**index
    curves = {
        kind: Curve(np.array(FRACTIONS[kind]), share * np.array([SCORES[kind]]), share * np.array([IOUS[kind]]))
        for kind in SCORES
    }
    return MapScores(name, KINDS[name], np.full((2, 3), index, np.float32), VALUES[name], curves)


@pytest.fixture
def files():
    maps = tuple(scored(index, name) for index, name in enumerate(VALUES))
    consensus, disagreement = np.arange(12, dtype=np.float32).reshape(2, 2, 3) / 16
    return contents(Faithfulness(maps, SPEARMAN, OVERLAP, consensus, disagreement, None, 0.9))


def table(data):
    return list(csv.DictReader(io.StringIO(data.decode())))


def test_the_table_has_a_row_for_each_map_and_a_column_for_each_metric(files):
    rows = table(files["table.csv"])
    assert list(rows[0]) == ["map", "kind", "deletion_auc", "road_morf", "gini"]
    assert {row["map"]: row["kind"] for row in rows} == KINDS
    for row in rows:
        for metric, value in VALUES[row["map"]].items():
            assert row[metric] == "" if value is None else float(row[metric]) == value


def test_each_point_of_each_curve_is_a_row(files):
    rows = table(files["curves.csv"])
    assert list(rows[0]) == ["map", "curve", "fraction", "score", "iou"]
    expected = [
        (name, kind, *point)
        for index, name in enumerate(VALUES)
        for kind in SCORES
        for point in zip(
            FRACTIONS[kind],
            [0.5**index * score for score in SCORES[kind]],
            [0.5**index * iou for iou in IOUS[kind]],
            strict=True,
        )
    ]
    assert [
        (row["map"], row["curve"], float(row["fraction"]), float(row["score"]), float(row["iou"])) for row in rows
    ] == expected


def test_the_ranks_of_the_methods_are_written_for_each_fill(files):
    assert table(files["ranks_by_fill.csv"]) == [
        {"map": name, "order": "deletion", "fill": fill, "metric": metric, "value": value, "rank": rank}
        for name, fill, metric, value, rank in (
            ("a", "blur", "deletion_auc", "0.5", "1"),
            ("a", "linear", "road_morf", "0.25", "2"),
            ("b", "blur", "deletion_auc", "0.75", "2"),
            ("b", "linear", "road_morf", "0.0625", "1"),
        )
    ]


@pytest.mark.parametrize(("file", "matrix"), [("agreement_spearman.csv", SPEARMAN), ("agreement_top10.csv", OVERLAP)])
def test_the_agreement_of_two_maps_stands_at_their_names(files, file, matrix):
    header, *rows = csv.reader(io.StringIO(files[file].decode()))
    assert header == ["map", *VALUES]
    assert [row[0] for row in rows] == list(VALUES)
    assert_array_equal([[float(cell) for cell in row[1:]] for row in rows], matrix)


def test_the_maps_are_arrays_and_the_cards_are_those_of_the_columns(files):
    arrays = np.load(io.BytesIO(files["maps.npz"]))
    assert set(arrays) == {"a", "b", "edges", "consensus", "disagreement"}
    for index, name in enumerate(VALUES):
        assert_array_equal(arrays[name], np.full((2, 3), index))
    assert_array_equal(arrays["consensus"], np.arange(6).reshape(2, 3) / 16)
    assert_array_equal(arrays["disagreement"], np.arange(6, 12).reshape(2, 3) / 16)
    cards = json.loads(files["metrics.json"])
    assert [card["name"] for card in cards] == ["deletion_auc", "road_morf", "gini"]
    for card in cards:
        assert card["arrow"] == {"lower": "↓", "higher": "↑", "read": ""}[card["better"]]
        metric = METRICS[card["name"]]
        for field in ("title", "group", "summary", "formula", "range", "assumptions", "gamed", "cost", "citation"):
            assert card[field] == getattr(metric, field)
    assert set(files) == {
        "table.csv",
        "ranks_by_fill.csv",
        "curves.csv",
        "agreement_spearman.csv",
        "agreement_top10.csv",
        "maps.npz",
        "metrics.json",
    }
