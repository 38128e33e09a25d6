"""What the training does to each of its networks, on a few small pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from perturb.images.class_names import STREET_CLASSES
from training.card import write
from training.data import Source
from training.loop import Learner
from training.loss import undo_weights
from training.measure import to_input
from training.networks import NETWORKS

ROOT = Path(__file__).parents[2]


def source(count, height, width):
    rng = np.random.default_rng(2)
    labels = rng.integers(0, len(STREET_CLASSES), (count, height // 16, width // 16)).astype(np.uint8)
    labels = labels.repeat(16, 1).repeat(16, 2)
    pixels = np.stack([labels * 23, 255 - labels * 23, labels % 4 * 60], -1).astype(np.uint8)
    return Source(pixels, labels)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_few_steps_learn_what_is_there_and_reach_every_weight(name):
    torch.manual_seed(0)
    learner = Learner(name).to(memory_format=torch.channels_last).train()
    given = source(4, 64, 96)
    pictures, labels = to_input(given.pixels), torch.from_numpy(given.labels).long()
    optimizer = torch.optim.AdamW(learner.parameters(), lr=3e-3)
    losses = []
    for step in range(12):
        optimizer.zero_grad()
        loss = learner.loss(pictures, labels, torch.ones(len(STREET_CLASSES)), step)
        loss.backward()
        assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in learner.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_undoing_the_class_weights_moves_each_logit_by_their_logarithm(name):
    torch.manual_seed(0)
    network = NETWORKS[name].make().eval()
    pictures = torch.rand(1, 3, 48, 64)
    weights = torch.linspace(0.3, 5, len(STREET_CLASSES))
    last = network.get_submodule(NETWORKS[name].last)
    assert isinstance(last, nn.Conv2d)
    with torch.inference_mode():
        before = network(pictures)
        undo_weights(last, weights)
        after = network(pictures)
    torch.testing.assert_close(before - after, weights.log().view(1, -1, 1, 1).expand_as(before), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_folding_the_normalisations_changes_no_logit(name):
    torch.manual_seed(0)
    network = NETWORKS[name].make()
    with torch.no_grad():
        network(torch.rand(4, 3, 64, 96))  # statistics that are not those of the start
    network.eval()
    pictures = torch.rand(2, 3, 37, 53)
    with torch.inference_mode():
        expected = network(pictures)
    network.fuse().fuse()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    with torch.inference_mode():
        torch.testing.assert_close(network(pictures), expected, atol=1e-4, rtol=1e-4)


def test_one_network_sees_the_whole_picture_and_its_card_says_so(tmp_path):
    torch.manual_seed(0)
    network = NETWORKS["streets-lraspp"].make().eval()
    picture = torch.rand(1, 3, 64, 640)
    changed = picture.clone()
    changed[..., -32:] = 0
    with torch.inference_mode():
        apart = (network(picture) - network(changed)).abs().amax((0, 1, 2))
    assert apart[:64].min() > 0
    weights = ROOT / "perturb" / "segmenters" / "weights" / "streets-unet.json"
    figures = json.loads(
        weights.read_text(encoding="utf-8")
    )  # of another network, which has the same ones and one more
    del figures["receptive_field_radius"]
    (tmp_path / "streets-lraspp.safetensors").write_bytes(b"weights")
    write("streets-lraspp", tmp_path, figures)
    card = (tmp_path / "streets-lraspp.md").read_text(encoding="utf-8")
    assert "the context is global" in card
    assert f"{figures['parameters']:,}" in card
