"""The probe: one perturbation in detail."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt
import streamlit as st

import perturb
from pages.parts.app import address, elements
from perturb.core.colour import blend, label_colours, outline, tint, to_uint8
from perturb.methods.explain import masks_and_fill
from perturb.perturbations.masks import Masks, Windows

LOST, GAINED = (230, 97, 1), (0, 150, 220)
CHUNK = 64


class _Chooser(ABC):
    """Selects one perturbation. Its number inputs are the state."""

    def __init__(self, prefix: str, order: npt.NDArray[np.int64], image: perturb.Image) -> None:
        self.prefix, self.order, self.image = prefix, order, image

    @abstractmethod
    def values(self, index: int) -> dict[str, int]:
        """Values of the inputs for a perturbation, by key."""

    @abstractmethod
    def at(self, x: int, y: int) -> int:
        """The perturbation selected by a click on a pixel."""

    @abstractmethod
    def inputs(self) -> int:
        """Draw the inputs and return the selected perturbation."""

    @abstractmethod
    def words(self, index: int) -> str:
        """Description of a perturbation."""

    @abstractmethod
    def current(self) -> int:
        """The selected perturbation according to the session state, before the inputs are drawn."""

    def write(self, index: int) -> None:
        """Set the inputs to a perturbation."""
        st.session_state.update(self.values(index))

    def step(self, by: int | None) -> None:
        """Move up or down in the ranking; None moves to the strongest."""
        rank = 0 if by is None else int(np.flatnonzero(self.order == self.current())[0]) + by
        self.write(int(self.order[rank % len(self.order)]))

    def number(self, label: str, key: str, high: int, text: str) -> int:
        """One number input; its default is the strongest perturbation."""
        with st.container(width=140):
            default = self.values(int(self.order[0]))[key]
            return int(st.number_input(label, 0, high, default, key=key, bind="query-params", help=text))


class _ByPlace(_Chooser):
    """Selects a window by its centre pixel."""

    def __init__(self, prefix: str, order: npt.NDArray[np.int64], image: perturb.Image, windows: Windows) -> None:
        super().__init__(prefix, order, image)
        self.windows = windows

    def values(self, index: int) -> dict[str, int]:
        x, y = self.windows.centre(index)
        return {f"{self.prefix}wx": x, f"{self.prefix}wy": y}

    def at(self, x: int, y: int) -> int:
        return self.windows.at(x, y)

    def current(self) -> int:
        return self.at(st.session_state[f"{self.prefix}wx"], st.session_state[f"{self.prefix}wy"])

    def inputs(self) -> int:
        text = "Centre of the window in image pixels. The nearest window is shown."
        x = self.number("x", f"{self.prefix}wx", self.image.width - 1, text)
        y = self.number("y", f"{self.prefix}wy", self.image.height - 1, text)
        return self.at(x, y)

    def words(self, index: int) -> str:
        x0, y0, x1, y1 = self.windows.box(index)
        return f"window {index + 1} of {len(self.windows)}, x {x0} to {x1 - 1}, y {y0} to {y1 - 1}"


class _ByNumber(_Chooser):
    """Selects any other perturbation by its number."""

    def __init__(self, prefix: str, order: npt.NDArray[np.int64], image: perturb.Image, masks: Masks) -> None:
        super().__init__(prefix, order, image)
        self.masks = masks

    def values(self, index: int) -> dict[str, int]:
        return {f"{self.prefix}number": index}

    def at(self, x: int, y: int) -> int:
        """The strongest perturbation that hides the pixel."""
        total = len(self.masks)
        chunks = [self.masks.hidden(i, min(i + CHUNK, total))[:, y, x] > 0.5 for i in range(0, total, CHUNK)]
        hides = np.concatenate([chunk.numpy() for chunk in chunks])
        return int(next((index for index in self.order if hides[index]), self.order[0]))

    def current(self) -> int:
        return int(st.session_state[f"{self.prefix}number"])

    def inputs(self) -> int:
        text = "Perturbations are numbered from 0 in the order of the run."
        return self.number("Number", f"{self.prefix}number", len(self.masks) - 1, text)

    def words(self, index: int) -> str:
        return f"number {index} of {len(self.masks)}"


@address.fragment
def show(result: perturb.Attribution, prefix: str) -> None:
    """Choose a perturbation by position or rank; show the perturbed image, its segmentation, and the changes."""
    state = st.session_state
    order = ranking(result)
    masks, _ = masks_and_fill(result)
    chooser: _Chooser = (
        _ByPlace(prefix, order, result.image, masks)
        if isinstance(masks, Windows)
        else _ByNumber(prefix, order, result.image, masks)
    )
    strongest, remembered = chooser.values(int(order[0])), f"{prefix}strongest"
    if f"{prefix}picked" in state:
        chooser.write(chooser.at(*state.pop(f"{prefix}picked")))
    elif {key: state.get(key) for key in strongest} == state.get(remembered) != strongest:
        # While the strongest perturbation is selected, a new result selects its own strongest.
        state.update(strongest)
    state[remembered] = strongest
    st.subheader("Probe one perturbation", help="Runs the segmenter once more on this perturbed image.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        index = chooser.inputs()
        for label, icon, by, text in (
            ("Strongest", "first_page", None, "The perturbation with the largest change of the score."),
            ("Stronger", "chevron_left", -1, "One place up in the ranking."),
            ("Next", "chevron_right", 1, "One place down in the ranking."),
        ):
            st.button(
                label, key=f"{prefix}{label}", icon=f":material/{icon}:", on_click=chooser.step, args=(by,), help=text
            )
    _look(result, index, order, chooser.words(index))


def _look(result: perturb.Attribution, index: int, order: npt.NDArray[np.int64], words: str) -> None:
    seen = perturb.probe(result, index)  # one forward pass, short enough not to queue behind other visitors
    reading = seen.reading
    left, middle, right = st.columns(3, gap="medium")
    with left:
        edge = outline(to_uint8(seen.pixels), seen.hidden, (255, 255, 255))
        elements.show(edge, alt="The perturbed image with the hidden part outlined")
        st.caption(f"The perturbed image: {words}.")
    with middle:
        colours = label_colours(seen.labels, result.segmenter.palette)
        elements.show(blend(seen.pixels, colours, 0.7), alt="The new segmentation")
        st.caption("Its segmentation, in the colours of the legend above.")
    with right:
        elements.show(_changes(result, seen.lost, seen.gained), alt="Pixels lost and gained")
        st.html(_counts(reading))
    rank = int(np.flatnonzero(order == index)[0])
    before, after = float(result.clean.score[0]), float(reading.score[0])
    st.markdown(
        f"Rank **{rank + 1}** of {len(order)} by change of the score. Score "
        f"{elements.number(before, signed=True)} → {elements.number(after, signed=True)}, {_change(before, after)} "
        f"{result.frozen.target.score}; IoU with the clean mask "
        f"**{reading.iou[0]:.3f}**."
    )


def ranking(result: perturb.Attribution) -> npt.NDArray[np.int64]:
    """Perturbations by absolute change of the score, largest first."""
    return np.argsort(-np.abs(result.readings.score - result.clean.score[0]), kind="stable")


def _change(before: float, after: float) -> str:
    """The change of the score as a rise or a drop, so that the reader need not interpret a sign."""
    return f"{'a rise' if after > before else 'a drop'} of **{elements.number(abs(before - after))}**"


def _changes(
    result: perturb.Attribution, lost: npt.NDArray[np.bool_], gained: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    grey = np.repeat(result.image.pixels.mean(2, keepdims=True), 3, axis=2) * np.float32(0.6) + np.float32(0.3)
    canvas = tint(tint(to_uint8(grey), lost, LOST), gained, GAINED)
    return outline(outline(canvas, lost, LOST), gained, GAINED)


def _counts(reading: perturb.Readings) -> str:
    rows = []
    for colour, name, count, hidden in (
        (LOST, "lost", reading.lost[0], reading.lost_hidden[0]),
        (GAINED, "gained", reading.gained[0], reading.gained_hidden[0]),
    ):
        rows.append(
            f"{elements.swatch(colour)} <b>{count:,}</b> pixels {name}, {hidden:,} of them inside the hidden part"
        )
    return f"<div style='font-size:.85rem'>{'<br>'.join(rows)}</div>"
