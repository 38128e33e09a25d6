"""Hostile text stays text: each property parses what was written, the way the reader of that language does."""

import ast
import csv
import io
import json
import os
import shlex
import string
import subprocess
import sys
import unicodedata
import zipfile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import perturb
from pages.parts.figures.drawing import bar_html, legend_html
from perturb.cli.main import main
from perturb.core.files import csv_bytes, npz
from perturb.core.quoting import (
    FILE_NAME_BYTES,
    csv_cell,
    encodable,
    file_name,
    html_text,
    json_file,
    markdown_text,
    python_literal,
    shell_line,
)
from perturb.core.svg import Line, line_chart
from perturb.export import comparison, writer
from perturb.export.report.document import Table, report_html, report_zip
from perturb.export.report.items import item_of
from perturb.export.writer import command_line
from tests import onnx_files as files
from tests.analytic import Additive, picture
from tests.scripts import run_script

RUNS = 'car"); import os; os.system("touch pwned")  #'
HOSTILE = (
    RUNS,
    "car'); import os; os.system('touch pwned')  #",
    'a"\nimport os\nos.system("touch pwned")\n"',
    "\\",
    "\\'\"",
    '"""',
    "{settings}",
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned #",
    "x\x03\ntouch pwned\n",
    "\x1b[201~touch pwned\n",
    "--out=elsewhere",
    "-x",
    "</pre><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    '" onmouseover="alert(1)',
    "<!--",
    "]]>",
    "&lt;b&gt;",
    '=HYPERLINK("http://example.org";"x")',
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "\t=1+1",
    "\r=1+1",
    " =1+1",
    "＝1+1",
    "'=1+1",
    "-5",
    "1,2;3",
    'a","=1+1',
    "../../etc/passwd",
    "..",
    ".hidden",
    "C:\\x",
    "con",
    "NUL.txt",
    "a" * 1000,
    "\0",
    "\u202etxt.exe",
    "\ud800",
    "\u2028",
    "文字 🚗",
    "",
    " ",
    "3",
    "![x](http://example.org/x.png)",
    "[x](javascript:alert(1))",
    "**x**",
    ":red[x]",
    ":material/home:",
    "$x^2$",
    "# x",
    "1. x",
    "a,b",
    '["a"]',
)
WORDS = st.text(max_size=60) | st.sampled_from(HOSTILE) | st.lists(st.sampled_from(HOSTILE), max_size=3).map("".join)
ANY = WORDS | st.text(st.characters(exclude_categories=()), max_size=40)  # halves of surrogate pairs, too


def hostile(test):
    """Every hostile text by itself, before the drawn ones."""
    for text in HOSTILE:
        test = example(text)(test)
    return settings(max_examples=300, deadline=None, derandomize=True)(test)


@hostile
@given(ANY)
def test_python_literals_give_the_value_back_and_are_one_printable_constant(text):
    written = python_literal(text)
    (statement,) = ast.parse(written).body
    assert isinstance(statement.value, ast.Constant)
    assert statement.value.value == text
    assert written.isprintable()
    assert ast.literal_eval(python_literal([text, 1, -0.5, True, None, (text,), {text: 2}])) == [
        text,
        1,
        -0.5,
        True,
        None,
        (text,),
        {text: 2},
    ]


def test_what_has_no_literal_is_refused():
    with pytest.raises(TypeError, match="No literal for a ndarray"):
        python_literal(np.zeros(2))
    assert np.isnan(eval(python_literal(float("nan"))))
    assert eval(python_literal(float("-inf"))) == float("-inf")


@hostile
@given(ANY)
def test_shell_lines_are_the_words_that_were_given(text):
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    line = shell_line(["run", text, f"--a={text}"])
    assert line.isprintable(), "a terminal would act on it while it is pasted"
    assert shlex.split(line) == ["run", shown, f"--a={shown}"]


def test_a_real_shell_hears_the_same_words(tmp_path):
    line = shell_line([sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv[1:]))", *HOSTILE])
    done = subprocess.run(["bash"], input=line, capture_output=True, text=True, check=True, cwd=tmp_path)
    shown = ["".join(letter if letter.isprintable() else "\ufffd" for letter in text) for text in HOSTILE]
    assert json.loads(done.stdout) == shown
    assert not os.listdir(tmp_path)


class Tags(HTMLParser):
    """Elements with the names of their attributes, and the text."""

    def __init__(self, document):
        super().__init__(convert_charrefs=True)
        self.tags, self.text = [], ""
        self.feed(document)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, [name for name, _ in attributes]))

    def handle_comment(self, data):
        self.tags.append((data, []))

    handle_decl = unknown_decl = handle_pi = handle_comment

    def handle_data(self, data):
        self.text += data


@hostile
@given(ANY)
def test_html_gains_no_element_and_no_attribute(text):
    def page(inside):
        return f"<p title=\"{inside}\">{inside}</p><i title='{inside}'></i>"

    read = Tags(page(html_text(text)))
    assert read.tags == [("p", ["title"]), ("i", ["title"])]
    assert read.text == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    page(html_text(text)).encode()


@pytest.fixture(scope="module")
def result():
    segmenter = Additive(np.random.default_rng(0).normal(size=(12, 16, 3)))
    return perturb.explain(picture(12, 16), segmenter, perturb.Target("thing", region="all"), size=8, stride=8)


@pytest.fixture(scope="module")
def curves(result):
    return perturb.curves(result, steps=2, draws=1)


def renamed(result, text):
    """The same result where everything a stranger can name has this name."""
    segmenter = Additive(result.segmenter.weights.numpy())
    segmenter.name = text
    segmenter.classes = (text, f"not {text}")
    truth = np.zeros((12, 16), np.uint8)
    image = replace(result.image, name=text, notes=(text,), truth=truth, truth_classes=(text, f"not {text}"))
    frozen = replace(result.frozen, name=text)
    return replace(result, image=image, segmenter=segmenter, frozen=frozen, notes=(text,))


class Constants(ast.NodeTransformer):
    def visit_Constant(self, node):
        return ast.Constant(type(node.value).__name__)


def shape(code):
    return ast.dump(Constants().visit(ast.parse(code)))


@hostile
@given(ANY)
def test_lines_that_reproduce_a_result_have_one_shape_whatever_its_names(result, curves, text):
    named, plain = renamed(result, text), renamed(result, "plain")
    code = writer.python_lines(named, curves)
    assert shape(code) == shape(writer.python_lines(plain, curves))
    found = [node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)]
    assert found.count(text) >= 3  # the segmenter, the class, and the name of the ground truth's class
    pair = {1: named, 2: renamed(result, "plain")}
    both = {1: curves, 2: curves}
    assert shape(comparison.python_lines(pair, (1, 2), "rank", both)) == shape(
        comparison.python_lines({1: plain, 2: plain}, (1, 2), "rank", both)
    )


@settings(max_examples=30, deadline=None, derandomize=True)
@given(ANY)
def test_a_whole_report_has_the_same_elements_whatever_the_names(result, curves, text):
    def page(name):
        item = item_of(renamed(result, name), curves=curves)
        return Tags(report_html(name, [replace(item, tables=(Table(name, (name,), ((name,),)),))], date="today"))

    assert page(text or "x").tags == page("plain").tags  # what is empty has no row in the record


@settings(max_examples=50, deadline=None, derandomize=True)
@given(ANY)
def test_drawings_and_legends_have_the_same_elements_whatever_the_names(text):
    def drawn(name):
        line = Line(name, np.array([0.0, 1.0]), np.array([0.0, 1.0]), "#c2410c")
        labels = np.array([[0, 1]])
        palette = np.zeros((2, 3), np.uint8)
        return Tags(
            line_chart([line], alt=name, x_title=name, y_title=name)
            + legend_html(labels, (name, f"{name}2"), palette, "car")
            + bar_html(1.0, name, signed=True)
        )

    assert drawn(text).tags == drawn("plain").tags


@hostile
@given(ANY)
def test_cells_are_no_formulas_and_read_back_as_they_were(text):
    data = csv_bytes((text, "b"), [(text, -0.5), (text, None)]).decode()
    read = list(csv.reader(io.StringIO(data, newline=""), strict=True))
    assert [row[1] for row in read] == ["b", "-0.5", ""]
    for cell in (row[0] for row in read):
        number = cell.lstrip("+-").replace(".", "", 1).replace("e", "", 1).replace("E", "", 1)
        first = unicodedata.normalize("NFKC", cell.lstrip()[:1])
        assert cell[:1] not in ("\t", "\r", "\n")
        assert first not in ("=", "@")
        assert first not in ("+", "-") or set(number) <= set("0123456789+-")
        assert (cell[1:] if cell.startswith("'") else cell) == encodable(text)


def test_numbers_stay_numbers():
    assert [csv_cell(value) for value in (-1, -0.5, None, "-1.5e-3", "+7")] == [-1, -0.5, None, "-1.5e-3", "+7"]
    assert csv_cell("-1-1") == "'-1-1"
    assert csv_cell("-inf") == "'-inf", "text; a float is written by its own rule"
    assert csv_bytes(("a",), [(float("-inf"),)]) == b"a\n-inf\n"


@hostile
@given(ANY)
def test_file_names_stay_in_their_folder_on_every_system(text):
    name = file_name(text, ".zip")
    stem = name.removesuffix(".zip")
    assert stem
    assert len(stem.encode()) <= FILE_NAME_BYTES
    assert not set(name) & set("/\\:*?\"<>|'`$&;()[]{}~!# ")
    assert name.isprintable()
    assert stem[0] not in ".-~"
    assert stem[-1] not in ". "
    assert Path(name).name == name
    devices = {"con", "prn", "aux", "nul", "conin$", "conout$"}
    devices |= {f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"}
    assert stem.partition(".")[0].casefold() not in devices


def test_ordinary_file_names_stay_as_they_are():
    assert file_name("quiet-street-car-occlusion", ".zip") == "quiet-street-car-occlusion.zip"
    assert file_name("IMG_2041.edit-Straße-lime") == "IMG_2041.edit-Straße-lime"
    assert file_name("हिन्दी") == "हिन्दी", "marks belong to their letters"
    assert file_name("///") == "untitled"
    assert file_name("../../etc/passwd") == "etc-passwd"


@hostile
@given(ANY)
def test_json_files_give_any_text_back(text):
    assert json.loads(json_file({text: [text]})) in ({text: [text]}, json.loads(json.dumps({text: [text]})))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(ANY, min_size=1, max_size=4, unique=True))
def test_arrays_of_any_names_keep_to_themselves_in_an_archive(names):
    data = npz({name: np.array([index]) for index, name in enumerate(names)})
    inside = zipfile.ZipFile(io.BytesIO(data)).namelist()
    assert len(set(inside)) == len(names)
    assert all("/" not in name and not name.startswith(".") for name in inside)
    read = np.load(io.BytesIO(data))
    assert sorted(int(read[name][0]) for name in read.files) == list(range(len(names)))


@hostile
@given(ANY)
def test_markdown_shows_the_letters_that_were_given(text):
    """Undone as CommonMark undoes it: a backslash before punctuation is no letter; word joiners cannot be seen."""
    written = markdown_text(text)
    assert "\n" not in written
    shown, escaped = "", False
    for letter in written:
        if letter == "\\" and not escaped:
            escaped = True
            continue
        assert escaped or letter not in "`*_[]<>&~$|{}", "markup would begin here"
        assert not escaped or letter in string.punctuation
        shown, escaped = shown + letter, False
    assert not escaped
    assert shown.replace("\u2060", "") == " ".join(encodable(text).split()).replace("\u2060", "")


def test_a_network_whose_class_name_is_code_runs_nothing_and_is_reproduced(tmp_path, capsys):
    """The whole way: file, command line, result folder, report, zip; then its lines in a process of their own."""
    network, photo, out = tmp_path / "net.onnx", tmp_path / "street.png", tmp_path / "out"
    carried = {"classes": json.dumps(["rest", RUNS]), "scale": "unit"}
    network.write_bytes(files.save(files.pixelwise(metadata=carried)))
    pixels = picture(24, 32).pixels
    PIL.Image.fromarray((pixels * 255).round().astype(np.uint8)).save(photo)
    words = ["--segmenter", str(network), "--target", RUNS, "--region", "all", "--set", "size=8", "--set", "stride=8"]
    assert main(["explain", str(photo), *words, "--out", str(out)]) == 0
    capsys.readouterr()

    segmenter = perturb.load_onnx(network)
    assert segmenter.classes[1] == RUNS
    result = perturb.explain(perturb.load_image(photo), segmenter, perturb.Target(RUNS, region="all"), size=8, stride=8)
    curves = perturb.curves(result)
    archive = zipfile.ZipFile(io.BytesIO(report_zip("Report", [item_of(result, curves=curves)])))
    scripts = [(out / "reproduce.py").read_text(), writer.python_lines(result, curves)]
    scripts += [archive.read(name).decode() for name in archive.namelist() if name.endswith("reproduce.py")]
    scripts.append(comparison.python_lines({1: result}, None, "none", {1: curves}))
    assert len(scripts) == 4
    shown = Tags(archive.read("report.html").decode())
    assert RUNS in shown.text
    assert scripts[1] in shown.text, "the report's lines are the ones that are run here"
    for index, script in enumerate(scripts):
        where = tmp_path / f"again{index}"
        where.mkdir()
        told = script.replace("PATH OF YOUR IMAGE", str(photo)).replace('"net.onnx"', python_literal(str(network)))
        # The name in the lines is the file's; under another name its digest stays.
        run_script(told, where)
        assert not list(tmp_path.rglob("pwned"))
        if index < 3:
            assert_allclose(np.load(where / "out" / "heatmap.npy"), np.load(out / "heatmap.npy"), atol=1e-6)

    shown = shlex.split(command_line(result))
    shown[shown.index("PATH_OF_YOUR_IMAGE")], shown[shown.index("net.onnx")] = str(photo), str(network)
    shown[shown.index("out")] = str(tmp_path / "from_line")
    assert main(shown[3:]) == 0
    capsys.readouterr()
    assert_allclose(np.load(tmp_path / "from_line" / "heatmap.npy"), result.heatmap, atol=1e-6)
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize("name", ["a,b", " edge ", "-x", "--out=elsewhere", "\n", "\0", "\u202e", "1", "[1]", '["a"]'])
def test_a_command_line_names_any_class(name, tmp_path, capsys):
    segmenter = perturb.load_onnx(files.save(files.pixelwise()), classes=["rest", name], scale="unit", name="net.onnx")
    result = perturb.explain(picture(24, 32), segmenter, perturb.Target(name, region="all"), size=8, stride=8)
    assert result.frozen.index == 1, "a name is a name before it is a number"
    shown = shlex.split(command_line(result))
    (tmp_path / "net.onnx").write_bytes(segmenter.model.data)
    np_pixels = (result.image.pixels * 255).round().astype(np.uint8)
    PIL.Image.fromarray(np_pixels).save(tmp_path / "a.png")
    shown[shown.index("PATH_OF_YOUR_IMAGE")] = str(tmp_path / "a.png")
    shown[shown.index("net.onnx")] = str(tmp_path / "net.onnx")
    shown[shown.index("out")] = str(tmp_path / "made")
    assert main(shown[3:]) == 0, capsys.readouterr().err
    record = json.loads((tmp_path / "made" / "result.json").read_text())
    assert record["target"]["label"] == name
    assert record["segmenter"]["digest"] == segmenter.digest
