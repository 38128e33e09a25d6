"""requirements.lock: within the ranges of requirements.txt, whole, hashed, and of the releases that these tests run with."""

import re
from importlib.metadata import distribution, version
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PLATFORMS = [
    default_environment() | {"python_version": python, "python_full_version": f"{python}.4"} | system
    for python in ("3.11", "3.12", "3.13")
    for system in (
        {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
        {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
        {"sys_platform": "win32", "platform_system": "Windows", "platform_machine": "AMD64"},
    )
]


def wanted():
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    return [Requirement(line) for line in lines if line]


@pytest.fixture(scope="module")
def locked():
    """Each pin and the number of its hashes."""
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    blocks = text.replace("\\\n", " ").splitlines()
    return [(Requirement(line.partition("--hash")[0]), line.count("--hash=sha256:")) for line in blocks]


def pins(locked, environment):
    found = {}
    for pin, _ in locked:
        if pin.marker is None or pin.marker.evaluate(environment):
            assert canonicalize_name(pin.name) not in found
            (only,) = pin.specifier
            found[canonicalize_name(pin.name)] = only.version
    return found


@pytest.mark.parametrize("environment", PLATFORMS, ids=lambda each: f"{each['sys_platform']}-{each['python_version']}")
def test_every_requirement_is_pinned_within_its_range(locked, environment):
    got = pins(locked, environment)
    for requirement in wanted():
        if requirement.marker is None or requirement.marker.evaluate(environment):
            assert requirement.specifier.contains(got[canonicalize_name(requirement.name)]), str(requirement)


def test_nothing_that_the_app_needs_here_is_left_out(locked):
    """Hash checking refuses a set that is not whole. The packages' own metadata says what they need."""
    here = default_environment()
    got, seen, todo = pins(locked, here), set(), [(each.name, each.extras) for each in wanted() if _holds(each, here)]
    while todo:
        name, extras = todo.pop()
        if (canonicalize_name(name), frozenset(extras)) in seen:
            continue
        seen.add((canonicalize_name(name), frozenset(extras)))
        assert canonicalize_name(name) in got, name
        for line in distribution(name).requires or ():
            needed = Requirement(line)
            if _holds(needed, here, extras):
                todo.append((needed.name, needed.extras))
    assert len(seen) > 40


def _holds(requirement, environment, extras=()):
    marker = requirement.marker
    return marker is None or any(marker.evaluate(environment | {"extra": extra}) for extra in ("", *extras))


def test_every_file_is_known_by_its_hash(locked):
    assert len(locked) > 40
    for pin, hashes in locked:
        assert re.fullmatch(r"==[0-9][0-9a-z.]*", str(pin.specifier)), str(pin)
        assert hashes >= 1, str(pin)


def test_the_locked_releases_are_those_that_are_tested(locked):
    """The same release, as the third number may have gone up since `make lock`."""
    got = pins(locked, default_environment())
    for name in ("torch", "torchvision", "streamlit"):
        assert Version(got[name]).release[:2] == Version(version(name)).release[:2], name
