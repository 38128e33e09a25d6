"""Widgets for the settings of a method and for the target. Their names in the address are those of the settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, cast

import cv2
import numpy as np
import streamlit as st

from pages.parts.app import address, shell
from pages.parts.app.shell import Scene
from pages.parts.widgets.region_picker import Pick
from perturb import Target
from perturb.core.quoting import markdown_text
from perturb.core.settings import Setting, Value, check_settings
from perturb.methods.ablation_cam import choose
from perturb.methods.registry import METHODS
from perturb.segmenters.layers import layer_access
from perturb.targets.target import SCORES, Score, shares

REGION_KINDS = ("class", "component", "pixel", "box", "all", "truth")
# Preferred as the default class, in this order: a photograph may contain many classes.
THINGS = ("car", "pedestrian", "bicyclist", "sign", "pole")


def able(names: Sequence[str]) -> list[str]:
    """The methods that can explain the chosen segmenter. Captions say why the others cannot."""
    reasons = {name: METHODS[name].lacking(shell.scene().segmenter) for name in names}
    missing = [
        f"**{METHODS[name].title}** is not available. {markdown_text(reason)}"
        for name, reason in reasons.items()
        if reason
    ]
    # Many captions would push the page out of view.
    with st.expander(f"{len(missing)} methods are not available") if len(missing) > 2 else st.container():
        for sentence in missing:
            st.caption(f":material/block: {sentence}")
    return [name for name, reason in reasons.items() if not reason]


def method_widget(names: Sequence[str], prefix: str) -> str:
    """A choice of the available methods, with summary and source of the chosen one."""
    names = able(names)
    if not names:
        st.info("No method of this page can explain this segmenter.", icon=":material/info:")
        st.stop()
    name = st.segmented_control(
        "Method",
        names,
        default=names[0],
        required=True,
        key=f"{prefix}method",
        bind="query-params",
        help=" ".join(f"**{name}**: {METHODS[name].summary}" for name in names),
    )
    chosen = name if name in names else names[0]
    st.caption(f"{METHODS[chosen].summary} Source: {METHODS[chosen].citation}.")
    return chosen


def measure_widget(prefix: str) -> Literal["score", "iou"]:
    """The choice of what the curves measure."""
    measure = st.segmented_control(
        "Measured as",
        ("score", "iou"),
        default="score",
        required=True,
        key=f"{prefix}measure",
        bind="query-params",
        help="**score**: mean probability in the region, relative to the clean image. **iou**: overlap of the new mask with the "
        "clean one. Both come from the same forward passes.",
    )
    return "iou" if measure == "iou" else "score"


def default_settings(name: str, scene: Scene) -> dict[str, Value]:
    """A method's default settings, as on its own page, so that results from there are reused."""
    method = METHODS[name]
    values = check_settings(method.settings, {}, name)
    for setting in method.settings:
        if setting.kind == "layer":
            values[setting.name] = choose(scene.segmenter, scene.image)
    return values


def method_settings(settings: Iterable[Setting], prefix: str, scene: Scene, across: int = 4) -> dict[str, Value]:
    """Widgets for those settings of a method that matter under the current values.

    Args:
        settings: from the method.
        prefix: of the widgets' keys, such as `occ_`.
        scene: its image's shorter side limits sliders in pixels; its segmenter has the layers to choose from.
        across: number of columns.
    """
    values: dict[str, Value] = {setting.name: setting.default for setting in settings}
    columns = st.columns(across)
    place = 0
    for setting in settings:
        if setting.only is None or str(values[setting.only[0]]) in setting.only[1]:
            with columns[place % len(columns)]:
                values[setting.name] = _widget(setting, prefix + setting.name, scene)
            place += 1
    return values


def _widget(setting: Setting, key: str, scene: Scene) -> Value:
    if setting.kind == "layer":
        found = [layer.name for layer in layer_access(scene.segmenter).layers(scene.image)]
        default = found.index(choose(scene.segmenter, scene.image))
        layer = st.selectbox(setting.title, found, index=default, key=key, bind="query-params", help=setting.help)
        return str(layer)
    if setting.kind == "choice":
        names = [name for name, _ in setting.choices]
        chosen = st.selectbox(
            setting.title,
            names,
            index=names.index(str(setting.default)),
            key=key,
            bind="query-params",
            help=setting.help,
        )
        return str(chosen)
    if setting.kind == "colour":
        return str(
            st.color_picker(setting.title, str(setting.default), key=key, bind="query-params", help=setting.help)
        )
    whole = setting.kind == "int"
    kind = int if whole else float
    high = min(setting.high, scene.image.height, scene.image.width) if setting.unit == "px" else setting.high
    return st.slider(
        setting.title,
        kind(max(setting.low, setting.step)),
        kind(high),
        kind(min(setting.default, high)),
        kind(setting.step),
        key=key,
        bind="query-params",
        help=setting.help,
    )


def default_class(scene: Scene) -> str:
    """The first of `THINGS` that is large enough in the clean segmentation, else the largest class."""
    found = shares(scene.labels, scene.segmenter.classes)
    large = {name for name, share in found if share > 0.002}
    things = [name for name, _ in found if name != "background" and name in large]
    return next((name for name in (*THINGS, *things) if name in large), found[0][0])


def target_widgets(scene: Scene, prefix: str, whose: str = "the segmenter") -> Target:
    """Class, region and score. The coordinates are number inputs; a pick on the image only sets them.

    Args:
        scene, prefix: of the page.
        whose: the segmenter whose prediction defines the region, in words.
    """
    classes = scene.segmenter.classes
    first, second, third = st.columns(3)
    with first:
        label = st.selectbox(
            "Class",
            classes,
            index=classes.index(default_class(scene)),
            key=f"{prefix}class",
            bind="query-params",
            help="The class to explain.",
        )
    with second:
        kind = st.selectbox(
            "Region",
            REGION_KINDS,
            key=f"{prefix}region",
            bind="query-params",
            on_change=_seed_region,
            args=(scene, prefix),
            help="The pixels whose score is explained. **class**: all pixels predicted as the class. **component**: the connected "
            "component under one pixel. **pixel**: a single pixel. **box**: a rectangle. **all**: the whole image. **truth**: "
            "the class in the ground truth. Click the image below for a component, or drag a box on it.",
        )
    with third:
        score = st.selectbox(
            "Score",
            SCORES,
            key=f"{prefix}score",
            bind="query-params",
            help="**logit**: mean output before the softmax, which does not saturate. **probability**: mean output after the "
            "softmax. **iou**: overlap (intersection over union) of the new mask with the clean one.",
        )
    region = str(kind)
    width, height = scene.image.width, scene.image.height
    if kind in ("component", "pixel"):
        x, y = _numbers(prefix, ("x", 0, width - 1), ("y", 0, height - 1))
        region = f"{kind}:{x},{y}"
    elif kind == "box":
        corners = _numbers(prefix, ("x0", 0, width - 1), ("y0", 0, height - 1), ("x1", 1, width), ("y1", 1, height))
        region = "box:" + ",".join(map(str, corners))
    chosen = Target(str(label), region=region, score=cast(Score, score))
    st.caption(_sentence(chosen, whose))
    return chosen


def _sentence(target: Target, whose: str) -> str:
    """The target in words."""
    label, kind = markdown_text(str(target.label)), target.parts()[0]
    where = {
        "class": f"over all pixels that {whose} predicts as {label}",
        "component": f"over the connected component of {label} under one pixel",
        "pixel": "at one pixel",
        "box": "over a box",
        "all": "over the whole image",
        "truth": f"over all pixels that are {label} in the ground truth",
    }[kind]
    what = {
        "logit": f"the mean logit of {label}",
        "probability": f"the mean probability of {label}",
        "iou": f"the overlap (IoU) of the new mask of {label} with the clean one",
    }[target.score]
    return f"Explained score: {what}, {where}."


def _numbers(prefix: str, *inputs: tuple[str, int, int]) -> list[int]:
    values = []
    for column, (name, low, high) in zip(st.columns(len(inputs)), inputs, strict=True):
        with column:
            # The default must be the minimum: links omit defaults, and a pick sets the state instead.
            value = st.number_input(
                name, low, high, key=f"{prefix}{name}", bind="query-params", help=f"Image pixels, {low} to {high}."
            )
            values.append(int(value))
    return values


def _seed_region(scene: Scene, prefix: str) -> None:
    """Set the coordinates of a newly chosen region to the largest component of the class."""
    state = st.session_state
    kind, label = state.get(f"{prefix}region"), state.get(f"{prefix}class")
    if kind not in ("component", "pixel", "box"):
        return
    mask = (scene.labels == scene.segmenter.classes.index(label)).astype(np.uint8)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 2:
        return
    part = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    x0, y0, w, h = (int(value) for value in stats[part, :4])
    # The pixel deepest inside the component.
    depth = cv2.distanceTransform(np.pad((parts == part).astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = divmod(int(np.argmax(depth)), depth.shape[1])
    values = {"x0": x0, "y0": y0, "x1": x0 + w, "y1": y0 + h} if kind == "box" else {"x": x, "y": y}
    for name, value in values.items():
        _write(prefix, name, value)


def write_pick(pick: Pick, scene: Scene, prefix: str) -> None:
    """Set the target's widgets from a pick on the image: a drag sets a box, a click the component under it."""
    state = st.session_state
    if pick.kind == "box":
        state[f"{prefix}region"] = "box"
        for name in ("x0", "y0", "x1", "y1"):
            _write(prefix, name, getattr(pick, name))
        return
    if state.get(f"{prefix}region") != "pixel":
        state[f"{prefix}region"] = "component"
        state[f"{prefix}class"] = scene.segmenter.classes[int(scene.labels[pick.y0, pick.x0])]
    _write(prefix, "x", pick.x0)
    _write(prefix, "y", pick.y0)


def _write(prefix: str, name: str, value: int) -> None:
    """Set the number input of a coordinate, which may not be drawn yet. Its default is its minimum."""
    address.assign(f"{prefix}{name}", value, default=1 if name in ("x1", "y1") else 0)
