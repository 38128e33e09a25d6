"""The wheel in a fresh environment, outside the clone: what it holds, and that the library and the command work."""

import email
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

import perturb
from tests.installed import EXTRAS, ROOT, build, install
from tests.typing import user_code


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    before = set(ROOT.iterdir())
    made = build(tmp_path_factory.mktemp("wheel"))
    assert set(ROOT.iterdir()) == before, "building leaves nothing in the clone"
    return made


@pytest.fixture(scope="module")
def engine(wheel, tmp_path_factory):
    """An environment without the packages of the extras: `bin` and an empty folder to work in."""
    folder = tmp_path_factory.mktemp("engine")
    (folder / "work").mkdir()
    return install(wheel, folder / "environment", without=EXTRAS), folder / "work"


def call(environment, *command):
    binaries, work = environment
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    program, *rest = command
    return subprocess.run(
        [str(binaries / program), *map(str, rest)], cwd=work, env=kept, capture_output=True, text=True, check=False
    )


def tracked(*folders):
    """The files below folders of the clone that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}


def test_the_wheel_holds_the_engine_and_the_app_and_nothing_beside_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    inside = {name: data for name, data in held.items() if ".dist-info/" not in name}
    wanted = {name: (ROOT / name).read_bytes() for name in tracked("perturb")}
    app = tracked("pages", "streamlit_app.py", ".streamlit", "docs/export.md")
    wanted |= {f"perturb/_app/{name}": (ROOT / name).read_bytes() for name in app}
    assert inside.keys() == wanted.keys()
    assert inside == wanted
    assert {"perturb/py.typed", "perturb/_app/.streamlit/config.toml"} <= inside.keys()
    assert any(name.endswith(".safetensors") for name in inside)
    (record,) = (data for name, data in held.items() if name.endswith(".dist-info/METADATA"))
    told = email.message_from_bytes(record)
    assert (told["Version"], told["License-Expression"]) == (perturb.__version__, "MIT")
    assert told.get_all("License-File") == ["LICENSE"]
    assert {"app", "onnx"} <= set(told.get_all("Provides-Extra"))
    plain = {Requirement(line).name for line in told.get_all("Requires-Dist") if "extra ==" not in line}
    assert "torch" in plain
    assert not plain & set(EXTRAS), "the engine needs neither the app's packages nor those of ONNX"


def test_the_engine_works_without_the_extras(engine):
    _, work = engine
    script = """
        import importlib.util, pathlib, sys
        import perturb
        place = pathlib.Path(perturb.__file__).resolve()
        assert place.is_relative_to(pathlib.Path(sys.prefix).resolve()), place
        for name in ("streamlit", "onnx", "onnxruntime", "pages", "streamlit_app"):
            assert importlib.util.find_spec(name) is None, name
        result = perturb.explain(
            perturb.sample(), perturb.load_segmenter(), perturb.Target("car"), size=180, stride=180
        )
        assert "onnxruntime" not in result.as_dict()["versions"]
        perturb.save(result, "from-python", curves=None)
        open("own.onnx", "wb").write(b"\\x08\\x07")
        try:
            perturb.load_onnx("own.onnx", scale="unit")
        except perturb.SegmenterError as error:
            print(error)
    """
    done = call(engine, "python", "-c", "\n".join(line[8:] for line in script.splitlines()))
    assert done.returncode == 0, done.stderr
    assert 'Install them with `pip install "perturbation-lab[onnx]"`.' in done.stdout
    line = (work / "from-python" / "reproduce.sh").read_text().split()
    assert line[:4] == ["python", "-m", "perturb", "explain"]
    done = call(engine, "perturb", *line[3:-1], "from-shell")
    assert done.returncode == 0, done.stderr
    maps = [np.load(work / name / "heatmap.npy") for name in ("from-python", "from-shell")]
    np.testing.assert_array_equal(*maps)
    done = call(engine, "perturb", "lab")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith('Run `pip install "perturbation-lab[app]"`.\n')
    done = call(engine, "perturb", "list")
    assert "See 'perturb list --help'" in done.stderr


def test_what_a_user_writes_runs(tmp_path):
    """The same lines that `make check` has the type checker read."""
    before = dict(perturb.SEGMENTERS)
    try:
        assert (user_code.explained(tmp_path / "out") / "result.json").is_file()
    finally:
        perturb.SEGMENTERS.clear()
        perturb.SEGMENTERS.update(before)


@pytest.mark.long
def test_the_installed_package_is_typed(engine, tmp_path):
    """A strict type checker takes the types from the wheel: it passes what is right and finds what is wrong."""
    (tmp_path / "right.py").write_text(Path(user_code.__file__).read_text())
    (tmp_path / "wrong.py").write_text("import perturb\nperturb.sample(3)\nx: int = perturb.load_segmenter().name\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-executable"]
    done = subprocess.run(
        [*command, str(engine[0] / "python"), "right.py", "wrong.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    told = re.findall(r"^(\w+\.py:\d+): error: .*\[([\w-]+)\]$", done.stdout, flags=re.MULTILINE)
    assert told == [("wrong.py:2", "arg-type"), ("wrong.py:3", "assignment")], done.stdout


def test_the_installed_environment_is_sound(wheel, tmp_path):
    binaries = install(wheel, tmp_path / "environment")
    command = [sys.executable, "-m", "pip", "--python", str(binaries / "python"), "check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_ranges_of_the_package_hold_the_full_set_of_the_app():
    """Every requirement of `requirements.txt` is one of the package's or its extras', as it stands or more narrowly."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    package = [*project["dependencies"], *extras["app"], *extras["onnx"]]
    ranges = {each.name: each.specifier for each in map(Requirement, package)}
    lines = [re.sub("#.*", "", line).strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    full = {each.name: each.specifier for each in map(Requirement, filter(None, lines))}
    assert full.keys() == ranges.keys()
    assert {name for name in full if full[name] != ranges[name]} == {"torch", "torchvision"}
    for name, specifier in ranges.items():
        assert specifier.contains(version(name)), name


def test_a_stray_copy_of_the_clone_is_not_what_was_tested(engine):
    done = call(engine, "python", "-c", "import perturb.images.samples as s; print(s.BUNDLED)")
    assert not Path(done.stdout.strip()).is_relative_to(ROOT)
