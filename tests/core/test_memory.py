"""Masks are never all in memory: 4,096 windows on a 520 × 520 picture stay under 1.5 GB of resident memory in all."""

import subprocess
import sys

SCRIPT = """
import re
from pathlib import Path
import numpy as np, torch, perturb

class Thresholds(perturb.Segmenter):  # two classes, and next to no time
    def logits(self, batch):
        grey = batch.mean(1, keepdim=True)
        return torch.cat([grey, 1 - grey], 1)

image = perturb.load_image(np.random.default_rng(0).random((520, 520, 3), dtype=np.float32))
segmenter = Thresholds("thresholds", classes=["bright", "dark"])
result = perturb.explain(image, segmenter, perturb.Target("dark"), size=16, stride=8)
assert len(result.readings) == 4096, len(result.readings)
# Not getrusage: its maximum is handed on from the process that started this one.
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1e6)
"""


def test_four_thousand_windows_stay_under_a_gigabyte_and_a_half():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1.5
