"""Find the images that an argument names: all samples, one of them, a file, or the files of a folder."""

from __future__ import annotations

from pathlib import Path

from perturb.core.errors import SettingError
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
