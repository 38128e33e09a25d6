"""One perturbation a core: many small operations leave the cores waiting for each other when they share each of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Made = TypeVar("Made")


def cores() -> int:
    """Threads that torch may use for one operation."""
    return torch.get_num_threads()


def spread(function: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
    """`function` of each item, in order, each in a thread of its own without further ones, in inference mode.

    Raises:
        BaseException: whatever the first item that failed raised.
    """

    def run(item: Item) -> Made:
        with torch.inference_mode():
            return function(item)

    if cores() == 1:
        return [run(item) for item in items]
    return list(_workers(cores()).map(run, items))


@lru_cache(maxsize=1)
def _workers(count: int) -> ThreadPoolExecutor:
    """Threads that take one core each; they are kept, because starting them costs as much as a small run."""
    pool = ThreadPoolExecutor(count, "perturb", torch.set_num_threads, (1,))
    met = threading.Barrier(count)
    list(pool.map(lambda _: met.wait(), range(count)))
    torch.set_num_threads(count)  # what the workers said of themselves must not hold for threads to come
    return pool


_lock = threading.Lock()
_inside = 0
_limit = None


@contextmanager
def undivided() -> Iterator[None]:
    """While any thread is inside, numpy's products of matrices keep to the thread that asks for them.

    Two workers that each wanted all cores for a product would wait for each other.
    """
    global _inside, _limit
    with _lock:
        _inside += 1
        if _inside == 1:
            _limit = ThreadpoolController().limit(limits=1, user_api="blas")
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _limit is not None:
                _limit.restore_original_limits()
                _limit = None
