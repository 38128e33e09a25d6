"""Run the same task with the lab and with another package, in alternation, and compare times and results."""

from __future__ import annotations

import ctypes
import gc
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

clock: Callable[[], float] = time.perf_counter
"""Seconds; `--busy` puts the process's own processor time in its place."""

CLOSE = 1e-4
"""Largest difference, relative to the range of the map, at which two float32 results count as equal."""

WORTH = 0.02
"""A larger batch must be faster by this fraction before a still larger one is tried."""
SHORT = 1.0


class PeerMissingError(Exception):
    """A peer is not installed; the message says how to install it."""


@dataclass(frozen=True, eq=False)
class Answer:
    """The result of one run of one side.

    Attributes:
        values: the map, weights or curves, of any shape; compared with the other side's.
        forwards: pictures that the segmenter was run on; 0 where there is no model in the work.
        seconds: in place of the measured ones, where only a part was run and scaled up.
        note: such as the peer's batch size.
    """

    values: npt.NDArray[Any]
    forwards: int
    seconds: float | None = None
    note: str = ""


@dataclass(frozen=True, eq=False)
class Side:
    """One implementation of the task.

    Attributes:
        name: for the table.
        run: does it.
        prepare: is called once before anything is measured: to search the best batch size, to warm up.
        exact: the answer is to be the peer's within `CLOSE`.
        floor: how many times as fast as the peer it is to be; None where that is only reported.
    """

    name: str
    run: Callable[[], Answer]
    prepare: Callable[[], object] = lambda: None
    exact: bool = True
    floor: float | None = None


@dataclass(frozen=True, eq=False)
class Work:
    """One task: another package, and the lab's implementations.

    Attributes:
        name: what is done, on what.
        peer: the other side.
        harder: the peer at settings that are not its own, such as a network that the lab has prepared; without a floor.
        ours: the lab's sides; each becomes a row.
        note: what a reader should know.
        limit: counts billions of MACs, `whole` for running everything, `needed` for what the answer needs at least; None
            where there is nothing to count.
    """

    name: str
    peer: Side
    ours: tuple[Side, ...]
    note: str = ""
    limit: Callable[[], dict[str, float]] | None = None
    harder: tuple[Side, ...] = ()


@dataclass
class Row:
    """One side of the lab against the peer; `as_dict` is the entry of the JSON list.

    Attributes:
        name: the work, and the lab's side where there are several.
        peer: whom it is compared with.
        ratio: median over the rounds of the peer's seconds over ours.
        ours_seconds, peer_seconds: medians.
        max_abs_diff: largest difference of the answers, as a part of the range of the peer's.
        spearman: their rank correlation.
        exact: they agree within `CLOSE`.
        note: what a reader should know.
        floor: the ratio to reach.
        ours_forwards, peer_forwards: pictures run.
        ours_memory, peer_memory: MB that the process grew by at its peak, over what it held before; None where the
            system cannot say.
        rounds: how many.
        macs: billions of operations, `whole` and `needed`; None where not counted.
        promised: the side says that it is exact, so a difference is a failure.
    """

    name: str
    peer: str
    ratio: float
    ours_seconds: float
    peer_seconds: float
    max_abs_diff: float
    spearman: float
    exact: bool
    note: str
    floor: float | None
    ours_forwards: int
    peer_forwards: int
    ours_memory: float | None
    peer_memory: float | None
    rounds: int
    macs: dict[str, float] | None = None
    promised: bool = field(default=True, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, rounded to what is meaningful."""
        found = {key: value for key, value in vars(self).items() if key != "promised"}
        return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in found.items()}


@dataclass(frozen=True)
class _Run:
    answer: Answer
    seconds: float
    memory: float | None


def compete(work: Work, *, rounds: int, seconds: float, say: Callable[[str], None]) -> list[Row]:
    """Run all sides in turns and compare.

    Every round runs the peer and each side of the lab once, one after the other, so that whatever else the machine does
    hits all of them; the ratio is taken within a round, and its median over the rounds counts.

    Args:
        work: what to do.
        rounds: at most so many, at least one.
        seconds: no further round begins that would end later than this.
        say: takes a line of progress.
    """
    peers = (work.peer, *work.harder)
    sides = (*peers, *work.ours)
    runs: dict[str, list[_Run]] = {side.name: [] for side in sides}
    for side in sides:
        side.prepare()
    gc.collect()
    began = clock()
    for number in range(rounds):
        for side in sides:
            run = _measure(side)
            runs[side.name].append(run)
            say(f"  round {number + 1}: {side.name} {run.seconds:.3g} s")
        spent = clock() - began
        if spent * (number + 2) / (number + 1) > seconds:
            break
    return [_row(work, side, peer, runs[peer.name], runs[side.name]) for side in work.ours for peer in peers]


def _row(work: Work, side: Side, other: Side, peer: list[_Run], ours: list[_Run]) -> Row:
    difference, correlation = agreement(ours[-1].answer.values, peer[-1].answer.values)
    notes = (work.note, peer[-1].answer.note, ours[-1].answer.note)
    return Row(
        name=f"{work.name}, {side.name}" if len(work.ours) > 1 else work.name,
        peer=other.name,
        ratio=float(np.median([p.seconds / o.seconds for p, o in zip(peer, ours, strict=True)])),
        ours_seconds=float(np.median([run.seconds for run in ours])),
        peer_seconds=float(np.median([run.seconds for run in peer])),
        max_abs_diff=difference,
        spearman=correlation,
        exact=difference <= CLOSE,
        note=" ".join(note for note in notes if note),
        floor=side.floor if other is work.peer else None,
        ours_forwards=ours[-1].answer.forwards,
        peer_forwards=peer[-1].answer.forwards,
        ours_memory=_largest(ours),
        peer_memory=_largest(peer),
        rounds=len(ours),
        promised=side.exact,
    )


def agreement(ours: npt.NDArray[Any], peer: npt.NDArray[Any]) -> tuple[float, float]:
    """The largest difference as a part of the peer's range, and Spearman's correlation.

    Raises:
        ValueError: the answers differ in shape, so the sides did not do the same work.
    """
    if ours.shape != peer.shape:
        raise ValueError(f"The answers have the shapes {ours.shape} and {peer.shape}; expected the same work.")
    one, other = ours.ravel().astype(np.float64), peer.ravel().astype(np.float64)
    spread = float(np.ptp(other))
    largest = float(np.abs(one - other).max())
    if spread == 0 or np.ptp(one) == 0:  # no order to compare
        return (0.0, 1.0) if largest == 0 else (float("inf"), 0.0)
    return largest / spread, float(spearmanr(one, other).statistic)


def best_batch(measure: Callable[[int], float], sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32)) -> int:
    """The batch size with the fewest seconds per image; larger ones are tried as long as they are faster.

    Args:
        measure: seconds of a batch of so many.
        sizes: to try, rising.
    """
    best, least = sizes[0], float("inf")
    for size in sizes:
        each = measure(size) / size
        if each > (1 - WORTH) * least:
            break
        best, least = size, each
    return best


def seconds_of(run: Callable[[], object]) -> float:
    """Seconds of a second run, the shorter of two where they are short: the first one pays for allocations."""
    run()
    taken: list[float] = []
    while not taken or (len(taken) < 2 and taken[0] < SHORT):
        began = clock()
        run()
        taken.append(clock() - began)
    return min(taken)


def _measure(side: Side) -> _Run:
    before = _reset_peak()
    began = clock()
    answer = side.run()
    seconds = clock() - began
    peak = None if before is None else max(0.0, _status("VmHWM") - before)
    return _Run(answer, seconds if answer.seconds is None else answer.seconds, peak)


def _reset_peak() -> float | None:
    """Reset the peak resident memory of the process. Returns the MB that it holds now; None if the system cannot."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return None
    return _status("VmRSS")


def _status(key: str) -> float:
    found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return float(found[1]) / 1e3 if found else float("nan")


def _largest(runs: list[_Run]) -> float | None:
    known = [run.memory for run in runs if run.memory is not None]
    return max(known) if known else None
