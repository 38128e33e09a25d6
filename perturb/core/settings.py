"""Settings as data: what a method or fill can be told, its bounds and its help.

The command line parses by it, the pages draw their widgets from it, the engine checks by it.
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
    """One thing that can be set.

    Attributes:
        name: as on the command line and in Python.
        kind: `int`, `float`, `choice` (one of `choices`), `colour` (`#rrggbb`) or `layer` (the name of a segmenter's
            layer, see `perturb.segmenters.layers`; empty for the method's own choice).
        default: the value when nothing is said.
        help: one or two plain sentences.
        low, high: bounds of a number, inclusive.
        step: of a slider.
        unit: of a number, for labels.
        choices: of a choice: value and title.
        only: shown and used only while another setting has one of these values: `(name, values)`.
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
        """For a widget: the name in plain letters, with its unit."""
        return self.name.replace("_", " ").capitalize() + (f" ({self.unit})" if self.unit else "")

    def check(self, value: object) -> Value:
        """The value in its own type.

        Raises:
            SettingError: a value of another kind or out of bounds.
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
            # Which layers there are is known once there is a segmenter; here only nonsense is kept out.
            if isinstance(value, str) and re.fullmatch(r"[\w.]{0,200}", value):
                return value
            raise SettingError(
                f"'{self.name}' must be the name of a layer: got '{str(value)[:80]}', expected words joined by dots, or nothing."
            )
        number = _number(value, whole=self.kind == "int")
        if number is None or not self.low <= number <= self.high:
            what = "a whole number" if self.kind == "int" else "a number"
            unit = f" {self.unit}" if self.unit else ""
            raise SettingError(f"'{self.name}' must be {what} from {self.low:g} to {self.high:g}{unit}: got '{value}'.")
        return number


def check_settings(settings: Iterable[Setting], values: Mapping[str, object], owner: str) -> dict[str, Value]:
    """All settings of an owner, given ones checked, the others at their defaults.

    Raises:
        SettingError: an unknown name, or a value that does not fit.
    """
    known = {setting.name: setting for setting in settings}
    for name in values:
        if name not in known:
            raise SettingError(
                f"'{owner}' has no setting '{name}'; expected one of {', '.join(known)}.{_near(name, list(known))}"
            )
    return {name: setting.check(values.get(name, setting.default)) for name, setting in known.items()}


def shown(settings: Iterable[Setting], values: Mapping[str, Value]) -> list[Setting]:
    """The settings that matter under the present values: those whose `only` holds."""
    return [s for s in settings if s.only is None or str(values.get(s.only[0])) in s.only[1]]


def lookup(registry: Mapping[str, Any], name: str, what: str) -> Any:
    """An entry of a registry by name.

    Raises:
        SettingError: no such entry, with the ones there are.
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
