"""Tables of the torch modules and functions that can be lowered, and their operations. Others are rejected."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from perturb.engine.incremental.base import Op
from perturb.engine.incremental.moves import Cat, Crop, Pad, Resize
from perturb.engine.incremental.ops import Act, Conv, Mean, Place, Pointwise, Pool, affine, fresh

Shape = tuple[int, ...]


class Unknown(Exception):  # noqa: N818 — not an error: the network is run as it is
    """A network cannot be lowered; the message is the reason, as a clause."""


ASKED = "whole passes were asked for"
"""Reason for whole passes if the user chose them."""


class Stale(Unknown):
    """The lowered network is out of date."""


def known(kind: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], shapes: Sequence[Shape]) -> Op | None:
    """The operation of a node of a trace; None for an identity operation.

    Args:
        kind: `call_module`, `call_function` or `call_method`.
        target: the module, the function, or the name of the method.
        args, kwargs: its arguments, with a `Place` for each map.
        shapes: C, h, w of the maps.

    Raises:
        Unknown: the operation is not in the tables.
    """
    try:
        if kind == "call_module":
            return _module(target, args, kwargs, shapes)
        return _function(target, args, kwargs, shapes)
    except (TypeError, ValueError, IndexError, KeyError) as error:  # arguments that the tables do not cover
        raise Unknown(f"{_titled(target)} has arguments that cannot be run in part") from error


_SILENT = (nn.Identity, nn.Dropout, nn.Dropout2d)
_ACTS = (nn.ReLU6, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.SiLU, nn.GELU, nn.LeakyReLU, nn.ELU, nn.Tanh,
         nn.Softplus, nn.Mish, nn.Hardtanh)  # fmt: skip
_SAME: Mapping[Any, Act] = {
    key: act
    for act, keys in (
        (torch.relu_, (torch.relu, functional.relu, "relu", "relu_")),
        (torch.sigmoid_, (torch.sigmoid, functional.sigmoid, "sigmoid", "sigmoid_")),
        (torch.tanh_, (torch.tanh, functional.tanh, "tanh", "tanh_")),
        (partial(functional.relu6, inplace=True), (functional.relu6,)),
        (partial(functional.hardswish, inplace=True), (functional.hardswish,)),
        (partial(functional.hardsigmoid, inplace=True), (functional.hardsigmoid,)),
        (partial(functional.silu, inplace=True), (functional.silu,)),
        (functional.gelu, (functional.gelu,)),
    )
    for key in keys
}
"""Functions of one map without further arguments."""
_BOTH: Mapping[Any, Callable[..., Tensor]] = {
    key: function
    for function, keys in (
        (torch.add, (operator.add, operator.iadd, torch.add, "add", "add_")),
        (torch.sub, (operator.sub, operator.isub, torch.sub, "sub", "sub_")),
        (torch.mul, (operator.mul, operator.imul, torch.mul, "mul", "mul_")),
        (torch.true_divide, (operator.truediv, torch.div, torch.true_divide, "div", "div_")),
    )
    for key in keys
}
"""Functions of two maps, or of a map and a constant."""


PARTLY = "is not among the operations that can be run in part"


def _titled(target: Any) -> str:
    if isinstance(target, nn.Module):
        return type(target).__name__
    return f"the function {target if isinstance(target, str) else getattr(target, '__name__', target)}"


def _act(act: Act) -> Op:
    return Pointwise(fresh, (Place(0),), (act,))


def _module(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], shapes: Sequence[Shape]) -> Op | None:
    kind = type(module)
    if kwargs or len(args) != 1 or args[0] != Place(0):
        raise Unknown(f"{kind.__name__} is given something else than one map")
    if kind in _SILENT:
        return None
    if kind is nn.ReLU:
        return _act(torch.relu_)  # always the same function, because some operations recognize and fuse it
    if kind in _ACTS:
        own: Any = copy.copy(module)
        if hasattr(own, "inplace"):
            own.inplace = True
        return _act(own.forward)
    if isinstance(module, nn.Conv2d) and kind is nn.Conv2d:
        if module.padding_mode != "zeros" or isinstance(module.padding, str):
            raise Unknown(f"Conv2d with padding '{module.padding_mode}' {PARTLY}")
        return Conv(
            module.weight.detach(), None if module.bias is None else module.bias.detach(), _pair(module.stride),
            _pair(module.padding), _pair(module.dilation), module.groups,
        )  # fmt: skip
    if isinstance(module, nn.BatchNorm2d) and kind is nn.BatchNorm2d:
        return _norm(module)
    if isinstance(module, nn.MaxPool2d) and kind is nn.MaxPool2d and not module.ceil_mode and not module.return_indices:
        return Pool(
            True, _pair(module.kernel_size), _pair(module.stride), _pair(module.padding), _pair(module.dilation)
        )
    if isinstance(module, nn.AvgPool2d) and kind is nn.AvgPool2d and not module.ceil_mode:
        padded = any(_pair(module.padding))
        if module.divisor_override is not None or (padded and not module.count_include_pad):
            raise Unknown(f"AvgPool2d with another divisor {PARTLY}")
        return Pool(False, _pair(module.kernel_size), _pair(module.stride), _pair(module.padding), (1, 1))
    if isinstance(module, nn.AdaptiveAvgPool2d) and _pair(module.output_size) == (1, 1):
        return Mean()
    if isinstance(module, nn.Upsample) and kind in (nn.Upsample, nn.UpsamplingNearest2d):
        return _resize(shapes[0], module.size, module.scale_factor, module.mode, module.align_corners,
                       module.recompute_scale_factor)  # fmt: skip
    raise Unknown(f"{kind.__name__} {PARTLY}")


def _norm(module: nn.BatchNorm2d) -> Op:
    mean, variance = module.running_mean, module.running_var
    if mean is None or variance is None:
        raise Unknown(f"BatchNorm2d without fixed statistics {PARTLY}")
    one = torch.ones_like(mean)
    weight = one if module.weight is None else module.weight.detach()
    bias = torch.zeros_like(mean) if module.bias is None else module.bias.detach()
    scale = weight.double() * (variance.double() + module.eps).rsqrt()
    shift = bias.double() - mean.double() * scale
    return Pointwise(affine, (Place(0), *(value.view(1, -1, 1, 1).to(mean.dtype) for value in (scale, shift))))


def _function(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], shapes: Sequence[Shape]) -> Op | None:
    settings = {key: value for key, value in kwargs.items() if key != "inplace"}
    if target in _SAME and len(args) == 1 and all(value == "none" for value in settings.values()):
        return _act(_SAME[target])
    if target in _BOTH and len(args) == 2 and not kwargs:
        return Pointwise(_BOTH[target], tuple(_constant(value) for value in args))
    if target in (functional.dropout, functional.dropout2d) and kwargs.get("training") is False:
        return None
    if target is functional.interpolate:
        names = ("input", "size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias")
        options = dict(zip(names, args, strict=False)) | kwargs
        if options.get("antialias"):
            raise Unknown(f"interpolation with antialiasing {PARTLY}")
        return _resize(
            shapes[0], options.get("size"), options.get("scale_factor"), options.get("mode", "nearest"), options.get("align_corners"),
            options.get("recompute_scale_factor"),
        )  # fmt: skip
    if target in (torch.cat, torch.concat):
        options = dict(zip(("tensors", "dim"), args, strict=False)) | kwargs
        if options.get("dim", 0) not in (1, -3) or list(options["tensors"]) != [Place(i) for i in range(len(shapes))]:
            raise Unknown(f"concatenation along another axis than the channels {PARTLY}")
        return Cat()
    if target is functional.pad:
        return _pad(shapes[0], *args, **kwargs)
    if target is operator.getitem:
        return _crop(shapes[0], args[1])
    if target == "contiguous":
        return None
    if target in ("mean", torch.mean):
        options = dict(zip(("input", "dim", "keepdim"), args, strict=False)) | kwargs
        if sorted(axis % 4 for axis in options["dim"]) == [2, 3] and options.get("keepdim"):
            return Mean()
    if target is functional.adaptive_avg_pool2d and _pair(args[1]) == (1, 1):
        return Mean()
    raise Unknown(f"{_titled(target)} {PARTLY}")


def _constant(value: Any) -> Place | float | Tensor:
    if isinstance(value, Place | int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, Tensor) and value.ndim in (0, 3, 4):
        spread = value if value.ndim == 4 else value.expand(*(1,) * (4 - value.ndim), *value.shape)
        if value.ndim == 0:
            spread = value.view(1, 1, 1, 1)
        if spread.shape[0] == 1 and tuple(spread.shape[2:]) == (1, 1):
            return spread
    raise Unknown(f"a constant that varies over the image {PARTLY}")


def _resize(given: Shape, size: Any, factor: Any, mode: str, align: bool | None, recompute: bool | None) -> Op:
    if mode not in ("bilinear", "nearest") or align:
        raise Unknown(f"interpolation of the kind '{mode}'{' with aligned corners' if align else ''} {PARTLY}")
    if size is None:
        factors = _pair(factor)
        if any(float(each) != int(each) or each < 1 for each in factors) or recompute:
            raise Unknown(
                f"interpolation by a factor that is no whole number {PARTLY}"
            )  # there, rounding decides which cells are read
        size = (given[1] * int(factors[0]), given[2] * int(factors[1]))
    high, wide = _pair(size)
    return Resize((int(high), int(wide)), (given[1], given[2]), mode == "bilinear")


def _pad(given: Shape, maps: Place, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Op:
    if maps != Place(0) or len(pad) not in (2, 4) or min(pad) < 0 or mode not in ("constant", "replicate") or value:
        raise Unknown(f"padding of the kind '{mode}' {PARTLY}")
    left, right, top, bottom = (*pad, 0, 0) if len(pad) == 2 else tuple(pad)
    return Pad((left, right, top, bottom), (given[1], given[2]), "edge" if mode == "replicate" else "zero")


def _crop(given: Shape, index: Any) -> Op:
    parts = index if isinstance(index, tuple) else (index,)
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts = (*parts[:at], *[slice(None)] * (4 - len(parts) + 1), *parts[at + 1 :])
    if not all(isinstance(part, slice) and part.step in (None, 1) for part in parts):
        raise Unknown(f"indexing single rows {PARTLY}")
    parts = (*parts, *[slice(None)] * (4 - len(parts)))
    if len(parts) != 4 or parts[0] != slice(None) or parts[1] != slice(None):
        raise Unknown(f"indexing single channels {PARTLY}")
    (top, bottom, _), (left, right, _) = parts[2].indices(given[1]), parts[3].indices(given[2])
    return Crop((top, bottom), (left, right))


def _pair(value: Any) -> tuple[Any, Any]:
    one, other = value if isinstance(value, tuple | list | torch.Size) else (value, value)
    return one, other
