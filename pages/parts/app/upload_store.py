"""The uploaded files that Streamlit keeps in memory: bounded for each visitor and in all, and freed after a visit.

Streamlit takes whatever arrives at its upload address, for each file up to `server.maxUploadSize`, and forgets the files of a
visit only when later visits push it out.
"""

from __future__ import annotations

import gc
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import streamlit as st
from starlette.exceptions import HTTPException
from streamlit import runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from perturb.lab.limits import host_limits

SWEEP = 2.0
"""Seconds between two looks at the visits that have ended."""


def guard() -> None:
    """Bound the store of this server and free what belongs to ended visits, from the first call on."""
    # A test without a server has another store.
    store = runtime.get_instance().uploaded_file_mgr if runtime.exists() else None
    if isinstance(store, MemoryUploadedFileManager):
        _guarded(store)


@st.cache_resource(show_spinner=False)
def _guarded(_store: MemoryUploadedFileManager) -> threading.Thread:
    limits = host_limits()
    bound(_store, limits.visitor_uploads_mb * 1_000_000, limits.uploads_mb * 1_000_000)
    sweeper = threading.Thread(target=_sweep, args=(runtime.get_instance(),), name="ended visits", daemon=True)
    sweeper.start()
    return sweeper


def bound(store: MemoryUploadedFileManager, visitor: int, everybody: int) -> None:
    """Refuse files beyond so many bytes for one visitor or for all. A refused upload ends with HTTP status 413 or 507."""
    add, lock = store.add_file, threading.Lock()

    def add_within_bounds(session_id: str, file: UploadedFileRec) -> None:
        with lock:
            held = {name: sum(len(each.data) for each in list(files.values())) for name, files in _files(store)}
            size = len(file.data)
            if held.get(session_id, 0) + size > visitor:
                raise HTTPException(
                    413,
                    f"Your uploads would take more than {visitor / 1e6:g} MB. Remove a file, or choose a smaller one.",
                )
            if sum(held.values()) + size > everybody:
                raise HTTPException(507, "This server holds as many uploads as it can. Try again in some minutes.")
            add(session_id, file)

    store.add_file = add_within_bounds  # type: ignore[method-assign]


def _files(store: MemoryUploadedFileManager) -> list[tuple[str, dict[str, UploadedFileRec]]]:
    return list(store.file_storage.items())


def _sweep(instance: Any) -> None:
    """Let Streamlit forget each visit once its time to reconnect is over, and not only when another visit ends."""
    # A cache that drops what has expired when it is changed, but does not look by itself. It belongs to the event loop.
    visits = instance._session_mgr._session_storage._cache
    loop = instance._get_async_objs().eventloop
    while not loop.is_closed():
        time.sleep(SWEEP)
        dropped: Future[bool] = Future()
        loop.call_soon_threadsafe(lambda into=dropped: into.set_result(bool(visits.expire())))
        with suppress(TimeoutError):
            if dropped.result(timeout=60):
                gc.collect()  # a visit refers to itself in circles
