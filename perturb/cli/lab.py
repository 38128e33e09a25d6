"""The command `lab`: open the app in the browser, with your own segmenter and folder of images."""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from perturb.cli.arguments import Bar, add_ignore_index, ignored_in, names_in, settings_in
from perturb.cli.segmenter import segmenter_named
from perturb.core.errors import ImageError, PerturbError, SegmenterError, SettingError
from perturb.engine import runner
from perturb.experiments.evaluation import pictures_in
from perturb.images.image import Image, load_image
from perturb.images.samples import sample
from perturb.segmenters.base import Segmenter
from perturb.segmenters.registry import DEFAULT, SEGMENTERS, load_segmenter, register

VARIABLE = "PERTURB_LAB"
"""The environment variable that passes the offer to the app. Only the person who starts the server can set it."""
_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Offer:
    """The segmenter and the images that the app offers to its visitors.

    Attributes:
        segmenter: a registered name, path of an ONNX file, or `module:factory`.
        onnx: settings that an ONNX file does not contain itself, by the fields of `OnnxSpec`.
        classes: class names of an ONNX file, in the order of its channels.
        images: folder of images; empty for none.
        truth: folder of their ground truth, PNG files of the same stem; empty if they are in the folder of the images.
        ignore_index: class indices of the ground truth whose pixels have no class.
    """

    segmenter: str = DEFAULT
    onnx: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    images: str = ""
    truth: str = ""
    ignore_index: tuple[int, ...] = ()

    def as_variable(self) -> str:
        """The value of `VARIABLE`."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_variable(text: str) -> Offer:
        """The offer in a value of `VARIABLE`; an empty one is the default.

        Raises:
            SettingError: the value was not written by `perturb lab`.
        """
        known: dict[str, Any] = {}
        try:
            found = json.loads(text or "{}")
            known = {each.name: found.pop(each.name) for each in fields(Offer) if each.name in found}
            known |= {name: tuple(known[name]) for name in ("classes", "ignore_index") if name in known}
        except (ValueError, TypeError, AttributeError, RecursionError):
            found = None
        if found != {}:
            raise SettingError(
                f"The environment variable {VARIABLE} does not contain the settings of `perturb lab`: got "
                f"{text[:80]!r}. Unset it, and start the app with `perturb lab`."
            )
        return Offer(**known)


@dataclass(frozen=True)
class Entry:
    """An image file of the folder, and its ground truth if there is any."""

    file: Path
    mask: Path | None


def add(commands: Any) -> None:
    """Add the command to the subparsers of an `argparse` parser."""
    command = commands.add_parser(
        "lab",
        help="open the app in the browser, with your segmenter and your images",
        description="Open the app in the browser. Visitors choose among the images and segmenters given here and cannot "
        "enter paths. Streamlit's own settings apply, such as STREAMLIT_SERVER_ADDRESS=localhost to serve this machine only.",
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
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    """Check all options, then replace this process by the app.

    Raises:
        PerturbError: something would fail in the browser.
    """
    if find_spec("streamlit") is None:
        raise SettingError(
            'The app needs streamlit, which is not installed. Run `pip install "perturbation-lab[app]"`.'
        )
    script = app_script()
    offer = _offer(options)
    if options.port is not None:
        _check_port(options.port)
    _check(offer)
    # Without -P, a module in the working directory would shadow a module of the app with the same name.
    command = [sys.executable, "-P", "-m", "streamlit", "run", str(script), "--server.showEmailPrompt", "false"]
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


_OFFERED: dict[str, str] = {}
"""Names of the segmenters that were registered here, by the offer they come from."""
_REGISTERING = threading.Lock()


def offer_segmenter(offer: Offer) -> str:
    """Register the offered segmenter, so that every page lists it.

    Returns:
        Its name.

    Raises:
        PerturbError: it cannot be loaded, or another segmenter has its name.
    """
    key = offer.as_variable()
    with _REGISTERING:  # several visitors may arrive at the same time
        if key not in _OFFERED and offer.segmenter in SEGMENTERS:
            _OFFERED[key] = offer.segmenter
        elif key not in _OFFERED:
            segmenter = segmenter_named(offer.segmenter, classes=offer.classes, onnx=offer.onnx)
            count = len(segmenter.classes)
            register(segmenter.name, lambda device: segmenter, f"Given when this lab was started; {count} classes.")
            _OFFERED[key] = segmenter.name
        return _OFFERED[key]


def images_in(offer: Offer) -> dict[str, Entry]:
    """The offered images by file name, in order; empty if no folder is offered.

    Raises:
        SettingError: there is no such folder, or it contains no image.
    """
    if not offer.images:
        return {}
    for folder in filter(None, (offer.images, offer.truth)):
        if not Path(folder).is_dir():
            raise SettingError(f"There is no folder '{folder}'; expected one that contains images. Check the path.")
    files = [Path(name) for name in pictures_in(offer.images)]
    masks: dict[str, Path] = {}
    if not offer.truth:
        others = {file.stem for file in files if file.suffix.lower() != ".png"}
        masks = {file.stem: file for file in files if file.suffix.lower() == ".png" and file.stem in others}
    entries = {}
    for file in files:
        mask = Path(offer.truth) / f"{file.stem}.png" if offer.truth else masks.get(file.stem)
        if file != mask:
            entries[file.name] = Entry(file, mask if mask is not None and mask.is_file() else None)
    return entries


def read_entry(entry: Entry, offer: Offer, segmenter: Segmenter) -> Image:
    """Load an image of the folder, with its ground truth in the classes of the offered segmenter.

    Raises:
        ImageError: it cannot be read, or its ground truth does not fit.
    """
    image = load_image(entry.file)
    if entry.mask is None:
        return image
    try:
        return image.with_truth(entry.mask, segmenter.classes, segmenter.palette, ignore_index=offer.ignore_index)
    except ImageError as error:
        raise ImageError(f"The mask '{entry.mask.name}' of '{entry.file.name}': {error}") from error


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
    if known and (offer.classes or offer.onnx):
        segmenter_named(offer.segmenter, classes=offer.classes, onnx=offer.onnx)  # raises, since they apply to files
    entries = images_in(offer)
    with Bar("download") as bar:
        segmenter = load_segmenter(offer_segmenter(offer), progress=bar)
    image = read_entry(next(iter(entries.values())), offer, segmenter) if entries else sample()
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


def _check_port(port: int) -> None:
    """Check that the app can be served at a port.

    Raises:
        SettingError: it cannot.
    """
    if not 1 <= port <= 65535:
        raise SettingError(f"There is no port {port}; expected 1 to 65535.")
    address = os.environ.get("STREAMLIT_SERVER_ADDRESS") or "0.0.0.0"
    with socket.socket() as probe:
        if os.name != "nt":  # on Windows, the option would let two servers share a port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise SettingError(
                f"The port {port} cannot be used ({error.strerror or error}). Choose another one with --port, or omit it to "
                "use the first free one."
            ) from error
