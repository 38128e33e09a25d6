"""One class explained at several layers, from early to late, and the activation maps of a layer."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import streamlit as st

import perturb
from pages.parts.app import elements
from pages.parts.app.shell import Scene
from pages.parts.figures import downloads, drawing
from pages.parts.inspect import activation_maps
from pages.parts.runs import jobs, planning
from pages.parts.runs.task import Task
from pages.parts.widgets import controls
from perturb.core.colour import limit_of, overlay
from perturb.core.quoting import markdown_text
from perturb.engine.runner import Progress
from perturb.methods.registry import METHODS, methods_on
from perturb.segmenters.channels import SIGNS, Sign, part, share_inside, stops
from perturb.segmenters.layers import Layer, layer_access

PLAIN = "activations"
FIRST = "grad-cam"
MOST = 6
QUICK = 30
"""Passes. A run that takes no more starts after every change, not only when the page is opened."""
Map = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Stop:
    """The map of one layer: values at image size, their unit, the image, and the predicted region of the class."""

    layer: Layer
    values: Map
    unit: str
    image: perturb.Image
    label: str
    region: npt.NDArray[np.bool_]
    signed: bool = True
    notes: tuple[str, ...] = ()


def section(scene: Scene, label: str, prefix: str) -> None:
    """Choose a method and layers; show the maps side by side, and the channels of one layer."""
    try:
        found = {layer.name: layer for layer in layer_access(scene.segmenter).layers(scene.image)}
    except perturb.SegmenterError as problem:
        st.info(markdown_text(str(problem)), icon=":material/info:")
        return
    if not found:
        st.info(
            f"The segmenter '{markdown_text(scene.segmenter.name)}' has no layer with spatial activations.",
            icon=":material/info:",
        )
        return
    region = scene.labels == scene.segmenter.classes.index(label)
    with st.container(border=True):
        method, names, sign = _widgets(scene, found, prefix)
    if not names:
        st.info("Choose at least one layer above.", icon=":material/info:")
        return
    if method == PLAIN:
        mean = {
            name: activation_maps.stretched(scene, activation_maps.activations(scene, name).mean(0)) for name in names
        }
        _walk([Stop(found[name], mean[name], "mean activation", scene.image, label, region) for name in names], sign)
        _offer(mean, scene, label, prefix)
    else:
        _run(scene, label, method, names, sign, prefix)
    activation_maps.show(scene, found, names[-1], label, region, sign, prefix)


def _widgets(scene: Scene, found: Mapping[str, Layer], prefix: str) -> tuple[str, list[str], Sign]:
    offered = [
        name
        for name in methods_on("inspect")
        if any(s.kind == "layer" for s in METHODS[name].settings) and not METHODS[name].lacking(scene.segmenter)
    ]
    first, second, third = st.columns((1, 1.6, 1))
    with first:
        methods = (*offered, PLAIN)
        chosen = st.selectbox(
            "Method",
            methods,
            index=methods.index(FIRST if FIRST in methods else methods[0]),
            key=f"{prefix}walk",
            bind="query-params",
            help=f"**{PLAIN}**: the mean over a layer's channels, independent of the class. "
            + " ".join(f"**{name}**: {METHODS[name].summary}" for name in offered),
        )
    with second:
        names = st.multiselect(
            "Layers",
            tuple(found),
            default=stops(tuple(found.values()), len(scene.segmenter.classes)) or (next(iter(found)),),
            max_selections=MOST,
            key=f"{prefix}layers",
            bind="query-params",
            help="In the order of the network. By default an early, a middle and a late layer.",
        )
    with third:
        sign = st.segmented_control(
            "Values",
            tuple(SIGNS),
            default="signed",
            required=True,
            key=f"{prefix}sign",
            bind="query-params",
            help=" ".join(f"**{name}**: {text}." for name, text in SIGNS.items()),
        )
    # In the order of the network, not of the choice.
    return str(chosen), [name for name in found if name in names], cast(Sign, sign if sign in SIGNS else "signed")


def _run(scene: Scene, label: str, method: str, names: list[str], sign: Sign, prefix: str) -> None:
    """Compute the missing maps of a method and show all of them."""
    shop = jobs.workshop()
    target = perturb.Target(label)
    base = controls.default_settings(method, scene)
    plans = [planning.plan(scene, target, method, {**base, "layer": name}, prefix) for name in names]
    if errors := [plan.error for plan in plans if plan.error]:
        st.error(markdown_text(errors[0]), icon=":material/error:")
        return
    task: Task[list[perturb.Attribution]] = Task(f"{prefix}walk_maps", json.dumps([plan.key for plan in plans]))
    missing = [plan for plan in plans if plan.key not in shop.results]
    if not missing:
        task.keep([shop.results[plan.key] for plan in plans])
    passes, seconds = sum(plan.forwards for plan in missing), sum(plan.map_seconds for plan in missing)
    running = task.offer(
        "Run",
        f"{len(missing)} maps, {passes:,} passes, about {jobs.duration(seconds)}.",
        key=f"{prefix}walk_run",
        seconds=seconds,
        fits=lambda _: "fewer layers, a faster method or a smaller image",
        text="Explain the class at each of the layers.",
        primary=True,
        up_to_date="Up to date: the maps below belong to these settings.",
        stale="Stale: the settings have changed since the maps below.",
        at_once=planning.soon(passes, seconds)
        and (st.session_state["just_entered"] or passes <= QUICK)
        and not task.stopped,
    )
    if running:
        made: list[perturb.Attribution] = []

        def compute(plan: planning.Plan) -> Callable[[Progress], list[perturb.Attribution]]:
            def run(progress: Progress) -> list[perturb.Attribution]:
                made.append(planning.compute_map(plan, progress))
                return made

            return run

        # Cached maps take no time, so all maps are parts of the run, in the order of the network.
        task.run(*(planning.part_of(p, f"Layer {p.settings['layer']}", compute(p)) for p in plans))
    if task.made is None:
        return
    with st.container(key=f"{prefix}walk_{'fresh' if task.fresh else 'stale'}"):
        _walk([_stop(result) for result in task.made], sign)
    if task.fresh:
        _offer({str(r.settings["layer"]): r.heatmap for r in task.made}, scene, label, prefix)


def _stop(result: perturb.Attribution) -> Stop:
    # A stale result may belong to another image or segmenter than the page, so everything comes from the result.
    known = {layer.name: layer for layer in layer_access(result.segmenter).layers(result.image)}
    return Stop(
        known[str(result.settings["layer"])],
        result.centred,
        result.unit(),
        result.image,
        result.frozen.name,
        result.frozen.region,
        result.signed(),
        result.notes,
    )


def _walk(made: list[Stop], sign: Sign) -> None:
    """The maps side by side, each on its own colour scale."""
    for start in range(0, len(made), 3):
        for column, stop in zip(st.columns(3, gap="medium"), made[start : start + 3], strict=False):
            with column:
                _show_map(stop, sign)
    label, region = made[0].label, made[0].region
    if region.any():
        side = "below" if sign == "negative" else "above"
        shares = [(stop.layer.name, share_inside(part(stop.values, sign), region)) for stop in made]
        listed = ", ".join(
            f"{markdown_text(name)} {f'nothing {side} zero' if math.isnan(share) else f'{share:.0%}'}"
            for name, share in shares
        )
        st.markdown(
            f"Of all attribution {side} zero, this much lies on the pixels predicted as {markdown_text(label)} (outlined, "
            f"{elements.percent(float(region.mean()))} of the image): {listed}."
        )
    for note in dict.fromkeys(note for stop in made for note in stop.notes):
        st.info(markdown_text(note), icon=":material/info:")


def _show_map(stop: Stop, sign: Sign) -> None:
    values = part(stop.values, sign)
    low, high = float(values.min()), float(values.max())
    signed = sign == "signed" and stop.signed and low < 0  # the output of a ReLU is never negative
    unit = stop.unit + (", negative part, sign reversed" if sign == "negative" else "")
    count, height, width = stop.layer.shape
    st.markdown(f"**{markdown_text(stop.layer.name)}** — {count} channels of {height} × {width} cells")
    limit = limit_of(values)
    canvas = overlay(stop.image.pixels, values, limit=limit, opacity=0.7, signed=signed)
    elements.show(
        drawing.framed(canvas, stop.region),
        alt=f"Map at layer {stop.layer.name}, {SIGNS[sign]}: from {low:.3g} to {high:.3g} {unit}",
    )
    drawing.colour_bar(limit, unit, signed=signed, used=(low, high))
    if limit == 0:
        st.caption("Zero everywhere.")


def _offer(maps: dict[str, Map], scene: Scene, label: str, prefix: str) -> None:
    downloads.offer(
        "Download the maps (npz)",
        maps,
        name=f"{scene.image.name}-{label}-layers",
        key=f"{prefix}walk_npz",
        text="A map for each layer, float32, one value for each image pixel.",
    )
