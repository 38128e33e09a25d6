"""Mutated image files: truncated, flipped, their fields changed, their parts exchanged."""

import functools
import io
import struct
import zlib

import numpy as np
import PIL.Image

import perturb
from perturb.images.decoding import FORMATS
from perturb.images.ground_truth import IGNORE, read_truth
from tests.fuzz.mutations import EDGES, blind, generator, sentence

_RGB = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
PALETTE = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], dtype=np.uint8)


def _file(format, mode="RGB", frames=1, **options):
    image = PIL.Image.fromarray(_RGB)
    if mode == "I;16":
        image = PIL.Image.fromarray(_RGB[:, :, 0].astype(np.uint16) * 257)
    elif mode == "F":
        image = PIL.Image.fromarray(_RGB[:, :, 0].astype(np.float32) / 255)
    elif mode != "RGB":
        image = image.convert(mode)
    if frames > 1:
        options |= {"save_all": True, "append_images": [image.rotate(90 * turn) for turn in range(1, frames)]}
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


def _exif():
    exif = PIL.Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    return exif.tobytes()


@functools.cache
def sources():
    """Sound files of every format, in the modes and compressions that have code of their own."""
    return [
        *(_file("PNG", mode) for mode in ("RGB", "L", "1", "P", "LA", "RGBA", "I;16")),
        _file("PNG", "P", transparency=3),
        _file("PNG", frames=3),
        _file("PNG", exif=_exif()),
        *(_file("JPEG", mode) for mode in ("RGB", "L", "CMYK")),
        _file("JPEG", progressive=True, exif=_exif()),
        *(_file("TIFF", mode) for mode in ("RGB", "L", "1", "P", "RGBA", "CMYK", "LAB", "I;16", "F", "YCbCr")),
        *(_file("TIFF", compression=name) for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")),
        _file("TIFF", "1", compression="group4"),
        _file("TIFF", frames=3),
        _file("TIFF", frames=2, compression="tiff_lzw", exif=_exif()),
        _file("WEBP"),
        _file("WEBP", "RGBA", lossless=True, exif=_exif()),
        _file("WEBP", frames=3),
        *(_file("BMP", mode) for mode in ("RGB", "P", "1", "RGBA")),
        _file("GIF", "P"),
        _file("GIF", "P", frames=3),
        *(_file("PPM", mode) for mode in ("RGB", "L", "1", "I;16")),
    ]


def _png(data, rng):
    """Chunks changed, exchanged, doubled or left out, with checksums that fit."""
    chunks, place = [], 8
    while place + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, place)
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + size]))
        place += 12 + size
    for _ in range(int(rng.integers(1, 3))):
        at, other, what = int(rng.integers(len(chunks))), int(rng.integers(len(chunks))), rng.random()
        kind, body = chunks[at]
        if what < 0.5 and body:
            chunks[at] = kind, blind(body, rng)
        elif what < 0.7:
            chunks[at], chunks[other] = chunks[other], chunks[at]
        elif what < 0.85:
            chunks.insert(at, chunks[other])
        elif len(chunks) > 1:
            del chunks[at]
    return data[:8] + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def _tiff(data, rng):
    """Entries of the first directory changed: tag, type, count or value."""
    end = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(end + "I", data, 4)
    (count,) = struct.unpack_from(end + "H", data, start)
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        entry = start + 2 + 12 * int(rng.integers(count))
        field, size = ((0, 2), (2, 2), (4, 4), (8, 4))[int(rng.integers(4))]
        value = int(rng.integers(20)) if rng.random() < 0.5 else int(rng.choice(EDGES)) & ((1 << 8 * size) - 1)
        changed[entry + field : entry + field + size] = value.to_bytes(size, "little" if end == "<" else "big")
    return bytes(changed)


def mutant(seed):
    """The mutated file by this number."""
    rng, files = generator("images", seed), sources()
    data = files[seed % len(files)]
    aware = {b"\x89P": _png, b"II": _tiff, b"MM": _tiff}.get(data[:2])
    return aware(data, rng) if aware and rng.random() < 0.6 else blind(data, rng)


def check(seed):
    """Read one as an image and as ground truth: each gives what it promises, or says in words why not. The outcome, in a word."""
    data, outcome = mutant(seed), "refused"
    try:
        image = perturb.load_image(data)
    except perturb.PerturbError as error:
        sentence(error)
    else:
        outcome = "read"
        assert image.pixels.dtype == np.float32
        assert image.pixels.ndim == 3
        assert image.pixels.shape[2] == 3
        assert min(image.pixels.shape[:2]) >= 2
        assert max(image.pixels.shape[:2]) <= 640
        assert image.pixels.min() >= 0
        assert image.pixels.max() <= 1
        assert np.isfinite(image.pixels).all()
        assert image.thumbnail.shape[2] == 3
    for given in ({}, {"classes": ("a", "b", "c"), "palette": PALETTE}):
        try:
            labels = read_truth(data, shape=(24, 32), **given)
        except perturb.PerturbError as error:
            sentence(error)
        else:
            assert labels.dtype == np.uint8
            assert labels.shape == (24, 32)
            assert not given or set(np.unique(labels).tolist()) <= {0, 1, 2, IGNORE}
    return outcome


__all__ = ["FORMATS", "check", "mutant", "sources"]
