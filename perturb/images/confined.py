"""Decode strangers' images and masks in confined processes."""

from __future__ import annotations

from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

import numpy as np

from perturb.core.errors import ImageError
from perturb.images.decoding import MAX_BYTES, MAX_SIDE, too_many_bytes
from perturb.images.ground_truth import IgnoreIndex, ignored_values
from perturb.images.image import Image, image_from_pixels
from perturb.sandbox.connection import Array
from perturb.sandbox.process import Confined, Limits, StoppedError

_CLEAN = {"MALLOC_PERTURB_": "165"}
"""glibc then overwrites freed memory. Some decoders show what lies in memory where a damaged file has no pixels, and that
must not be a part of another visitor's image."""
MAX_NOTES = 10
"""Number of notes that are taken from a process."""


class Decoders:
    """A few confined processes that decode files, shared by everybody. Thread-safe.

    Args:
        limits: of each process.
        count: number of processes.
    """

    def __init__(self, limits: Limits, count: int) -> None:
        self._free: SimpleQueue[Confined] = SimpleQueue()
        for _ in range(count):
            self._free.put(Confined("perturb.images.tasks", limits, environment=_CLEAN))

    def load(self, data: bytes, *, name: str, max_side: int = MAX_SIDE) -> Image:
        """Load an image, as `perturb.load_image` does.

        Args:
            data: bytes of the file.
            name: for display.
            max_side: limit of the longest side, px.

        Raises:
            ImageError: as in `perturb.load_image`, or the file took too much memory or time.
        """
        value, (pixels,) = self._call("The image", "decode", (max_side,), (_bytes(data),), 1)
        if not (pixels.dtype == np.float32 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size):
            raise _unfit("The image")
        made = np.clip(np.nan_to_num(pixels), 0.0, 1.0)  # a copy: the process may still write to its memory
        notes, shape = (value.get("notes"), value.get("file_shape")) if isinstance(value, dict) else (None, None)
        if not isinstance(notes, list) or not (shape is None or _is_size(shape)) or max(made.shape[:2]) > max_side:
            raise _unfit("The image")
        words = tuple(str(note)[:200] for note in notes[:MAX_NOTES])
        return image_from_pixels(made, name=name, notes=words, file_shape=None if shape is None else tuple(shape))

    def with_truth(
        self,
        image: Image,
        data: bytes,
        classes: Sequence[str],
        palette: Array,
        *,
        ignore_index: IgnoreIndex = (),
    ) -> Image:
        """The image with ground truth from a file, as `Image.with_truth` does.

        Raises:
            LabelError, ImageError: as in `Image.with_truth`, or the file took too much memory or time.
        """
        settings = ((image.height, image.width), image.file_shape, list(classes), ignored_values(ignore_index))
        _, (labels,) = self._call("The ground truth", "truth", settings, (_bytes(data), palette), 1)
        if labels.dtype != np.uint8 or labels.shape != (image.height, image.width):
            raise _unfit("The ground truth")
        return image.with_truth(np.array(labels), classes, palette, ignore_index=ignore_index)

    def close(self) -> None:
        """End the idle processes. They start again when they are needed."""
        for _ in range(self._free.qsize()):
            process = self._free.get()
            process.close()
            self._free.put(process)

    def _call(
        self, what: str, task: str, arguments: Sequence[Any], arrays: Sequence[Array], count: int
    ) -> tuple[Any, list[Array]]:
        process = self._free.get()
        try:
            value, made = process.call(task, arguments, arrays)
            if len(made) != count:
                raise _unfit(what)
            return value, [np.array(array) for array in made]
        except StoppedError as error:
            raise ImageError(
                f"{what} cannot be decoded within the limits of this server: {error}. Scale it down, or save it as a plain "
                "PNG or JPEG."
            ) from error
        finally:
            self._free.put(process)


def _bytes(data: bytes) -> Array:
    if len(data) > MAX_BYTES:
        raise ImageError(too_many_bytes(len(data)))
    return np.frombuffer(data, dtype=np.uint8)


def _is_size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(side, int) and side > 0 for side in value)


def _unfit(what: str) -> ImageError:
    return ImageError(f"{what} cannot be decoded: the process that decodes it gave an answer that is none.")
