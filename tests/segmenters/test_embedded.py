"""Bundled weights are the published ones, to the last bit, or they are not loaded."""

import re
import shutil

import pytest
import torch

import perturb
from perturb.segmenters import embedded

LOADERS = {
    "streets-unet": embedded.streets_unet,
    "streets-lraspp": embedded.streets_lraspp,
    "streets-shortcut": embedded.streets_shortcut,
}


@pytest.mark.parametrize("name", LOADERS)
def test_weights_of_which_one_bit_differs_are_refused(name, tmp_path, monkeypatch):
    for suffix in (".safetensors", ".json"):
        shutil.copy(embedded.WEIGHTS / f"{name}{suffix}", tmp_path)
    monkeypatch.setattr(embedded, "WEIGHTS", tmp_path)
    assert LOADERS[name](torch.device("cpu")).name == name
    file = tmp_path / f"{name}.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1  # a tensor's last bits: still a file that can be read
    file.write_bytes(data)
    with pytest.raises(perturb.SegmenterError, match="its SHA-256 is [0-9a-f]{64}, published is [0-9a-f]{64}"):
        LOADERS[name](torch.device("cpu"))
    for broken in (b"", b"{", b"\xff" * 100):
        file.write_bytes(broken)
        with pytest.raises(perturb.SegmenterError, match=re.escape(f"The weights of '{name}' cannot be loaded")):
            LOADERS[name](torch.device("cpu"))
