"""The architecture of the segmenter: a tree of modules, a summary by type, and one module in detail."""

from __future__ import annotations

import pandas as pd
import streamlit as st

import perturb
from pages.parts.app import elements
from pages.parts.app.shell import Scene
from perturb.core.quoting import html_text, markdown_text
from perturb.methods.ablation_cam import choose
from perturb.segmenters.layers import LayerAccess, layer_access
from perturb.segmenters.summary import GROUP, Part, by_kind, why_not

SHOWN = 1500
"""Maximum number of parts in the tree; more would take seconds to draw."""
FEW = 3
"""If the network has at most this many top-level parts, they are unfolded at first."""
_ROW = "display:inline-flex;flex-wrap:wrap;column-gap:.9rem;align-items:baseline;max-width:calc(100% - 1.3rem)"
_NUMBER = "opacity:.75;font-variant-numeric:tabular-nums;white-space:nowrap"


def section(scene: Scene, prefix: str) -> None:
    """A summary of the network, its tree, its types, and one part chosen by name."""
    try:
        access = layer_access(scene.segmenter)
        whole = _read(access.name, access.digest, scene.image.digest, access, scene.image)
    except perturb.SegmenterError as error:
        st.info(markdown_text(str(error)), icon=":material/info:")
        return
    st.markdown(_sentence(whole, access))
    left, right = st.columns((1.5, 1), gap="medium")
    with left:
        _tree(whole, scene)
    with right:
        _part(whole, scene, prefix)
        _kinds(whole, prefix)


# Keyed by digests: Streamlit hashes only a sample of a large array, so two images could be confused.
@st.cache_resource(max_entries=16, show_spinner="Reading the architecture …")
def _read(
    name: str,  # noqa: ARG001 — part of the cache key
    weights: str,  # noqa: ARG001 — part of the cache key
    image: str,  # noqa: ARG001 — part of the cache key
    _segmenter: LayerAccess,
    _image: perturb.Image,
) -> Part:
    return _segmenter.summary(_image)


def _sentence(whole: Part, segmenter: LayerAccess) -> str:
    parts = sum(1 for part in whole.walk() if not part.parts)
    words = (
        f"**{markdown_text(segmenter.name)}**: {parts:,} {segmenter.part_noun} with **{whole.parameters:,} parameters**; "
        f"output shape on this image: {_shapes(whole)}."
    )
    entry = perturb.SEGMENTERS.get(segmenter.name)
    published = entry.card().parameters if entry is not None else None
    if published and published != whole.parameters:
        words += (
            f" The catalogue lists {published:,}: here, batch normalisation is folded into the preceding convolution (and replaced "
            "by an Identity), and auxiliary heads used only in training are left out."
        )
    return f"{words} {segmenter.summary_note}".rstrip()


def _tree(whole: Part, scene: Scene) -> None:
    st.markdown(
        "**Parts**",
        help="Click to fold and unfold. Shapes are channels × rows × columns of the output on this image. "
        "Parameters include those of all nested parts.",
    )
    rows: list[str] = []
    _rows(whole, rows, scene.segmenter.name, opened=True)
    st.html(f"<div style='font-size:.86rem;line-height:1.55;overflow-wrap:anywhere'>{''.join(rows)}</div>")
    count = sum(1 for _ in whole.walk())
    if count > SHOWN:
        st.caption(f"The first {SHOWN:,} of {count:,} parts are shown. All of them can be chosen by name.")


def _rows(part: Part, rows: list[str], title: str, *, opened: bool = False) -> None:
    if len(rows) > SHOWN:
        return
    if part.same_as:
        facts = f"shared with {part.same_as}"
    elif part.calls == 0:
        facts = "container" if part.parts else "not called directly"
    else:
        facts = _shapes(part) + (f" · used {part.calls} ×" if part.calls > 1 else "")
    weights = f"{part.parameters:,} parameters" if part.parameters else ""
    row = (
        f"<span style='{_ROW}'><b>{html_text(title)}</b><span>{html_text(part.kind)}</span>"
        f"<span style='{_NUMBER}'>{html_text(facts)}</span><span style='{_NUMBER}'>{weights}</span></span>"
    )
    if not part.parts:
        rows.append(f"<div style='padding-left:1.05rem'>{row}</div>")
        return
    rows.append(f"<details{' open' if opened else ''}><summary style='cursor:pointer'>{row}</summary>")
    rows.append("<div style='margin-left:.35rem;padding-left:.75rem;border-left:1px solid #8885'>")
    few = opened and len(part.parts) <= FEW
    for inner in part.parts:
        _rows(inner, rows, inner.name.rpartition(".")[2], opened=few)
    rows.append("</div></details>")


def _shapes(part: Part) -> str:
    return ", ".join(" × ".join(map(str, shape)) for shape in part.shapes) or "no tensor"


def _part(whole: Part, scene: Scene, prefix: str) -> None:
    """One part by name, with a link to its explanation."""
    parts = {part.name: part for part in whole.walk() if part.name}
    if not parts:
        return
    usable = {part.layer: part.name for part in parts.values() if part.layer}
    default = usable.get(choose(scene.segmenter, scene.image)) if usable else None
    name = st.selectbox(
        "Part",
        tuple(parts),
        index=list(parts).index(default) if default else 0,
        key=f"{prefix}part",
        bind="query-params",
        help="Any part of the tree, by its full name. Type to search.",
    )
    part = parts[name if name in parts else next(iter(parts))]
    share = f" ({elements.percent(part.parameters / whole.parameters)} of all)" if part.parameters else ""
    kind = part.kind if part.kind == GROUP else f"`{part.kind}`"
    st.caption(f"{kind}, {_shapes(part)}, {part.parameters:,} parameters{share}")
    if reason := why_not(part):
        st.caption(f":material/block: This part cannot be explained as a layer. {markdown_text(reason)}")
        return
    st.page_link(
        "pages/inspect.py",
        label="Explain with this layer: Seg-Ablation-CAM",
        query_params={"cam_method": "ablation-cam", "cam_layer": part.layer},
        icon=":material/layers:",
        help="Ablate its channels one by one, on the Inspect page.",
    )


def _kinds(whole: Part, prefix: str) -> None:
    st.markdown("**By type**", help="Leaf modules, and modules with weights of their own, counted by type.")
    frame = pd.DataFrame([(kind.kind, kind.count, kind.parameters) for kind in by_kind(whole)])
    frame.columns = pd.Index(["type", "count", "parameters"])
    st.dataframe(
        frame,
        hide_index=True,
        key=f"{prefix}kinds",
        column_config={
            "type": st.column_config.TextColumn("Type", help="The class of the module, or the operator of the node."),
            "count": st.column_config.NumberColumn("Count", help="Number of such parts."),
            "parameters": st.column_config.NumberColumn(
                "Parameters", format="localized", help="Number of trained parameters."
            ),
        },
    )
