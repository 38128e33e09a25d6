"""Procedural street scenes as a training source: drawn once, on two processes, and kept in a cache folder."""

import hashlib
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perturb.images import class_names
from training import scenes
from training.data import Source

TRAINING_SEEDS = 100_000
UNSEEN_SEEDS = 900_000
"""First seeds of the training scenes and of the evaluation scenes; the app's own scenes have far smaller seeds."""


def drawing_code() -> str:
    """Short digest of the drawing code, so that the cache does not return scenes of an earlier version."""
    digest = hashlib.sha256()
    for file in [Path(class_names.__file__), *sorted(Path(scenes.__file__).parent.glob("*.py"))]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _draw(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    scene = scenes.draw(seed)
    return scene.pixels, scene.classes


def load_scenes(first: int, count: int, cache: Path) -> Source:
    """The scenes of the seeds `first`, `first + 1`, …, `first + count - 1`, 360x480 each."""
    cache.mkdir(parents=True, exist_ok=True)
    file = cache / f"scenes-{drawing_code()}-{first}-{count}.npz"
    if not file.exists():
        # "spawn": a forked child of a process that has run torch can hang.
        with get_context("spawn").Pool(2) as pool:
            drawn = pool.map(_draw, range(first, first + count), chunksize=8)
        partial = file.with_suffix(".partial.npz")
        np.savez(partial, pixels=np.stack([p for p, _ in drawn]), labels=np.stack([c for _, c in drawn]))
        partial.rename(file)
    with np.load(file) as arrays:
        return Source(arrays["pixels"], arrays["labels"])
