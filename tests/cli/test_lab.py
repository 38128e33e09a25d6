"""`perturb lab`: every error is one sentence before the app starts, and the offered names reach the pages."""

import json
import os
import socket
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.testing import assert_array_equal

import perturb
from perturb.cli.main import main
from perturb.lab.limits import host_limits
from perturb.segmenters.offer import VARIABLE, Offer
from tests import onnx_files as files
from tests.pages.test_pages import visit, words

NETS = """
import perturb
import torch

NUMBER = 3


class Dark(perturb.Segmenter):
    def logits(self, batch):
        value = batch.mean(1, keepdim=True)
        return torch.cat([value * 10, (1 - value) * 10], 1)


class Narrow(Dark):
    def logits(self, batch):
        return super().logits(batch)[..., 1:]


class Failing(Dark):
    def logits(self, batch):
        raise RuntimeError("size mismatch\\nand more")


def make(device):
    assert isinstance(device, torch.device)
    return Dark("dark", classes=["bright", "dark"])


def plain():
    return Dark("plain", classes=["bright", "dark"])


ready = Dark("ready", classes=["bright", "dark"])


def taken():
    return Dark("streets-unet", classes=["bright", "dark"])


def module():
    return torch.nn.Conv2d(3, 2, 1)


def broken():
    raise SystemExit("no weights\\nhere")


def narrow():
    return Narrow("narrow", classes=["bright", "dark"])


def failing():
    return Failing("failing", classes=["bright", "dark"])
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A working folder with a module, as a user has it."""
    (tmp_path / "lab_nets.py").write_text(NETS)
    (tmp_path / "lab_broken.py").write_text("1 / 0")
    (tmp_path / "lab_flat.onnx").write_bytes(files.save(files.pixelwise())[:100])
    (tmp_path / "lab_unsaid.onnx").write_bytes(files.save(files.pixelwise()))
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"no image")
    monkeypatch.chdir(tmp_path)
    before = dict(perturb.SEGMENTERS)
    yield tmp_path
    perturb.SEGMENTERS.clear()
    perturb.SEGMENTERS.update(before)


@pytest.fixture
def started(monkeypatch):
    """What would take the place of the process."""
    calls = []

    class ReplacedError(Exception):
        """The process would be another now."""

    def execute(program, command, environment):
        calls.append((program, command, environment))
        raise ReplacedError

    monkeypatch.setattr(os, "execve", execute)
    return calls, ReplacedError


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--segmenter unet", "There is no segmenter 'unet'; expected one of streets-unet"),
        ("--segmenter gone.onnx", "The ONNX file 'gone.onnx' cannot be read"),
        ("--segmenter lab_flat.onnx", "'lab_flat.onnx' is not an ONNX file, or is truncated or empty"),
        ("--segmenter lab_unsaid.onnx", "does not say its scale; give it"),
        ("--segmenter streets-unet --onnx scale=unit", "apply to ONNX files, and 'streets-unet' is not one"),
        ("--segmenter no_such:make", "The module 'no_such' of 'no_such:make' cannot be imported (ModuleNotFoundError"),
        ("--segmenter lab_broken:make", "cannot be imported (ZeroDivisionError: division by zero)"),
        ("--segmenter lab_nets:gone", "lab_nets.py) has no 'gone'; expected a function"),
        ("--segmenter lab_nets:NUMBER", "'lab_nets:NUMBER' is a int, expected a function"),
        (
            "--segmenter lab_nets:module",
            "returned a Conv2d, expected a perturb.Segmenter. A torch module becomes one by",
        ),
        ("--segmenter lab_nets:broken", "'lab_nets:broken' failed (SystemExit: no weights); expected a function"),
        ("--segmenter lab_nets:taken", "There is already a segmenter 'streets-unet'; choose another name"),
        ("--segmenter lab_nets:narrow", "Segmenter 'narrow' returned 479 × 360 px for an image of 480 × 360 px"),
        ("--segmenter lab_nets:failing", "cannot run on 'quiet-street', 480 × 360 px (RuntimeError: size mismatch)"),
        ("--images gone", "There is no folder '"),
        ("--images empty", "empty' contains no image; expected files of .png"),
        ("--images bad", "expected"),
        ("--truth empty", "'--truth empty' applies to a folder of images; add --images"),
        ("--images bad --truth gone", "There is no folder '"),
        ("--port 0", "There is no port 0; expected 1 to 65535"),
        (
            "--address 192.0.2.1",
            "The app cannot be served at the address '192.0.2.1' (Cannot assign requested address)",
        ),
        ("--address lab:80", "The app cannot be served at the address 'lab:80' ("),
        ("--address lab..org", "The app cannot be served at the address 'lab..org' ("),
    ],
)
@pytest.mark.usefixtures("work")
def test_a_mistake_is_one_sentence_and_nothing_is_started(options, sentence, started, capsys):
    assert main(["lab", *options.split()]) == 2
    told = capsys.readouterr()
    assert sentence in told.err
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    assert not told.out
    assert not started[0]


@pytest.mark.usefixtures("work")
def test_a_port_in_use_is_refused(started, capsys, monkeypatch):
    monkeypatch.setenv("STREAMLIT_SERVER_ADDRESS", "127.0.0.1")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["lab", "--port", str(port)]) == 2
    assert f"The port {port} cannot be used (Address already in use). Choose another one" in capsys.readouterr().err
    assert not started[0]


@pytest.mark.parametrize(
    ("options", "variables", "address"),
    [
        ("", {}, "127.0.0.1"),
        ("", {"STREAMLIT_SERVER_ADDRESS": "0.0.0.0"}, "0.0.0.0"),
        ("", {"STREAMLIT_SERVER_ADDRESS": "0.0.0.0", "LAB_ADDRESS": "127.0.0.2"}, "127.0.0.2"),
        ("--address localhost", {"STREAMLIT_SERVER_ADDRESS": "0.0.0.0", "LAB_ADDRESS": "127.0.0.2"}, "localhost"),
    ],
)
@pytest.mark.usefixtures("work")
def test_the_address_is_this_machine_until_told_otherwise(options, variables, address, started, monkeypatch):
    monkeypatch.delenv("STREAMLIT_SERVER_ADDRESS", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    host_limits.cache_clear()
    calls, replaced = started
    with pytest.raises(replaced):
        main(["lab", *options.split()])
    host_limits.cache_clear()
    command = calls[0][1]
    assert command[command.index("--server.address") + 1] == address


@pytest.mark.parametrize("factory", ["make", "plain", "ready"])
@pytest.mark.usefixtures("work")
def test_the_settings_reach_the_app_by_its_environment_alone(factory, started, capsys):
    calls, replaced = started
    with pytest.raises(replaced):
        main(["lab", "--segmenter", f"lab_nets:{factory}", "--port", "9471"])
    ((program, command, environment),) = calls
    assert command[:5] == [program, "-P", "-m", "streamlit", "run"]
    assert command[-2:] == ["--server.port", "9471"]
    assert "lab_nets" not in " ".join(command)
    assert Offer.from_variable(environment[VARIABLE]).segmenter == f"lab_nets:{factory}"
    assert f"segmenter {'dark' if factory == 'make' else factory}, 2 classes" in capsys.readouterr().out


def test_an_offer_comes_back_from_its_variable_and_nothing_else_does():
    offer = Offer("a.onnx", {"scale": "unit"}, ("a", "b"), "/x", "/y", (11, 12))
    assert Offer.from_variable(offer.as_variable()) == offer
    assert Offer.from_variable("") == Offer()
    for text in ("{", "[]", "3", '{"paths": 1}', '{"classes": 3}', "[" * 100_000):
        with pytest.raises(perturb.SettingError, match="does not contain the settings of `perturb lab`"):
            Offer.from_variable(text)


@pytest.fixture
def offered(work, monkeypatch):
    """A folder of two images that is offered with a segmenter from a module, as the app sees it."""
    folder = work / "photos"
    folder.mkdir()
    for name, value in (("a", 20), ("b", 220)):
        pixels = np.full((60, 80, 3), value, np.uint8)
        pixels[20:40, 20:60] = 240 - value
        PIL.Image.fromarray(pixels).save(folder / f"{name}.bmp")
    PIL.Image.fromarray(np.eye(60, 80, dtype=np.uint8)).save(folder / "a.png")
    offer = Offer("lab_nets:plain", images=str(folder))
    monkeypatch.setenv(VARIABLE, offer.as_variable())
    return folder, offer


@pytest.mark.usefixtures("offered")
def test_the_pages_begin_with_what_is_offered():
    app = visit("faithfulness", fai_view="cards")
    assert not app.exception
    assert app.sidebar.segmented_control(key="source").value == "folder"
    assert app.sidebar.selectbox(key="folder").options == ["a.bmp", "b.bmp"]
    assert app.sidebar.selectbox(key="segmenter").value == "plain"
    image = app.session_state["image"]
    assert image.name == "a"
    assert_array_equal(image.truth, np.eye(60, 80))
    app.sidebar.selectbox(key="folder").select("b.bmp").run()
    assert app.session_state["image"].truth is None
    app.sidebar.button(key=f"open_{image.digest}").click().run()
    assert app.sidebar.selectbox(key="folder").value == "a.bmp"
    assert app.session_state["image"].digest == image.digest
    app.sidebar.segmented_control(key="source").set_value("sample").run()
    assert app.session_state["image"].name == "quiet-street"
    app.sidebar.button(key=f"open_{image.digest}").click().run()
    assert app.sidebar.segmented_control(key="source").value == "folder"


@pytest.mark.usefixtures("offered")
def test_a_link_to_a_sample_or_to_an_image_leaves_its_source_out():
    app = visit("faithfulness", fai_view="cards", sample="dusk")
    assert app.session_state["image"].name == "dusk"
    app = visit("faithfulness", fai_view="cards", folder="b.bmp")
    assert app.session_state["image"].name == "b"


def test_an_image_that_breaks_later_is_named_and_a_sample_stands_in(offered):
    folder, _ = offered
    (folder / "a.bmp").write_bytes(b"broken")
    app = visit("faithfulness", fai_view="cards")
    assert not app.exception
    assert app.sidebar.error[0].value.startswith("a.bmp: ")
    assert app.session_state["image"].name == "quiet-street"
    (folder / "a.bmp").unlink()
    app.run()
    assert not app.exception
    assert app.sidebar.error[0].value.startswith("a.bmp: ")


@pytest.mark.usefixtures("work")
def test_a_lab_without_the_folder_says_so():
    app = visit(folder="../secret.png")
    assert not app.exception
    assert "of a folder that this lab does not offer" in app.toast[0].value


@pytest.mark.usefixtures("work")
def test_a_wrong_variable_is_a_sentence_on_the_page(monkeypatch):
    monkeypatch.setenv(VARIABLE, "{")
    app = visit("occlusion")
    assert not app.exception
    assert "does not contain the settings of" in words(app)


def test_explain_takes_a_factory_and_its_record_names_it(work, capsys):
    picture = work / "p.png"
    PIL.Image.fromarray((np.random.default_rng(0).random((40, 50, 3)) * 255).astype(np.uint8)).save(picture)
    line = ["explain", str(picture), "--segmenter", "lab_nets:make", "--target", "dark", "--no-curves"]
    assert main([*line, "--set", "size=20", "--set", "stride=20", "--out", "out"]) == 0
    assert "--segmenter lab_nets:make" in Path("out/reproduce.sh").read_text()
    code = Path("out/reproduce.py").read_text().replace("PATH OF YOUR IMAGE", "p.png").replace('"out"', '"again"')
    exec(compile(code, "reproduce.py", "exec"), {})
    assert_array_equal(np.load("out/heatmap.npy"), np.load("again/heatmap.npy"))
    assert json.loads(Path("out/result.json").read_text())["segmenter"]["name"] == "dark"
    capsys.readouterr()
