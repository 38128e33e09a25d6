"""Download weights once into torch's cache, and check their hash."""

from __future__ import annotations

import hashlib
import tempfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from perturb.core.errors import SegmenterError

CHUNK = 1 << 18
TIMEOUT = 20.0
"""Seconds without data after which a download is aborted."""

Progress = Callable[[float], object]


@dataclass(frozen=True)
class Download:
    """A file of weights.

    Attributes:
        url: its address; the last part is the file name.
        sha256: the first hexadecimal digits of its SHA-256 hash.
        megabytes: its size in MB, for display.
    """

    url: str
    sha256: str
    megabytes: float

    @property
    def path(self) -> Path:
        """Its path in torch's cache: `checkpoints` under `torch.hub.get_dir()`."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.url.rsplit("/", 1)[-1]

    def ready(self) -> bool:
        """Whether the file exists; `fetch` checks its contents."""
        return self.path.is_file()

    def fetch(self, progress: Progress | None = None) -> Path:
        """Download the file if it does not exist. It appears complete and checked, or not at all.

        Args:
            progress: called with the fraction done; an exception raised by it cancels the download.

        Returns:
            The path of the file.

        Raises:
            OSError, HTTPException: the file cannot be downloaded or written.
            SegmenterError: its hash differs from the published one.
        """
        path = self.path
        if path.is_file():
            found = _hash(path)
            if not found.startswith(self.sha256):
                raise SegmenterError(
                    f"The weights in '{path}' are not the published ones: their SHA-256 begins with "
                    f"{found[: len(self.sha256)]}, expected {self.sha256}. Delete the file, and it is downloaded again."
                )
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, suffix=".part", delete=False) as file:
            part = Path(file.name)
            try:
                found = self._receive(file.write, progress)
                file.close()
                if not found.startswith(self.sha256):
                    raise SegmenterError(
                        f"The download of '{path.name}' is not the published file: its SHA-256 begins with "
                        f"{found[: len(self.sha256)]}, expected {self.sha256}. Nothing was kept; try again."
                    )
                part.replace(path)
            finally:  # also when it was cancelled
                part.unlink(missing_ok=True)
        return path

    def _receive(self, write: Callable[[bytes], object], progress: Progress | None) -> str:
        digest, done = hashlib.sha256(), 0
        with urllib.request.urlopen(self.url, timeout=TIMEOUT) as answer:
            total = int(answer.headers.get("Content-Length") or self.megabytes * 1e6)
            while chunk := answer.read(CHUNK):
                write(chunk)
                digest.update(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(min(1.0, done / total))
        return digest.hexdigest()


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
