"""The command `evaluate`: many pictures, classes and methods into one table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from perturb.cli.arguments import Bar, add_ignore_index, ignored_in, names_in, settings_in, words
from perturb.core.errors import SettingError
from perturb.experiments.bootstrap import summarise
from perturb.experiments.evaluation import SMALLEST, Plan, evaluate, pictures_in
from perturb.experiments.evaluation_folder import TABLE
from perturb.images.image import MAX_SIDE
from perturb.methods.registry import METHODS
from perturb.metrics.registry import METRICS, default_metrics
from perturb.segmenters.registry import DEFAULT


def add(commands: Any) -> None:
    """Add the command to the subparsers of an `argparse` parser."""
    command = commands.add_parser(
        "evaluate",
        help="many pictures, classes and methods into one table; a killed run goes on where it stopped",
        allow_abbrev=False,
    )
    command.add_argument(
        "pictures", metavar="FOLDER_OR_SAMPLES", nargs="+", help="a folder, picture files, 'samples', or their names"
    )
    command.add_argument(
        "--segmenters", default=DEFAULT, help="names and ONNX files, with commas (default: %(default)s)"
    )
    command.add_argument(
        "--onnx",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of every ONNX file among them: what it does not say itself, such as scale=imagenet, or classes=road,car for "
        "the names of its channels; a file can also carry both inside",
    )
    command.add_argument("--methods", default=",".join(METHODS), help="by name, with commas (default: all of them)")
    command.add_argument(
        "--metrics", default=",".join(default_metrics()), help="by name, with commas; see 'list metrics' (default: all)"
    )
    command.add_argument("--classes", default="", help="by name, with commas (default: every class large enough)")
    command.add_argument(
        "--smallest",
        type=float,
        default=SMALLEST,
        help="share of the picture from which a class is large enough (default: %(default)s)",
    )
    command.add_argument(
        "--set", action="append", default=[], metavar="METHOD.NAME=VALUE", help="a setting of one of the methods"
    )
    command.add_argument("--truth", default="", metavar="DIR", help="PNGs of class indices named like the pictures")
    add_ignore_index(command)
    command.add_argument("--seed", type=int, default=0, help="of everything drawn by chance (default: 0)")
    command.add_argument("--max-side", type=int, default=MAX_SIDE, help="scale photographs down (default: %(default)s)")
    command.add_argument("--out", required=True, metavar="DIR", help="a new folder, or the one of a run to go on with")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    settings: dict[str, dict[str, Any]] = {}
    for name, value in settings_in(options.set).items():
        method, dot, setting = name.partition(".")
        if not dot:
            raise SettingError(f"'--set {name}={value}' names no method: expected METHOD.NAME=VALUE.")
        settings.setdefault(method, {})[setting] = value
    plan = Plan(
        pictures=tuple(name for where in options.pictures for name in pictures_in(where)),
        segmenters=words(options.segmenters),
        onnx=settings_in(options.onnx, "--onnx", "scale=imagenet"),
        methods=words(options.methods),
        metrics=words(options.metrics),
        classes=names_in(options.classes),
        smallest=options.smallest,
        settings=settings,
        seed=options.seed,
        truth=options.truth,
        ignore_index=ignored_in(options),
        max_side=options.max_side,
    )
    try:
        with Bar("evaluate") as bar:
            made = evaluate(plan, options.out, progress=bar)
    except KeyboardInterrupt:
        print("stopped; what is finished is kept: the same command goes on from here", file=sys.stderr)
        raise SystemExit(130) from None
    for what, reason in made.skipped:
        print(f"skipped {what}: {reason}", file=sys.stderr)
    if made.damaged:
        print(f"{made.damaged} damaged rows of an earlier run were computed again", file=sys.stderr)
    again = f", {made.resumed} of them from an earlier run" if made.resumed else ""
    print(f"{Path(options.out) / TABLE}: {len(made.table)} rows{again}; {len(made.skipped)} skipped")
    summary = summarise(made.table, plan.metrics)
    for metric in plan.metrics:
        print(f"\n{METRICS[metric].title} {METRICS[metric].arrow}".rstrip())
        for row in summary[summary["metric"] == metric].itertuples():
            spread = "" if row.low != row.low else f"  [{row.low:.4g}, {row.high:.4g}]"
            print(
                f"  {row.segmenter} {row.map:<18} {row.mean:10.4g}{spread}  n = {row.rows} in {row.pictures} pictures"
            )
