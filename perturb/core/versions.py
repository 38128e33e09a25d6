"""The version of the lab, in the one place where it is written, and those of the packages a result depends on."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

__version__ = "0.2.0"
STACK = ("torch", "torchvision", "onnxruntime", "numpy", "opencv-python-headless", "pillow")
"""What every result depends on, by the names of the distributions."""


def versions(libraries: Iterable[str] = ()) -> dict[str, str]:
    """Versions of the lab, of Python, and of the packages that the numbers depend on.

    Args:
        libraries: distributions that a method used besides those of `STACK`.

    Returns:
        Versions by name. What is not installed is left out: it computed nothing.
    """
    found = {"perturbation-lab": __version__, "python": platform.python_version()}
    for name in (*STACK, *libraries):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
