"""Images that an argument names, and the images of a folder with their ground truth."""

import os

import pytest

import perturb
from perturb.images.folder import pictures_in


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
