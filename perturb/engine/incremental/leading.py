"""Where a class leads among enlarged logits, without enlarging them."""

from __future__ import annotations

from perturb.engine.incremental.compiling import compiled


@compiled
def leads(low, own, rows, down, columns, starts, right, now):  # type: ignore[no-untyped-def]
    """Which pixels are a class; of equal logits the first class wins, as in argmax.

    Between two neighbouring cells of a line of pixels all logits are linear. A class that is above at both of them is above
    in between, so that one comparison settles most pixels; only where two classes cross is each pixel looked at.

    Args:
        low: logits, float32 `(N, h, w, K)`.
        own: the class.
        rows: the two rows of cells that each row of pixels reads, int64 `(H, 2)`.
        down: the weight of the second, float32 `(H,)`.
        columns: the two columns of cells that each stretch of pixels reads, int64 `(m, 2)`.
        starts: the first pixel of each stretch, and W, int64 `(m + 1,)`.
        right: the weight of the second cell for each column of pixels, float32 `(W,)`.
        now: bool `(N, H, W)`, to be filled.
    """
    classes = low.shape[3]
    for n in range(len(low)):
        rival = 0 if own else classes - 1
        for y in range(len(down)):
            upper, lower, share = low[n, rows[y, 0]], low[n, rows[y, 1]], down[y]
            row = now[n, y]
            for stretch in range(len(columns)):
                one, other = columns[stretch]
                first, last = starts[stretch], starts[stretch + 1]
                mine = upper[one, own] + share * (lower[one, own] - upper[one, own])
                ours = upper[other, own] + share * (lower[other, own] - upper[other, own])
                for x in range(first, last):
                    row[x] = True
                k = rival  # the class that won beside wins here too, most of the time
                for _ in range(classes):
                    if k != own:
                        left = mine - (upper[one, k] + share * (lower[one, k] - upper[one, k]))
                        end = ours - (upper[other, k] + share * (lower[other, k] - upper[other, k]))
                        if (left < 0 and end < 0) or (k < own and left <= 0 and end <= 0):
                            rival = k
                            for x in range(first, last):
                                row[x] = False
                            break
                        if not (left > 0 and end > 0):
                            for x in range(first, last):
                                lead = left + right[x] * (end - left)
                                if not (lead > 0 or (lead == 0 and k > own)):
                                    row[x] = False
                    k = k + 1 if k + 1 < classes else 0
