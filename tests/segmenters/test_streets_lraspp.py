"""The embedded network `streets-lraspp`: what its committed weights can do, and how it differs from the other family."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

import perturb
from perturb.images.class_names import STREET_CLASSES
from perturb.segmenters.streets_lraspp import StreetsLRASPP
from training.scenes import draw

ROOT = Path(__file__).parents[2]
FILE = ROOT / "perturb" / "segmenters" / "weights" / "streets-lraspp.safetensors"
CARD = json.loads(FILE.with_suffix(".json").read_text(encoding="utf-8"))
CAMVID = Path(os.environ.get("PERTURB_CAMVID", ROOT.parent / "shared" / "data" / "camvid"))


@pytest.fixture(scope="module")
def network():
    made = StreetsLRASPP()
    made.load_state_dict(load_file(FILE), strict=True)
    return made.eval()


def test_weights_carry_the_classes_are_small_and_match_the_card(network):
    with safe_open(FILE, framework="pt") as opened:
        assert opened.metadata()["classes"].split(",") == list(STREET_CLASSES)
    assert FILE.stat().st_size <= 14_000_000
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() == CARD["sha256"]
    assert sum(p.numel() for p in network.parameters()) == CARD["parameters"]


def test_it_is_offered_by_name_and_gives_the_logits_of_its_weights(network):
    segmenter = perturb.load_segmenter("streets-lraspp", device="cpu")
    assert segmenter.classes == STREET_CLASSES
    assert not any(isinstance(module, nn.BatchNorm2d) for module in segmenter.module.modules()), "folded in"
    picture = torch.rand(2, 3, 61, 83)
    with torch.inference_mode():
        torch.testing.assert_close(segmenter(picture), network(picture), atol=1e-4, rtol=1e-4)


def test_it_knows_streets_and_is_another_network_than_the_first():
    first, second = (perturb.load_segmenter(name, device="cpu") for name in ("streets-unet", "streets-lraspp"))
    right, apart = [], []
    for seed in (1, 2, 3):
        scene = draw(seed)
        batch = torch.from_numpy(scene.pixels).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            one, two = first(batch)[0].argmax(0).numpy(), second(batch)[0].argmax(0).numpy()
        right.append(np.mean(two == scene.classes))
        apart.append(np.mean(one != two))
    assert np.mean(right) > 0.9
    assert min(apart) > 0.005


@pytest.mark.skipif(not CAMVID.exists(), reason="the photographs are not part of this repository")
def test_it_segments_photographs_as_its_card_says(network):
    from training.data import load_camvid
    from training.measure import confusion, iou

    frames = load_camvid(CAMVID, "val")
    every = type(frames)(frames.pixels[::10], frames.labels[::10])
    mean = float(np.nanmean(iou(confusion(network, every, len(STREET_CLASSES)))))
    assert CARD["miou_camvid_val"] >= 0.55
    assert abs(mean - CARD["miou_camvid_val"]) < 0.08, "a tenth of the frames"
