"""Two public classes or functions of `perturb` never share a name: a reader who finds one has found the one that is meant."""

import ast
from collections import defaultdict
from pathlib import Path

import perturb

SHARED = {
    "add": "each command of the command line adds its own options",
    "contents": "each kind of folder that can be written has its own files",
    "prepare": "each kind of confined process does once what its tasks may do",
    "python_lines": "each kind of result has its own code that reproduces it",
}


def modules_by_name(root):
    """The modules that define each public class and function at their top level."""
    found = defaultdict(set)
    for path in sorted(root.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name[0] != "_":
                found[node.name].add(path.relative_to(root).as_posix())
    return found


def test_no_two_modules_define_the_same_public_name():
    found = modules_by_name(Path(perturb.__file__).parent)
    twice = {name: sorted(paths) for name, paths in found.items() if len(paths) > 1}
    assert {name: paths for name, paths in twice.items() if name not in SHARED} == {}
    assert set(SHARED) <= set(twice), "an exception that is none any more is taken off the list"


def test_a_class_that_is_an_onnx_segmenter_is_asked_for_by_no_page_method_or_command():
    """Whatever an adapter has to say stands in the contract of segmenters."""
    root = Path(perturb.__file__).parents[1]
    asked = [
        path.relative_to(root).as_posix()
        for folder in ("perturb", "pages")
        for path in sorted((root / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "isinstance"
        and any("Onnx" in getattr(name, "id", "") for name in ast.walk(node.args[1]))
    ]
    assert asked == []
