"""Start, call and stop confined processes.

A file that a stranger uploaded is opened by native code, which can crash, or take all memory or time. In a process of its
own it can only end that process. `Confined` starts it on the first call and again after it ended, so its owner needs no
cleverness: a call either answers or raises `StoppedError`, with the reason in words.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perturb.core import errors
from perturb.core.errors import PerturbError
from perturb.sandbox.connection import Array, Connection, ConnectionBrokenError, shared_file

WAITING: ContextVar[Callable[[], None] | None] = ContextVar("WAITING", default=None)
"""Called every 0.1 s while a call waits. If it raises, the process is stopped, and the error goes on."""
STARTING = 60
"""Seconds that a process may take to start."""
CHECKED = 1.0
"""Seconds between two looks at the idle processes."""
RELEASED_AFTER = 2.0
"""Seconds without a call after which the memory of large arrays is given back. Within a run it is used again and again."""
_ROOT = Path(__file__).resolve().parents[2]
_KEPT = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR")
"""Environment variables that a process gets. The others may hold secrets of the server."""


@dataclass(frozen=True)
class Limits:
    """Limits of one confined process.

    Attributes:
        memory: bytes that it may take beyond what Python and the libraries take.
        seconds: duration of one call.
        cpu_seconds: CPU time from its start to its end.
        idle: seconds without a call after which it is ended. The next call starts another one.
    """

    memory: int = 2_000_000_000
    seconds: float = 60.0
    cpu_seconds: int = 3600
    idle: float = 300.0


class StoppedError(PerturbError):
    """A confined process was stopped, or ended by itself. The message is a clause: "it took more than 2 GB of memory".

    Attributes:
        crashed: whether native code crashed, so that a smaller task would not help.
    """

    def __init__(self, message: str, *, crashed: bool = False) -> None:
        super().__init__(message)
        self.crashed = crashed


class Confined:
    """A process that runs the tasks of one module on a stranger's data. Thread-safe: calls wait for each other.

    Args:
        module: dotted path of the module with the tasks; see `perturb.sandbox.child`.
        limits: of the process.
        begin: called with this object before the first call of each new process, to send it what it works on.
        environment: additional environment variables of the process.
    """

    def __init__(
        self,
        module: str,
        limits: Limits,
        *,
        begin: Callable[[Confined], object] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.module, self.limits, self._begin = module, limits, begin
        self._environment = dict(environment or {})
        self._process: _Process | None = None
        self._calling, self._changing = threading.RLock(), threading.Lock()

    def call(self, task: str, arguments: Sequence[Any] = (), arrays: Sequence[Array] = ()) -> tuple[Any, list[Array]]:
        """Run a task.

        Args:
            task: its name in the module's `TASKS`.
            arguments: JSON values.
            arrays: given after them.

        Returns:
            Its value and arrays. Both come from a process that may be hostile: check them before use. The arrays are
            views that are valid for a second, or until the next call: copy what you keep.

        Raises:
            StoppedError: the process crossed a limit or crashed. The next call starts a new one.
            PerturbError: the task's own error.
        """
        if sys.platform == "win32":
            raise StoppedError("confined processes need Linux or macOS, and this server runs on Windows")
        with self._calling:
            process = self._running()
            process.last = float("inf")
            try:
                return process.call(task, arguments, arrays)
            except PerturbError as error:
                if isinstance(error, StoppedError):
                    self._end(process)
                raise
            except BaseException:  # the visitor pressed Stop: the process is in the middle of a call
                self._end(process)
                raise
            finally:
                process.last = time.monotonic()

    def close(self) -> None:
        """End the process, also in the middle of a call, which then raises `StoppedError`. The next call starts another."""
        process = self._process
        if process is not None:
            self._end(process)

    @property
    def pid(self) -> int | None:
        """Of the running process; None if there is none."""
        process = self._process
        return None if process is None else process.pid

    def end_if_idle(self, now: float) -> None:
        """End the process if its last call is too long ago, and free the memory of large arrays before. `now` is a value of
        `time.monotonic`."""
        process = self._process
        if process is None:
            return
        idle = now - process.last
        if idle > self.limits.idle:
            self._end(process)
        elif idle > RELEASED_AFTER and self._calling.acquire(blocking=False):
            try:
                process.release()
            finally:
                self._calling.release()

    def _running(self) -> _Process:
        with self._changing:
            process = self._process
            if process is not None and not process.gone:
                return process
            process = self._process = _Process(self.module, self.limits, self._environment)
        _watch(self)
        try:
            process.wait_until_ready()
            if self._begin is not None:
                self._begin(self)  # calls this object again, which now finds the process
        except BaseException:
            self._end(process)
            raise
        return process

    def _end(self, process: _Process) -> None:
        process.kill()
        with self._changing:
            if self._process is process:
                self._process = None


class _Process:
    """One process, from its start to its end."""

    def __init__(self, module: str, limits: Limits, more: Mapping[str, str]) -> None:
        self._limits, self.gone = limits, False
        self.last = self._released = float("inf")  # time of the last call's end, and of the one before the last release
        ours, theirs = socket.socketpair()
        files = [shared_file(), shared_file()]
        lifeline, held = os.pipe()
        numbers = (theirs.fileno(), lifeline, *files)
        script = str(Path(__file__).with_name("child.py"))
        command = [sys.executable, "-P", script, str(_ROOT), module, *map(str, numbers)]
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        # Each arena of malloc takes 64 MB of addresses, of which there is a limit.
        environment |= {"HOME": os.sep, "MALLOC_ARENA_MAX": "2", "PYTHONDONTWRITEBYTECODE": "1", **more}
        try:
            self._popen = subprocess.Popen(
                [*command, str(limits.memory), str(limits.cpu_seconds)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                cwd=os.sep,
                pass_fds=numbers,
                start_new_session=True,  # Ctrl-C in a terminal is for the server, which then ends its children
            )
            self._connection = Connection(ours, files[1], files[0])
        finally:
            theirs.close()
            for number in (lifeline, *files):
                os.close(number)
        self.pid = self._popen.pid
        # Called once: by `kill`, when this object is garbage-collected, or when the server exits.
        self._ending = weakref.finalize(self, _end, self._popen, held, self._connection.end)

    def wait_until_ready(self) -> None:
        try:
            self._connection.receive(STARTING, WAITING.get())
        except TimeoutError as error:
            raise StoppedError(f"it did not start within {STARTING} s") from error
        except ConnectionBrokenError as error:
            raise self._why() from error

    def call(self, task: str, arguments: Sequence[Any], arrays: Sequence[Array]) -> tuple[Any, list[Array]]:
        seconds = self._limits.seconds
        try:
            self._connection.send([task, list(arguments)], arrays)
            answer, made = self._connection.receive(seconds, WAITING.get())
        except TimeoutError as error:
            raise StoppedError(f"it took longer than {seconds:g} s for one call") from error
        except ConnectionBrokenError as error:
            raise self._why() from error
        except ValueError as error:
            raise StoppedError(f"it was given {error}") from error
        if isinstance(answer, dict) and "value" in answer:
            return answer["value"], made
        raise self._error(answer)

    def release(self) -> None:
        """Give back the memory of large arrays, once after each call."""
        if self.last != self._released:
            self._connection.release()
            self._released = self.last

    def kill(self) -> None:
        """End the process and free what belongs to it."""
        self.gone = True
        self._ending()

    def _error(self, answer: Any) -> PerturbError:
        """The error that a task raised, rebuilt from its words."""
        kind, text = (answer.get("error"), answer.get("text")) if isinstance(answer, dict) else (None, None)
        if kind == "MemoryError":
            return StoppedError(self._too_much())
        if not isinstance(text, str):
            return StoppedError("it gave an answer that is none")
        if kind == "LabelError":
            more = answer.get("more")
            values, share = (more.get("values"), more.get("share")) if isinstance(more, dict) else (None, None)
            if isinstance(values, list) and all(isinstance(v, int) for v in values) and isinstance(share, float | int):
                return errors.LabelError(text, tuple(values), float(share))
        if kind in ("ImageError", "SegmenterError", "SettingError"):
            made: PerturbError = getattr(errors, kind)(text)
            return made
        return StoppedError(f"it failed ({text[:200]})")

    def _why(self) -> StoppedError:
        """Why the process is gone."""
        if self.gone:
            return StoppedError("its visit ended")
        try:
            code = self._popen.wait(1)
        except subprocess.TimeoutExpired:
            return StoppedError("it gave an answer that is none")
        if -code == getattr(signal, "SIGXCPU", 0):
            return StoppedError(f"it took more than {self._limits.cpu_seconds:,} s of CPU time")
        if code >= 0:
            return StoppedError("its process ended by itself")
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        if name == "SIGABRT":  # C++ aborts where it cannot report that memory ran out
            return StoppedError(f"it crashed its process (SIGABRT), perhaps because {self._too_much()}")
        return StoppedError(f"it crashed its process ({name})", crashed=True)

    def _too_much(self) -> str:
        return f"it needs more than {self._limits.memory / 1e9:g} GB of memory"


def _end(process: subprocess.Popen[bytes], lifeline: int, end_connection: Callable[[], None]) -> None:
    process.kill()
    process.wait()
    os.close(lifeline)
    end_connection()


_WATCHED: weakref.WeakSet[Confined] = weakref.WeakSet()
_WATCHING = threading.Lock()
_watcher: threading.Thread | None = None


def _watch(owner: Confined) -> None:
    """End the owner's processes when they are idle."""
    global _watcher
    with _WATCHING:
        _WATCHED.add(owner)
        if _watcher is None or not _watcher.is_alive():
            _watcher = threading.Thread(target=_end_idle_ones, name="confined processes", daemon=True)
            _watcher.start()


def _end_idle_ones() -> None:
    while True:
        time.sleep(CHECKED)
        with _WATCHING:
            owners = list(_WATCHED)
        owner: Confined | None
        for owner in owners:
            owner.end_if_idle(time.monotonic())
        owners, owner = [], None  # what nobody else refers to must go
