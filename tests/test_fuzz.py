"""Damaged files of every kind, by number: each is read, or refused in words; nothing crashes, hangs or warns."""

import re
import subprocess
import sys

import pytest

LONG = pytest.mark.long


@pytest.mark.parametrize(
    ("kind", "count", "first"),
    [
        ("images", 200, 0),
        ("networks", 40, 0),
        pytest.param("images", 2000, 200, marks=LONG),
        pytest.param("networks", 400, 40, marks=LONG),
    ],
)
def test_every_mutant_is_read_or_refused_in_words(kind, count, first):
    # The numbers begin where those of the ordinary run end, so both together see more.
    command = [sys.executable, "-W", "error", "-m", "tests.fuzz", kind, str(first), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    last = re.findall(rf"^{kind} (\d+)$", done.stdout, re.MULTILINE)[-1:]
    assert done.returncode == 0, f"the process died of {kind} {last} ({done.returncode}):\n{done.stderr[-3000:]}"
    outcomes = {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", done.stdout.splitlines()[-1])}
    wrong = re.findall(r"^(?:FAILED|SLOW).*(?:\n(?!\w+ \d+$).*)*", done.stdout, re.MULTILINE)
    assert not wrong, "\n".join(wrong)[:5000]
    assert sum(outcomes.values()) == count
    assert min(outcomes["read"], outcomes["refused"]) > count / 20, (
        f"mutants that are all alike test little: {outcomes}"
    )
