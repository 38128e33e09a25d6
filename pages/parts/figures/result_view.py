"""Views of a result: the image and its segmentation, the heat map, the curves, the downloads."""

from __future__ import annotations

import numpy as np
import streamlit as st

import perturb
from pages.parts.app import address, elements, report
from pages.parts.app.shell import Scene
from pages.parts.figures import drawing
from pages.parts.widgets import controls
from pages.parts.widgets.region_picker import Pick, region_picker
from perturb.core.colour import blend, edges, label_colours, limit_of, outline, overlay, readable_limit, to_uint8
from perturb.core.files import png
from perturb.core.quoting import file_name, markdown_text
from perturb.export.report.items import item_of
from perturb.export.writer import command_line, python_lines, to_zip
from perturb.methods.base import Outcome
from perturb.methods.lime import POOR_FIT
from perturb.methods.masked import MaskedMethod
from perturb.metrics.registry import METRICS
from perturb.metrics.verdict import REQUIREMENTS, verdict_on
from perturb.targets.target import Frozen

REGION_COLOUR = (255, 255, 255)
FACTS: dict[str, tuple[str, str]] = {
    "segments": ("{} segments", "Each segment is hidden as a whole. Their borders are drawn on the map."),
    "samples": ("{} coalitions run", "Images with a random subset of the segments hidden, one forward pass each."),
    "alpha": (
        "ridge penalty α {}",
        "Ridge penalty of the fit. With fewer coalitions than samples, the setting is scaled by their ratio.",
    ),
    "r2": (
        "fit R² {}",
        f"Share of the variance of the scores that the linear model explains. Below {POOR_FIT}, do not rely on single "
        "segments.",
    ),
    "whole": ("everything hidden: a drop of {}", "The values of all segments add up to this drop."),
    "layer": ("layer {}", "The map is a weighted sum of this layer's channels."),
    "channels": ("{} channels", "The number of channels of the layer."),
    "silent_channels": (
        "{} of them zero everywhere",
        "Channels whose activation is zero everywhere on this image. Ablating them changes nothing.",
    ),
    "draws": ("{} noisy images", "One forward and one backward pass each. Their gradients are averaged."),
    "steps": (
        "{} steps",
        "Points on the straight line from the baseline to the image at which the gradient was evaluated.",
    ),
    "path": (
        "from baseline to image: {}",
        "The change of the score from the baseline to the image. The map should add up to it.",
    ),
    "gap": (
        "gap {}",
        "The difference between the sum of the map and the change of the score (completeness error). More steps reduce it.",
    ),
    "relus": ("{} ReLUs guided", "At each of them, only positive gradients are propagated."),
}
"""How a page words a method's facts, and their explanations."""
VERDICTS = {
    "faithful": ":green[:material/verified:]",
    "contradictory": ":orange[:material/warning:]",
    "worse": ":red[:material/warning:]",
    "cannot tell": ":gray[:material/help:]",
}
"""The icon before a verdict, by its outcome."""


def segmentation(scene: Scene, frozen: Frozen | None, target: perturb.Target, prefix: str) -> None:
    """The image for picking a region, and the clean segmentation with its legend."""
    image = scene.image
    st.markdown("**Image** — click a part or drag a box to explain it alone")
    canvas = to_uint8(image.pixels)
    if frozen is not None:
        # A white line on a black one is visible on any image.
        canvas = outline(outline(canvas, frozen.region, (20, 20, 20), width=2), frozen.region, REGION_COLOUR)
    box = frozen.window if frozen is not None and target.parts()[0] == "box" else None

    def pick(picked: Pick) -> None:
        controls.write_pick(picked, scene, prefix)

    region_picker(
        png(canvas),
        width=image.width,
        height=image.height,
        alt=f"{image.name}; the explained region is outlined",
        key=f"{prefix}picker",
        box=box,
        outline_label="region",
        on_pick=pick,
    )
    if frozen is not None:
        st.caption(f"Outlined: the explained region, {int(frozen.region.sum()):,} pixels.")
    st.markdown("**Clean segmentation** — the prediction on the unperturbed image")
    colours = label_colours(scene.labels, scene.segmenter.palette)
    elements.show(
        blend(image.pixels, colours, 0.7), alt=f"Clean segmentation of {image.name} by {scene.segmenter.name}"
    )
    drawing.legend(scene.labels, scene.segmenter.classes, scene.segmenter.palette, str(target.label))


def draft(outcome: Outcome, scene: Scene, frozen: Frozen) -> None:
    """A preview of a map that is still being computed, from coarse to fine."""
    shown = outcome.maps["score"] - outcome.neutral
    limit = readable_limit(shown)
    canvas = outline(overlay(scene.image.pixels, shown, limit=limit, opacity=0.65), frozen.region, (20, 20, 20))
    st.markdown("**Heat map**, still running")
    st.caption("Computed from coarse to fine. Positions that have not been run yet show the value of a neighbour.")
    elements.show(canvas, alt=f"Unfinished heat map for {frozen.name}")
    drawing.colour_bar(limit, frozen.target.score, signed=True)


@address.fragment
def heat_map(result: perturb.Attribution, prefix: str, cell: tuple[int, int]) -> None:
    """The map over the image, with a numeric colour bar. A fragment, so its widgets recompute nothing.

    A click picks a cell of `cell` pixels (width, height) for the probe.
    """
    method = perturb.METHODS[result.method]
    st.markdown(
        "**Heat map**"
        + (" — click it to probe the perturbation at that position" if isinstance(method, MaskedMethod) else "")
    )
    texts = {name: text for name, text in method.captions.items() if name in result.maps}
    kind = None
    if len(texts) > 1:
        kind = st.segmented_control(
            "What the colours show",
            tuple(texts),
            default="score",
            required=True,
            key=f"{prefix}map",
            bind="query-params",
            help=" ".join(f"**{name}**: {text}" for name, text in texts.items()),
        )
    kind = kind if kind in texts else "score"
    st.caption(texts[kind])
    values = result.maps[kind]
    shown = values - result.neutral if kind == "score" else values
    place = st.container()
    opacity = st.slider(
        "Opacity",
        0.0,
        1.0,
        0.65,
        0.05,
        key=f"{prefix}opacity",
        bind="query-params",
        help="Opacity of the map over the image.",
    )
    signed, limit, largest = result.signed(kind), readable_limit(shown), limit_of(shown)
    if limit < largest:
        reach = st.segmented_control(
            "Colour scale",
            ("most", "all"),
            default="most",
            required=True,
            key=f"{prefix}reach",
            bind="query-params",
            help="A few pixels have much larger values than the rest. **most**: the scale covers 99.5 % of the pixels and clips the "
            "others. **all**: the scale covers the largest value, so most of the map is pale.",
        )
        limit = largest if reach == "all" else limit
    unit, raw = result.unit(kind), result.raw_unit(kind)
    canvas = overlay(result.image.pixels, shown, limit=limit, opacity=float(opacity), signed=signed)
    if result.segments is not None:
        canvas = edges(canvas, result.segments, (255, 255, 255))
    canvas = outline(canvas, result.frozen.region, (20, 20, 20))
    text = f"Heat map of {kind} for {result.frozen.name}, from {values.min():.3g} to {values.max():.3g} {raw}"
    pick = None
    with place:
        if isinstance(method, MaskedMethod):
            pick = region_picker(
                png(canvas),
                width=result.image.width,
                height=result.image.height,
                alt=text,
                key=f"{prefix}map_picker",
                cell=cell,
            )
        else:
            elements.show(canvas, alt=text)
        used = np.clip([shown.min(), shown.max()], -limit, limit).tolist()
        drawing.colour_bar(limit, unit, signed=signed, used=(used[0], used[1]))
    st.caption(
        f"Raw range: {elements.number(float(values.min()), signed=signed)} to "
        f"{elements.number(float(values.max()), signed=signed)} {raw}; the clean score is "
        f"{elements.number(float(result.clean.score[0]))}."
        + (
            f" {elements.percent(float((np.abs(shown) > limit).mean()))} of the pixels lie beyond the scale."
            if limit < largest
            else ""
        )
    )
    _facts(result)
    for note in result.notes:
        st.info(markdown_text(note), icon=":material/info:")
    if pick is not None:
        st.session_state[f"{prefix}picked"] = ((pick.x0 + pick.x1 - 1) // 2, (pick.y0 + pick.y1 - 1) // 2)
        st.rerun(scope="app")  # the probe is outside this fragment


def _facts(result: perturb.Attribution) -> None:
    """The facts that the method reports about its run, in one line."""
    facts = {name: value for name, value in result.facts.items() if name != "unit"}
    words = []
    for name, value in facts.items():
        fact = markdown_text(elements.fact(value))
        text = FACTS[name][0].format(fact) if name in FACTS else f"{name}: {fact}"
        if name == "segments" and result.settings.get("segments") in ("grid", "slic"):
            text += f" (asked for about {result.settings['count']})"
        words.append(text)
    words.append(f"{result.forwards:,} passes, {result.execution.passes}")
    helps = [FACTS[name][1] for name in facts if name in FACTS]
    st.caption(" · ".join(words), help=" ".join([*helps, result.execution.sentence]))


@address.fragment
def curves(made: perturb.Curves, prefix: str) -> None:
    """Deletion and insertion curves with the bands of random orders, and the verdict."""
    st.markdown(
        "**Is the map faithful?**",
        help="Pixels are hidden in the order of the map, most important first (deletion), or restored in that order (insertion). "
        f"Hidden pixels show the fill '{made.fill}', whichever fill the map was made with, so that maps of different fills "
        "can be compared. A flat colour could itself be segmented as the object.",
    )
    measure = controls.measure_widget(prefix)
    verdict = verdict_on(made, measure)
    st.markdown(f"{VERDICTS[verdict.outcome]} **{markdown_text(verdict.statement)}**", help=REQUIREMENTS)
    for kind in ("deletion", "insertion"):
        own, control = getattr(made, kind), getattr(made, f"random_{kind}")
        areas = (own.iou_auc, control.iou_auc) if measure == "iou" else (own.auc, control.auc)
        metric = METRICS[f"{kind}_auc"]
        st.markdown(
            f"{kind.capitalize()}: area **{areas[0]:.3f}** {metric.arrow} ({metric.better} is better), "
            f"random order {areas[1]:.3f}",
            help=metric.summary,
        )
        chart = drawing.curve_chart(made, kind, measure)
        st.altair_chart(chart, width="stretch", alt=f"{kind} curve: area {areas[0]:.3f}, random order {areas[1]:.3f}")
    st.caption(
        f"Areas: {verdict.deletion}; {verdict.insertion}. Hidden pixels show the fill '{made.fill}'. The grey band spans the "
        "random orders; the dashed line is their mean."
    )


def downloads(result: perturb.Attribution, curves: perturb.Curves, prefix: str) -> None:
    """The zip with the files of the command line, and the code that reproduces the result."""
    st.subheader("Download and reproduce")
    shown = str(st.session_state.get(f"{prefix}map") or "score")
    with st.container(horizontal=True):
        st.download_button(
            "Download everything (zip)",
            data=lambda: to_zip(result, curves),
            file_name=file_name(f"{result.image.name}-{result.frozen.name}-{result.method}", ".zip"),
            mime="application/zip",
            key=f"{prefix}zip",
            on_click="ignore",
            icon=":material/download:",
            help="The raw arrays (heatmap.npy, lost.npy, gained.npy), overlay.png, curves.csv, readings.csv, "
            "result.json, reproduce.py and reproduce.sh. The command line writes the same files.",
        )
        report.button(prefix, [lambda link: item_of(result, link, shown, curves)], result, shown)
    st.caption(
        f"Until you change a setting, the address of this page is a link to this result: {markdown_text(result.frozen.name)} by "
        f"{result.method}."
    )
    python, shell = st.tabs(["Python", "Command line"])
    with python:
        st.code(python_lines(result, curves), language="python")
    with shell:
        st.code(command_line(result, curves), language="bash")
