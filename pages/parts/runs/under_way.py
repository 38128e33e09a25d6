"""The same run, asked for by several visitors at a time, is computed once: the others wait and find it cached."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

POLL = 0.2
"""Seconds between two looks."""


class UnderWay:
    """The runs that are under way, by what they compute."""

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def alone(self, key: str, waiting: Callable[[], None]) -> Iterator[None]:
        """Enter when no other run with this key is under way. Its outcome may then be cached.

        Args:
            key: what is computed; an empty one is everybody's own.
            waiting: called repeatedly while another run has the key. It may raise, and so leave.
        """
        while key and not self._enter(key):
            waiting()
            time.sleep(POLL)
        try:
            yield
        finally:
            with self._lock:
                self._keys.discard(key)

    def _enter(self, key: str) -> bool:
        with self._lock:
            free = key not in self._keys
            self._keys.add(key)
            return free
