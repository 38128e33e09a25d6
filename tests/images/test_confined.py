"""Images and masks decoded in confined processes: the same pixels, and pictures made to take memory or time."""

import io
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.testing import assert_array_equal

from perturb import ImageError, load_image
from perturb.core.errors import LabelError
from perturb.images.confined import Decoders
from perturb.images.decoding import FORMATS
from perturb.lab.limits import HostLimits
from perturb.sandbox.process import Limits
from tests.fuzz.images import mutant

CLASSES = ("road", "car", "sky")
PALETTE = np.array([[10, 20, 30], [200, 0, 0], [0, 0, 255]], dtype=np.uint8)


@pytest.fixture(scope="module")
def decoders():
    made = Decoders(HostLimits().decoder, 2)
    yield made
    made.close()


def encoded(pixels, kind="PNG", **options):
    file = io.BytesIO()
    image = pixels if isinstance(pixels, PIL.Image.Image) else PIL.Image.fromarray(pixels)
    image.save(file, format=kind, **options)
    return file.getvalue()


def outcome(load):
    """The image that came out, or the words of the error."""
    try:
        image = load()
    except ImageError as error:
        return str(error)
    return image.digest, image.notes, image.file_shape, image.name


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size", [(2, 2), (480, 360), (700, 900)])
def test_every_format_gives_the_same_pixels_as_in_this_process(decoders, kind, size):
    data = encoded(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8), kind)
    assert outcome(lambda: decoders.load(data, name="x")) == outcome(lambda: load_image(data, name="x"))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_gives_the_same_pixels_and_notes(decoders, mode):
    rng = np.random.default_rng(0)
    image = PIL.Image.fromarray(rng.integers(0, 256, (300, 20, 4), dtype=np.uint8), "RGBA")
    image = (
        PIL.Image.fromarray(rng.integers(0, 65536, (300, 20), dtype=np.uint16))
        if mode == "I;16"
        else image.convert(mode)
    )
    data = encoded(image, "TIFF" if mode == "CMYK" else "PNG")
    assert outcome(lambda: decoders.load(data, name="x")) == outcome(lambda: load_image(data, name="x"))


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_file_is_refused_with_the_same_words(decoders, seed):
    data = mutant(seed)
    assert outcome(lambda: decoders.load(data, name="x")) == outcome(lambda: load_image(data, name="x"))


def test_a_strip_is_converted_like_the_whole():
    """Images are converted in strips of 256 rows; the pixels must not depend on where a strip ends."""
    rng = np.random.default_rng(1)
    rgba = rng.integers(0, 256, (600, 11, 4), dtype=np.uint8)
    made = load_image(encoded(rgba)).pixels
    share = rgba[:, :, 3:].astype(np.float32) / 255.0
    assert_array_equal(made, rgba[:, :, :3].astype(np.float32) / 255.0 * share + (1.0 - share))


def test_masks_are_read_as_in_this_process(decoders):
    image = load_image(np.zeros((6, 8, 3), dtype=np.uint8))
    labels = np.random.default_rng(0).integers(0, 3, (6, 8)).astype(np.uint8)
    for data in (encoded(labels), encoded(PALETTE[labels])):
        made = decoders.with_truth(image, data, CLASSES, PALETTE)
        assert_array_equal(made.truth, labels)
        assert made.key == image.with_truth(data, CLASSES, PALETTE).key
    labels[0, :2] = 11
    with pytest.raises(LabelError, match="If 11 means void") as raised:
        decoders.with_truth(image, encoded(labels), CLASSES, PALETTE)
    assert (raised.value.values, raised.value.share) == ((11,), 2 / 48)
    made = decoders.with_truth(image, encoded(labels), CLASSES, PALETTE, ignore_index=11)
    assert (made.truth[0, :2] == 255).all()
    assert made.truth_ignored == (11,)
    with pytest.raises(ImageError, match="does not fit the image: got 5 × 4 px, expected 8 × 6 px"):
        decoders.with_truth(image, encoded(np.zeros((4, 5), np.uint8)), CLASSES, PALETTE)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def black_png(side, bits, channels):
    """A square black PNG, compressed a thousandfold."""
    kinds = {1: 0, 3: 2, 4: 6}
    header = struct.pack(">IIBBBBB", side, side, bits, kinds[channels], 0, 0, 0)
    packer = zlib.compressobj(9)
    row = bytes(1 + side * channels * bits // 8)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def peak():
    """Largest resident memory of this process so far, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def reset_peak():
    Path("/proc/self/clear_refs").write_text("5")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (lambda: encoded(PIL.Image.new("P", (10_900, 11_000)), "GIF"), "expected at most 60 million"),
        (lambda: encoded(PIL.Image.new("P", (7_700, 7_700)), "GIF"), ""),
        (lambda: black_png(7_000, 16, 3), ""),
        (lambda: black_png(7_000, 16, 4), ""),
        (lambda: black_png(10_900, 8, 3), "expected at most 60 million"),
        (lambda: encoded(PIL.Image.new("RGB", (10_900, 10_900)), "JPEG"), ""),
    ],
    ids=["gif too large", "gif", "png of 16 bits", "png of 16 bits and alpha", "png too large", "jpeg"],
)
def test_a_small_file_of_many_pixels_takes_no_memory_of_the_server(decoders, data, words):
    data = data()
    assert len(data) < 2_500_000
    reset_peak()
    before = peak()
    if words:
        with pytest.raises(ImageError, match=words):
            decoders.load(data, name="bomb")
    else:
        assert max(decoders.load(data, name="large").pixels.shape) == 640
    assert peak() - before < 60_000_000


def progressive(scans, side):
    """A JPEG of one grey block that says to be `side` pixels wide and sends the same coefficients many times."""
    whole = encoded(PIL.Image.new("L", (side, side)), "JPEG", progressive=True, optimize=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * scans + whole[-2:]


def test_a_picture_that_takes_long_is_stopped():
    data = progressive(1500, 6000)
    assert len(data) < 15_000_000
    quick = Decoders(Limits(memory=1_500_000_000, seconds=1.0), 1)
    began = time.monotonic()
    with pytest.raises(
        ImageError, match=r"The image cannot be decoded within the limits of this server: it took longer than"
    ):
        quick.load(data, name="slow")
    assert time.monotonic() - began < 4
    assert quick.load(encoded(np.zeros((4, 5, 3), np.uint8)), name="x").width == 5, "the next file is decoded"
    quick.close()


def test_what_needs_more_memory_than_there_is_is_refused():
    small = Decoders(Limits(memory=300_000_000, seconds=20.0), 1)
    with pytest.raises(
        ImageError, match=r"needs more memory to decode than is available|needs more than 0\.3 GB of memory"
    ):
        small.load(black_png(7_000, 8, 3), name="large")
    assert small.load(encoded(np.zeros((4, 5, 3), np.uint8)), name="x").width == 5
    small.close()


@pytest.mark.parametrize(
    "forged",
    [
        (None, []),
        ({}, [np.zeros((4, 4, 3), np.float32)]),
        ({"notes": [], "file_shape": [1]}, [np.zeros((4, 4, 3), np.float32)]),
        ({"notes": [], "file_shape": None}, [np.zeros((4, 4, 3), np.uint8)]),
        ({"notes": [], "file_shape": None}, [np.zeros((4, 4), np.float32)]),
        ({"notes": [], "file_shape": None}, [np.zeros((0, 4, 3), np.float32)]),
        ({"notes": [], "file_shape": None}, [np.zeros((700, 4, 3), np.float32)]),
        ({"notes": 5, "file_shape": None}, [np.zeros((4, 4, 3), np.float32)]),
    ],
)
def test_a_forged_answer_is_a_sentence(monkeypatch, forged):
    made = Decoders(Limits(), 1)
    monkeypatch.setattr("perturb.sandbox.process.Confined.call", lambda *given: forged)
    with pytest.raises(ImageError, match="gave an answer that is none"):
        made.load(b"x", name="x")


def test_a_damaged_file_never_shows_what_lies_in_memory():
    """libtiff leaves the rows of this file as they are in memory, where parts of another image may be."""
    data = mutant(2228)
    made = Decoders(HostLimits().decoder, 1)
    rng = np.random.default_rng(0)
    digests = set()
    for _ in range(4):
        digests.add(made.load(data, name="damaged").digest)
        made.load(encoded(rng.integers(0, 256, (rng.integers(20, 400), 300, 3), dtype=np.uint8)), name="another")
    made.close()
    assert len(digests) == 1
