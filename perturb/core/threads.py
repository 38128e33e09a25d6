"""Run one perturbation per core. If cores share each of many small operations, they mostly wait for one another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController

from perturb.core.shared import Shared

Item = TypeVar("Item")
Made = TypeVar("Made")


def cores() -> int:
    """Number of threads that torch may use for one operation."""
    return torch.get_num_threads()


def spread(function: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
    """Apply a function to each item in parallel, in inference mode; each call uses a single thread.

    Returns:
        The results in the order of the items.

    Raises:
        BaseException: the exception of the first item that failed.
    """

    def run(item: Item) -> Made:
        with torch.inference_mode():
            return function(item)

    if cores() == 1:
        return [run(item) for item in items]
    return list(_workers(cores()).map(run, items))


@lru_cache(maxsize=1)
def _workers(count: int) -> ThreadPoolExecutor:
    """Worker threads that use one core each. They are kept, because starting them costs as much as a small run."""
    pool = ThreadPoolExecutor(count, "perturb", torch.set_num_threads, (1,))
    met = threading.Barrier(count)
    list(pool.map(lambda _: met.wait(), range(count)))
    torch.set_num_threads(count)  # the workers' own setting must not become the default of later threads
    return pool


def _divide_no_products() -> Callable[[], object]:
    restore: Callable[[], object] = _products().limit(limits=1).restore_original_limits
    return restore


@lru_cache(maxsize=1)
def _products() -> ThreadpoolController:
    """Controller of numpy's BLAS library. It is cached, because the search takes longer than a small run."""
    return ThreadpoolController().select(user_api="blas")


undivided = Shared(_divide_no_products)
"""While any thread is inside, numpy computes each matrix product on the calling thread.

Two workers that each used all cores for a product would wait for each other.
"""
