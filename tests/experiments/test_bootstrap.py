"""Means over images and their intervals, by hand and by brute force, and what is not the table of an evaluation."""

import io
from itertools import product

import numpy as np
import pandas as pd
import pytest

import perturb
from perturb.experiments.bootstrap import read_table, summarise


def frame(pictures, values, **columns):
    return pd.DataFrame({"segmenter": "s", "map": "m", "kind": "method", "picture": pictures, "gini": values} | columns)


def test_intervals_are_quantiles_of_all_ways_to_draw_the_images_again():
    """Three images can be drawn in 27 ways; many draws come as near to their quantiles as one likes."""
    by_picture = {"p": [0.0, 1.0], "q": [4.0], "r": [9.0, 9.0, 9.0]}
    table = frame([name for name, values in by_picture.items() for _ in values], np.concatenate([*by_picture.values()]))
    row = summarise(table, ["gini"], draws=20_000).iloc[0]
    means = sorted(np.concatenate([by_picture[name] for name in ways]).mean() for ways in product("pqr", repeat=3))
    assert row["mean"] == pytest.approx(32 / 6)
    assert (row["low"], row["high"]) == (means[0], means[-1]) == (0.5, 9.0), (
        "1/27 of the ways at either end, over 2.5 %"
    )
    narrow = summarise(frame(list("abcdefgh") * 2, [*range(8)] * 2), ["gini"], draws=20_000).iloc[0]
    sums = np.random.default_rng(5).integers(8, size=(20_000, 8)).mean(1)
    assert (narrow["low"], narrow["high"]) == pytest.approx(np.quantile(sums, (0.025, 0.975)), abs=0.13)
    assert narrow["rows"] == 16
    assert narrow["pictures"] == 8


def test_intervals_are_drawn_by_the_seed_and_as_often_as_asked():
    table = frame([*"abcdefgh"], np.arange(8.0) ** 2)
    one, same, other = (summarise(table, ["gini"], seed=seed).iloc[0] for seed in (0, 0, 1))
    assert (one["low"], one["high"]) == (same["low"], same["high"]) != (other["low"], other["high"])
    single = summarise(table, ["gini"], draws=1).iloc[0]
    assert single["low"] == single["high"]


def test_groups_stay_in_the_order_of_the_table_and_metrics_without_a_value_have_no_row():
    table = frame(["p"] * 4, [1.0, 2.0, 3.0, np.nan], road_morf=[np.nan, 5.0, 6.0, np.nan])
    table["map"] = ["z", "z", "a", "empty"]
    made = summarise(table, ["gini", "road_morf"])
    assert made[["map", "metric", "mean"]].to_numpy().tolist() == [
        ["z", "gini", 1.5],
        ["z", "road_morf", 5.0],
        ["a", "gini", 3.0],
        ["a", "road_morf", 6.0],
    ]
    assert list(made.columns) == ["segmenter", "map", "kind", "metric", "mean", "low", "high", "rows", "pictures"]
    assert set(made["segmenter"]) == {"s"}
    assert set(made["kind"]) == {"method"}


def parquet(table):
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def test_numbers_that_came_as_text_are_numbers_again():
    table = frame(["p", "q", "r"], ["0.5", "nonsense", None])
    table["class"], table["road_morf"] = "car", np.array([1, 2, 3], dtype=np.int8)
    read = read_table(parquet(table))
    assert read["gini"].dtype == read["road_morf"].dtype == np.float64
    np.testing.assert_array_equal(read["gini"], [0.5, np.nan, np.nan])
    np.testing.assert_array_equal(read["road_morf"], [1, 2, 3])


@pytest.mark.parametrize(
    ("table", "lack"),
    [
        (frame(["p"], [1.0]), "lacks the columns class;"),
        (frame(["p"], [1.0]).drop(columns=["kind", "picture"]), "lacks the columns picture, class, kind;"),
        (frame(["p"], [1.0]).assign(**{"class": "car"}).drop(columns="gini"), "lacks any metric;"),
        (frame(["p"], [1.0]).assign(**{"class": "car"})[:0], "lacks any row;"),
    ],
)
def test_what_a_table_lacks_is_named(table, lack):
    with pytest.raises(
        perturb.SettingError, match=f"^'mine' is not the table of an evaluation: it {lack} expected the"
    ):
        read_table(parquet(table), "mine")


def test_bytes_that_are_no_parquet_file_are_answered_in_words():
    with pytest.raises(perturb.SettingError, match="^'the file' cannot be read as a Parquet table; expected the table"):
        read_table(b"garbage")
