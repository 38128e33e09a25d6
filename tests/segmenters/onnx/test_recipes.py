"""The recipes of docs/export.md, word for word: the lab's predictions are the framework's own."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

import perturb

GUIDE = (Path(__file__).parents[3] / "docs" / "export.md").read_text()

# What each framework itself makes of the pictures.
TORCH = """
import numpy as np
with torch.inference_mode():
    expected = network(torch.from_numpy(np.load("pictures.npy"))).numpy()
np.save("expected.npy", expected)
"""
KERAS = """
given = np.load("pictures.npy").transpose(0, 2, 3, 1)
np.save("expected.npy", network.predict(given, verbose=0).transpose(0, 3, 1, 2))
"""


def blocks(heading):
    """The Python blocks under a heading of the guide."""
    section = GUIDE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("heading", "own", "size", "given"),
    [
        ("PyTorch", TORCH, (37, 53), {}),
        pytest.param("Keras 3", KERAS, (64, 96), {}, marks=pytest.mark.long),
        pytest.param("segmentation-models-pytorch", TORCH, (48, 72), {"multiple": 8}, marks=pytest.mark.long),
    ],
)
def test_a_recipe_gives_the_predictions_of_its_framework(heading, own, size, given, tmp_path):
    pictures = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "pictures.npy", pictures.numpy())
    # A process of its own: frameworks choose a backend when they are imported, and warn about themselves.
    code = "\n".join([*blocks(heading), own, *blocks("Let the file say the rest")])
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = np.load(tmp_path / "expected.npy")
    segmenter = perturb.load_onnx(tmp_path / "model.onnx", **given)
    assert segmenter.classes == ("road", "car", "tree", "sky"), "the file says so"
    assert segmenter.spec.scale == "unit"
    assert np.ptp(expected) > 0.01, "the pictures make a difference"
    scores = segmenter(pictures)
    if segmenter.spec.kind == "probabilities":
        scores = scores.softmax(1)
    assert_allclose(scores.numpy(), expected, atol=1e-4)
    assert (scores.argmax(1).numpy() == expected.argmax(1)).mean() > 0.999
