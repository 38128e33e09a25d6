"""Winograd transforms of 6 × 6 tiles.

Winograd's algorithm is only faster if its transforms cost almost nothing: one pass over memory each, in registers. A
chain of torch operations cannot do that. This module has only the transforms; the products are computed by BLAS.

All maps are channels last: arrays of cells `(cells, C)`, float32.
"""

from __future__ import annotations

from numba import float32

from perturb.engine.incremental.compiling import compiled

SIDE = 4
"""Outputs of a tile along one axis."""
REACH = 6
"""Inputs of a tile along one axis."""

TWO, FOUR, FIVE, EIGHT = float32(2), float32(4), float32(5), float32(8)


@compiled
def _seen(x0, x1, x2, x3, x4, x5):  # type: ignore[no-untyped-def]
    """The input transform Bᵀ x of F(4, 3), Lavin & Gray 2016, sec. 4.3."""
    even, odd = x4 - FOUR * x2, x3 - FOUR * x1
    near, far = x4 - x2, TWO * (x3 - x1)
    last = FOUR * x1 - FIVE * x3 + x5
    return FOUR * x0 - FIVE * x2 + x4, even + odd, even - odd, near + far, near - far, last


@compiled
def _made(m0, m1, m2, m3, m4, m5):  # type: ignore[no-untyped-def]
    """The output transform Aᵀ m of F(4, 3)."""
    even, odd, double, twice = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return m0 + even + double, odd + TWO * twice, even + FOUR * double, odd + EIGHT * twice + m5


@compiled
def _see(given, at, step, made, to, further):  # type: ignore[no-untyped-def]
    """Input transform of six cells from `at`, `step` apart, written to six cells from `to`, `further` apart."""
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
        given: cells of the maps, `(…, C)`.
        steps: number of cells from one map to the next, and from one row to the next.
        size: h and w of a map.
        padding: zeros at the top and left.
        dilation: dilation d of the convolution; each map is treated as d × d interleaved maps.
        tiles: rows and columns of tiles in each interleaved map.
        first, count: range of the tiles, ordered by map, then interleaved map, then row.
        made: output, `(36 · count, C)`.
        tile, column: scratch memory for 36 and for 6 cells.
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
    """Transform the products of some tiles to outputs.

    Args:
        products: `(36 · count, C')`.
        bias: `(C',)`.
        lowest: lower bound of the outputs: 0 for a ReLU, −∞ for none.
        size: h and w of an output map.
        dilation, tiles, first, count: as in `into`.
        made: output: the cells of all output maps, `(…, C')`.
        tile: scratch memory for 24 cells.
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
        # If a tile extends beyond the map, its excess outputs go to the last cell, which is then overwritten correctly.
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
