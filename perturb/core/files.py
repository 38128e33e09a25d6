"""Atomic writes: a folder or file of results is written completely or not at all."""

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
    """Check that results may be written to a folder: it is new, empty, or holds an earlier result of the same kind.

    Args:
        directory: the folder.
        record: name of the file that every result of this kind holds.
        known: whether a file name may belong to such a result.

    Returns:
        The folder's path.

    Raises:
        ExportError: the folder holds other files, or is a file.
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
    """Replace the contents of a folder atomically, even if the process is killed.

    On Linux and macOS the old and the new folder are exchanged in one system call. Where the file system does not
    support that, a kill between two renames can leave the folder under a temporary name; the next write restores it.
    Temporary folders of killed processes are removed.

    Args:
        path: from `check_directory`; a symbolic link is followed.
        contents: returns the files' bytes by name.

    Raises:
        ExportError: the folder cannot be written.
    """
    place = Path(os.path.realpath(path))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        files = contents()
        with _alone_in(place.parent) as alone:
            if alone:
                _sweep(place)
            # Next to its destination, so that the last step is a rename within one file system.
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
    """Rename `new` to `place`. A folder that was at `place` ends up as `new` or `old`."""
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
    """Exchange two paths in one system call, which a kill cannot interrupt halfway.

    Returns:
        False, with nothing changed, if one of them does not exist or the system does not support it.
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
    """Lock a folder against other processes that write results into it. Yields False if the system has no such
    locks."""
    if sys.platform == "win32":
        yield False
        return
    # The lock is on the folder itself: no lock file is left behind, and the kernel releases it when a process is
    # killed.
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
    """Remove the temporary folders of killed processes. While the parent is locked, no live process has any.

    A folder that was renamed and not replaced gets its name back.
    """
    for left in place.parent.glob(f".{glob.escape(place.name)}-*"):
        ours = re.fullmatch(r"[a-z0-9_]{8}", left.name[len(place.name) + 2 :])
        if not ours or left.is_symlink() or not left.is_dir():
            continue
        if {entry.name for entry in left.iterdir()} <= {"new", "old"}:  # otherwise another program's folder
            if (left / "old").exists() and not place.exists():
                (left / "old").rename(place)
            shutil.rmtree(left, ignore_errors=True)


def write_file(path: Path, data: bytes) -> None:
    """Write one file atomically, even if the process is killed.

    Raises:
        OSError: the file cannot be written; no partial file is left.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[Any]], digits: int = 6) -> bytes:
    """A table as CSV in UTF-8.

    Args:
        header: titles of the columns.
        rows: cells; None becomes an empty cell, and text is quoted so that no spreadsheet reads it as a formula.
        digits: significant digits of floats.
    """
    buffer = io.StringIO()
    plain = csv.writer(buffer, lineterminator="\n")
    # Readers take a lone carriage return as the end of a row, but the writer does not quote it.
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
            # Without a time stamp, so that the same files give the same bytes.
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def npz(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Arrays by name as an npz file for `numpy.load`; the same arrays give the same bytes.

    Names become safe file names, because layers of a network file can have any name. A name that is already taken gets
    a number.
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
    """An array as an npy file for `numpy.load`."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def png(pixels: npt.NDArray[Any]) -> bytes:
    """Encode uint8 `(H, W, 3)` or `(H, W)` as PNG."""
    buffer = io.BytesIO()
    # A few percent larger than the default level, in a fifth of the time; a page shows half a dozen images.
    PIL.Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
