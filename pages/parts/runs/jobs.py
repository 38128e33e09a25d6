"""Long computations: one job at a time, with progress, an estimate of the remaining time, and a Stop button.

A job runs in the visitor's own script run. Streamlit ends that run at the next update of the progress bar after the
visitor presses Stop, changes a widget or leaves, so a job can be cancelled in the engine's progress callback.
One job on all cores is faster than two jobs on half of them each, so jobs of different visitors queue for one lock.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Generic, Literal, NoReturn, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import StopException

import perturb
from pages.parts.app import segmenter_choice
from perturb.core.quoting import markdown_text
from perturb.engine.runner import Progress
from perturb.experiments.estimates import duration as duration  # of runs, for all pages
from perturb.sandbox.process import WAITING

T = TypeVar("T")
_LOG = logging.getLogger("perturb.lab")
KEPT = 32
"""Results cached for all visitors. The oldest is dropped first, with its curves. Each takes about 10 MB."""


@dataclass
class Workshop:
    """State shared by all visitors: the lock, finished results and curves, and measured durations of forward passes."""

    busy: Lock = field(default_factory=Lock)
    results: OrderedDict[str, perturb.Attribution] = field(default_factory=OrderedDict)
    curves: dict[str, perturb.Curves] = field(default_factory=dict)
    seconds: dict[tuple[str, int, int, str], float] = field(default_factory=dict)

    def keep(self, key: str, result: perturb.Attribution) -> None:
        """Cache a finished result."""
        self.results[key] = result
        self.results.move_to_end(key)
        while len(self.results) > KEPT:
            forgotten, _ = self.results.popitem(last=False)
            self.curves.pop(forgotten, None)

    def keep_curves(self, key: str, curves: perturb.Curves) -> None:
        """Cache the curves of a result while the result itself is cached."""
        if key in self.results:
            self.curves[key] = curves

    def pass_seconds(self, segmenter: str, height: int, width: int, first_guess: float, what: str = "") -> float:
        """Seconds of one forward pass in a run: as measured in the last run of this size, or a first guess.

        Args:
            segmenter, height, width: what is run.
            first_guess: returned if there is no measurement yet.
            what: the kind of pass; empty for the whole network, the name of a layer for the sub-network after it.
        """
        return self.seconds.get((segmenter, height, width, what), first_guess)


@st.cache_resource(show_spinner=False)
def workshop() -> Workshop:
    """The shared state of this process."""
    return Workshop()


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a job.

    Attributes:
        title: shown on the progress bar.
        forwards: number of forward passes.
        seconds: expected duration.
        compute: the computation; it calls the progress callback once a batch.
        method: name of the attribution method, for the log; empty if there is none.
        segmenter: name of the segmenter, for the log; empty for the one in the sidebar.
        image: for the log; None for the one in the sidebar.
    """

    title: str
    forwards: int
    seconds: float
    compute: Callable[[Progress], Any]
    method: str = ""
    segmenter: str = ""
    image: perturb.Image | None = None


def work(title: str, forwards: int, seconds: float, compute: Callable[[Progress], T], *, stop: Callable[[], None]) -> T:
    """Run a job of one part; see `work_parts`."""
    made: list[T] = work_parts([Part(title, forwards, seconds, compute)], stop=stop)
    return made[0]


def work_parts(parts: Sequence[Part], *, stop: Callable[[], None], name: str = "job") -> list[Any]:
    """Wait for the lock and run a job, with one progress bar for all its parts, the remaining time, and a Stop button.

    Bar and button are removed afterwards. The job is a line in the log.

    Args:
        parts: of the job, in order.
        stop: called when the visitor stops the job, before the page runs again.
        name: of the job in the log.

    Returns:
        The outcome of each part.
    """
    shop = workshop()
    total = sum(part.seconds for part in parts) or 1.0
    forwards = sum(part.forwards for part in parts)
    title = " and ".join(part.title if index == 0 else part.title.lower() for index, part in enumerate(parts))
    place = st.empty()
    with place.container(horizontal=True, vertical_alignment="center"):
        bar = st.progress(0.0, text=f"{title}: {forwards:,} forward passes, about {duration(total)}")
        st.button("Stop", key=f"stop_{title}", icon=":material/stop_circle:", on_click=stop)

    def run(part: Part, before: float, after: float) -> Any:
        """Run one part, with `before` and `after` seconds of expected work before and after it."""
        began = time.monotonic()
        shown: tuple[float, str | None] = (min(before / total, 1.0), None)

        def progress(fraction: float) -> None:
            nonlocal shown
            passes[part] = round(fraction * part.forwards)
            spent = time.monotonic() - began
            # Kinds of passes differ in speed, so a measurement says nothing about the parts that follow.
            left = spent / fraction - spent if fraction > 0.05 else part.seconds * (1 - fraction)
            count = f"{round(fraction * part.forwards):,} of {part.forwards:,} forward passes"
            text = f"{part.title}: {count}, about {duration(left + after)} left"
            shown = (min((before + fraction * part.seconds) / total, 1.0), text)
            bar.progress(*shown)

        # One batch of a visitor's own network can take long; Stop must not wait for its end.
        token = WAITING.set(lambda: _again(bar, shown))
        try:
            outcome = part.compute(progress)
            passes[part] = part.forwards
            return outcome
        finally:
            WAITING.reset(token)

    what = _described(
        name, parts
    )  # now, as the session's state cannot be read any more once the visitor has stopped the run
    held, outcome, passes = False, "failed", dict.fromkeys(parts, 0)
    asked = began = time.monotonic()
    try:
        while not (held := shop.busy.acquire(timeout=0.2)):
            waited = time.monotonic() - asked
            # A visitor who stops waiting is released in this call.
            bar.progress(0.0, text=f"{title}: waiting for another visitor's run to end ({waited:.0f} s)")
        began = time.monotonic()
        ends = [sum(part.seconds for part in parts[: index + 1]) for index in range(len(parts))]
        made = [run(part, end - part.seconds, total - end) for part, end in zip(parts, ends, strict=True)]
        outcome = "done"
    except StopException:  # Streamlit's own Stop has the same meaning as ours
        outcome = "stopped"
        stop()
        raise
    finally:
        if held:
            shop.busy.release()
        done, waited = sum(passes.values()), began - asked if held else time.monotonic() - asked
        seconds = time.monotonic() - began if held else 0.0
        _LOG.info("run %s passes=%d seconds=%.1f waited=%.1f outcome=%s", what, done, seconds, waited, outcome)
    place.empty()
    return made


def _described(name: str, parts: Sequence[Part]) -> str:
    """A job for the log. Names that a visitor may have chosen, of files, networks and classes, are left out."""
    own = segmenter_choice.own_segmenter()
    used = {part.segmenter or st.session_state.get("segmenter_name") for part in parts}
    images = [part.image or st.session_state.get("image") for part in parts]
    methods = ",".join(sorted({part.method for part in parts if part.method})) or "none"
    sizes = ",".join(sorted({f"{image.width}x{image.height}" for image in images if image is not None})) or "none"
    network = "own" if own is not None and own.name in used else "registered"
    return f"job={name} method={methods} image={sizes} network={network}"


def _again(bar: DeltaGenerator, shown: tuple[float, str | None]) -> None:
    """Draw the progress bar as it is. Streamlit ends the script run here after Stop."""
    fraction, text = shown
    if text is not None:
        bar.progress(fraction, text=text)


class Task(Generic[T]):
    """A long computation that a page offers: its last outcome, whether that is up to date, and whether to run.

    All data is in the session state, so the object itself is created in each script run.

    Args:
        name: of the task; a prefix of its keys in the session state.
        key: the settings as text; equal keys have equal outcomes.
    """

    def __init__(self, name: str, key: str) -> None:
        self.name, self.key = name, key
        self._made, self._pending, self._ended = (f"{name}_{part}" for part in ("made", "pending", "ended"))
        state = st.session_state
        if state.get(self._pending, key) != key:
            # A changed setting ends the script run, and the computation in it, silently.
            state[self._ended] = (
                state.pop(self._pending),
                "The run was stopped because a setting changed. Press Run to start it with the current settings.",
            )

    @property
    def made(self) -> T | None:
        """The outcome of the last finished run, possibly under other settings."""
        made: T | None = st.session_state.get(self._made, ("", None))[1]
        return made

    @property
    def fresh(self) -> bool:
        """Whether the outcome belongs to the current settings."""
        return bool(st.session_state.get(self._made, ("", None))[0] == self.key)

    @property
    def interrupted(self) -> bool:
        """Whether a run under the current settings was interrupted by an unrelated widget."""
        return bool(st.session_state.get(self._pending) == self.key)

    @property
    def stopped(self) -> bool:
        """Whether a run under the current settings was stopped or failed, so that it must not restart automatically."""
        return bool(st.session_state.get(self._ended, ("", ""))[0] == self.key)

    @property
    def ended(self) -> str:
        """Why the latest run did not finish; empty if it did."""
        return str(st.session_state.get(self._ended, ("", ""))[1])

    def keep(self, made: T) -> None:
        """Store an outcome for the current settings."""
        state = st.session_state
        state[self._made] = (self.key, made)
        state.pop(self._pending, None)
        state.pop(self._ended, None)

    def stop(self) -> None:
        """The visitor stopped the run."""
        st.session_state.pop(self._pending, None)
        st.session_state[self._ended] = (self.key, "The run was stopped. Press Run to start it again.")

    def offer(
        self,
        label: str,
        cost: str,
        *,
        key: str,
        text: str | None = None,
        primary: bool = False,
        up_to_date: str = "",
        stale: str = "",
        at_once: bool = False,
    ) -> bool:
        """The button that starts the task, with its cost or why the latest run did not finish.

        Args:
            label, key, text: of the button; `text` is its help.
            cost: of a run, in a sentence.
            primary: whether it is the page's main button.
            up_to_date: shown instead of the cost once the outcome belongs to the current settings.
            stale: shown before the cost while the outcome belongs to other settings.
            at_once: run without a click.

        Returns:
            Whether to run now.
        """
        with st.container(horizontal=True, vertical_alignment="center"):
            kind: Literal["primary", "secondary"] = "primary" if primary else "secondary"
            pressed = st.button(label, type=kind, icon=":material/play_arrow:", key=key, disabled=self.fresh, help=text)
            running = not self.fresh and (pressed or self.interrupted or at_once)
            if stale and self.made is not None and not self.fresh and not running:
                st.warning(f"{stale} {cost}", icon=":material/history:")
            elif self.ended and not running:
                st.warning(f"{self.ended} {cost}", icon=":material/stop_circle:")
            else:
                st.caption((self.fresh and up_to_date) or cost)
        return running

    def run(self, *parts: Part) -> NoReturn:
        """Run the parts, store the outcome of the last one, and rerun the page."""
        state = st.session_state
        state[self._pending] = self.key
        state.pop(self._ended, None)
        try:
            self.keep(work_parts(parts, stop=self.stop, name=self.name)[-1])
        except perturb.PerturbError as error:
            state.pop(self._pending, None)
            state[self._ended] = (self.key, markdown_text(str(error)))
        st.rerun()
