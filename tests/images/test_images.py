"""Every kind of file a visitor may bring, good and bad."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
from numpy.testing import assert_allclose

from perturb import ImageError, load_image
from perturb.images.decoding import MAX_PIXELS_OTHERS

RGB = (np.random.default_rng(0).random((20, 30, 3)) * 255).astype(np.uint8)


def encode(pixels, format="PNG", mode=None, **options):
    image = pixels if isinstance(pixels, PIL.Image.Image) else PIL.Image.fromarray(pixels)
    buffer = io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, format=format, **options)
    return buffer.getvalue()


def png_header(width, height):
    """A PNG that claims a size and holds almost nothing: a decompression bomb."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def damaged_tiff(tag):
    """Two pages; the entry of this tag is missing from the second, which is looked at when the pages are counted."""
    page = PIL.Image.fromarray(RGB)
    data = bytearray(encode(page, "TIFF", save_all=True, append_images=[page]))
    place = 4
    for _ in range(2):
        (start,) = struct.unpack_from("<I", data, place)
        (count,) = struct.unpack_from("<H", data, start)
        place = start + 2 + 12 * count
    entries = [start + 2 + 12 * entry for entry in range(count)]
    (found,) = (entry for entry in entries if struct.unpack_from("<H", data, entry) == (tag,))
    data[found : found + 2] = b"\0\0"
    return bytes(data)


def half_tiff():
    """Its directory of pages stood at the end, as compressing programs write it."""
    data = encode(RGB, "TIFF", compression="tiff_lzw")
    return data[: len(data) // 2]


def test_one_form_behind_the_door(tmp_path):
    path = tmp_path / "street one.png"
    path.write_bytes(encode(RGB))
    image = load_image(path)
    assert image.pixels.dtype == np.float32
    assert_allclose(image.pixels, RGB / 255, atol=1e-7)
    assert image.name == "street one"
    assert image.notes == ()
    assert not image.pixels.flags.writeable
    for same in (encode(RGB), io.BytesIO(encode(RGB)), RGB, str(path), PIL.Image.fromarray(RGB)):
        assert load_image(same).digest == image.digest


def test_the_digest_sees_a_single_pixel():
    changed = RGB.copy()
    changed[7, 9, 1] ^= 1
    assert load_image(changed).digest != load_image(RGB).digest
    assert load_image(RGB.reshape(30, 20, 3)).digest != load_image(RGB).digest


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK"])
def test_modes_become_rgb(mode):
    format = "JPEG" if mode == "CMYK" else "PNG"
    image = load_image(encode(RGB, format, mode))
    assert image.pixels.shape == (20, 30, 3)
    expected = np.asarray(PIL.Image.fromarray(RGB).convert(mode).convert("RGB")) / 255
    assert np.abs(image.pixels - expected).mean() < (0.12 if format == "JPEG" else 0.001)


def test_grey_is_said():
    assert "Grey" in load_image(encode(RGB, mode="L")).notes[0]


def test_transparent_parts_are_laid_on_white():
    rgba = np.zeros((4, 6, 4), dtype=np.uint8)
    rgba[:, 3:, 3] = 255
    image = load_image(encode(rgba))
    assert_allclose(image.pixels[:, :3], 1)
    assert_allclose(image.pixels[:, 3:], 0)
    assert "white" in image.notes[0]
    assert_allclose(load_image(rgba).pixels, image.pixels)


def test_sixteen_bits_keep_their_scale():
    deep = (np.arange(24, dtype=np.uint16) * 2800).reshape(4, 6)
    image = load_image(encode(deep))
    assert_allclose(image.pixels[:, :, 0], deep / 65535, atol=1e-6)
    assert "16-bit" in image.notes[0]
    assert_allclose(load_image(deep).pixels, image.pixels)


def test_animated_takes_the_first_frame():
    frames = [PIL.Image.new("RGB", (8, 6), colour) for colour in ("red", "green", "blue")]
    image = load_image(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert_allclose(image.pixels[0, 0], [1, 0, 0])
    assert "Animated" in image.notes[0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    image = load_image(encode(RGB, exif=exif.tobytes()))
    turned = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.transpose(1, 0, 2),
        6: np.rot90(RGB, -1),
        7: RGB.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(RGB),
    }[orientation]
    assert_allclose(image.pixels, turned / 255, atol=1e-7)
    assert any("EXIF" in note for note in image.notes) == (orientation != 1)


def test_a_huge_photograph_is_scaled_and_says_so():
    data = encode(PIL.Image.new("RGB", (12_000, 9_000), (120, 90, 60)), "JPEG")
    image = load_image(data)
    assert image.pixels.shape == (480, 640, 3)
    assert image.notes == ("Scaled from 12000 × 9000 to 640 × 480 px.",)
    assert_allclose(image.pixels.mean((0, 1)) * 255, [120, 90, 60], atol=2)


def test_a_long_strip_keeps_a_usable_side():
    image = load_image(np.zeros((2, 5000), dtype=np.uint8))
    assert image.pixels.shape == (2, 640, 3)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"", "file is empty"),
        (b"not an image at all", "not an image the lab can read, or it is truncated: expected a whole PNG, JPEG"),
        (half_tiff(), "not an image the lab can read, or it is truncated"),
        (b"%PDF-1.7 hello", "not an image"),
        (encode(RGB)[:300], "broken: its data is truncated"),
        (encode(np.tile(RGB, (8, 8, 1)), "JPEG")[:2000], "broken"),
        (damaged_tiff(256), "broken: its data is truncated or damaged"),  # Pillow: TypeError
        (damaged_tiff(258), "broken: its data is truncated or damaged"),  # Pillow: SyntaxError
        (png_header(60_000, 60_000), "too many pixels"),
        (png_header(11_000, 11_000), f"got 11000 × 11000, expected at most {MAX_PIXELS_OTHERS // 10**6} million"),
        (encode(RGB[:1, :1]), "too small: got 1 × 1 px, expected at least 2 × 2"),
        ("no/such/file.png", "There is no image at 'no/such/file.png'"),
        ("long" * 1000, "cannot be read"),
        (np.zeros((4, 4, 2)), r"shape \(4, 4, 2\), expected"),
        (np.zeros((0, 4)), "Not an image"),
        (np.full((4, 4), np.nan), r"must lie in \[0, 1\]: got nan"),
        (np.full((4, 4), 200.0), r"got 200 to 200 \(float64\). Divide"),
        (np.full((4, 4), "x"), "Not an image: got dtype"),
    ],
)
def test_bad_pictures_are_answered_in_words(source, words):
    with pytest.raises(ImageError, match=words):
        load_image(source)


def test_max_side_must_leave_a_picture():
    with pytest.raises(ImageError, match="longest side of 0"):
        load_image(RGB, max_side=0)
