"""onnxruntime with its telemetry off; the only place that imports it.

On Linux, onnxruntime 1.32 opens `~/.cache/Microsoft/DeveloperTools/.onnxruntime/onnxruntime.db` while it is imported,
records errors and facts about the machine there, and uploads them. `disable_telemetry_events` comes too late for that.
The environment variable is read during the import, so it must be set before.
"""

from __future__ import annotations

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

onnxruntime.disable_telemetry_events()  # for a process that had imported it before, and for other platforms

__all__ = ["onnxruntime"]
