"""What the commands share: words and settings from the command line, and a progress bar."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from tqdm import tqdm

from perturb.core.errors import SettingError


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        # One line, as for every other mistake; argparse would print the usage above it.
        self.exit(2, f"error: {message}. See '{self.prog} --help'.\n")


def words(text: str) -> tuple[str, ...]:
    """Words with commas between them."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def names_in(text: str) -> tuple[str, ...]:
    """Class names with commas between them, or as a JSON list, which can hold any names."""
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, list) and all(isinstance(name, str) for name in found):
            return tuple(found)
    return words(text)


def add_ignore_index(command: argparse.ArgumentParser) -> None:
    """Add the option `--ignore-index`, which belongs to `--truth`."""
    command.add_argument(
        "--ignore-index",
        default="",
        metavar="INDEX",
        help="of --truth: pixels of this index, or of several with commas, have no class, such as 11 in CamVid",
    )


def ignored_in(options: argparse.Namespace) -> tuple[int, ...]:
    """The indices of `--ignore-index`.

    Raises:
        SettingError: not whole numbers, or without `--truth`.
    """
    text = options.ignore_index
    if text and not options.truth:
        raise SettingError(f"'--ignore-index {text}' belongs to a mask; give it with --truth, or leave it out.")
    try:
        return tuple(int(word) for word in words(text))
    except ValueError:
        raise SettingError(f"'--ignore-index {text}' is no index: expected a whole number, such as 11.") from None


def settings_in(pairs: Sequence[str], option: str = "--set", example: str = "size=48") -> dict[str, Any]:
    """Settings as they are typed.

    Args:
        pairs: each `NAME=VALUE`.
        option, example: for the message.

    Raises:
        SettingError: one that has no name, or no equals sign.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise SettingError(f"'{option} {pair}' is not a setting: expected NAME=VALUE, such as {option} {example}.")
        found[name.strip()] = value.strip()
    return found


class Bar:
    """A progress bar on standard error that takes fractions."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: tqdm[Any] | None = None

    def __call__(self, fraction: float) -> None:
        if self._bar is None:  # not before the work begins: a mistake found first leaves one clean line
            form = "{desc} {percentage:3.0f} % |{bar:30}| {remaining} left"
            self._bar = tqdm(total=100, desc=self._title, file=sys.stderr, bar_format=form)
        self._bar.update(100 * fraction - self._bar.n)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
