"""Extract patches of maps that each differ from the clean map in one box, in one pass over memory."""

from __future__ import annotations

from perturb.engine.incremental.compiling import compiled


@compiled
def gathered(clean, values, corners, firsts, edge, beyond, made):  # type: ignore[no-untyped-def]
    """Copy a patch of each map; all arrays have the same dtype, channels last.

    Args:
        clean: the clean map, `(h, w, C)`.
        values: values in the boxes, `(N, a, b, C)`; a or b is 0 if nothing changed.
        corners: first row and column of each box, int64 `(N, 2)`.
        firsts: first row and column of each patch, int64 `(N, 2)`; patches may extend beyond the border.
        edge: whether cells beyond the border repeat the border.
        beyond: their value otherwise.
        made: output: the patches, `(N, rows, columns, C)`.
    """
    height, width, channels = clean.shape
    tall, wide = values.shape[1], values.shape[2]
    for n in range(made.shape[0]):
        top, left = corners[n]
        for i in range(made.shape[1]):
            y = firsts[n, 0] + i
            inside = 0 <= y < height
            y = min(max(y, 0), height - 1)
            for j in range(made.shape[2]):
                x = firsts[n, 1] + j
                if not edge and not (inside and 0 <= x < width):
                    for c in range(channels):
                        made[n, i, j, c] = beyond
                    continue
                x = min(max(x, 0), width - 1)
                if top <= y < top + tall and left <= x < left + wide:
                    for c in range(channels):
                        made[n, i, j, c] = values[n, y - top, x - left, c]
                else:
                    for c in range(channels):
                        made[n, i, j, c] = clean[y, x, c]
