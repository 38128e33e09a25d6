"""Long computations: one at a time, in turns, with progress, an estimate of the remaining time, and a Stop button.

A job runs in the visitor's own script run. Streamlit ends that run at the next update of the progress bar after the
visitor presses Stop, changes a widget or leaves, so a job can be cancelled in the engine's progress callback.
There, too, a long job lets those of other visitors go first (`pages.parts.runs.turns`).
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import StopException

import perturb
from pages.parts.app import segmenter_choice
from pages.parts.runs import allowance
from pages.parts.runs.paces import Paces
from pages.parts.runs.turns import Place, Turn, Turns
from pages.parts.runs.under_way import UnderWay
from pages.parts.runs.visitors import on_the_server, visitor
from perturb.core import stopwatch
from perturb.core.errors import LimitError
from perturb.engine.runner import Progress
from perturb.experiments.estimates import duration as duration  # of runs, for all pages
from perturb.lab.limits import HostLimits, host_limits
from perturb.sandbox.process import WAITING

_LOG = logging.getLogger("perturb.lab")
KEPT = 32
"""Results cached for all visitors. The oldest is dropped first, with its curves. Each takes about 10 MB."""


@dataclass
class Workshop:
    """State shared by all visitors: the queue, what each has used, finished results and curves, and measured paces."""

    turns: Turns = field(default_factory=lambda: Turns(host_limits().slice_seconds, host_limits().begun_runs))
    budget: allowance.Budget = field(default_factory=allowance.Budget)
    paces: Paces = field(default_factory=Paces)
    under_way: UnderWay = field(default_factory=UnderWay)
    results: OrderedDict[str, perturb.Attribution] = field(default_factory=OrderedDict)
    curves: dict[str, perturb.Curves] = field(default_factory=dict)

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


def refusal(seconds: float, fits: Callable[[float], str]) -> str:
    """Why this visitor cannot start a run of an expected duration, in words; empty if it can.

    Args:
        seconds: of the run.
        fits: says what would take at most so many seconds.
    """
    shop, who = workshop(), visitor()
    return allowance.refusal(seconds, shop.budget.used(who) + shop.turns.work_of(who), _limits(), fits)


def _limits() -> HostLimits:
    """The limits of this visit."""
    limits = host_limits()
    return limits.for_local_use() if on_the_server() else limits


def work_parts(parts: Sequence[Part], *, stop: Callable[[], None], name: str = "job", key: str = "") -> list[Any]:
    """Queue and run a job, with one progress bar for all its parts, the remaining time, and a Stop button.

    Bar and button are removed afterwards. The job is a line in the log.

    Args:
        parts: of the job, in order.
        stop: called when the visitor stops the job, before the page runs again.
        name: of the job in the log.
        key: what is computed and cached for all visitors: while another job has the same key, this one waits for its end.

    Returns:
        The outcome of each part.

    Raises:
        LimitError: the job is longer than this server allows.
    """
    shop, who, limits = workshop(), visitor(), _limits()
    expected = sum(part.seconds for part in parts)
    total, forwards = expected or 1.0, sum(part.forwards for part in parts)
    if refused := refusal(expected, lambda _: "choose other settings"):
        raise LimitError(refused)
    title = " and ".join(part.title if index == 0 else part.title.lower() for index, part in enumerate(parts))
    place = st.empty()
    with place.container(horizontal=True, vertical_alignment="center"):
        announced = f"{title}: {forwards:,} forward passes, about {duration(total)}"
        bar = st.progress(0.0, text=announced)
        st.button("Stop", key=f"stop_{title}", icon=":material/stop_circle:", on_click=stop)
    shown: tuple[float, str] | None = None
    """The bar of a job that has started."""

    def wait(where: Place) -> None:
        """Draw the bar of a job that waits. Its visitor leaves the queue in this call."""
        if shown is None:
            bar.progress(0.0, text=f"{title}: {ordinal(where.number)} in line, about {duration(where.wait)}")
        else:
            bar.progress(*shown)

    def wait_for_the_same() -> None:
        bar.progress(0.0, text=f"{title}: another visitor has started the same run; its result will be shown here, too")

    def run(part: Part, before: float, after: float, turn: Turn) -> Any:
        """Run one part, with `before` and `after` seconds of expected work before and after it."""
        nonlocal shown
        began = stopwatch.now()

        def progress(fraction: float) -> None:
            nonlocal shown
            passes[part] = round(fraction * part.forwards)
            spent = stopwatch.now() - began
            # Kinds of passes differ in speed, so a measurement says nothing about the parts that follow.
            left = spent / fraction - spent if fraction > 0.05 else part.seconds * (1 - fraction)
            turn.left = left + after
            count = f"{passes[part]:,} of {part.forwards:,} forward passes"
            text = f"{part.title}: {count}, about {duration(turn.ends_in())} left"
            if others := turn.others:
                text += f", in turns with {others} other visitor{'s' * (others > 1)}"
            shown = (min((before + fraction * part.seconds) / total, 1.0), text)
            bar.progress(*shown)
            if allowance.overrun(turn.used, limits):
                raise LimitError(
                    f"The run was stopped after {duration(turn.used)}: this server allows "
                    f"{duration(limits.run_seconds)} a run, and it took longer than estimated. Choose other settings."
                )
            turn.hand_over()

        def again() -> None:
            bar.progress(*(shown or (0.0, announced)))

        # One batch of a visitor's own network can take long; Stop must not wait for its end.
        token = WAITING.set(again)
        try:
            outcome = part.compute(progress)
            passes[part] = part.forwards
            return outcome
        finally:
            WAITING.reset(token)

    ends = [sum(part.seconds for part in parts[: index + 1]) for index in range(len(parts))]
    outcome, passes, used, asked = "failed", dict.fromkeys(parts, 0), 0.0, time.monotonic()
    what = _described(name, parts)  # now: the session's state cannot be read once the visitor has stopped the run
    try:
        with shop.under_way.alone(key, wait_for_the_same), shop.turns.take(who, total, wait) as turn:
            try:
                made = [run(part, end - part.seconds, total - end, turn) for part, end in zip(parts, ends, strict=True)]
                outcome = "done"
            finally:
                used = turn.used
                shop.budget.spend(who, used)
    except StopException:  # Streamlit's own Stop has the same meaning as ours
        outcome = "stopped"
        stop()
        raise
    finally:
        done, waited = sum(passes.values()), time.monotonic() - asked - used
        _LOG.info("run %s passes=%d seconds=%.1f waited=%.1f outcome=%s", what, done, used, waited, outcome)
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


def ordinal(number: int) -> str:
    """A number as a place: 1st, 2nd, 3rd, 4th, 11th."""
    ending = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
