"""Settings of methods and fills as data: names, types, bounds and help texts.

The command line derives its options from them, the pages their widgets, and the engine its checks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from perturb.core.errors import SettingError

Value = int | float | str


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        name: on the command line and in Python.
        kind: `int`, `float`, `choice` (one of `choices`), `colour` (`#rrggbb`) or `layer` (the name of a segmenter's
            layer, see `perturb.segmenters.layers`; empty for the method's own choice).
        default: the value if none is given.
        help: one or two sentences.
        low, high: bounds of a number, inclusive.
        step: step of a slider.
        unit: unit of a number, for labels.
        choices: value and title of each choice.
        only: `(name, values)`: shown and used only while the setting `name` has one of `values`.
    """

    name: str
    kind: Literal["int", "float", "choice", "colour", "layer"]
    default: Value
    help: str
    low: float = 0
    high: float = 0
    step: float = 1
    unit: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    only: tuple[str, tuple[str, ...]] | None = None

    @property
    def title(self) -> str:
        """Label of a widget: the name as words, with its unit."""
        return self.name.replace("_", " ").capitalize() + (f" ({self.unit})" if self.unit else "")

    def check(self, value: object) -> Value:
        """The value, converted to the setting's type.

        Raises:
            SettingError: the value has another type or is out of bounds.
        """
        if self.kind == "choice":
            names = [name for name, _ in self.choices]
            if value in names:
                return str(value)
            raise SettingError(
                f"There is no {self.name} '{value}'; expected one of {', '.join(names)}.{_near(value, names)}"
            )
        if self.kind == "colour":
            if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value):
                return value.lower()
            raise SettingError(f"'{self.name}' must be a colour: got '{value}', expected #rrggbb, such as #808080.")
        if self.kind == "layer":
            # The segmenter is not known here, so only the form of the name can be checked.
            if isinstance(value, str) and re.fullmatch(r"[\w.]{0,200}", value):
                return value
            raise SettingError(
                f"'{self.name}' must be the name of a layer: got '{str(value)[:80]}', expected words joined by dots, or "
                "nothing."
            )
        number = _number(value, whole=self.kind == "int")
        if number is None or not self.low <= number <= self.high:
            what = "a whole number" if self.kind == "int" else "a number"
            unit = f" {self.unit}" if self.unit else ""
            raise SettingError(f"'{self.name}' must be {what} from {self.low:g} to {self.high:g}{unit}: got '{value}'.")
        return number


def check_settings(settings: Iterable[Setting], values: Mapping[str, object], owner: str) -> dict[str, Value]:
    """The values of all settings: the given values after a check, defaults for the rest.

    Args:
        settings: all settings of a method or fill.
        values: given values by name.
        owner: name of the method or fill, for error messages.

    Raises:
        SettingError: an unknown name, or an invalid value.
    """
    known = {setting.name: setting for setting in settings}
    for name in values:
        if name not in known:
            raise SettingError(
                f"'{owner}' has no setting '{name}'; expected one of {', '.join(known)}.{_near(name, list(known))}"
            )
    return {name: setting.check(values.get(name, setting.default)) for name, setting in known.items()}


def shown(settings: Iterable[Setting], values: Mapping[str, Value]) -> list[Setting]:
    """The settings that apply under these values: those whose condition `only` holds."""
    return [s for s in settings if s.only is None or str(values.get(s.only[0])) in s.only[1]]


def lookup(registry: Mapping[str, Any], name: str, what: str) -> Any:
    """An entry of a registry by name; `what` says in error messages what the entries are.

    Raises:
        SettingError: no such entry; the message lists the names.
    """
    if name in registry:
        return registry[name]
    raise SettingError(
        f"There is no {what} '{name}'; expected one of {', '.join(registry)}.{_near(name, list(registry))}"
    )


def _near(value: object, names: list[str]) -> str:
    close = get_close_matches(str(value), names, n=1)
    return f" Did you mean '{close[0]}'?" if close else ""


def _number(value: object, *, whole: bool) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if number != number or number in (float("inf"), float("-inf")) or (whole and number != int(number)):
        return None
    return int(number) if whole else number
