"""Mutations of bytes that know nothing of a format. All of them take a random generator, so a number gives a case again."""

import numpy as np

EDGES = (0, 1, 2, 3, 4, 8, 16, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Numbers at which programs break."""


def truncate(data, rng):
    return data[: int(rng.integers(len(data)))]


def flip_bits(data, rng):
    changed = bytearray(data)
    for place in rng.integers(len(data), size=int(rng.integers(1, 20))):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def set_field(data, rng):
    """One or a few numbers of 1, 2 or 4 bytes, mostly near the beginning, where headers are."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        size = int(rng.choice((1, 2, 4)))
        reach = len(data) if rng.random() < 0.3 else min(len(data), 256)
        place = int(rng.integers(max(1, reach - size)))
        value = int(rng.choice(EDGES)) & ((1 << 8 * size) - 1)
        changed[place : place + size] = value.to_bytes(size, "little" if rng.random() < 0.5 else "big")
    return bytes(changed)


def swap_ranges(data, rng):
    a, b, c, d = sorted(int(place) for place in rng.integers(len(data), size=4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def cut_out(data, rng):
    start, length = int(rng.integers(len(data))), int(rng.integers(1, 40))
    return data[:start] + data[start + length :]


def insert(data, rng):
    place, length = int(rng.integers(len(data))), int(rng.integers(1, 40))
    return data[:place] + rng.bytes(length) + data[place:]


def repeat(data, rng):
    start, length = int(rng.integers(len(data))), int(rng.integers(1, 60))
    return data[:start] + data[start : start + length] * int(rng.integers(2, 6)) + data[start + length :]


BLIND = (truncate, flip_bits, set_field, swap_ranges, cut_out, insert, repeat)


def blind(data, rng):
    """One or two of the mutations above; never the file as it was, never nothing."""
    changed = data
    for index in rng.integers(len(BLIND), size=int(rng.integers(1, 3))):
        changed = BLIND[index](changed, rng) or data[:1]
    return changed if changed != data else data[:-1]


def generator(kind, seed):
    return np.random.default_rng([*kind.encode(), seed])


def sentence(error):
    """What a refusal must be."""
    assert str(error).endswith((".", "?")), f"not a sentence: {error}"
