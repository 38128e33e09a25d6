"""Find the pixels of a class in upsampled logits, without computing the upsampled logits."""

from __future__ import annotations

from perturb.engine.incremental.compiling import compiled


@compiled
def leads(low, own, rows, down, columns, starts, right, now):  # type: ignore[no-untyped-def]
    """Find the pixels predicted as a class. Of equal logits the first class wins, as in argmax.

    Along a line of pixels, logits are linear between two neighbouring cells. A class that is larger at both cells is
    larger between them, so one comparison decides most pixels. Pixels are compared one by one only where two classes
    cross.

    Args:
        low: logits at low resolution, float32 `(N, h, w, K)`.
        own: index of the class.
        rows: the two rows of cells that each row of pixels reads, int64 `(H, 2)`.
        down: weight of the second row, float32 `(H,)`.
        columns: the two columns of cells that each run of pixels reads, int64 `(m, 2)`.
        starts: the first pixel of each run, followed by W, int64 `(m + 1,)`.
        right: weight of the second column for each column of pixels, float32 `(W,)`.
        now: output, bool `(N, H, W)`.
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
                k = rival  # the class that won at the previous run mostly wins here too
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
