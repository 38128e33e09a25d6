"""The embedded network `streets-unet`: its shape, its finite view, and what its committed weights can do."""

import hashlib
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import fx, nn

from perturb.images.class_names import STREET_CLASSES
from perturb.segmenters.streets_unet import STRIDE, StreetsUNet
from training.scenes import draw

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "perturb" / "segmenters" / "weights"
CARD = json.loads((WEIGHTS / "streets-unet.json").read_text(encoding="utf-8"))
CAMVID = Path(os.environ.get("PERTURB_CAMVID", ROOT.parent / "shared" / "data" / "camvid"))
REACH = CARD["receptive_field_radius"]


@pytest.fixture(scope="module")
def network() -> StreetsUNet:
    """The network with the committed weights, not fused."""
    made = StreetsUNet()
    made.load_state_dict(load_file(WEIGHTS / "streets-unet.safetensors"), strict=True)
    return made.eval()


def street(height: int, width: int) -> torch.Tensor:
    """A scene, repeated sideways as often as needed, as input (1, 3, height, width)."""
    pixels = np.tile(draw(3, height=height, width=160).pixels, (1, -(-width // 160), 1))[:, :width]
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def class_iou(network: StreetsUNet, pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """IoU by class of the network on pictures (H, W, 3) with labels (H, W), 255 left out."""
    total = np.zeros(len(STREET_CLASSES) ** 2, np.int64)
    for pixels, labels in pairs:
        with torch.inference_mode():
            predicted = network(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255)[0].argmax(0).numpy()
        known = labels != 255
        total += np.bincount(
            labels[known].astype(np.int64) * len(STREET_CLASSES) + predicted[known], minlength=len(total)
        )
    matrix = total.reshape(len(STREET_CLASSES), -1)
    union = matrix.sum(0) + matrix.sum(1) - np.diag(matrix)
    return np.diag(matrix)[union > 0] / union[union > 0]


def test_it_is_small() -> None:
    assert sum(p.numel() for p in StreetsUNet().parameters()) <= 2_000_000
    assert (WEIGHTS / "streets-unet.safetensors").stat().st_size <= 8_000_000


def test_weights_carry_the_classes_and_match_the_card(network: StreetsUNet) -> None:
    file = WEIGHTS / "streets-unet.safetensors"
    with safe_open(file, framework="pt") as opened:
        assert opened.metadata()["classes"].split(",") == list(STREET_CLASSES)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == CARD["sha256"]
    assert sum(p.numel() for p in network.parameters()) == CARD["parameters"]


@pytest.mark.parametrize("size", [(1, 1), (37, 53), (16, 480), (360, 480)])
def test_logits_have_the_size_of_the_picture(network: StreetsUNet, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        logits = network(torch.rand(2, 3, *size))
    assert logits.shape == (2, len(STREET_CLASSES), *size)
    assert logits.isfinite().all()


def test_no_layer_looks_at_the_whole_picture(network: StreetsUNet) -> None:
    allowed = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Upsample, nn.Identity)
    leaves = [module for module in network.modules() if not list(module.children())]
    assert all(isinstance(module, allowed) for module in leaves)


def test_pixels_beyond_the_reach_change_nothing(network: StreetsUNet) -> None:
    width = 4 * ((REACH // STRIDE + 2) * STRIDE)
    picture = street(64, width)
    changed = picture.clone()
    changed[..., -1, -1] = 1 - changed[..., -1, -1]  # one far corner
    changed[..., -32:] = torch.rand(64, 32)  # and a strip beside it
    with torch.inference_mode():
        before, after = network(torch.cat([picture, changed]))
    apart = (before - after).abs().amax((0, 1))
    assert apart[: width - 32 - REACH].max() <= 1e-5
    assert apart[-32:].max() > 1e-2


def test_an_aligned_crop_gives_the_logits_of_the_picture(network: StreetsUNet) -> None:
    picture = street(96, 1200)
    left, right = 10 * STRIDE, 65 * STRIDE
    with torch.inference_mode():
        whole = network(picture)[..., left:right]
        crop = network(picture[..., left:right])
    inner = slice(REACH, right - left - REACH)
    assert whole[..., inner].shape[-1] > 200
    torch.testing.assert_close(crop[..., inner], whole[..., inner], atol=1e-4, rtol=1e-4)


def test_fused_gives_the_same_logits(network: StreetsUNet) -> None:
    fused = StreetsUNet()
    fused.load_state_dict(network.state_dict())
    with pytest.raises(RuntimeError, match="eval"):
        fused.fuse()
    fused.eval().fuse().fuse()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    picture = street(120, 160)
    with torch.inference_mode():
        torch.testing.assert_close(fused(picture), network(picture), atol=1e-4, rtol=1e-4)


def test_it_can_be_traced(network: StreetsUNet) -> None:
    traced = fx.symbolic_trace(network)
    for size in ((48, 64), (37, 53)):
        picture = torch.rand(1, 3, *size)
        torch.testing.assert_close(traced(picture), network(picture))


def test_stages_can_be_picked_by_name(network: StreetsUNet) -> None:
    stages = [name for name, module in network.named_children() if any(True for _ in module.parameters())]
    assert stages == [
        "stem",
        "encoder1",
        "encoder2",
        "encoder3",
        "context",
        "decoder3",
        "decoder2",
        "decoder1",
        "head",
    ]


def test_it_knows_unseen_scenes(network: StreetsUNet) -> None:
    scenes = [draw(seed, height=360, width=480) for seed in range(6)]
    assert class_iou(network, [(scene.pixels, scene.classes) for scene in scenes]).mean() >= 0.65


@pytest.mark.skipif(not (CAMVID / "val").is_dir(), reason="CamVid is not here (folder in PERTURB_CAMVID)")
def test_it_knows_camvid(network: StreetsUNet) -> None:
    frames = sorted((CAMVID / "val" / "images").glob("*.jpg"))[::5]
    pairs = []
    for frame in frames:
        pixels = cv2.cvtColor(cv2.imread(str(frame)), cv2.COLOR_BGR2RGB)
        labels = cv2.imread(str(CAMVID / "val" / "labels" / f"{frame.stem}.png"), cv2.IMREAD_GRAYSCALE)
        pairs.append((pixels, np.where(labels == 11, 255, labels)))
    assert class_iou(network, pairs).mean() > 0.55
