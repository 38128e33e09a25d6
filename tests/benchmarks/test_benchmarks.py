"""The benchmark's harness on small pictures: the sides agree, the rows say what they should, counted operations are right."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import perturb
from benchmarks import against_captum, against_grad_cam, against_lime, against_published
from benchmarks.__main__ import WORKS, main, run
from benchmarks.contest import Answer, PeerMissingError, Side, Work, agreement, best_batch, compete
from benchmarks.document import put
from benchmarks.limits import ablation_limit, occlusion_limit
from benchmarks.subjects import Subject, street
from perturb.engine.runner import clean_logits

FIELDS = {"name", "peer", "ratio", "ours_seconds", "peer_seconds", "max_abs_diff", "spearman", "exact", "note"}


class Two(nn.Module):
    """Two convolutions, 6 channels between them."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU())
        self.second = nn.Conv2d(6, 4, 3, padding=1)

    def forward(self, pictures):
        return self.second(self.first(pictures))


@pytest.fixture(scope="module")
def subject():
    torch.manual_seed(0)
    image = street(40, 50)
    segmenter = perturb.TorchSegmenter(Two(), classes=["a", "b", "c", "d"], mean=(0.4,) * 3, std=(0.2,) * 3)
    labels = clean_logits(image, segmenter).argmax(0).numpy()
    target = perturb.Target(int(np.bincount(labels.ravel()).argmax()))
    return Subject("two layers, 50×40", segmenter, image, target, target.freeze(image, labels, segmenter.classes))


@pytest.mark.parametrize(
    "make",
    [
        lambda subject: against_captum.occlusion(subject, 16, 12, exact=1),
        lambda subject: against_captum.feature_ablation(subject, 8),
        lambda subject: against_captum.kernel_shap(subject, 6, 40),
        lambda subject: against_lime.sampling(subject, 8, 25, 1),
        lambda subject: against_published.curves(subject, 10, 1),
        lambda subject: against_grad_cam.ablation_cam(subject, "first", 4, 1),
        lambda _: against_grad_cam.imputation(24, 32, 1),
    ],
    ids=["occlusion", "feature-ablation", "kernel-shap", "lime", "curves", "ablation-cam", "imputation"],
)
def test_both_sides_do_the_same_work(make, subject, monkeypatch):
    monkeypatch.setattr(against_grad_cam, "BATCHES", (2,))
    try:
        work = make(subject)
    except PeerMissingError:
        pytest.skip("a peer that is no requirement of the tests is not installed")
    (row,) = run(work, quick=True)
    assert row.as_dict().keys() >= FIELDS
    assert json.loads(json.dumps(row.as_dict()))["ratio"] > 0
    assert row.ours_seconds > 0
    assert row.peer_seconds > 0
    if row.promised:
        assert row.exact
        assert row.max_abs_diff <= 1e-4
    assert row.spearman > 0.8


def test_the_command_writes_a_list_and_fails_on_a_wrong_answer(tmp_path, monkeypatch, capsys):
    right = Side("lab", lambda: Answer(np.arange(5.0), 3), floor=2)
    wrong = Side("lab, off", lambda: Answer(np.arange(5.0) + 0.01, 3))
    peer = Side("peer", lambda: Answer(np.arange(5.0), 4))
    monkeypatch.setitem(WORKS, "good", lambda quick: Work("good", peer, (right,)))
    monkeypatch.setitem(WORKS, "bad", lambda quick: Work("bad", peer, (right, wrong)))
    assert main(["--quick", "--only", "good", "--json", str(tmp_path / "rows.json")]) == 0
    (entry,) = json.loads((tmp_path / "rows.json").read_text())
    assert entry["name"] == "good"
    assert entry["exact"] is True
    assert entry["max_abs_diff"] == 0
    assert (entry["ours_forwards"], entry["peer_forwards"]) == (3, 4)
    assert main(["--quick", "--only", "bad"]) == 1
    assert "Not the peer's answer: bad, lab, off." in capsys.readouterr().out


def test_a_ratio_is_taken_within_a_round_and_its_median_counts():
    peer = iter([10.0, 40.0, 12.0])
    ours = iter([5.0, 10.0, 1.0])
    work = Work(
        "w",
        Side("peer", lambda: Answer(np.arange(3), 1, seconds=next(peer))),
        (Side("lab", lambda: Answer(np.arange(3), 1, seconds=next(ours))),),
    )
    (row,) = compete(work, rounds=3, seconds=60, say=lambda line: None)
    assert (row.ratio, row.ours_seconds, row.peer_seconds, row.rounds) == (4.0, 5.0, 12.0, 3)


def test_agreement_is_a_part_of_the_peers_range():
    assert agreement(np.array([0.0, 1.0, 2.1]), np.array([0.0, 1.0, 2.0])) == (pytest.approx(0.05), 1.0)
    assert agreement(np.ones(3), np.ones(3)) == (0.0, 1.0)
    assert agreement(np.ones(3), np.arange(3.0))[0] == float("inf")
    with pytest.raises(ValueError, match="shapes"):
        agreement(np.ones(3), np.ones(4))


def test_the_peers_batch_is_the_fastest_a_picture():
    seconds = {1: 1.0, 2: 1.2, 4: 2.0, 8: 8.0}  # one of 16 is not tried
    assert best_batch(seconds.__getitem__) == 4


def test_what_is_measured_is_put_between_its_marks(tmp_path):
    file = tmp_path / "page.md"
    file.write_text("before\n<!-- a -->\nold\n<!-- /a -->\nafter\n")
    put(file, "a", "new \\1")
    put(file, "a", "newer \\1")
    assert file.read_text() == "before\n<!-- a -->\n\nnewer \\1\n\n<!-- /a -->\nafter\n"
    with pytest.raises(ValueError, match="no marks <!-- b -->"):
        put(file, "b", "new")


def test_counted_operations_are_those_worked_out_by_hand(subject):
    # 9 weights × 3 × 6 channels, then 9 × 6 × 4, on 40 × 50 cells.
    each = (9 * 3 * 6, 9 * 6 * 4)
    one = occlusion_limit(subject, 40, 40)  # two windows, 40 and 10 columns wide
    assert one["whole"] == pytest.approx(2 * 2000 * sum(each) / 1e9)
    # A 3 × 3 convolution reaches one cell further on the window's inner side, and so does the next one.
    needed = 40 * ((41 + 11) * each[0] + (42 + 12) * each[1])
    assert one["needed"] == pytest.approx(needed / 1e9)
    # Silencing one of six channels takes its part of the sums of the second convolution, where it is not zero.
    with torch.inference_mode():
        maps = subject.segmenter.module.first(subject.segmenter.prepare(subject.picture))[0] != 0
    near = nn.functional.max_pool2d(maps.float()[None], 3, 1, 1)[0].flatten(1).sum(1)
    assert ablation_limit(subject, "first")["needed"] == pytest.approx(float(near.sum()) * 9 * 4 / 1e9, rel=0.3)
