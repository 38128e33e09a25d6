"""Build the wheel and install it into a fresh environment, whose other packages are those of the running one."""

import subprocess
import sys
import sysconfig
import venv
from collections.abc import Collection
from importlib.metadata import distribution
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("streamlit", "starlette", "uvicorn", "altair", "onnx", "protobuf", "onnxruntime")
"""Distributions that only the extras ask for."""


def build(folder: Path) -> Path:
    """The wheel, built as `pip install .` builds it."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path, without: Collection[str] = ()) -> Path:
    """The `bin` folder of an environment that holds the wheel.

    Args:
        wheel: to install.
        folder: new.
        without: distributions of the running environment that are not there in this one.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    binaries = folder / ("Scripts" if sys.platform == "win32" else "bin")
    command = [sys.executable, "-m", "pip", "--python", str(binaries / "python"), "install", "--quiet", "--no-deps"]
    subprocess.run([*command, "--no-index", str(wheel)], check=True, cwd=folder)
    rest = folder / "rest" / "site-packages"  # by this name Streamlit knows that it is installed
    rest.mkdir(parents=True)
    hidden = {PurePosixPath(file).parts[0] for name in without for file in distribution(name).files or ()}
    for kept in Path(sysconfig.get_path("purelib")).iterdir():
        # A clone that is installed here in place would stand in for the wheel.
        if kept.name not in hidden and not kept.name.startswith(("perturb", "__editable__", "_perturb")):
            (rest / kept.name).symlink_to(kept)
    (site,) = folder.glob("lib/*/site-packages") if sys.platform != "win32" else [folder / "Lib" / "site-packages"]
    (site / "rest.pth").write_text(f"{rest}\n")
    return binaries
