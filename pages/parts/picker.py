"""A picture to point at: a click picks a pixel, a drag picks a box, and in cell mode a click picks a cell.

The picker holds no state. Number inputs bound to the URL are the state, because a link, a keyboard and a test can all
write them; the picker only writes those inputs, in `on_pick`, which runs before the inputs are made again:

    def write(pick: Pick) -> None:
        st.session_state["occ_x"], st.session_state["occ_y"] = pick.x0, pick.y0

    picture_picker(png, width=w, height=h, alt="…", key="occ_picker", box=(x, y, x + 1, y + 1), on_pick=write)
    st.number_input("x", 0, w - 1, key="occ_x", bind="query-params")
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import streamlit as st

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Pick:
    """One pick, in picture pixels: the half-open rectangle [x0, x1) × [y0, y1). A pixel has x1 = x0 + 1, y1 = y0 + 1.

    `nonce` differs between any two picks of a browser tab, so the same pixel picked twice is two different picks.
    """

    kind: Literal["pixel", "box", "cell"]
    x0: int
    y0: int
    x1: int
    y1: int
    nonce: str


# The lines over the picture do not follow the theme: they must stand out from any photograph, so each is a dark core in
# a white casing. What lies beside the picture follows the theme's variables.
_CSS = """
.picker { font: 400 0.875rem/1.4 var(--st-font, sans-serif); color: var(--st-text-color); width: 100%; }
.stage { position: relative; display: block; max-width: 100%; box-sizing: border-box; cursor: crosshair; outline: none;
  user-select: none; -webkit-user-select: none; -webkit-touch-callout: none;
  box-shadow: 0 0 0 1px var(--st-border-color); }
.stage.keys:focus { box-shadow: 0 0 0 2px var(--st-background-color), 0 0 0 5px var(--st-primary-color); }
.stage img { display: block; width: 100%; height: 100%; }
.stage img.large { image-rendering: pixelated; }
.stage svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; pointer-events: none; }
.stage svg * { fill: none; vector-effect: non-scaling-stroke; }
.case { stroke: #fff; stroke-width: 4px; }
.core { stroke: #111; stroke-width: 2px; }
.band .core { stroke-dasharray: 6 4; }
.cross .case { stroke-width: 3px; stroke-opacity: 0.85; }
.cross .core { stroke-width: 1px; }
[hidden] { display: none; }
.label { position: absolute; max-width: 60%; overflow: hidden; white-space: nowrap; text-overflow: ellipsis;
  pointer-events: none; padding: 0 0.375rem; font-size: 0.75rem; line-height: 1.25rem;
  color: #fff; background: #111; border: 1px solid #fff; }
.hint { display: grid; margin-top: 0.375rem; font-variant-numeric: tabular-nums; }
/* Keeps the height of the hint while a shorter text stands there. */
.hint::before { content: attr(data-rest); visibility: hidden; }
.hint::before, .hint span { grid-area: 1 / 1; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
"""

_HTML = """
<div class="picker">
  <div class="stage" tabindex="0" role="application" aria-roledescription="picture to pick from" aria-describedby="how">
    <img draggable="false">
    <svg preserveAspectRatio="none" aria-hidden="true">
      <g class="outline"><rect class="case"/><rect class="core"/></g>
      <g class="cross"><path class="case"/><path class="core"/></g>
      <g class="band"><rect class="case"/><rect class="core"/></g>
    </svg>
    <div class="label" hidden></div>
  </div>
  <div class="hint" aria-hidden="true"><span></span></div>
  <div class="unseen" id="how"></div>
  <div class="unseen" role="status"></div>
</div>
"""

_JS = """
const CLICK = 4  // screen px a hand may tremble between press and release before a click becomes a drag
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }

export default function ({ data, parentElement, setTriggerValue }) {
  const find = selector => parentElement.querySelector(selector)
  const stage = find(".stage"), img = find("img"), svg = find("svg"), label = find(".label")
  const [W, H] = [data.width, data.height], [cw, ch] = data.cell ?? [1, 1]
  // This function runs again on every new `data` or theme, also in the middle of a drag: what must live longer
  // than one run is kept on the element, and handlers are assigned, so none is ever attached twice.
  const s = (stage.picker ??= {}), size = `${W} × ${H}`
  if (s.size !== size) Object.assign(s, { size, drag: null, cursor: null })  // another picture, other pixels

  if (img.src !== data.src) img.src = data.src
  img.alt = data.alt
  stage.setAttribute("aria-label", data.alt)
  stage.style.aspectRatio = `${W} / ${H}`
  stage.style.width = `min(100%, calc(75vh * ${W / H}))`  // all of a tall picture, and room beside it to scroll a phone
  stage.style.touchAction = data.cell ? "manipulation" : "pinch-zoom"  // a finger draws a box; on cells it may scroll
  svg.setAttribute("viewBox", `0 0 ${W} ${H}`)
  const finger = matchMedia("(pointer: coarse)").matches
  const keys = ` Keys: arrows move${data.cell ? "" : " (Shift: 10 px)"}, Enter picks.`
  const hint = (finger ? "Tap " : "Click ") + (data.cell ? "a cell." : "a pixel or drag a box.")
  find("#how").textContent = hint + keys
  find(".hint").dataset.rest = finger ? hint : hint + keys

  const rects = (group, box) => {
    find(group).style.display = box ? "" : "none"
    if (!box) return
    for (const rect of find(group).querySelectorAll("rect")) {
      ["x", "y", "width", "height"].forEach((name, i) =>
        rect.setAttribute(name, [box[0], box[1], box[2] - box[0], box[3] - box[1]][i]))
    }
  }
  const cross = p => {
    find(".cross").style.display = p ? "" : "none"
    if (!p) return
    const [x0, y0, x1, y1] = around(p), x = (x0 + x1) / 2, y = (y0 + y1) / 2
    const path = data.cell ? `M${x0} ${y0}H${x1}V${y1}H${x0}Z`
      : `M0 ${y}H${x0}M${x1} ${y}H${W}M${x} 0V${y0}M${x} ${y1}V${H}M${x0} ${y0}H${x1}V${y1}H${x0}Z`
    for (const line of find(".cross").querySelectorAll("path")) line.setAttribute("d", path)
  }
  const clamp = (v, size) => Math.min(size - 1, Math.max(0, Math.floor(v)))
  const at = event => {  // screen to picture: from the size on the screen, so zoom and device pixels do not matter
    const r = img.getBoundingClientRect()
    return [clamp((event.clientX - r.left) / r.width * W, W), clamp((event.clientY - r.top) / r.height * H, H)]
  }
  const around = ([x, y]) => {  // the cell that holds a pixel; without cells, the pixel itself
    const x0 = x - x % cw, y0 = y - y % ch
    return [x0, y0, Math.min(W, x0 + cw), Math.min(H, y0 + ch)]
  }
  const between = (a, b) => [Math.min(a[0], b[0]), Math.min(a[1], b[1]),
    Math.max(a[0], b[0]) + 1, Math.max(a[1], b[1]) + 1]
  const words = ([x0, y0, x1, y1]) => x1 - x0 === 1 && y1 - y0 === 1 ? `x ${x0}, y ${y0}`
    : `x ${x0} to ${x1 - 1}, y ${y0} to ${y1 - 1} (${x1 - x0} × ${y1 - y0} px)`
  const show = text => { find(".hint span").textContent = text ?? find(".hint").dataset.rest }
  const say = text => { find("[role=status]").textContent = text }  // read aloud: keys and picks, not every hover

  const emit = (kind, [x0, y0, x1, y1]) => {
    say(`Picked ${words([x0, y0, x1, y1])}`)
    setTriggerValue("pick", { kind, x0, y0, x1, y1, nonce: String(performance.timeOrigin + performance.now()) })
  }
  const cancel = () => { s.drag = null; rects(".band", null); cross(null); show() }

  stage.onpointerdown = event => {
    if (event.button !== 0 || !event.isPrimary) return
    s.pressing = true
    stage.focus({ preventScroll: true })  // so that Escape arrives here
    s.pressing = false
    stage.classList.remove("keys")
    stage.setPointerCapture(event.pointerId)
    s.cursor = at(event)  // the arrow keys go on from the last press
    s.drag = { id: event.pointerId, x: event.clientX, y: event.clientY, from: at(event), far: false }
    cross(data.cell ? s.cursor : null)
  }
  stage.onpointermove = event => {
    const drag = s.drag
    if (!drag) {
      if (event.pointerType === "touch") return
      show(words(around(at(event))))
      if (data.cell) cross(at(event))
      return
    }
    if (event.pointerId !== drag.id) return
    drag.far ||= Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > CLICK
    if (!drag.far || data.cell) return
    const box = between(drag.from, at(event))
    rects(".band", box)
    show(words(box))
  }
  stage.onpointerup = event => {
    const drag = s.drag
    if (!drag || event.pointerId !== drag.id) return
    // A quick release can come without a last move: what counts is where the pointer is now.
    const far = drag.far || Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > CLICK
    const to = at(event)
    cancel()
    if (!far) emit(data.cell ? "cell" : "pixel", around(drag.from))
    else if (!data.cell) emit("box", between(drag.from, to))
  }
  stage.onpointercancel = stage.onlostpointercapture = event => { if (s.drag?.id === event.pointerId) cancel() }
  stage.onpointerleave = () => { if (!s.drag) { show(); if (data.cell) cross(null) } }
  // Not :focus-visible, which also matches after the first press on a page: ring and crosshair are for the keyboard.
  stage.onfocus = () => { if (!s.pressing) move(0, 0) }
  stage.onblur = () => { stage.classList.remove("keys"); if (!s.drag) cancel() }

  const move = (dx, dy) => {
    const box = data.box ?? [0, 0, W, H]
    const [x, y] = s.cursor ?? [(box[0] + box[2] - 1) >> 1, (box[1] + box[3] - 1) >> 1]
    s.cursor = [clamp(x + dx, W), clamp(y + dy, H)]
    stage.classList.add("keys")
    cross(s.cursor)
    show(words(around(s.cursor)))
    say(words(around(s.cursor)))
  }
  stage.onkeydown = event => {
    if (event.key === "Escape") return cancel()
    if (s.drag || event.ctrlKey || event.altKey || event.metaKey) return
    const step = event.shiftKey && !data.cell ? 10 : 1, arrow = ARROWS[event.key]
    if (!arrow && event.key !== "Enter") return
    event.preventDefault()  // the page must not scroll under the crosshair
    event.stopPropagation()
    if (arrow) move(arrow[0] * step * cw, arrow[1] * step * ch)
    else { move(0, 0); emit(data.cell ? "cell" : "pixel", around(s.cursor)) }
  }

  const fit = s.fit = () => {
    const { width, height } = img.getBoundingClientRect()
    img.classList.toggle("large", width / W > 2)  // blocks where pixels are meant to be seen, smooth below
    label.hidden = !(data.box && data.label)
    if (label.hidden) return
    const [x0, y0, x1] = data.box, top = y0 / H * height
    label.textContent = data.label
    label.style.top = `${top < 24 ? top + 3 : top - 24}px`  // above the outline, inside it at the upper edge
    label.style.left = x0 > W / 2 ? "auto" : `${x0 / W * 100}%`
    label.style.right = x0 > W / 2 ? `${(1 - x1 / W) * 100}%` : "auto"
  }
  s.observer ??= new ResizeObserver(() => s.fit())
  s.observer.observe(img)
  rects(".outline", data.box)
  if (!s.drag) {
    rects(".band", null)
    cross(stage.classList.contains("keys") ? s.cursor : null)
    show()
  }
  fit()
  return () => s.observer.disconnect()
}
"""

# Declared once: a second declaration under the same name would replace the first under the feet of other sessions.
_PICKER = st.components.v2.component("picture_picker", html=_HTML, css=_CSS, js=_JS)


def picture_picker(
    png: bytes,
    *,
    width: int,
    height: int,
    alt: str,
    key: str,
    box: Box | None = None,
    outline_label: str = "",
    cell: tuple[int, int] | None = None,
    on_pick: Callable[[Pick], None] | None = None,
) -> Pick | None:
    """Show a picture at its true aspect ratio, as wide as its container, and let the visitor pick from it.

    `png` holds the bytes of a PNG, `width` and `height` its pixels. `box` is drawn as an outline, with `outline_label`
    as its name. With `cell=(w, h)` the picture is a grid of cells of that many pixels, counted from the upper left, and
    only whole cells are picked. `key` must not contain a double underscore. The picker cannot stand in a form, and loses
    the keyboard's focus in an `st.empty` that each run fills again; in a container it keeps it.

    Returns the pick that caused this run, or None: a pick is an event, so any later rerun returns None. `on_pick` gets
    the same pick before the script runs; it is the place to write widgets of the page. Use the one or the other.

    The pick comes from a browser: it is clipped to the picture, and anything that is no pick is None.
    """
    data = {
        "src": "data:image/png;base64," + b64encode(png).decode("ascii"),
        "width": width,
        "height": height,
        "alt": alt,
        "box": box,
        "label": outline_label,
        "cell": cell,
    }

    def picked() -> None:
        pick = _read(st.session_state[key].get("pick"), width, height)
        if pick is not None and on_pick is not None:
            on_pick(pick)

    return _read(_PICKER(key=key, data=data, on_pick_change=picked).get("pick"), width, height)


def _read(raw: object, width: int, height: int) -> Pick | None:
    if not isinstance(raw, Mapping):
        return None
    values: Mapping[str, Any] = raw
    kind, nonce = values.get("kind"), values.get("nonce")
    corners: list[Any] = [values.get(name) for name in ("x0", "y0", "x1", "y1")]
    if kind not in ("pixel", "box", "cell") or not all(type(corner) is int for corner in corners):
        return None
    x0, y0 = max(0, corners[0]), max(0, corners[1])
    x1, y1 = min(width, corners[2]), min(height, corners[3])
    return Pick(kind, x0, y0, x1, y1, str(nonce)) if x0 < x1 and y0 < y1 else None
