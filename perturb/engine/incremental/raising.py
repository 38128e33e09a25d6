"""Upsample maps and add them to others, in one pass over memory."""

from __future__ import annotations

from perturb.engine.incremental.compiling import compiled


@compiled
def raised(low, rows, down, columns, right, other, top, left, lowest, line, made):  # type: ignore[no-untyped-def]
    """Add maps to the bilinear upsampling of others, within a box; all float32, channels last.

    Args:
        low: the small maps, `(N, h, w, C)`.
        rows: the two rows that each row of the large maps interpolates, int64 `(H, 2)`.
        down: weight of the second row, float32 `(H,)`.
        columns, right: the same for columns.
        other: values to add in the box, `(N, a, b, C)`, or `(1, a, b, C)` for all maps.
        top, left: position of the box.
        lowest: lower bound of the sums: 0 for a ReLU, −∞ for none.
        line: scratch memory for one row of a small map, `(w, C)`.
        made: output: the large maps, `(N, H, W, C)`, filled in the box.
    """
    for n in range(len(low)):
        added = other[n if len(other) > 1 else 0]
        for y in range(other.shape[1]):
            upper, lower, share = low[n, rows[top + y, 0]], low[n, rows[top + y, 1]], down[top + y]
            for x in range(columns[left, 0], columns[left + other.shape[2] - 1, 1] + 1):
                for c in range(line.shape[1]):
                    line[x, c] = upper[x, c] + share * (lower[x, c] - upper[x, c])
            for x in range(other.shape[2]):
                one, two, part = columns[left + x, 0], columns[left + x, 1], right[left + x]
                for c in range(line.shape[1]):
                    total = line[one, c] + part * (line[two, c] - line[one, c]) + added[y, x, c]
                    made[n, top + y, left + x, c] = lowest if total < lowest else total
