"""A long computation that a page offers: the button, its outcome, and whether that is up to date."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Literal, NoReturn, TypeVar

import streamlit as st

import perturb
from pages.parts.runs.jobs import Part, refusal, work_parts
from perturb.core.quoting import markdown_text

T = TypeVar("T")


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
                key,
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
        return bool(st.session_state.get(self._ended, ("", "", ""))[0] == self.key)

    @property
    def ended(self) -> str:
        """Why the latest run did not finish; empty if it did, or if the settings have changed since."""
        _, key, words = st.session_state.get(self._ended, ("", "", ""))
        return str(words) if key == self.key else ""

    def keep(self, made: T) -> None:
        """Store an outcome for the current settings."""
        state = st.session_state
        state[self._made] = (self.key, made)
        state.pop(self._pending, None)
        state.pop(self._ended, None)

    def stop(self) -> None:
        """The visitor stopped the run."""
        st.session_state.pop(self._pending, None)
        st.session_state[self._ended] = (self.key, self.key, "The run was stopped. Press Run to start it again.")

    def offer(
        self,
        label: str,
        cost: str,
        *,
        key: str,
        seconds: float,
        fits: Callable[[float], str] = lambda _: "choose fewer or faster runs",
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
            seconds: its expected duration. A run that this server does not allow cannot be started.
            fits: says what would take at most so many seconds.
            primary: whether it is the page's main button.
            up_to_date: shown instead of the cost once the outcome belongs to the current settings.
            stale: shown before the cost while the outcome belongs to other settings.
            at_once: run without a click.

        Returns:
            Whether to run now.
        """
        refused = "" if self.fresh else refusal(seconds, fits)
        with st.container(horizontal=True, vertical_alignment="center"):
            kind: Literal["primary", "secondary"] = "primary" if primary else "secondary"
            off = self.fresh or bool(refused)
            pressed = st.button(label, type=kind, icon=":material/play_arrow:", key=key, disabled=off, help=text)
            running = not off and (pressed or self.interrupted or at_once)
            if refused:
                st.warning(f"{self.ended} {refused}".strip(), icon=":material/timer_off:")
                return False
            if stale and self.made is not None and not self.fresh and not running:
                st.warning(f"{stale} {cost}", icon=":material/history:")
            elif self.ended and not running:
                st.warning(f"{self.ended} {cost}", icon=":material/stop_circle:")
            else:
                st.caption((self.fresh and up_to_date) or cost)
        return running

    def run(self, *parts: Part, shared: bool = False) -> NoReturn:
        """Run the parts, store the outcome of the last one, and rerun the page.

        Args:
            parts: of the run.
            shared: whether the outcomes are cached for all visitors, so that they are computed once for all who wait.
        """
        state = st.session_state
        state[self._pending] = self.key
        state.pop(self._ended, None)
        try:
            self.keep(work_parts(parts, stop=self.stop, name=self.name, key=self.key if shared else "")[-1])
        except perturb.PerturbError as error:
            state.pop(self._pending, None)
            state[self._ended] = (self.key, self.key, markdown_text(str(error)))
        st.rerun()
