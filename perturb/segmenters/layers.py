"""The layers of a network: which there are, what they give for a picture, and where their cells lie on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeGuard
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from perturb.core.errors import SegmenterError, SettingError
from perturb.images.image import Image, to_tensor
from perturb.segmenters.base import Segmenter
from perturb.segmenters.onnx.layers import OnnxRest, map_named, maps
from perturb.segmenters.onnx.segmenter import OnnxSegmenter
from perturb.segmenters.torch_module import TorchSegmenter

_SILENT = (nn.Identity, nn.Dropout, nn.Dropout2d)
"""What gives its input unchanged in evaluation mode: another name for the layer before it."""


@dataclass(frozen=True)
class Layer:
    """A layer that gives one map for each channel.

    Attributes:
        name: its dotted path in the network, such as `decoder3.mix`.
        kind: the module's class name.
        shape: C, h, w of its output for one picture.
        parameters: weights in it and in all it contains.
        depth: its place in the order in which these layers finish, from 0 for the first.
    """

    name: str
    kind: str
    shape: tuple[int, int, int]
    parameters: int
    depth: int


def layers(segmenter: Segmenter, image: Image) -> tuple[Layer, ...]:
    """The layers that can be ablated, in the order in which they finish; a block finishes after its parts.

    Left out are the network itself, what gives no float map of more than one cell, what is used several times in one
    pass, and what only hands its input on. One forward pass, the first time a segmenter is asked for a size.

    Args:
        segmenter: a `TorchSegmenter`, or an `OnnxSegmenter`.
        image: the picture; shapes depend on its size.

    Raises:
        SegmenterError: the segmenter is no torch network.
    """
    known = _KNOWN.setdefault(segmenter, {})
    key = (segmenter.digest, image.height, image.width)
    if key not in known:
        known[key] = _layers(segmenter, image)
    return known[key]


_KNOWN: WeakKeyDictionary[Segmenter, dict[tuple[str, int, int], tuple[Layer, ...]]] = WeakKeyDictionary()
"""What `layers` found, because a page asks for it at every click."""


def _layers(segmenter: Segmenter, image: Image) -> tuple[Layer, ...]:
    if isinstance(segmenter, OnnxSegmenter):
        found_maps = maps(segmenter, to_tensor(image, segmenter.device)[None])
        return tuple(Layer(m.name, m.kind, m.shape, m.parameters, depth) for depth, m in enumerate(found_maps))
    shapes: dict[str, list[tuple[int, ...] | None]] = {}

    def keep(name: str) -> Hook:
        return lambda output: shapes.setdefault(name, []).append(tuple(output.shape) if _is_map(output) else None)

    modules = dict(network(segmenter).named_modules())
    _fit(segmenter, image.height, image.width)
    with hooks(*((module, keep(name)) for name, module in modules.items() if name)), torch.inference_mode():
        segmenter(to_tensor(image, segmenter.device)[None])
    found: list[Layer] = []
    for name, calls in shapes.items():
        if len(calls) == 1 and calls[0] is not None and not isinstance(modules[name], _SILENT):
            _, channels, height, width = calls[0]
            weights = sum(weights.numel() for weights in modules[name].parameters())
            found.append(Layer(name, type(modules[name]).__name__, (channels, height, width), weights, len(found)))
    return tuple(found)


def activations(segmenter: Segmenter, image: Image, name: str) -> npt.NDArray[np.float32]:
    """What a layer gives for a picture, float32 `(C, h, w)`, in the network's own units. One forward pass.

    Raises:
        SettingError: no such layer, it gives no map, or it is used several times.
        SegmenterError: the segmenter is no torch network.
    """
    values = observe(segmenter, to_tensor(image, segmenter.device)[None], name)[1]
    return np.ascontiguousarray(values[0].float().cpu().numpy())


def observe(segmenter: Segmenter, picture: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Run the whole network and look at one layer.

    Args:
        segmenter: a `TorchSegmenter`, or an `OnnxSegmenter`.
        picture: `(1, 3, H, W)`, float32 in [0, 1], on its device.
        name: of the layer.

    Returns:
        The logits `(1, K, H, W)`, and a copy of the layer's output `(1, C, h, w)`.

    Raises:
        SettingError: no such layer, it gives no map, or it is used several times.
        SegmenterError: the segmenter is no torch network, or broke its contract.
    """
    if isinstance(segmenter, OnnxSegmenter):
        rest = onnx_rest(segmenter, picture, name)
        return rest.clean, rest.activation
    outputs: list[Any] = []

    def keep(output: Any) -> None:
        # A copy: the next layer may work in place.
        outputs.append(output.detach().clone() if isinstance(output, Tensor) else output)

    module = find(segmenter, name)
    _fit(segmenter, picture.shape[2], picture.shape[3])
    with hooks((module, keep)), torch.inference_mode():
        logits = segmenter(picture)
    return logits, sole_map(outputs, name)


def sole_map(outputs: list[Any], name: str) -> Tensor:
    """The one map that a layer gave in one pass.

    Raises:
        SettingError: it gave none or several, or what it gave is no map.
    """
    if len(outputs) != 1:
        used = f"is used {len(outputs)} times" if outputs else "is not used"
        raise SettingError(
            f"The layer '{name}' {used} in one pass, expected once: which of its outputs is meant cannot be "
            "said. Choose the block around it, or another layer."
        )
    (output,) = outputs
    if not _is_map(output):
        got = tuple(output.shape) if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise SettingError(
            f"The layer '{name}' gives no map: got {got}, expected floats (1, C, h, w) with more than one cell. "
            "Choose another layer."
        )
    return output


def onnx_rest(segmenter: OnnxSegmenter, picture: Tensor, name: str) -> OnnxRest:
    """What follows one map of an ONNX graph; see `observe` for the arguments and errors."""
    return OnnxRest(segmenter, picture, map_named(maps(segmenter, picture), name, segmenter))


def stretch(segmenter: Segmenter, cells: Tensor, height: int, width: int) -> Tensor:
    """Bring values of a layer's cells to the picture, bilinearly (corners not aligned).

    The cells are taken to cover evenly what the network saw: the picture with its padding (`Segmenter.frame`), which is
    then cut off.

    Args:
        segmenter: whose layer it is.
        cells: float `(h, w)`.
        height, width: H and W of the picture.

    Returns:
        `(H, W)`, of the same dtype.
    """
    top, left, *seen = segmenter.frame(height, width)
    large = interpolate(cells[None, None], tuple(seen), mode="bilinear", align_corners=False)[0, 0]
    return large[top : top + height, left : left + width]


def inside(segmenter: Segmenter, region: npt.NDArray[np.bool_], height: int, width: int) -> npt.NDArray[np.bool_]:
    """The cells of a layer that belong to a region: more than half of the cell lies in it.

    A region that fills no cell by half, such as one pixel, gets the cells of which it fills most. At padded borders the
    region goes on into the padding.

    Args:
        segmenter: whose layer it is.
        region: bool `(H, W)`, not empty.
        height, width: h and w of the layer.

    Returns:
        bool `(h, w)`, at least one of them True.
    """
    frame = segmenter.frame(*region.shape)
    padding = [
        (before, whole - before - side) for before, whole, side in zip(frame[:2], frame[2:], region.shape, strict=True)
    ]
    padded = torch.from_numpy(np.pad(region, padding, mode="edge").astype(np.float32))
    part = interpolate(padded[None, None], (height, width), mode="area")[0, 0]
    cells = part > 0.5 if bool((part > 0.5).any()) else part == part.max()
    return np.asarray(cells.numpy())


def _fit(segmenter: Segmenter, height: int, width: int) -> None:
    if isinstance(segmenter, TorchSegmenter):
        segmenter.fit(height, width)


def network(segmenter: Segmenter) -> nn.Module:
    """The torch network inside a segmenter.

    Raises:
        SegmenterError: there is none.
    """
    if isinstance(segmenter, TorchSegmenter):
        return segmenter.module
    raise SegmenterError(
        f"The segmenter '{segmenter.name}' is no torch network, so its layers cannot be reached; expected a "
        "`TorchSegmenter`, such as streets-unet. Choose one, or a method that hides pixels."
    )


def require(segmenter: Segmenter, image: Image, name: str) -> None:
    """Whether there is a layer of that name.

    Raises:
        SettingError: there is none.
        SegmenterError: the segmenter's layers cannot be reached.
    """
    if isinstance(segmenter, OnnxSegmenter):
        if all(layer.name != name for layer in layers(segmenter, image)):
            map_named(maps(segmenter, to_tensor(image, segmenter.device)[None]), name, segmenter)
    else:
        find(segmenter, name)


def find(segmenter: Segmenter, name: str) -> nn.Module:
    """A layer by name.

    Raises:
        SettingError: no such layer, with a name that is close to it.
        SegmenterError: the segmenter is no torch network.
    """
    modules: dict[str, nn.Module] = dict(network(segmenter).named_modules())
    if name and name in modules:
        return modules[name]
    names = [other for other in modules if other]
    close = get_close_matches(name, names, n=1)
    outermost = ", ".join(other for other, _ in network(segmenter).named_children())
    raise SettingError(
        f"The segmenter '{segmenter.name}' has no layer '{name}'; expected one of its {len(names)} layers, the "
        f"outermost being {outermost}." + (f" Did you mean '{close[0]}'?" if close else "")
    )


Hook = Callable[[Any], Any]
"""Is given a module's output; what it returns replaces the output, unless that is None."""


@contextmanager
def hooks(*wanted: tuple[nn.Module, Hook]) -> Iterator[None]:
    """Forward hooks that are gone afterwards, whatever happened: the network belongs to someone else.

    They act on passes of this thread alone, because two users of the app may share one network.
    """
    own = threading.get_ident()

    def guard(hook: Hook) -> Callable[..., Any]:
        return lambda module, given, output: hook(output) if threading.get_ident() == own else None

    handles: list[Any] = []
    try:
        for module, hook in wanted:
            handles.append(module.register_forward_hook(guard(hook)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_map(output: Any) -> TypeGuard[Tensor]:
    return (
        isinstance(output, Tensor)
        and output.is_floating_point()
        and output.ndim == 4
        and len(output) == 1
        and output[0, 0].numel() > 1
    )
