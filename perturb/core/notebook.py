"""Show a result in a notebook: as self-contained HTML, and on matplotlib axes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from perturb.core.colour import MAGNITUDE, SIGNED, Pixels, limit_of, outline, overlay, readable_limit, to_uint8
from perturb.core.errors import SettingError
from perturb.core.files import png
from perturb.core.quoting import html_text
from perturb.core.svg import Line, colour_bar, line_chart, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = ("deletion", "insertion")
MAP_COLOUR, CONTROL_COLOUR = "#c2410c", "#7d828b"
REGION_COLOUR, CONTRAST_COLOUR = (255, 255, 255), (20, 20, 20)


class DrawnCurve(Protocol):
    """The parts of a `perturb.metrics.curves.Curve` that are drawn."""

    @property
    def fraction(self) -> npt.NDArray[np.float64]: ...
    @property
    def score(self) -> npt.NDArray[np.float64]: ...
    @property
    def auc(self) -> float: ...


class DrawnCurves(Protocol):
    """The parts of a map's `perturb.metrics.curves.Curves` that are drawn."""

    @property
    def deletion(self) -> DrawnCurve: ...
    @property
    def insertion(self) -> DrawnCurve: ...
    @property
    def random_deletion(self) -> DrawnCurve: ...
    @property
    def random_insertion(self) -> DrawnCurve: ...
    @property
    def score(self) -> str: ...
    @property
    def fill(self) -> str: ...
    def verdict(self) -> str: ...


@dataclass(frozen=True, eq=False)
class MapView:
    """An attribution map and its image, ready to be drawn.

    Attributes:
        pixels: the image, float32 RGB `(H, W, 3)` in [0, 1].
        region: the explained region, bool `(H, W)`.
        values: the map minus its neutral value, float32 `(H, W)`.
        unit: of `values`.
        raw: smallest and largest value of the map itself.
        raw_unit: of `raw`.
        signed: whether the map is signed, and so has a diverging colour scale.
        title: what is explained, by which method and on which image.
        notes: caveats, one sentence each.
    """

    pixels: npt.NDArray[np.float32]
    region: npt.NDArray[np.bool_]
    values: npt.NDArray[np.float32]
    unit: str
    raw: tuple[float, float]
    raw_unit: str
    signed: bool
    title: str
    notes: tuple[str, ...] = ()

    @property
    def limit(self) -> float:
        """The value at the end of the colour bar; see `perturb.core.colour.readable_limit`."""
        return readable_limit(self.values)

    @property
    def range(self) -> str:
        """The raw range as a sentence, and whether the colour bar ends before it."""
        low, high = (number(value, signed=self.signed) for value in self.raw)
        beyond = "; what lies beyond the bar has the end's colour" if self.limit < limit_of(self.values) else ""
        return f"Raw range: {low} to {high} {self.raw_unit}{beyond}."

    def image(self) -> Pixels:
        """The image with its region outlined, uint8 RGB `(H, W, 3)`."""
        canvas = outline(to_uint8(self.pixels), self.region, CONTRAST_COLOUR, width=2)
        return outline(canvas, self.region, REGION_COLOUR)

    def painted(self) -> Pixels:
        """The map overlaid on its image with the region outlined, uint8 RGB `(H, W, 3)`."""
        canvas = overlay(self.pixels, self.values, limit=self.limit, signed=self.signed)
        return outline(canvas, self.region, CONTRAST_COLOUR)


def result_html(view: MapView, curves: DrawnCurves | None = None) -> str:
    """HTML fragment with the image, the map with its colour bar and raw range, and the curves if given.

    It is self-contained and has no scripts. All text in it is escaped.
    """
    shown = [
        _figure("Image", view.image(), f"{view.title}: the image, its region outlined", "Outlined: the explained region."),
        _figure("Map", view.painted(), f"{view.title}: the map. {view.range}", view.range,
                colour_bar(view.limit, view.unit, signed=view.signed)),
    ]  # fmt: skip
    words = "".join(f"<p>{html_text(note)}</p>" for note in view.notes)
    charts = "" if curves is None else curves_html(curves)
    return f"<div><p><b>{html_text(view.title)}</b></p>{_row(shown)}{words}{charts}</div>"


def curves_html(curves: DrawnCurves) -> str:
    """HTML fragment with the deletion and insertion charts side by side, and their verdict on the map."""
    charts = [
        f'<figure style="margin:0;width:26rem;max-width:100%"><b>{html_text(_chart_title(curves, kind))}</b>'
        f"{curve_chart(curves, kind)}</figure>"
        for kind in KINDS
    ]
    return f"<div>{_row(charts)}<p>{html_text(curves.verdict())}</p></div>"


def curve_chart(curves: DrawnCurves, kind: str) -> str:
    """Draw one of the two charts as SVG.

    Args:
        curves: the curves.
        kind: `deletion` or `insertion`.
    """
    own, control = _pair(curves, kind)
    return line_chart(
        curve_lines(curves, kind),
        alt=f"{kind} curve: area {own.auc:.3f}, random order {control.auc:.3f}",
        x_title=_x_title(kind),
        y_title=_y_title(curves),
    )


def curve_lines(curves: DrawnCurves, kind: str) -> tuple[Line, Line]:
    """The control curve (random orders, with the range of the draws as a band), and the curve of the map."""
    own, control = _pair(curves, kind)
    draws = control.score
    return (
        Line("random order", control.fraction, draws.mean(0), CONTROL_COLOUR, True, draws.min(0), draws.max(0)),
        Line("this map", own.fraction, own.score[0], MAP_COLOUR),
    )


def plot_map(view: MapView, axes: Axes) -> Axes:
    """Draw the map over its image, with a colour bar. Returns the axes."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    axes.imshow(view.painted())
    axes.set_axis_off()
    axes.set_title(f"{view.title}\n{view.range}", fontsize="small", wrap=True, parse_math=False)
    # The colour bar of a constant map has a single tick, at the neutral colour.
    limit = view.limit or 1.0
    scale = Normalize(-limit if view.signed else 0.0, limit)
    beyond = "neither" if view.limit >= limit_of(view.values) else "both" if view.signed else "max"
    figure = axes.get_figure(root=True)
    assert figure is not None
    bar = figure.colorbar(
        ScalarMappable(scale, SIGNED if view.signed else MAGNITUDE),
        ax=axes,
        extend=beyond,
        ticks=None if view.limit else [0.0],
    )
    bar.set_label(view.unit, parse_math=False)
    return axes


def plot_curve(curves: DrawnCurves, kind: str, axes: Axes) -> Axes:
    """Draw the deletion or insertion curve with its control. Returns the axes."""
    for line in curve_lines(curves, kind):
        style = "--" if line.dashed else "-"
        axes.plot(line.x, line.y, style, color=line.colour, label=line.name)
        if line.low is not None and line.high is not None:
            axes.fill_between(line.x, line.low, line.high, color=line.colour, alpha=0.25, linewidth=0)
    axes.set_title(_chart_title(curves, kind), fontsize="small", parse_math=False)
    axes.set_xlabel(_x_title(kind))
    axes.set_ylabel(_y_title(curves))
    axes.legend()
    return axes


def axes_for(count: int, given: Any) -> list[Axes]:
    """The axes to draw on: the given ones, or new ones side by side.

    Args:
        count: number of axes needed.
        given: None, axes, or a sequence or array of axes.

    Raises:
        SettingError: the number of given axes differs from `count`.
    """
    if given is None:
        import matplotlib.pyplot as plt

        _, new = plt.subplots(1, count, figsize=(6 * count, 4.5), layout="constrained", squeeze=False)
        return list(new.flat)
    axes = list(np.ravel(np.asarray(given, dtype=object)))
    if len(axes) != count:
        raise SettingError(
            f"The plot needs {count} axes ({'map, deletion, insertion' if count > 1 else 'for the map'}): "
            f"got {len(axes)}. Create them with `plt.subplots(1, {count})`, or omit them."
        )
    return axes


def _pair(curves: DrawnCurves, kind: str) -> tuple[DrawnCurve, DrawnCurve]:
    """The map's curve and its control."""
    own: DrawnCurve = getattr(curves, kind)
    control: DrawnCurve = getattr(curves, f"random_{kind}")
    return own, control


def _chart_title(curves: DrawnCurves, kind: str) -> str:
    own, control = _pair(curves, kind)
    return f"{kind.capitalize()} (fill: {curves.fill}): area {own.auc:.3f}, random order {control.auc:.3f}"


def _x_title(kind: str) -> str:
    return f"pixels {'hidden' if kind == 'deletion' else 'restored'}, most important first"


def _y_title(curves: DrawnCurves) -> str:
    return f"share of the clean {curves.score}" if curves.score != "logit" else "score"


def _row(parts: Sequence[str]) -> str:
    return f'<div style="display:flex;flex-wrap:wrap;gap:1.2rem">{"".join(parts)}</div>'


def _figure(title: str, pixels: Pixels, alt: str, text: str, bar: str = "") -> str:
    data = base64.b64encode(png(pixels)).decode()
    return (
        f'<figure style="margin:0;width:26rem;max-width:100%"><b>{title}</b>'
        f'<img src="data:image/png;base64,{data}" alt="{html_text(alt)}" style="width:100%;display:block">{bar}'
        f"<figcaption>{html_text(text)}</figcaption></figure>"
    )
