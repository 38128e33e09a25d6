"""The limits on computing are lifted for the tests of pages: all of them are one visitor."""

import pytest

from perturb.lab.limits import host_limits


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    """Set the limits of the server: `limits(run_seconds=60)`."""

    def set_limits(**values: float) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"LAB_{name.upper()}", str(value))
        host_limits.cache_clear()

    set_limits(run_seconds=0, visitor_seconds=0)
    yield set_limits
    monkeypatch.undo()
    host_limits.cache_clear()
