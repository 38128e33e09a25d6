"""Images that an argument names, and the images of a folder with their ground truth."""

import os

import numpy as np
import PIL.Image
import pytest
from numpy.testing import assert_array_equal

import perturb
from perturb.images.folder import entries_in, pictures_in, read_entry


def test_pictures_in_knows_samples_files_and_folders(tmp_path):
    for name in ("b.png", "a.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert pictures_in("samples") == tuple(perturb.SAMPLES)
    assert pictures_in("fog") == ("fog",)
    assert pictures_in(str(tmp_path / "a.png")) == (str(tmp_path / "a.png"),)
    assert [os.path.basename(name) for name in pictures_in(str(tmp_path))] == ["a.png", "b.png"]


def test_a_folder_without_images_is_answered_in_words(tmp_path):
    (tmp_path / "notes.txt").write_bytes(b"")
    with pytest.raises(perturb.SettingError, match="contains no image; expected files of .png"):
        pictures_in(str(tmp_path))


def test_files_are_found_by_any_of_their_suffixes_and_before_samples(tmp_path, monkeypatch):
    for name in ("b.PNG", "a.jpeg", "c.txt", "d.webp", "e"):
        (tmp_path / name).write_bytes(b"")
    assert [os.path.basename(name) for name in pictures_in(str(tmp_path))] == ["a.jpeg", "b.PNG", "d.webp"]
    monkeypatch.chdir(tmp_path)
    for name in ("fog", "samples"):
        (tmp_path / name).write_bytes(b"")
        assert pictures_in(name) == (name,)


def test_masks_of_the_same_stem_belong_to_images_in_another_format_or_stand_in_their_own_folder(tmp_path):
    images, truth = tmp_path / "images", tmp_path / "truth"
    images.mkdir()
    truth.mkdir()
    grey = np.full((6, 8), 1, np.uint8)
    for name in ("a.jpg", "a.png", "b.png", "c.WEBP", "notes.txt"):
        if name.endswith("txt"):
            (images / name).write_text("")
        else:
            PIL.Image.fromarray(np.stack([grey * 40] * 3, -1) if name == "a.jpg" else grey).save(images / name)
    PIL.Image.fromarray(grey * 2).save(truth / "b.png")
    beside = entries_in(str(images))
    assert {name: entry.mask and entry.mask.name for name, entry in beside.items()} == {
        "a.jpg": "a.png", "b.png": None, "c.WEBP": None,
    }  # fmt: skip
    apart = entries_in(str(images), str(truth))
    assert {name: entry.mask for name, entry in apart.items()} == {
        "a.jpg": None, "a.png": None, "b.png": truth / "b.png", "c.WEBP": None,
    }  # fmt: skip
    segmenter = perturb.load_segmenter()
    image = read_entry(beside["a.jpg"], segmenter.classes, segmenter.palette)
    assert_array_equal(image.truth, grey)
    assert image.truth_classes == segmenter.classes
    with pytest.raises(
        perturb.ImageError, match="The mask 'b.png' of 'b.png': No pixel of the ground truth has a class"
    ):
        read_entry(apart["b.png"], segmenter.classes, segmenter.palette, (2,))
