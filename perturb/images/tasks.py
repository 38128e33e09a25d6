"""The tasks of a confined process that decodes images and masks; see `perturb.sandbox.child`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

from perturb.core.errors import ImageError
from perturb.images.decoding import FORMATS, decode
from perturb.images.ground_truth import read_truth

Array = npt.NDArray[Any]
Answer = tuple[Any, list[Array]]


def _decode(max_side: int, data: Array) -> Answer:
    made = decode(data.tobytes(), max_side)
    return {"notes": made.notes, "file_shape": made.file_shape}, [made.pixels]


def _truth(
    shape: Sequence[int],
    file_shape: Sequence[int] | None,
    classes: Sequence[str],
    ignored: Sequence[int],
    data: Array,
    palette: Array,
) -> Answer:
    labels = read_truth(
        data.tobytes(),
        shape=(shape[0], shape[1]),
        file_shape=None if file_shape is None else (file_shape[0], file_shape[1]),
        classes=classes,
        palette=palette,
        ignore_index=ignored,
    )
    return None, [labels]


TASKS = {"decode": _decode, "truth": _truth}


def prepare() -> None:
    """Decode a tiny image of every format, so that all code is imported."""
    cv2.setNumThreads(1)  # its threads would have to be started later
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    pixels[:2] = 255
    for name in FORMATS:
        file = io.BytesIO()
        PIL.Image.fromarray(pixels).save(file, format=name)
        _decode(2, np.frombuffer(file.getvalue(), dtype=np.uint8))
    PIL.Image.new("LAB", (2, 2)).convert("RGB")  # by a module of its own
    for mask in (pixels, pixels[:, :, 0] // 255, np.full((4, 4), 7, dtype=np.uint8)):
        file = io.BytesIO()
        PIL.Image.fromarray(mask).save(file, format="PNG")
        with suppress(ImageError):
            _truth((4, 4), None, ("a", "b"), (9,), np.frombuffer(file.getvalue(), dtype=np.uint8), pixels[1:3, 0])
