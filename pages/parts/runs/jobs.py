"""Long work: one job at a time, with progress, an estimate, and a stop that stops.

A job runs in the visitor's own script run. Streamlit ends that run at the next call of the progress bar when the
visitor presses Stop, moves a widget or leaves, so the engine's progress callback is also where it can be cancelled.
One job on all cores beats two jobs on half of them, so jobs of different visitors queue for one lock.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Generic, Literal, NoReturn, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import StopException

import perturb
from perturb.core.quoting import markdown_text
from perturb.engine.runner import Progress
from perturb.experiments.estimates import duration as duration  # of runs, for all pages

T = TypeVar("T")
KEPT = 32
"""Results that are kept for all visitors; the oldest is forgotten first, with its curves. One takes about 10 MB."""


@dataclass
class Workshop:
    """What all visitors share: the lock, finished results, curves of them, and how long a forward pass took."""

    busy: Lock = field(default_factory=Lock)
    results: OrderedDict[str, perturb.Attribution] = field(default_factory=OrderedDict)
    curves: dict[str, perturb.Curves] = field(default_factory=dict)
    seconds: dict[tuple[str, int, int, str], float] = field(default_factory=dict)

    def keep(self, key: str, result: perturb.Attribution) -> None:
        """Remember a finished result."""
        self.results[key] = result
        self.results.move_to_end(key)
        while len(self.results) > KEPT:
            forgotten, _ = self.results.popitem(last=False)
            self.curves.pop(forgotten, None)

    def keep_curves(self, key: str, curves: perturb.Curves) -> None:
        """Remember the curves of a result, as long as that is remembered itself."""
        if key in self.results:
            self.curves[key] = curves

    def pass_seconds(self, segmenter: str, height: int, width: int, first_guess: float, what: str = "") -> float:
        """Seconds of one forward pass in a run: as measured in the last run of this size, or a first guess.

        Args:
            segmenter, height, width: what is run.
            first_guess: if it was not run yet.
            what: the kind of pass; empty for one of the whole network, the name of a layer for what follows it.
        """
        return self.seconds.get((segmenter, height, width, what), first_guess)


@st.cache_resource(show_spinner=False)
def workshop() -> Workshop:
    """The one workshop of this process."""
    return Workshop()


@dataclass(frozen=True)
class Part:
    """One part of a job.

    Attributes:
        title: what is being done, for the bar.
        forwards: forward passes it takes.
        seconds: how long that is expected to take.
        compute: does it, calling the progress callback once a batch.
    """

    title: str
    forwards: int
    seconds: float
    compute: Callable[[Progress], Any]


def work(title: str, forwards: int, seconds: float, compute: Callable[[Progress], T], *, stop: Callable[[], None]) -> T:
    """Run a job of one part in its turn; see `work_parts`."""
    made: list[T] = work_parts([Part(title, forwards, seconds, compute)], stop=stop)
    return made[0]


def work_parts(parts: Sequence[Part], *, stop: Callable[[], None]) -> list[Any]:
    """Run a job in its turn: one bar for all its parts, the time left over all of them, and a Stop button.

    All of it is gone afterwards.

    Args:
        parts: of the job, done one after the other.
        stop: called when the visitor stops the job, before the page runs again.

    Returns:
        What each part computed.
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
        """One part, which stands between `before` and `after` seconds of expected work."""
        began = time.monotonic()

        def progress(fraction: float) -> None:
            spent = time.monotonic() - began
            # Each kind of pass has its own pace, so what is measured now says nothing about the parts that follow.
            left = spent / fraction - spent if fraction > 0.05 else part.seconds * (1 - fraction)
            count = f"{round(fraction * part.forwards):,} of {part.forwards:,} forward passes"
            bar.progress(
                min((before + fraction * part.seconds) / total, 1.0),
                text=f"{part.title}: {count}, about {duration(left + after)} left",
            )

        return part.compute(progress)

    held = False
    try:
        asked = time.monotonic()
        while not (held := shop.busy.acquire(timeout=0.2)):
            waited = time.monotonic() - asked
            # Also the call at which a visitor who stops waiting is let go.
            bar.progress(0.0, text=f"{title}: waiting for another visitor's run to end ({waited:.0f} s)")
        ends = [sum(part.seconds for part in parts[: index + 1]) for index in range(len(parts))]
        made = [run(part, end - part.seconds, total - end) for part, end in zip(parts, ends, strict=True)]
    except StopException:  # Streamlit's own Stop means the same as ours
        stop()
        raise
    finally:
        if held:
            shop.busy.release()
    place.empty()
    return made


class Task(Generic[T]):
    """One kind of long work that a page offers: what it made last, whether that is up to date, and whether to run.

    Everything lives in the session's state, so a task is made anew in each script run.

    Args:
        name: of the task; the session's keys begin with it.
        key: the settings as text: work under one key has one outcome.
    """

    def __init__(self, name: str, key: str) -> None:
        self.name, self.key = name, key
        self._made, self._pending, self._ended = (f"{name}_{part}" for part in ("made", "pending", "ended"))
        state = st.session_state
        if state.get(self._pending, key) != key:
            # A changed setting ends the script run, and the work in it, without a word.
            state[self._ended] = (
                state.pop(self._pending),
                "The run was stopped because a setting changed. Press Run to start it with the present settings.",
            )

    @property
    def made(self) -> T | None:
        """What the last finished run made, under whatever settings."""
        made: T | None = st.session_state.get(self._made, ("", None))[1]
        return made

    @property
    def fresh(self) -> bool:
        """Whether that belongs to the present settings."""
        return bool(st.session_state.get(self._made, ("", None))[0] == self.key)

    @property
    def interrupted(self) -> bool:
        """Whether a run under the present settings was under way when something else on the page was touched."""
        return bool(st.session_state.get(self._pending) == self.key)

    @property
    def stopped(self) -> bool:
        """Whether a run under the present settings came to no end: it must not start again by itself."""
        return bool(st.session_state.get(self._ended, ("", ""))[0] == self.key)

    @property
    def ended(self) -> str:
        """Why the latest run came to no end, in words; empty if it did."""
        return str(st.session_state.get(self._ended, ("", ""))[1])

    def keep(self, made: T) -> None:
        """Take an outcome as that of the present settings."""
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
        """The button that starts the work, and beside it what a press costs or why the latest run came to no end.

        Args:
            label, key, text: of the button; its text is the help.
            cost: of a run, in a sentence.
            primary: whether it is the page's main button.
            up_to_date: said in place of the cost once the outcome belongs to the present settings.
            stale: said before the cost while the outcome belongs to other settings.
            at_once: run without a press.

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
        """Do the work, here on the page; keep what its last part made; and run the page again, which then says so."""
        state = st.session_state
        state[self._pending] = self.key
        state.pop(self._ended, None)
        try:
            self.keep(work_parts(parts, stop=self.stop)[-1])
        except perturb.PerturbError as error:
            state.pop(self._pending, None)
            state[self._ended] = (self.key, markdown_text(str(error)))
        st.rerun()
