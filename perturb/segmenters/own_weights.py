"""Load the user's own weights from a safetensors file into a known architecture, for any classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from perturb.core.errors import SegmenterError
from perturb.core.quoting import class_list, python_literal, shell_option
from perturb.core.settings import lookup
from perturb.segmenters.identity import weights_digest
from perturb.segmenters.torch_module import TorchSegmenter
from perturb.segmenters.torchvision import MEAN, MODELS, STD, make

LISTED = 3
"""Number of tensors that an error message lists."""


@dataclass(frozen=True)
class Architecture:
    """An architecture that weights can be loaded into.

    Attributes:
        make: returns the module for a number of classes; its logits have the size of the image.
        mean, std: normalisation of its input; None if the module does it.
    """

    make: Callable[[int], nn.Module]
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None


def _streets_unet(classes: int) -> nn.Module:
    from perturb.segmenters.streets_unet import StreetsUNet

    return StreetsUNet(classes)


def _streets_lraspp(classes: int) -> nn.Module:
    from perturb.segmenters.streets_lraspp import StreetsLRASPP

    return StreetsLRASPP(classes)


def _of_torchvision(name: str) -> Callable[[int], nn.Module]:
    return lambda classes: make(name, classes)


ARCHITECTURES: dict[str, Architecture] = {
    "streets-unet": Architecture(_streets_unet),
    "streets-lraspp": Architecture(_streets_lraspp),
    **{name: Architecture(_of_torchvision(name), MEAN, STD) for name in MODELS},
}
"""Architectures by name, to which you can add your own. `python -m training --network` trains `streets-lraspp`."""


def load_weights(
    architecture: str,
    path: str | Path,
    classes: Sequence[str],
    *,
    name: str = "",
    device: str | torch.device = "cpu",
) -> TorchSegmenter:
    """Load the user's own weights into a known architecture.

    Args:
        architecture: one of `ARCHITECTURES`. Tensors have the framework's own names, without an auxiliary head.
        path: a safetensors file with exactly the tensors of the architecture. Other formats can run code when read.
        classes: K class names, in the order of the logits.
        name: name in results and links; by default the stem of the file name.
        device: device of the segmenter.

    Raises:
        SettingError: no such architecture.
        SegmenterError: the file cannot be read, or its tensors do not match the architecture; the message lists some.
    """
    chosen: Architecture = lookup(ARCHITECTURES, architecture, "architecture")
    if len(set(classes)) != len(classes) or len(classes) < 1:
        raise SegmenterError(f"The weights in '{path}' need class names that differ; got {list(classes)}.")
    state = _read(Path(path))
    with torch.device("meta"):
        shapes = chosen.make(len(classes)).state_dict()
    if problem := _misfit(shapes, state):
        raise SegmenterError(
            f"The weights in '{path}' do not fit '{architecture}' with {len(classes)} classes: {problem}. Give the "
            "architecture and the classes that they were trained with."
        )
    module = chosen.make(len(classes))
    module.load_state_dict(state, strict=True)
    segmenter = TorchSegmenter(
        module,
        classes=classes,
        name=name or Path(path).stem,
        mean=chosen.mean,
        std=chosen.std,
        digest=weights_digest(module),
        device=device,
    )
    segmenter.recipe = (
        f"perturb.load_weights({', '.join(map(python_literal, (architecture, str(path), list(classes))))})"
    )
    segmenter.options = (
        *shell_option("--segmenter", architecture),
        *shell_option("--weights", str(path)),
        *shell_option("--classes", class_list(classes)),
    )
    return segmenter


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError, ValueError, KeyError) as error:
        raise SegmenterError(
            f"The weights in '{path}' cannot be read ({str(error).splitlines()[0][:200]}); expected a safetensors file. "
            "Write one with `safetensors.torch.save_file(module.state_dict(), …)`."
        ) from error


def _misfit(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """The differences between expected and given tensors, as text; empty if there are none."""
    both = [key for key in expected if key in given]
    wrong = [
        f"{key} {tuple(given[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in both
        if given[key].shape != expected[key].shape
    ]
    kind = [key for key in both if given[key].is_floating_point() != expected[key].is_floating_point()]
    parts = [
        ("missing", [key for key in expected if key not in given]),
        ("unexpected", [key for key in given if key not in expected]),
        ("of another shape", wrong),
        ("of another dtype", kind),
    ]
    return "; ".join(
        f"{len(found)} {what}: {', '.join(found[:LISTED])}{', …' if len(found) > LISTED else ''}"
        for what, found in parts
        if found
    )
