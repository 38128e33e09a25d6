"""Mutation tests of some packages of `perturb`, by mutmut: `python -m tests.mutants [package ...] [--sample N]`.

A mutant is the code with one small change. The tests should fail with it; if they pass, the mutant survives. Each package is
tested by the tests that `mutants.toml` names. The same file lists the mutants that no test can tell from the code.
"""

import argparse
import random
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import mutmut.__main__ as tester
from mutmut.configuration import config
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

SETTINGS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
sys.path.pop(0)  # this folder: its `pages` would hide the app's
SURVIVED = {0, 5, 33}  # the tests passed, or there are none
NOT_TESTED = {None, 255}  # not reached, or pytest could not run its tests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="*", metavar="package", help=", ".join(SETTINGS["packages"]))
    parser.add_argument("--sample", type=int, metavar="N", help="so many mutants of each package, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--survivors", action="store_true", help="test only the survivors of the last run again")
    options = parser.parse_args()
    if unknown := set(options.packages) - set(SETTINGS["packages"]):
        parser.error(f"no tests are named for {', '.join(sorted(unknown))}; expected {', '.join(SETTINGS['packages'])}")
    packages = options.packages or list(SETTINGS["packages"])
    if len(packages) == 1:
        run(packages[0], options.sample, options.seed, options.survivors)
        return
    flags = [flag for flag in sys.argv[1:] if flag not in options.packages]
    for package in packages:  # mutmut keeps its state in the process
        subprocess.run([sys.executable, "-m", "tests.mutants", package, *flags], check=True)


def run(package: str, sample: int | None, seed: int, survivors: bool) -> None:
    settings = SETTINGS["packages"][package]
    config().only_mutate = [f"perturb/{package}/*.py"]
    config().pytest_add_cli_args_test_selection = settings["tests"]
    config().pytest_add_cli_args += [f"--deselect={test}" for test in settings.get("without", [])]
    names: list[str] = []
    if survivors:
        names = [name for name, code in results().items() if code in SURVIVED]
        if not names:
            raise SystemExit(f"No mutant of {package} survived the last run, or that run was of another package.")
        Path("mutants/mutmut-stats.json").unlink(missing_ok=True)  # which test runs which function may have changed
    else:
        shutil.rmtree("mutants", ignore_errors=True)
        if sample:
            names = all_names()
            names = sorted(random.Random(seed).sample(names, min(sample, len(names))))
    tester._run(names, max_children=1)
    report(package, names)


def all_names() -> list[str]:
    return sorted(
        tester.get_mutant_name(path, name)
        for path in walk_mutatable_files()
        for name in tester.mutate_file_contents(str(path), path.read_text()).mutant_names
    )


def results() -> dict[str, int | None]:
    """How the tests of each mutant ended in the last run; None for the ones that were not tested."""
    found: dict[str, int | None] = {}
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        found |= data.exit_code_by_key
    return found


def report(package: str, names: list[str]) -> None:
    """Print the survivors as diffs, and the score."""
    found = results()
    count: Counter[str] = Counter()
    for name in names or sorted(found):
        if found[name] in NOT_TESTED:
            raise SystemExit(f"{name} could not be tested; can pytest run each test of the package by its name alone?")
        survived = found[name] in SURVIVED
        diff = get_diff_for_mutant(name)
        same = is_equivalent(package, name, changed(diff, "-"), changed(diff, "+"))
        if survived and not same:
            print(f"\n# {name}: {status_by_exit_code[found[name]]}\n{diff}")
        if same and not survived:
            print(f"\n# {name}: listed as equivalent, but killed\n{diff}")
        count["equivalent" if same and survived else "survived" if survived else "killed"] += 1
    score = count["killed"] / max(1, count["killed"] + count["survived"])
    print(
        f"\n{package}: {count.total()} mutants{'' if names else ' (all)'}, {count['killed']} killed, "
        f"{count['equivalent']} equivalent, {count['survived']} survived; score {score:.1%}"
    )


def is_equivalent(package: str, name: str, was: str, becomes: str) -> bool:
    """Whether `mutants.toml` names a mutant as one that no test can tell from the code."""
    return any(
        entry.get("package", package) == package
        and (
            [was, becomes] in entry.get("changes", ())
            or any(name.startswith(f"{function}__mutmut_") for function in entry.get("functions", ()))
            or any(re.sub(part, "…", was) == re.sub(part, "…", becomes) for part in entry.get("parts", ()))
        )
        for entry in SETTINGS["equivalent"]
    )


def changed(diff: str, sign: str) -> str:
    """The lines of one side of a diff, without indentation."""
    return "\n".join(line[1:].strip() for line in diff.splitlines()[2:] if line.startswith(sign))


if __name__ == "__main__":
    main()
