"""The version of the lab, and the versions of the packages that a result depends on."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

__version__ = "0.2.0"
STACK = ("torch", "torchvision", "onnxruntime", "numpy", "opencv-python-headless", "pillow")
"""Distributions that every result depends on."""


def versions(libraries: Iterable[str] = ()) -> dict[str, str]:
    """Versions of the lab, of Python, and of the packages that the numbers depend on.

    Args:
        libraries: distributions that a method used besides those in `STACK`.

    Returns:
        Versions by name, without packages that are not installed.
    """
    found = {"perturbation-lab": __version__, "python": platform.python_version()}
    for name in (*STACK, *libraries):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
