"""The command `evaluate`: many images, classes and methods in one table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from perturb.cli.arguments import Bar, add_ignore_index, ignored_in, names_in, settings_in, words
from perturb.core.errors import SettingError
from perturb.experiments.bootstrap import summarise
from perturb.experiments.evaluation import Workload, evaluate
from perturb.experiments.evaluation_folder import TABLE
from perturb.experiments.evaluation_plan import SMALLEST, Plan
from perturb.images.folder import pictures_in
from perturb.images.image import MAX_SIDE
from perturb.methods.registry import METHODS
from perturb.metrics.registry import METRICS, default_metrics
from perturb.segmenters.factory import search_working_directory
from perturb.segmenters.registry import DEFAULT


def add(commands: Any) -> None:
    """Add the command to the subparsers of an `argparse` parser."""
    command = commands.add_parser(
        "evaluate",
        help="evaluate many images, classes and methods in one table; an interrupted run resumes where it stopped",
        allow_abbrev=False,
    )
    command.add_argument(
        "pictures",
        metavar="FOLDER_OR_SAMPLES",
        nargs="+",
        help="a folder of images, image files, 'samples', or names of samples",
    )
    command.add_argument(
        "--segmenters",
        default=DEFAULT,
        help="names, ONNX files and module:factory, separated by commas (default: %(default)s)",
    )
    command.add_argument(
        "--onnx",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting for all ONNX files that they do not contain themselves, such as scale=imagenet, or "
        "classes=road,car for the names of their channels",
    )
    command.add_argument(
        "--methods", default=",".join(METHODS), help="names of methods, separated by commas (default: all)"
    )
    command.add_argument(
        "--metrics",
        default=",".join(default_metrics()),
        help="names of metrics, separated by commas; see 'list metrics' (default: all but the controls)",
    )
    command.add_argument(
        "--classes",
        default="",
        help="names of classes, separated by commas (default: every class that is large enough)",
    )
    command.add_argument(
        "--smallest",
        type=float,
        default=SMALLEST,
        help="smallest share of the image that a class must cover (default: %(default)s)",
    )
    command.add_argument(
        "--set", action="append", default=[], metavar="METHOD.NAME=VALUE", help="a setting of one of the methods"
    )
    command.add_argument(
        "--truth",
        default="",
        metavar="DIR",
        help="folder of ground truth: PNGs of class indices, named like the images",
    )
    add_ignore_index(command)
    command.add_argument("--seed", type=int, default=0, help="of all random draws (default: 0)")
    command.add_argument(
        "--max-side",
        type=int,
        default=MAX_SIDE,
        help="scale larger images down to this many pixels (default: %(default)s)",
    )
    command.add_argument(
        "--out", required=True, metavar="DIR", help="a new folder, or the one of an interrupted run to resume"
    )
    command.set_defaults(run=_run)


def _announce(work: Workload) -> None:
    if work.rows:
        print(work, file=sys.stderr)


def _run(options: argparse.Namespace) -> None:
    settings: dict[str, dict[str, Any]] = {}
    for name, value in settings_in(options.set).items():
        method, dot, setting = name.partition(".")
        if not dot:
            raise SettingError(f"'--set {name}={value}' names no method; expected METHOD.NAME=VALUE.")
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
    search_working_directory()  # for module:factory
    try:
        with Bar("evaluate") as bar:
            result = evaluate(plan, options.out, progress=bar, started=_announce)
    except KeyboardInterrupt:
        print("stopped; finished rows are kept, and the same command resumes from here", file=sys.stderr)
        raise SystemExit(130) from None
    for what, reason in result.skipped:
        print(f"skipped {what}: {reason}", file=sys.stderr)
    if result.damaged:
        print(f"{result.damaged} damaged rows of an earlier run were computed again", file=sys.stderr)
    again = f", {result.resumed} of them from an earlier run" if result.resumed else ""
    print(f"{Path(options.out) / TABLE}: {len(result.table)} rows{again}; {len(result.skipped)} skipped")
    summary = summarise(result.table, plan.metrics)
    for metric in plan.metrics:
        print(f"\n{METRICS[metric].title} {METRICS[metric].arrow}".rstrip())
        for row in summary[summary["metric"] == metric].itertuples():
            spread = "" if row.low != row.low else f"  [{row.low:.4g}, {row.high:.4g}]"
            print(f"  {row.segmenter} {row.map:<18} {row.mean:10.4g}{spread}  n = {row.rows} in {row.pictures} images")
