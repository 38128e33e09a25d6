"""The folder of an evaluation: rows as they come, the table at the end, and what must agree when a run is taken up again."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from perturb.cards import METRICS
from perturb.errors import ExportError
from perturb.folders import write_file

RECORD, CELLS, TABLE, CARDS = "evaluation.json", "cells.jsonl", "table.parquet", "metrics.json"


def open_folder(folder: Path, plan: Mapping[str, Any], weights: Mapping[str, str]) -> None:
    """Make the folder, or check that it holds the same plan; the plan is on the disk from the start.

    Args:
        folder: new, empty, or of an earlier run.
        plan: as plain data.
        weights: the digest of each segmenter.

    Raises:
        ExportError: it holds something else or an evaluation of another plan or other weights, or cannot be written.
    """
    record = folder / RECORD
    try:
        if folder.is_dir() and any(folder.iterdir()):
            if not record.exists():
                raise ExportError(
                    f"The folder '{folder}' holds other files; expected a new folder, an empty one, or an evaluation to go "
                    "on with. Choose another folder."
                )
            earlier = json.loads(record.read_text(encoding="utf-8"))
            # Plans of before these could stand in them say nothing of them.
            before = {"onnx": {}, "ignore_index": [], **earlier["plan"]}
            other = [name for name, value in plan.items() if before.get(name) != value]
            other += [
                f"weights of {name}"
                for name, digest in earlier.get("weights", weights).items()
                if weights.get(name) != digest
            ]
            if other:
                raise ExportError(
                    f"The folder '{folder}' holds an evaluation of another plan (its {', '.join(other)} differ), and rows of "
                    "two plans do not belong into one table. Choose another folder, or repeat the earlier command."
                )
        folder.mkdir(parents=True, exist_ok=True)
        write_file(record, _json({"plan": plan, "weights": weights, "finished": False}))
    except (OSError, ValueError, KeyError) as error:
        raise ExportError(f"The evaluation cannot be written to '{folder}': {error}.") from error


def finished_rows(file: Path) -> dict[str, dict[str, Any]]:
    """Rows that an earlier run finished, by key; half a row that a kill left behind is cut off the file."""
    if not file.exists():
        return {}
    data = file.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        write_file(file, whole)
    rows = [json.loads(line) for line in whole.decode("utf-8").splitlines()]
    return {key_of(row["picture"], row["segmenter"], row["class"], row["map"]): row for row in rows}


def key_of(*words: str) -> str:
    """A row by its picture, segmenter, class and map."""
    return json.dumps(words)


def write_table(
    folder: Path,
    plan: Mapping[str, Any],
    weights: Mapping[str, str],
    table: pd.DataFrame,
    skipped: Sequence[tuple[str, str]],
) -> None:
    """The table, the cards of its metrics, and the record of a run that is finished.

    Raises:
        ExportError: they cannot be written.
    """
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    record = {
        "plan": plan,
        "weights": weights,
        "finished": True,
        "rows": len(table),
        "skipped": [list(pair) for pair in skipped],
    }
    try:
        write_file(folder / TABLE, buffer.getvalue())
        write_file(folder / CARDS, _json([METRICS[name].as_dict() for name in plan["metrics"]]))
        write_file(folder / RECORD, _json(record))
    except OSError as error:
        raise ExportError(f"The evaluation cannot be written to '{folder}': {error}.") from error


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
