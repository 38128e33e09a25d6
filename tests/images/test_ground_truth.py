"""Ground truth that somebody brings: as indices or as colours, of the right size or refused in words."""

import io
import json
import shlex

import cv2
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal

import perturb
from perturb import ImageError, load_image
from perturb.core.errors import LabelError
from perturb.images.image import digest_of
from perturb.images.samples import is_sample

RNG = np.random.default_rng(0)
RGB = (RNG.random((20, 30, 3)) * 255).astype(np.uint8)
CLASSES = ("road", "sky", "car")
PALETTE = np.array([[128, 64, 128], [0, 0, 255], [200, 10, 20]], dtype=np.uint8)
LABELS = RNG.integers(0, 3, (20, 30)).astype(np.uint8)
LABELS[0, :5] = 255


def png(pixels, mode=None, palette=None, format="PNG", **options):
    image = PIL.Image.fromarray(pixels) if mode is None else PIL.Image.fromarray(pixels).convert(mode)
    if palette is not None:
        image = PIL.Image.fromarray(pixels, "L").convert("P")
        image.putdata(pixels.ravel().tolist())
        image.putpalette(palette.ravel().tolist())
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


def coloured(labels, none=(0, 0, 0)):
    table = np.zeros((256, 3), dtype=np.uint8)
    table[:3], table[255] = PALETTE, none
    return table[labels]


def give(mask, picture=RGB, **options):
    return load_image(picture, truth=mask, truth_classes=CLASSES, truth_palette=PALETTE, **options)


def alpha(labels):
    return np.dstack([coloured(labels, (9, 9, 9)), np.where(labels == 255, 0, 255).astype(np.uint8)])


@pytest.mark.parametrize(
    "mask",
    [
        LABELS,
        LABELS.astype(np.int64),
        png(LABELS),
        png(LABELS, palette=PALETTE),
        PIL.Image.fromarray(LABELS),
        png(LABELS.astype(np.uint16)),
        png(np.repeat(LABELS[:, :, None], 3, axis=2)),
        coloured(LABELS),
        png(coloured(LABELS)),
        png(alpha(LABELS)),
    ],
    ids=["array", "int64", "grey", "palette", "pillow", "16-bit", "grey as rgb", "colours", "coloured file", "alpha"],
)
def test_one_form_whatever_the_file(mask):
    image = give(mask)
    assert_array_equal(image.truth, LABELS)
    assert image.truth.dtype == np.uint8
    assert not image.truth.flags.writeable
    assert image.truth_classes == CLASSES


def test_a_palette_file_whose_indices_are_no_classes_is_read_by_its_colours():
    shifted = np.where(LABELS == 255, 0, LABELS + 40).astype(np.uint8)
    table = np.zeros((256, 3), dtype=np.uint8)
    table[40:43] = PALETTE
    assert_array_equal(give(png(shifted, palette=table)).truth, LABELS)


def test_it_is_scaled_as_the_picture_is_by_the_nearest_pixel():
    picture = RNG.integers(0, 256, (90, 180, 3)).astype(np.uint8)
    mask = RNG.integers(0, 3, (90, 180)).astype(np.uint8)
    image = give(png(mask), picture, max_side=64)  # no pixel's middle lies on an edge, where libraries differ
    assert image.pixels.shape == (32, 64, 3)
    assert image.file_shape == (90, 180)
    assert_array_equal(image.truth, cv2.resize(mask, (64, 32), interpolation=cv2.INTER_NEAREST_EXACT))
    small = RNG.integers(0, 3, (32, 64)).astype(np.uint8)
    assert_array_equal(image.with_truth(small, CLASSES).truth, small)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros((20, 20), np.uint8), "got 20 × 20 px, expected 30 × 20 px"),
        (png(np.zeros((40, 60), np.uint8)), "got 60 × 40 px, expected 30 × 20 px"),
        (np.full((20, 30), 7, np.uint8), "got 7, on 100.0% of the pixels; expected 0 … 2, or 255"),
        (np.arange(600).reshape(20, 30) % 90, "got 3, 4, 5, …, on 96.5%"),
        (png(np.full((20, 30, 3), (1, 2, 3), np.uint8)), "colours that are not the segmenter's: got #010203"),
        (np.full((20, 30), 255, np.uint8), "No pixel of the ground truth has a class"),
        (png(np.zeros((20, 30, 3), np.uint8)[:, :, :3] + np.uint8(0), mode="LA"), None),
        (png(LABELS, format="JPEG"), "is a JPEG, whose compression"),
        (png(coloured(LABELS))[:200], "broken: its data is truncated"),
        (b"no picture", "not an image the lab can read"),
        (np.zeros((20, 30)), "dtype float64, expected whole numbers"),
        (np.zeros((20, 30, 2), np.uint8), "expected whole numbers of shape"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(mask, words):
    if words is None:  # black, which is no class's colour, but grey: the index 0 everywhere
        assert_array_equal(give(mask).truth, 0)
        return
    with pytest.raises(ImageError, match=words):
        give(mask)


def test_without_classes_any_index_is_taken_and_no_colour_can_be_read():
    assert_array_equal(load_image(RGB, truth=np.full((20, 30), 77, np.uint8)).truth, 77)
    with pytest.raises(ImageError, match="one class index per pixel"):
        load_image(RGB, truth=png(coloured(LABELS)))


def test_the_key_tells_truths_apart_and_the_digest_does_not():
    plain, one = load_image(RGB), give(LABELS)
    other = one.with_truth(np.where(LABELS == 2, 1, LABELS), CLASSES)
    renamed = one.with_truth(LABELS, ("sky", "road", "car"))
    assert plain.key == plain.digest == one.digest == other.digest
    assert len({plain.key, one.key, other.key, renamed.key}) == 4
    assert give(png(coloured(LABELS))).key == one.key


def test_a_target_and_the_figures_take_it():
    from perturb.targets.quality import true_labels

    image = give(png(coloured(LABELS)))
    labels = np.zeros((20, 30), dtype=np.int64)
    frozen = perturb.Target("car", region="truth").freeze(image, labels, CLASSES)
    assert_array_equal(frozen.region, LABELS == 2)
    # Another segmenter has the classes in another order.
    swapped = true_labels(image, ("car", "road"))
    assert_array_equal(swapped == 0, LABELS == 2)
    assert_array_equal(swapped == 255, (LABELS == 1) | (LABELS == 255))


def test_the_command_line_takes_the_segmenters_colours_and_the_lines_ask_for_the_mask(tmp_path, capsys):
    from perturb.cli.main import main

    streets = perturb.load_segmenter()
    car = streets.classes.index("car")
    labels = np.zeros((40, 60), dtype=np.uint8)
    labels[10:20, 30:50] = car
    PIL.Image.fromarray(np.tile(RGB, (2, 2, 1))).save(tmp_path / "street.png")
    PIL.Image.fromarray(streets.palette[labels]).save(tmp_path / "mask.png")
    words = [
        "explain",
        tmp_path / "street.png",
        "--truth",
        tmp_path / "mask.png",
        "--target",
        "car",
        "--region",
        "truth",
    ]
    words += ["--set", "size=30", "--set", "stride=30", "--out", tmp_path / "out"]
    assert main([str(word) for word in words]) == 0
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert record["target"]["region_pixels"] == 200
    assert record["image"]["truth"] == digest_of(labels)
    lines = (tmp_path / "out" / "reproduce.py").read_text()
    PIL.Image.fromarray(labels).save(tmp_path / "indices.png")
    lines = lines.replace("PATH OF YOUR IMAGE", str(tmp_path / "street.png")).replace('"out"', f'"{tmp_path}/again"')
    exec(
        compile(lines.replace("PATH OF ITS MASK OF CLASS INDICES", str(tmp_path / "indices.png")), "lines", "exec"), {}
    )
    assert_array_equal(np.load(tmp_path / "again" / "heatmap.npy"), np.load(tmp_path / "out" / "heatmap.npy"))
    capsys.readouterr()


def test_only_a_sample_with_its_own_truth_is_called_by_its_name():
    rain = perturb.sample("rain")
    assert is_sample(rain)
    assert not is_sample(load_image(RGB, name="rain"))
    assert not is_sample(rain.without_truth())


VOID = np.where(LABELS == 255, 255, np.where(RNG.random(LABELS.shape) < 0.2, 11, LABELS)).astype(np.uint8)


@pytest.mark.parametrize("ignored", [11, 2, (11, 1), [255, 11, 11], (11, -1, 10**30)], ids=str)
@pytest.mark.parametrize(
    "form",
    [
        lambda mask: mask,
        lambda mask: mask.astype(np.int64),
        png,
        lambda mask: png(mask, palette=PALETTE),
        lambda mask: png(mask.astype(np.uint16)),
        lambda mask: png(np.repeat(mask[:, :, None], 3, axis=2)),
    ],
    ids=["array", "int64", "grey", "palette", "16-bit", "grey as rgb"],
)
def test_ignored_values_are_as_if_the_mask_held_255_there(form, ignored):
    mask = VOID if np.isin(11, ignored) else LABELS
    by_hand = mask.copy()
    for value in np.atleast_1d(ignored):
        by_hand[mask == value] = 255
    image = give(form(mask), ignore_index=ignored)
    assert_array_equal(image.truth, by_hand)
    assert image.key == give(by_hand).key


def test_of_a_coloured_mask_the_class_of_that_index_is_ignored():
    assert_array_equal(give(png(coloured(LABELS)), ignore_index=2).truth, np.where(LABELS == 2, 255, LABELS))


def test_the_refusal_of_a_void_label_says_how_to_ignore_it():
    with pytest.raises(LabelError, match=r"If 11 means void, ignore it \(`--ignore-index 11`") as caught:
        give(VOID)
    assert caught.value.values == (11,)
    assert caught.value.share == (VOID == 11).mean()
    two = np.where(LABELS == 2, 12, VOID)
    with pytest.raises(LabelError, match=r"If 11 and 12 mean void, ignore them .*`ignore_index=\(11, 12\)`") as caught:
        give(two)
    assert give(two, ignore_index=caught.value.values).truth.max() == 255
    with pytest.raises(LabelError) as caught:  # so many are no void label
        give(np.arange(600).reshape(20, 30) % 90)
    assert "void" not in str(caught.value)
    with pytest.raises(ImageError, match="got 255 or 11 everywhere"):
        give(np.full((20, 30), 11), ignore_index=11)


@pytest.fixture
def street(tmp_path):
    """A photograph, its mask with a void label, and the same mask with 255 in its place."""
    car = perturb.load_segmenter().classes.index("car")
    mask = RNG.integers(0, 11, (40, 60)).astype(np.uint8)
    mask[10:20, 30:50], mask[12:15, 35:60] = car, 11
    PIL.Image.fromarray(np.tile(RGB, (2, 2, 1))).save(tmp_path / "street.png")
    for name, values in (("void", mask), ("by_hand", np.where(mask == 11, 255, mask).astype(np.uint8))):
        (tmp_path / name).mkdir()
        PIL.Image.fromarray(values).save(tmp_path / name / "street.png")
    return tmp_path


def run(*words):
    from perturb.cli.main import main

    return main([str(word) for word in words])


def test_explain_and_its_lines_take_an_ignored_index(street, capsys):
    common = ["explain", street / "street.png", "--target", "car", "--region", "truth"]
    common += ["--set", "size=30", "--set", "stride=30"]
    void, by_hand = (street / name / "street.png" for name in ("void", "by_hand"))
    assert run(*common, "--truth", void, "--out", street / "refused") == 2
    assert run(*common, "--truth", void, "--ignore-index", "11", "--out", street / "out") == 0
    assert run(*common, "--truth", by_hand, "--out", street / "expected") == 0
    out, expected = (json.loads((street / name / "result.json").read_text()) for name in ("out", "expected"))
    assert out["image"].pop("ignore_index") == [11]
    for name in ("image", "target", "clean", "heatmap", "metrics"):
        assert out[name] == expected[name], name
    heatmap = np.load(street / "expected" / "heatmap.npy")
    assert_array_equal(np.load(street / "out" / "heatmap.npy"), heatmap)

    lines = (street / "out" / "reproduce.py").read_text().replace('"out"', repr(str(street / "again")))
    lines = lines.replace("PATH OF YOUR IMAGE", str(street / "street.png"))
    exec(compile(lines.replace("PATH OF ITS MASK OF CLASS INDICES", str(void)), "lines", "exec"), {})
    assert_array_equal(np.load(street / "again" / "heatmap.npy"), heatmap)
    capsys.readouterr()


def test_the_command_of_a_page_takes_an_ignored_index(street, capsys):
    from perturb.export.writer import command_line

    streets = perturb.load_segmenter()
    mask = street / "void" / "street.png"
    image = load_image(street / "street.png", truth=mask, truth_classes=streets.classes, ignore_index=11)
    result = perturb.explain(
        image, streets, perturb.Target("car", region="truth"), method="occlusion", size=30, stride=30
    )
    words = shlex.split(command_line(result))
    paths = {
        "PATH_OF_YOUR_IMAGE": str(street / "street.png"),
        "PATH_OF_ITS_MASK": str(mask),
        "out": str(street / "o"),
    }
    assert run(*(paths.get(word, word) for word in words[3:])) == 0
    assert_array_equal(np.load(street / "o" / "heatmap.npy"), result.heatmap)
    capsys.readouterr()


def test_a_study_takes_an_ignored_index(street, capsys):
    words = [
        "study",
        street / "street.png",
        "--target",
        "car",
        "--region",
        "truth",
        "--fills",
        "blur",
        "--sizes",
        "20,30",
    ]
    assert (
        run(*words, "--truth", street / "void" / "street.png", "--ignore-index", "11", "--out", street / "void_out")
        == 0
    )
    assert run(*words, "--truth", street / "by_hand" / "street.png", "--out", street / "expected") == 0
    capsys.readouterr()
    tables = [pd.read_csv(street / name / "study.csv").drop(columns="seconds") for name in ("void_out", "expected")]
    assert len(tables[0]) == 2
    assert_frame_equal(*tables)


def test_an_evaluation_leaves_ignored_pixels_out_and_is_not_taken_up_with_others(street, capsys):
    from perturb.engine.runner import clean_logits

    streets = perturb.load_segmenter()
    labels = clean_logits(load_image(street / "street.png"), streets).argmax(0).numpy()
    mask = np.asarray(PIL.Image.open(street / "void" / "street.png"))
    words = ["evaluate", street / "street.png", "--methods", "occlusion", "--metrics", "gini"]
    words += ["--set", "occlusion.size=30", "--set", "occlusion.stride=30", "--out", street / "e"]
    words += ["--truth", street / "void", "--ignore-index"]
    assert run(*words, "8,11") == 0
    found = pd.read_parquet(street / "e" / "table.parquet")["wrong_share"]
    assert set(found) == {((labels != mask) & (mask != 8) & (mask != 11)).mean()}
    assert run(*words, "11,8") == 0, "the same values"
    capsys.readouterr()
    assert run(*words, "11") == 2
    assert "(its ignore_index differ)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ignore-index", "11"], "'--ignore-index 11' applies to ground truth"),
        (["--truth", "mask.png", "--ignore-index", "void"], "expected a whole number, such as 11"),
        (["--truth", "mask.png", "--ignore-index", "1.5"], "expected a whole number, such as 11"),
    ],
)
@pytest.mark.parametrize("command", ["explain", "study", "evaluate"])
def test_an_index_that_cannot_be_ignored_is_refused_in_words(command, words, message, tmp_path, capsys):
    target = [] if command == "evaluate" else ["--target", "car"]
    assert run(command, "rain", *target, *words, "--out", tmp_path / "out") == 2
    assert message in capsys.readouterr().err
