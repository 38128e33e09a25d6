"""The folder of an evaluation: its lock, its plan, the rows during the run, and the table at the end."""

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
"""Columns with text, which every row has."""


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Create the folder and hold its lock within the context. The system releases the lock of a killed run.

    Args:
        folder: new, empty, or of an earlier run.

    Raises:
        ExportError: it holds something else, another run is writing into it, or it cannot be written.
    """
    with _errors(folder):
        if folder.is_dir() and not (folder / RECORD).exists():
            # A run that failed or was killed before it wrote its first file leaves at most these two.
            names = {entry.name for entry in folder.iterdir()} - {LOCK, f".{RECORD}.partial"}
            if names:
                raise ExportError(
                    f"The folder '{folder}' holds other files ({', '.join(sorted(names)[:3])}); expected a new folder, an "
                    "empty one, or an evaluation to resume. Choose another folder."
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
        # On file systems without locks, the library stores its own marker in the file instead.
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
    """The process that holds the lock, in words."""
    try:
        holder = json.loads(file.read_bytes())
        return f"process {int(holder['pid'])} on {str(holder['host'])!r}, since {str(holder['since'])!r}".replace(
            "'", ""
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return "an unknown process"


def open_folder(folder: Path, plan: Mapping[str, Any], weights: Mapping[str, str]) -> None:
    """Check that the folder is new or holds the same plan, and write the plan before the run starts.

    Args:
        folder: a folder that `hold` has locked.
        plan: as plain data.
        weights: the digest of each segmenter, by name.

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
                    f"The file '{record}' is damaged: expected the plan of an evaluation, without which the rows beside it "
                    "cannot be interpreted. Choose another folder, or delete this one."
                )
            # Plans of earlier versions lack these two entries.
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
                    "two plans cannot share a table. Choose another folder, or repeat the earlier command."
                )
        write_file(record, json_file({"plan": plan, "weights": weights, "finished": False}))


class Rows:
    """The finished rows, in memory and on disk; a context manager for the open file.

    Incomplete lines (after a run was killed) and damaged lines are removed from the file, and their rows computed again.

    Args:
        folder: a folder that `hold` has locked.
        metrics: names of the metrics that every row has.

    Attributes:
        finished: rows by `key_of`.
        damaged: number of complete but damaged lines that were removed.

    Raises:
        ExportError: the file cannot be read or written.
    """

    def __init__(self, folder: Path, metrics: Sequence[str]) -> None:
        self._folder, file = folder, folder / CELLS
        self.finished: dict[str, dict[str, Any]] = {}
        self.damaged = 0
        with _errors(folder):
            data = file.read_bytes() if file.exists() else b""
            kept = []
            *lines, incomplete = data.split(b"\n")
            for line in lines:
                row = _plain(line)
                if _is_row(row, metrics):
                    self.finished[key_of(row["picture"], row["segmenter"], row["class"], row["map"])] = row
                    kept.append(line + b"\n")
                else:
                    self.damaged += bool(line.strip())
            if incomplete or len(kept) < len(lines):
                write_file(file, b"".join(kept))
            self._stream: BinaryIO = file.open("ab")

    def append(self, row: dict[str, Any]) -> None:
        """Add a row and flush it to disk.

        Raises:
            ExportError: it cannot be written. Earlier rows are kept.
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
        with suppress(OSError):  # a failed write has been reported already
            self._stream.close()


def key_of(*words: str) -> str:
    """The key of a row, from its image, segmenter, class and map."""
    return json.dumps(words)


def _plain(data: bytes) -> Any:
    """The data of a JSON document; None if it is not valid JSON."""
    try:
        return json.loads(data.decode())
    except (ValueError, RecursionError):
        return None


def _is_row(row: Any, metrics: Sequence[str]) -> bool:
    """Whether the data is a row with all columns of the table."""
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
    """Turn errors of the file system into an `ExportError`."""
    try:
        yield
    except OSError as error:
        raise ExportError(
            f"The evaluation cannot be written to '{folder}': {error.strerror or error}. Finished rows are kept; once this is "
            "fixed, the same command resumes from there."
        ) from error


def table_of(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> pd.DataFrame:
    """Rows as a table, with metrics as float64 and text in a form that Parquet can store."""
    table = pd.DataFrame([{**row, **{name: encodable(row[name]) for name in TEXTS}} for row in rows])
    return table.astype(dict.fromkeys(metrics, "float64"))


def write_table(
    folder: Path,
    plan: Mapping[str, Any],
    weights: Mapping[str, str],
    table: pd.DataFrame,
    skipped: Sequence[tuple[str, str]],
) -> None:
    """Write the table, the cards of its metrics, and the record of the finished run.

    Raises:
        ExportError: a file cannot be written.
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
