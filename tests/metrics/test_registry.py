"""Every metric has a complete card with its true cost; a new one is a class and an entry in the registry."""

import json

import pandas as pd
import pytest

import perturb
from perturb.cli.main import main
from perturb.metrics.base import GROUPS
from perturb.metrics.evaluator import forwards_of
from perturb.metrics.registry import METRICS, default_metrics
from tests.analytic import DarkIsObject, dark_square
from tests.metrics.toy import toy

__all__ = ["toy"]  # a fixture

COSTS = {
    **dict.fromkeys(
        ("deletion_auc", "insertion_auc", "deletion_iou_auc", "insertion_iou_auc"), (39, "39 for deletion")
    ),
    **dict.fromkeys(("random_deletion_auc", "random_insertion_auc"), (58, "58")),
    **dict.fromkeys(("road_morf", "road_lerf", "road_combined"), (18, "9 per order")),
}
"""Forward passes of a metric on its own, and what its card says of them, where that is more than their number."""


def test_every_metric_has_a_whole_card_and_the_command_line_lists_it(capsys):
    assert main(["list", "metrics", "--json"]) == 0
    cards = json.loads(capsys.readouterr().out)
    assert [card["name"] for card in cards] == list(METRICS)
    for card in cards:
        empty = [key for key, value in card.items() if not value and key != "arrow"]
        assert not empty, card["name"]
        assert (card["arrow"] != "") == (card["better"] in ("lower", "higher"))
        assert card["group"] in GROUPS


@pytest.mark.parametrize("name", METRICS)
def test_a_card_says_the_forward_passes_that_the_streams_take(name):
    own = forwards_of([name])
    passes, told = COSTS.get(name, (2, "1") if METRICS[name].group == "subject" else (own, str(own or "none")))
    assert own == passes
    assert METRICS[name].cost.startswith(told)


def test_one_more_metric_with_images_of_its_own_is_measured_and_evaluated(toy, tmp_path, capsys):
    name = toy.name
    assert default_metrics()[-1] == name
    result = perturb.explain(dark_square(), DarkIsObject(), perturb.Target("object"), size=5, stride=2)
    before = result.segmenter.pictures
    made = perturb.compare([result], metrics=["deletion_auc", name])
    assert result.segmenter.pictures - before == 1 + 4 * (39 + 1)
    expected = perturb.curves(result, fill="white", steps=2).deletion.score[0, 1]
    assert made.maps[0].values[name] == pytest.approx(expected, abs=1e-6)
    assert made.ranks(name) == {"occlusion": 1}
    assert name in perturb.compare([result]).decided()

    line = "evaluate quiet-street --max-side 96 --classes car --methods saliency --metrics"
    assert main([*line.split(), f"map_iou,{name}", "--out", str(tmp_path)]) == 0
    assert f"\n{toy.title} ↓\n" in capsys.readouterr().out
    table = pd.read_parquet(tmp_path / "table.parquet")
    assert list(table.columns)[-3:] == ["map_iou", name, "notes"]
    assert table[name].notna().all()
    assert table[name].nunique() == len(table) == 4
    assert json.loads((tmp_path / "metrics.json").read_text())[1]["title"] == toy.title
