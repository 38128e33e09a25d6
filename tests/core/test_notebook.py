"""A result in a notebook: its HTML parsed, its images decoded, and the same map on matplotlib axes."""

import base64
import io
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib
import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import pytest
from matplotlib.axes import Axes
from numpy.testing import assert_array_equal

import perturb
from perturb.core.svg import number
from tests.analytic import Constant, DarkIsObject, dark_square

HOSTILE = ['</p><script>alert("1")</script>', "<img src=x onerror=alert(1)>", "$\\frac{$ & \"quotes' \ud800"]


class Parsed(HTMLParser):
    """Elements with their attributes, and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.open = [], "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag != "img":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def images(self):
        found = [attributes["src"] for tag, attributes in self.elements if tag == "img"]
        assert all(source.startswith("data:image/png;base64,") for source in found)
        data = [base64.b64decode(source.partition(",")[2]) for source in found]
        return [np.asarray(PIL.Image.open(io.BytesIO(each))) for each in data]


@pytest.fixture(autouse=True)
def _figures():
    with matplotlib.rc_context({"backend": "agg"}):
        yield
    plt.close("all")


@pytest.fixture(scope="module")
def result():
    return perturb.explain(dark_square(), DarkIsObject(), perturb.Target("object"), size=16, stride=12)


@pytest.fixture(scope="module")
def curves(result):
    return perturb.curves(result, steps=4, draws=2)


def by_hand(result):
    """The map's colours over the grey image, worked out pixel by pixel; and where no outline lies."""
    values = result.heatmap - result.neutral
    limit = np.abs(values).max()
    colours = matplotlib.colormaps["RdBu_r" if result.signed() else "viridis"](
        (values / limit + 1) / 2 if result.signed() else values / limit
    )[:, :, :3]
    grey = result.image.pixels @ np.array([0.299, 0.587, 0.114])
    inner = np.pad(result.frozen.region, 1)  # the border of the image counts as an edge
    whole = np.roll(inner, 1, 0) & np.roll(inner, -1, 0) & np.roll(inner, 1, 1) & np.roll(inner, -1, 1)
    return 255 * (0.4 * grey[:, :, None] + 0.6 * colours), (whole | ~inner)[1:-1, 1:-1]


@pytest.mark.parametrize("method", ["occlusion", "saliency", "rise"])
def test_the_images_hold_the_colours_of_the_map(method):
    streets = perturb.load_image(perturb.sample("dusk").pixels, max_side=96)
    settings = {"occlusion": {"size": 32, "stride": 16}, "rise": {"masks": 20}}.get(method, {})
    result = perturb.explain(streets, perturb.load_segmenter(), perturb.Target("road"), method=method, **settings)
    values = result.heatmap - result.neutral
    if np.abs(values).max() > 2 * np.quantile(np.abs(values), 0.995):
        result = replace(result, heatmap=np.clip(result.heatmap, None, np.quantile(result.heatmap, 0.9)))
    image, painted = Parsed(result._repr_html_()).images()
    expected, plain = by_hand(result)
    off = np.abs(painted.astype(float) - expected)[plain]
    assert off.mean() < 0.5
    assert off.max() <= 3, "one step of the colour map, where float32 rounds to the next"
    assert np.abs(image.astype(float) - 255 * streets.pixels)[~result.frozen.region].max() <= 0.51
    axes = result.plot()
    assert_array_equal(axes.images[0].get_array(), painted)


def test_the_text_states_the_raw_range_and_the_bar_its_ends(result):
    page = Parsed(result._repr_html_())
    low, high = result.heatmap.min(), result.heatmap.max()
    assert f"Raw range: {number(low, signed=True)} to {number(high, signed=True)} drop in logit" in page.text
    limit = np.abs(result.heatmap).max()
    (bar,) = (a for tag, a in page.elements if tag == "svg")
    assert bar["aria-label"] == f"Colour bar from {number(-limit)} to {number(limit)} drop in logit"
    assert not page.open, "every element is closed"


def test_curves_are_shown_where_they_are_given(result, curves):
    alone, both = Parsed(result._repr_html_()), Parsed(result._repr_html_(curves))
    charts = [a["aria-label"] for tag, a in both.elements if tag == "svg"][1:]
    assert charts == [
        f"{kind} curve: area {getattr(curves, kind).auc:.3f}, random order {getattr(curves, f'random_{kind}').auc:.3f}"
        for kind in ("deletion", "insertion")
    ]
    assert sum(tag == "svg" for tag, _ in alone.elements) == 1
    assert curves.verdict() in both.text
    assert curves.verdict() in Parsed(curves._repr_html_()).text
    assert not both.open


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_strangers_wrote_stay_text(name, result):
    class Named(DarkIsObject):
        def __init__(self):
            super().__init__()
            self.name, self.classes = name, ("background", name)

    image = replace(result.image, name=name)
    hostile = perturb.explain(image, Named(), perturb.Target(name), size=16, stride=12)
    hostile = replace(hostile, notes=(name,))
    page = Parsed(hostile._repr_html_(perturb.curves(hostile, steps=2, draws=1)))
    plain = Parsed(result._repr_html_(perturb.curves(result, steps=2, draws=1)))
    tags = [tag for tag, _ in page.elements]
    assert [tag for tag in tags if tag != "p"] == [tag for tag, _ in plain.elements if tag != "p"]
    assert not any(key.startswith("on") for _, attributes in page.elements for key in attributes)
    told = name.encode(errors="replace").decode().replace("?", "\ufffd")
    assert page.text.count(told) >= 4, "on its image, by its name, of its class, and as a note"
    if "\ud800" not in name:
        hostile.plot(curves=perturb.curves(hostile, steps=2, draws=1))[0].figure.canvas.draw()


def test_the_plot_has_the_map_its_bar_and_the_curves(result, curves):
    axes = result.plot()
    assert isinstance(axes, Axes)
    _, bar = axes.figure.axes
    limit = float(np.abs(result.heatmap).max())
    assert bar.get_ylim() == pytest.approx((-limit, limit))
    assert bar.get_ylabel() == "drop in logit"
    assert "Raw range" in axes.get_title()
    first, deletion, insertion = result.plot(curves=curves)
    assert first.images
    for axes, kind in ((deletion, "deletion"), (insertion, "insertion")):
        control, own = axes.lines
        made = getattr(curves, kind)
        assert_array_equal(own.get_xydata(), np.stack([made.fraction, made.score[0]], 1))
        assert_array_equal(control.get_ydata(), getattr(curves, f"random_{kind}").score.mean(0))
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["random order", "this map"]
    first.figure.canvas.draw()


def test_own_axes_are_drawn_on_and_another_number_is_refused(result, curves):
    figure = matplotlib.figure.Figure()
    axes = figure.subplots(1, 3)
    assert result.plot(axes[0]) is axes[0]
    assert [*result.plot(axes, curves=curves)] == [*axes]
    with pytest.raises(perturb.SettingError, match="needs 3 axes .map, deletion, insertion.: got 1"):
        result.plot(axes[0], curves=curves)
    with pytest.raises(perturb.SettingError, match="needs 1 axes .for the map.: got 3"):
        result.plot(axes)
    assert not plt.get_fignums(), "no figure of pyplot's was opened beside the given axes"


def test_a_constant_map_is_drawn_in_its_neutral_colour():
    result = perturb.explain(dark_square(), Constant(), perturb.Target("thing"), size=16, stride=12)
    axes = result.plot()
    bar = axes.figure.axes[1]
    axes.figure.canvas.draw()
    assert [tick.get_text() for tick in bar.get_yticklabels()] in (["0.0"], ["0"])
    assert "The map is constant" in Parsed(result._repr_html_()).text
