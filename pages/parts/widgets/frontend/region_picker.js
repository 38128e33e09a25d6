const { matchMedia, ResizeObserver } = globalThis // of the browser
const CLICK = 4 // screen px of movement between press and release that still count as a click
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }

export default function ({ data, parentElement, setTriggerValue }) {
  const find = (selector) => parentElement.querySelector(selector)
  const stage = find(".stage"), img = find("img"), svg = find("svg"), label = find(".label")
  const [W, H] = [data.width, data.height], [cw, ch] = data.cell ?? [1, 1]
  // This function runs again on every new `data` or theme, even during a drag. Persistent state is kept on the
  // element, and handlers are assigned, so none is attached twice.
  const s = (stage.picker ??= {}), size = `${W} × ${H}`
  if (s.size !== size) Object.assign(s, { size, drag: null, cursor: null }) // an image of another size

  if (img.src !== data.src) img.src = data.src
  img.alt = data.alt
  stage.setAttribute("aria-label", data.alt)
  stage.style.aspectRatio = `${W} / ${H}`
  stage.style.width = `min(100%, calc(75vh * ${W / H}))` // fit tall images, and leave space for scrolling on a phone
  stage.style.touchAction = data.cell ? "manipulation" : "pinch-zoom" // a finger draws a box; with cells it scrolls
  svg.setAttribute("viewBox", `0 0 ${W} ${H}`)
  const finger = matchMedia("(pointer: coarse)").matches
  const keys = ` Keys: arrows move${data.cell ? "" : " (Shift: 10 px)"}, Enter picks.`
  const hint = (finger ? "Tap " : "Click ") + (data.cell ? "a cell." : "a pixel or drag a box.")
  find("#how").textContent = hint + keys
  find(".hint").dataset.rest = finger ? hint : hint + keys

  const rects = (group, box) => {
    find(group).style.display = box ? "" : "none"
    if (!box) return
    const [x0, y0, x1, y1] = box
    const place = Object.entries({ x: x0, y: y0, width: x1 - x0, height: y1 - y0 })
    for (const rect of find(group).querySelectorAll("rect")) {
      for (const [name, value] of place) rect.setAttribute(name, value)
    }
  }
  const cross = (p) => {
    find(".cross").style.display = p ? "" : "none"
    if (!p) return
    const [x0, y0, x1, y1] = around(p), x = (x0 + x1) / 2, y = (y0 + y1) / 2
    const path = data.cell
      ? `M${x0} ${y0}H${x1}V${y1}H${x0}Z`
      : `M0 ${y}H${x0}M${x1} ${y}H${W}M${x} 0V${y0}M${x} ${y1}V${H}M${x0} ${y0}H${x1}V${y1}H${x0}Z`
    for (const line of find(".cross").querySelectorAll("path")) line.setAttribute("d", path)
  }
  const clamp = (v, size) => Math.min(size - 1, Math.max(0, Math.floor(v)))
  const at = (event) => { // screen to image coordinates, from the displayed size, so independent of zoom and device pixels
    const r = img.getBoundingClientRect()
    return [clamp((event.clientX - r.left) / r.width * W, W), clamp((event.clientY - r.top) / r.height * H, H)]
  }
  const around = ([x, y]) => { // the cell that contains a pixel; without cells, the pixel itself
    const x0 = x - x % cw, y0 = y - y % ch
    return [x0, y0, Math.min(W, x0 + cw), Math.min(H, y0 + ch)]
  }
  const between = ([ax, ay], [bx, by]) => [
    Math.min(ax, bx),
    Math.min(ay, by),
    Math.max(ax, bx) + 1,
    Math.max(ay, by) + 1,
  ]
  const words = ([x0, y0, x1, y1]) =>
    x1 - x0 === 1 && y1 - y0 === 1
      ? `x ${x0}, y ${y0}`
      : `x ${x0} to ${x1 - 1}, y ${y0} to ${y1 - 1} (${x1 - x0} × ${y1 - y0} px)`
  const show = (text) => {
    find(".hint span").textContent = text ?? find(".hint").dataset.rest
  }
  const say = (text) => { // for screen readers: keys and picks, not every hover
    find("[role=status]").textContent = text
  }

  const emit = (kind, [x0, y0, x1, y1]) => {
    say(`Picked ${words([x0, y0, x1, y1])}`)
    setTriggerValue("pick", { kind, x0, y0, x1, y1, nonce: String(performance.timeOrigin + performance.now()) })
  }
  const cancel = () => {
    s.drag = null
    rects(".band", null)
    cross(null)
    show()
  }

  stage.onpointerdown = (event) => {
    if (event.button !== 0 || !event.isPrimary) return
    s.pressing = true
    stage.focus({ preventScroll: true }) // so that Escape is received
    s.pressing = false
    stage.classList.remove("keys")
    stage.setPointerCapture(event.pointerId)
    s.cursor = at(event) // the arrow keys start at the last press
    s.drag = { id: event.pointerId, x: event.clientX, y: event.clientY, from: at(event), far: false }
    cross(data.cell ? s.cursor : null)
  }
  stage.onpointermove = (event) => {
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
  stage.onpointerup = (event) => {
    const drag = s.drag
    if (!drag || event.pointerId !== drag.id) return
    // A quick release may come without a preceding move event, so use the current position.
    const far = drag.far || Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > CLICK
    const to = at(event)
    cancel()
    if (!far) emit(data.cell ? "cell" : "pixel", around(drag.from))
    else if (!data.cell) emit("box", between(drag.from, to))
  }
  stage.onpointercancel = stage.onlostpointercapture = (event) => {
    if (s.drag?.id === event.pointerId) cancel()
  }
  stage.onpointerleave = () => {
    if (!s.drag) {
      show()
      if (data.cell) cross(null)
    }
  }
  // Not :focus-visible, which also matches after the first press on a page. Ring and crosshair are for the keyboard.
  stage.onfocus = () => {
    if (!s.pressing) move(0, 0)
  }
  stage.onblur = () => {
    stage.classList.remove("keys")
    if (!s.drag) cancel()
  }

  const move = (dx, dy) => {
    const box = data.box ?? [0, 0, W, H]
    const [x, y] = s.cursor ?? [(box[0] + box[2] - 1) >> 1, (box[1] + box[3] - 1) >> 1]
    s.cursor = [clamp(x + dx, W), clamp(y + dy, H)]
    stage.classList.add("keys")
    cross(s.cursor)
    show(words(around(s.cursor)))
    say(words(around(s.cursor)))
  }
  stage.onkeydown = (event) => {
    if (event.key === "Escape") return cancel()
    if (s.drag || event.ctrlKey || event.altKey || event.metaKey) return
    const step = event.shiftKey && !data.cell ? 10 : 1, arrow = ARROWS[event.key]
    if (!arrow && event.key !== "Enter") return
    event.preventDefault() // the page must not scroll as well
    event.stopPropagation()
    if (arrow) move(arrow[0] * step * cw, arrow[1] * step * ch)
    else {
      move(0, 0)
      emit(data.cell ? "cell" : "pixel", around(s.cursor))
    }
  }

  const fit = s.fit = () => {
    const { width, height } = img.getBoundingClientRect()
    img.classList.toggle("large", width / W > 2) // show pixels as blocks when enlarged, smooth otherwise
    label.hidden = !(data.box && data.label)
    if (label.hidden) return
    const [x0, y0, x1] = data.box, top = y0 / H * height
    label.textContent = data.label
    label.style.top = `${top < 24 ? top + 3 : top - 24}px` // above the outline, or inside it at the upper edge
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
