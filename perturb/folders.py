"""Folders that are whole or as they were: results are written all together, or not at all."""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from perturb.errors import ExportError
from perturb.quoting import csv_cell, file_name


def check_directory(directory: str | Path, record: str, known: Callable[[str], bool]) -> Path:
    """Whether results may be written to a folder: it is new, empty, or holds an earlier result of the same kind.

    Args:
        directory: where to write.
        record: the file that every earlier result holds.
        known: whether a file name may belong to one.

    Raises:
        ExportError: it holds something else, or is a file.
    """
    path = Path(directory)
    if path.exists() and not path.is_dir():
        raise ExportError(f"'{path}' is a file; expected a folder to write to. Choose another name.")
    if path.is_dir():
        names = sorted(entry.name for entry in path.iterdir())
        foreign = [name for name in names if not known(name)] if record in names else names
        if foreign:
            raise ExportError(
                f"The folder '{path}' holds other files ({', '.join(foreign[:3])}), which would be lost; expected a new "
                "folder, an empty one, or an earlier result. Choose another folder."
            )
    return path


def write_folder(path: Path, contents: Callable[[], Mapping[str, bytes]]) -> Path:
    """Write files into a folder in place of what it held; it is whole or as it was before.

    Args:
        path: from `check_directory`.
        contents: makes the files by name.

    Raises:
        ExportError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Beside its destination, so that the last step is a rename on one file system.
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
            new, old = Path(folder) / "new", Path(folder) / "old"
            new.mkdir()
            for name, data in contents().items():
                (new / name).write_bytes(data)
            if path.exists():
                path.rename(old)
            try:
                new.rename(path)
            except OSError:
                if old.exists():
                    shutil.move(old, path)
                raise
    except OSError as error:
        raise ExportError(f"The results cannot be written to '{path}': {error.strerror or error}.") from error
    return path


def write_file(path: Path, data: bytes) -> None:
    """Write one file; it is whole or as it was before, also if the process is killed meanwhile.

    Raises:
        OSError: it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data)
    partial.replace(path)


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[Any]], digits: int = 6) -> bytes:
    """A table as CSV in UTF-8; floats with so many digits, None as an empty cell, and text that is no formula."""
    buffer = io.StringIO()
    plain = csv.writer(buffer, lineterminator="\n")
    # Readers take a lone carriage return for the end of a row; the writer does not see that it needs quotes.
    quoted = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in (header, *rows):
        cells = [f"{value:.{digits}g}" if isinstance(value, float) else csv_cell(value) for value in row]
        (quoted if any("\r" in str(cell) for cell in cells) else plain).writerow(cells)
    return buffer.getvalue().encode()


def zip_of(contents: Mapping[str, bytes]) -> bytes:
    """Files by name as one zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            # Without the time of day, so that the same files give the same bytes.
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def npz(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Arrays by name as one npz file, as `numpy.load` reads it; the same arrays give the same bytes.

    The names become file names; layers of a network file can be called anything. Where two become the same, a later one
    is numbered.
    """
    files: dict[str, bytes] = {}
    for name, array in arrays.items():
        kept, count = file_name(name), 1
        while f"{kept}.npy" in files:
            count += 1
            kept = f"{file_name(name)}-{count}"
        files[f"{kept}.npy"] = npy(np.asarray(array))
    return zip_of(files)


def npy(array: npt.NDArray[Any]) -> bytes:
    """An array as one npy file, as `numpy.load` reads it."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
