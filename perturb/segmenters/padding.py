"""Determine how a torch module pads its input, by observing the start of one pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Padding = tuple[int, int, int, int]
"""Cells added at the left, right, top and bottom."""


class _Reached(BaseException):
    """Raised at the first convolution: later operations do not pad the image itself."""


class _Watch(TorchFunctionMode):
    """Sums the padding by `torch.nn.functional.pad` of maps with as many channels as the image, in this thread only."""

    def __init__(self, module: nn.Module, channels: int) -> None:
        super().__init__()
        self._channels = channels
        # A convolution with non-zero padding uses the same function, but does not shift its output.
        self._of_convolutions = {
            id(part._reversed_padding_repeated_twice) for part in module.modules() if isinstance(part, nn.Conv2d)
        }
        self.found: Padding = (0, 0, 0, 0)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (torch.conv2d, functional.conv2d):
            raise _Reached
        given = dict(zip(("input", "pad"), args, strict=False)) | kwargs
        if func is functional.pad and id(given["pad"]) not in self._of_convolutions:
            maps, amounts = given["input"], [int(each) for each in given["pad"]]
            if isinstance(maps, Tensor) and maps.ndim == 4 and maps.shape[1] == self._channels and len(amounts) <= 4:
                left, right, top, bottom = (
                    old + new for old, new in zip(self.found, amounts + [0] * (4 - len(amounts)), strict=True)
                )
                self.found = (left, right, top, bottom)
        return func(*args, **kwargs)


def own_padding(module: nn.Module, given: Tensor) -> Padding:
    """The padding that a module adds to its input before the first convolution. Takes at most one pass.

    Args:
        module: the module.
        given: its input, `(1, C, H, W)`.
    """
    watch = _Watch(module, given.shape[1])
    try:
        with torch.inference_mode(), watch:
            module(given)
    except _Reached:
        pass
    return watch.found
