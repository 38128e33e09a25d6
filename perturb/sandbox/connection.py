"""Messages between a process and its confined child: JSON over a socket, arrays in shared memory.

Neither side trusts the other's numbers: an array is described by its dtype, shape and place, and all three are checked
before any byte is read. Nothing is unpickled.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import socket
import struct
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ROOM = 1 << 29
"""Size of the shared memory in each direction, in bytes. Pages take memory once they are used."""
MAX_MESSAGE = 1 << 25
"""Longest message in bytes."""
RELEASED = 1 << 25
"""Shared memory beyond this many bytes is given back when it is not used for a while."""
DTYPES = ("<f2", "<f4", "<f8", "|b1", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8")
SLICE = 0.1
"""Seconds between two calls of `waiting`."""
_ALIGNED = 64
_LENGTH = struct.Struct("<Q")


class ConnectionBrokenError(Exception):
    """The other side is gone, or what it sent is not a message."""


def shared_file() -> int:
    """An open file without a name, of `ROOM` bytes, that two processes can map."""
    if hasattr(os, "memfd_create"):
        number = os.memfd_create("perturb")
    else:  # macOS
        with tempfile.TemporaryFile() as file:
            number = os.dup(file.fileno())
    os.ftruncate(number, ROOM)
    return number


class Connection:
    """One end of the connection. Calls alternate: a message is read before the next one is written.

    Args:
        connection: a connected stream socket.
        incoming, outgoing: open files from `shared_file`.
    """

    def __init__(self, connection: socket.socket, incoming: int, outgoing: int) -> None:
        self._socket = connection
        weakref.finalize(self, connection.close)  # not before: somebody may be waiting for a message
        self._incoming, self._outgoing = mmap.mmap(incoming, ROOM), mmap.mmap(outgoing, ROOM)

    def send(self, message: Any, arrays: Sequence[Array] = ()) -> None:
        """Send a message of JSON values, with arrays.

        Raises:
            ValueError: the arrays or the message are too large.
            ConnectionBrokenError: the other side is gone.
        """
        places, end = [], 0
        for array in arrays:
            start = -(-end // _ALIGNED) * _ALIGNED
            end = start + array.nbytes
            if end > ROOM:
                raise ValueError(
                    f"{sum(each.nbytes for each in arrays) / 1e6:.0f} MB of values, at most {ROOM / 1e6:.0f}"
                )
            places.append((array.dtype.str, array.shape, start))
        text = json.dumps([message, places]).encode()
        if len(text) > MAX_MESSAGE:
            raise ValueError(f"{len(text) / 1e6:.0f} MB of text, at most {MAX_MESSAGE / 1e6:.0f}")
        for array, (_, shape, start) in zip(arrays, places, strict=True):
            np.ndarray(shape, array.dtype, self._outgoing, start)[...] = array
        try:
            self._wait_at_most(None)
            self._socket.sendall(_LENGTH.pack(len(text)) + text)
        except OSError as error:
            raise ConnectionBrokenError from error

    def receive(
        self, seconds: float | None = None, waiting: Callable[[], None] | None = None
    ) -> tuple[Any, list[Array]]:
        """Wait for a message.

        Args:
            seconds: how long to wait; without a limit by default.
            waiting: called every 0.1 s meanwhile. It may raise.

        Returns:
            The message, and views of its arrays in shared memory: read-only, valid until the next call of `send`.

        Raises:
            TimeoutError: the message was not complete in time.
            ConnectionBrokenError: the other side is gone, or sent something else.
        """
        ends = None if seconds is None else time.monotonic() + seconds
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, ends, waiting))
        if length > MAX_MESSAGE:
            raise ConnectionBrokenError
        try:
            message, places = json.loads(self._read(length, ends, waiting))
            return message, [self._array(*place) for place in places]
        except (ValueError, TypeError, RecursionError) as error:
            raise ConnectionBrokenError from error

    def release(self) -> None:
        """Give back the memory of large arrays. Views of them then hold zeros."""
        if hasattr(mmap, "MADV_REMOVE"):
            for each in (self._incoming, self._outgoing):
                each.madvise(mmap.MADV_REMOVE, RELEASED, ROOM - RELEASED)

    def end(self) -> None:
        """Shut the connection down: a blocked `receive` raises `ConnectionBrokenError`. The socket is closed with this object."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _array(self, dtype: Any, shape: Any, start: Any) -> Array:
        whole = isinstance(shape, list) and len(shape) <= 8
        if not (dtype in DTYPES and whole and all(isinstance(side, int) and side >= 0 for side in (*shape, start))):
            raise ConnectionBrokenError
        if start % _ALIGNED or start + math.prod(shape) * np.dtype(dtype).itemsize > ROOM:
            raise ConnectionBrokenError
        array: Array = np.ndarray(shape, dtype, self._incoming, start)
        array.setflags(write=False)
        return array

    def _read(self, length: int, ends: float | None, waiting: Callable[[], None] | None) -> bytes:
        data = bytearray()
        while len(data) < length:
            try:
                self._wait_at_most(None if ends is None else max(1e-3, min(SLICE, ends - time.monotonic())))
                part = self._socket.recv(min(length - len(data), 1 << 20))
            except TimeoutError:
                if ends is not None and time.monotonic() >= ends:
                    raise
                if waiting is not None:
                    waiting()
                continue
            except OSError as error:
                raise ConnectionBrokenError from error
            if not part:
                raise ConnectionBrokenError
            data += part
        return bytes(data)

    def _wait_at_most(self, seconds: float | None) -> None:
        # A confined process never waits with a timeout: it may not make the system calls for it.
        if self._socket.gettimeout() != seconds:
            self._socket.settimeout(seconds)
