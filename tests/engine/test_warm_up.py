"""What is compiled ahead is everything that is compiled."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import perturb


@pytest.mark.long
def test_the_warm_up_compiles_every_loop(tmp_path):
    source = Path(perturb.__file__).parent
    shutil.copytree(source, tmp_path / "perturb", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-m", "perturb.engine.warm_up"], cwd=tmp_path, check=True)
    loops = {
        f"{file.stem}.{name}"
        for file in (source / "engine" / "incremental").glob("*.py")
        for name in re.findall(r"^@compiled\ndef (\w+)", file.read_text(), re.MULTILINE)
    }
    kept = {
        file.name.split("-")[0]
        for file in (tmp_path / "perturb" / "engine" / "incremental" / "__pycache__").glob("*.nbi")
    }
    assert loops
    assert kept == loops
