"""Run the code of a result in a process of its own, as its reader would."""

import os
import subprocess
import sys
from pathlib import Path

import perturb


def run_script(script, folder):
    """Write `reproduce.py` into a folder and run it there; its output, had it failed, is the assertion's message."""
    (folder / "reproduce.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "reproduce.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(perturb.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
