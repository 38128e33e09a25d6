"""The settings of a server."""

from __future__ import annotations

from perturb.lab.limits import HostLimits, variable, written

from .markdown import code, table


def host_settings() -> str:
    """A table of all `LAB_…` variables."""
    rows = [
        (code(variable(name)), code(written(field.default)), field.description)
        for name, field in HostLimits.model_fields.items()
    ]
    return table(("variable", "default", "what it sets"), rows)
