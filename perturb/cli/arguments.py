"""What the commands share: the parser, lists and settings in arguments, and a progress bar."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from tqdm import tqdm

from perturb.core.errors import SettingError


class Parser(argparse.ArgumentParser):
    """A parser that reports errors in one line."""

    def error(self, message: str) -> NoReturn:
        # One line, as for every other error; argparse would print the usage above it.
        self.exit(2, f"error: {message}. See '{self.prog} --help'.\n")


def words(text: str) -> tuple[str, ...]:
    """The words of a list separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def names_in(text: str) -> tuple[str, ...]:
    """Class names separated by commas, or in a JSON list, which also allows names with commas."""
    if text.lstrip().startswith("["):
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            parsed = None
        if isinstance(parsed, list) and all(isinstance(name, str) for name in parsed):
            return tuple(parsed)
    return words(text)


def add_ignore_index(command: argparse.ArgumentParser) -> None:
    """Add the option `--ignore-index`, which belongs to `--truth`."""
    command.add_argument(
        "--ignore-index",
        default="",
        metavar="INDEX",
        help="index in the ground truth that stands for no class, such as 11 in CamVid; several are separated by commas",
    )


def ignored_in(options: argparse.Namespace) -> tuple[int, ...]:
    """The indices of `--ignore-index`.

    Raises:
        SettingError: they are not whole numbers, or `--truth` is missing.
    """
    text = options.ignore_index
    if text and not options.truth:
        raise SettingError(f"'--ignore-index {text}' applies to ground truth; add --truth, or omit it.")
    try:
        return tuple(int(word) for word in words(text))
    except ValueError:
        raise SettingError(f"'--ignore-index {text}' is not an index: expected a whole number, such as 11.") from None


def settings_in(pairs: Sequence[str], option: str = "--set", example: str = "size=48") -> dict[str, Any]:
    """Parse settings.

    Args:
        pairs: each `NAME=VALUE`.
        option, example: for the error message.

    Returns:
        The values as text, by name.

    Raises:
        SettingError: a name or the equals sign is missing.
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise SettingError(f"'{option} {pair}' is not a setting: expected NAME=VALUE, such as {option} {example}.")
        settings[name.strip()] = value.strip()
    return settings


class Bar:
    """A progress bar on standard error; call it with the fraction done, in [0, 1]."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: tqdm[Any] | None = None

    def __call__(self, fraction: float) -> None:
        if self._bar is None:  # created with the first progress, so that an early error is printed alone
            form = "{desc} {percentage:3.0f} % |{bar:30}| {remaining} left"
            self._bar = tqdm(total=100, desc=self._title, file=sys.stderr, bar_format=form)
        self._bar.update(100 * fraction - self._bar.n)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
