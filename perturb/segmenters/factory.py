"""Segmenters from the user's own code, given as `module:factory`."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys

import torch

from perturb.core.errors import SegmenterError
from perturb.core.quoting import python_literal
from perturb.segmenters.base import Segmenter

_WORD = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def is_factory(word: str) -> bool:
    """Whether a word has the form `module:factory`, such as `my_package.nets:small`."""
    return _WORD.fullmatch(word) is not None


def search_working_directory() -> None:
    """Append the working directory to the import path, which an installed command does not do by itself."""
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)


def load_factory(word: str, *, device: str | torch.device = "cpu") -> Segmenter:
    """Import a function that returns a segmenter, and call it. This runs the module's code: use only trusted modules.

        perturb.load_factory("my_package.nets:small")

    Args:
        word: `module:factory`. The factory is called with the device, or without arguments if it takes none. It may
            also be a segmenter itself.
        device: device of the segmenter.

    Raises:
        SegmenterError: the word has another form, the module or function does not exist or raises an error, or the
            result is not a `Segmenter`.
    """
    if not is_factory(word):
        raise SegmenterError(
            f"'{word}' names no factory; expected module:factory, a module to import and a function in it, such as "
            "my_package.nets:small."
        )
    module_name, _, name = word.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # somebody else's code
        raise SegmenterError(
            f"The module '{module_name}' of '{word}' cannot be imported ({_told(error)}). Install it, or start from the "
            "folder that holds it."
        ) from error
    found = getattr(module, name, None)
    if found is None:
        place = getattr(module, "__file__", None) or "which has no file"
        raise SegmenterError(
            f"The module '{module_name}' ({place}) has no '{name}'; expected a function that returns a segmenter."
        )
    made = found if isinstance(found, Segmenter) else _called(found, word, torch.device(device))
    if not isinstance(made, Segmenter):
        raise SegmenterError(
            f"'{word}' returned a {type(made).__name__}, expected a perturb.Segmenter. A torch module becomes one by "
            "perturb.TorchSegmenter(module, classes=[…])."
        )
    if not made.recipe:
        made.recipe = f"perturb.load_factory({python_literal(word)})"
    if not made.options:
        made.options = ("--segmenter", word)
    return made


def _called(factory: object, word: str, device: torch.device) -> object:
    if not callable(factory):
        raise SegmenterError(
            f"'{word}' is a {type(factory).__name__}, expected a function that returns a segmenter, or a segmenter."
        )
    try:
        return factory(device) if _takes_one(factory) else factory()
    except (Exception, SystemExit) as error:  # somebody else's code
        raise SegmenterError(
            f"'{word}' failed ({_told(error)}); expected a function of a device, or of nothing, that returns a segmenter."
        ) from error


def _takes_one(factory: object) -> bool:
    """Whether a callable accepts one argument; True if its signature is unknown."""
    try:
        inspect.signature(factory).bind(None)  # type: ignore[arg-type]
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def _told(error: BaseException) -> str:
    """An error as a single line."""
    first = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {first[:200]}" if first else type(error).__name__
