"""Folders that are whole or as they were: results are written all together, or not at all."""

from __future__ import annotations

import csv
import ctypes
import glob
import io
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image

from perturb.core.errors import ExportError
from perturb.core.quoting import csv_cell, file_name

if sys.platform != "win32":
    import fcntl


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
    """Write files into a folder in place of what it held; it is whole or as it was, also if the process is killed.

    On Linux and macOS the old folder and the new one change places in one step. Where the file system cannot do that, a
    kill between two renames can hide the folder; the next write brings it back. What killed processes left behind is
    removed.

    Args:
        path: from `check_directory`; a link is followed.
        contents: makes the files by name.

    Raises:
        ExportError: it cannot be written.
    """
    place = Path(os.path.realpath(path))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        files = contents()
        with _alone_in(place.parent) as alone:
            if alone:
                _sweep(place)
            # Beside its destination, so that the last step is a rename on one file system.
            with tempfile.TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as folder:
                new, old = Path(folder) / "new", Path(folder) / "old"
                new.mkdir()
                for name, data in files.items():
                    (new / name).write_bytes(data)
                _replace(new, place, old)
    except OSError as error:
        raise ExportError(f"The results cannot be written to '{path}': {error.strerror or error}.") from error
    return path


def _replace(new: Path, place: Path, old: Path) -> None:
    """Rename `new` to `place`; a folder that was there ends up as `new` or `old`."""
    if exchange(new, place):
        return
    if place.exists():
        place.rename(old)
    try:
        new.rename(place)
    except OSError:
        if old.exists():
            old.rename(place)
        raise


def exchange(one: Path, other: Path) -> bool:
    """Let two paths change places in one step, which no kill can divide.

    Returns:
        False if one of them is not there or the system cannot do it; then nothing has changed.
    """
    if sys.platform == "win32":
        return False
    libc = ctypes.CDLL(None)
    if sys.platform == "darwin":  # <sys/stdio.h>: RENAME_SWAP
        return bool(libc.renamex_np(os.fsencode(one), os.fsencode(other), 2) == 0)
    if not hasattr(libc, "renameat2"):
        return False
    # <linux/fs.h>: RENAME_EXCHANGE; <fcntl.h>: AT_FDCWD
    return bool(libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2) == 0)


@contextmanager
def _alone_in(parent: Path) -> Iterator[bool]:
    """Let no other process write results into this folder; False if the system has no such locks."""
    if sys.platform == "win32":
        yield False
        return
    # On the folder itself: no lock file is left behind, and the kernel releases it when a process is killed.
    handle = os.open(parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:  # some network file systems
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _sweep(place: Path) -> None:
    """Remove the temporary folders of killed processes; while the parent is locked, no others are there.

    A folder that was renamed away and not replaced goes back to its place.
    """
    for left in place.parent.glob(f".{glob.escape(place.name)}-*"):
        ours = re.fullmatch(r"[a-z0-9_]{8}", left.name[len(place.name) + 2 :])
        if not ours or left.is_symlink() or not left.is_dir():
            continue
        if {entry.name for entry in left.iterdir()} <= {"new", "old"}:  # else it is no folder of ours
            if (left / "old").exists() and not place.exists():
                (left / "old").rename(place)
            shutil.rmtree(left, ignore_errors=True)


def write_file(path: Path, data: bytes) -> None:
    """Write one file; it is whole or as it was before, also if the process is killed meanwhile.

    Raises:
        OSError: it cannot be written; nothing is left of the attempt.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


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


def png(pixels: npt.NDArray[Any]) -> bytes:
    """uint8 `(H, W, 3)` or `(H, W)` as a PNG file."""
    buffer = io.BytesIO()
    # A few percent larger than usual, in a fifth of the time; a page shows half a dozen.
    PIL.Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
