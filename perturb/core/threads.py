"""One perturbation a core: many small operations leave the cores waiting for each other when they share each of them."""

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


def _divide_no_products() -> Callable[[], object]:
    restore: Callable[[], object] = _products().limit(limits=1).restore_original_limits
    return restore


@lru_cache(maxsize=1)
def _products() -> ThreadpoolController:
    """numpy's library; found once, since looking for it takes longer than a small run."""
    return ThreadpoolController().select(user_api="blas")


undivided = Shared(_divide_no_products)
"""While any thread is inside, numpy's products of matrices keep to the thread that asks for them: two workers that each wanted
all cores for a product would wait for each other."""
