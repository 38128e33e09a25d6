"""Damaged files of every kind, by number: each is read, or refused in words; nothing crashes, hangs or warns."""

import re
import subprocess
import sys

import pytest

LONG = pytest.mark.long


def outcomes_of(kind, first, count):
    """How many mutants had which outcome; fails with the number of one that was neither read nor refused.

    They are read in a process of their own, in which warnings are errors: a native crash ends only that.
    """
    command = [sys.executable, "-W", "error", "-m", "tests.fuzz", kind, str(first), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    last = re.findall(rf"^{kind} \d+$", done.stdout, re.MULTILINE)[-1:]
    assert done.returncode == 0, f"the process died of {last} ({done.returncode}):\n{done.stderr[-3000:]}"
    wrong = re.findall(r"^(?:FAILED|SLOW).*(?:\n(?!\w+ \d+$).*)*", done.stdout, re.MULTILINE)
    assert not wrong, "\n".join(wrong)[:5000]
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", done.stdout.splitlines()[-1])}


@pytest.mark.parametrize(
    ("kind", "count", "first"),
    [
        ("images", 200, 0),
        ("networks", 40, 0),
        # Their numbers begin where those of the ordinary run end, so both together see more.
        pytest.param("images", 2000, 200, marks=LONG),
        pytest.param("networks", 400, 40, marks=LONG),
    ],
)
def test_every_mutant_is_read_or_refused_in_words(kind, count, first):
    outcomes = outcomes_of(kind, first, count)
    assert sum(outcomes.values()) == count
    assert min(outcomes["read"], outcomes["refused"]) > count / 20, (
        f"mutants that are all alike test little: {outcomes}"
    )


def test_a_native_crash_is_a_failure_with_its_number():
    with pytest.raises(AssertionError, match=r"the process died of \['crash 3'\] \(-11\)"):
        outcomes_of("crash", 0, 10)
