"""The folder of an evaluation: rows as they come, the table at the end, and what must agree when a run is taken up again."""

from __future__ import annotations

import io
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import filelock
import pandas as pd

from perturb.core.errors import ExportError
from perturb.core.files import write_file
from perturb.core.quoting import encodable, json_file
from perturb.metrics.registry import METRICS

RECORD, CELLS, TABLE, CARDS, LOCK = (
    "evaluation.json",
    "cells.jsonl",
    "table.parquet",
    "metrics.json",
    "evaluation.lock",
)
TEXTS = ("picture", "digest", "segmenter", "class", "map", "kind", "notes")
"""Columns of every row that hold text."""


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Create the folder and hold its lock until the end; the lock of a killed run is released.

    Args:
        folder: new, empty, or of an earlier run.

    Raises:
        ExportError: it holds something else, another run is writing into it, or it cannot be written.
    """
    with _errors(folder):
        if folder.is_dir() and not (folder / RECORD).exists():
            # A run that failed or was killed before its first file leaves these two at most.
            names = {entry.name for entry in folder.iterdir()} - {LOCK, f".{RECORD}.partial"}
            if names:
                raise ExportError(
                    f"The folder '{folder}' holds other files ({', '.join(sorted(names)[:3])}); expected a new folder, an "
                    "empty one, or an evaluation to go on with. Choose another folder."
                )
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / LOCK)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            raise ExportError(
                f"Another run is evaluating into the folder '{folder}': {_holder(folder / LOCK)}. Wait until it has "
                "finished, or choose another folder."
            ) from None
    try:
        # Where there are no file locks, the library keeps its own marker in the file instead.
        if not isinstance(lock, filelock.SoftFileLock):
            with _errors(folder):
                since = time.strftime("%Y-%m-%d %H:%M:%S %z")
                (folder / LOCK).write_bytes(
                    json_file({"host": socket.gethostname(), "pid": os.getpid(), "since": since})
                )
        yield
    finally:
        with suppress(OSError):  # Windows does not remove open files
            (folder / LOCK).unlink()
        lock.release()


def _holder(file: Path) -> str:
    """Who holds the lock, in words."""
    try:
        told = json.loads(file.read_bytes())
        return f"process {int(told['pid'])} on {str(told['host'])!r}, since {str(told['since'])!r}".replace("'", "")
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return "it has not said who it is"


def open_folder(folder: Path, plan: Mapping[str, Any], weights: Mapping[str, str]) -> None:
    """Check that the folder is new or holds the same plan; the plan is on the disk from the start.

    Args:
        folder: that is held.
        plan: as plain data.
        weights: the digest of each segmenter.

    Raises:
        ExportError: it holds an evaluation of another plan or other weights, or a damaged one, or cannot be written.
    """
    record = folder / RECORD
    with _errors(folder):
        if record.exists():
            earlier = _plain(record.read_bytes())
            if not isinstance(earlier, dict) or not all(
                isinstance(earlier.get(name, {}), dict) for name in ("plan", "weights")
            ):
                earlier = {}
            if "plan" not in earlier:
                raise ExportError(
                    f"The file '{record}' is damaged: expected the plan of an evaluation, without which nobody can say what "
                    "the rows beside it belong to. Choose another folder, or delete this one."
                )
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
        write_file(record, json_file({"plan": plan, "weights": weights, "finished": False}))


class Rows:
    """The finished rows, in memory and on the disk; a context manager around the open file.

    Lines that are no whole row (half of one after a kill, or damaged ones) are cut out of the file, so that they are
    computed again.

    Args:
        folder: that is held.
        metrics: that every row has, by name.

    Attributes:
        finished: rows by `key_of`.
        damaged: how many whole lines were cut out.

    Raises:
        ExportError: the file cannot be read or written.
    """

    def __init__(self, folder: Path, metrics: Sequence[str]) -> None:
        self._folder, file = folder, folder / CELLS
        self.finished: dict[str, dict[str, Any]] = {}
        self.damaged = 0
        with _errors(folder):
            data = file.read_bytes() if file.exists() else b""
            whole = []
            *lines, half = data.split(b"\n")
            for line in lines:
                row = _plain(line)
                if _is_row(row, metrics):
                    self.finished[key_of(row["picture"], row["segmenter"], row["class"], row["map"])] = row
                    whole.append(line + b"\n")
                else:
                    self.damaged += bool(line.strip())
            if half or len(whole) < len(lines):
                write_file(file, b"".join(whole))
            self._stream: BinaryIO = file.open("ab")

    def append(self, row: dict[str, Any]) -> None:
        """Keep a row; it is on the disk afterwards.

        Raises:
            ExportError: it cannot be written. The rows before it are kept.
        """
        with _errors(self._folder):
            line = json.dumps(row, ensure_ascii=False) + "\n"
            self._stream.write(line.encode(errors="backslashreplace"))
            self._stream.flush()
            os.fsync(self._stream.fileno())
        self.finished[key_of(row["picture"], row["segmenter"], row["class"], row["map"])] = row

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # what could not be written was said before
            self._stream.close()


def key_of(*words: str) -> str:
    """A row by its picture, segmenter, class and map."""
    return json.dumps(words)


def _plain(data: bytes) -> Any:
    """Plain data from JSON; None for anything else."""
    try:
        return json.loads(data.decode())
    except (ValueError, RecursionError):
        return None


def _is_row(row: Any, metrics: Sequence[str]) -> bool:
    """Whether a line holds a row with all columns of the table."""
    if not isinstance(row, dict):
        return False
    numbers = {"region_pixels": row.get("region_pixels"), **{name: row.get(name) for name in ("wrong_share", *metrics)}}
    return (
        {*TEXTS, *numbers} <= set(row)
        and all(isinstance(row[name], str) for name in TEXTS)
        and all(value is None or type(value) in (int, float) for value in numbers.values())
        and numbers["region_pixels"] is not None
    )


@contextmanager
def _errors(folder: Path) -> Iterator[None]:
    """What the file system refuses, as a sentence."""
    try:
        yield
    except OSError as error:
        raise ExportError(
            f"The evaluation cannot be written to '{folder}': {error.strerror or error}. What is finished is kept; once this is "
            "mended, the same command goes on from there."
        ) from error


def table_of(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> pd.DataFrame:
    """Rows as a table, with metrics as float64 and text that Parquet can hold."""
    table = pd.DataFrame([{**row, **{name: encodable(row[name]) for name in TEXTS}} for row in rows])
    return table.astype(dict.fromkeys(metrics, "float64"))


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
    with _errors(folder):
        write_file(folder / TABLE, buffer.getvalue())
        write_file(folder / CARDS, json_file([METRICS[name].as_dict() for name in plan["metrics"]]))
        write_file(folder / RECORD, json_file(record))
