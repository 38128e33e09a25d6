"""The command `study`: occlusion of one image under many occluders."""

from __future__ import annotations

import argparse
from typing import Any

from perturb.cli.arguments import Bar, words
from perturb.cli.inputs import announce, image_of, inputs, segmenter_of, target_of, with_truth
from perturb.experiments.estimates import estimate_study
from perturb.experiments.study import FILL_NAMES, SIZES, check_study, save_study, study


def add(commands: Any) -> None:
    """Add the command to the subparsers of an `argparse` parser."""
    command = commands.add_parser(
        "study", parents=[inputs()], help="compare occlusion with many fills, colours and sizes", allow_abbrev=False
    )
    command.add_argument(
        "--fills", default=",".join(FILL_NAMES), help="names of fills, separated by commas (default: %(default)s)"
    )
    command.add_argument("--colours", default="", help="flat colours as #rrggbb, separated by commas (default: none)")
    command.add_argument(
        "--sizes",
        default=",".join(map(str, SIZES)),
        help="window widths in pixels, separated by commas (default: %(default)s)",
    )
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    target = target_of(options)
    check_study(options.out)
    image, segmenter = image_of(options.image, options.max_side), segmenter_of(options)
    image = with_truth(image, options, segmenter)
    fills, colours, sizes = words(options.fills), words(options.colours), words(options.sizes)
    cost = estimate_study(image, segmenter, target, fills=fills, colours=colours, sizes=sizes)
    announce(segmenter, cost.words("occlusion", segmenter))
    with Bar("study") as bar:
        result = study(
            image, segmenter, target, fills=fills, colours=colours, sizes=sizes, seed=options.seed, progress=bar
        )
    folder = save_study(result, options.out)
    print(f"{folder}: {len(result.trials)} occluders, maps on a common scale of ±{result.limit:.4g}")
    for row in result.rows():
        print(
            f"{row['occluder']:<14} deletion {row['deletion_auc']:.3f} ↓  insertion {row['insertion_auc']:.3f} ↑  "
            f"lost {row['lost']:.0f}  gained {row['gained']:.0f}"
        )
