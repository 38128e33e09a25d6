"""Own weights in a known architecture, own code by an entry point, and what a segmenter cannot do."""

import json
import struct
import sys

import numpy as np
import PIL.Image
import pytest
import torch
from numpy.testing import assert_allclose
from safetensors.torch import save_file

import perturb
from perturb.cli.main import main
from perturb.segmenters.own_weights import ARCHITECTURES, load_weights
from perturb.segmenters.registry import SEGMENTERS, register_installed
from tests.analytic import Constant, dark_square

CLASSES = ("road", "car", "rest")


def saved(path, architecture="streets-unet", classes=3, change=lambda state: None):
    module = ARCHITECTURES[architecture].make(classes)
    state = {key: values.clone() for key, values in module.state_dict().items()}
    change(state)
    save_file(state, path)
    return module


@pytest.mark.parametrize("architecture", ["streets-unet", "streets-lraspp", "lraspp-mobilenet"])
def test_own_weights_go_into_an_architecture_with_any_number_of_classes(architecture, tmp_path):
    torch.manual_seed(5)
    module = saved(tmp_path / "mine.safetensors", architecture).eval()
    segmenter = load_weights(architecture, tmp_path / "mine.safetensors", CLASSES)
    pictures = torch.rand(1, 3, 48, 64)
    with torch.inference_mode():
        assert_allclose(segmenter(pictures), module(segmenter.prepare(pictures)), atol=1e-5)
    assert segmenter.classes == CLASSES
    assert segmenter.name == "mine"
    result = perturb.explain(
        dark_square(), segmenter, perturb.Target("car", region="all"), method="occlusion", size=16, stride=16
    )
    assert result.segmenter.digest == segmenter.digest


def without_head(state):
    for key in ("head.weight", "head.bias"):
        del state[key]


def with_more(state):
    for index in range(5):
        state[f"extra.{index}"] = torch.zeros(1)


def of_whole_numbers(state):
    state["head.bias"] = torch.zeros(3, dtype=torch.int64)


@pytest.mark.parametrize(
    ("change", "classes", "words"),
    [
        (without_head, CLASSES, r"2 missing: head\.weight, head\.bias"),
        (with_more, CLASSES, r"5 unexpected: extra\.0, extra\.1, extra\.2, …"),
        (
            lambda state: None,
            ("a", "b"),
            r"2 of another shape: head\.weight \(3, 16, 1, 1\) instead of \(2, 16, 1, 1\)",
        ),
        (of_whole_numbers, CLASSES, r"1 of another dtype: head\.bias"),
        (lambda state: None, ("a", "a"), "class names that differ"),
    ],
)
def test_what_does_not_fit_is_listed_in_one_sentence(change, classes, words, tmp_path):
    saved(tmp_path / "mine.safetensors", change=change)
    with pytest.raises(perturb.SegmenterError, match=words) as caught:
        load_weights("streets-unet", tmp_path / "mine.safetensors", classes)
    assert "\n" not in str(caught.value)


def header(about):
    text = json.dumps(about).encode()
    return struct.pack("<Q", len(text)) + text


LYING = {
    "longer than the file": header({"head.bias": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}) + b"1234",
    "another size than its shape": header({"a": {"dtype": "F32", "shape": [1000], "data_offsets": [0, 4]}}) + b"1234",
    "backwards": header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}) + b"1234",
    "a huge header": struct.pack("<Q", 1 << 62) + b"{}",
    "no header": b"",
    "a pickle": b"\x80\x04K\x01.",
    "words": header("hello"),
}


@pytest.mark.parametrize("data", LYING.values(), ids=LYING)
def test_a_file_that_lies_about_itself_is_answered_in_words(data, tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(data)
    with pytest.raises(perturb.SegmenterError, match="cannot be read .*expected a safetensors file") as caught:
        load_weights("streets-unet", tmp_path / "bad.safetensors", CLASSES)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_and_an_architecture_that_is_not_there(tmp_path):
    with pytest.raises(perturb.SegmenterError, match="cannot be read"):
        load_weights("streets-unet", tmp_path / "none.safetensors", CLASSES)
    with pytest.raises(perturb.SettingError, match="no architecture 'streets-une'.*Did you mean 'streets-unet'"):
        load_weights("streets-une", tmp_path / "none.safetensors", CLASSES)


def test_an_installed_package_offers_a_segmenter_and_is_imported_only_when_it_is_loaded(tmp_path, monkeypatch):
    (tmp_path / "somebodys_lab.py").write_text(
        "import torch, perturb\n"
        "class Red(perturb.Segmenter):\n"
        "    def logits(self, batch):\n"
        "        return torch.cat([batch[:, :1], 1 - batch[:, :1]], 1)\n"
        "def red(device):\n"
        "    return Red('red', classes=['red', 'other'], device=device)\n"
    )
    about = tmp_path / "somebodys_lab-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys-lab\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[perturb.segmenters]\nred = somebodys_lab:red\nlost = somebodys_lab:gone\nstreets-unet = somebodys_lab:red\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    before, default = set(SEGMENTERS), SEGMENTERS["streets-unet"]
    try:
        register_installed()
        assert set(SEGMENTERS) - before == {"red", "lost"}
        assert SEGMENTERS["streets-unet"] is default, "a name that is taken stays as it is"
        assert "somebodys_lab" not in sys.modules
        assert perturb.load_segmenter("red", device="cpu").classes == ("red", "other")
        with pytest.raises(perturb.SegmenterError, match="'lost' of an installed package cannot be loaded.*gone"):
            perturb.load_segmenter("lost")
    finally:
        for name in set(SEGMENTERS) - before:
            del SEGMENTERS[name]
        sys.modules.pop("somebodys_lab", None)


def test_the_command_line_takes_own_weights(tmp_path, capsys):
    torch.manual_seed(5)
    file = tmp_path / "mine.safetensors"
    saved(file)
    picture = tmp_path / "picture.png"
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)).save(picture)
    arguments = ["explain", str(picture), "--weights", str(file), "--classes", "road,car,rest", "--target", "car"]
    run = [*arguments, "--region", "all", "--set", "size=16", "--set", "stride=16", "--out", str(tmp_path / "out")]
    assert main(run) == 0
    lines = (tmp_path / "out" / "reproduce.py").read_text(encoding="utf-8")
    assert f'perturb.load_weights("streets-unet", "{file}", ["road", "car", "rest"])' in lines
    capsys.readouterr()
    assert main([*arguments, "--onnx", "scale=unit", "--out", str(tmp_path / "other")]) == 2
    assert "different kinds of files" in capsys.readouterr().err


def test_what_a_segmenter_cannot_do_is_known_before_anything_runs():
    plain = Constant()
    torch_one = perturb.load_segmenter("streets-unet")
    for method in perturb.METHODS.values():
        assert method.lacking(torch_one) == ""
        assert bool(method.lacking(plain)) == bool(method.needs)

    def never(_batch):
        raise AssertionError("the segmenter ran")

    plain.logits = never
    with pytest.raises(perturb.SegmenterError, match="no torch network, so Seg-Ablation-CAM cannot reach its layers"):
        perturb.explain(dark_square(), plain, perturb.Target("a", region="all"), method="ablation-cam")
