import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from .chromium import NAMES
from .driver import ROOT


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, with these variables changed; an empty one is unset."""
    variables = {name: value for name, value in (os.environ | environment).items() if value}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)


def script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("name", NAMES)
def test_any_of_the_usual_names_is_found_and_one_that_does_not_start_is_passed_over(
    name: str, browser: Browser, tmp_path: Path
) -> None:
    real = os.environ.get("CHROMIUM") or next(
        filter(None, map(shutil.which, NAMES)), browser.browser_type.executable_path
    )
    for other in NAMES:  # as where its libraries are missing
        script(tmp_path / other, "exit 127")
    script(tmp_path / name, f'touch "{tmp_path}/started"\nexec "{real}" "$@"')
    found = run("-m", "tests.browser.chromium", CHROMIUM="", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert (found.returncode, found.stdout) == (0, ""), found.stderr
    assert (tmp_path / "started").exists()


# On a bare Debian it is the driver that does not start first.
@pytest.mark.parametrize("driver", ["", "/bin/false"])
def test_without_a_browser_one_sentence_says_what_to_do_and_the_tests_are_skipped_with_it(driver: str) -> None:
    missing = {"CHROMIUM": "/nowhere/chromium", "CI": "", "PLAYWRIGHT_NODEJS_PATH": driver}
    said = run("-m", "tests.browser.chromium", **missing)
    assert said.returncode == 0
    assert said.stdout.count("\n") == 1
    assert "'/nowhere/chromium', which does not start" in said.stdout
    skipped = run("-m", "pytest", "-p", "no:cacheprovider", "tests/browser/test_picker.py", **missing)
    assert skipped.returncode == 0, skipped.stdout
    assert skipped.stdout.count(said.stdout.strip()) == 1
    assert " passed, " in skipped.stdout  # those of the file that need no browser


def test_where_nobody_reads_the_reasons_a_missing_browser_fails() -> None:
    failed = run(
        "-m", "pytest", "-p", "no:cacheprovider", "tests/browser/test_picker.py", CHROMIUM="/nowhere", CI="true"
    )
    assert failed.returncode == 1
    assert "'/nowhere', which does not start" in failed.stdout
