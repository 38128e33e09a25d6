"""The shell command of a result: written beside it, the same wherever it is shown, and it reproduces the map."""

import shlex
import stat

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import perturb
from perturb.cli.arguments import names_in
from perturb.cli.main import main
from perturb.core.quoting import class_list
from perturb.export.report.document import report_html
from perturb.export.report.items import item_of
from perturb.export.writer import command_line
from tests.analytic import DarkIsObject, dark_square


@pytest.fixture
def photograph(tmp_path):
    """A file of 800 × 600 px, which is scaled by default."""
    pixels = (perturb.sample("quiet-street").pixels * 255).round().astype(np.uint8)
    PIL.Image.fromarray(pixels).resize((800, 600)).save(tmp_path / "a street.png")
    return tmp_path / "a street.png"


def again(line, monkeypatch, folder, **places):
    """Run a line that a result holds, with paths in the place of what it leaves to fill in."""
    words = shlex.split(line)
    assert words[:3] == ["python", "-m", "perturb"]
    monkeypatch.chdir(folder)
    assert main([str(places.get(word, word)) for word in words[3:]]) == 0
    return np.load(folder / "out" / "heatmap.npy")


@pytest.mark.parametrize("side", [96, 640, 700])
def test_the_line_in_the_saved_folder_makes_the_map_again(side, photograph, tmp_path, monkeypatch, capsys):
    mask = tmp_path / "mask.png"
    PIL.Image.fromarray(np.full((600, 800), 8, np.uint8)).save(mask)
    image = perturb.load_image(photograph, max_side=side)
    segmenter = perturb.load_segmenter("streets-unet")
    image = image.with_truth(mask, segmenter.classes, ignore_index=3)
    result = perturb.explain(
        image,
        segmenter,
        perturb.Target("car", region="truth", score="probability"),
        size=side // 2,
        stride=side // 3,
        fill="noise",
        seed=5,
    )
    folder = perturb.save(result, tmp_path / "first")
    line = (folder / "reproduce.sh").read_text()
    assert line == f"{command_line(result)}\n"
    places = {"PATH_OF_YOUR_IMAGE": photograph, "PATH_OF_ITS_MASK": mask}
    assert_array_equal(again(line, monkeypatch, tmp_path, **places), result.heatmap)
    assert line in (tmp_path / "out" / "reproduce.sh").read_text(), "the second result says the same"
    capsys.readouterr()


def test_own_weights_are_named_with_their_architecture_and_classes(tmp_path, monkeypatch, capsys):
    from safetensors.torch import save_file

    from perturb.segmenters.own_weights import ARCHITECTURES

    save_file(ARCHITECTURES["streets-unet"].make(3).state_dict(), tmp_path / "own net.safetensors")
    monkeypatch.chdir(tmp_path)
    segmenter = perturb.load_weights("streets-unet", "own net.safetensors", ["road, wet", "-car", "sky"])
    image = perturb.sample("quiet-street")
    result = perturb.explain(
        image, segmenter, perturb.Target("-car", region="all"), size=240, stride=240, shape="square"
    )
    assert_array_equal(again(command_line(result), monkeypatch, tmp_path), result.heatmap)
    capsys.readouterr()


def test_what_no_command_makes_again_says_so_and_runs_nothing(tmp_path):
    image = dark_square()
    first = perturb.explain(image, DarkIsObject(), perturb.Target("object"), size=16, stride=12)
    line = command_line(first)
    assert line.startswith("# ")
    assert "built by custom code" in line
    assert (perturb.save(first, tmp_path / "out") / "reproduce.sh").read_text() == f"{line}\n"


def test_the_report_shows_the_same_line():
    result = perturb.explain(
        perturb.sample(), perturb.load_segmenter(), perturb.Target("car"), size=240, stride=240, method="occlusion"
    )
    assert f"<pre>{command_line(result)}</pre>" in report_html("t", [item_of(result)])


@given(st.lists(st.text(max_size=8), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_class_names_survive_the_command_line(names):
    assert names_in(class_list(names)) == tuple(names)
    assert class_list(names).isprintable()


def test_saved_files_are_not_programs(tmp_path):
    """It is text to read and to run by `sh`; nothing becomes executable because a result was saved."""
    result = perturb.explain(dark_square(), DarkIsObject(), perturb.Target("object"), size=16, stride=12)
    assert not (perturb.save(result, tmp_path / "out") / "reproduce.sh").stat().st_mode & stat.S_IXUSR
