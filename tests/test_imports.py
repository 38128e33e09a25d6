"""Modules of `perturb` import each other in one direction; the layers themselves stand in `pyproject.toml`."""

from graphlib import TopologicalSorter

import grimp


def test_no_module_imports_itself_by_way_of_others():
    """Imports in functions and for the type checker count as well."""
    graph = grimp.build_graph("perturb", cache_dir=None)
    TopologicalSorter({name: graph.find_modules_directly_imported_by(name) for name in graph.modules}).prepare()


def test_nothing_imports_the_package_that_gathers_the_public_names_but_the_command_line():
    graph = grimp.build_graph("perturb", cache_dir=None)
    importers = graph.find_modules_that_directly_import("perturb")
    assert importers == {name for name in importers if name.startswith("perturb.cli.")} != set()
