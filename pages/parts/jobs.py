"""Long work: one job at a time, with progress, an estimate, and a stop that stops.

A job runs in the visitor's own script run. Streamlit ends that run at the next call of the progress bar when the
visitor presses Stop, moves a widget or leaves, so the engine's progress callback is also where it can be cancelled.
One job on all cores beats two jobs on half of them, so jobs of different visitors queue for one lock.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import StopException

import perturb
from perturb.engine import Progress

T = TypeVar("T")
KEPT = 32
"""Results that are kept for all visitors; the oldest is forgotten first. One takes about 10 MB."""


@dataclass
class Workshop:
    """What all visitors share: the lock, finished results, and how long a forward pass took."""

    busy: Lock = field(default_factory=Lock)
    results: OrderedDict[str, perturb.Result] = field(default_factory=OrderedDict)
    seconds: dict[tuple[str, int, int], float] = field(default_factory=dict)

    def keep(self, key: str, result: perturb.Result) -> None:
        """Remember a finished result."""
        self.results[key] = result
        self.results.move_to_end(key)
        while len(self.results) > KEPT:
            self.results.popitem(last=False)

    def pass_seconds(self, segmenter: str, height: int, width: int, first_guess: float) -> float:
        """Seconds of one forward pass in a run: as measured in the last run of this size, or a first guess."""
        return self.seconds.get((segmenter, height, width), first_guess)


@st.cache_resource(show_spinner=False)
def workshop() -> Workshop:
    """The one workshop of this process."""
    return Workshop()


def work(title: str, forwards: int, seconds: float, compute: Callable[[Progress], T], *, stop: Callable[[], None]) -> T:
    """Run a job in its turn, with a progress bar, the time left, and a Stop button; all of it is gone afterwards.

    Args:
        title: what is being done, for the bar.
        forwards: forward passes it takes.
        seconds: how long that is expected to take.
        compute: does it, calling the progress callback once a batch.
        stop: called when the visitor stops the job, before the page runs again.
    """
    shop = workshop()
    place = st.empty()
    with place.container(horizontal=True, vertical_alignment="center"):
        bar = st.progress(0.0, text=f"{title}: {forwards} forward passes, about {duration(seconds)}")
        st.button("Stop", key=f"stop_{title}", icon=":material/stop_circle:", on_click=stop)
    asked = time.monotonic()
    while not shop.busy.acquire(timeout=0.2):
        waited = time.monotonic() - asked
        # Also the call at which a visitor who stops waiting is let go.
        bar.progress(0.0, text=f"{title}: waiting for another visitor's run to end ({waited:.0f} s)")
    try:
        began = time.monotonic()

        def progress(fraction: float) -> None:
            spent = time.monotonic() - began
            left = spent / fraction - spent if fraction > 0.05 else seconds * (1 - fraction)
            text = f"{title}: {round(fraction * forwards)} of {forwards} forward passes, about {duration(left)} left"
            bar.progress(min(fraction, 1.0), text=text)

        made = compute(progress)
    except StopException:  # Streamlit's own Stop, in the header, means the same as ours
        stop()
        raise
    finally:
        shop.busy.release()
    place.empty()
    return made


def duration(seconds: float) -> str:
    """Seconds in words, no more exact than an estimate can be."""
    if seconds < 1.5:
        return "1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
