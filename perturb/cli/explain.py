"""The command `explain`: explain one class of one image."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import perturb
from perturb.cli.arguments import Bar, settings_in
from perturb.cli.inputs import announce, image_of, inputs, segmenter_of, target_of, with_truth
from perturb.core.settings import lookup
from perturb.experiments.estimates import estimate
from perturb.export import writer
from perturb.methods.explain import PRECISIONS
from perturb.metrics.curves import FILL, record_of
from perturb.metrics.registry import METRICS


def add(commands: Any) -> None:
    """Add the command to the subparsers of an `argparse` parser."""
    command = commands.add_parser(
        "explain", parents=[inputs()], help="explain one class of one image", allow_abbrev=False
    )
    command.add_argument(
        "--method", default="occlusion", help="name of the method; see 'list methods' (default: %(default)s)"
    )
    command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the method")
    command.add_argument(
        "--curve-fill",
        default=FILL,
        metavar="FILL",
        help="fill for the pixels that the curves hide, independent of the fill of the map (default: blur)",
    )
    command.add_argument(
        "--no-curves", action="store_true", help="skip the deletion and insertion curves, which saves time"
    )
    command.add_argument(
        "--precision",
        default=PRECISIONS[0],
        metavar="NAME",
        help=f"{' | '.join(PRECISIONS)}; the second is faster and less accurate, and reports how well it agrees "
        "(default: %(default)s)",
    )
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    target = target_of(options)
    settings = settings_in(options.set)
    # Find mistakes before the run, not after it.
    lookup(perturb.FILLS, options.curve_fill, "fill")
    writer.check(options.out)
    image = image_of(options.image, options.max_side)
    for note in image.notes:
        print(note, file=sys.stderr)
    segmenter = segmenter_of(options)
    image = with_truth(image, options, segmenter)
    cost = estimate(
        image,
        segmenter,
        target,
        options.method,
        settings,
        options.seed,
        options.precision,
        curves=not options.no_curves,
    )
    announce(segmenter, cost.words(options.method, segmenter))
    with Bar("explain") as bar:
        result = perturb.explain(
            image,
            segmenter,
            target,
            method=options.method,
            seed=options.seed,
            progress=bar,
            precision=options.precision,
            **settings,
        )
    folder = perturb.save(result, options.out)  # so that an interrupt during the curves does not lose the map
    curves = None if options.no_curves else _curves(result, options)
    record = record_of(result, curves)
    heatmap = record["heatmap"]
    print(f"{folder}: {record['forwards']} forward passes in {record['seconds']:.1f} s")
    print(f"heat map from {heatmap['min']:+.4g} to {heatmap['max']:+.4g} ({heatmap['unit']})")
    print(result.execution.sentence)
    for fact, value in result.facts.items():
        print(f"{fact}: {value:.4g}" if isinstance(value, float) else f"{fact}: {value}")
    for note in result.notes:
        print(note)
    if curves is not None:
        for name, value in curves.metrics().items():
            print(f"{name} {value:.4f} {METRICS[name].arrow}".rstrip())
        print(curves.verdict())


def _curves(result: perturb.Attribution, options: argparse.Namespace) -> perturb.Curves:
    """Compute the curves of a saved result, and save it again with them."""
    try:
        with Bar("curves") as bar:
            curves = perturb.curves(result, fill=options.curve_fill, progress=bar)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped during the curves; the map is in {options.out}") from None
    perturb.save(result, options.out, curves=curves)
    return curves
