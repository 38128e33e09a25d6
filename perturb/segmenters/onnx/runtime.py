"""The packages onnx and onnxruntime, imported on first use. No other module imports them.

They are optional: without them everything but ONNX files works. onnxruntime runs with its telemetry off. On Linux,
version 1.32 opens `~/.cache/Microsoft/DeveloperTools/.onnxruntime/onnxruntime.db` while it is imported, records errors
and facts about the machine there, and uploads them. `disable_telemetry_events` comes too late for that. The environment
variable is read during the import, so it must be set before.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from perturb.core.errors import SegmenterError

if TYPE_CHECKING:
    import onnx
    import onnxruntime
else:

    class _Late:
        """A module that is imported when an attribute is first used."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, attribute: str) -> Any:
            if attribute.startswith("__"):  # inspecting the object must not import the module
                raise AttributeError(attribute)
            return getattr(_imported(self._name), attribute)

    onnx, onnxruntime = _Late("onnx"), _Late("onnxruntime")


def import_packages() -> None:
    """Import both packages now instead of on first use.

    Raises:
        SegmenterError: one of them is not installed.
    """
    for name in ("onnx", "onnxruntime"):
        _imported(name)


def _imported(name: str) -> Any:
    """Import a package of the extra `onnx`.

    Raises:
        SegmenterError: the package is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise SegmenterError(
            f"ONNX files need the packages onnx and onnxruntime: got no package '{error.name}'. Install them with "
            '`pip install "perturbation-lab[onnx]"`.'
        ) from error
    if name == "onnxruntime":
        module.disable_telemetry_events()  # for a process that had imported it before, and for other platforms
    return module


__all__ = ["import_packages", "onnx", "onnxruntime"]
