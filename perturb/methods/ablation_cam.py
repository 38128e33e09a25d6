"""Seg-Ablation-CAM: the channels of a layer, weighted by how much the score drops when each is ablated, and summed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from perturb.core.errors import SettingError
from perturb.core.settings import Setting
from perturb.engine.incremental.channels import Channels, channels
from perturb.engine.incremental.known import ASKED, Stale, Unknown
from perturb.engine.runner import sweep
from perturb.images.image import Image
from perturb.methods.attribution import Attribution
from perturb.methods.base import Maps, Method, Outcome, Request
from perturb.segmenters.base import Segmenter
from perturb.segmenters.layers import Downstream, inside, layer_access, stretch
from perturb.targets.reader import Reader
from perturb.targets.readings import COLUMNS, Execution, Fact, Readings

NEAR_ZERO = 0.01
"""A clean score below this fraction of the largest change is too small to divide by."""

FEWEST = 64
"""Smallest number of channels of the default layer; layers with fewer are close to mixed logits."""

LAYER = Setting(
    "layer",
    "layer",
    "",
    "Name of the layer, such as decoder3 or context of streets-unet. If empty, the last one before the logits that has at "
    f"least {FEWEST} channels.",
)
"""The layer whose channels are summed, for all methods that sum channels."""


class AblationCam(Method):
    """w_k = (S − S_k) / |S| with S_k the score when channel k is ablated; the map is Σ w_k A_k, resized to the image.

    `score` is that sum with its sign; `positive` is ReLU(Σ w_k A_k). Both are resized bilinearly. They are in units of
    the activation A, weighted by the relative drop of the score. Compare values within one map, not between maps.

    The result has one reading per channel, in order: `score` is S_k; `lost`, `gained` and `iou` describe the change of
    the prediction. `weights` computes w_k from them. With a head that is linear in A, S − S_k = h_k · (mean of A_k over
    the region R), where h are the weights of the head.

    A trained layer often has channels that are zero everywhere. Ablating them changes nothing, so they are not run.
    """

    name: ClassVar[str] = "ablation-cam"
    title: ClassVar[str] = "Seg-Ablation-CAM"
    summary: ClassVar[str] = (
        "Each channel of a layer is ablated in turn; the map sums the channels, weighted by how much the score drops."
    )
    citation: ClassVar[str] = (
        "Gipiškis et al. 2023 (Seg-Ablation-CAM); for classifiers Desai & Ramaswamy 2020 (Ablation-CAM)"
    )
    needs: ClassVar[tuple[str, ...]] = ("layers",)
    settings: ClassVar[tuple[Setting, ...]] = (
        LAYER,
        Setting(
            "ablation",
            "choice",
            "full",
            "How a channel is ablated: set to zero, weakened, or set to zero only inside or only outside the region.",
            choices=(
                ("full", "Full"),
                ("strength", "Weakened"),
                ("foreground", "Inside the region"),
                ("background", "Outside the region"),
            ),
        ),
        Setting(
            "strength",
            "float",
            0.5,
            "How much a channel is weakened: 0 leaves it unchanged, 1 sets it to zero.",
            low=0,
            high=1,
            step=0.05,
            only=("ablation", ("strength",)),
        ),
    )
    captions: ClassVar[Mapping[str, str]] = {
        "score": "The sum of the channels, weighted by how much the score drops without each. It shows where these channels "
        "are active, which is not always what the class needs. Red supports the class, blue counts against it.",
        "positive": "Only the support for the class: the same sum where it is above zero.",
    }

    def forwards(self, request: Request) -> int:
        """The number of channels of the layer: each takes at most one pass of the sub-network downstream of it."""
        segmenter, image = request.segmenter, request.image
        channels_of = {layer.name: layer.shape[0] for layer in layer_access(segmenter).layers(image)}
        # A layer that is not listed raises its error in `run`.
        return channels_of.get(layer_of(request), 0)

    def run(self, request: Request) -> tuple[Readings, Outcome]:
        clean, name = request.clean, layer_of(request)
        tail, execution = _downstream(request, name)
        share, note = _ablated(request, name, tail.activation)
        live = ((tail.activation * share)[0] != 0).flatten(1).any(1).nonzero().flatten()
        readings = _ablate(request, tail, share, live)
        channel_weights, absolute = weights(clean, readings)
        maps = _maps(request, tail.activation[0], channel_weights)
        notes = [note, "" if isinstance(tail, Channels) else tail.note]
        if absolute:
            notes.append(
                f"The clean score ({clean.score[0]:.3g}) is near zero, so the channels are weighted by the absolute drop of "
                "the score, not by the relative drop."
            )
        facts: dict[str, Fact] = {
            "layer": name,
            "channels": len(readings),
            "silent_channels": len(readings) - len(live),
            "unit": "activation × drop of the score" if absolute else "activation × relative drop of the score",
        }
        return readings, Outcome(maps, facts, tuple(note for note in notes if note), execution=execution)


def _downstream(request: Request, name: str) -> tuple[Channels | Downstream, Execution]:
    """The sub-network downstream of a layer, run incrementally where that gives the same numbers."""
    segmenter, image = request.segmenter, request.image
    try:
        if request.mode == "whole":
            raise Unknown(ASKED)
        return channels(segmenter, request.input[0], name, request.frozen, request.logits), Execution("incremental")
    except Unknown as reason:
        tail = layer_access(segmenter).downstream(image, name)
        passes: Literal["downstream", "whole"] = "whole" if tail.note else "downstream"
        return tail, Execution(passes, str(reason), isinstance(reason, Stale))


def layer_of(request: Request) -> str:
    """Name of the layer that a request's settings name; raises as `choose` does."""
    return choose(request.segmenter, request.image, str(request.settings["layer"]))


def choose(segmenter: Segmenter, image: Image, name: str = "") -> str:
    """Name of a layer: the one given, or the last before the logits with at least `FEWEST` channels.

    A layer with as many channels as there are classes is taken for logits. If all layers have fewer than `FEWEST`
    channels, the widest is chosen, and of several the last.

    Raises:
        SettingError: there is no such layer, or none to choose from.
        SegmenterError: the segmenter gives no access to its layers.
    """
    if name:
        layer_access(segmenter).check_layer(image, name)
        return name
    candidates = [layer for layer in layer_access(segmenter).layers(image) if layer.shape[0] != len(segmenter.classes)]
    if not candidates:
        raise SettingError(
            f"The segmenter '{segmenter.name}' has no layer with feature maps before its logits, so it has no channels to "
            "ablate. Choose another segmenter, or a method that hides pixels."
        )
    return max(candidates, key=lambda layer: (min(layer.shape[0], FEWEST), layer.depth)).name


def weights(clean: Readings, readings: Readings) -> tuple[npt.NDArray[np.float64], bool]:
    """The weight of each channel, from the readings with it ablated.

    Args:
        clean: of the clean image; one entry.
        readings: of each channel.

    Returns:
        w_k = (S − S_k) / |S|, float64 `(C,)`; and True where S is too near zero to divide by, so that w_k = S − S_k.
    """
    drop = clean.score[0] - readings.score
    size = abs(float(clean.score[0]))
    absolute = size <= NEAR_ZERO * float(np.abs(drop).max(initial=0.0))
    return (drop if absolute else drop / size), absolute


def activation(result: Attribution, channel: int) -> npt.NDArray[np.float32]:
    """The activation of one channel of a result's layer on the clean image, float32 `(h, w)`. Takes one forward pass.

    Args:
        result: of `ablation-cam`.
        channel: 0 to `len(result.readings) − 1`.

    Raises:
        IndexError: there is no such channel.
    """
    if not 0 <= channel < len(result.readings):
        raise IndexError(f"There is no channel {channel}; expected 0 to {len(result.readings) - 1}.")
    name = choose(result.segmenter, result.image, str(result.settings["layer"]))
    chosen: npt.NDArray[np.float32] = layer_access(result.unchanged()).activations(result.image, name)[channel]
    return chosen


def _ablated(request: Request, name: str, values: Tensor) -> tuple[Tensor, str]:
    """The fraction of an activation that is ablated, in [0, 1], one for each cell or one for all; and a note."""
    settings, region = request.settings, request.frozen.region
    ablation = str(settings["ablation"])
    if ablation in ("full", "strength"):
        return torch.tensor(1.0 if ablation == "full" else float(settings["strength"]), device=values.device), ""
    height, width = values.shape[2:]
    cells = inside(request.segmenter, region, height, width)
    note = ""
    if ablation == "background":
        cells = ~cells
        if not cells.any():
            raise SettingError(
                f"The region covers all {height} × {width} cells of layer '{name}', so there is no background to ablate. "
                "Choose another ablation, or a smaller region."
            )
    elif cells.sum() * region.size > 2 * region.sum() * cells.size:
        note = (
            f"The region is smaller than the cells of layer '{name}' ({height} × {width} cells), so the ablated cells cover "
            "more than the region. A layer nearer the image has smaller cells."
        )
    return torch.from_numpy(cells.astype(np.float32)).to(values.device), note


def _ablate(request: Request, tail: Channels | Downstream, share: Tensor, live: Tensor) -> Readings:
    """Readings of every channel; ablating a channel that is not live changes nothing, so it has the clean readings."""
    height, width = request.frozen.region.shape
    reader, batch, progress = Reader(request.frozen, live.device), request.batch, request.progress

    def read(start: int, stop: int) -> Readings:
        index = live[start:stop]
        hidden = torch.zeros((stop - start, height, width), dtype=torch.bool, device=live.device)
        if isinstance(tail, Channels):
            return tail.read(index, share, hidden)
        changed = tail.activation.repeat(stop - start, 1, 1, 1)
        changed[torch.arange(stop - start, device=live.device), index] *= 1 - share
        return reader.read(tail(changed.contiguous(memory_format=torch.channels_last)), hidden)

    columns = {name: np.repeat(getattr(request.clean, name)[:1], tail.activation.shape[1]) for name in COLUMNS}
    if len(live):
        if batch is None and isinstance(tail, Channels):
            batch = tail.together
        run = sweep(len(live), read, request.segmenter, request.frozen, batch=batch, progress=progress)
        for name in COLUMNS:
            columns[name][live.cpu().numpy()] = getattr(run, name)
    elif progress is not None:
        progress(1.0)
    return Readings(**columns)


def _maps(request: Request, values: Tensor, channel_weights: npt.NDArray[np.float64]) -> Maps:
    total = torch.einsum("k,kyx->yx", torch.from_numpy(channel_weights), values.cpu().double())
    maps = {"score": total, "positive": total.relu()}
    return {
        name: stretch(request.segmenter, cells, request.image.height, request.image.width).numpy().astype(np.float32)
        for name, cells in maps.items()
    }
