"""Images that an argument names: samples, a file, or the files of a folder, with their ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from perturb.core.errors import ImageError, SettingError
from perturb.images.image import Image, load_image
from perturb.images.samples import EVERY, SAMPLES

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")


def pictures_in(where: str) -> tuple[str, ...]:
    """The images that an argument names: `samples` for all samples, the name of one, a file, or a folder.

    Raises:
        SettingError: there is nothing of that name, or the folder contains no image.
    """
    path = Path(where)
    if path.is_dir():
        files = sorted(str(file) for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        if not files:
            raise SettingError(f"The folder '{where}' contains no image; expected files of {', '.join(SUFFIXES)}.")
        return tuple(files)
    if path.exists():
        return (where,)
    if where == "samples":
        return tuple(SAMPLES)
    if where in EVERY:
        return (where,)
    raise SettingError(
        f"There is no folder, image file or sample '{where}'; expected a folder of images, 'samples', or one of "
        f"{', '.join(EVERY)}."
    )


@dataclass(frozen=True)
class Entry:
    """An image file of the folder, and its ground truth if there is any."""

    file: Path
    mask: Path | None


def entries_in(images: str, truth: str = "") -> dict[str, Entry]:
    """The images of a folder by file name, in order, with their ground truth.

    Args:
        images: the folder; empty for none.
        truth: folder of the ground truth, PNG files of the same stem; empty if they are in the folder of the images.

    Raises:
        SettingError: there is no such folder, or it contains no image.
    """
    if not images:
        return {}
    for folder in filter(None, (images, truth)):
        if not Path(folder).is_dir():
            raise SettingError(f"There is no folder '{folder}'; expected one that contains images. Check the path.")
    files = [Path(name) for name in pictures_in(images)]
    masks: dict[str, Path] = {}
    if not truth:
        others = {file.stem for file in files if file.suffix.lower() != ".png"}
        masks = {file.stem: file for file in files if file.suffix.lower() == ".png" and file.stem in others}
    entries = {}
    for file in files:
        mask = Path(truth) / f"{file.stem}.png" if truth else masks.get(file.stem)
        if file != mask:
            entries[file.name] = Entry(file, mask if mask is not None and mask.is_file() else None)
    return entries


def read_entry(
    entry: Entry, classes: tuple[str, ...], palette: npt.NDArray[np.uint8], ignore_index: tuple[int, ...] = ()
) -> Image:
    """Load an image of the folder, with its ground truth.

    Args:
        entry: one of `entries_in`.
        classes, palette, ignore_index: as in `Image.with_truth`.

    Raises:
        ImageError: it cannot be read, or its ground truth does not fit.
    """
    image = load_image(entry.file)
    if entry.mask is None:
        return image
    try:
        return image.with_truth(entry.mask, classes, palette, ignore_index=ignore_index)
    except ImageError as error:
        raise ImageError(f"The mask '{entry.mask.name}' of '{entry.file.name}': {error}") from error
