const { document, matchMedia, ResizeObserver } = globalThis // of the browser
const GAP = 16, HOLD = 250 // px between images; ms within which turns of the wheel belong together
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }

const make = (tag, name, parent) => {
  const element = document.createElement(tag)
  element.className = name
  parent.append(element)
  return element
}

export default function ({ data, parentElement }) {
  const find = (selector) => parentElement.querySelector(selector)
  const root = find(".panorama"), grid = find(".grid"), [W, H] = [data.width, data.height]
  const n = data.views.length, swap = data.swap, all = (selector) => [...grid.querySelectorAll(selector)]
  // This function runs again on every new `data` or theme, so persistent state is kept on the element.
  const s = (root.panorama ??= { zoom: 1, x: 0, y: 0, split: 50, points: new Map() })
  const size = `${W} × ${H}`
  if (s.size !== size) Object.assign(s, { size, zoom: 1, x: 0, y: 0 }) // an image of another size

  const shape = `${swap} ${n}`
  if (grid.dataset.shape !== shape) {
    grid.dataset.shape = shape
    grid.replaceChildren()
    s.points.clear()
    for (let i = 0; i < (swap ? 1 : n); i++) {
      const figure = make("figure", "", grid)
      const title = make("figcaption", "", figure), stage = make("div", "stage", figure)
      stage.tabIndex = 0
      stage.setAttribute("role", "application")
      stage.setAttribute(
        "aria-roledescription",
        "image to zoom and move; keys: plus, minus, arrows, 0 for the whole image",
      )
      make("img", "", stage).draggable = false
      if (swap) {
        make("img", "", make("div", "over", stage)).draggable = false
        make("div", "side left", stage)
        make("div", "side right", stage)
        make("div", "handle", stage)
        const slide = make("input", "slide", figure)
        Object.assign(slide, { type: "range", min: 0, max: 100, step: 1, value: s.split })
        title.hidden = true
      }
      make("div", "eye", stage).hidden = true
      if (!swap) make("div", "below", figure)
      else for (const _ of [0, 1]) make("div", "below", find(".bars") ?? make("div", "bars", figure))
    }
  }
  const wide = swap ? 1 : n === 4 ? 2 : n // four form a grid of two by two
  const column = `(100% - ${GAP * (wide - 1)}px) / ${wide}`
  grid.style.gridTemplateColumns = `repeat(auto-fit, minmax(min(100%, max(15rem, ${column})), 1fr))`
  const stages = all(".stage"), images = all("img")
  // With the slider, the first image lies over the second.
  const order = swap ? [1, 0] : data.views.map((_, i) => i)
  images.forEach((img, i) => {
    const view = data.views[order[i]]
    if (img.src !== view.src) img.src = view.src
    img.alt = view.alt
  })
  stages.forEach((stage, i) => {
    stage.style.aspectRatio = `${W} / ${H}`
    stage.closest("figure").style.maxWidth = `calc(80vh * ${W / H})` // slider and bars are as wide as the image
    stage.setAttribute(
      "aria-label",
      swap ? data.views.map((view) => view.alt).join("; next to it: ") : data.views[i].alt,
    )
  })
  if (!swap) {
    all("figcaption").forEach((title, i) => {
      title.textContent = data.views[i].title
    })
  }
  all(".below").forEach((place, i) => {
    const html = swap && data.views[i].below ? `<b></b>${data.views[i].below}` : data.views[i].below
    if (place.dataset.html === html) return
    place.dataset.html = html
    place.innerHTML = html
    if (place.querySelector("b")) place.querySelector("b").textContent = data.views[i].title
  })

  const finger = matchMedia("(pointer: coarse)").matches
  const most = () => Math.max(8, 24 * W / stages[0].clientWidth) // until an image pixel is 24 px wide
  const draw = s.draw = () => {
    s.zoom = Math.min(most(), Math.max(1, s.zoom))
    s.x = Math.min(W - W / s.zoom, Math.max(0, s.x))
    s.y = Math.min(H - H / s.zoom, Math.max(0, s.y))
    const large = s.zoom * stages[0].clientWidth / W > 2 // show pixels as blocks when enlarged, smooth otherwise
    for (const img of images) {
      img.style.transform = `scale(${s.zoom}) translate(${-s.x / W * 100}%, ${-s.y / H * 100}%)`
      img.classList.toggle("large", large)
    }
    for (const stage of stages) {
      stage.classList.toggle("zoomed", s.zoom > 1)
      stage.style.touchAction = s.zoom > 1 ? "none" : "pan-y" // while not zoomed, touching the image must scroll the page
    }
    find(".out").disabled = find(".reset").disabled = s.zoom === 1
    find(".in").disabled = s.zoom === most()
    const text = s.zoom === 1
      ? (finger ? "Pinch to zoom." : "Wheel or + − to zoom, drag to move.")
      : `${s.zoom.toFixed(1)}×: x ${Math.round(s.x)} to ` +
        `${Math.round(s.x + W / s.zoom)}, y ${Math.round(s.y)} to ${Math.round(s.y + H / s.zoom)}`
    if (find("[role=status]").textContent !== text) find("[role=status]").textContent = text
    root.dataset.zoom = s.zoom.toFixed(3)
    if (!swap) return
    find(".over").style.clipPath = `inset(0 ${100 - s.split}% 0 0)`
    find(".handle").style.left = `${s.split}%`
    const slide = find(".slide"), names = data.views.map((view) => view.title)
    if (slide.value !== String(s.split)) slide.value = s.split
    slide.setAttribute("aria-label", `Swap: ${names[0]} left of the slider, ${names[1]} right of it`)
    slide.setAttribute("aria-valuetext", `${Math.round(s.split)} % ${names[0]}, the rest ${names[1]}`)
    find(".left").textContent = names[0]
    find(".right").textContent = names[1]
    find(".left").hidden = s.split < 20
    find(".right").hidden = s.split > 80
  }
  const at = (event, stage) => { // screen to image coordinates
    const r = stage.getBoundingClientRect()
    return [
      s.x + (event.clientX - r.left) / r.width * W / s.zoom,
      s.y + (event.clientY - r.top) / r.height * H / s.zoom,
    ]
  }
  const zoom = (factor, [px, py] = [s.x + W / s.zoom / 2, s.y + H / s.zoom / 2]) => {
    const before = s.zoom
    s.zoom = Math.min(most(), Math.max(1, s.zoom * factor))
    s.x = px - (px - s.x) * before / s.zoom // keep the point under the pointer fixed
    s.y = py - (py - s.y) * before / s.zoom
    draw()
  }
  const closer = () => { // first to the explained region, then to the centre of the view
    if (s.zoom > 1 || !data.focus) return zoom(1.5)
    s.zoom = Math.min(most(), 1.5)
    s.x = data.focus[0] - W / s.zoom / 2
    s.y = data.focus[1] - H / s.zoom / 2
    draw()
  }
  const move = (dx, dy) => {
    s.x += dx
    s.y += dy
    draw()
  }
  const whole = () => {
    s.zoom = 1
    draw()
  }
  const look = (p) => { // mark the same pixel in every image
    for (const eye of all(".eye")) {
      eye.hidden = !p || swap
      if (!p) continue
      eye.style.left = `${(p[0] - s.x) * s.zoom / W * 100}%`
      eye.style.top = `${(p[1] - s.y) * s.zoom / H * 100}%`
    }
    find(".where").textContent = p ? `· pointer at x ${Math.floor(p[0])}, y ${Math.floor(p[1])}` : ""
  }
  const slideTo = (value) => {
    s.split = Math.min(100, Math.max(0, value))
    draw()
  }

  find(".in").onclick = closer
  find(".out").onclick = () => zoom(1 / 1.5)
  find(".reset").onclick = whole
  if (swap) {
    const handle = find(".handle")
    find(".slide").oninput = (event) => slideTo(Number(event.target.value))
    handle.onpointerdown = (event) => {
      event.stopPropagation()
      handle.setPointerCapture(event.pointerId)
      find(".slide").focus({ preventScroll: true }) // so that the arrow keys move the slider
    }
    handle.onpointermove = (event) => {
      event.stopPropagation()
      if (!handle.hasPointerCapture(event.pointerId)) return
      const r = stages[0].getBoundingClientRect()
      slideTo((event.clientX - r.left) / r.width * 100)
    }
  }
  for (const stage of stages) {
    stage.onwheel = (event) => {
      const now = performance.now(), scrolling = now - s.scrolled < HOLD
      // Scrolling of the page continues when an image moves under the pointer.
      if (!event.ctrlKey && (scrolling || (s.zoom === 1 && event.deltaY > 0))) return
      event.preventDefault()
      s.turned = event
      const lines = event.deltaMode === 1 ? 16 : 1
      zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.002)), at(event, stage))
      look(at(event, stage))
    }
    stage.onpointerdown = (event) => {
      if (event.button !== 0) return
      stage.setPointerCapture(event.pointerId)
      s.points.set(event.pointerId, [event.clientX, event.clientY])
      stage.classList.toggle("held", s.zoom > 1)
    }
    stage.onpointermove = (event) => {
      const before = s.points.get(event.pointerId)
      if (event.pointerType === "mouse") look(at(event, stage))
      if (!before) return
      const other = [...s.points].find(([id]) => id !== event.pointerId)?.[1]
      const r = stage.getBoundingClientRect(), scale = W / s.zoom / r.width
      s.points.set(event.pointerId, [event.clientX, event.clientY])
      if (other) { // two fingers
        const far = (p) => Math.max(1, Math.hypot(p[0] - other[0], p[1] - other[1]))
        const middle = { clientX: (event.clientX + other[0]) / 2, clientY: (event.clientY + other[1]) / 2 }
        zoom(far([event.clientX, event.clientY]) / far(before), at(middle, stage))
      }
      const share = other ? 0.5 : 1 // with two fingers, each moves the image by half
      move((before[0] - event.clientX) * scale * share, (before[1] - event.clientY) * scale * share)
    }
    stage.onpointerup = stage.onpointercancel = stage.onlostpointercapture = (event) => {
      s.points.delete(event.pointerId)
      stage.classList.remove("held")
    }
    stage.onpointerleave = () => look(null)
    stage.ondblclick = (event) => zoom(2, at(event, stage))
    stage.onkeydown = (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return
      const arrow = ARROWS[event.key]
      if (event.key === "+" || event.key === "=") closer()
      else if (event.key === "-") zoom(1 / 1.5)
      else if (event.key === "0" || event.key === "Escape") whole()
      else if (arrow && s.zoom > 1) move(arrow[0] * W / s.zoom / 10, arrow[1] * H / s.zoom / 10)
      else return
      event.preventDefault() // the page must not scroll as well
      event.stopPropagation()
    }
  }
  s.scrolled ??= -Infinity
  s.onWheel ??= (event) => {
    if (event !== s.turned) s.scrolled = performance.now()
  }
  document.addEventListener("wheel", s.onWheel, { passive: true }) // runs after the handlers of the images
  s.observer ??= new ResizeObserver(() => s.draw())
  s.observer.observe(grid)
  draw()
  return () => {
    s.observer.disconnect()
    document.removeEventListener("wheel", s.onWheel)
  }
}
