"""The command `lab`: open the app in the browser, with your own segmenter and folder of images."""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perturb.cli.arguments import Bar, add_ignore_index, ignored_in, names_in, settings_in
from perturb.cli.segmenter import check_onnx_options
from perturb.core.errors import PerturbError, SegmenterError, SettingError
from perturb.engine import runner
from perturb.images.folder import entries_in, read_entry
from perturb.images.samples import sample
from perturb.segmenters.offer import VARIABLE, Offer, offer_segmenter
from perturb.segmenters.registry import DEFAULT, SEGMENTERS, load_segmenter

if TYPE_CHECKING:
    from perturb.lab.limits import HostLimits

_PACKAGE = Path(__file__).parents[1]


def add(commands: Any) -> None:
    """Add the command to the subparsers of an `argparse` parser."""
    command = commands.add_parser(
        "lab",
        help="open the app in the browser, with your segmenter and your images",
        description="Open the app in the browser. Visitors choose among the images and segmenters given here and cannot "
        "enter paths. Only this machine reaches the app unless --address says otherwise. Environment variables LAB_… set "
        "the limits of a server; Streamlit's own settings apply, too.",
        allow_abbrev=False,
    )
    command.add_argument(
        "--segmenter",
        default=DEFAULT,
        metavar="NAME|FILE.onnx|MODULE:FACTORY",
        help="the segmenter selected at the start: a name, an ONNX file, or a function in a module that returns a "
        "segmenter (default: %(default)s)",
    )
    command.add_argument(
        "--onnx",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting that an ONNX file does not contain itself, such as scale=imagenet",
    )
    command.add_argument(
        "--classes", default="", help="class names of an ONNX file, in the order of its channels, separated by commas"
    )
    command.add_argument(
        "--images",
        default="",
        metavar="FOLDER",
        help="folder of images to choose from; a PNG of class indices with the same stem as an image in another format is "
        "its ground truth",
    )
    command.add_argument(
        "--truth",
        default="",
        metavar="DIR",
        help="folder of ground truth: PNGs of class indices, named like the images",
    )
    add_ignore_index(command)
    command.add_argument(
        "--port", type=int, default=None, help="port to serve at (default: the first free one from 8501)"
    )
    command.add_argument(
        "--address",
        default=None,
        help="address to serve at: 0.0.0.0 lets other machines reach the app (default: LAB_ADDRESS, or this machine only)",
    )
    command.add_argument(
        "--print-config",
        action="store_true",
        help="print the settings of a server, LAB_…, with their values and meanings, and exit",
    )
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    """Check all options, then replace this process by the app.

    Raises:
        PerturbError: something would fail in the browser.
    """
    if find_spec("streamlit") is None or find_spec("pydantic_settings") is None:
        raise SettingError(
            'The app needs streamlit, which is not installed. Run `pip install "perturbation-lab[app]"`.'
        )
    from perturb.lab.limits import described, host_limits  # needs a package of the app

    limits = host_limits()
    if options.print_config:
        print(described(limits))
        return
    script = app_script()
    offer = _offer(options)
    address = _address(options.address, limits)
    _check_address(address, options.port)
    _check(offer)
    # Without -P, a module in the working directory would shadow a module of the app with the same name.
    command = [sys.executable, "-P", "-m", "streamlit", "run", str(script), "--server.showEmailPrompt", "false"]
    command += ["--server.address", address, "--server.maxUploadSize", str(limits.upload_mb)]
    if options.port is not None:
        command += ["--server.port", str(options.port)]
    environment = os.environ | {VARIABLE: offer.as_variable()}
    sys.stdout.flush()
    if os.name == "nt":  # on Windows, a process replaced by execve detaches from the terminal
        raise SystemExit(subprocess.call(command, env=environment))
    os.execve(command[0], command, environment)


def app_script() -> Path:
    """The script of the app: in the installed package, or beside the package in a clone.

    Raises:
        SettingError: there is neither.
    """
    for script in (_PACKAGE / "_app" / "streamlit_app.py", _PACKAGE.parent / "streamlit_app.py"):
        if script.is_file():
            return script
    raise SettingError(
        f"The pages of the app are not installed: expected them in '{_PACKAGE / '_app'}'. Install perturbation-lab again."
    )


def _offer(options: argparse.Namespace) -> Offer:
    if options.truth and not options.images:
        raise SettingError(f"'--truth {options.truth}' applies to a folder of images; add --images.")
    return Offer(
        segmenter=options.segmenter,
        onnx=settings_in(options.onnx, "--onnx", "scale=imagenet"),
        classes=names_in(options.classes),
        images=options.images and os.path.abspath(options.images),
        truth=options.truth and os.path.abspath(options.truth),
        ignore_index=ignored_in(options),
    )


def _check(offer: Offer) -> None:
    """Load the segmenter and the first image, run one on the other, and print what is offered.

    Raises:
        PerturbError: something would fail in the browser.
    """
    known = offer.segmenter in SEGMENTERS
    check_onnx_options(offer.segmenter, offer.classes, offer.onnx)
    entries = entries_in(offer.images, offer.truth)
    with Bar("download") as bar:
        segmenter = load_segmenter(offer_segmenter(offer), progress=bar)
    image = sample()
    if entries:
        first = next(iter(entries.values()))
        image = read_entry(first, segmenter.classes, segmenter.palette, offer.ignore_index)
    if not known:
        try:
            runner.clean_logits(image, segmenter)
        except PerturbError:
            raise
        except Exception as error:  # somebody else's code
            what = next(iter(str(error).splitlines()), "")[:200]
            raise SegmenterError(
                f"The segmenter '{segmenter.name}' cannot run on '{image.name}', {image.width} × {image.height} px "
                f"({type(error).__name__}: {what}); expected logits (1, {len(segmenter.classes)}, {image.height}, "
                f"{image.width}). Fix its code, or use other images."
            ) from error
    print(f"segmenter {segmenter.name}, {len(segmenter.classes)} classes")
    if entries:
        masks = sum(entry.mask is not None for entry in entries.values())
        print(f"{len(entries)} images from {offer.images}, {masks} of them with ground truth")


def _address(given: str | None, limits: HostLimits) -> str:
    """The address to serve at: the option, then `LAB_ADDRESS`, then Streamlit's own variable, then this machine only."""
    if given is not None:
        return given
    own = "" if "address" in limits.model_fields_set else os.environ.get("STREAMLIT_SERVER_ADDRESS", "")
    return own or limits.address


def _check_address(address: str, port: int | None) -> None:
    """Check that the app can be served at an address, and at a port if one is given.

    Raises:
        SettingError: it cannot.
    """
    if port is not None and not 1 <= port <= 65535:
        raise SettingError(f"There is no port {port}; expected 1 to 65535.")
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        try:
            probe.bind((address, 0))
        except (OSError, UnicodeError) as error:
            raise SettingError(
                f"The app cannot be served at the address {address[:60]!r} ({getattr(error, 'strerror', '') or error}); expected "
                "an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of its addresses."
            ) from error
    if port is None:
        return
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        if os.name != "nt":  # on Windows, the option would let two servers share a port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise SettingError(
                f"The port {port} cannot be used ({error.strerror or error}). Choose another one with --port, or omit it to "
                "use the first free one."
            ) from error
