"""The command line: `perturb explain …`, `study …`, `evaluate …`, `lab …` and `list …`, or `python -m perturb …`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import perturb
from perturb import evaluate_command, export
from perturb.arguments import Bar, Parser, add_ignore_index, ignored_in, names_in, settings_in, words
from perturb.cli import lab
from perturb.cli.segmenter import segmenter_named
from perturb.curves import FILL, record_of
from perturb.errors import PerturbError, SettingError
from perturb.estimates import estimate
from perturb.explain import PRECISIONS
from perturb.images import MAX_SIDE, Image
from perturb.metrics import METRICS
from perturb.samples import EVERY
from perturb.segmenters import DEFAULT
from perturb.segmenters.onnx import OnnxSegmenter
from perturb.settings import lookup
from perturb.study import FILL_NAMES, SIZES, check_study, save_study, study
from perturb.targets import REGIONS, SCORES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code: 0, 2 for a user's mistake, 130 for an interrupt."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except PerturbError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(str(stop) or "stopped; nothing was written", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=_program(), description="What does a segmenter need to see?", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    common = Parser(add_help=False)
    common.add_argument("image", metavar="PHOTO_OR_SAMPLE", help="a picture file, or the name of a bundled sample")
    common.add_argument(
        "--segmenter",
        default=DEFAULT,
        help="by name, an ONNX file, or module:factory; see 'list segmenters' (default: %(default)s)",
    )
    common.add_argument(
        "--weights",
        metavar="FILE",
        help="own weights as safetensors, with --classes; --segmenter then names their architecture",
    )
    common.add_argument("--classes", default="", help="of own weights or an ONNX file: their names, in its order")
    common.add_argument(
        "--onnx",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of an ONNX file: what it does not say itself, such as scale=imagenet, or mean=128 and std=256 for "
        "(x - 128) / 256 of values 0 to 255 (numbers up to 2 speak of values 0 to 1), or order=BGR",
    )
    common.add_argument("--target", required=True, metavar="CLASS", help="class name or index")
    common.add_argument("--region", default="class", help=f"which pixels: {' | '.join(REGIONS)} (default: class)")
    common.add_argument("--score", default="logit", help=f"{' | '.join(SCORES)} (default: logit)")
    common.add_argument("--seed", type=int, default=0, help="of everything drawn by chance (default: 0)")
    common.add_argument(
        "--truth",
        metavar="FILE",
        help="ground truth: a PNG of the segmenter's class indices, 255 = none, or of its colours",
    )
    add_ignore_index(common)
    common.add_argument(
        "--max-side",
        type=int,
        default=MAX_SIDE,
        help="scale a photograph down to this many pixels (default: %(default)s)",
    )
    common.add_argument("--out", required=True, metavar="DIR", help="a new folder, or an earlier result to replace")

    explain = commands.add_parser(
        "explain", parents=[common], help="explain one class of one picture", allow_abbrev=False
    )
    explain.add_argument("--method", default="occlusion", help="by name; see 'list methods' (default: %(default)s)")
    explain.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the method")
    explain.add_argument(
        "--curve-fill",
        default=FILL,
        metavar="FILL",
        help="what the curves hide with, whatever made the map (default: blur)",
    )
    explain.add_argument(
        "--no-curves", action="store_true", help="leave the deletion and insertion curves out, and be done sooner"
    )
    explain.add_argument(
        "--precision",
        default=PRECISIONS[0],
        metavar="NAME",
        help=f"{' | '.join(PRECISIONS)}: the second is quicker, rougher, and says how well it agrees (default: %(default)s)",
    )
    explain.set_defaults(run=_explain)

    study = commands.add_parser(
        "study", parents=[common], help="occlusion under many fills, colours and sizes", allow_abbrev=False
    )
    study.add_argument("--fills", default=",".join(FILL_NAMES), help="by name, with commas (default: %(default)s)")
    study.add_argument("--colours", default="", help="flat colours as #rrggbb, with commas (default: none)")
    study.add_argument(
        "--sizes", default=",".join(map(str, SIZES)), help="of the window in px, with commas (default: %(default)s)"
    )
    study.set_defaults(run=_study)

    evaluate_command.add(commands)
    lab.add(commands)

    listing = commands.add_parser("list", help="list what there is", allow_abbrev=False)
    listing.add_argument("what", choices=tuple(_LISTS))
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(run=_list)
    return parser


def _program() -> str:
    """How the command line was started, for its messages."""
    return "perturb" if Path(sys.argv[0]).stem == "perturb" else "python -m perturb"


def _explain(options: argparse.Namespace) -> None:
    target = _target(options)
    settings = settings_in(options.set)
    lookup(perturb.FILLS, options.curve_fill, "fill")  # before the work, not after it
    export.check(options.out)  # before the work, not after it
    image = _image(options.image, options.max_side)
    for note in image.notes:
        print(note, file=sys.stderr)
    segmenter = _segmenter(options)
    image = _with_truth(image, options, segmenter)
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
    _tell(segmenter, cost.words(options.method, segmenter))
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
    folder = perturb.save(result, options.out)  # a run that ends during its curves leaves the map behind
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


def _curves(result: perturb.Result, options: argparse.Namespace) -> perturb.Curves:
    """Compute the curves of a result that is written already, and write it again with them."""
    try:
        with Bar("curves") as bar:
            curves = perturb.curves(result, fill=options.curve_fill, progress=bar)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped during the curves; the map is in {options.out}") from None
    perturb.save(result, options.out, curves=curves)
    return curves


def _study(options: argparse.Namespace) -> None:
    target = _target(options)
    check_study(options.out)
    image, segmenter = _image(options.image, options.max_side), _segmenter(options)
    image = _with_truth(image, options, segmenter)
    _tell(segmenter)
    with Bar("study") as bar:
        made = study(
            image,
            segmenter,
            target,
            fills=words(options.fills),
            colours=words(options.colours),
            sizes=words(options.sizes),
            seed=options.seed,
            progress=bar,
        )
    folder = save_study(made, options.out)
    print(f"{folder}: {len(made.trials)} occluders, maps on a common scale of ±{made.limit:.4g}")
    for row in made.rows():
        print(
            f"{row['occluder']:<14} deletion {row['deletion_auc']:.3f} ↓  insertion {row['insertion_auc']:.3f} ↑  "
            f"lost {row['lost']:.0f}  gained {row['gained']:.0f}"
        )


def _target(options: argparse.Namespace) -> perturb.Target:
    return perturb.Target(options.target, region=options.region, score=options.score)


def _image(text: str, max_side: int) -> Image:
    if text in EVERY and not Path(text).exists():
        return perturb.sample(text)
    if not Path(text).exists() and Path(text).suffix == "":
        raise SettingError(f"There is no picture file and no sample '{text}'; the samples are {', '.join(EVERY)}.")
    return perturb.load_image(text, max_side=max_side)


def _with_truth(image: Image, options: argparse.Namespace, segmenter: perturb.Segmenter) -> Image:
    """The picture with the mask that was named, in the segmenter's classes; without one it keeps its own."""
    ignored = ignored_in(options)
    if options.truth is None:
        return image
    return image.with_truth(options.truth, segmenter.classes, segmenter.palette, ignore_index=ignored)


def _segmenter(options: argparse.Namespace) -> perturb.Segmenter:
    onnx = settings_in(options.onnx, "--onnx", "scale=imagenet")
    return segmenter_named(
        options.segmenter, weights=options.weights or "", classes=names_in(options.classes), onnx=onnx
    )


def _tell(segmenter: perturb.Segmenter, *lines: str) -> None:
    """Before the work: what an ONNX network is given, so that a wrong guess of the range of the values is seen; and more."""
    given = [f"{segmenter.name} is given {segmenter.spec}"] if isinstance(segmenter, OnnxSegmenter) else []
    for line in (*given, *lines):
        print(line, file=sys.stderr)


def _methods() -> list[dict[str, Any]]:
    return [
        {
            "name": method.name,
            "title": method.title,
            "summary": method.summary,
            "citation": method.citation,
            "settings": [
                {
                    "name": setting.name,
                    "kind": setting.kind,
                    "default": setting.default,
                    "help": setting.help,
                    **({"low": setting.low, "high": setting.high} if setting.kind in ("int", "float") else {}),
                    **({"choices": [name for name, _ in setting.choices]} if setting.choices else {}),
                }
                for setting in method.settings
            ],
        }
        for method in perturb.METHODS.values()
    ]


_LISTS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "methods": _methods,
    "segmenters": lambda: [segmenter.as_dict() for segmenter in perturb.SEGMENTERS.values()],
    "fills": lambda: [
        {"name": f.name, "title": f.title, "summary": f.summary, "citation": f.citation} for f in perturb.FILLS.values()
    ],
    "samples": lambda: [{"name": n, "title": s.title, "summary": s.sentence} for n, s in EVERY.items()],
    "metrics": lambda: [metric.as_dict() for metric in METRICS.values()],
}


def _list(options: argparse.Namespace) -> None:
    rows = _LISTS[options.what]()
    if options.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    wide = max(len(row["name"]) for row in rows)
    for row in rows:
        print(f"{row['name']:<{wide}}  {row['summary']}")
        for setting in row.get("settings", []):
            print(f"{'':<{wide}}    --set {setting['name']}={setting['default']}  {setting['help']}")


if __name__ == "__main__":
    sys.exit(main())
