"""Weights that are fetched once, into torch's own cache, and checked by their hash."""

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
"""Seconds without a byte after which a download is given up."""

Progress = Callable[[float], object]


@dataclass(frozen=True)
class Download:
    """One file of weights.

    Attributes:
        url: where it comes from; the last part is the file's name.
        sha256: hexadecimal digits that the hash of its bytes begins with.
        megabytes: its size, for people.
    """

    url: str
    sha256: str
    megabytes: float

    @property
    def path(self) -> Path:
        """Where it lies, or will: torch's cache, `checkpoints` under `torch.hub.get_dir()`."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.url.rsplit("/", 1)[-1]

    def ready(self) -> bool:
        """Whether the file is there; `fetch` checks its bytes."""
        return self.path.is_file()

    def fetch(self, progress: Progress | None = None) -> Path:
        """The file, downloaded if it is not there. It appears whole and checked, or not at all.

        Args:
            progress: called with the fraction done; raise from it to cancel.

        Raises:
            OSError, HTTPException: it cannot be downloaded or written.
            SegmenterError: its bytes are not those that were published.
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
                        f"What came for '{path.name}' is not what was published: its SHA-256 begins with "
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
