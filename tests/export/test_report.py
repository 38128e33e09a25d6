"""A report is one self-contained file, checked with a strict parser and by its own numbers."""

import base64
import io
import json
import re
import zipfile
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import PIL.Image
import pytest
from numpy.testing import assert_array_equal

import perturb
from perturb.core.svg import Line, colour_bar, line_chart
from perturb.experiments.study import study
from perturb.export import writer
from perturb.export.report.document import report_html, report_zip
from perturb.export.report.items import item_of, item_of_arrays, item_of_comparison, item_of_study
from perturb.metrics.curves import record_of
from perturb.metrics.scorecard import compare
from tests.analytic import Additive

EVIL = "</title><script>alert('x')</script><img src=x onerror=alert(1)>"
LINK = 'https://lab.example/occlusion?occ_class=car&occ_size=8&x="><script>'
VOID = {"meta", "img", "rect", "line", "polyline", "polygon", "br"}


class Reader(HTMLParser):
    """Every tag with its attributes, and the text; fails where tags do not close in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def of(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(0)
    image = perturb.load_image(rng.random((24, 32, 3)), name="street <b>")
    segmenter = Additive(rng.normal(size=(24, 32, 3)))
    return perturb.explain(image, segmenter, perturb.Target("thing", region="all"), size=8, stride=8)


@pytest.fixture(scope="module")
def curves(result):
    return perturb.curves(result, steps=4, draws=2)


def test_nothing_typed_becomes_markup_and_nothing_is_fetched(result):
    item = replace(item_of(result, LINK), note=f"first line\n{EVIL}")
    text = report_html(EVIL, [item, replace(item, link="javascript:alert(1)")], date=EVIL)
    read = Reader(text)
    names = {tag for tag, _ in read.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "base", "form", "foreignobject", "use", "image"}
    for tag, attributes in read.tags:
        assert not [name for name in attributes if name.startswith("on")]
        source, target = attributes.get("src"), attributes.get("href")
        assert source is None or source.startswith("data:image/png;base64,")
        assert target is None or target.startswith("#run-") or (tag == "a" and target == LINK)
    assert "url(" not in text
    assert "@import" not in text
    assert [a["href"] for a in read.of("a") if not a["href"].startswith("#")] == [LINK], "no link but to http"
    assert EVIL in "".join(read.texts), "it is shown as it was typed"
    assert "street <b>" in "".join(read.texts)
    policy = next(meta["content"] for meta in read.of("meta") if "http-equiv" in meta)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_pictures_are_those_of_the_result_and_say_what_they_show(result, curves):
    read = Reader(report_html("One", [item_of(result, shown="gained", curves=curves)]))
    pictures = read.of("img")
    assert all(picture["alt"] for picture in pictures)
    assert [picture["alt"].split(" ")[0] for picture in pictures[2:]] == ["Heat", "Heat"]
    sizes = {PIL.Image.open(io.BytesIO(base64.b64decode(p["src"].partition(",")[2]))).size for p in pictures}
    assert sizes == {(32, 24)}
    charts = [svg["aria-label"] for svg in read.of("svg") if "aria-label" in svg]
    areas = curves.deletion.auc, curves.random_deletion.auc
    assert f"deletion curve: area {areas[0]:.3f}, random order {areas[1]:.3f}" in charts
    assert sum(label.startswith("Colour bar from −") for label in charts) == 1, "the signed map"
    assert sum(label.startswith("Colour bar from 0") for label in charts) == 1, "the counted pixels"


def test_it_says_all_it_takes_to_make_the_run_again(result, curves):
    text = "".join(Reader(report_html("One", [item_of(result, "https://lab.example/?a=1", curves=curves)])).texts)
    for value in (result.image.digest, result.segmenter.digest, "settings.size8", "https://lab.example/?a=1"):
        assert value in text
    assert writer.python_lines(result, curves) in text
    for name, version in result.as_dict()["versions"].items():
        assert f"versions.{name}{version}" in text


def test_it_says_what_the_curves_say_and_leaves_out_what_did_nothing(result, curves):
    texts = Reader(report_html("One", [item_of(result, curves=curves)])).texts
    assert curves.verdict() in texts
    assert "settings.size" in texts
    assert "sigma" in result.settings
    assert "settings.sigma" not in texts, "the fill is grey"


def test_the_zip_holds_the_raw_numbers_of_every_run_and_the_report(result, curves):
    item = item_of(result, "https://lab.example/", curves=curves)
    archive = zipfile.ZipFile(io.BytesIO(report_zip("Two", [item, replace(item, note="again")])))
    names = archive.namelist()
    folders = sorted({name.partition("/")[0] for name in names if "/" in name})
    assert len(folders) == 2
    assert all(re.fullmatch(r"0[12]-[a-z0-9-]+", folder) for folder in folders)
    for folder in folders:
        assert_array_equal(np.load(io.BytesIO(archive.read(f"{folder}/heatmap.npy"))), result.heatmap)
        assert archive.read(f"{folder}/curves.csv").decode() == curves.as_csv()
    told = json.loads(archive.read("report.json"))
    assert [entry["note"] for entry in told["items"]] == ["", "again"]
    assert [entry["folder"] for entry in told["items"]] == folders
    assert told["items"][0]["record"] == json.loads(json.dumps(record_of(result, curves)))
    assert archive.read("report.html").decode() == report_html("Two", [item, replace(item, note="again")])


def test_a_comparison_becomes_its_maps_and_its_table(result):
    made = compare([result], metrics=("map_iou", "gini"))
    read = Reader(report_html("Maps", [item_of_comparison(made, result.image, "thing")]))
    assert [picture["alt"] for picture in read.of("img")] == [f"Map of {judged.name}" for judged in made.maps]
    text = " ".join(read.texts)
    for judged in made.maps:
        assert f"{judged.values['gini']:.3g}" in text


def test_a_study_becomes_one_grid_on_one_scale_and_its_table(result):
    target = perturb.Target("thing", region="all")
    made = study(result.image, result.segmenter, target, fills=["black", "white"], sizes=[8, 16])
    read = Reader(report_html("Study", [item_of_study(made, LINK)]))
    assert [picture["alt"] for picture in read.of("img")] == ["Heat maps under black 8, black 16, white 8, white 16"]
    text = " ".join(read.texts)
    for row in made.rows():
        assert row["occluder"] in text
        assert f"{row['deletion_auc']:.3g}" in text


def test_an_empty_report_says_so():
    assert "Nothing was added yet" in report_html("", [])


def test_a_chart_puts_its_points_where_they_belong():
    line = Line("map", np.array([0.0, 0.5, 1.0]), np.array([1.0, 0.5, 0.0]), "#c2410c")
    read = Reader(line_chart([line], alt="falls", x_title="x", y_title="y"))
    points = [tuple(map(float, point.split(","))) for point in read.of("polyline")[0]["points"].split(" ")]
    (x0, y0), (x1, y1), (x2, y2) = points
    assert (x1, y1) == ((x0 + x2) / 2, (y0 + y2) / 2), "a straight line"
    assert y0 < y2, "downwards on the screen"
    # The ends of the axes are written beside the ends of the line.
    ticks = dict(zip(read.texts, read.of("text"), strict=True))
    assert float(ticks["1.00"]["y"]) == pytest.approx(y0 + 4)
    assert float(ticks["0.00"]["y"]) == pytest.approx(y2 + 4)
    assert float(ticks["0%"]["x"]) == x0
    assert float(ticks["100%"]["x"]) == x2


def test_a_colour_bar_runs_from_blue_to_red_about_white_zero():
    read = Reader(colour_bar(2.5, "drop in logit", signed=True))
    fills = [tuple(map(int, re.findall(r"\d+", cell["fill"]))) for cell in read.of("rect")]
    assert fills[0][2] > fills[0][0]
    assert fills[-1][0] > fills[-1][2]
    assert min(fills[len(fills) // 2]) > 240
    assert read.texts[:5] == ["−2.5", "−1.25", "0", "+1.25", "+2.5"]
    assert Reader(colour_bar(4, "pixels", signed=False)).texts[:5] == ["0", "1", "2", "3", "4"]


def test_arrays_become_pictures_by_what_they_hold(result):
    labels = np.zeros((24, 32), dtype=np.int64)
    labels[:6] = 1
    labels[6:12] = 255
    mask = labels == 1
    arrays = {
        "prediction": labels,
        "wrong": mask,
        "score": result.heatmap,
        "confusion": np.eye(2),
        "names": np.array(["a"]),
    }
    item = item_of_arrays("all of it", arrays, result.image, result.segmenter)
    assert [plate.title for plate in item.plates] == ["prediction", "wrong", "score"]
    thing, rest = result.segmenter.classes
    assert {name: share for name, _, share in item.plates[0].legend} == {thing: 0.5, rest: 0.25, "no class": 0.25}
    assert "192 pixels" in item.plates[1].text
    assert item.plates[2].bar[2] == bool(result.heatmap.min() < 0)
    inside = np.load(io.BytesIO(item.files()["arrays.npz"]))
    for name, array in arrays.items():
        assert_array_equal(inside[name], array)
