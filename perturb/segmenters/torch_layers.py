"""Layer access for torch modules, by forward hooks."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, ClassVar, TypeGuard

import torch
from torch import Tensor, nn

from perturb.core.errors import SegmenterError, SettingError
from perturb.images.image import Image, to_tensor
from perturb.segmenters.base import Segmenter
from perturb.segmenters.layers import Layer, LayerAccess
from perturb.segmenters.summary import Part, Shape, without_batch

_IDENTITIES = (nn.Identity, nn.Dropout, nn.Dropout2d)
"""Modules that are identity operations in evaluation mode."""


class TorchLayers(LayerAccess):
    """Access to the layers of a torch module.

    Attributes:
        module: the network.
    """

    part_noun: ClassVar[str] = "innermost modules"
    summary_note: ClassVar[str] = (
        "Operations between modules, such as additions or functions without weights, are not modules and are not listed."
    )
    module: nn.Module

    @abstractmethod
    def prepare(self, batch: Tensor) -> Tensor:
        """Input of the module for images `(N, 3, H, W)` in [0, 1]: normalised, padded, channels last."""

    @abstractmethod
    def finish(self, output: Any, height: int, width: int) -> Any:
        """Logits `(N, K, H, W)` from the output of the module for images that `prepare` has padded; not checked yet."""

    @abstractmethod
    def fit(self, height: int, width: int) -> None:
        """Determine how images of this size must be padded. Called before hooks are set, which would also see failed
        passes."""

    def find_layers(self, image: Image) -> tuple[Layer, ...]:
        shapes: dict[str, list[tuple[int, ...] | None]] = {}

        def keep(name: str) -> Hook:
            return lambda output: shapes.setdefault(name, []).append(tuple(output.shape) if _is_map(output) else None)

        modules = dict(self.module.named_modules())
        self._hooked_pass(image, *((module, keep(name)) for name, module in modules.items() if name))
        found: list[Layer] = []
        for name, calls in shapes.items():
            if len(calls) == 1 and calls[0] is not None and not isinstance(modules[name], _IDENTITIES):
                _, channels, height, width = calls[0]
                weights = sum(weights.numel() for weights in modules[name].parameters())
                found.append(Layer(name, type(modules[name]).__name__, (channels, height, width), weights, len(found)))
        return tuple(found)

    def check_layer(self, image: Image, name: str) -> None:  # noqa: ARG002 — the modules do not depend on the image
        find_module(self, name)

    def observe(self, image: Image, name: str) -> tuple[Tensor, Tensor]:
        outputs: list[Any] = []

        def keep(output: Any) -> None:
            # A copy, because the next layer may work in place.
            outputs.append(output.detach().clone() if isinstance(output, Tensor) else output)

        return self._hooked_pass(image, (find_module(self, name), keep)), sole_map(outputs, name)

    def summary(self, image: Image) -> Part:
        calls: Counter[nn.Module] = Counter()
        given: dict[nn.Module, dict[Shape, None]] = {}

        def keep(module: nn.Module) -> Hook:
            def note(output: Any) -> None:
                calls[module] += 1
                given.setdefault(module, {}).update(dict.fromkeys(_shapes(output)))

            return note

        self._hooked_pass(image, *((module, keep(module)) for module in self.module.modules()))
        usable = {layer.name for layer in self.layers(image)}
        first: dict[nn.Module, str] = {}
        counted: set[Tensor] = set()

        def read(module: nn.Module, name: str) -> Part:
            known = calls[module], tuple(given.get(module, ()))
            if module in first:
                return Part(name, type(module).__name__, *known, own=0, same_as=first[module])
            first[module] = name
            weights = {weights for weights in module.parameters(recurse=False) if weights not in counted}
            counted.update(weights)
            inside = ((key, part) for key, part in module._modules.items() if part is not None)
            parts = tuple(read(part, f"{name}.{key}" if name else key) for key, part in inside)
            own = sum(each.numel() for each in weights)
            return Part(name, type(module).__name__, *known, own, parts, layer=name if name in usable else "")

        return read(self.module, "")

    def _hooked_pass(self, image: Image, *wanted: tuple[nn.Module, Hook]) -> Tensor:
        """Run one pass with hooks, which see each call of their modules once. Returns the logits `(1, K, H, W)`."""
        self.fit(image.height, image.width)
        with hooks(*wanted), torch.inference_mode():
            return self(to_tensor(image, self.device)[None])


def find_module(segmenter: Segmenter, name: str) -> nn.Module:
    """A module of a torch network, by name.

    Raises:
        SettingError: no such layer; the message suggests a similar name.
        SegmenterError: the segmenter is not a torch network.
    """
    if not isinstance(segmenter, TorchLayers):
        raise SegmenterError(
            f"The segmenter '{segmenter.name}' is no torch network, so gradients at its layers cannot be taken; expected a "
            "`TorchSegmenter`, such as streets-unet. Choose one, or a method that hides pixels."
        )
    modules: dict[str, nn.Module] = dict(segmenter.module.named_modules())
    if name and name in modules:
        return modules[name]
    names = [other for other in modules if other]
    close = get_close_matches(name, names, n=1)
    outermost = ", ".join(other for other, _ in segmenter.module.named_children())
    raise SettingError(
        f"The segmenter '{segmenter.name}' has no layer '{name}'; expected one of its {len(names)} layers, the "
        f"outermost being {outermost}." + (f" Did you mean '{close[0]}'?" if close else "")
    )


def sole_map(outputs: list[Any], name: str) -> Tensor:
    """The single map `(1, C, h, w)` that a layer returned in one pass.

    Args:
        outputs: all outputs of the layer.
        name: the layer's name, for messages.

    Raises:
        SettingError: there are no or several outputs, or the output is not a map.
    """
    if len(outputs) != 1:
        used = f"is used {len(outputs)} times" if outputs else "is not used"
        raise SettingError(
            f"The layer '{name}' {used} in one pass, expected once, so it has no single output. Choose the block around "
            "it, or another layer."
        )
    (output,) = outputs
    if not _is_map(output):
        got = tuple(output.shape) if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise SettingError(
            f"The layer '{name}' gives no map: got {got}, expected floats (1, C, h, w) with more than one cell. "
            "Choose another layer."
        )
    return output


Hook = Callable[[Any], Any]
"""Called with a module's output; a return value other than None replaces the output."""


@contextmanager
def hooks(*wanted: tuple[nn.Module, Hook]) -> Iterator[None]:
    """Register forward hooks, which are always removed afterwards.

    They act only on passes of this thread, because users of the app share networks.
    """
    own = threading.get_ident()
    handles: list[Any] = []
    try:
        for module, hook in wanted:
            handles.append(module.register_forward_hook(_Guard(hook, own)))
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Guard:
    """A forward hook that acts in one thread only."""

    def __init__(self, hook: Hook, thread: int) -> None:
        self._hook, self._thread = hook, thread

    def __call__(self, module: nn.Module, given: Any, output: Any) -> Any:  # noqa: ARG002 — as torch calls it
        return self._hook(output) if self.acts() else None

    def acts(self) -> bool:
        """Whether it acts in this thread."""
        return threading.get_ident() == self._thread


def hooked(module: nn.Module) -> bool:
    """Whether a forward hook that acts in this thread is set on a module or on a part of it."""
    return any(
        not isinstance(hook, _Guard) or hook.acts()
        for each in module.modules()
        for held in (each._forward_hooks, each._forward_pre_hooks)
        for hook in list(held.values())  # other threads set and remove theirs
    )


def _is_map(output: Any) -> TypeGuard[Tensor]:
    return (
        isinstance(output, Tensor)
        and output.is_floating_point()
        and output.ndim == 4
        and len(output) == 1
        and output[0, 0].numel() > 1
    )


def _shapes(output: Any) -> Iterator[Shape]:
    """Shapes of all tensors in a module's output, which may be a tuple or a dictionary of tensors."""
    if isinstance(output, Tensor):
        yield without_batch(tuple(output.shape))
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _shapes(value)
    elif isinstance(output, list | tuple):
        for value in output:
            yield from _shapes(value)
