"""Summaries of an evaluation: means over images with confidence intervals."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
import pandas as pd

from perturb.core.errors import SettingError
from perturb.metrics.registry import METRICS


def summarise(table: pd.DataFrame, metrics: Iterable[str], *, draws: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Means with 95 % confidence intervals by a cluster bootstrap over images.

    Whole images are resampled rather than rows, because the classes of one image are not independent.

    Args:
        table: from `evaluate`.
        metrics: columns of the table to summarise.
        draws: number of bootstrap samples.
        seed: of the draws.

    Returns:
        A row for each segmenter, map and metric with a value. Columns: `segmenter`, `map`, `kind`, `metric`, `mean`,
        `low` and `high` (the interval; NaN for a single image), `rows`, and `pictures` (the number of images).
    """
    summary = []
    for (segmenter, name, kind), part in table.groupby(["segmenter", "map", "kind"], sort=False):
        for metric in metrics:
            by_image = part.dropna(subset=[metric]).groupby("picture", sort=False)[metric]
            totals, counts = by_image.sum().to_numpy(), by_image.count().to_numpy()
            if not len(totals):
                continue
            drawn = np.random.default_rng(seed).integers(len(totals), size=(draws, len(totals)))
            means = totals[drawn].sum(1) / counts[drawn].sum(1)
            low, high = np.quantile(means, (0.025, 0.975)) if len(totals) > 1 else (np.nan, np.nan)
            values = (totals.sum() / counts.sum(), low, high, int(counts.sum()), len(totals))
            summary.append((segmenter, name, kind, metric, *values))
    columns = ["segmenter", "map", "kind", "metric", "mean", "low", "high", "rows", "pictures"]
    return pd.DataFrame(summary, columns=columns)


def read_table(data: bytes, name: str = "the file") -> pd.DataFrame:
    """Read a table that `evaluate` wrote.

    Args:
        data: bytes of its Parquet file.
        name: of the file, for error messages.

    Raises:
        SettingError: it is not a Parquet file, or not the table of an evaluation.
    """
    try:
        table = pd.read_parquet(io.BytesIO(data))
    except Exception as error:  # pyarrow raises many kinds of errors on a hostile file
        raise SettingError(
            f"'{name}' cannot be read as a Parquet table; expected the table.parquet of `python -m perturb evaluate`."
        ) from error
    required = ("picture", "segmenter", "class", "map", "kind")
    missing = [column for column in required if column not in table]
    metrics = [column for column in METRICS if column in table]
    if missing or not metrics or not len(table):
        lack = f"the columns {', '.join(missing)}" if missing else "any metric" if not metrics else "any row"
        raise SettingError(
            f"'{name}' is not the table of an evaluation: it lacks {lack}; expected the table.parquet of "
            "`python -m perturb evaluate`."
        )
    for column in metrics:
        table[column] = pd.to_numeric(table[column], errors="coerce").astype("float64")
    return table
