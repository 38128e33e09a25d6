"""Every code block and command of the README and of the documentation runs, and prints what the page says.

`UPDATE_DOCS=1 python -m pytest tests/test_docs_examples.py` writes what is printed now into the pages.
"""

import io
import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from unittest import SkipTest

import pytest
from sybil import Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, SkipParser

from docs.labdocs.commands import run

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES += [path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts]
IDS = [path.relative_to(ROOT).as_posix() for path in PAGES]
RUN = ("python", "bash", "console")
"""Languages of blocks that run; an `output` block is what the Python block before it prints."""
READ = ("text", "dockerfile", "diff", "ini", "toml", "html", "csv")
"""Languages of blocks that are only read."""
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
UPDATE = bool(os.environ.get("UPDATE_DOCS"))


class Page:
    """Runs the blocks of one page, in order, in one folder and one Python namespace."""

    def __init__(self, path, quick):
        self.path, self.quick = path, quick
        self.printed = ""
        self.evaluated = self.skipped = 0
        self.python = PythonEvaluator()
        self.changes = []

    def run(self):
        parsers = [SkipParser()]
        for language in (*RUN, "output"):
            parsers.append(CodeBlockParser(language, getattr(self, f"_{language}")))
        document = Sybil(parsers, path=str(self.path.parent), pattern=self.path.name).parse(self.path)
        document.namespace["quick"] = self.quick
        for example in document.examples():
            try:
                example.evaluate()
            except SkipTest:
                self.skipped += 1
        if self.changes:
            text = document.text
            for start, end, new in reversed(self.changes):
                text = text[:start] + new + text[end:]
            self.path.write_text(text, encoding="utf-8")

    def _python(self, example):
        self.evaluated += 1
        with redirect_stdout(io.StringIO()) as printed:
            self.python(example)
        self.printed = printed.getvalue()

    def _output(self, example):
        self._compare(example.parsed, self.printed, example)

    def _bash(self, example):
        self.evaluated += 1
        for command in _joined(example.parsed.splitlines()):
            _command(command)

    def _console(self, example):
        self.evaluated += 1
        for part in re.split(r"^(?=\$ )", example.parsed, flags=re.MULTILINE):
            if part.strip():
                lines = part[2:].splitlines()
                last = next(index for index, line in enumerate(lines) if not line.endswith("\\"))
                (command,) = _joined(lines[: last + 1])
                self._compare("\n".join(lines[last + 1 :]), _command(command), example)

    def _compare(self, expected, printed, example):
        printed = re.sub(r" in \d+\.\d s$", " in … s", printed.rstrip(), flags=re.MULTILINE)
        if same(expected.rstrip(), printed):
            return
        if UPDATE:
            start = example.start + example.document.text[example.start : example.end].index("\n") + 1
            if expected.strip():
                start = example.document.text.index(expected.rstrip(), start, example.end)
                self.changes.append((start, start + len(expected.rstrip()), printed))
            elif example.region.parsed.strip():  # the last command of a console block, without its output
                self.changes.append((example.end - 3, example.end - 3, printed + "\n"))
            else:
                self.changes.append((start, start, printed + "\n"))
            return
        raise AssertionError(f"{self.path.name}:{example.line} says\n{expected}\nand what is printed is\n{printed}")


def same(expected, printed):
    """Whether two texts agree, numbers to two percent: the last digits depend on the processor; `…` stands for anything."""
    pattern = re.escape(NUMBER.sub("#", expected)).replace("…", ".*?")
    if not re.fullmatch(pattern, NUMBER.sub("#", printed), flags=re.DOTALL):
        return False
    if "…" in expected:  # numbers of what it stands for cannot be told from the others, line by line they can
        lines = list(zip(expected.splitlines(), printed.splitlines(), strict=False))
        numbers = [(a, b) for a, b in lines if "…" not in a]
    else:
        numbers = [(expected, printed)]
    for a, b in numbers:
        for one, other in zip(NUMBER.findall(a), NUMBER.findall(b), strict=True):
            one, other = (float(number.replace(",", "")) for number in (one, other))
            if abs(one - other) > 0.02 * max(abs(one), abs(other), 0.05):
                return False
    return True


def _joined(lines):
    """Commands, one a line, whose lines may end with a backslash; comments and empty lines are left out."""
    text = "\n".join(lines).replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _command(command):
    """Run a command and return what it prints; `perturb` in this process, since loading torch takes seconds."""
    words = shlex.split(command, comments=True)
    if words[:3] == ["python", "-m", "perturb"]:
        words = ["perturb", *words[3:]]
    if words[0] == "perturb":
        code, out, err = run(tuple(words[1:]))
    else:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        env = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(["bash", "-ec", command], env=env, capture_output=True, text=True, check=False)
        code, out, err = done.returncode, done.stdout, done.stderr
    assert code == 0, f"{command}\nended with {code}:\n{err}"
    return out


def _fences(text):
    """Language and body of every fenced block; what stands in a comment included."""
    return re.findall(r"^```(\S*)[^\n]*\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_the_examples_of_a_page_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = Page(path, quick=True)
    page.run()
    blocks = [language for language, _ in _fences(path.read_text(encoding="utf-8")) if language in RUN]
    assert page.evaluated + page.skipped >= len(blocks), "a block was neither run nor skipped with a reason"


SLOW = [path for path in PAGES if "if(quick" in path.read_text(encoding="utf-8")]


@pytest.mark.long
@pytest.mark.parametrize("path", SLOW, ids=[path.name for path in SLOW])
def test_the_slow_examples_of_a_page_run_too(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Page(path, quick=False).run()


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_no_example_hides_from_the_tests(path):
    text = path.read_text(encoding="utf-8")
    fences = [line for line in text.splitlines() if "```" in line]
    assert all(
        line == "```" if number % 2 else re.fullmatch(r"```(\w+|\{.*)", line) for number, line in enumerate(fences)
    ), fences
    for language, body in _fences(text):
        assert body.strip(), f"an empty block of {language}"
        if language.startswith("{"):  # a directive of the site
            continue
        assert language in (*RUN, "output", *READ), f"a block without a known language: {body[:60]!r}"
        if language in READ:
            assert not re.search(r"^(\$ |perturb |python |pip |make |import |from )", body, re.MULTILINE), body
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"\n\n {4}(?:\$ |perturb |python |pip |make |import |from ).*", outside)
    assert not indented, "commands stand in fenced blocks, which are run"
    for action, reason in re.findall(r"<!---\s*skip:\s*(next|start)(.*?)-->", text):
        assert re.search(r'"[^"]{10,}"', reason), f"'skip: {action}' gives no reason"


def test_outputs_are_compared():
    assert same("AUC 0.057 ↓ of 1,234", "AUC 0.0571 ↓ of 1,240")
    assert not same("AUC 0.057 ↓", "AUC 0.157 ↓")
    assert not same("AUC 0.057 ↓", "IoU 0.057 ↓")
    assert not same("3 maps", "3 maps and 4 curves")
    assert same("12 passes in … s\nrange +1.2", "12 passes in 3.4 s\nrange +1.2")
    assert not same("12 passes in … s\nrange +1.2", "12 passes in 3.4 s\nrange +2.2")
