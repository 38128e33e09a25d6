"""A visitor's network leaves nothing on the disk."""

import os
import subprocess
import sys

RUN = """
import sys
import torch
import perturb
from perturb.sandbox.process import Limits
from perturb.segmenters.onnx.confined import ConfinedModel
from tests import onnx_files as files

data = files.save(files.pixelwise(size=(8, 8)))
model = ConfinedModel(data, "net", 1, Limits(), most=1)
model.facts()
model.load()
segmenter = perturb.load_onnx(data, scale="unit")
segmenter(torch.rand(1, 3, 8, 8))
try:
    segmenter.run(segmenter.prepare(torch.rand(1, 3, 8, 8))[..., :5])
except perturb.SegmenterError as error:
    print(error)
"""


def test_onnxruntime_writes_nothing_at_home_even_after_a_run_error(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_"))}
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        env=kept | {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "cannot run on an input of 1 × 3 × 8 × 5" in done.stdout
    assert [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()] == []
