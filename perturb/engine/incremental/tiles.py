"""Winograd's transforms of 6 × 6 tiles.

A convolution's time goes into multiplying. To win, transforms must cost next to nothing: one pass over memory each, in
registers, which no chain of torch's operations is. Only what is around the products is here; the products are a library's.

All maps are channels last: arrays of cells `(cells, C)`, float32.
"""

from __future__ import annotations

from numba import float32

from perturb.engine.incremental.compiling import compiled

SIDE = 4
"""Outputs of a tile along an axis."""
REACH = 6
"""Inputs that they see."""

TWO, FOUR, FIVE, EIGHT = float32(2), float32(4), float32(5), float32(8)


@compiled
def _seen(x0, x1, x2, x3, x4, x5):  # type: ignore[no-untyped-def]
    """Bᵀ x of Lavin & Gray 2016, sec. 4.3, F(4, 3)."""
    even, odd = x4 - FOUR * x2, x3 - FOUR * x1
    near, far = x4 - x2, TWO * (x3 - x1)
    last = FOUR * x1 - FIVE * x3 + x5
    return FOUR * x0 - FIVE * x2 + x4, even + odd, even - odd, near + far, near - far, last


@compiled
def _made(m0, m1, m2, m3, m4, m5):  # type: ignore[no-untyped-def]
    """Aᵀ m of the same."""
    even, odd, double, twice = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return m0 + even + double, odd + TWO * twice, even + FOUR * double, odd + EIGHT * twice + m5


@compiled
def _see(given, at, step, made, to, further):  # type: ignore[no-untyped-def]
    """`_seen` of six cells, each `step` after the other; its six are made from cell `to` on, `further` apart."""
    for c in range(given.shape[1]):
        z0, z1, z2, z3, z4, z5 = _seen(
            given[at, c],
            given[at + step, c],
            given[at + 2 * step, c],
            given[at + 3 * step, c],
            given[at + 4 * step, c],
            given[at + 5 * step, c],
        )
        made[to, c] = z0
        made[to + further, c] = z1
        made[to + 2 * further, c] = z2
        made[to + 3 * further, c] = z3
        made[to + 4 * further, c] = z4
        made[to + 5 * further, c] = z5


@compiled
def into(given, steps, size, padding, dilation, tiles, first, count, made, tile, column):  # type: ignore[no-untyped-def]
    """Transform some tiles of maps.

    Args:
        given: the maps' cells, `(…, C)`.
        steps: cells from one map to the next, and from one row to the next.
        size: h and w of a map.
        padding: zeros above and to the left.
        dilation: between the cells that a tile sees: there are tiles of d × d interleaved maps.
        tiles: rows and columns of them in each interleaved map.
        first, count: which tiles: map by map, interleaved map by interleaved map, row by row.
        made: `(36 · count, C)`, to be filled.
        tile, column: room for 36 and for 6 cells.
    """
    for t in range(count):
        s, rest = (first + t) % tiles[1], (first + t) // tiles[1]
        r, rest = rest % tiles[0], rest // tiles[0]
        dx, rest = rest % dilation, rest // dilation
        top = r * SIDE * dilation + rest % dilation - padding[0]
        left = s * SIDE * dilation + dx - padding[1]
        start = rest // dilation * steps[0]
        inside = top >= 0 and top + (REACH - 1) * dilation < size[0]
        for j in range(REACH):
            x = left + j * dilation
            if x < 0 or x >= size[1]:
                for i in range(REACH):
                    tile[i * REACH + j] = 0
            elif inside:
                _see(given, start + top * steps[1] + x, dilation * steps[1], tile, j, REACH)
            else:
                for i in range(REACH):
                    y = top + i * dilation
                    if y < 0 or y >= size[0]:
                        column[i] = 0
                    else:
                        column[i] = given[start + y * steps[1] + x]
                _see(column, 0, 1, tile, j, REACH)
        for i in range(REACH):
            _see(tile, i * REACH, 1, made, i * REACH * count + t, count)


@compiled
def out_of(products, bias, lowest, size, dilation, tiles, first, count, made, tile):  # type: ignore[no-untyped-def]
    """Turn the products of some tiles into outputs.

    Args:
        products: `(36 · count, C')`.
        bias: `(C',)`.
        lowest: what no output is below: 0 for a rectifier, −∞ for none.
        size: h and w of an output map.
        dilation, tiles, first, count: as in `into`.
        made: the cells of all output maps, `(…, C')`.
        tile: room for 24 cells.
    """
    channels = products.shape[1]
    for t in range(count):
        s, rest = (first + t) % tiles[1], (first + t) // tiles[1]
        r, rest = rest % tiles[0], rest // tiles[0]
        dx, rest = rest % dilation, rest // dilation
        top, left = r * SIDE * dilation + rest % dilation, s * SIDE * dilation + dx
        start = rest // dilation * size[0]
        for j in range(REACH):
            o, step = j * count + t, REACH * count
            for c in range(channels):
                y0, y1, y2, y3 = _made(
                    products[o, c],
                    products[o + step, c],
                    products[o + 2 * step, c],
                    products[o + 3 * step, c],
                    products[o + 4 * step, c],
                    products[o + 5 * step, c],
                )
                tile[j, c] = y0
                tile[j + REACH, c] = y1
                tile[j + 2 * REACH, c] = y2
                tile[j + 3 * REACH, c] = y3
        # Where a tile reaches beyond the map, what is too much falls on its last cell, which is written after, and rightly.
        cells = min(SIDE, -(-(size[1] - left) // dilation))
        for i in range(SIDE):
            y = top + i * dilation
            if y >= size[0] or cells < 1:
                break
            at, o = (start + y) * size[1] + left, i * REACH
            second, third, fourth = min(1, cells - 1), min(2, cells - 1), min(3, cells - 1)
            second, third, fourth = at + second * dilation, at + third * dilation, at + fourth * dilation
            for c in range(channels):
                y0, y1, y2, y3 = _made(
                    tile[o, c], tile[o + 1, c], tile[o + 2, c], tile[o + 3, c], tile[o + 4, c], tile[o + 5, c]
                )
                b = bias[c]
                y0, y1, y2, y3 = y0 + b, y1 + b, y2 + b, y3 + b
                made[fourth, c] = lowest if y3 < lowest else y3
                made[third, c] = lowest if y2 < lowest else y2
                made[second, c] = lowest if y1 < lowest else y1
                made[at, c] = lowest if y0 < lowest else y0
