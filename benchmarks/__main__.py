"""The lab against other packages: the same task on the same model, image, target and threads, in alternation.

    python -m benchmarks [--quick] [--only NAME …] [--json FILE] [--limits] [--write FILE]

Prints a Markdown table. A ratio is the peer's seconds over the lab's within one round; the median over the rounds counts.
Peers run at their best batch size, which is searched before anything is measured. `--quick` takes fewer windows and rounds
and ends within minutes. An answer of the lab that should be the peer's and is not makes the exit status 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks import against_captum, against_grad_cam, against_lime, against_published, contest
from benchmarks.contest import PeerMissingError, Row, Work, compete
from benchmarks.document import put
from benchmarks.limits import rate
from benchmarks.subjects import random_network, streets
from training.card import processor

Make = Callable[[bool], Work]
"""A task at its full size, or at a smaller one."""

WORKS: dict[str, Make] = {
    "occlusion-mobilenet": lambda quick: against_captum.occlusion(
        random_network("deeplabv3-mobilenet", 520, 520), 104, 52 if quick else 26, exact=2.5, fast=4
    ),
    "occlusion-fcn": lambda quick: against_captum.occlusion(
        random_network("fcn-resnet50", 256, 256), 64, 32 if quick else 16, exact=1.3, fast=2.2
    ),
    "occlusion-streets": lambda quick: against_captum.occlusion(streets(), 48, 48 if quick else 24, exact=3),
    "ablation-fcn": lambda quick: against_grad_cam.ablation_cam(
        random_network("fcn-resnet50", 256, 256), "backbone.layer4", 16 if quick else 64, 60
    ),
    "ablation-deeplab": lambda quick: against_grad_cam.ablation_cam(
        random_network("deeplabv3-resnet50", 256, 256), "backbone.layer4", 16 if quick else 64, 20
    ),
    "imputation": lambda quick: against_grad_cam.imputation(520, 520, 15),
    "lime": lambda quick: against_lime.sampling(streets(), 100, 200 if quick else 1000, 10),
    "curves": lambda quick: against_published.curves(streets(), 50, 2),
    "feature-ablation": lambda quick: against_captum.feature_ablation(streets(), 30 if quick else 100),
    "kernel-shap": lambda quick: against_captum.kernel_shap(streets(), 30, 100 if quick else 500),
}
ROUNDS, SECONDS = 5, 300.0
QUICK_ROUNDS, QUICK_SECONDS = 3, 30.0
BUSY = 0.5
"""Load average above which the machine counts as busy."""


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen tasks and print the table. Returns 1 if a result is wrong, otherwise 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="The lab against its peers.")
    parser.add_argument("--quick", action="store_true", help="fewer windows and rounds; within 8 minutes on two cores")
    parser.add_argument("--only", action="append", choices=tuple(WORKS), help="one piece of work; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as a JSON list")
    parser.add_argument("--threads", type=int, help="for both sides (default: all cores)")
    parser.add_argument(
        "--limits", action="store_true", help="count the operations that each work needs, and the machine's rate"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables into a document, between its marks")
    parser.add_argument(
        "--busy", action="store_true", help="for a machine that does other work: one thread, and its processor time"
    )
    options = parser.parse_args(arguments)
    if options.threads or options.busy:
        torch.set_num_threads(options.threads or 1)
    contest.clock = time.process_time if options.busy else time.perf_counter
    parts = [machine()]
    load = os.getloadavg()[0]
    if options.busy:
        parts.append(f"Seconds are processor time, since the machine does other work (load average {load:.1f}).")
    elif load > BUSY:
        parts.append(f"The machine was busy (load average {load:.1f}): ratios hold roughly, seconds do not.")
    say("\n".join(parts))
    rates = {"exact": rate(), "bfloat16": rate(torch.bfloat16)} if options.limits else None
    rows: list[Row] = []
    for name in options.only or WORKS:
        say(f"{name} …")
        try:
            rows += run(WORKS[name](options.quick), quick=options.quick, count=options.limits)
        except PeerMissingError as missing:
            parts.append(f"{name} is left out: {missing}")
            say(parts[-1])
        if options.json:  # after each, so that a run that is stopped leaves what it has
            options.json.write_text(json.dumps([row.as_dict() for row in rows], indent=1) + "\n")
    parts += [table(rows), *([limits(rows, rates)] if rates else [])]
    print("\n\n".join(parts))
    if options.write:
        put(options.write, "peers", "\n\n".join(parts))
    wrong = [row.name for row in rows if row.promised and not row.exact]
    if wrong:
        print(f"\nNot the peer's answer: {'; '.join(wrong)}.")
    return 1 if wrong else 0


def run(work: Work, *, quick: bool, count: bool = False) -> list[Row]:
    """Run one task; the operations are counted after all measurements."""
    rows = compete(work, rounds=QUICK_ROUNDS if quick else ROUNDS, seconds=QUICK_SECONDS if quick else SECONDS, say=say)
    if count and work.limit is not None:
        counted = work.limit()
        for row in rows:
            row.macs = counted
    return rows


def machine() -> str:
    """The machine and the versions of the measurements."""
    capability = torch.backends.cpu.get_cpu_capability()
    return (
        f"{time.strftime('%Y-%m-%d')}, {processor()}, {torch.get_num_threads()} threads of {os.cpu_count()} cores, {capability}, "
        f"torch {torch.__version__}, no accelerator."
    )


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    head = "| work | peer | times as fast | to reach | seconds | peer's | pictures run | peer's | memory, MB | peer's | largest difference | ρ |"
    lines = [head, "|---" * 2 + "|--:" * 10 + "|"]
    for row in rows:
        floor = "–" if row.floor is None else f"{row.floor:g}{'' if row.ratio >= row.floor else ' ✗'}"
        entries = (
            row.name,
            row.peer,
            f"**{row.ratio:.3g}**",
            floor,
            f"{row.ours_seconds:.3g}",
            f"{row.peer_seconds:.3g}",
            str(row.ours_forwards or "–"),
            str(row.peer_forwards or "–"),
            *("–" if value is None else f"{value:.0f}" for value in (row.ours_memory, row.peer_memory)),
            f"{row.max_abs_diff:.1e}",
            f"{row.spearman:.5f}",
        )
        lines.append(f"| {' | '.join(entries)} |")
    told: dict[str, dict[str, None]] = {}  # a set that keeps its order
    for row in rows:
        if row.note:
            told.setdefault(row.note, {})[row.name] = None
    under = [
        f"Medians over {min(row.rounds for row in rows)} to {max(row.rounds for row in rows)} rounds, sides in turns."
        if rows
        else "",
        "Memory: what the process grew by at its peak, over what it held before (VmHWM, reset before each run).",
        "Differences are parts of the range of the peer's answer; ρ is Spearman's correlation.",
        "",
        *(f"- {'; '.join(names)}: {note}" for note, names in told.items()),
    ]
    return "\n".join([*lines, "", *under])


def limits(rows: list[Row], rates: dict[str, float]) -> str:
    """Each row relative to the fewest possible operations at the machine's measured rate, as Markdown."""
    lines = [
        f"Matrix products reach {rates['exact'] / 1e9:.0f} billion MACs a second in float32, "
        f"{rates['bfloat16'] / 1e9:.0f} in bfloat16.",
        "",
        "| work | 10⁹ MACs, everything run | needed | at that rate, s | measured, s | share of the limit |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    told: set[str] = set()
    for row in rows:
        if row.macs is None or row.name in told:  # a second peer changes nothing here
            continue
        told.add(row.name)
        least = row.macs["needed"] * 1e9 / rates["bfloat16" if row.name.endswith("bfloat16") else "exact"]
        lines.append(
            f"| {row.name} | {row.macs['whole']:.4g} | {row.macs['needed']:.4g} | {least:.3g} | {row.ours_seconds:.3g} | "
            f"{least / row.ours_seconds:.0%} |"
        )
    return "\n".join(lines)


def say(line: str) -> None:
    """Print progress to standard error."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
